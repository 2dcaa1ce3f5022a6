// [data-live]: a region that names the changes that matter to it. When one happens the page is fetched anew and the region patched.
//
//   execution  progress            any execution, any progress
//   execution:42  progress:42      of this one
//   tree:7                         of every execution below the root 7
//   flow:NAME  job:FLOW/JOB        of every execution of these (names escaped as in a URL)
//   schedule  schedule:FLOW/NAME   any schedule, this one (names escaped as in a URL)
//   code                           the code of the flows, or its files
//
// When other code is served (<html data-code>) the whole page is fetched anew, unless something was typed into it.
//
// [data-live-every] is looked at every so many seconds as well.

import { patch } from "./patch.js";
import { rest } from "./rest.js";

/** @typedef {import("./events.js").Change} Change */

const SHORTEST_PAUSE = 400;
const GATHERING = 120;
/** Milliseconds until what could not be shown is asked for again, the first time and at most. */
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 30_000;

/** @type {Set<string>} */
const stale = new Set();
let all = false;
let lastStart = -Infinity;
let lastTook = 0;
/** How long to wait for the next try after one that failed; 0 while none has. */
let retryAfter = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let planned;
let fetching = false;

/** @returns {NodeListOf<HTMLElement>} */
function regions() {
  return document.querySelectorAll("[data-live]");
}

/** @param {string} topic @param {Change} change */
function matters(topic, change) {
  const [kind, name = ""] = split(topic);
  if (kind === "execution" || kind === "progress") {
    return change.topic === kind && (!name || Number(name) === change.id);
  }
  if (kind === "code" || change.topic === "code") return kind === change.topic;
  if (kind === "schedule" || change.topic === "schedule") {
    const [flow, schedule] = name.split("/").map(decodeURIComponent);
    return kind === change.topic && (!name || (flow === change.flow && schedule === change.name));
  }
  if (change.topic !== "execution") return kind === "tree" && change.topic === "progress" && Number(name) === change.root_id;
  if (kind === "tree") return Number(name) === change.root_id;
  if (kind === "flow") return decodeURIComponent(name) === change.flow;
  if (kind === "job") {
    const [flow, job] = name.split("/").map(decodeURIComponent);
    return flow === change.flow && job === change.job;
  }
  return false;
}

/** @param {string} topic */
function split(topic) {
  const colon = topic.indexOf(":");
  return colon < 0 ? [topic] : [topic.slice(0, colon), topic.slice(colon + 1)];
}

/** @param {HTMLElement} region */
function topicsOf(region) {
  return (region.dataset.live ?? "").split(" ").filter(Boolean);
}

function plan() {
  if (planned !== undefined || fetching) return;
  // a slow page is asked for less often: it gets three times the rest that it took
  const rested = lastStart + lastTook + Math.max(SHORTEST_PAUSE, 3 * lastTook, retryAfter);
  const pause = Math.max(GATHERING, rested - performance.now());
  planned = setTimeout(() => {
    planned = undefined;
    void refresh();
  }, pause);
}

async function refresh() {
  if (document.hidden || (!all && !stale.size)) return;
  fetching = true;
  lastStart = performance.now();
  const wanted = all ? null : new Set(stale);
  stale.clear();
  all = false;
  const address = location.href;
  let isDone = false;
  try {
    const response = await fetch(source(), { cache: "no-store", headers: { Accept: "text/html", "Microflow-Live": "1" } });
    if (response.redirected && new URL(response.url).pathname === "/sign-in") location.reload();
    const text = response.headers.get("Content-Type")?.startsWith("text/html") ? await response.text() : "";
    lastTook = performance.now() - lastStart;
    await rest();
    isDone = response.status < 500;
    // filters have changed meanwhile: what came is of another list
    if (text && isDone && address === location.href) show(text, wanted);
  } catch {
    lastTook = performance.now() - lastStart;
  } finally {
    fetching = false;
    if (isDone) retryAfter = 0;
    else if (address === location.href) missed(wanted);
    if (all || stale.size) plan();
  }
}

/** What could not be fetched is still stale: no other change need ever tell of it again. @param {Set<string> | null} wanted */
function missed(wanted) {
  retryAfter = Math.min(Math.max(2 * retryAfter, FIRST_RETRY), LONGEST_RETRY);
  if (wanted) for (const id of wanted) stale.add(id);
  else all = true;
}

/** Where this page's own state is read: its address, unless it is the answer to a form. */
function source() {
  return document.querySelector('meta[name="live-source"]')?.getAttribute("content") ?? location.href;
}

/** @param {string} text @param {Set<string> | null} wanted */
function show(text, wanted) {
  const incoming = new DOMParser().parseFromString(text, "text/html");
  if (incoming.documentElement.dataset.code !== document.documentElement.dataset.code && !isTypedInto()) {
    if (source() === location.href) location.reload();
    else location.replace(source());
    return;
  }
  document.dispatchEvent(new CustomEvent("microflow:incoming", { detail: incoming }));
  for (const region of regions()) {
    const fresh = incoming.getElementById(region.id);
    if (fresh && (!wanted || wanted.has(region.id))) patch(region, fresh);
  }
  document.title = incoming.title;
  document.dispatchEvent(new CustomEvent("microflow:patched"));
}

/** Whether any field holds something else than what the page came with. */
function isTypedInto() {
  return [...document.querySelectorAll("input, textarea, select")].some((field) => {
    if (field instanceof HTMLSelectElement) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    if (field instanceof HTMLTextAreaElement) return field.value !== field.defaultValue;
    return field instanceof HTMLInputElement && (field.value !== field.defaultValue || field.checked !== field.defaultChecked);
  });
}

document.addEventListener("microflow:change", (event) => {
  const change = /** @type {CustomEvent<Change>} */ (event).detail;
  for (const region of regions()) {
    if (topicsOf(region).some((topic) => matters(topic, change))) stale.add(region.id);
  }
  if (stale.size) plan();
});

document.addEventListener("microflow:resync", () => {
  all = true;
  if (retryAfter) {
    // the server is back, or may be: the next try need not wait until its turn
    retryAfter = 0;
    clearTimeout(planned);
    planned = undefined;
  }
  plan();
});

let seconds = 0;
setInterval(() => {
  seconds += 1;
  if (document.hidden) return;
  for (const region of regions()) {
    const every = Number(region.dataset.liveEvery ?? 0);
    if (every && seconds % every === 0) stale.add(region.id);
  }
  if (stale.size) plan();
}, 1000);
