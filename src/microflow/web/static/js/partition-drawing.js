// Draws the cells that are seen, and nothing else: runs of one colour as one rectangle, the gaps between cells over them as lines,
// stacks where many partitions stand in one place, signs where there is room. So a frame costs what is on the screen, not the data.

import { ABSENT, MEASURED_STACK, STACK, UNMEASURED, common, isEmpty } from "./partition-cells.js";
import { DOT, SIGNS } from "./partition-palette.js";
import { bandAt } from "./partition-view.js";

/** @typedef {import("./partition-cells.js").Cells} Cells */
/** @typedef {import("./partition-cells.js").Region} Region */
/** @typedef {import("./partition-palette.js").Palette} Palette */
/** @typedef {import("./partition-view.js").View} View */

const SIGN_FROM = 13;
/** From this width on a tile has its name on it. */
export const NAMED_FROM = 64;
const HOLLOW_FROM = 6;
const MISSING = 1;
const SUCCESS = 3;
const RUNNING = 5;

/** Stacks stand upright from this height on, so that neighbours make one picture; lower ones lie. */
const UPWARDS_FROM = 8;

/** The smallest share of a stack that is drawn, so that one failure among thousands is seen. In pixels. */
const LEAST_SHARE = 2;

/** Everything that a drawing needs. `ratio` is of the screen's pixels to those of style sheets. */
export class Brush {
  /** @param {CanvasRenderingContext2D} context @param {View} view @param {Palette} palette @param {number} ratio */
  constructor(context, view, palette, ratio) {
    this.context = context;
    this.view = view;
    this.palette = palette;
    this.ratio = ratio;
  }

  /** Where a column begins on the canvas, on a whole pixel of the screen. @param {number} column */
  x(column) {
    return Math.round((this.view.gutter + this.view.columns.start(column)) * this.ratio) / this.ratio;
  }

  /** @param {number} row */
  y(row) {
    return Math.round((this.view.header + this.view.rows.start(row)) * this.ratio) / this.ratio;
  }

  /** The gap between two cells. @param {number} unit */
  gap(unit) {
    if (unit < 4) return 0;
    return unit < 15 ? 1 : 2;
  }
}

/** Paint the cells of a region, over whatever was there. @param {Brush} brush @param {Cells} cells @param {Region} region */
export function drawCells(brush, cells, region) {
  const { context, view, palette } = brush;
  const seen = common(view.seen, region);
  if (isEmpty(seen)) return;
  const [top] = view.rowBand(seen.top);
  const [left] = view.columnBand(seen.left);
  const bottom = view.rowBand(seen.bottom - 1)[1];
  const right = view.columnBand(seen.right - 1)[1];
  const drawn = { top, bottom, left, right };
  context.fillStyle = palette.ink.surface;
  context.fillRect(brush.x(left), brush.y(top), brush.x(right) - brush.x(left), brush.y(bottom) - brush.y(top));
  if (view.isGathered) drawStacks(brush, cells, drawn);
  else {
    drawRuns(brush, cells, drawn);
    drawHollows(brush, cells, drawn);
    drawSigns(brush, cells, drawn);
  }
}

/** How wide a cell is, without the gap after it: of a tile only the part that bears its sign. @param {Brush} brush */
export function cellWidth({ view }) {
  const { unit } = view.columns;
  return view.layout.kind === "tiles" && unit >= NAMED_FROM ? view.rows.unit : unit;
}

/** @param {Brush} brush @param {Cells} cells @param {Region} region */
function drawRuns(brush, cells, { top, bottom, left, right }) {
  const { context, view, palette } = brush;
  const { shown } = cells;
  /** By code, so that a colour is set once. @type {number[][]} */
  const runs = palette.fills.map(() => []);
  for (let row = top; row < bottom; row++) {
    const codes = shown[row];
    let start = left;
    while (start < right) {
      const code = codes[start];
      let end = start + 1;
      while (end < right && codes[end] === code) end += 1;
      if (code !== ABSENT) runs[code].push(row, start, end);
      start = end;
    }
  }
  runs.forEach((places, code) => {
    context.fillStyle = palette.fills[code];
    for (let at = 0; at < places.length; at += 3) {
      const x = brush.x(places[at + 1]);
      const y = brush.y(places[at]);
      context.fillRect(x, y, brush.x(places[at + 2]) - x, brush.y(places[at] + 1) - y);
    }
  });
  drawGaps(brush, { top, bottom, left, right });
}

/** @param {Brush} brush @param {Region} region */
function drawGaps(brush, { top, bottom, left, right }) {
  const { context, view, palette } = brush;
  const across = brush.gap(view.columns.unit);
  const down = brush.gap(view.rows.unit);
  const beside = view.columns.unit - cellWidth(brush) + across; // of a tile, the part with the name
  const [x, y, width, height] = [brush.x(left), brush.y(top), brush.x(right) - brush.x(left), brush.y(bottom) - brush.y(top)];
  context.fillStyle = palette.ink.surface;
  if (beside) for (let column = left; column < right; column++) context.fillRect(brush.x(column + 1) - beside, y, beside, height);
  if (down) for (let row = top; row < bottom; row++) context.fillRect(x, brush.y(row + 1) - down, width, down);
}

/** What was never executed is an empty box, where a box can be seen. @param {Brush} brush @param {Cells} cells @param {Region} region */
function drawHollows(brush, cells, region) {
  const { context, view, palette } = brush;
  if (Math.min(view.columns.unit, view.rows.unit) < HOLLOW_FROM) return;
  const hollow = cells.levels ? UNMEASURED : MISSING;
  const down = view.rows.unit - brush.gap(view.rows.unit);
  const narrower = view.columns.unit - cellWidth(brush) + brush.gap(view.columns.unit);
  context.fillStyle = palette.ink.surface;
  for (let row = region.top; row < region.bottom; row++) {
    const codes = cells.shown[row];
    for (let column = region.left; column < region.right; column++) {
      if (codes[column] !== hollow) continue;
      const x = brush.x(column);
      context.fillRect(x + 1, brush.y(row) + 1, brush.x(column + 1) - x - narrower - 2, down - 2);
    }
  }
}

/** @param {Brush} brush @param {Cells} cells @param {Region} region */
function drawSigns(brush, cells, region) {
  const { context, view, palette } = brush;
  const size = Math.min(cellWidth(brush), view.rows.unit);
  if (size < SIGN_FROM) return;
  const scale = Math.min(size / 20, 1.15);
  const across = (cellWidth(brush) - brush.gap(size)) / 2 - 8 * scale;
  const down = (view.rows.unit - brush.gap(view.rows.unit)) / 2 - 8 * scale;
  const { ratio } = brush;
  context.save();
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = 1.9;
  context.strokeStyle = context.fillStyle = palette.ink.surface;
  for (let row = region.top; row < region.bottom; row++) {
    for (let column = region.left; column < region.right; column++) {
      const state = cells.states[row][column];
      const sign = SIGNS[state];
      if (!sign || (cells.levels && state === SUCCESS)) continue;
      context.setTransform(scale * ratio, 0, 0, scale * ratio, (brush.x(column) + across) * ratio, (brush.y(row) + down) * ratio);
      context.stroke(sign);
      if (state === RUNNING) context.fill(DOT);
    }
  }
  context.restore();
}

/** @param {Brush} brush @param {Cells} cells @param {Region} region */
function drawStacks(brush, cells, { top, bottom, left, right }) {
  const { context, view, palette } = brush;
  const starts = view.layout.levels[view.level]?.starts;
  const order = cells.levels ? MEASURED_STACK : STACK;
  const counts = new Int32Array(palette.fills.length);
  const across = brush.gap(bandWidth(view));
  const down = brush.gap(view.rows.unit * view.gathered);
  for (let row = top; row < bottom; row += view.gathered) {
    const end = Math.min(row + view.gathered, view.rows.count);
    const y = brush.y(row);
    const height = brush.y(end) - y - down;
    for (let column = left, band = starts ? bandAt(starts, left) : left; column < right; band++) {
      const next = starts ? starts[band + 1] : column + 1;
      const x = brush.x(column);
      counts.fill(0);
      for (let inner = row; inner < end; inner++) {
        const codes = cells.shown[inner];
        for (let place = column; place < next; place++) counts[codes[place]] += 1;
      }
      counts[ABSENT] = 0;
      drawStack(context, palette, order, counts, x, y, Math.max(brush.x(next) - x - across, 1), height);
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
 * One place with the shares of each code; small ones are made large enough to be seen.
 * @param {CanvasRenderingContext2D} context @param {Palette} palette @param {readonly number[]} order @param {Int32Array} counts
 * @param {number} x @param {number} y @param {number} width @param {number} height
 */
function drawStack(context, palette, order, counts, x, y, width, height) {
  let sum = 0;
  let kinds = 0;
  for (const code of order) {
    sum += counts[code];
    if (counts[code]) kinds += 1;
  }
  if (!sum) return;
  const upwards = height >= UPWARDS_FROM || height >= width;
  const length = upwards ? height : width;
  const least = kinds > 1 ? Math.min(LEAST_SHARE, length / kinds) : 0;
  const rest = length - kinds * least;
  let from = 0;
  let seen = 0;
  let number = 0;
  for (const code of order) {
    if (!counts[code]) continue;
    seen += counts[code];
    number += 1;
    const to = number === kinds ? length : Math.round((seen / sum) * rest + number * least);
    context.fillStyle = palette.fills[code];
    if (upwards) context.fillRect(x, y + height - to, width, to - from);
    else context.fillRect(x + from, y, to - from, height);
    from = to;
  }
}
