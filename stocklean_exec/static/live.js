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
const CHIPS = { FILLED: "slx-pass", PARTIAL: "slx-warn", REJECTED: "slx-block", UNKNOWN: "slx-block" };

function drawing(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function clockTime(iso) {
  const when = iso ? new Date(iso) : null;
  return when && !Number.isNaN(when.getTime()) ? when.toISOString().slice(11, 19) : "";
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // what is the same is not laid out anew
}

class LiveView extends KernelView {
  constructor(model, el) {
    super(model, "to watch");
    this.told = null; // the latest figures
    this.rows = new Map(); // client order id -> its row, in the plan's sequence
    this.lines = new Map(); // client order id -> its line in the page
    this.curve = []; // [seconds, part, bps], as told from some point on
    this.latest = []; // fills, the latest first
    this.fillLines = []; // their lines in the page
    this.rushedAt = -Infinity;
    this.seenFill = 0;
    this.seenMessage = 0;
    this.changed = new Set();
    this.build(el);
    this.begin();
  }

  // -- the page -------------------------------------------------------------------------------------------------

  build(el) {
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
    this.alert = element("div", { class: "slx-alert", role: "alert" });
    this.notice = element("div", { class: "slx-notice" });
    this.status = element("div", { class: "slx-status", role: "status", "aria-live": "polite" });
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
    const table = (label, heads, widths, body) => element(
      "div", { class: "slx-scroll", tabindex: "0", role: "region", "aria-label": label },
      element("table", { class: "slx-list", style: `min-width:${widths.reduce((sum, width) => sum + width, 0)}px` },
        element("colgroup", {}, ...widths.map((width) => element("col", { style: `width:${width}px` }))),
        element("thead", {}, element("tr", {}, ...heads.map((text) =>
          element("th", { scope: "col", class: text.startsWith("#") ? "slx-number" : "" }, text.replace("#", ""))))), body),
    );
    this.root = element(
      "div", { class: "slx slx-live", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": "live run" },
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
  }

  close() {
    clearTimeout(this.timer);
    super.close();
  }

  // -- talking with the kernel ----------------------------------------------------------------------------------

  mayAsk(kind) {
    return STOPS.has(kind) || super.mayAsk(kind);
  }

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

  take(told) {
    this.told = told;
    this.curve.splice(told.curve_from, Infinity, ...told.curve);
    for (const row of told.rows) {
      this.rows.set(row.client_order_id, row);
      this.changed.add(row.client_order_id);
    }
    const fills = told.fills.filter((fill) => fill.number > this.seenFill);
    if (fills.length) {
      this.seenFill = fills.at(-1).number;
      this.latest = [...fills.reverse(), ...this.latest].slice(0, MOST_FILLS);
      if (fills.length > FIRST_FILLS) this.rushedAt = performance.now();
    }
    for (const said of told.messages) {
      if (said.number <= this.seenMessage) continue;
      this.seenMessage = said.number;
      const words = [said.client_order_id, said.code, said.text].filter(Boolean).join(" · ");
      this.messages.prepend(element("li", {}, `${clockTime(said.at)} `, element("b", {}, said.what), words ? ` · ${words}` : ""));
    }
    while (this.messages.children.length > MOST_MESSAGES) this.messages.lastChild.remove();
    this.quiet.hidden = this.messages.children.length > 0;
    this.say(`As of ${new Date().toLocaleTimeString()}`);
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (this.told) this.draw();
    });
  }

  // Draw once more after a while, for what was put off.
  later(pause) {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.schedule();
    }, pause);
  }

  draw() {
    const { head, counts, orders, ended, quantity, filled_quantity: filled, events } = this.told;
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
        element("span", { class: `slx-chip ${CHIPS[text.split(" ")[1]] ?? ""}` }, text)));
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
    this.drawFigures(part);
    setText(this.notice, head.busy.length ? "Asking the broker …" : head.notice);
    this.cancelAll.disabled = (head.is_over && !head.alive) || head.busy.includes("all");
    this.halt.disabled = head.busy.includes("halt");
    this.drawPlots(this.curve);
    this.drawOrders();
    this.drawFills();
    this.root.dataset.events = String(events); // painted
    this.root.dataset.ended = String(ended);
  }

  drawFigures(part) {
    const at = this.told;
    const known = (value, kind) => (value === null ? "not known yet" : show(value, kind));
    const figures = [
      ["Orders ended", `${show(at.ended)} of ${show(at.orders)}`],
      ["Shares filled", `${show(at.filled_quantity)} of ${show(at.quantity)} (${show(part, "weight")})`],
      ["Notional filled", show(at.notional, "money")],
      ["Commission", known(at.commission, "money")],
      ["Slippage", at.slippage_bps === null ? "no fill yet" : `${show(at.slippage_cost, "money")} (${show(at.slippage_bps, "money")} bps)`],
    ];
    if (!this.figureNodes) {
      this.figureNodes = figures.map(([label]) => {
        const value = element("span", { class: "slx-value" });
        this.figures.append(element("div", { class: "slx-figure" }, element("span", { class: "slx-label" }, label), value));
        return value;
      });
    }
    figures.forEach(([, text], place) => setText(this.figureNodes[place], text));
  }

  drawPlots(curve) {
    const last = curve.at(-1);
    const mark = `${curve.length}/${last}`;
    if (this.plotted === mark) return;
    const due = (this.plottedAt ?? -PLOT_PAUSE) + PLOT_PAUSE - performance.now();
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
    const filled = [[0, 0], ...curve.map(([at, part]) => [at, part])];
    const cost = curve.map(([at, , bps]) => [at, bps]);
    const high = Math.max(...cost.map(([, bps]) => bps), 0);
    const low = Math.min(...cost.map(([, bps]) => bps), 0);
    const room = high - low || 1;
    this.plots.replaceChildren(
      this.plot("Filled since the first order left, by the broker's clock", width, filled, end, [0, 1], [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]]),
      this.plot("Slippage so far against arrival, bps (above: cost)", width, cost, end, [low - room * 0.15, high + room * 0.15],
        [[0, "arrival"], ...(Math.abs(last[2]) > room * 0.2 ? [[last[2], show(last[2], "money")]] : [])]),
    );
  }

  plot(label, width, points, end, [low, high], marks) {
    const [height, left, bottom, top] = [130, 58, 18, 8];
    const x = (at) => left + (at / end) * (width - left - 8);
    const y = (value) => top + (1 - (value - low) / (high - low)) * (height - top - bottom);
    const steps = points.map(([at, value], place) =>
      `${place ? `H${x(at).toFixed(1)}V` : `M${x(at).toFixed(1)} `}${y(value).toFixed(1)}`);
    if (points.length === 1) steps.push(`h3`); // one point is to be seen, too
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
    for (const id of this.changed) if (this.lines.has(id)) this.fillLine(this.lines.get(id), this.rows.get(id));
    this.changed.clear();
    const order = ids.join("\x1f");
    if (order !== this.drawnOrder) {
      this.drawnOrder = order;
      this.orders.replaceChildren(...ids.map((id) => this.lines.get(id).line));
    }
    this.more.hidden = fits.length === shown.length;
    setText(this.more, `and ${fits.length - shown.length} more orders: filter by symbol`);
  }

  // Lines of new fills go before those that are there. In a rush only the first few are drawn, so that the work of
  // a frame does not grow with the fills that came.
  drawFills() {
    const rush = performance.now() - this.rushedAt < CALM && !this.fills.closest(".slx-scroll").scrollTop;
    if (rush) this.later(CALM);
    const count = Math.min(this.latest.length, rush ? FIRST_FILLS : MOST_FILLS);
    const known = this.latest.findIndex((fill) => fill.number === this.fillLines[0]?.number);
    const fresh = known < 0 ? count : Math.min(known, count);
    const spare = this.fillLines.splice(count - fresh);
    spare.forEach(({ line }) => line.remove());
    const drawn = (fill) => this.fillFill(spare.pop(), fill);
    const head = this.latest.slice(0, fresh).map(drawn);
    this.fillLines.unshift(...head);
    this.fills.prepend(...head.map(({ line }) => line));
    const tail = this.latest.slice(this.fillLines.length, count).map(drawn);
    this.fillLines.push(...tail);
    this.fills.append(...tail.map(({ line }) => line));
  }

  fillFill(spare, fill) {
    const cells = spare?.cells ?? ["", "", "", "slx-shares", "slx-price"].map((style) => element("td", { class: style }));
    const line = spare?.line ?? element("tr", {}, ...cells);
    const price = show(fill.price, "price");
    const texts = [clockTime(fill.at), fill.symbol, fill.side, show(fill.quantity), fill.corrects ? `${price} (corrected)` : price];
    texts.forEach((text, place) => setText(cells[place], text));
    line.className = fill.corrects ? "slx-corrects" : "";
    return { line, cells, number: fill.number };
  }

  makeLine(row) {
    const cells = ["", "", "slx-status-cell", "slx-shares", "slx-shares", "slx-price", "slx-why"].map((style) =>
      element("td", { class: style }));
    const cancel = element("button", {
      type: "button", class: "slx-button slx-one", "aria-label": `cancel ${row.client_order_id}`,
      onclick: () => this.cancelOne(row.client_order_id),
    }, "Cancel");
    const line = element("tr", { "data-id": row.client_order_id }, element("td", {}, cancel), ...cells);
    return { line, cells, cancel };
  }

  fillLine({ line, cells, cancel }, row) {
    const texts = [
      row.symbol, row.side, row.status, show(row.filled_quantity), show(row.quantity), show(row.avg_fill_price, "price"), row.reason ?? "",
    ];
    texts.forEach((text, place) => setText(cells[place], text));
    if (cells[6].title !== texts[6]) cells[6].title = texts[6];
    if (line.dataset.status !== row.status) {
      line.dataset.status = row.status;
      cancel.hidden = row.is_ended;
    }
  }

  // -- gestures -------------------------------------------------------------------------------------------------

  cancelOne(id) {
    const { cancel } = this.lines.get(id);
    cancel.disabled = true; // one click, one message
    const again = () => { cancel.disabled = false; };
    this.ask("cancel", { client_order_id: id, status: this.rows.get(id).status }, { done: again, refused: again, late: again });
  }

  openPanel(kind) {
    if (!this.told) return;
    const { head } = this.told;
    const isHalt = kind === "halt";
    const reason = isHalt ? element("input", {
      type: "text", class: "slx-phrase", "aria-label": "reason for the halt", placeholder: "reason", maxlength: "200", autocomplete: "off",
    }) : null;
    const go = element("button", { type: "submit", class: "slx-button slx-stop", disabled: true }, isHalt ? "Halt now" : "Cancel all now");
    const keep = element("button", { type: "button", class: "slx-button", onclick: () => this.closePanel() }, "Keep going");
    this.panel.onsubmit = (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true; // one click, one message
      this.ask(kind, { confirmed: true, ...(isHalt ? { reason: reason.value } : {}) });
      this.closePanel();
    };
    const words = isHalt
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

function render({ model, el }) {
  const view = new LiveView(model, el);
  return () => view.close();
}

export default { render };
