// What became of the partitions, as small numbers in the picture's own order: one Uint8Array for each row.

/** @typedef {import("./layout.js").Layout} Layout */

/** The states by their number; 0 is a place without a partition. The order is that of trouble. */
export const STATES = ["absent", "missing", "skipped", "success", "queued", "running", "cancelled", "error"];

export const ABSENT = 0;

/** The order of a stack, from below; what went wrong is on top. */
export const STACK = [3, 2, 1, 4, 5, 6, 7];

/** The states that a run may be limited to, as the API names them. @type {Record<string, number[]>} */
export const ONLY = {
  all: [1, 2, 3, 4, 5, 6, 7],
  missing: [1, 2],
  failed: [6, 7],
  missing_or_failed: [1, 2, 6, 7],
};

/** How many levels a measure has; level 1 is the lowest. */
export const LEVELS = 12;

/** The number of a partition that was never measured. */
export const UNMEASURED = LEVELS + 1;

/** The order of a stack of measured partitions, from below. */
export const MEASURED_STACK = Array.from({ length: UNMEASURED }, (_, index) => ((index + LEVELS) % UNMEASURED) + 1);

const STATE_OF = new Uint8Array(128);
for (const [code, letter] of [" ", ".", "k", "s", "q", "r", "c", "e"].entries()) STATE_OF[letter.charCodeAt(0)] = code;

/** The levels of letters: "a" is 1. */
const LEVEL_OF = new Uint8Array(128).fill(UNMEASURED);
for (let level = 1; level <= LEVELS; level++) LEVEL_OF[96 + level] = level;

/**
 * A stretch of rows and columns; the ends are not part of it.
 * @typedef {object} Region
 * @property {number} top
 * @property {number} bottom
 * @property {number} left
 * @property {number} right
 */

/** @param {Region} one @param {Region} other @returns {Region} */
export function common(one, other) {
  return {
    top: Math.max(one.top, other.top),
    bottom: Math.min(one.bottom, other.bottom),
    left: Math.max(one.left, other.left),
    right: Math.min(one.right, other.right),
  };
}

/** @param {Region} region */
export function isEmpty(region) {
  return region.top >= region.bottom || region.left >= region.right;
}

let versions = 0;

export class Cells {
  /** Another one whenever something else is to be drawn. */
  version = ++versions;
  /** @type {Uint8Array[]} by row */
  states;
  /** How long, or how long ago: levels by row; null while the picture shows states. @type {Uint8Array[] | null} */
  levels = null;

  /** @param {Layout} layout */
  constructor(layout) {
    this.layout = layout;
    this.states = blank(layout);
  }

  /** What the picture shows. */
  get shown() {
    return this.levels ?? this.states;
  }

  /**
   * Take in the lines of the server: for each category one letter for each time, beginning with the time `first`.
   * @param {readonly string[]} lines @param {number} [first]
   * @returns {Region} what has changed
   */
  fill(lines, first = 0) {
    return this.#put(lines, first, this.states, STATE_OF, null);
  }

  /** @param {readonly string[]} lines @param {number} [first] @returns {Region} what has changed */
  measure(lines, first = 0) {
    this.levels ??= blank(this.layout);
    return this.#put(lines, first, this.levels, LEVEL_OF, this.states);
  }

  /** The lowest and the highest level that there is; none is [1, 1]. @returns {[number, number]} */
  get levelRange() {
    let low = LEVELS;
    let high = 1;
    for (const row of this.levels ?? []) {
      for (let column = 0; column < row.length; column++) {
        const level = row[column];
        if (level === ABSENT || level === UNMEASURED) continue;
        if (level < low) low = level;
        if (level > high) high = level;
      }
    }
    return [Math.min(low, high), high];
  }

  /** Show states again. */
  forgetMeasure() {
    this.levels = null;
    this.version = ++versions;
  }

  /**
   * Two hundred thousand letters take a millisecond this way, so that a picture can be kept up to date.
   * @param {readonly string[]} lines @param {number} first @param {Uint8Array[]} rows
   * @param {Uint8Array} codes by letter @param {Uint8Array[] | null} states where there are any, an absent one stays absent
   */
  #put(lines, first, rows, codes, states) {
    const { layout } = this;
    const isMatrix = layout.kind === "matrix";
    const changed = { top: layout.rows, bottom: 0, left: layout.columns, right: 0 };
    for (let line = 0; line < lines.length; line++) {
      const text = lines[line];
      for (let index = 0; index < text.length; index++) {
        const row = isMatrix ? line : layout.row(line, first + index);
        const column = isMatrix ? first + index : layout.column(line, first + index);
        const code = states && states[row][column] === ABSENT ? ABSENT : codes[text.charCodeAt(index)];
        if (rows[row][column] === code) continue;
        rows[row][column] = code;
        if (row < changed.top) changed.top = row;
        if (row >= changed.bottom) changed.bottom = row + 1;
        if (column < changed.left) changed.left = column;
        if (column >= changed.right) changed.right = column + 1;
      }
    }
    if (!isEmpty(changed)) this.version = ++versions;
    return changed;
  }

  /**
   * How many partitions of a region have each state; `within` counts only those that it marks.
   * @param {Region} [region] @param {readonly Uint8Array[]} [within]
   */
  count(region = whole(this.layout), within) {
    const counts = Array(STATES.length).fill(0);
    for (let row = region.top; row < region.bottom; row++) {
      const states = this.states[row];
      const marks = within?.[row];
      for (let column = region.left; column < region.right; column++) {
        if (!marks || marks[column]) counts[states[column]] += 1;
      }
    }
    counts[ABSENT] = 0;
    return counts;
  }
}

/** @param {Layout} layout @returns {Region} */
export function whole(layout) {
  return { top: 0, bottom: layout.rows, left: 0, right: layout.columns };
}

/** @param {Layout} layout */
export function blank(layout) {
  return Array.from({ length: layout.rows }, () => new Uint8Array(layout.columns));
}

/** @param {readonly number[]} counts by state @param {readonly number[]} [states] */
export function total(counts, states = ONLY.all) {
  return states.reduce((sum, state) => sum + counts[state], 0);
}

/** "12 error, 3 missing", the worst first. @param {readonly number[]} counts by state */
export function told(counts) {
  const parts = [];
  for (let state = STATES.length - 1; state > ABSENT; state--) {
    if (counts[state]) parts.push(`${counts[state].toLocaleString("en")} ${STATES[state]}`);
  }
  return parts.join(", ");
}
