// What is seen of the picture: how large a partition is, what is scrolled to, which columns and rows are gathered into one, and what
// is under a point. All lengths are CSS pixels; nothing here touches the page.

/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./times.js").Level} Level */
/** @typedef {import("./cells.js").Region} Region */

/** @typedef {"cell" | "row" | "column" | "corner" | "none"} Zone */

/** Below these sizes partitions are gathered: one for itself, and a stack that shows proportions. */
const LEAST_CELL = 3;
const LEAST_STACK = 5;
const LEAST_ROW = 4;
/** How high rows that are gathered are together. */
const GATHERED_ROWS = 9;
/** From this size on units are whole pixels, so that all cells are alike. */
const WHOLE_FROM = 3;

const LARGEST = { matrix: 40, calendar: 32, tiles: 280 };
/** How large partitions are where there is room for more. */
const COMFORTABLE = { matrix: 32, calendar: 22, tiles: 150 };
/** Columns that are years have to bear their names. */
const COMFORTABLE_YEAR = 40;
const COMFORTABLE_ROW = { matrix: 26, calendar: 16, tiles: 30 };

/** What a label needs of each period at least, so that it can stand in the lower line. */
const LABEL_WIDTHS = { hour: 20, day: 20, week: 24, month: 28, quarter: 24, year: 34, decade: 42 };
/** Periods that tell where one is: what stands in the upper line. */
const AROUND = new Set(["day", "month", "year"]);

/** How high a line of labels is. */
export const LINE = 18;
/** What is left free below the last row and after the last column. */
export const MARGIN = 6;

/** One direction of the picture: `count` places of `unit` pixels, scrolled by `offset`, of which `length` pixels are seen. */
export class Scale {
  unit = 1;
  offset = 0;
  length = 0;
  count = 0;

  get size() {
    return this.count * this.unit + MARGIN;
  }

  /** Where a place begins, in pixels from the edge of what is seen. @param {number} index */
  start(index) {
    return index * this.unit - this.offset;
  }

  /** The place at a pixel, the nearest if there is none. @param {number} pixel */
  at(pixel) {
    return Math.min(Math.max(Math.floor((pixel + this.offset) / this.unit), 0), this.count - 1);
  }

  /** The places that are seen; the end is not part of them. @returns {[number, number]} */
  get seen() {
    const first = Math.max(Math.floor(this.offset / this.unit), 0);
    return [first, Math.min(Math.ceil((this.offset + this.length) / this.unit), this.count)];
  }

  /** Change the unit so that what is at a pixel stays there. @param {number} unit @param {number} pixel */
  zoom(unit, pixel) {
    const place = (pixel + this.offset) / this.unit;
    this.unit = unit;
    this.scrollTo(place * unit - pixel);
  }

  /** @param {number} offset */
  scrollTo(offset) {
    this.offset = Math.min(Math.max(offset, 0), Math.max(this.size - this.length, 0));
  }

  /** Scroll as little as needed for some places to be seen. @param {number} first @param {number} end */
  reveal(first, end) {
    if (end * this.unit > this.offset + this.length) this.scrollTo(end * this.unit - this.length);
    if (first * this.unit < this.offset) this.scrollTo(first * this.unit);
  }
}

export class View {
  columns = new Scale();
  rows = new Scale();
  /** How wide the labels of the rows are, and how high those of the columns. */
  gutter = 0;
  header = 0;
  /** Which of the layout's levels is drawn. */
  level = 0;
  /** How many rows are drawn as one. */
  gathered = 1;
  /** Which levels the lower and the upper line of labels show; -1 for none. */
  lower = -1;
  upper = -1;

  /** @param {Layout} layout */
  constructor(layout) {
    this.layout = layout;
    this.columns.count = layout.columns;
    this.rows.count = layout.rows;
  }

  /** The room for labels and cells. @param {number} width @param {number} height @param {number} gutter */
  resize(width, height, gutter) {
    this.gutter = gutter;
    this.columns.length = Math.max(width - gutter, 1);
    this.rows.length = Math.max(height - this.header, 1);
  }

  /** The unit at which all columns are seen at once, if they can be told apart so. */
  get fitting() {
    const fit = (this.columns.length - MARGIN) / this.layout.columns;
    const isYears = this.layout.levels[0]?.period === "year";
    return whole(Math.min(fit, isYears ? COMFORTABLE_YEAR : COMFORTABLE[this.layout.kind]));
  }

  /** @param {number} unit */
  allowed(unit) {
    return whole(Math.min(Math.max(unit, this.fitting), LARGEST[this.layout.kind]));
  }

  /**
   * Show columns in a unit, and rows in one that goes with it; what is at a point stays there.
   * @param {number} unit @param {number} room that rows may take before they are scrolled
   * @param {number} [x] from the first column seen @param {number} [y]
   */
  zoom(unit, room, x = 0, y = 0) {
    this.columns.zoom(unit, x);
    this.rows.zoom(this.#rowUnit(unit, room), y);
    this.gathered = this.rows.unit < LEAST_ROW ? Math.ceil(GATHERED_ROWS / this.rows.unit) : 1;
    this.#chooseLevels();
  }

  /** Rows grow with the columns, from all of them seen at once to squares. @param {number} unit @param {number} room */
  #rowUnit(unit, room) {
    const { kind, rows } = this.layout;
    if (kind === "tiles") return Math.min(unit, COMFORTABLE_ROW.tiles);
    const comfortable = Math.min(COMFORTABLE_ROW[kind], whole(room / rows));
    return whole(Math.min(Math.max(comfortable, unit), (comfortable * unit) / Math.min(this.fitting, unit)));
  }

  #chooseLevels() {
    const { levels } = this.layout;
    const drawn = levels.findIndex((level, index) => this.#width(level) >= (index === 0 ? LEAST_CELL : LEAST_STACK));
    this.level = Math.max(drawn < 0 ? levels.length - 1 : drawn, 0);
    const labelled = levels.findIndex((level) => this.#width(level) >= LABEL_WIDTHS[level.period]);
    this.lower = labelled < 0 ? levels.length - 1 : labelled;
    this.upper = levels.findIndex((level, index) => index > this.lower && AROUND.has(level.period));
    this.header = levels.length ? (this.upper < 0 ? LINE : 2 * LINE) + 4 : MARGIN;
  }

  /** The usual width of a level's periods: the first and the last may be cut. @param {Level} level */
  #width({ starts }) {
    const count = starts.length - 1;
    if (count <= 2) return (this.columns.count * this.columns.unit) / Math.max(count, 1);
    return ((starts[count - 1] - starts[1]) / (count - 2)) * this.columns.unit;
  }

  /** Whether more than one partition may stand in one place. */
  get isGathered() {
    return this.level > 0 || this.gathered > 1;
  }

  /** The columns that are drawn as one. @param {number} column @param {number} [level] @returns {[number, number]} */
  columnBand(column, level = this.level) {
    const starts = this.layout.levels[level]?.starts;
    if (!starts || level === 0) return [column, column + 1];
    const band = bandAt(starts, column);
    return [starts[band], starts[band + 1]];
  }

  /** @param {number} row @returns {[number, number]} */
  rowBand(row) {
    const first = row - (row % this.gathered);
    return [first, Math.min(first + this.gathered, this.rows.count)];
  }

  /** What is drawn as one with a place. @param {number} row @param {number} column @returns {Region} */
  bandOf(row, column) {
    const [top, bottom] = this.rowBand(row);
    const [left, right] = this.columnBand(column);
    return { top, bottom, left, right };
  }

  /** The smallest region of whole bands that holds two places. @param {Place} one @param {Place} other @returns {Region} */
  span(one, other) {
    const first = this.bandOf(Math.min(one.row, other.row), Math.min(one.column, other.column));
    const last = this.bandOf(Math.max(one.row, other.row), Math.max(one.column, other.column));
    return { top: first.top, left: first.left, bottom: last.bottom, right: last.right };
  }

  /** What is seen. @returns {Region} */
  get seen() {
    const [left, right] = this.columns.seen;
    const [top, bottom] = this.rows.seen;
    return { top, bottom, left, right };
  }

  /**
   * What is at a point of the picture, labels counted.
   * @param {number} x @param {number} y
   * @returns {{ zone: Zone, region: Region, row: number, column: number }}
   */
  hit(x, y) {
    const row = this.rows.at(y - this.header);
    const column = this.columns.at(x - this.gutter);
    const band = this.bandOf(row, column);
    const all = { top: 0, bottom: this.rows.count, left: 0, right: this.columns.count };
    const beyond = x >= this.gutter + this.columns.start(this.columns.count) || y >= this.header + this.rows.start(this.rows.count);
    if (beyond) return { zone: "none", region: band, row, column };
    if (x < this.gutter && y < this.header) return { zone: "corner", region: all, row, column };
    if (x < this.gutter) return { zone: "row", region: { ...all, top: band.top, bottom: band.bottom }, row, column };
    if (y < this.header) {
      const level = this.upper >= 0 && y < LINE + 2 ? this.upper : this.lower;
      const [left, right] = this.columnBand(column, Math.max(level, this.level));
      return { zone: "column", region: { ...all, left, right }, row, column };
    }
    return { zone: "cell", region: band, row, column };
  }

  /** Scroll so that a region is seen. @param {Region} region */
  reveal(region) {
    this.columns.reveal(region.left, region.right);
    this.rows.reveal(region.top, region.bottom);
  }
}

/** @typedef {{ row: number, column: number }} Place */

/** @param {number} unit */
function whole(unit) {
  return unit >= WHOLE_FROM ? Math.floor(unit) : unit;
}

/** Which period a column is in. @param {Int32Array} starts @param {number} column */
export function bandAt(starts, column) {
  let low = 0;
  let high = starts.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= column) low = middle;
    else high = middle - 1;
  }
  return low;
}
