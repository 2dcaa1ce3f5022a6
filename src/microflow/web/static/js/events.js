// The one event stream of a tab. It is open while the tab is seen, so that ten tabs do not use up the browser's connections; when it
// breaks it is tried again, ever more slowly, and until then the page is told to look for itself now and then.

/**
 * @typedef {object} Change
 * @property {"execution" | "progress" | "log" | "schedule" | "concurrency"} topic
 * @property {string} [flow]
 * @property {string} [job]
 * @property {number} [id]
 * @property {number | null} [parent_id]
 * @property {number} [root_id]
 * @property {string} [status]
 * @property {string} [name]
 */

/** @typedef {"opening" | "live" | "off"} State */

const TOPICS = ["execution", "progress", "log", "schedule", "concurrency"];
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;
const PATIENCE = 2500;
const POLLING = 10_000;

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

function open() {
  close();
  source = new EventSource("/api/events");
  source.addEventListener("open", () => {
    clearTimeout(doubting);
    doubting = undefined;
    delay = FIRST_DELAY;
    become("live");
    tell("resync"); // what changed while nobody listened
  });
  source.addEventListener("error", () => {
    close();
    doubting ??= setTimeout(() => become("off"), PATIENCE);
    reopening = setTimeout(open, delay * (0.75 + Math.random() / 2));
    delay = Math.min(delay * 2, LONGEST_DELAY);
  });
  source.addEventListener("resync", () => tell("resync"));
  for (const topic of TOPICS) {
    source.addEventListener(topic, (event) => {
      /** @type {Change} */
      const change = { ...JSON.parse(event.data), topic };
      tell("change", change);
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
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  if (!document.hidden) open();
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
