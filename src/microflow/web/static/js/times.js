// time[data-time] and data[data-elapsed]: the server writes UTC and durations as they were; here they become the reader's own
// time, and go on counting.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** How far this machine's clock is ahead of the server's, in milliseconds. */
const skew = (() => {
  const told = document.querySelector('meta[name="server-now"]')?.getAttribute("content");
  const ahead = told ? Date.now() - Date.parse(told) : 0;
  // a page takes a moment to arrive; only a clock that is set wrong differs by more
  return Math.abs(ahead) > 5000 ? ahead : 0;
})();

/** This moment by the server's clock, in milliseconds. */
function now() {
  return Date.now() - skew;
}

/**
 * Seconds in two units at most, as web/formats.py writes them.
 * @param {number} seconds
 */
export function duration(seconds) {
  const value = Math.max(seconds, 0);
  if (value < 0.0005) return value === 0 ? "0 ms" : "< 1 ms";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.995) return `${value.toFixed(2)} s`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  const two = (/** @type {number} */ number) => String(Math.floor(number)).padStart(2, "0");
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${two(whole % MINUTE)} s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${two((whole % HOUR) / MINUTE)} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

/** How long until something happens. @param {number} seconds */
function until(seconds) {
  if (seconds <= 0) return "now";
  if (seconds < MINUTE) return "in less than a minute";
  return seconds < HOUR ? `in ${Math.ceil(seconds / MINUTE)} min` : `in ${duration(seconds)}`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayMonth = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayMonthYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/**
 * @param {number} when milliseconds
 * @param {string} style
 */
function written(when, style) {
  const moment = new Date(when);
  if (style === "clock") return clock.format(moment);
  if (style === "until") return until((when - now()) / 1000);
  const today = new Date(now());
  const sameDay = moment.toDateString() === today.toDateString();
  const date = moment.getFullYear() === today.getFullYear() ? dayMonth.format(moment) : dayMonthYear.format(moment);
  if (style === "full") return sameDay ? clockSeconds.format(moment) : `${date}, ${clockSeconds.format(moment)}`;
  const ago = (now() - when) / 1000;
  if (ago >= 0 && ago < 10) return "just now";
  if (ago >= 0 && ago < MINUTE) return `${Math.floor(ago / 10) * 10} s ago`;
  if (ago >= 0 && ago < HOUR) return `${Math.floor(ago / MINUTE)} min ago`;
  if (ago < 0 && ago > -MINUTE) return "in less than a minute";
  if (ago < 0 && ago > -HOUR) return `in ${Math.ceil(-ago / MINUTE)} min`;
  return sameDay ? clock.format(moment) : `${date}, ${clock.format(moment)}`;
}

/**
 * A point in time as an element that is kept up to date, as the server writes them.
 * @param {string} iso @param {string} [style]
 */
export function timeElement(iso, style = "near") {
  const element = document.createElement("time");
  element.dateTime = iso;
  element.dataset.time = style;
  const when = Date.parse(iso);
  element.textContent = written(when, style);
  element.title = whole.format(new Date(when));
  return element;
}

/** @param {Element} element @param {string} text */
function write(element, text) {
  // text that stays as it is keeps its selection
  if (element.textContent !== text) element.textContent = text;
}

/** @param {ParentNode} root */
function writeTimes(root) {
  for (const element of root.querySelectorAll("time[data-time]")) {
    const when = Date.parse(element.getAttribute("datetime") ?? "");
    if (Number.isNaN(when)) continue;
    write(element, written(when, element.getAttribute("data-time") ?? "near"));
    element.setAttribute("title", whole.format(new Date(when)));
  }
}

/** @param {ParentNode} root */
function writeElapsed(root) {
  for (const element of root.querySelectorAll("data[data-elapsed]")) {
    const start = Date.parse(element.getAttribute("data-elapsed") ?? "");
    if (Number.isNaN(start)) continue;
    const seconds = (now() - start) / 1000;
    write(element, seconds < 59.95 ? `${Math.max(seconds, 0).toFixed(1)} s` : duration(seconds));
  }
}

writeTimes(document);
writeElapsed(document);

setInterval(() => {
  if (!document.hidden) writeElapsed(document);
}, 500);
setInterval(() => {
  if (!document.hidden) writeTimes(document);
}, 10_000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  writeTimes(document);
  writeElapsed(document);
});

// what live.js is about to show gets the reader's time first, so that nothing flickers
document.addEventListener("microflow:incoming", (event) => {
  const root = /** @type {CustomEvent<ParentNode>} */ (event).detail;
  writeTimes(root);
  writeElapsed(root);
});
