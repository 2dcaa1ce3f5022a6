// The state of the view in the address of the page, so that it can be kept, sent to somebody, and gone back to.
//
//   from, to   the range          colour   duration or age          unit   pixels of a partition, once the reader has zoomed
//   at         the partition in the upper left corner          focus   the partition with the focus
//   select     an area of the selection, as often as needed; or "missing", "failed": all that are

/** @typedef {import("./layout.js").Axes} Axes */
/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./view.js").Place} Place */

const PAUSE = 250;
/** More rectangles than these would make an address that nobody can send. */
const MOST_AREAS = 40;

/** @typedef {"from" | "to" | "colour" | "unit" | "at" | "focus"} Name */

/** @param {Name} name */
export function readAddress(name) {
  return new URLSearchParams(location.search).get(name) ?? "";
}

/** What is selected, as texts. */
export function readSelection() {
  return new URLSearchParams(location.search).getAll("select").slice(0, MOST_AREAS);
}

/** @type {Map<string, () => string | string[]>} */
const pending = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let planned;

/** Change a part of the address, soon; "" takes it away. @param {Name} name @param {string} value */
export function writeAddress(name, value) {
  pending.set(name, () => value);
  planned ??= setTimeout(write, PAUSE);
}

/** Write what is selected, soon. @param {() => readonly string[]} make the texts, when it is time */
export function writeSelection(make) {
  pending.set("select", () => {
    const texts = make();
    return texts.length > MOST_AREAS ? [] : [...texts];
  });
  planned ??= setTimeout(write, PAUSE);
}

function write() {
  planned = undefined;
  const address = new URL(location.href);
  for (const [name, make] of pending) {
    const value = make();
    address.searchParams.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one) address.searchParams.append(name, one);
  }
  pending.clear();
  // as they are written by people; both are allowed in a query
  address.search = address.search.replaceAll("%3B", ";").replaceAll("%3A", ":");
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

/** A partition as "2026-11-22;toys". @param {Axes} axes @param {Layout} layout @param {Place | null} place */
export function placeText(axes, layout, place) {
  if (!place) return "";
  const line = layout.line(place.row, place.column);
  if (line < 0) return "";
  return `${axes.times?.[layout.time(place.row, place.column)] ?? ""};${axes.cats?.[line] ?? ""}`;
}

/** @param {string} text @param {Axes} axes @param {Layout} layout @returns {Place | null} */
export function readPlace(text, axes, layout) {
  const cut = text.indexOf(";");
  if (cut < 0) return null;
  const time = axes.times ? axes.times.indexOf(text.slice(0, cut)) : 0;
  const line = axes.cats ? axes.cats.indexOf(text.slice(cut + 1)) : 0;
  return time < 0 || line < 0 ? null : { row: layout.row(line, time), column: layout.column(line, time) };
}
