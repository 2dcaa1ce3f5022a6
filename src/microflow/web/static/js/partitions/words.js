// Partitions in words: what a place of the picture stands for, what became of it, as text and as elements.

import { STATES, told, total } from "./cells.js";
import { timeHint } from "./layout.js";
import { longLabels } from "./times.js";
import { bandAt } from "./view.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./cells.js").Region} Region */

/** Whether a region is one partition. @param {Picture} picture @param {Region} region */
export function isSingle({ layout }, region) {
  return region.bottom - region.top === 1 && region.right - region.left === 1 && layout.line(region.top, region.left) >= 0;
}

/** What a region is called: a partition's key, or the periods and categories that it gathers. @param {Picture} picture @param {Region} region */
export function nameOf(picture, region) {
  const { layout, axes } = picture;
  if (isSingle(picture, region)) {
    const time = layout.time(region.top, region.left);
    const cat = axes.cats?.[layout.line(region.top, region.left)];
    const hint = timeHint(axes, time);
    return [hint ? `${axes.times?.[time]} (${hint})` : axes.times?.[time], cat].filter(Boolean).join(" · ");
  }
  const rows = region.bottom - region.top;
  const parts = [];
  if (layout.levels.length) parts.push(periodName(picture, region));
  if (rows === layout.rows && rows > 1) parts.push(layout.kind === "calendar" ? "" : "all categories");
  else if (layout.labels[region.top]) {
    const last = layout.labels[region.bottom - 1];
    parts.push(rows > 1 ? `${layout.labels[region.top]} to ${last}` : last);
  }
  return parts.filter(Boolean).join(" · ");
}

/** @param {Picture} picture @param {Region} region */
function periodName({ layout, view, axes }, { left, right }) {
  if (right - left === layout.columns && layout.columns > 1) return "all times";
  for (const { period, starts } of layout.levels) {
    const band = bandAt(starts, left);
    if (starts[band] === left && starts[band + 1] === right) {
      const alone = layout.kind === "matrix" && right - left === 1;
      return alone ? (axes.times?.[left] ?? "") : longLabels(period, layout.dates[left])[0];
    }
  }
  const { period } = layout.levels[view.level];
  return `${longLabels(period, layout.dates[left])[0]} to ${longLabels(period, layout.dates[right - 1])[0]}`;
}

/** The state of a region in words: one state, or how many of each. @param {Picture} picture @param {Region} region */
export function stateOf(picture, region) {
  const counts = picture.cells.count(region);
  if (isSingle(picture, region)) return STATES[picture.cells.states[region.top][region.left]].replace("absent", "no such partition");
  const count = total(counts);
  return count ? `${count.toLocaleString("en")} partition${count === 1 ? "" : "s"}: ${told(counts)}` : "no partitions";
}

/** @param {string} name @param {string} [text] @param {string} [className] */
export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A state's mark and word, as everywhere; the mark is taken from the legend. @param {string} state @param {string} [word] */
export function statusElement(state, word = state) {
  const made = element("span", "", `status ${state}`);
  const mark = document.querySelector(`[data-state="${state}"] svg`)?.cloneNode(true);
  if (mark) made.append(mark);
  made.append(element("span", word, "word"));
  return made;
}

/** The counts of a region as marks with words, the worst first. @param {readonly number[]} counts */
export function countElements(counts) {
  const made = [];
  for (let state = STATES.length - 1; state > 0; state--) {
    if (counts[state]) made.push(statusElement(STATES[state], `${counts[state].toLocaleString("en")} ${STATES[state]}`));
  }
  return made;
}

const UNITS = /** @type {const} */ ([
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
]);

/** A round number of seconds in its largest unit: "30 days", "1 hour", "3 seconds", "10 ms". @param {number} seconds */
export function roundDuration(seconds) {
  for (const [length, name] of UNITS) {
    if (seconds < length) continue;
    const count = Math.round((seconds / length) * 10) / 10;
    return `${count} ${name}${count === 1 ? "" : "s"}`;
  }
  return `${Math.round(seconds * 1000)} ms`;
}
