// Draws what stands around the cells: the names of the rows at the left, two lines of periods on top, names on tiles; and what is
// drawn over the cells: the selection, what the pointer is on, what has the focus.

import { ABSENT } from "./cells.js";
import { NAMED_FROM, cellWidth } from "./drawing.js";
import { longLabels, shortLabel } from "./times.js";
import { LINE, bandAt } from "./view.js";

/** @typedef {import("./cells.js").Cells} Cells */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./drawing.js").Brush} Brush */
/** @typedef {import("./selection.js").Selection} Selection */

const SIZE = 11;
const PADDING = 6;
const OUTLINE_FROM = 5;
/** Thinner rows share a label. */
const LABEL_HEIGHT = 13;

/** @param {Brush} brush @param {boolean} [strong] */
function setFont(brush, strong = false) {
  brush.context.font = `${strong ? 600 : 400} ${SIZE}px ${brush.palette.font}`;
  brush.context.textBaseline = "middle";
}

/**
 * A text cut to a width, with "…" for what is left out.
 * @param {CanvasRenderingContext2D} context @param {string} text @param {number} width
 */
function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low).trimEnd()}…` : "";
}

/** How wide the labels of rows are, at most `most`. @param {Brush} brush @param {readonly string[]} labels @param {number} most */
export function gutterOf(brush, labels, most) {
  setFont(brush, true); // as wide as the one that is pointed at
  let widest = 0;
  for (const label of labels) widest = Math.max(widest, brush.context.measureText(label).width);
  return widest ? Math.min(Math.ceil(widest) + 2 * PADDING + 2, most) : PADDING;
}

/**
 * The labels on top and at the left; what is pointed at stands out.
 * @param {Brush} brush @param {number} width @param {number} height @param {Region | null} pointed
 */
export function drawLabels(brush, width, height, pointed) {
  const { context, view, palette } = brush;
  context.fillStyle = palette.ink.surface;
  // two pixels of the edge are left to the outline of what is selected
  context.fillRect(0, 0, width, view.header - 2);
  context.fillRect(0, 0, view.gutter - 2, height);
  if (view.gutter > PADDING) drawRowLabels(brush, pointed);
  if (!view.layout.levels.length) return;
  context.save();
  context.beginPath();
  context.rect(view.gutter, 0, width - view.gutter, height);
  context.clip();
  context.fillStyle = palette.ink.line;
  if (view.upper >= 0) drawPeriods(brush, view.upper, LINE / 2 + 1, true, null);
  drawPeriods(brush, view.lower, view.header - LINE / 2 - 3, false, pointed);
  context.restore();
}

/** @param {Brush} brush @param {Region | null} pointed */
function drawRowLabels(brush, pointed) {
  const { context, view, palette } = brush;
  const [first, end] = view.rows.seen;
  const { labels } = view.layout;
  // where rows are too thin for all names, every so many has its own
  const step = Math.max(Math.ceil(LABEL_HEIGHT / view.rows.unit), 1);
  context.save();
  context.beginPath();
  context.rect(0, view.header, view.gutter, view.rows.length);
  context.clip();
  context.textAlign = "right";
  for (let row = first - (first % step); row < end; row += step) {
    const isPointed = pointed !== null && pointed.top < row + step && pointed.bottom > row && pointed.bottom - pointed.top < view.rows.count;
    const shown = isPointed && step > 1 ? Math.max(pointed.top, row) : row;
    setFont(brush, isPointed);
    context.fillStyle = isPointed ? palette.ink.text : palette.ink["text-soft"];
    const below = brush.y(Math.min(row + step, view.rows.count));
    if (below - brush.y(row) < LABEL_HEIGHT - 4) break;
    const middle = (brush.y(row) + below - (step > 1 ? 0 : brush.gap(view.rows.unit))) / 2;
    context.fillText(cut(context, labels[shown] ?? "", view.gutter - 2 * PADDING), view.gutter - PADDING, middle);
  }
  context.restore();
}

/**
 * One line of periods; the first that is seen keeps its label in sight.
 * @param {Brush} brush @param {number} level @param {number} y @param {boolean} long @param {Region | null} pointed
 */
function drawPeriods(brush, level, y, long, pointed) {
  const { context, view, palette } = brush;
  const { period, starts } = view.layout.levels[level];
  const [first, end] = view.columns.seen;
  context.textAlign = "left";
  for (let band = bandAt(starts, first); band < starts.length - 1 && starts[band] < end; band++) {
    const left = brush.x(starts[band]);
    const right = brush.x(starts[band + 1]);
    if (long || right - left > 40) {
      context.fillStyle = palette.ink.line;
      context.fillRect(left, long ? 2 : y - LINE / 2 + 1, 1, long ? view.header - 4 : LINE);
    }
    const isPointed =
      pointed !== null && pointed.left < starts[band + 1] && pointed.right > starts[band] && pointed.right - pointed.left < view.columns.count;
    setFont(brush, long || isPointed);
    const from = Math.max(left, view.gutter);
    const column = view.layout.dates[starts[band]];
    const candidates = long || view.upper < 0 ? [...longLabels(period, column), shortLabel(period, column)] : [shortLabel(period, column)];
    const room = right - from - (long ? PADDING + 2 : 1);
    const label = candidates.find((text) => context.measureText(text).width <= room);
    if (label === undefined) continue;
    context.fillStyle = isPointed || long ? palette.ink.text : palette.ink["text-quiet"];
    const centred = !long && right - left <= 40;
    const start = centred ? Math.max(from, left + (right - left - brush.gap(right - left) - context.measureText(label).width) / 2) : from + (long || right - left > 40 ? 5 : 0);
    context.fillText(label, start, y);
  }
}

/** The names of categories beside the signs of their tiles. @param {Brush} brush @param {Cells} cells @param {readonly string[]} names */
export function drawTileNames(brush, cells, names) {
  const { context, view, palette } = brush;
  if (view.columns.unit < NAMED_FROM) return;
  const { top, bottom, left, right } = view.seen;
  setFont(brush);
  context.textAlign = "left";
  context.fillStyle = palette.ink.text;
  const from = cellWidth(brush) + 4;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      if (cells.states[row][column] === ABSENT) continue;
      const name = names[view.layout.line(row, column)];
      context.fillText(cut(context, name, view.columns.unit - from - 8), brush.x(column) + from, (brush.y(row) + brush.y(row + 1) - 2) / 2);
    }
  }
}

/** What is not selected steps back; what is has an outline where there is room. @param {Brush} brush @param {Selection} selection */
export function drawSelection(brush, selection) {
  if (!selection.count) return;
  const { context, view, palette } = brush;
  const { top, bottom, left, right } = view.seen;
  context.save();
  context.globalAlpha = 0.62;
  context.fillStyle = palette.ink.surface;
  for (let row = top; row < bottom; row++) {
    const marks = selection.marks[row];
    let start = left;
    while (start < right) {
      let end = start + 1;
      while (end < right && marks[end] === marks[start]) end += 1;
      if (!marks[start]) {
        context.fillRect(brush.x(start), brush.y(row), brush.x(end) - brush.x(start), brush.y(row + 1) - brush.y(row));
      }
      start = end;
    }
  }
  context.restore();
  if (Math.min(view.columns.unit, view.rows.unit) >= OUTLINE_FROM || !view.isGathered) drawOutline(brush, selection);
}

/** @param {Brush} brush @param {Selection} selection */
function drawOutline(brush, selection) {
  const { context, view, palette } = brush;
  const { top, bottom, left, right } = view.seen;
  const across = brush.gap(view.columns.unit);
  const down = brush.gap(view.rows.unit);
  const width = 2;
  context.fillStyle = palette.ink.text;
  for (let row = top; row < bottom; row++) {
    const y = brush.y(row) - down;
    const height = brush.y(row + 1) - y;
    for (let column = left; column < right; column++) {
      if (!selection.has(row, column)) continue;
      const x = brush.x(column) - across;
      const length = brush.x(column + 1) - x;
      if (!selection.has(row, column - 1)) context.fillRect(x, y, width, height);
      if (!selection.has(row, column + 1)) context.fillRect(x + length - width, y, width, height);
      if (!selection.has(row - 1, column)) context.fillRect(x, y, length, width);
      if (!selection.has(row + 1, column)) context.fillRect(x, y + height - width, length, width);
    }
  }
}

/**
 * A ring around a region.
 * @param {Brush} brush @param {Region} region @param {string} colour @param {number} width
 */
export function drawRing(brush, region, colour, width) {
  const { context, view } = brush;
  const gapX = brush.gap(view.columns.unit * (region.right - region.left));
  const gapY = brush.gap(view.rows.unit * (region.bottom - region.top));
  const x = brush.x(region.left) - width;
  const y = brush.y(region.top) - width;
  const across = brush.x(region.right) - gapX + width - x;
  const down = brush.y(region.bottom) - gapY + width - y;
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(x + width / 2, y + width / 2, across - width, down - width);
}
