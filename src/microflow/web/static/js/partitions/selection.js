// Which partitions are selected: a mark for each place of the picture, and the few rectangles that they amount to, for the address
// of the page and for the server.

import { ABSENT, blank, whole } from "./cells.js";

/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./layout.js").Axes} Axes */
/** @typedef {import("./cells.js").Cells} Cells */
/** @typedef {import("./cells.js").Region} Region */

/**
 * A rectangle of partitions: the times from `first` to `last`, both included, of some lines in order.
 * @typedef {object} Area
 * @property {number} first
 * @property {number} last
 * @property {number[]} lines
 */

export class Selection {
  /** @type {Uint8Array[]} by row */
  marks;
  #count = 0;
  /** @type {Uint8Array[]} what was selected when a stretch of it began to be drawn */
  #before = [];

  /** @param {Cells} cells */
  constructor(cells) {
    this.cells = cells;
    this.marks = blank(cells.layout);
  }

  get count() {
    return this.#count;
  }

  /** @param {number} row @param {number} column */
  has(row, column) {
    return this.marks[row]?.[column] === 1;
  }

  clear() {
    for (const row of this.marks) row.fill(0);
    this.#count = 0;
  }

  /** Add a region, or take it away. @param {Region} region @param {boolean} [on] */
  set(region, on = true) {
    this.#each(region, (states, marks, column) => {
      if (states[column] !== ABSENT) marks[column] = on ? 1 : 0;
    });
  }

  /** Select exactly what has one of these states. @param {readonly number[]} states */
  setWhere(states) {
    const wanted = new Set(states);
    this.#each(whole(this.cells.layout), (found, marks, column) => {
      marks[column] = wanted.has(found[column]) ? 1 : 0;
    });
  }

  /** A region begins to be drawn with the pointer or the keyboard; `draw` may be called again and again. */
  begin() {
    this.#before = this.marks.map((row) => row.slice());
  }

  /** @param {Region} region @param {"only" | "add" | "take"} how */
  draw(region, how) {
    this.marks.forEach((row, index) => (how === "only" ? row.fill(0) : row.set(this.#before[index])));
    this.set(region, how !== "take");
  }

  /** @param {Region} region @param {(states: Uint8Array, marks: Uint8Array, column: number) => void} act */
  #each(region, act) {
    for (let row = region.top; row < region.bottom; row++) {
      for (let column = region.left; column < region.right; column++) act(this.cells.states[row], this.marks[row], column);
    }
    this.#count = 0;
    for (const row of this.marks) for (const mark of row) this.#count += mark;
  }

  /** The state counts of what is selected. */
  counts() {
    return this.cells.count(undefined, this.marks);
  }

  /**
   * The rectangles that the selection amounts to. Places without a partition don't interrupt one.
   * @param {number} lines how many there are @param {number} times
   * @returns {Area[]}
   */
  areas(lines, times) {
    /** @type {Map<number, Area>} */
    const found = new Map();
    for (let line = 0; line < lines; line++) {
      this.#runs(line, times, (first, last) => {
        const key = first * times + last;
        const area = found.get(key);
        if (area) area.lines.push(line);
        else found.set(key, { first, last, lines: [line] });
      });
    }
    return [...found.values()];
  }

  /** @param {number} line @param {number} times @param {(first: number, last: number) => void} add */
  #runs(line, times, add) {
    const { layout, states } = this.cells;
    let first = -1;
    let last = -1;
    for (let time = 0; time < times; time++) {
      const row = layout.row(line, time);
      const column = layout.column(line, time);
      if (this.marks[row][column]) {
        if (first < 0) first = time;
        last = time;
      } else if (first >= 0 && states[row][column] !== ABSENT) {
        add(first, last);
        first = -1;
      }
    }
    if (first >= 0) add(first, last);
  }

  /** Areas of an axis that began elsewhere, as far as they are on this one. @param {readonly Area[]} areas @param {number} shift @param {number} times */
  addShifted(areas, shift, times) {
    for (const { first, last, lines } of areas) {
      const area = { first: Math.max(first + shift, 0), last: Math.min(last + shift, times - 1), lines };
      if (area.first <= area.last) this.addArea(area);
    }
  }

  /** @param {Area} area */
  addArea(area) {
    const { layout } = this.cells;
    for (const line of area.lines) {
      for (let time = area.first; time <= area.last; time++) {
        const row = layout.row(line, time);
        const column = layout.column(line, time);
        if (this.cells.states[row][column] === ABSENT || this.marks[row][column]) continue;
        this.marks[row][column] = 1;
        this.#count += 1;
      }
    }
  }
}

/** A name that holds none of the characters that keep the parts of an area apart. @param {string} name */
function escaped(name) {
  return name.replace(/[%;.]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** @param {readonly number[]} lines */
function stretches(lines) {
  /** @type {[number, number][]} */
  const found = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last && last[1] === line - 1) last[1] = line;
    else found.push([line, line]);
  }
  return found;
}

/**
 * An area as text: "2026-01-01..2026-01-31;books..toys". All times, or all categories, are left out.
 * @param {Area} area @param {Axes} axes
 */
export function areaText(area, axes) {
  const { times, cats } = axes;
  let text = "";
  if (times && area.last - area.first + 1 < times.length) {
    text = area.first === area.last ? times[area.first] : `${times[area.first]}..${times[area.last]}`;
  }
  if (cats && area.lines.length < cats.length) {
    for (const [first, last] of stretches(area.lines)) {
      text += first === last ? `;${escaped(cats[first])}` : `;${escaped(cats[first])}..${escaped(cats[last])}`;
    }
  }
  return text || "all";
}

/**
 * The area of a text; null if it names something that is not on the axes (any more).
 * @param {string} text @param {Axes} axes
 * @returns {Area | null}
 */
export function readArea(text, axes) {
  const [range, ...names] = text === "all" ? [""] : text.split(";");
  const lines = names.length ? [] : [...(axes.cats ?? [""]).keys()];
  for (const name of names) {
    const ends = place(name, (part) => axes.cats?.indexOf(decoded(part)) ?? -1);
    if (!ends) return null;
    for (let line = ends[0]; line <= ends[1]; line++) lines.push(line);
  }
  const count = axes.times?.length ?? 1;
  const ends = range ? place(range, (part) => axes.times?.indexOf(part) ?? -1) : [0, count - 1];
  return ends && { first: ends[0], last: ends[1], lines };
}

/** @param {string} text @param {(part: string) => number} find @returns {[number, number] | null} */
function place(text, find) {
  const [one = "", other = one] = text.split("..");
  const first = find(one);
  const last = find(other);
  return first < 0 || last < first ? null : [first, last];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an address that was cut off: it names nothing, and is passed over
  }
}
