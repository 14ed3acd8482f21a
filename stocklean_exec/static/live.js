// @ts-check
// The live view of a run. It has no rules: it displays what the kernel sends, forwards each action with the status that
// it displayed, and waits for the answer. Stopping is the safe direction: such an action is sent even if an earlier
// answer is overdue.

// All are choices. Milliseconds before the confirming click counts: longer than between the clicks of a double click.
const CONFIRM_DELAY = 250;
// Lines in the page: more than a person scrolls through, few enough to lay out in one frame. A filter finds the rest.
const MAX_ROWS = 200;
const MAX_FILLS = 200;
const MAX_MESSAGES = 100;
// If more fills than these arrive at once, only these are drawn until the burst ends or a user scrolls.
const BURST_FILLS = 20; // about one screenful of the table
const BURST_END = 400; // milliseconds without a burst: four updates of the kernel (PAUSE in live_view.py)
const PLOT_PAUSE = 250; // minimum milliseconds between two drawings of the curves, which are the slowest to paint
const STOPS = new Set(["cancel", "cancel_all", "halt"]);
const SVG = "http://www.w3.org/2000/svg";
/** @type {Record<string, string>} */
const CHIPS = { FILLED: "slx-pass", PARTIAL: "slx-warn", REJECTED: "slx-block", UNKNOWN: "slx-block" };

// -- messages: live_view.py is the other end --------------------------------------------------------------------

/**
 * One order and its current status.
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
 * State of the run, and what the buttons may do.
 * @typedef {object} LiveHead
 * @property {string} run
 * @property {Badge} badge
 * @property {string} account masked
 * @property {"working" | "stopping" | "over" | "cancelled" | "failed"} state
 * @property {string} note
 * @property {string} halted reason of the halt in force, or empty
 * @property {string} fault why the broker cannot send, or empty
 * @property {number} open_orders orders that have not ended
 * @property {boolean} is_finished
 * @property {string[]} busy actions in progress: a client order id, "all" or "halt"
 * @property {string} notice result of the latest action
 */

/** @typedef {[seconds: number, part: number, bps: number]} Point of the curves, since the first order was sent */

/**
 * What changed since version `from`; 0 is everything. Sums are of the whole run.
 * @typedef {object} RunState
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
 * @property {number} events received so far
 * @property {LiveHead} head
 */

/** @typedef {RunState & { kind: "update" }} Update to all views */
/** @typedef {Answer & RunState & { kind: "snapshot" }} LiveSnapshot */
/** @typedef {Answer & { kind: "done", text: string }} LiveDone */
/** @typedef {LiveSnapshot | LiveDone | Refused} LiveAnswer */
/** @typedef {Update | LiveAnswer} LiveMessage */

/**
 * Messages of this view: the body by kind.
 * @typedef {object} LiveRequests
 * @property {{}} hello
 * @property {{ client_order_id: string, status: string | undefined }} cancel with the displayed status
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
  if (node.textContent !== text) node.textContent = text; // an unchanged text is not laid out again
}

/** @extends {KernelView<LiveRequests, LiveMessage>} */
class LiveView extends KernelView {
  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    super(model, "to watch", "live run");
    /** @type {RunState | null} the latest figures */
    this.current = null;
    /** @type {Map<string, OrderRow>} client order id -> its order, in the plan's sequence */
    this.rows = new Map();
    /** @type {Map<string, OrderLine>} client order id -> its line in the page */
    this.lines = new Map();
    /** @type {Point[]} */
    this.curve = [];
    /** @type {Fill[]} the latest first */
    this.latest = [];
    /** @type {FillLine[]} their lines in the page */
    this.fillLines = [];
    this.burstAt = Number.NEGATIVE_INFINITY;
    this.seenFill = 0;
    this.seenMessage = 0;
    /** @type {Set<string>} client order ids whose lines must be drawn again */
    this.changed = new Set();
    this.resyncing = false; // a snapshot was requested because an update was missed
    /** @type {number | null} the requested animation frame */
    this.frame = null;
    /** @type {number | null} timer of a delayed drawing */
    this.timer = null;
    /** @type {string | null} key of the curves as drawn */
    this.plotted = null;
    this.plottedAt = -PLOT_PAUSE;
    this.chips = ""; // key of the chips as drawn
    /** @type {string | null} key of the table of orders as drawn */
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
    this.openOnly = element("input", { type: "checkbox", onchange: () => this.schedule() });
    this.orders = element("tbody", {});
    this.more = element("div", { class: "slx-more", hidden: true });
    this.fills = element("tbody", {});
    this.messages = element("ul", { class: "slx-messages", "aria-label": "messages" });
    this.quiet = element("div", { class: "slx-more" }, "No messages.");
    /** @param {string} label @param {string[]} heads "#" marks a number @param {number[]} widths @param {HTMLElement} body */
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
            element("label", {}, this.openOnly, " open only")),
          table("orders of the run", ["", "Symbol", "Side", "Status", "#Filled", "#Quantity", "#Avg. price", "Reason"],
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
    this.attach(el);
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

  // -- messages of the kernel -----------------------------------------------------------------------------------

  /** @override @param {keyof LiveRequests} kind */
  canSend(kind) {
    return STOPS.has(kind) || super.canSend(kind);
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
      this.resyncing = false;
      this.rows.clear();
      this.current = null;
      this.apply(message);
    } else if (message.kind === "refused") {
      this.showAlert(`Not applied: ${message.reason}`);
      wait?.refused?.();
    } else {
      this.showAlert("");
      this.showStatus(message.text);
      wait?.done?.(message);
    }
    this.schedule();
  }

  /** @param {Update} message */
  update(message) {
    if (!this.current) return; // the snapshot is on its way
    if (message.from > this.current.version) {
      if (!this.resyncing) this.request("hello", {}, { late: () => { this.resyncing = false; } });
      this.resyncing = true; // an update was missed: start from a new snapshot, requested once
      return;
    }
    if (message.version < this.current.version) return;
    this.apply(message);
    this.schedule();
  }

  /** @param {RunState} current */
  apply(current) {
    this.current = current;
    this.curve.splice(current.curve_from, this.curve.length, ...current.curve);
    for (const row of current.rows) {
      this.rows.set(row.client_order_id, row);
      this.changed.add(row.client_order_id);
    }
    const fills = current.fills.filter((fill) => fill.number > this.seenFill);
    const last = fills.at(-1);
    if (last) {
      this.seenFill = last.number;
      this.latest = [...fills.reverse(), ...this.latest].slice(0, MAX_FILLS);
      if (fills.length > BURST_FILLS) this.burstAt = performance.now();
    }
    for (const message of current.messages) {
      if (message.number <= this.seenMessage) continue;
      this.seenMessage = message.number;
      const words = [message.client_order_id, message.code, message.text].filter(Boolean).join(" · ");
      this.messages.prepend(element("li", {}, `${clockTime(message.at)} `, element("b", {}, message.what), words ? ` · ${words}` : ""));
    }
    while (this.messages.children.length > MAX_MESSAGES) this.messages.lastChild?.remove();
    this.quiet.hidden = this.messages.children.length > 0;
    this.showStatus(`As of ${new Date().toLocaleTimeString()}`);
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.current) this.draw(this.current);
    });
  }

  /**
   * Draw again after a while, for what was postponed.
   * @param {number} pause milliseconds
   */
  later(pause) {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.schedule();
    }, pause);
  }

  /** @param {RunState} current */
  draw(current) {
    const { head, counts, orders, ended, quantity, filled_quantity: filled, events } = current;
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
    const left = head.open_orders ? ` ${head.open_orders} order${head.open_orders === 1 ? " is" : "s are"} still open.` : "";
    const words = {
      working: "Working …", stopping: "Cancelling …", over: `Finished.${left}`, cancelled: `Cancelled.${left}`,
      failed: `Ended early: ${head.note}.${left}`,
    };
    const more = [head.state === "failed" ? "" : head.note, head.halted && `Halted: ${head.halted}`, head.fault && `The broker cannot send: ${head.fault}`];
    setText(this.state, [words[head.state], ...more].filter(Boolean).join(" · "));
    const part = quantity ? Math.min(1, filled / quantity) : 0;
    this.bar.style.width = `${part * 100}%`;
    this.progress.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    this.drawFigures(current, part);
    setText(this.notice, head.busy.length ? "Waiting for the broker …" : head.notice);
    this.cancelAll.disabled = (head.is_finished && !head.open_orders) || head.busy.includes("all");
    this.halt.disabled = head.busy.includes("halt");
    this.drawPlots(this.curve);
    this.drawOrders();
    this.drawFills();
    this.root.dataset.events = String(events); // painted
    this.root.dataset.ended = String(ended);
  }

  /** @param {RunState} at @param {number} part of all shares that is filled */
  drawFigures(at, part) {
    /** @param {number | null} value @param {Kind} kind */
    const known = (value, kind) => (value === null ? "not reported yet" : show(value, kind));
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
      this.plot("Filled since the first order was sent, by the broker's clock", width, filled, end, [0, 1], [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]]),
      this.plot("Slippage so far against arrival, bps (above: cost)", width, cost, end, [low - room * 0.15, high + room * 0.15], marks),
    );
  }

  /**
   * @param {string} label
   * @param {number} width in pixels
   * @param {[at: number, value: number][]} points
   * @param {number} end of the time axis, in seconds
   * @param {[low: number, high: number]} range of the values
   * @param {[value: number, text: string][]} marks horizontal lines, with their labels
   */
  plot(label, width, points, end, [low, high], marks) {
    const [height, left, bottom, top] = [130, 58, 18, 8];
    /** @param {number} at */
    const x = (at) => left + (at / end) * (width - left - 8);
    /** @param {number} value */
    const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
    const steps = points.map(([at, value], place) =>
      `${place ? `H${x(at).toFixed(1)}V` : `M${x(at).toFixed(1)} `}${y(value).toFixed(1)}`);
    if (points.length === 1) steps.push("h3"); // a single point must be visible too
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
      (!this.openOnly.checked || !row.is_ended) && row.symbol.toUpperCase().includes(wanted));
    const shown = fits.slice(0, MAX_ROWS);
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

  // Lines of new fills go before the existing ones. In a burst only the first few are drawn, so that the work of a
  // frame does not grow with the number of fills.
  drawFills() {
    const burst = performance.now() - this.burstAt < BURST_END && !this.fills.closest(".slx-scroll")?.scrollTop;
    if (burst) this.later(BURST_END);
    const count = Math.min(this.latest.length, burst ? BURST_FILLS : MAX_FILLS);
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

  /** @param {FillLine | undefined} spare a line to reuse @param {Fill} fill @returns {FillLine} */
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

  // -- actions --------------------------------------------------------------------------------------------------

  /** @param {string} id of the order @param {HTMLButtonElement} cancel */
  cancelOne(id, cancel) {
    cancel.disabled = true; // one click, one message
    const again = () => { cancel.disabled = false; };
    this.request("cancel", { client_order_id: id, status: this.rows.get(id)?.status }, { done: again, refused: again, late: again });
  }

  /** @param {"cancel_all" | "halt"} kind */
  openPanel(kind) {
    if (!this.current) return;
    const { head } = this.current;
    const reason = kind === "halt" ? element("input", {
      type: "text", class: "slx-phrase", "aria-label": "reason for the halt", placeholder: "reason", maxlength: "200", autocomplete: "off",
    }) : null;
    const go = element("button", { type: "submit", class: "slx-button slx-stop", disabled: true }, reason ? "Halt now" : "Cancel all now");
    const keep = element("button", { type: "button", class: "slx-button", onclick: () => this.closePanel() }, reason ? "Don't halt" : "Don't cancel");
    this.panel.onsubmit = (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true; // one click, one message
      if (reason) this.request("halt", { confirmed: true, reason: reason.value });
      else this.request("cancel_all", { confirmed: true });
      this.closePanel();
    };
    const words = reason
      ? "stop all sending on this blotter, for this run and all others, until a person clears the halt. Working orders stay working."
      : `cancel the ${head.open_orders} open order${head.open_orders === 1 ? "" : "s"} of ${head.run}, and send no more orders of this run.`;
    this.panel.replaceChildren(
      element("p", {}, element("span", { class: "slx-badge", "data-badge": head.badge }, head.badge), ` ${head.account}: ${words}`),
      ...(reason ? [reason] : []), go, keep);
    this.panel.hidden = false;
    reason?.focus();
    // The click that opened the panel, or a key held down, must not confirm it.
    setTimeout(() => {
      go.disabled = false;
      if (!reason) go.focus({ preventScroll: true });
    }, CONFIRM_DELAY);
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
