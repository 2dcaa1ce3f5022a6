// Draws the cells that are seen, and nothing else: one by one where they can be told apart, as stacks where many partitions stand in
// one place, with signs where there is room. A frame costs what is on the screen, not the data.

import { ABSENT, MEASURED_STACK, STACK, UNMEASURED, common, isEmpty } from "./cells.js";
import { SIGNS, signStamp } from "./palette.js";
import { Raster } from "./raster.js";
import { bandAt } from "./view.js";

/** @typedef {import("./cells.js").Cells} Cells */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./palette.js").Palette} Palette */
/** @typedef {import("./view.js").View} View */

const SIGN_FROM = 13;
/** From this width on a tile has its name on it. */
export const NAMED_FROM = 64;
const HOLLOW_FROM = 6;
const MISSING = 1;
const SUCCESS = 3;
/** How much of a cell its sign takes up. */
const SIGN_SHARE = 0.75;

/** Stacks stand upright from this height on, so that neighbours make one picture; lower ones lie. */
const UPWARDS_FROM = 8;

/** The smallest share of a stack that is drawn of what is looked for, so that one failure among thousands is seen. In pixels. */
const LEAST_SHARE = 2;
/** As a part of the stack: a low one is not to look worse than it is. */
const LEAST_PART = 0.12;
/** What is looked for: what is missing, runs, or has failed. */
const LOOKED_FOR = [1, 5, 7];

/** Everything that a drawing needs. `ratio` is of the screen's pixels to those of style sheets. */
export class Brush {
  /** @param {CanvasRenderingContext2D} context @param {View} view @param {Palette} palette @param {number} ratio */
  constructor(context, view, palette, ratio) {
    this.context = context;
    this.view = view;
    this.palette = palette;
    this.ratio = ratio;
  }

  /** Where a column begins, in pixels of the screen. @param {number} column */
  pixelX(column) {
    return Math.round((this.view.gutter + this.view.columns.start(column)) * this.ratio);
  }

  /** @param {number} row */
  pixelY(row) {
    return Math.round((this.view.header + this.view.rows.start(row)) * this.ratio);
  }

  /** Where a column begins, in pixels of style sheets, on a whole pixel of the screen. @param {number} column */
  x(column) {
    return this.pixelX(column) / this.ratio;
  }

  /** @param {number} row */
  y(row) {
    return this.pixelY(row) / this.ratio;
  }

  /** The gap between two cells. @param {number} unit */
  gap(unit) {
    if (unit < 4) return 0;
    return unit < 15 ? 1 : 2;
  }
}

/** How wide a cell is, with the gap after it: of a tile only the part that bears its sign. @param {Brush} brush */
export function cellWidth({ view }) {
  const { unit } = view.columns;
  return view.layout.kind === "tiles" && unit >= NAMED_FROM ? view.rows.unit : unit;
}

/** Paint the cells of a region, over whatever was there. @param {Brush} brush @param {Cells} cells @param {Region} region */
export function drawCells(brush, cells, region) {
  const { context, view, palette, ratio } = brush;
  const seen = common(view.seen, region);
  if (isEmpty(seen)) return;
  const [top] = view.rowBand(seen.top);
  const [left] = view.columnBand(seen.left);
  const bottom = view.rowBand(seen.bottom - 1)[1];
  const right = view.columnBand(seen.right - 1)[1];
  const drawn = { top, bottom, left, right };
  const x = Math.max(brush.pixelX(left), Math.round(view.gutter * ratio));
  const y = Math.max(brush.pixelY(top), Math.round(view.header * ratio));
  const width = Math.min(brush.pixelX(right), Math.round((view.gutter + view.columns.length) * ratio)) - x;
  const height = Math.min(brush.pixelY(bottom), Math.round((view.header + view.rows.length) * ratio)) - y;
  if (width <= 0 || height <= 0) return;
  const raster = new Raster(context, x, y, width, height);
  const { columns, rows } = view;
  const places = [x, y, left, right, top, bottom, columns.unit, columns.offset, rows.unit, rows.offset, ratio];
  // what moves over the cells (a drag, the pointer) leaves them as they are
  if (!raster.isOf(`${cells.version} ${palette.version} ${places}`)) {
    raster.fill(palette.ground);
    if (view.isGathered) drawStacks(brush, raster, cells, drawn);
    else {
      drawEach(brush, raster, cells, drawn);
      drawSigns(brush, raster, cells, drawn);
    }
  }
  raster.put();
}

/** The pixels at which the columns of a region begin, and the last one ends. @param {Brush} brush @param {Region} region */
function edges(brush, { left, right }) {
  const found = new Int32Array(right - left + 1);
  for (let column = left; column <= right; column++) found[column - left] = brush.pixelX(column);
  return found;
}

/** Row by row: one line of pixels, and the others like it. @param {Brush} brush @param {Raster} raster @param {Cells} cells @param {Region} region */
function drawEach(brush, raster, cells, region) {
  const { view, palette, ratio } = brush;
  const { top, bottom, left, right } = region;
  const x = edges(brush, region);
  const down = Math.round(brush.gap(view.rows.unit) * ratio);
  const across = brush.gap(view.columns.unit);
  const beside = Math.round((view.columns.unit - cellWidth(brush) + across) * ratio); // of a tile, the part with the name
  const isHollow = Math.min(view.columns.unit, view.rows.unit) >= HOLLOW_FROM;
  const hollow = cells.levels ? UNMEASURED : MISSING;
  const edge = Math.round(ratio);
  for (let row = top; row < bottom; row++) {
    const codes = cells.shown[row];
    // the first line that is seen of a row that is scrolled to
    const y = Math.max(brush.pixelY(row), raster.top);
    const end = brush.pixelY(row + 1) - down;
    if (y >= end) continue;
    let start = left;
    while (start < right) {
      const code = codes[start];
      let next = start + 1;
      while (next < right && codes[next] === code) next += 1;
      const colour = isHollow && code === hollow ? palette.edge : palette.pixels[code];
      if (code !== ABSENT) raster.line(y, x[start - left], x[next - left], colour);
      start = next;
    }
    if (beside) for (let at = 1; at < x.length; at++) raster.line(y, x[at] - beside, x[at], palette.ground);
    raster.repeat(y, end);
    if (!isHollow) continue;
    // what was never executed is an empty box
    for (let column = left; column < right; column++) {
      if (codes[column] !== hollow) continue;
      const from = x[column - left];
      raster.rect(from + edge, brush.pixelY(row) + edge, x[column - left + 1] - beside - edge, end - edge, palette.ground);
    }
  }
}

/** @param {Brush} brush @param {Raster} raster @param {Cells} cells @param {Region} region */
function drawStacks(brush, raster, cells, { top, bottom, left, right }) {
  const { view, palette, ratio } = brush;
  const starts = view.layout.levels[view.level]?.starts;
  const order = cells.levels ? MEASURED_STACK : STACK;
  const noted = cells.levels ? [] : LOOKED_FOR;
  const counts = new Int32Array(palette.pixels.length);
  const across = Math.round(brush.gap(bandWidth(view)) * ratio);
  const down = Math.round(brush.gap(view.rows.unit * view.gathered) * ratio);
  const least = LEAST_SHARE * ratio;
  const upwards = view.rows.unit * view.gathered >= UPWARDS_FROM;
  for (let row = top; row < bottom; row += view.gathered) {
    const end = Math.min(row + view.gathered, view.rows.count);
    const y = brush.pixelY(row);
    const below = Math.max(brush.pixelY(end) - down, y + 1);
    for (let column = left, band = starts ? bandAt(starts, left) : left; column < right; band++) {
      const next = starts ? starts[band + 1] : column + 1;
      const x = brush.pixelX(column);
      const beside = Math.max(brush.pixelX(next) - across, x + 1);
      counts.fill(0);
      for (let inner = row; inner < end; inner++) {
        const codes = cells.shown[inner];
        for (let place = column; place < next; place++) counts[codes[place]] += 1;
      }
      counts[ABSENT] = 0;
      shares(order, noted, counts, upwards ? below - y : beside - x, least, (code, from, to) => {
        if (upwards) raster.rect(x, below - to, beside, below - from, palette.pixels[code]);
        else raster.rect(x + from, y, x + to, below, palette.pixels[code]);
      });
      column = next;
    }
  }
}

/** @param {View} view */
function bandWidth(view) {
  const starts = view.layout.levels[view.level]?.starts;
  return starts ? (view.columns.count * view.columns.unit) / (starts.length - 1) : view.columns.unit;
}

/**
 * The shares of the codes in a length; of those that are noted none is smaller than can be seen.
 * @param {readonly number[]} order @param {readonly number[]} noted @param {Int32Array} counts @param {number} length
 * @param {number} smallest @param {(code: number, from: number, to: number) => void} draw
 */
export function shares(order, noted, counts, length, smallest, draw) {
  let sum = 0;
  for (const code of order) sum += counts[code];
  const least = Math.min(smallest, length * LEAST_PART);
  const given = noted.filter((code) => counts[code] && counts[code] < sum);
  const rest = length - given.length * least;
  let from = 0;
  let seen = 0;
  let before = 0;
  for (const code of order) {
    if (!counts[code]) continue;
    seen += counts[code];
    if (given.includes(code)) before += least;
    const to = seen === sum ? length : Math.round((seen / sum) * rest + before);
    if (to > from) draw(code, from, to);
    from = to;
  }
}

/** @param {Brush} brush @param {Raster} raster @param {Cells} cells @param {Region} region */
function drawSigns(brush, raster, cells, region) {
  const { view, palette, ratio } = brush;
  const unit = Math.min(cellWidth(brush), view.rows.unit);
  if (unit < SIGN_FROM) return;
  const size = Math.round(unit * SIGN_SHARE * ratio);
  const across = Math.round(((cellWidth(brush) - brush.gap(unit)) * ratio - size) / 2);
  const down = Math.round(((view.rows.unit - brush.gap(view.rows.unit)) * ratio - size) / 2);
  for (let row = region.top; row < region.bottom; row++) {
    const states = cells.states[row];
    const codes = cells.shown[row];
    for (let column = region.left; column < region.right; column++) {
      const state = states[column];
      if (!SIGNS[state] || (cells.levels && (state === SUCCESS || codes[column] === UNMEASURED))) continue;
      raster.stamp(brush.pixelX(column) + across, brush.pixelY(row) + down, signStamp(palette, state, codes[column], size));
    }
  }
}
