// @ts-check
// What the views in a notebook have in common: making elements, and talking with the kernel. It stands before each
// view's own file in one module. All text goes into the page as text nodes.

const PATIENCE = 4000; // milliseconds without an answer after which the view says so
const NUMBERS = /[\d.]+/gu;

// -- types: tests/frontend checks them --------------------------------------------------------------------------

/**
 * The part of anywidget's model that a view uses.
 * @typedef {object} Model
 * @property {(name: "msg:custom", hear: (message: any) => void) => void} on
 * @property {(name: "msg:custom", hear: (message: any) => void) => void} off
 * @property {(message: object) => void} send
 */

/**
 * What the kernel puts into each answer: the view that asked, and the number of its message.
 * @typedef {{ view: string, number: number }} Answer
 */

/**
 * Answer to a message that changed nothing, and why: for a person, and for code.
 * @typedef {Answer & { kind: "refused", reason: string, code: string }} Refused
 */

/**
 * What to do with an answer: it came, it was a refusal (or nothing was sent at all), or it is late.
 * @template Message
 * @typedef {{ done?: (answer: Message) => void, refused?: () => void, late?: () => void }} Then
 */

/** @typedef {"LIVE" | "PAPER" | "MOCK"} Badge */
/** @typedef {"text" | "side" | "shares" | "choice" | "price" | "money" | "weight" | "verdict" | "number" | "count"} Kind */
/** @typedef {string | number | boolean | null} Cell */

/**
 * Attributes of an element: true is one without a value, false and null are none.
 * @typedef {{ [name: string]: string | boolean | null | (() => void), [event: `on${string}`]: () => void }} Attributes
 */

// -- small helpers ----------------------------------------------------------------------------------------------

/** @type {Map<string, Intl.NumberFormat>} */
const numberFormats = new Map();

/** @param {number} value @param {number} least decimals @param {number} most decimals */
function format(value, least, most) {
  const key = `${least}/${most}`;
  let known = numberFormats.get(key);
  if (!known) {
    known = new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
    numberFormats.set(key, known);
  }
  return known.format(value);
}

/**
 * What a person reads: weights are fractions and shown in per cent.
 * @param {Cell | undefined} value
 * @param {Kind} [kind]
 */
function show(value, kind) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (kind === "weight") return `${format(value * 100, 2, 2)} %`;
  if (kind === "money") return format(value, 2, 2);
  if (kind === "price") return format(value, 2, 6);
  return format(value, 0, 6);
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = String(value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children); // strings become text nodes
  return made;
}

/** @param {Element} el */
function isDark(el) {
  const theme = document.body.dataset.jpThemeLight;
  if (theme !== undefined) return theme === "false";
  const [red = 0, green = 0, blue, opacity] = getComputedStyle(el).backgroundColor.match(NUMBERS)?.map(Number) ?? [];
  if (blue === undefined || opacity === 0) return matchMedia("(prefers-color-scheme: dark)").matches;
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

let viewCount = 0;

// -- a view that talks with the kernel --------------------------------------------------------------------------

/**
 * @template {{ hello: object }} Requests what a view sends: the body of a message by its kind
 * @template {object} Message what the kernel sends
 */
class KernelView {
  /**
   * @param {Model} model
   * @param {string} purpose what the cell is run again for
   * @param {string} label of the view, for screen readers
   */
  constructor(model, purpose, label) {
    this.model = model;
    this.purpose = purpose;
    this.id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    viewCount += 1;
    this.prefix = `slx${viewCount}`; // ids in the page
    this.number = 0;
    /** @type {Map<number, { timer: number, overdue: boolean } & Then<Message>>} number -> what to do with the answer */
    this.waiting = new Map();
    /** @type {{ disconnect(): void }[]} */
    this.observers = [];
    this.hear = (/** @type {Message} */ message) => this.receive(message);
    this.alert = element("div", { class: "slx-alert", role: "alert" });
    this.status = element("div", { class: "slx-status", role: "status", "aria-live": "polite" });
    this.root = element("div", { class: "slx", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": label });
  }

  // Once the page is built: listen, and ask for everything.
  begin() {
    this.model.on("msg:custom", this.hear);
    this.say("Asking the kernel …");
    this.ask("hello", {});
  }

  close() {
    this.model.off("msg:custom", this.hear);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
    for (const observer of this.observers) observer.disconnect();
  }

  /** @param {Message} _message */
  receive(_message) {
    throw new Error("each view takes in its own messages");
  }

  /**
   * Put the root into the page, in the colours of what is around it.
   * @param {HTMLElement} el
   */
  settleIn(el) {
    // Keys belong to the view while it has the focus, and not to the notebook around it.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    el.append(this.root);
    const theme = new MutationObserver(() => this.dress());
    theme.observe(document.body, { attributes: true });
    this.observers.push(theme);
    this.dress();
  }

  dress() {
    this.root.dataset.theme = isDark(this.root.parentElement ?? this.root) ? "dark" : "light";
  }

  /**
   * Nothing is sent after what the kernel has not answered in time, but for what is to come into step again.
   * @param {keyof Requests} kind
   */
  mayAsk(kind) {
    return kind === "hello" || ![...this.waiting.values()].some((wait) => wait.overdue);
  }

  /**
   * @template {keyof Requests & string} Name
   * @param {Name} kind
   * @param {Requests[Name]} body
   * @param {Then<Message>} then
   */
  ask(kind, body, then = {}) {
    if (!this.mayAsk(kind)) {
      this.warn("Still waiting for the kernel; this was not sent. If it was restarted, run the cell again.");
      then.refused?.();
      return;
    }
    this.number += 1;
    const { number } = this;
    const timer = setTimeout(() => this.late(number, kind), PATIENCE);
    this.waiting.set(number, { timer, overdue: false, ...then });
    this.root.classList.add("slx-busy");
    this.model.send({ kind, view: this.id, number, ...body });
  }

  /** @param {number} number @param {keyof Requests} kind */
  late(number, kind) {
    const wait = this.waiting.get(number);
    if (!wait) return;
    wait.overdue = true;
    wait.late?.();
    this.root.classList.add("slx-lost");
    this.warn(
      kind === "hello"
        ? "No kernel answers. This view is a leftover of an earlier kernel, or the kernel is busy: nothing can be " +
            `done here. Run the cell again ${this.purpose}.`
        : "The kernel does not answer: it is busy, was restarted, or is gone. Nothing is known to have changed. " +
            "If it was restarted, run the cell again.",
    );
  }

  /**
   * Take an answer in; what waited for it, if anything did.
   * @param {number} number
   */
  answered(number) {
    const wait = this.waiting.get(number);
    if (wait) {
      clearTimeout(wait.timer);
      this.waiting.delete(number);
    }
    this.root.classList.toggle("slx-busy", this.waiting.size > 0);
    if (this.root.classList.contains("slx-lost") && ![...this.waiting.values()].some((each) => each.overdue)) {
      this.root.classList.remove("slx-lost");
      this.warn("");
    }
    return wait;
  }

  /** @param {string} text */
  say(text) {
    this.status.textContent = text;
  }

  /** @param {string} text */
  warn(text) {
    this.alert.textContent = text;
  }
}
