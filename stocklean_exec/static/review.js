// @ts-check
// The review's view in a notebook. It holds no rules and no order data of its own: it shows what the kernel told it,
// forwards each gesture with what it had seen, and waits for the answer. All text goes into the page as text nodes.

const ROW_HEIGHT = 28;
const OVERSCAN = 6;

/** @type {[name: string, label: string, kind: Kind][]} */
const TOTALS = [
  ["orders", "Orders", "count"],
  ["buys", "Buys", "money"],
  ["sells", "Sells", "money"],
  ["net", "Net", "money"],
  ["turnover", "Turnover", "weight"],
  ["cash", "Cash", "money"],
  ["gross", "Gross", "weight"],
  ["net_exposure", "Net exposure", "weight"],
  ["estimated_fees", "Est. fees", "money"],
  ["estimated_spread_cost", "Est. spread cost", "money"],
];
/** @type {Record<number, { word: string, mark: string }>} by direction */
const SORTED = { 1: { word: "ascending", mark: " ▲" }, [-1]: { word: "descending", mark: " ▼" } };
const DIGIT = /^[-+.\d]$/u; // with which a number begins
const NOT_NOW = new Set(["orders", "buys", "sells", "net", "turnover", "estimated_fees", "estimated_spread_cost"]);

// -- messages: review_widget.py has the other end, review_snapshot.py what is in them -----------------------------

/** @typedef {"approved" | "rejected" | "open" | "blocked"} Standing decision on an order */
/** @typedef {"pass" | "warn" | "block"} Verdict of the checks of an order */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {Kind} kind
 * @property {boolean} default whether it is shown unless chosen otherwise
 * @property {true} [editable]
 * @property {string[]} [choices] all that a cell of it can hold; none is any text
 */

/**
 * Values by column, in the sequence of the rows; those named here are always there.
 * @typedef {object} Terms
 * @property {number[]} row_revision
 * @property {Standing[]} standing
 * @property {Verdict[]} verdict
 * @property {string[]} symbol
 * @property {string[]} side
 * @property {(number | null)[]} quantity in shares; null where the plan refused the order
 * @property {(string | null)[]} order_type
 * @property {(number | null)[]} limit_price
 * @property {(string | null)[]} tif
 */
/** @typedef {Terms & { [name: string]: Cell[] }} Cells */

/**
 * What stands above the grid.
 * @typedef {object} ReviewHead
 * @property {string} run
 * @property {Badge} badge
 * @property {string} account masked, unless it is to be shown
 * @property {"open" | "sending" | "sent" | "failed"} state
 * @property {string} note
 * @property {number} revision of the whole review
 * @property {boolean} can_send whether there are a broker and a blotter
 * @property {Record<Standing, number>} standing
 * @property {Record<Verdict, number>} verdicts
 * @property {Record<string, [now: number | null, approved: number | null, passing: number | null]>} totals
 * @property {[symbol: string, before: number | null, after: number | null][]} largest weights of positions
 * @property {string[]} unpriced symbols that are held without a price
 * @property {string} currency
 */

/**
 * All that a view holds.
 * @typedef {object} Store
 * @property {Column[]} columns
 * @property {string[]} ids client order ids
 * @property {Cells} cells
 * @property {ReviewHead} head
 */
/** @typedef {Answer & Store & { kind: "snapshot" }} ReviewSnapshot */
/** @typedef {Answer & { kind: "done", text: string }} ReviewDone */
/**
 * What a person is to confirm.
 * @typedef {object} Confirmation
 * @property {string} phrase to be typed
 * @property {string} token good for one submission
 * @property {number} orders
 * @property {string} shown_hash of what is shown
 */
/** @typedef {Answer & Confirmation & { kind: "asked" }} Asked */

/**
 * What one change did to the rows at `places`, for all views: it leads from revision `from` to that of its head.
 * @typedef {object} Patch
 * @property {"patch"} kind
 * @property {number} from
 * @property {number[]} places
 * @property {Record<string, Cell[]>} cells
 * @property {ReviewHead} head
 */

/** @typedef {Patch | ReviewSnapshot | ReviewDone | Asked | Refused} ReviewMessage */

/** @typedef {{ rows: [id: string, revision: number][] }} Seen orders, each with the revision that was shown */

/**
 * What this view sends: the body of a message by its kind.
 * @typedef {object} ReviewRequests
 * @property {{}} hello
 * @property {Seen & { bulk?: true }} approve
 * @property {Seen} reject
 * @property {Seen} clear
 * @property {{ revision: number }} approve_passing
 * @property {{ revision: number }} clear_all
 * @property {Seen & { changes: Record<string, string> }} edit of one row: what was typed, by column
 * @property {{ revision: number }} ask for a confirmation
 * @property {{ token: string, typed: string, revision: number, digest: number }} submit
 */

/**
 * A cell that is being edited.
 * @typedef {object} Editor
 * @property {HTMLElement & { value: string }} box
 * @property {number} row
 * @property {number} place
 * @property {number} column
 * @property {Column} spec
 * @property {Record<string, string>} along changes that belong to this one
 * @property {string} was what the box held first
 * @property {Seen} seen
 * @property {boolean} fresh whether its first letter was typed into the grid
 */

// -- small helpers ----------------------------------------------------------------------------------------------

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** @param {Uint8Array} bytes @param {number} crc of what came before, and 0xffffffff at first */
function crc32(bytes, crc) {
  let next = crc;
  for (const byte of bytes) next = (CRC_TABLE[(next ^ byte) & 0xff] ?? 0) ^ (next >>> 8);
  return next;
}

/**
 * Which of two cells comes first: numbers by size, texts by their letters, what is not known last in either direction.
 * @param {Cell} one
 * @param {Cell} other
 * @param {number} direction 1 is ascending, -1 is descending
 */
function compareCells(one, other, direction) {
  if (one === null || other === null) return Number(one === null) - Number(other === null);
  if (typeof one === "number" && typeof other === "number") return (one - other) * direction;
  const [a, b] = [String(one), String(other)];
  return (Number(a > b) - Number(a < b)) * direction;
}

// -- one view ---------------------------------------------------------------------------------------------------

/** @extends {KernelView<ReviewRequests, ReviewMessage>} */
class View extends KernelView {
  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    super(model, "to review", "order review");
    /** @type {Store | null} */
    this.store = null;
    /** @type {Column[]} those that are shown */
    this.columns = [];
    /** @type {number[]} of the columns, in pixels; the box to tick is the first */
    this.widths = [];
    /** @type {number[]} where the columns begin, in pixels */
    this.lefts = [];
    /** @type {number[]} rows shown, by their place in the plan */
    this.order = [];
    /** @type {{ name: string, direction: number } | null} */
    this.sort = null;
    this.active = { row: 0, column: 0 };
    /** @type {Set<string>} names of columns */
    this.hidden = new Set();
    this.chosen = false; // whether columns were hidden for the first time
    /** @type {Map<string, string>} "row/column" -> text that was typed and is not answered yet */
    this.pending = new Map();
    /** @type {string | null} "row/column" of the edit that was refused last */
    this.refused = null;
    /** @type {Editor | null} */
    this.editor = null;
    /** @type {Asked | null} */
    this.asked = null;
    this.narrow = false;
    this.scheduled = false;
    this.totalsShape = ""; // what the totals were drawn of
    /** @type {HTMLElement[]} */
    this.totalCells = [];

    // -- the page -----------------------------------------------------------------------------------------------

    /** @param {string} text @param {() => void} action @param {Attributes} extra */
    const button = (text, action, extra = {}) =>
      element("button", { type: "button", class: "slx-button", onclick: action, ...extra }, text);
    this.badge = element("span", { class: "slx-badge" });
    this.account = element("span", { class: "slx-account" });
    this.title = element("span", { class: "slx-title" });
    this.counts = element("span", { class: "slx-counts" });
    this.state = element("span", { class: "slx-state" });
    this.totals = element("div", { class: "slx-totals" });
    this.filters = {
      symbol: element("input", {
        type: "search", class: "slx-filter", placeholder: "Filter symbol", "aria-label": "filter by symbol",
        oninput: () => this.arrange(),
      }),
      verdict: this.choice("filter by check", ["any check", "pass", "warn", "block"]),
      side: this.choice("filter by side", ["any side", "BUY", "SELL"]),
      standing: this.choice("filter by decision", ["any decision", "open", "approved", "rejected", "blocked"]),
    };
    this.passing = button("Approve all passing", () => this.approvePassing());
    this.shown = button("Approve shown", () => this.approveShown());
    this.clear = button("Clear decisions", () => this.clearAll());
    this.chooser = element("details", { class: "slx-chooser" }, element("summary", {}, "Columns"));
    this.chooserList = element("div", { class: "slx-chooser-list", role: "group", "aria-label": "columns to show" });
    this.chooser.append(this.chooserList);
    const toolbar = element(
      "div", { class: "slx-toolbar", role: "toolbar", "aria-label": "review" },
      ...Object.values(this.filters), this.passing, this.shown, this.clear, this.chooser,
    );
    this.headRow = element("div", { class: "slx-row slx-head", role: "row", "aria-rowindex": "1" });
    this.empty = element("div", { class: "slx-empty", hidden: true });
    this.body = element("div", { class: "slx-body", role: "rowgroup" }, this.empty);
    /** @type {Map<number, { look: string, line: HTMLElement }>} place -> its row in the page, and how it looks */
    this.drawn = new Map();
    this.generation = 0; // of columns and store: what was drawn for an earlier one is drawn anew
    this.grid = element(
      "div",
      {
        class: "slx-grid", role: "grid", tabindex: "0", "aria-label": "orders to review",
        "aria-multiselectable": "false", "aria-describedby": `${this.prefix}-keys`,
      },
      element("div", { role: "rowgroup" }, this.headRow), this.body,
    );
    this.grid.addEventListener("scroll", () => this.schedule());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    // Pressing and not clicking: the row under the pointer may be drawn anew before the button is let go.
    this.grid.addEventListener("mousedown", (event) => {
      if (event.button === 0 && this.press(event)) event.preventDefault();
    });
    this.grid.addEventListener("click", (event) => {
      if (event.detail === 0) this.press(event); // from a screen reader
    });
    this.grid.addEventListener("focus", () => this.schedule());
    this.grid.addEventListener("blur", () => this.schedule());
    this.submit = button("Submit …", () => this.askConfirmation(), { class: "slx-button slx-submit" });
    this.footBadge = element("span", { class: "slx-badge" });
    this.footAccount = element("span", { class: "slx-account" });
    this.panel = element("form", { class: "slx-panel", "aria-label": "confirm the submission", hidden: true });
    this.keys = element(
      "div", { class: "slx-keys", id: `${this.prefix}-keys` },
      "Keys: arrows move, Enter edits or sorts, Space approves or takes back, X leaves out, / filters, Esc cancels.",
    );
    this.details = element("details", { class: "slx-details", open: true }, element("summary", {}, "Totals"), this.totals);
    this.root.append(
      element("div", { class: "slx-bar" }, this.badge, this.account, this.title, this.counts, this.state),
      this.details, toolbar, this.alert, this.grid,
      element("div", { class: "slx-foot" }, this.footBadge, this.footAccount, this.submit, this.status),
      this.panel, this.keys,
    );
    this.settleIn(el);
    const size = new ResizeObserver(() => this.fit());
    size.observe(this.root);
    this.observers.push(size);
    this.begin();
  }

  // What the kernel sent, for what is done only once there is something to see.
  get loaded() {
    if (!this.store) throw new Error("the kernel has sent no snapshot yet");
    return this.store;
  }

  /** @param {string} label @param {string[]} options the first is for any */
  choice(label, options) {
    return element(
      "select", { class: "slx-filter", "aria-label": label, onchange: () => this.arrange() },
      ...options.map((text, place) => element("option", { value: place ? text : "" }, text)),
    );
  }

  fit() {
    const narrow = this.root.clientWidth < 700;
    if (narrow !== this.narrow) {
      this.narrow = narrow;
      this.details.open = !narrow;
      this.root.classList.toggle("slx-narrow", narrow);
    }
    this.schedule();
  }

  // -- talking to the kernel ------------------------------------------------------------------------------------

  /** @override @param {ReviewMessage} message */
  receive(message) {
    if (message.kind === "patch") {
      this.patch(message);
      return;
    }
    if (message.view !== this.id) return; // another view's answer
    const wait = this.answered(message.number);
    if (message.kind === "snapshot") this.take(message);
    else if (message.kind === "refused") {
      wait?.refused?.();
      this.warn(`Refused: ${message.reason}`);
      this.say("Nothing was changed.");
    } else {
      if (message.kind === "done" && message.text) {
        this.warn("");
        this.say(message.text);
      }
      wait?.done?.(message);
    }
    this.schedule();
  }

  /** @param {Store} message */
  take({ columns, ids, cells, head }) {
    this.store = { columns, ids, cells, head };
    const known = new Set(columns.map((column) => column.name));
    if (!this.chosen) {
      this.chosen = true;
      for (const column of columns) if (!column.default) this.hidden.add(column.name);
    }
    this.pending.clear();
    this.refused = null;
    this.buildChooser();
    this.layout();
    if (this.sort && !known.has(this.sort.name)) this.sort = null;
    this.arrange();
    this.showHead();
    this.say(`${ids.length} orders shown.`);
  }

  /** @param {Patch} message */
  patch({ from, places, cells, head }) {
    if (!this.store) return;
    if (from !== this.store.head.revision) {
      this.ask("hello", {}); // something was missed: start from the truth
      return;
    }
    for (const [name, values] of Object.entries(cells)) {
      const column = this.store.cells[name];
      if (!column) continue;
      places.forEach((place, index) => {
        column[place] = values[index] ?? null;
      });
    }
    for (const key of [...this.pending.keys()]) {
      if (places.includes(Number(key.split("/")[0]))) this.pending.delete(key);
    }
    const moved = head.state !== this.store.head.state;
    this.store.head = head;
    if (moved) this.say({ open: "", sending: "Being sent …", sent: "Submitted.", failed: "Not submitted." }[head.state]);
    if (this.asked) this.closePanel(head.state === "open" || head.state === "failed" ? "The plan changed: confirm anew." : "");
    this.showHead();
    this.schedule();
  }

  // -- head and totals ------------------------------------------------------------------------------------------

  showHead() {
    const { head, ids } = this.loaded;
    for (const badge of [this.badge, this.footBadge]) {
      badge.textContent = head.badge;
      badge.dataset.badge = head.badge;
    }
    this.account.textContent = head.account;
    this.footAccount.textContent = head.account;
    this.root.dataset.badge = head.badge;
    this.title.textContent = `${head.run} · ${ids.length} orders`;
    const { standing, verdicts } = head;
    this.counts.replaceChildren(
      .../** @type {const} */ (["pass", "warn", "block"]).map((name) =>
        element("span", { class: `slx-chip slx-${name}` }, `${verdicts[name]} ${name}`)),
      element("span", { class: "slx-chip slx-approved" }, `${standing.approved} approved`),
      element("span", { class: "slx-chip" }, `${standing.rejected} left out`),
    );
    const words = { open: "", sending: "being sent …", sent: "submitted", failed: "not submitted" };
    this.state.textContent = [words[head.state], head.note].filter(Boolean).join(": ");
    this.root.dataset.state = head.state;
    const closed = head.state === "sending" || head.state === "sent";
    for (const button of [this.passing, this.shown, this.clear]) button.disabled = closed;
    this.submit.disabled = closed || !head.can_send || !standing.approved;
    this.submit.textContent = head.state === "failed" ? "Submit again …" : `Submit ${standing.approved} approved …`;
    this.submit.title = head.can_send ? "" : "This review has no broker and blotter to send with.";
    this.showTotals();
    this.countShown();
  }

  showTotals() {
    const { totals, largest, unpriced, currency, standing } = this.loaded.head;
    const passing = this.loaded.ids.length - standing.blocked;
    /** @type {[text: string, style: string][]} all that can change, in sequence */
    const cells = [];
    /** @param {"td" | "th"} tag @param {Attributes} attributes @param {string} text */
    const cell = (tag, attributes, text, style = "") => {
      cells.push([text, style]);
      return element(tag, { ...attributes, class: style, "data-cell": String(cells.length - 1) }, text);
    };
    const header = element(
      "tr", {}, element("th", { scope: "col" }, currency ? `in ${currency}` : ""),
      element("th", { scope: "col" }, "Now"),
      cell("th", { scope: "col" }, `If the ${standing.approved} approved fill`),
      cell("th", { scope: "col" }, `If all ${passing} not blocked fill`),
    );
    const lines = TOTALS.filter(([name]) => totals[name]).map(([name, label, kind]) =>
      element(
        "tr", { "data-measure": name }, element("th", { scope: "row" }, label),
        ...(totals[name] ?? []).map((value, place) => {
          const moot = place === 0 && NOT_NOW.has(name);
          if (value === null) return cell("td", {}, moot ? "" : "not known", "slx-unknown");
          return cell("td", {}, moot ? "" : show(value, kind), value < 0 ? "slx-negative" : "");
        }),
      ));
    const table = element("table", { class: "slx-table" }, element("thead", {}, header), element("tbody", {}, ...lines));
    const tops = element(
      "table", { class: "slx-table" },
      element("thead", {}, element("tr", {}, ...["Largest positions", "Now", "After"].map((text) =>
        element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...largest.map(([symbol, before, after]) =>
        element("tr", {}, cell("th", { scope: "row" }, symbol),
          cell("td", {}, show(before, "weight") || "not known"), cell("td", {}, show(after, "weight") || "not known")))),
    );
    const notes = unpriced.length ? [element("p", { class: "slx-note" },
      `Held without a price, and not counted: ${unpriced.slice(0, 10).join(", ")}${unpriced.length > 10 ? ", …" : ""}`)] : [];
    const shape = [cells.length, currency, ...unpriced].join("\x1f");
    if (shape !== this.totalsShape) {
      this.totalsShape = shape;
      this.totals.replaceChildren(table, tops, ...notes);
      this.totalCells = [.../** @type {NodeListOf<HTMLElement>} */ (this.totals.querySelectorAll("[data-cell]"))];
      return;
    }
    // The same table with other figures: only these are changed, so that the notebook is not laid out anew.
    this.totalCells.forEach((known, place) => {
      const [text, style] = cells[place] ?? ["", ""];
      if (known.textContent !== text) known.textContent = text;
      if (known.className !== style) known.className = style;
    });
  }

  // -- columns and rows -----------------------------------------------------------------------------------------

  buildChooser() {
    this.chooserList.replaceChildren(...this.loaded.columns.map((column) => {
      const box = element("input", { type: "checkbox", onchange: () => this.toggleColumn(column.name, box.checked) });
      box.checked = !this.hidden.has(column.name);
      box.disabled = column.name === "symbol";
      return element("label", {}, box, ` ${column.label}`);
    }));
  }

  /** @param {string} name @param {boolean} visible */
  toggleColumn(name, visible) {
    if (visible) this.hidden.delete(name);
    else this.hidden.add(name);
    this.layout();
    this.schedule();
  }

  layout() {
    this.generation += 1;
    /** @type {Partial<Record<Kind, number>>} */
    const widths = { text: 110, side: 52, shares: 82, choice: 58, price: 80, money: 104, weight: 76, verdict: 66, number: 88 };
    /** @type {Record<string, number>} */
    const special = { symbol: 92, why: 300, client_order_id: 210, detail: 260 };
    this.columns = this.loaded.columns.filter((column) => !this.hidden.has(column.name));
    this.active.column = Math.min(this.active.column, this.columns.length);
    const template = [40, ...this.columns.map((column) => special[column.name] ?? widths[column.kind] ?? 110)];
    const last = this.columns.at(-1)?.name === "why";
    this.widths = template;
    this.lefts = template.map((_, place) => template.slice(0, place).reduce((sum, width) => sum + width, 0));
    this.grid.style.setProperty("--slx-columns", template.map((width, place) =>
      last && place === template.length - 1 ? `minmax(${width}px, 1fr)` : `${width}px`).join(" "));
    this.grid.style.setProperty("--slx-width", `${template.reduce((sum, width) => sum + width, 0)}px`);
    this.grid.setAttribute("aria-colcount", String(this.columns.length + 1));
    this.drawHead();
  }

  drawHead() {
    const heads = [element("div", {
      class: "slx-cell slx-tick", role: "columnheader", "aria-colindex": "1", id: `${this.prefix}-h-0`,
    }, "OK")];
    this.columns.forEach((column, place) => {
      const sorted = this.sort?.name === column.name ? this.sort.direction : 0;
      heads.push(element(
        "div",
        {
          class: `slx-cell slx-${column.kind}`, role: "columnheader", "aria-colindex": String(place + 2),
          id: `${this.prefix}-h-${place + 1}`, "data-column": String(place + 1),
          "aria-sort": SORTED[sorted]?.word ?? "none",
        },
        `${column.label}${SORTED[sorted]?.mark ?? ""}`,
      ));
    });
    this.headRow.replaceChildren(...heads);
  }

  arrange() {
    if (!this.store) return;
    const { cells, ids } = this.store;
    const symbol = this.filters.symbol.value.trim().toUpperCase();
    const { verdict, side, standing } = this.filters;
    /** @type {[values: Cell[], wanted: string][]} */
    const wanted = [[cells.verdict, verdict.value], [cells.side, side.value], [cells.standing, standing.value]];
    this.order = [];
    for (let row = 0; row < ids.length; row += 1) {
      if (symbol && !String(cells.symbol[row] ?? "").toUpperCase().includes(symbol)) continue;
      if (wanted.every(([values, value]) => !value || values[row] === value)) this.order.push(row);
    }
    if (this.sort) {
      const values = cells[this.sort.name] ?? [];
      const { direction } = this.sort;
      this.order.sort((one, other) =>
        compareCells(values[one] ?? null, values[other] ?? null, direction) || one - other);
    }
    this.active.row = Math.max(-1, Math.min(this.active.row, this.order.length - 1));
    this.grid.setAttribute("aria-rowcount", String(this.order.length + 1));
    this.body.style.height = `${Math.max(this.order.length, 1) * ROW_HEIGHT}px`;
    // As high as the whole plan, so that filters do not move what is below; room for a scroll bar.
    this.grid.style.setProperty("--slx-height", `${(ids.length + 1) * ROW_HEIGHT + 18}px`);
    this.countShown();
    this.schedule();
  }

  countShown() {
    if (!this.store) return;
    this.shown.textContent = `Approve shown (${this.approvable().length})`;
  }

  approvable() {
    const { standing } = this.loaded.cells;
    return this.order.filter((row) => standing[row] === "open" || standing[row] === "rejected");
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  draw() {
    if (!this.store) return;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW_HEIGHT) - OVERSCAN);
    const count = Math.ceil(this.grid.clientHeight / ROW_HEIGHT) + 2 * OVERSCAN;
    const focused = document.activeElement === this.grid;
    /**
     * A row that would look as it does is left in the page: most of the time of a change is drawing.
     * @type {typeof this.drawn}
     */
    const drawn = new Map();
    for (let place = first; place < Math.min(first + count, this.order.length); place += 1) {
      const row = this.order[place];
      if (row === undefined) break;
      const look = this.lookOf(row, place, focused);
      const known = this.drawn.get(place);
      if (known?.look === look) {
        drawn.set(place, known);
      } else {
        const line = this.drawRow(row, place, focused);
        if (known) known.line.replaceWith(line);
        else this.body.append(line);
        drawn.set(place, { look, line });
      }
      this.drawn.delete(place);
    }
    for (const { line } of this.drawn.values()) line.remove();
    this.drawn = drawn;
    this.empty.hidden = this.order.length > 0;
    this.empty.textContent = this.store.ids.length ? "No order fits the filters." : "The plan has no orders: nothing to do.";
    const { active } = this;
    for (const cell of this.headRow.querySelectorAll(".slx-active")) cell.classList.remove("slx-active");
    if (active.row < 0 && focused) this.headRow.children[active.column]?.classList.add("slx-active");
    const spoken = active.row < 0 ? `${this.prefix}-h-${active.column}` : this.cellId(active.row, active.column);
    this.grid.setAttribute("aria-activedescendant", spoken);
  }

  /**
   * Everything that a row's look depends on, as one text.
   * @param {number} row
   * @param {number} place where it is shown
   * @param {boolean} focused whether the grid has the focus
   */
  lookOf(row, place, focused) {
    const { cells, head } = this.loaded;
    const typed = this.pending.size ? this.columns.map(({ name }) => this.pending.get(`${row}/${name}`) ?? "").join("\x1f") : "";
    const refused = this.refused?.startsWith(`${row}/`) ? this.refused : "";
    const active = focused && place === this.active.row ? this.active.column : "";
    return [row, cells.row_revision[row], this.generation, head.state, active, refused, typed].join("\x1e");
  }

  /** @param {number} place @param {number} column */
  cellId(place, column) {
    return `${this.prefix}-${this.order[place]}-${column}`;
  }

  /** @param {number} row @param {number} place where it is shown @param {boolean} gridFocused */
  drawRow(row, place, gridFocused) {
    const { cells, ids } = this.loaded;
    const id = ids[row] ?? "";
    const standing = cells.standing[row] ?? "open";
    const focused = gridFocused && place === this.active.row;
    const line = element("div", {
      class: `slx-row slx-is-${standing} slx-v-${cells.verdict[row]}`, role: "row", "aria-rowindex": String(place + 2),
      style: `top:${place * ROW_HEIGHT}px`, "data-id": id, "data-place": String(place),
    });
    const mark = { approved: "✓", rejected: "✕", blocked: "–", open: "" }[standing];
    line.append(element(
      "div",
      {
        class: `slx-cell slx-tick${focused && this.active.column === 0 ? " slx-active" : ""}`, role: "gridcell",
        "aria-colindex": "1", id: this.cellId(place, 0), "data-column": "0",
      },
      element("span", {
        class: "slx-box", role: "checkbox", "aria-checked": String(standing === "approved"),
        "aria-disabled": String(standing === "blocked"), "aria-label": `approve ${id}`,
        title: { blocked: "blocked by a check", rejected: "left out", approved: "", open: "" }[standing],
      }, mark),
    ));
    this.columns.forEach((column, index) => {
      const key = `${row}/${column.name}`;
      const typed = this.pending.get(key);
      const value = cells[column.name]?.[row];
      const editable = column.editable && this.isEditable(row);
      const classes = ["slx-cell", `slx-${column.kind}`];
      if (editable) classes.push("slx-editable");
      if (typed !== undefined) classes.push("slx-pending");
      if (this.refused === key) classes.push("slx-refused");
      if (focused && this.active.column === index + 1) classes.push("slx-active");
      if (column.kind === "verdict") classes.push(`slx-verdict-${value}`);
      if (column.kind === "side") classes.push(`slx-side-${value}`);
      const text = typed ?? show(value, column.kind);
      const cell = element("div", {
        class: classes.join(" "), role: "gridcell", "aria-colindex": String(index + 2), id: this.cellId(place, index + 1),
        "data-column": String(index + 1), "data-name": column.name, "aria-readonly": String(!editable),
        title: column.kind === "text" && text.length > 12 ? text : null,
      }, text);
      line.append(cell);
    });
    return line;
  }

  /** @param {number} row */
  isEditable(row) {
    const { cells, head } = this.loaded;
    return head.state !== "sending" && head.state !== "sent" && cells.quantity[row] !== null;
  }

  // -- gestures -------------------------------------------------------------------------------------------------

  /** @param {number[]} rows @returns {Seen} */
  seen(rows) {
    const { cells, ids } = this.loaded;
    return { rows: rows.map((row) => [ids[row] ?? "", cells.row_revision[row] ?? -1]) };
  }

  /**
   * @template {"approve" | "reject" | "clear" | "approve_passing" | "clear_all"} Name
   * @param {Name} kind
   * @param {ReviewRequests[Name]} body
   */
  decide(kind, body) {
    this.refused = null;
    this.ask(kind, body);
  }

  /** @param {number} place */
  toggle(place) {
    const row = this.order[place];
    if (row === undefined) return;
    const approved = this.loaded.cells.standing[row] === "approved";
    this.decide(approved ? "clear" : "approve", this.seen([row]));
  }

  approvePassing() {
    if (this.store) this.decide("approve_passing", { revision: this.store.head.revision });
  }

  clearAll() {
    if (this.store) this.decide("clear_all", { revision: this.store.head.revision });
  }

  approveShown() {
    if (!this.store) return;
    const rows = this.approvable();
    if (rows.length) this.decide("approve", { ...this.seen(rows), bulk: true });
    else this.say("No order that is shown is left to approve.");
  }

  /** @param {MouseEvent} event */
  press(event) {
    /** @type {HTMLElement | null} */
    const cell = event.target instanceof Element ? event.target.closest(".slx-cell") : null;
    /** @type {HTMLElement | null | undefined} */
    const line = cell?.closest(".slx-row");
    if (!cell || !line || !this.store) return false;
    const column = Number(cell.dataset.column ?? 0);
    if (line === this.headRow) {
      this.active = { row: -1, column };
      this.sortBy(column);
      return true;
    }
    const place = Number(line.dataset.place);
    this.active = { row: place, column };
    this.finish(true);
    if (!this.editor) {
      this.grid.focus({ preventScroll: true });
      if (column === 0) this.toggle(place);
      else this.edit(place, column);
    }
    this.schedule();
    return true;
  }

  /** @param {number} column */
  sortBy(column) {
    const name = this.columns[column - 1]?.name;
    if (name === undefined) return;
    if (this.sort?.name === name) this.sort = this.sort.direction > 0 ? { name, direction: -1 } : null;
    else this.sort = { name, direction: 1 };
    this.drawHead();
    this.arrange();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.store || event.target !== this.grid) return;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW_HEIGHT) - 2);
    const last = this.order.length - 1;
    const { row, column } = this.active;
    const far = event.ctrlKey || event.metaKey;
    /** @type {Record<string, [row: number, column: number]>} */
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [far ? 0 : row, 0], End: [far ? last : row, this.columns.length],
      PageUp: [Math.max(0, row - page), column], PageDown: [row + page, column],
    };
    const move = moves[event.key];
    if (move) {
      this.move(...move);
    } else if (event.key === "Enter" || event.key === "F2") {
      this.enter(row, column);
    } else if (event.key === " ") {
      this.enter(row, row < 0 ? column : 0);
    } else if ((event.key === "x" || event.key === "X" || event.key === "Delete") && row >= 0 && !far) {
      const place = this.order[row];
      if (place !== undefined) this.decide("reject", this.seen([place]));
    } else if (event.key === "/") {
      this.filters.symbol.focus();
    } else if (DIGIT.test(event.key) && !far && row >= 0 && column > 0) {
      this.edit(row, column, event.key);
    } else return;
    event.preventDefault();
  }

  /** @param {number} row @param {number} column */
  enter(row, column) {
    if (row < 0) this.sortBy(column);
    else if (column === 0) this.toggle(row);
    else this.edit(row, column);
  }

  /** @param {number} row @param {number} column */
  move(row, column) {
    this.active = {
      row: Math.max(-1, Math.min(row, this.order.length - 1)),
      column: Math.max(0, Math.min(column, this.columns.length)),
    };
    const head = this.headRow.offsetHeight;
    const top = this.active.row * ROW_HEIGHT;
    const height = this.grid.clientHeight - head;
    if (this.active.row >= 0 && top < this.grid.scrollTop) this.grid.scrollTop = top;
    if (top + ROW_HEIGHT > this.grid.scrollTop + height) this.grid.scrollTop = top + ROW_HEIGHT - height;
    const [left, width] = [this.lefts[this.active.column] ?? 0, this.widths[this.active.column] ?? 0];
    const frozen = (this.widths[0] ?? 0) + (this.widths[1] ?? 0); // the box to tick and the symbol
    if (left - frozen < this.grid.scrollLeft) this.grid.scrollLeft = left - frozen;
    if (left + width > this.grid.scrollLeft + this.grid.clientWidth) this.grid.scrollLeft = left + width - this.grid.clientWidth;
    this.schedule();
  }

  // -- editing --------------------------------------------------------------------------------------------------

  /**
   * @param {number} place
   * @param {number} column
   * @param {string | null} typed the first letter, if it was typed into the grid
   * @param {Record<string, string>} along changes that belong to this one
   */
  edit(place, column, typed = null, along = {}) {
    const spec = this.columns[column - 1];
    const row = this.order[place];
    if (!spec?.editable || row === undefined) return;
    if (!this.isEditable(row)) {
      this.warn("This order cannot be edited: the plan refused it, or the review is closed.");
      return;
    }
    this.finish(true);
    if (this.editor) return; // what was typed before needs one thing more
    const value = this.loaded.cells[spec.name]?.[row] ?? null;
    const label = `${spec.label} of ${this.loaded.ids[row]}`;
    /** @type {HTMLElement & { value: string }} */
    let box;
    if (spec.choices?.length) {
      box = element("select", { class: "slx-editor", "aria-label": label },
        ...spec.choices.map((text) => element("option", { value: text }, text)));
      box.value = String(value ?? "");
      box.addEventListener("change", () => this.finish(true));
    } else {
      box = element("input", { class: "slx-editor", type: "text", inputmode: "decimal", "aria-label": label, autocomplete: "off" });
      box.value = typed ?? String(value ?? "");
    }
    box.style.cssText = `top:${place * ROW_HEIGHT}px;left:${this.lefts[column]}px;width:${this.widths[column]}px`;
    // The revision that was seen when the edit began: a change meanwhile must not be overwritten unseen.
    this.editor = { box, row, place, column, spec, along, was: box.value, seen: this.seen([row]), fresh: typed !== null };
    box.addEventListener("keydown", (event) => this.editorKey(event));
    box.addEventListener("blur", () => this.finish(true));
    this.body.append(box);
    box.focus({ preventScroll: true });
    if (typed === null && box instanceof HTMLInputElement) box.select();
  }

  /** @param {KeyboardEvent} event */
  editorKey(event) {
    if (event.key === "Escape") {
      this.finish(false);
      this.grid.focus({ preventScroll: true });
    } else if (this.editor && (event.key === "Enter" || event.key === "Tab")) {
      const { place, column } = this.editor;
      this.finish(true);
      if (!this.editor) {
        this.grid.focus({ preventScroll: true });
        this.move(event.key === "Enter" ? place + 1 : place, event.key === "Tab" ? column + (event.shiftKey ? -1 : 1) : column);
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {boolean} keep what was typed */
  finish(keep) {
    const { editor } = this;
    if (!editor) return;
    this.editor = null;
    editor.box.remove();
    const typed = editor.box.value;
    if (!keep || (typed === editor.was && !editor.fresh)) {
      this.schedule();
      return;
    }
    const { row, place, spec } = editor;
    const type = this.loaded.cells.order_type[row];
    const limits = this.columns.findIndex((column) => column.name === "limit_price") + 1;
    if (spec.name === "order_type" && typed === "LMT" && type === "MKT" && limits) {
      this.say("A limit order needs a limit price: type it.");
      this.active.column = limits;
      this.edit(place, limits, null, { order_type: "LMT" });
      return;
    }
    /** @type {Record<string, string>} */
    const changes = { ...editor.along, [spec.name]: typed };
    if (spec.name === "limit_price" && type === "MKT" && typed.trim()) changes.order_type = "LMT";
    const key = `${row}/${spec.name}`;
    this.pending.set(key, typed);
    this.refused = null;
    this.ask("edit", { ...editor.seen, changes }, {
      refused: () => {
        this.pending.delete(key); // snapped back to what the kernel holds
        this.refused = key;
        this.schedule();
      },
      done: () => this.pending.delete(key),
    });
    this.schedule();
  }

  // -- submitting -----------------------------------------------------------------------------------------------

  askConfirmation() {
    if (!this.store) return;
    this.ask("ask", { revision: this.store.head.revision }, {
      done: (answer) => {
        if (answer.kind === "asked") this.openPanel(answer);
      },
    });
  }

  /** @param {Asked} asked */
  openPanel(asked) {
    this.asked = asked;
    const { head } = this.loaded;
    const input = element("input", { type: "text", class: "slx-phrase", "aria-label": "type the phrase to confirm", autocomplete: "off", spellcheck: "false" });
    const send = element("button", { type: "submit", class: "slx-button slx-submit" }, `Send ${asked.orders} order${asked.orders === 1 ? "" : "s"}`);
    const cancel = element("button", { type: "button", class: "slx-button", onclick: () => this.closePanel("") }, "Cancel");
    this.panel.onsubmit = (event) => {
      event.preventDefault();
      send.disabled = true; // one click, one message
      const { token } = asked;
      this.asked = null;
      const text = input.value;
      this.ask(
        "submit",
        { token, typed: text, revision: this.loaded.head.revision, digest: this.digest() },
        { done: () => this.closePanel(""), refused: () => this.closePanel("") },
      );
    };
    this.panel.onkeydown = (event) => {
      if (event.key === "Escape") this.closePanel("");
    };
    this.panel.replaceChildren(
      element("p", {},
        element("span", { class: "slx-badge", "data-badge": head.badge }, head.badge), " ",
        `${asked.orders} order${asked.orders === 1 ? "" : "s"} of ${head.run} to account ${head.account}. Type `,
        element("code", { class: "slx-due" }, asked.phrase), " to send exactly what is shown."),
      input, send, cancel,
    );
    this.panel.hidden = false;
    input.focus();
  }

  /** @param {string} text a warning, if there is one */
  closePanel(text) {
    this.asked = null;
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    if (text) this.warn(text);
    this.submit.focus({ preventScroll: true });
  }

  // Checksum of what this view holds, row by row; the kernel compares it with what it would tell.
  digest() {
    const { ids, cells, head } = this.loaded;
    const encoder = new TextEncoder();
    const numbers = new DataView(new ArrayBuffer(16));
    let crc = 0xffffffff;
    for (let row = 0; row < ids.length; row += 1) {
      const words = [ids[row], cells.side[row], cells.order_type[row], cells.tif[row], cells.verdict[row], cells.standing[row]];
      crc = crc32(encoder.encode(words.map((word) => word ?? "").join("\x1f")), crc);
      numbers.setFloat64(0, cells.quantity[row] ?? -1, true);
      numbers.setFloat64(8, cells.limit_price[row] ?? -1, true);
      crc = crc32(new Uint8Array(numbers.buffer), crc);
    }
    crc = crc32(encoder.encode(`${head.badge}\x1f${head.account}`), crc);
    return (crc ^ 0xffffffff) >>> 0;
  }
}

/** @param {{ model: Model, el: HTMLElement }} place */
function render({ model, el }) {
  const view = new View(model, el);
  return () => view.close();
}

export default { render };
