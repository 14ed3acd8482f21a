// What the views in a notebook have in common: making elements, and talking with the kernel. It stands before each
// view's own file in one module. All text goes into the page as text nodes.

const PATIENCE = 4000; // milliseconds without an answer after which the view says so

// -- small helpers ----------------------------------------------------------------------------------------------

const numberFormats = new Map();

function format(value, least, most) {
  const key = `${least}/${most}`;
  if (!numberFormats.has(key)) {
    const options = { minimumFractionDigits: least, maximumFractionDigits: most };
    numberFormats.set(key, new Intl.NumberFormat("en-US", options));
  }
  return numberFormats.get(key).format(value);
}

function show(value, kind) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (kind === "weight") return `${format(value * 100, 2, 2)} %`;
  if (kind === "money") return format(value, 2, 2);
  if (kind === "price") return format(value, 2, 6);
  return format(value, 0, 6);
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children); // strings become text nodes
  return made;
}

function isDark(el) {
  const theme = document.body.dataset.jpThemeLight;
  if (theme !== undefined) return theme === "false";
  const colour = getComputedStyle(el).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
  const bare = colour.length < 3 || colour[3] === 0;
  if (bare) return window.matchMedia("(prefers-color-scheme: dark)").matches;
  return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 128;
}

let viewCount = 0;

// -- a view that talks with the kernel --------------------------------------------------------------------------

class KernelView {
  constructor(model, purpose) {
    this.model = model;
    this.purpose = purpose; // what the cell is run again for
    this.id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this.prefix = `slx${(viewCount += 1)}`; // ids in the page
    this.number = 0;
    this.waiting = new Map(); // number -> what to do with the answer
    this.observers = [];
  }

  // Once the page is built: listen, and ask for everything.
  begin() {
    this.hear = (message) => this.receive(message);
    this.model.on("msg:custom", this.hear);
    this.say("Asking the kernel …");
    this.ask("hello", {});
  }

  close() {
    this.model.off("msg:custom", this.hear);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
    this.observers.forEach((observer) => observer.disconnect());
  }

  // Put the root into the page, in the colours of what is around it.
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

  // Nothing is sent after what the kernel has not answered in time, but for what is to come into step again.
  mayAsk(kind) {
    return kind === "hello" || ![...this.waiting.values()].some((wait) => wait.overdue);
  }

  ask(kind, body, then = {}) {
    if (!this.mayAsk(kind)) {
      this.warn("Still waiting for the kernel; this was not sent. If it was restarted, run the cell again.");
      then.refused?.();
      return;
    }
    const number = (this.number += 1);
    const timer = setTimeout(() => this.late(number, kind), PATIENCE);
    this.waiting.set(number, { timer, overdue: false, ...then });
    this.root.classList.add("slx-busy");
    this.model.send({ kind, view: this.id, number, ...body });
  }

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

  // Take an answer in; what waited for it, if anything did.
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

  say(text) {
    this.status.textContent = text;
  }

  warn(text) {
    this.alert.textContent = text;
  }
}
