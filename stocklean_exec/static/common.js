// @ts-check
// Shared by the views in a notebook: creating elements, and messages to and from the kernel. It precedes each view's
// own file in one module. All text goes into the page as text nodes.

// Milliseconds without an answer after which the view says that the kernel is busy or gone. A choice: a large plan is
// checked again in well under a second, and a person waits a few seconds before clicking again.
const ANSWER_TIMEOUT = 4000;
const NUMBERS = /[\d.]+/gu;

// -- types: tests/frontend checks them --------------------------------------------------------------------------

/**
 * The part of anywidget's model that the views use.
 * @typedef {object} Model
 * @property {(name: "msg:custom", handler: (message: any) => void) => void} on
 * @property {(name: "msg:custom", handler: (message: any) => void) => void} off
 * @property {(message: object) => void} send
 */

/**
 * In each answer of the kernel: the view that it is for, and the number of the message that it answers.
 * @typedef {{ view: string, number: number }} Answer
 */

/**
 * Answer to a message that was refused: the reason for a person, and a code for programs.
 * @typedef {Answer & { kind: "refused", reason: string, code: string }} Refused
 */

/**
 * Callbacks of a request: it succeeded, it was refused (or not sent at all), or the answer is overdue.
 * @template Message
 * @typedef {{ done?: (answer: Message) => void, refused?: () => void, late?: () => void }} Then
 */

/** @typedef {"LIVE" | "PAPER" | "MOCK"} Badge */
/** @typedef {"text" | "side" | "shares" | "choice" | "price" | "money" | "weight" | "verdict" | "number" | "count"} Kind */
/** @typedef {string | number | boolean | null} Cell */

/**
 * Attributes of an element: true sets one without a value, false and null set none.
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
 * Format a value for display: weights are fractions and displayed in per cent.
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

// -- a view connected to the kernel -----------------------------------------------------------------------------

/**
 * @template {{ hello: object }} Requests messages of the view: the body by kind
 * @template {object} Message messages of the kernel
 */
class KernelView {
  /**
   * @param {Model} model
   * @param {string} purpose why one would run the cell again, such as "to review"
   * @param {string} label of the view, for screen readers
   */
  constructor(model, purpose, label) {
    this.model = model;
    this.purpose = purpose;
    this.id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    viewCount += 1;
    this.prefix = `slx${viewCount}`; // of ids in the page
    this.number = 0;
    /** @type {Map<number, { timer: number, overdue: boolean } & Then<Message>>} by message number */
    this.waiting = new Map();
    /** @type {{ disconnect(): void }[]} */
    this.observers = [];
    this.onMessage = (/** @type {Message} */ message) => this.receive(message);
    this.alert = element("div", { class: "slx-alert", role: "alert" });
    this.status = element("div", { class: "slx-status", role: "status", "aria-live": "polite" });
    this.root = element("div", { class: "slx", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": label });
  }

  // Once the page is built: listen, and request a snapshot.
  begin() {
    this.model.on("msg:custom", this.onMessage);
    this.showStatus("Waiting for the kernel …");
    this.request("hello", {});
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
    for (const observer of this.observers) observer.disconnect();
  }

  /** @param {Message} _message */
  receive(_message) {
    throw new Error("each view handles its own messages");
  }

  /**
   * Put the root into the page, with the theme of its surroundings.
   * @param {HTMLElement} el
   */
  attach(el) {
    // Keys belong to the view while it has the focus, and not to the notebook around it.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    el.append(this.root);
    const theme = new MutationObserver(() => this.applyTheme());
    theme.observe(document.body, { attributes: true });
    this.observers.push(theme);
    this.applyTheme();
  }

  applyTheme() {
    this.root.dataset.theme = isDark(this.root.parentElement ?? this.root) ? "dark" : "light";
  }

  /**
   * While an answer is overdue nothing is sent, except the request for a new snapshot.
   * @param {keyof Requests} kind
   */
  canSend(kind) {
    return kind === "hello" || ![...this.waiting.values()].some((wait) => wait.overdue);
  }

  /**
   * @template {keyof Requests & string} Name
   * @param {Name} kind
   * @param {Requests[Name]} body
   * @param {Then<Message>} then
   */
  request(kind, body, then = {}) {
    if (!this.canSend(kind)) {
      this.showAlert("Not sent: still waiting for the kernel. If it was restarted, run the cell again.");
      then.refused?.();
      return;
    }
    this.number += 1;
    const { number } = this;
    const timer = setTimeout(() => this.late(number, kind), ANSWER_TIMEOUT);
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
    this.showAlert(
      kind === "hello"
        ? "No answer from the kernel: it is busy, or this view belongs to an earlier kernel and is inactive. " +
            `Run the cell again ${this.purpose}.`
        : "No answer from the kernel: it is busy, was restarted or has stopped. The outcome of this action is unknown. " +
            "If the kernel was restarted, run the cell again.",
    );
  }

  /**
   * Mark a request as answered, and return its callbacks if there are any.
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
      this.showAlert("");
    }
    return wait;
  }

  /** @param {string} text */
  showStatus(text) {
    this.status.textContent = text;
  }

  /** @param {string} text */
  showAlert(text) {
    this.alert.textContent = text;
  }
}
