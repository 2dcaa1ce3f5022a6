// The one event stream of a browser: of the tabs that are seen, one has it open and hands on to the others what comes, since a browser
// has few connections to a server; when that tab goes, another one takes over. Where tabs can't agree on one, each has its own. When a
// stream breaks it is tried again, ever more slowly, and until then each page is told to look for itself now and then.

/**
 * @typedef {object} Change
 * @property {"execution" | "progress" | "log" | "schedule" | "concurrency" | "code"} topic
 * @property {string} [flow]
 * @property {string} [job]
 * @property {number} [id]
 * @property {number | null} [parent_id]
 * @property {number} [root_id]
 * @property {string} [status]
 * @property {string} [name]
 */

/** @typedef {"opening" | "live" | "off"} State */

/**
 * What tabs say to each other: what the one with the stream tells them all, and "who" of one that would know how things stand.
 * @typedef {{ name: "change", detail: Change } | { name: "resync" } | { name: "state", detail: State } | { name: "who" }} Message
 */

const TOPICS = ["execution", "progress", "log", "schedule", "concurrency", "code"];
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;
const PATIENCE = 2500;
const POLLING = 10_000;
const NAME = "microflow-events";

/** Other tabs; null where there is no way to agree with them, as on a page that came by plain HTTP from another machine. */
const others = navigator.locks && "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : null;

/** @type {EventSource | null} */
let source = null;
let delay = FIRST_DELAY;
/** @type {State} */
let state = "opening";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let reopening;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let doubting;
/** @type {ReturnType<typeof setInterval> | undefined} */
let polling;
/** What ends this tab's part in it; null while it has none. */
/** @type {AbortController | null} */
let leaving = null;
/** Whether it is the one with the stream. */
let leads = false;
/** Whether it has not heard yet, since it joined, that the stream is open. */
let isNew = false;

/** @param {string} name @param {unknown} [detail] */
function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(`microflow:${name}`, { detail }));
}

/** @param {State} now */
function become(now) {
  if (state === now) return;
  state = now;
  document.documentElement.dataset.live = now;
  clearInterval(polling);
  if (now === "off") polling = setInterval(() => tell("resync"), POLLING);
  tell("state", now);
}

/** Tell this page and the other tabs. @param {Message} message */
function spread(message) {
  hear(message);
  others?.postMessage(message);
}

/** @param {Message} message */
function hear(message) {
  if (message.name === "change") tell("change", message.detail);
  if (message.name === "resync") tell("resync");
  if (message.name === "state") become(message.detail);
}

/** Take part: with the stream, or with what the tab tells that has it. */
function join() {
  leave();
  if (!others) {
    open();
    return;
  }
  isNew = true;
  leaving = new AbortController();
  const { signal } = leaving;
  navigator.locks
    .request(NAME, { signal }, () => {
      if (signal.aborted) return undefined;
      leads = true;
      open();
      return new Promise((done) => signal.addEventListener("abort", done));
    })
    .catch((/** @type {unknown} */ reason) => {
      if (!signal.aborted) throw reason; // it left before its turn came
    });
  others.postMessage({ name: "who" });
}

function leave() {
  leaving?.abort();
  leaving = null;
  leads = false;
  clearTimeout(doubting);
  doubting = undefined;
  close();
}

others?.addEventListener("message", (event) => {
  /** @type {Message} */
  const message = event.data;
  if (!leaving) return;
  if (leads) {
    if (message.name === "who" && state !== "opening") others.postMessage({ name: "state", detail: state });
    return;
  }
  hear(message);
  if (isNew && message.name === "state" && message.detail === "live") {
    isNew = false;
    tell("resync"); // what changed before it joined
  }
});

function open() {
  close();
  source = new EventSource("/api/events");
  source.addEventListener("open", () => {
    clearTimeout(doubting);
    doubting = undefined;
    delay = FIRST_DELAY;
    spread({ name: "state", detail: "live" });
    spread({ name: "resync" }); // what changed while nobody listened
  });
  source.addEventListener("error", () => {
    close();
    doubting ??= setTimeout(() => spread({ name: "state", detail: "off" }), PATIENCE);
    reopening = setTimeout(open, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 2, LONGEST_DELAY);
  });
  source.addEventListener("resync", () => spread({ name: "resync" }));
  for (const topic of TOPICS) {
    source.addEventListener(topic, (event) => {
      /** @type {Change} */
      const change = { ...JSON.parse(event.data), topic };
      spread({ name: "change", detail: change });
    });
  }
}

function close() {
  clearTimeout(reopening);
  source?.close();
  source = null;
}

/** Whether this page has anything to keep up to date; the sign-in page has not, and may not listen either. */
const wanted = document.querySelector("live-mark, [data-live]") !== null;
if (wanted) {
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => {
    if (event.persisted) join();
  });
  if (!document.hidden) join();
}

// <live-mark>: says in a word whether the page is live; nothing before that is known, and nothing without scripts.
customElements.define(
  "live-mark",
  class extends HTMLElement {
    connectedCallback() {
      this.setAttribute("role", "status");
      document.addEventListener("microflow:state", () => this.show());
      this.show();
    }

    show() {
      this.dataset.state = state;
      this.hidden = state === "opening";
      this.textContent = state === "off" ? "Not live" : "Live";
      this.title =
        state === "off"
          ? `The server's stream of changes is gone; it is tried again, and the page looks every ${POLLING / 1000} seconds.`
          : "Changes are shown as they happen.";
    }
  },
);
