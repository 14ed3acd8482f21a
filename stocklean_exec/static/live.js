// @ts-check
// The live view of a run. It holds no rules: it shows what the kernel told it, forwards each gesture with what it had
// seen, and waits for the answer. Stopping is the safe direction, so that such a gesture is sent whatever is overdue.

const DELIBERATE = 250; // milliseconds before a second click counts, so that it is one
const MOST_ROWS = 200;
const MOST_FILLS = 200;
const FIRST_FILLS = 20; // when more than these come at once, only these are drawn until it is calm, or somebody scrolls
const CALM = 400; // milliseconds
const PLOT_PAUSE = 250; // milliseconds between two pictures of the curves, at least: they cost most to paint
const MOST_MESSAGES = 100;
const STOPS = new Set(["cancel", "cancel_all", "halt"]);
const SVG = "http://www.w3.org/2000/svg";
/** @type {Record<string, string>} */
const CHIPS = { FILLED: "slx-pass", PARTIAL: "slx-warn", REJECTED: "slx-block", UNKNOWN: "slx-block" };

// -- messages: live_view.py has the other end -------------------------------------------------------------------

/**
 * One order as it stands.
 * @typedef {object} OrderRow
 * @property {string} client_order_id
 * @property {string} symbol
 * @property {string} side
 * @property {number} quantity in shares
 * @property {number} filled_quantity in shares
 * @property {number | null} avg_fill_price
 * @property {string} status
 * @property {string | null} reason
 * @property {boolean} is_ended
 */

/**
 * @typedef {object} Fill
 * @property {number} number counts fills and messages of a run
 * @property {string | null} at time in UTC, as ISO 8601
 * @property {string} client_order_id
 * @property {string} symbol
 * @property {string} side
 * @property {number} quantity in shares
 * @property {number} price
 * @property {boolean} corrects an earlier execution
 */

/**
 * @typedef {object} Note
 * @property {number} number counts fills and messages of a run
 * @property {string | null} at time in UTC, as ISO 8601
 * @property {string | null} client_order_id
 * @property {string} what
 * @property {string | null} code
 * @property {string | null} text
 */

/**
 * What stands above all else, and what the buttons may do.
 * @typedef {object} LiveHead
 * @property {string} run
 * @property {Badge} badge
 * @property {string} account masked
 * @property {"working" | "stopping" | "over" | "cancelled" | "failed"} state
 * @property {string} note
 * @property {string} halted reason of the halt in force, or nothing
 * @property {string} fault why the broker cannot send, or nothing
 * @property {number} alive orders that have not ended
 * @property {boolean} is_over
 * @property {string[]} busy what is being done: a client order id, "all" or "halt"
 * @property {string} notice what came of the latest button
 */

/** @typedef {[seconds: number, part: number, bps: number]} Point of the curves, since the first order left */

/**
 * What changed since version `from`; 0 is everything. Sums are of the whole run.
 * @typedef {object} News
 * @property {string} run_id
 * @property {number} from
 * @property {number} version
 * @property {Record<string, number>} counts of orders by status
 * @property {number} orders
 * @property {number} ended
 * @property {number} quantity in shares
 * @property {number} filled_quantity in shares
 * @property {number} notional filled, in the currency of the instruments
 * @property {number | null} commission null until one is reported
 * @property {number | null} slippage_cost positive is a cost; null without a fill
 * @property {number | null} slippage_bps
 * @property {OrderRow[]} rows
 * @property {Fill[]} fills
 * @property {Note[]} messages
 * @property {Point[]} curve from point number `curve_from` on
 * @property {number} curve_from
 * @property {number} events heard so far
 * @property {LiveHead} head
 */

/** @typedef {News & { kind: "update" }} Update to all views */
/** @typedef {Answer & News & { kind: "snapshot" }} LiveSnapshot */
/** @typedef {Answer & { kind: "done", text: string }} LiveDone */
/** @typedef {LiveSnapshot | LiveDone | Refused} LiveAnswer */
/** @typedef {Update | LiveAnswer} LiveMessage */

/**
 * What this view sends: the body of a message by its kind.
 * @typedef {object} LiveRequests
 * @property {{}} hello
 * @property {{ client_order_id: string, status: string | undefined }} cancel the status is the one that was seen
 * @property {{ confirmed: true }} cancel_all
 * @property {{ confirmed: true, reason: string }} halt
 */

/** @typedef {{ line: HTMLTableRowElement, cells: HTMLTableCellElement[], cancel: HTMLButtonElement }} OrderLine */
/** @typedef {{ line: HTMLTableRowElement, cells: HTMLTableCellElement[], number: number }} FillLine */

// -- small helpers ----------------------------------------------------------------------------------------------

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
function drawing(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** @param {string | null} iso */
function clockTime(iso) {
  const when = iso ? new Date(iso) : null;
  return when && !Number.isNaN(when.getTime()) ? when.toISOString().slice(11, 19) : "";
}

/** @param {Element} node @param {string} text */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // what is the same is not laid out anew
}

/** @extends {KernelView<LiveRequests, LiveMessage>} */
class LiveView extends KernelView {
  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    super(model, "to watch", "live run");
    /** @type {News | null} the latest figures */
    this.told = null;
    /** @type {Map<string, OrderRow>} client order id -> its row, in the plan's sequence */
    this.rows = new Map();
    /** @type {Map<string, OrderLine>} client order id -> its line in the page */
    this.lines = new Map();
    /** @type {Point[]} as told from some point on */
    this.curve = [];
    /** @type {Fill[]} the latest first */
    this.latest = [];
    /** @type {FillLine[]} their lines in the page */
    this.fillLines = [];
    this.rushedAt = Number.NEGATIVE_INFINITY;
    this.seenFill = 0;
    this.seenMessage = 0;
    /** @type {Set<string>} client order ids whose lines are to be drawn again */
    this.changed = new Set();
    this.catching = false; // a snapshot was asked for, because an update was missed
    /** @type {number | null} an animation frame that was asked for */
    this.frame = null;
    /** @type {number | null} what draws once more after a while */
    this.timer = null;
    /** @type {string | null} what the curves were drawn of */
    this.plotted = null;
    this.plottedAt = -PLOT_PAUSE;
    this.chips = ""; // what the chips were drawn of
    /** @type {string | null} what the table of orders was drawn of */
    this.drawnOrder = null;
    /** @type {HTMLElement[]} */
    this.figureNodes = [];

    // -- the page -----------------------------------------------------------------------------------------------

    /** @param {string} text @param {() => void} action @param {string} style */
    const button = (text, action, style) =>
      element("button", { type: "button", class: `slx-button ${style}`, onclick: action }, text);
    this.badge = element("span", { class: "slx-badge" });
    this.account = element("span", { class: "slx-account" });
    this.title = element("span", { class: "slx-title" });
    this.counts = element("span", { class: "slx-counts" });
    this.state = element("span", { class: "slx-state" });
    this.bar = element("div", { class: "slx-done" });
    this.progress = element("div", {
      class: "slx-progress", role: "progressbar", "aria-label": "shares filled", "aria-valuemin": "0", "aria-valuemax": "100",
    }, this.bar);
    this.figures = element("div", { class: "slx-figures" });
    this.plots = element("div", { class: "slx-plots" });
    this.notice = element("div", { class: "slx-notice" });
    this.cancelAll = button("Cancel all …", () => this.openPanel("cancel_all"), "slx-stop");
    this.halt = button("Halt …", () => this.openPanel("halt"), "slx-stop-2");
    this.panel = element("form", { class: "slx-panel", "aria-label": "confirm", hidden: true });
    this.filter = element("input", {
      type: "search", class: "slx-filter", placeholder: "Filter symbol", "aria-label": "filter by symbol", oninput: () => this.schedule(),
    });
    this.alive = element("input", { type: "checkbox", onchange: () => this.schedule() });
    this.orders = element("tbody", {});
    this.more = element("div", { class: "slx-more", hidden: true });
    this.fills = element("tbody", {});
    this.messages = element("ul", { class: "slx-messages", "aria-label": "messages" });
    this.quiet = element("div", { class: "slx-more" }, "No messages.");
    /** @param {string} label @param {string[]} heads "#" is a number @param {number[]} widths @param {HTMLElement} body */
    const table = (label, heads, widths, body) => element(
      "div", { class: "slx-scroll", tabindex: "0", role: "region", "aria-label": label },
      element("table", { class: "slx-list", style: `min-width:${widths.reduce((sum, width) => sum + width, 0)}px` },
        element("colgroup", {}, ...widths.map((width) => element("col", { style: `width:${width}px` }))),
        element("thead", {}, element("tr", {}, ...heads.map((text) =>
          element("th", { scope: "col", class: text.startsWith("#") ? "slx-number" : "" }, text.replace("#", ""))))), body),
    );
    this.root.classList.add("slx-live");
    this.root.append(
      element("div", { class: "slx-bar" }, this.badge, this.account, this.title, this.counts, this.state),
      this.progress, this.figures,
      element("div", { class: "slx-toolbar", role: "toolbar", "aria-label": "stop" }, this.cancelAll, this.halt, this.notice),
      this.panel, this.alert, this.plots,
      element("div", { class: "slx-halves" },
        element("section", { class: "slx-half slx-wide" },
          element("div", { class: "slx-over" }, element("b", {}, "Orders"), this.filter,
            element("label", {}, this.alive, " alive only")),
          table("orders of the run", ["", "Symbol", "Side", "Status", "#Filled", "#Quantity", "#Avg. price", "Why"],
            [72, 80, 52, 96, 66, 74, 82, 96], this.orders),
          this.more),
        element("section", { class: "slx-half" },
          element("div", { class: "slx-over" }, element("b", {}, "Fills, latest first")),
          table("fills of the run", ["UTC", "Symbol", "Side", "#Shares", "#Price"], [66, 70, 48, 60, 76], this.fills)),
      ),
      element("div", { class: "slx-over" }, element("b", {}, "Messages")), this.messages, this.quiet,
      element("div", { class: "slx-foot" }, this.status),
    );
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.panel.hidden) this.closePanel();
    });
    this.settleIn(el);
    const size = new ResizeObserver(() => {
      this.root.classList.toggle("slx-narrow", this.root.clientWidth < 700);
      this.plotted = null;
      this.schedule();
    });
    size.observe(this.root);
    this.observers.push(size);
    this.begin();
  }

  /** @override */
  close() {
    if (this.timer !== null) clearTimeout(this.timer);
    super.close();
  }

  // -- talking with the kernel ----------------------------------------------------------------------------------

  /** @override @param {keyof LiveRequests} kind */
  mayAsk(kind) {
    return STOPS.has(kind) || super.mayAsk(kind);
  }

  /** @override @param {LiveMessage} message */
  receive(message) {
    if (message.kind === "update") {
      this.update(message);
      return;
    }
    if (message.view !== this.id) return; // another view's answer
    const wait = this.answered(message.number);
    if (message.kind === "snapshot") {
      this.catching = false;
      this.rows.clear();
      this.told = null;
      this.take(message);
    } else if (message.kind === "refused") {
      this.warn(`Refused: ${message.reason}`);
      wait?.refused?.();
    } else {
      this.warn("");
      this.say(message.text);
      wait?.done?.(message);
    }
    this.schedule();
  }

  /** @param {Update} message */
  update(message) {
    if (!this.told) return; // the snapshot is on its way
    if (message.from > this.told.version) {
      if (!this.catching) this.ask("hello", {}, { late: () => { this.catching = false; } });
      this.catching = true; // something was missed: start from the truth, asked for once
      return;
    }
    if (message.version < this.told.version) return;
    this.take(message);
    this.schedule();
  }

  /** @param {News} told */
  take(told) {
    this.told = told;
    this.curve.splice(told.curve_from, this.curve.length, ...told.curve);
    for (const row of told.rows) {
      this.rows.set(row.client_order_id, row);
      this.changed.add(row.client_order_id);
    }
    const fills = told.fills.filter((fill) => fill.number > this.seenFill);
    const last = fills.at(-1);
    if (last) {
      this.seenFill = last.number;
      this.latest = [...fills.reverse(), ...this.latest].slice(0, MOST_FILLS);
      if (fills.length > FIRST_FILLS) this.rushedAt = performance.now();
    }
    for (const said of told.messages) {
      if (said.number <= this.seenMessage) continue;
      this.seenMessage = said.number;
      const words = [said.client_order_id, said.code, said.text].filter(Boolean).join(" · ");
      this.messages.prepend(element("li", {}, `${clockTime(said.at)} `, element("b", {}, said.what), words ? ` · ${words}` : ""));
    }
    while (this.messages.children.length > MOST_MESSAGES) this.messages.lastChild?.remove();
    this.quiet.hidden = this.messages.children.length > 0;
    this.say(`As of ${new Date().toLocaleTimeString()}`);
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.told) this.draw(this.told);
    });
  }

  /**
   * Draw once more after a while, for what was put off.
   * @param {number} pause milliseconds
   */
  later(pause) {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.schedule();
    }, pause);
  }

  /** @param {News} told */
  draw(told) {
    const { head, counts, orders, ended, quantity, filled_quantity: filled, events } = told;
    this.badge.textContent = head.badge;
    this.badge.dataset.badge = head.badge;
    this.root.dataset.badge = head.badge;
    this.root.dataset.state = head.state;
    setText(this.account, head.account);
    setText(this.title, `${head.run} · ${orders} order${orders === 1 ? "" : "s"}`);
    const chips = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
    if (chips.join() !== this.chips) {
      this.chips = chips.join();
      this.counts.replaceChildren(...chips.map((text) =>
        element("span", { class: `slx-chip ${CHIPS[text.split(" ")[1] ?? ""] ?? ""}` }, text)));
    }
    const left = head.alive ? ` ${head.alive} of its orders ${head.alive === 1 ? "is" : "are"} still alive.` : "";
    const words = {
      working: "Working …", stopping: "Being cancelled …", over: `Over.${left}`, cancelled: `Cancelled.${left}`,
      failed: `Ended early: ${head.note}.${left}`,
    };
    const more = [head.state === "failed" ? "" : head.note, head.halted && `Halted: ${head.halted}`, head.fault && `The broker cannot send: ${head.fault}`];
    setText(this.state, [words[head.state], ...more].filter(Boolean).join(" · "));
    const part = quantity ? Math.min(1, filled / quantity) : 0;
    this.bar.style.width = `${part * 100}%`;
    this.progress.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    this.drawFigures(told, part);
    setText(this.notice, head.busy.length ? "Asking the broker …" : head.notice);
    this.cancelAll.disabled = (head.is_over && !head.alive) || head.busy.includes("all");
    this.halt.disabled = head.busy.includes("halt");
    this.drawPlots(this.curve);
    this.drawOrders();
    this.drawFills();
    this.root.dataset.events = String(events); // painted
    this.root.dataset.ended = String(ended);
  }

  /** @param {News} at @param {number} part of all shares that is filled */
  drawFigures(at, part) {
    /** @param {number | null} value @param {Kind} kind */
    const known = (value, kind) => (value === null ? "not known yet" : show(value, kind));
    /** @type {[label: string, text: string][]} */
    const figures = [
      ["Orders ended", `${show(at.ended)} of ${show(at.orders)}`],
      ["Shares filled", `${show(at.filled_quantity)} of ${show(at.quantity)} (${show(part, "weight")})`],
      ["Notional filled", show(at.notional, "money")],
      ["Commission", known(at.commission, "money")],
      ["Slippage", at.slippage_bps === null ? "no fill yet" : `${show(at.slippage_cost, "money")} (${show(at.slippage_bps, "money")} bps)`],
    ];
    if (!this.figureNodes.length) {
      this.figureNodes = figures.map(([label]) => {
        const value = element("span", { class: "slx-value" });
        this.figures.append(element("div", { class: "slx-figure" }, element("span", { class: "slx-label" }, label), value));
        return value;
      });
    }
    for (const [place, node] of this.figureNodes.entries()) setText(node, figures[place]?.[1] ?? "");
  }

  /** @param {Point[]} curve */
  drawPlots(curve) {
    const last = curve.at(-1);
    const mark = `${curve.length}/${last}`;
    if (this.plotted === mark) return;
    const due = this.plottedAt + PLOT_PAUSE - performance.now();
    if (this.plotted && due > 0) {
      this.later(due);
      return;
    }
    this.plotted = mark;
    this.plottedAt = performance.now();
    this.plots.hidden = curve.length === 0;
    if (!last) return;
    const width = Math.max(240, (this.root.clientWidth - 40) / (this.root.classList.contains("slx-narrow") ? 1 : 2) - 12);
    const end = Math.max(last[0], 0.001);
    /** @type {[at: number, value: number][]} */
    const filled = [[0, 0]];
    /** @type {[at: number, value: number][]} */
    const cost = [];
    for (const [at, part, bps] of curve) {
      filled.push([at, part]);
      cost.push([at, bps]);
    }
    const high = Math.max(...cost.map(([, bps]) => bps), 0);
    const low = Math.min(...cost.map(([, bps]) => bps), 0);
    const room = high - low || 1;
    /** @type {[value: number, text: string][]} */
    const marks = [[0, "arrival"]];
    if (Math.abs(last[2]) > room * 0.2) marks.push([last[2], show(last[2], "money")]);
    this.plots.replaceChildren(
      this.plot("Filled since the first order left, by the broker's clock", width, filled, end, [0, 1], [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]]),
      this.plot("Slippage so far against arrival, bps (above: cost)", width, cost, end, [low - room * 0.15, high + room * 0.15], marks),
    );
  }

  /**
   * @param {string} label
   * @param {number} width in pixels
   * @param {[at: number, value: number][]} points
   * @param {number} end of the time axis, in seconds
   * @param {[low: number, high: number]} range of the values
   * @param {[value: number, text: string][]} marks lines across, with their words
   */
  plot(label, width, points, end, [low, high], marks) {
    const [height, left, bottom, top] = [130, 58, 18, 8];
    /** @param {number} at */
    const x = (at) => left + (at / end) * (width - left - 8);
    /** @param {number} value */
    const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
    const steps = points.map(([at, value], place) =>
      `${place ? `H${x(at).toFixed(1)}V` : `M${x(at).toFixed(1)} `}${y(value).toFixed(1)}`);
    if (points.length === 1) steps.push("h3"); // one point is to be seen, too
    const picture = drawing("svg", { width, height, role: "img", "aria-label": label },
      ...marks.flatMap(([value, text]) => [
        drawing("line", { class: "slx-rule", x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
        drawing("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text),
      ]),
      drawing("text", { x: left, y: height - 4 }, "0 s"),
      drawing("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, `${show(Math.round(end * 10) / 10)} s`),
      drawing("path", { class: "slx-curve", d: steps.join("") }));
    return element("figure", { class: "slx-plot" }, element("figcaption", {}, label), picture);
  }

  drawOrders() {
    const wanted = this.filter.value.trim().toUpperCase();
    const fits = [...this.rows.values()].filter((row) =>
      (!this.alive.checked || !row.is_ended) && row.symbol.toUpperCase().includes(wanted));
    const shown = fits.slice(0, MOST_ROWS);
    const ids = shown.map((row) => row.client_order_id);
    for (const row of shown) {
      if (!this.lines.has(row.client_order_id)) {
        this.lines.set(row.client_order_id, this.makeLine(row));
        this.changed.add(row.client_order_id);
      }
    }
    for (const id of this.changed) {
      const [line, row] = [this.lines.get(id), this.rows.get(id)];
      if (line && row) this.fillLine(line, row);
    }
    this.changed.clear();
    const order = ids.join("\x1f");
    if (order !== this.drawnOrder) {
      this.drawnOrder = order;
      this.orders.replaceChildren(...ids.flatMap((id) => this.lines.get(id)?.line ?? []));
    }
    this.more.hidden = fits.length === shown.length;
    setText(this.more, `and ${fits.length - shown.length} more orders: filter by symbol`);
  }

  // Lines of new fills go before those that are there. In a rush only the first few are drawn, so that the work of
  // a frame does not grow with the fills that came.
  drawFills() {
    const rush = performance.now() - this.rushedAt < CALM && !this.fills.closest(".slx-scroll")?.scrollTop;
    if (rush) this.later(CALM);
    const count = Math.min(this.latest.length, rush ? FIRST_FILLS : MOST_FILLS);
    const known = this.latest.findIndex((fill) => fill.number === this.fillLines[0]?.number);
    const fresh = known < 0 ? count : Math.min(known, count);
    const spare = this.fillLines.splice(count - fresh);
    for (const { line } of spare) line.remove();
    /** @param {Fill} fill */
    const drawn = (fill) => this.fillFill(spare.pop(), fill);
    const head = this.latest.slice(0, fresh).map(drawn);
    this.fillLines.unshift(...head);
    this.fills.prepend(...head.map(({ line }) => line));
    const tail = this.latest.slice(this.fillLines.length, count).map(drawn);
    this.fillLines.push(...tail);
    this.fills.append(...tail.map(({ line }) => line));
  }

  /** @param {FillLine | undefined} spare a line to use again @param {Fill} fill @returns {FillLine} */
  fillFill(spare, fill) {
    const cells = spare?.cells ?? ["", "", "", "slx-shares", "slx-price"].map((style) => element("td", { class: style }));
    const line = spare?.line ?? element("tr", {}, ...cells);
    const price = show(fill.price, "price");
    const texts = [clockTime(fill.at), fill.symbol, fill.side, show(fill.quantity), fill.corrects ? `${price} (corrected)` : price];
    for (const [place, cell] of cells.entries()) setText(cell, texts[place] ?? "");
    line.className = fill.corrects ? "slx-corrects" : "";
    return { line, cells, number: fill.number };
  }

  /** @param {OrderRow} row @returns {OrderLine} */
  makeLine(row) {
    const cells = ["", "", "slx-status-cell", "slx-shares", "slx-shares", "slx-price", "slx-why"].map((style) =>
      element("td", { class: style }));
    const cancel = element("button", {
      type: "button", class: "slx-button slx-one", "aria-label": `cancel ${row.client_order_id}`,
      onclick: () => this.cancelOne(row.client_order_id, cancel),
    }, "Cancel");
    const line = element("tr", { "data-id": row.client_order_id }, element("td", {}, cancel), ...cells);
    return { line, cells, cancel };
  }

  /** @param {OrderLine} drawn @param {OrderRow} row */
  fillLine({ line, cells, cancel }, row) {
    const why = row.reason ?? "";
    const texts = [
      row.symbol, row.side, row.status, show(row.filled_quantity), show(row.quantity), show(row.avg_fill_price, "price"), why,
    ];
    for (const [place, cell] of cells.entries()) setText(cell, texts[place] ?? "");
    const last = cells.at(-1);
    if (last && last.title !== why) last.title = why;
    if (line.dataset.status !== row.status) {
      line.dataset.status = row.status;
      cancel.hidden = row.is_ended;
    }
  }

  // -- gestures -------------------------------------------------------------------------------------------------

  /** @param {string} id of the order @param {HTMLButtonElement} cancel */
  cancelOne(id, cancel) {
    cancel.disabled = true; // one click, one message
    const again = () => { cancel.disabled = false; };
    this.ask("cancel", { client_order_id: id, status: this.rows.get(id)?.status }, { done: again, refused: again, late: again });
  }

  /** @param {"cancel_all" | "halt"} kind */
  openPanel(kind) {
    if (!this.told) return;
    const { head } = this.told;
    const reason = kind === "halt" ? element("input", {
      type: "text", class: "slx-phrase", "aria-label": "reason for the halt", placeholder: "reason", maxlength: "200", autocomplete: "off",
    }) : null;
    const go = element("button", { type: "submit", class: "slx-button slx-stop", disabled: true }, reason ? "Halt now" : "Cancel all now");
    const keep = element("button", { type: "button", class: "slx-button", onclick: () => this.closePanel() }, "Keep going");
    this.panel.onsubmit = (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true; // one click, one message
      if (reason) this.ask("halt", { confirmed: true, reason: reason.value });
      else this.ask("cancel_all", { confirmed: true });
      this.closePanel();
    };
    const words = reason
      ? "stop all sending on this blotter, of this run and of all others, until a person clears it. What works stays working."
      : `cancel the ${head.alive} order${head.alive === 1 ? "" : "s"} of ${head.run} that may be alive, and send nothing more of it.`;
    this.panel.replaceChildren(
      element("p", {}, element("span", { class: "slx-badge", "data-badge": head.badge }, head.badge), ` ${head.account}: ${words}`),
      ...(reason ? [reason] : []), go, keep);
    this.panel.hidden = false;
    reason?.focus();
    // The click that opened this, or a key held down, must not be the one that confirms.
    setTimeout(() => {
      go.disabled = false;
      if (!reason) go.focus({ preventScroll: true });
    }, DELIBERATE);
  }

  closePanel() {
    this.panel.hidden = true;
    this.panel.replaceChildren();
    this.cancelAll.focus({ preventScroll: true });
  }
}

/** @param {{ model: Model, el: HTMLElement }} place */
function render({ model, el }) {
  const view = new LiveView(model, el);
  return () => view.close();
}

export default { render };
