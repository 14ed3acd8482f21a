// @ts-check
// The review's view in a notebook. It has no rules and no order data of its own: it displays what the kernel sends,
// forwards each action with the revision that it displayed, and waits for the answer. All text goes into the page as
// text nodes.

const ROW_HEIGHT = 28; // pixels, the same as in review.css: rows are placed by number, without measuring the page
const APPROVE_WIDTH = 68; // pixels of the approval column, the same as in review.css: its label in bold
const TERMS = ["good_till", "good_after", "outside_rth", "algo", "algo_params"]; // in the digest, in this sequence
/** The price that an order type cannot be without. @type {Record<string, string | undefined>} */
const NEEDED = { LMT: "limit_price", LOC: "limit_price", STP: "aux_price", TRAIL: "aux_price", REL: "aux_price" };
const OVERSCAN = 6; // rows drawn above and below what is in view; a choice: one notch of a mouse wheel is about four

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
  ["initial_margin", "Initial margin, at most", "money"],
  ["maintenance_margin", "Maintenance margin, at most", "money"],
  ["equity_with_loan", "Equity with loan, at least", "money"],
  ["excess_liquidity", "Excess liquidity, at least", "money"],
];
/** @type {Record<number, { word: string, mark: string }>} by direction */
const SORTED = { 1: { word: "ascending", mark: " ▲" }, [-1]: { word: "descending", mark: " ▼" } };
const DIGIT = /^[-+.\d]$/u; // first character of a number
/** Measures of trades, which have no value before the trades. */
const NOT_NOW = new Set(["orders", "buys", "sells", "net", "turnover", "estimated_fees", "estimated_spread_cost"]);

// -- messages: review_widget.py is the other end, review_payload.py makes their contents --------------------------

/** @typedef {"approved" | "rejected" | "open" | "blocked"} DecisionStatus decision on an order */
/** @typedef {"pass" | "warn" | "block"} Verdict of the checks of an order */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {Kind} kind
 * @property {boolean} default whether it is shown at first
 * @property {true} [editable]
 * @property {string[]} [choices] the allowed values; empty for any text
 */

/**
 * Values by column, in the sequence of the rows; the columns named here are always present.
 * @typedef {object} Terms
 * @property {number[]} row_revision
 * @property {DecisionStatus[]} decision_status
 * @property {Verdict[]} verdict
 * @property {string[]} symbol
 * @property {string[]} side
 * @property {(number | null)[]} quantity in shares; null for a rejected order
 * @property {(string | null)[]} order_type
 * @property {(number | null)[]} limit_price
 * @property {(string | null)[]} tif
 * @property {(number | null)[]} aux_price
 * @property {(string | null)[]} good_till
 * @property {(string | null)[]} good_after
 * @property {(string | null)[]} outside_rth
 * @property {(string | null)[]} algo
 * @property {(string | null)[]} algo_params
 */
/** @typedef {Terms & { [name: string]: Cell[] }} Cells */

/**
 * Everything above the grid.
 * @typedef {object} ReviewHead
 * @property {string} run
 * @property {Badge} badge
 * @property {string} account masked, unless it is to be shown
 * @property {"open" | "sending" | "sent" | "failed"} state
 * @property {string} note
 * @property {string} work how the orders are worked once they are sent
 * @property {number} revision of the whole review
 * @property {boolean} can_send whether there are a broker and a blotter
 * @property {Record<DecisionStatus, number>} decision_counts
 * @property {Record<Verdict, number>} verdicts
 * @property {Record<string, [now: number | null, approved: number | null, passing: number | null]>} totals
 * @property {Margin | null} margin what the figures of margin rest on; null where none are shown
 * @property {[symbol: string, before: number | null, after: number | null][]} largest weights of positions
 * @property {string[]} unpriced symbols held without a price
 * @property {string} currency
 */

/**
 * How many of the orders that are not blocked the broker has previewed, and when the oldest preview was made.
 * @typedef {{ orders: number, previewed: number, oldest: number | null }} Margin time in seconds since 1970
 */

/**
 * All data of a view.
 * @typedef {object} Store
 * @property {Column[]} columns
 * @property {string[]} ids client order ids
 * @property {Cells} cells
 * @property {ReviewHead} head
 */
/** @typedef {Answer & Store & { kind: "snapshot" }} ReviewSnapshot */
/** @typedef {Answer & { kind: "done", text: string }} ReviewDone */
/**
 * What a person confirms.
 * @typedef {object} Confirmation
 * @property {string} phrase to type
 * @property {string} token valid for one submission
 * @property {number} orders
 * @property {string} plan_fingerprint of the displayed plan
 */
/** @typedef {Answer & Confirmation & { kind: "confirmation" }} ConfirmationAnswer */

/**
 * One change of the rows at `places`, sent to all views: from revision `from` to the revision of its head.
 * @typedef {object} Patch
 * @property {"patch"} kind
 * @property {number} from
 * @property {number[]} places
 * @property {Record<string, Cell[]>} cells
 * @property {ReviewHead} head
 */

/** @typedef {Patch | ReviewSnapshot | ReviewDone | ConfirmationAnswer | Refused} ReviewMessage */

/** @typedef {{ rows: [id: string, revision: number][] }} Displayed orders, each with the revision that was shown */

/**
 * Messages of this view: the body by kind.
 * @typedef {object} ReviewRequests
 * @property {{}} hello
 * @property {Displayed & { bulk?: true }} approve
 * @property {Displayed} reject
 * @property {Displayed} clear
 * @property {{ revision: number }} approve_passing
 * @property {{ revision: number }} clear_all
 * @property {Displayed & { changes: Record<string, string> }} edit of one row: the typed text by column
 * @property {{ revision: number }} request_confirmation
 * @property {{ token: string, typed: string, revision: number, digest: number }} submit
 */

/**
 * The cell that is being edited.
 * @typedef {object} Editor
 * @property {HTMLElement & { value: string }} box
 * @property {number} row
 * @property {number} place
 * @property {number} column
 * @property {Column} spec
 * @property {Record<string, string>} related changes to send with this one
 * @property {string} original value of the box
 * @property {Displayed} displayed
 * @property {boolean} fresh whether its first character was typed into the grid
 */

// -- small helpers ----------------------------------------------------------------------------------------------

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** @param {Uint8Array} bytes @param {number} crc of the preceding bytes; 0xffffffff at the start */
function crc32(bytes, crc) {
  let next = crc;
  for (const byte of bytes) next = (CRC_TABLE[(next ^ byte) & 0xff] ?? 0) ^ (next >>> 8);
  return next;
}

/**
 * Compare two cells for sorting: numbers by size, texts by their letters, unknown values last in either direction.
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

/**
 * Say how old something is, in the largest unit of which there are at least two.
 * @param {number} seconds
 */
function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

/**
 * Say what the figures of margin rest on.
 * @param {Margin} margin
 * @param {number} now in seconds since 1970
 */
function marginNote({ orders, previewed, oldest }, now) {
  const old = oldest === null ? "" : `, the oldest ${age(now - oldest)} old`;
  const rest = previewed < orders ? " The others count with what Regulation T asks." : "";
  return `Margin: ${previewed} of ${orders} orders by the broker's preview${previewed ? old : ""}.${rest} What a sale frees is not counted.`;
}

// -- one view ---------------------------------------------------------------------------------------------------

/** @extends {KernelView<ReviewRequests, ReviewMessage>} */
class View extends KernelView {
  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    super(model, "to review", "order review");
    /** @type {Store | null} */
    this.store = null;
    /** @type {Column[]} the visible columns */
    this.columns = [];
    /** @type {number[]} of the columns, in pixels; the approval box is the first */
    this.widths = [];
    /** @type {number[]} where the columns begin, in pixels */
    this.lefts = [];
    /** @type {number[]} the displayed rows, by their place in the plan */
    this.order = [];
    /** @type {{ name: string, direction: number } | null} */
    this.sort = null;
    this.active = { row: 0, column: 0 };
    /** @type {Set<string>} names of columns */
    this.hidden = new Set();
    this.chosen = false; // whether the default columns were applied
    /** @type {Map<string, string>} "row/column" -> typed text that awaits its answer */
    this.pending = new Map();
    /** @type {string | null} "row/column" of the last refused edit */
    this.refused = null;
    /** @type {Editor | null} */
    this.editor = null;
    /** @type {ConfirmationAnswer | null} */
    this.confirmation = null;
    this.narrow = false;
    this.scheduled = false;
    this.totalsShape = ""; // of the table of totals as drawn
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
    this.work = element("p", { class: "slx-work", hidden: true });
    this.filters = {
      symbol: element("input", {
        type: "search", class: "slx-filter", placeholder: "Filter symbol", "aria-label": "filter by symbol",
        oninput: () => this.arrange(),
      }),
      verdict: this.choice("filter by risk check", ["any risk check", "pass", "warn", "block"]),
      side: this.choice("filter by side", ["any side", "BUY", "SELL"]),
      decision_status: this.choice("filter by decision", ["any decision", "open", "approved", "rejected", "blocked"]),
    };
    this.passing = button("Approve all passing", () => this.approvePassing());
    this.shown = button("Approve shown", () => this.approveShown());
    this.reset = button("Reset decisions", () => this.resetAll());
    this.chooser = element("details", { class: "slx-chooser" }, element("summary", {}, "Columns"));
    this.chooserList = element("div", { class: "slx-chooser-list", role: "group", "aria-label": "columns to show" });
    this.chooser.append(this.chooserList);
    const toolbar = element(
      "div", { class: "slx-toolbar", role: "toolbar", "aria-label": "review" },
      ...Object.values(this.filters), this.passing, this.shown, this.reset, this.chooser,
    );
    this.headRow = element("div", { class: "slx-row slx-head", role: "row", "aria-rowindex": "1" });
    this.empty = element("div", { class: "slx-empty", hidden: true });
    this.body = element("div", { class: "slx-body", role: "rowgroup" }, this.empty);
    /** @type {Map<number, { look: string, line: HTMLElement }>} place -> its row in the page, and the key of its content */
    this.drawn = new Map();
    this.generation = 0; // of columns and store; rows of an earlier generation are drawn again
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
    // On press, not on click: the row under the pointer may be drawn again before the button is released.
    this.grid.addEventListener("mousedown", (event) => {
      if (event.button === 0 && this.press(event)) event.preventDefault();
    });
    this.grid.addEventListener("click", (event) => {
      if (event.detail === 0) this.press(event); // from a screen reader
    });
    this.grid.addEventListener("focus", () => this.schedule());
    this.grid.addEventListener("blur", () => this.schedule());
    this.submit = button("Submit …", () => this.requestConfirmation(), { class: "slx-button slx-submit" });
    this.footBadge = element("span", { class: "slx-badge" });
    this.footAccount = element("span", { class: "slx-account" });
    this.panel = element("form", { class: "slx-panel", "aria-label": "confirm the submission", hidden: true });
    this.keys = element(
      "div", { class: "slx-keys", id: `${this.prefix}-keys` },
      "Keys: arrows move, Enter edits or sorts, Space approves or undoes, X rejects, / filters, Esc cancels.",
    );
    this.details = element("details", { class: "slx-details", open: true }, element("summary", {}, "Totals"), this.totals);
    this.root.append(
      element("div", { class: "slx-bar" }, this.badge, this.account, this.title, this.counts, this.state),
      this.work, this.details, toolbar, this.alert, this.grid,
      element("div", { class: "slx-foot" }, this.footBadge, this.footAccount, this.submit, this.status),
      this.panel, this.keys,
    );
    this.attach(el);
    const size = new ResizeObserver(() => this.fit());
    size.observe(this.root);
    this.observers.push(size);
    this.begin();
  }

  // The data of the view, for code that runs only after the first snapshot.
  get loaded() {
    if (!this.store) throw new Error("the kernel has sent no snapshot yet");
    return this.store;
  }

  /** @param {string} label @param {string[]} options the first means any */
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

  // -- messages of the kernel -----------------------------------------------------------------------------------

  /** @override @param {ReviewMessage} message */
  receive(message) {
    if (message.kind === "patch") {
      this.patch(message);
      return;
    }
    if (message.view !== this.id) return; // another view's answer
    const wait = this.answered(message.number);
    if (message.kind === "snapshot") this.apply(message);
    else if (message.kind === "refused") {
      wait?.refused?.();
      this.showAlert(`Not applied: ${message.reason}`);
      this.showStatus("Nothing was changed.");
    } else {
      if (message.kind === "done" && message.text) {
        this.showAlert("");
        this.showStatus(message.text);
      }
      wait?.done?.(message);
    }
    this.schedule();
  }

  /** @param {Store} message */
  apply({ columns, ids, cells, head }) {
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
    this.showStatus(`${ids.length} orders shown.`);
  }

  /** @param {Patch} message */
  patch({ from, places, cells, head }) {
    if (!this.store) return;
    if (from !== this.store.head.revision) {
      this.request("hello", {}); // a patch was missed: start from a new snapshot
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
    if (moved) this.showStatus({ open: "", sending: "Sending …", sent: "Submitted.", failed: "Submission failed." }[head.state]);
    if (this.confirmation) this.closePanel(head.state === "open" || head.state === "failed" ? "The plan changed; please confirm again." : "");
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
    const { decision_counts: counts, verdicts } = head;
    this.counts.replaceChildren(
      .../** @type {const} */ (["pass", "warn", "block"]).map((name) =>
        element("span", { class: `slx-chip slx-${name}` }, `${verdicts[name]} ${name}`)),
      element("span", { class: "slx-chip slx-approved" }, `${counts.approved} approved`),
      element("span", { class: "slx-chip" }, `${counts.rejected} rejected`),
    );
    const words = { open: "", sending: "sending …", sent: "submitted", failed: "submission failed" };
    this.state.textContent = [words[head.state], head.note].filter(Boolean).join(": ");
    this.root.dataset.state = head.state;
    this.work.textContent = head.work && `Worked: ${head.work}`;
    this.work.hidden = !head.work;
    const closed = head.state === "sending" || head.state === "sent";
    for (const button of [this.passing, this.shown, this.reset]) button.disabled = closed;
    this.submit.disabled = closed || !head.can_send || !counts.approved;
    this.submit.textContent = head.state === "failed" ? "Submit again …" : `Submit ${counts.approved} approved …`;
    this.submit.title = head.can_send ? "" : "To submit, the review needs a broker and a blotter.";
    this.showTotals();
    this.countShown();
  }

  showTotals() {
    const { totals, largest, unpriced, currency, margin, decision_counts: counts } = this.loaded.head;
    const eligible = this.loaded.ids.length - counts.blocked;
    /** @type {[text: string, style: string][]} of the cells that can change, in sequence */
    const cells = [];
    /** @param {"td" | "th" | "p"} tag @param {Attributes} attributes @param {string} text */
    const cell = (tag, attributes, text, style = "") => {
      cells.push([text, style]);
      return element(tag, { ...attributes, class: style, "data-cell": String(cells.length - 1) }, text);
    };
    const header = element(
      "tr", {}, element("th", { scope: "col" }, currency ? `in ${currency}` : ""),
      element("th", { scope: "col" }, "Now"),
      cell("th", { scope: "col" }, `After approved (${counts.approved})`),
      cell("th", { scope: "col" }, `After all eligible (${eligible})`),
    );
    const lines = TOTALS.filter(([name]) => totals[name]).map(([name, label, kind]) =>
      element(
        "tr", { "data-measure": name }, element("th", { scope: "row" }, label),
        ...(totals[name] ?? []).map((value, place) => {
          const notApplicable = place === 0 && NOT_NOW.has(name);
          if (value === null) return cell("td", {}, notApplicable ? "" : "unknown", "slx-unknown");
          return cell("td", {}, notApplicable ? "" : show(value, kind), value < 0 ? "slx-negative" : "");
        }),
      ));
    const table = element("table", { class: "slx-table" }, element("thead", {}, header), element("tbody", {}, ...lines));
    const tops = element(
      "table", { class: "slx-table" },
      element("thead", {}, element("tr", {}, ...["Largest positions", "Now", "After"].map((text) =>
        element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...largest.map(([symbol, before, after]) =>
        element("tr", {}, cell("th", { scope: "row" }, symbol),
          cell("td", {}, show(before, "weight") || "unknown"), cell("td", {}, show(after, "weight") || "unknown")))),
    );
    const basis = margin ? [cell("p", {}, marginNote(margin, Date.now() / 1000), "slx-margin")] : [];
    const notes = unpriced.length ? [element("p", { class: "slx-note" },
      `Excluded from totals (no price): ${unpriced.slice(0, 10).join(", ")}${unpriced.length > 10 ? ", …" : ""}`)] : [];
    const shape = [cells.length, currency, ...unpriced].join("\x1f");
    if (shape !== this.totalsShape) {
      this.totalsShape = shape;
      this.totals.replaceChildren(table, tops, ...basis, ...notes);
      this.totalCells = [.../** @type {NodeListOf<HTMLElement>} */ (this.totals.querySelectorAll("[data-cell]"))];
      return;
    }
    // The same table with other figures: update only these, so that the notebook is not laid out again.
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
    const special = { symbol: 92, why: 300, client_order_id: 210, detail: 260, previewed_at: 190, previewed_margin: 120 };
    this.columns = this.loaded.columns.filter((column) => !this.hidden.has(column.name));
    this.active.column = Math.min(this.active.column, this.columns.length);
    const template = [APPROVE_WIDTH, ...this.columns.map((column) => special[column.name] ?? widths[column.kind] ?? 110)];
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
    }, "Approve")];
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
    const { verdict, side, decision_status: status } = this.filters;
    /** @type {[values: Cell[], wanted: string][]} */
    const wanted = [[cells.verdict, verdict.value], [cells.side, side.value], [cells.decision_status, status.value]];
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
    // As high as the whole plan, so that filters do not move the content below; plus room for a scroll bar.
    this.grid.style.setProperty("--slx-height", `${(ids.length + 1) * ROW_HEIGHT + 18}px`);
    this.countShown();
    this.schedule();
  }

  countShown() {
    if (!this.store) return;
    this.shown.textContent = `Approve shown (${this.approvable().length})`;
  }

  approvable() {
    const { decision_status: statuses } = this.loaded.cells;
    return this.order.filter((row) => statuses[row] === "open" || statuses[row] === "rejected");
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
     * Unchanged rows stay in the page: drawing takes most of the time of an update.
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
    this.empty.textContent = this.store.ids.length ? "No order matches the filters." : "The plan has no orders.";
    const { active } = this;
    for (const cell of this.headRow.querySelectorAll(".slx-active")) cell.classList.remove("slx-active");
    if (active.row < 0 && focused) this.headRow.children[active.column]?.classList.add("slx-active");
    const activeId = active.row < 0 ? `${this.prefix}-h-${active.column}` : this.cellId(active.row, active.column);
    this.grid.setAttribute("aria-activedescendant", activeId);
  }

  /**
   * Everything that the content of a row depends on, as one key.
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
    const status = cells.decision_status[row] ?? "open";
    const focused = gridFocused && place === this.active.row;
    const line = element("div", {
      class: `slx-row slx-is-${status} slx-v-${cells.verdict[row]}`, role: "row", "aria-rowindex": String(place + 2),
      style: `top:${place * ROW_HEIGHT}px`, "data-id": id, "data-place": String(place),
    });
    const mark = { approved: "✓", rejected: "✕", blocked: "–", open: "" }[status];
    line.append(element(
      "div",
      {
        class: `slx-cell slx-tick${focused && this.active.column === 0 ? " slx-active" : ""}`, role: "gridcell",
        "aria-colindex": "1", id: this.cellId(place, 0), "data-column": "0",
      },
      element("span", {
        class: "slx-box", role: "checkbox", "aria-checked": String(status === "approved"),
        "aria-disabled": String(status === "blocked"), "aria-label": `approve ${id}`,
        title: { blocked: "blocked by a risk check", rejected: "rejected", approved: "", open: "" }[status],
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

  // -- actions --------------------------------------------------------------------------------------------------

  /** @param {number[]} rows @returns {Displayed} */
  displayed(rows) {
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
    this.request(kind, body);
  }

  /** @param {number} place */
  toggle(place) {
    const row = this.order[place];
    if (row === undefined) return;
    const approved = this.loaded.cells.decision_status[row] === "approved";
    this.decide(approved ? "clear" : "approve", this.displayed([row]));
  }

  approvePassing() {
    if (this.store) this.decide("approve_passing", { revision: this.store.head.revision });
  }

  resetAll() {
    if (this.store) this.decide("clear_all", { revision: this.store.head.revision });
  }

  approveShown() {
    if (!this.store) return;
    const rows = this.approvable();
    if (rows.length) this.decide("approve", { ...this.displayed(rows), bulk: true });
    else this.showStatus("No displayed order is left to approve.");
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
      if (place !== undefined) this.decide("reject", this.displayed([place]));
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
    const frozen = (this.widths[0] ?? 0) + (this.widths[1] ?? 0); // the approval box and the symbol
    if (left - frozen < this.grid.scrollLeft) this.grid.scrollLeft = left - frozen;
    if (left + width > this.grid.scrollLeft + this.grid.clientWidth) this.grid.scrollLeft = left + width - this.grid.clientWidth;
    this.schedule();
  }

  // -- editing --------------------------------------------------------------------------------------------------

  /**
   * @param {number} place
   * @param {number} column
   * @param {string | null} typed the first character, if it was typed into the grid
   * @param {Record<string, string>} related changes to send with this one
   */
  edit(place, column, typed = null, related = {}) {
    const spec = this.columns[column - 1];
    const row = this.order[place];
    if (!spec?.editable || row === undefined) return;
    if (!this.isEditable(row)) {
      this.showAlert("This order cannot be edited: it is rejected in the plan, or the review is closed.");
      return;
    }
    this.finish(true);
    if (this.editor) return; // the edit before is not complete: it needs a limit price
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
      box = element("input", { class: "slx-editor", type: "text", inputmode: spec.kind === "text" ? "text" : "decimal", "aria-label": label, autocomplete: "off" });
      box.value = typed ?? String(value ?? "");
    }
    box.style.cssText = `top:${place * ROW_HEIGHT}px;left:${this.lefts[column]}px;width:${this.widths[column]}px`;
    // The revision displayed when the edit began: a change in between must not be overwritten.
    this.editor = { box, row, place, column, spec, related, original: box.value, displayed: this.displayed([row]), fresh: typed !== null };
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
    if (!keep || (typed === editor.original && !editor.fresh)) {
      this.schedule();
      return;
    }
    const { row, place, spec } = editor;
    const type = this.loaded.cells.order_type[row];
    const needed = spec.name === "order_type" ? NEEDED[typed] : undefined;
    const prices = this.columns.findIndex((column) => column.name === needed) + 1;
    if (needed && prices && typeof this.loaded.cells[needed]?.[row] !== "number") {
      this.showStatus(needed === "limit_price" ? "A limit order needs a limit price; type it." : "It needs a trigger, amount or offset; type it.");
      this.active.column = prices;
      this.edit(place, prices, null, { order_type: typed });
      return;
    }
    /** @type {Record<string, string>} */
    const changes = { ...editor.related, [spec.name]: typed };
    if (spec.name === "limit_price" && type === "MKT" && typed.trim()) changes.order_type = "LMT";
    const key = `${row}/${spec.name}`;
    this.pending.set(key, typed);
    this.refused = null;
    this.request("edit", { ...editor.displayed, changes }, {
      refused: () => {
        this.pending.delete(key); // back to the kernel's value
        this.refused = key;
        this.schedule();
      },
      done: () => this.pending.delete(key),
    });
    this.schedule();
  }

  // -- submitting -----------------------------------------------------------------------------------------------

  requestConfirmation() {
    if (!this.store) return;
    this.request("request_confirmation", { revision: this.store.head.revision }, {
      done: (answer) => {
        if (answer.kind === "confirmation") this.openPanel(answer);
      },
    });
  }

  /** @param {ConfirmationAnswer} confirmation */
  openPanel(confirmation) {
    this.confirmation = confirmation;
    const { head } = this.loaded;
    const input = element("input", { type: "text", class: "slx-phrase", "aria-label": "type the phrase to confirm", autocomplete: "off", spellcheck: "false" });
    const send = element("button", { type: "submit", class: "slx-button slx-submit" }, `Send ${confirmation.orders} order${confirmation.orders === 1 ? "" : "s"}`);
    const cancel = element("button", { type: "button", class: "slx-button", onclick: () => this.closePanel("") }, "Cancel");
    this.panel.onsubmit = (event) => {
      event.preventDefault();
      send.disabled = true; // one click, one message
      const { token } = confirmation;
      this.confirmation = null;
      const text = input.value;
      this.request(
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
        `${confirmation.orders} order${confirmation.orders === 1 ? "" : "s"} of ${head.run} to account ${head.account}. Type `,
        element("code", { class: "slx-due" }, confirmation.phrase), " to send exactly what is displayed."),
      input, send, cancel,
    );
    this.panel.hidden = false;
    input.focus();
  }

  /** @param {string} text a warning, if there is one */
  closePanel(text) {
    this.confirmation = null;
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    if (text) this.showAlert(text);
    this.submit.focus({ preventScroll: true });
  }

  // Checksum of the data of this view, row by row; the kernel compares it with its own.
  digest() {
    const { ids, cells, head } = this.loaded;
    const encoder = new TextEncoder();
    const numbers = new DataView(new ArrayBuffer(24));
    let crc = 0xffffffff;
    for (let row = 0; row < ids.length; row += 1) {
      const words = [ids[row], cells.side[row], cells.order_type[row], cells.tif[row], cells.verdict[row], cells.decision_status[row]];
      for (const name of TERMS) words.push(/** @type {string | null} */ (cells[name]?.[row] ?? null));
      crc = crc32(encoder.encode(words.map((word) => word ?? "").join("\x1f")), crc);
      numbers.setFloat64(0, cells.quantity[row] ?? -1, true);
      numbers.setFloat64(8, cells.limit_price[row] ?? -1, true);
      numbers.setFloat64(16, cells.aux_price[row] ?? -1, true);
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
