// The canvas: keeps what is shown, draws it when something has changed and at most once a frame, and scrolls with the element
// around it, so that wheels, fingers and scroll bars do what they do everywhere.

import { Cells, common, isEmpty, whole } from "./cells.js";
import { Brush, drawCells } from "./drawing.js";
import { drawLabels, drawRing, drawSelection, drawTileNames, gutterOf } from "./labels.js";
import { layoutOf } from "./layout.js";
import { readPalette } from "./palette.js";
import { Selection } from "./selection.js";
import { View } from "./view.js";

/** @typedef {import("./layout.js").Axes} Axes */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./view.js").Place} Place */

/** How high rows and labels may be together before the rows are scrolled. */
const MOST_HEIGHT = 560;
const MOST_GUTTER = 176;
const ROOM = 460;
const ZOOM_STEP = 1.5;

/**
 * What the picture tells of: the selection has changed, the focus has moved, what is seen has changed.
 * @typedef {"selection" | "focus" | "view"} News
 */

export class Picture {
  /** @type {Axes} */
  axes = { frequency: null, times: null, cats: null };
  layout = layoutOf(this.axes, 1);
  cells = new Cells(this.layout);
  selection = new Selection(this.cells);
  view = new View(this.layout);
  /** What the keyboard is at. @type {Place | null} */
  focus = null;
  /** Where a selection that is extended begins. @type {Place | null} */
  anchor = null;
  /** What the pointer is on. @type {Region | null} */
  pointed = null;
  /** Whether the reader has zoomed; until then everything is made to fit. */
  isZoomed = false;
  /** How many frames have been drawn, and how long the last one took in milliseconds. */
  frames = 0;
  took = 0;

  #ratio = 1;
  /** @type {import("./palette.js").Palette | null} */
  #palette = null;
  /** @type {Region | null} */
  #dirty = null;
  #planned = false;
  /** @type {Set<(news: News) => void>} */
  #listeners = new Set();
  #width = 0;

  /** @param {HTMLElement} scroller with a room in it, and the canvas in that */
  constructor(scroller) {
    this.scroller = scroller;
    this.room = /** @type {HTMLElement} */ (scroller.firstElementChild);
    this.canvas = /** @type {HTMLCanvasElement} */ (scroller.querySelector("canvas"));
    this.probe = /** @type {HTMLElement} */ (scroller.querySelector("[data-probe]"));
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    scroller.addEventListener("scroll", () => {
      this.invalidate();
      this.tell("view");
    });
    new ResizeObserver(() => {
      if (scroller.clientWidth !== this.#width && this.cells.layout.rows) this.#relayout();
    }).observe(scroller);
    const recolour = () => {
      this.#palette = null;
      this.invalidate();
    };
    new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  }

  /** @param {(news: News) => void} listener */
  listen(listener) {
    this.#listeners.add(listener);
  }

  /** @param {News} news */
  tell(news) {
    for (const listener of this.#listeners) listener(news);
  }

  /** Show other axes. @param {Axes} axes @param {readonly string[]} lines */
  show(axes, lines) {
    this.axes = axes;
    this.#build();
    this.cells.fill(lines);
    this.focus = this.anchor = this.pointed = null;
    this.#relayout();
    this.tell("selection");
    this.tell("focus");
  }

  #build() {
    this.layout = layoutOf(this.axes, this.#tilesAcross());
    const unit = this.view.columns.unit;
    this.view = new View(this.layout);
    this.view.columns.unit = unit;
    this.cells = new Cells(this.layout);
    this.selection = new Selection(this.cells);
  }

  #tilesAcross() {
    const width = this.scroller.clientWidth - 2 * 6;
    return this.isZoomed ? Math.max(Math.floor(width / this.view.columns.unit), 1) : Math.max(Math.floor(width / 150), 1);
  }

  /** Take in newer states, of the times from `first` on. @param {readonly string[]} lines @param {number} [first] */
  update(lines, first) {
    const changed = this.cells.fill(lines, first);
    if (!isEmpty(changed) && !this.cells.levels) this.invalidate(changed);
    return !isEmpty(changed);
  }

  /** Colour by a measure, or by state. @param {readonly string[] | null} lines @param {number} [first] */
  measure(lines, first) {
    if (lines === null) this.cells.forgetMeasure();
    else this.cells.measure(lines, first);
    this.#palette = null; // the ramp is spread over the levels that there are
    this.invalidate();
  }

  // Sizes

  #relayout() {
    const { scroller, view } = this;
    this.#width = scroller.clientWidth;
    if (!this.#width) return;
    if (this.layout.kind === "tiles" && this.#tilesAcross() !== this.layout.columns) this.#retile();
    const gutter = gutterOf(this.#brush(), this.layout.labels, Math.min(MOST_GUTTER, this.#width * 0.3));
    this.view.resize(this.#width, MOST_HEIGHT, gutter);
    this.zoom(this.isZoomed ? view.columns.unit : this.view.fitting, gutter, this.view.header, true);
  }

  /** As many tiles in a row as there is room for; everything keeps its partition. */
  #retile() {
    const { cells, selection, layout, focus } = this;
    this.#build();
    if (cells.levels) this.cells.levels = this.cells.states.map((row) => row.slice());
    for (let line = 0; line < (this.axes.cats?.length ?? 0); line++) {
      const [row, column] = [this.layout.row(line, 0), this.layout.column(line, 0)];
      const [fromRow, fromColumn] = [layout.row(line, 0), layout.column(line, 0)];
      this.cells.states[row][column] = cells.states[fromRow][fromColumn];
      if (cells.levels && this.cells.levels) this.cells.levels[row][column] = cells.levels[fromRow][fromColumn];
      if (selection.has(fromRow, fromColumn)) this.selection.addArea({ first: 0, last: 0, lines: [line] });
    }
    const line = focus ? layout.line(focus.row, focus.column) : -1;
    this.focus = line < 0 ? null : { row: this.layout.row(line, 0), column: this.layout.column(line, 0) };
    this.anchor = this.focus;
  }

  /**
   * Zoom to a unit; what is at a point of the canvas stays there (by default its middle, or the focus if that is seen).
   * @param {number} unit @param {number} [x] @param {number} [y] @param {boolean} [again] even if the unit stays as it is
   */
  zoom(unit, x, y, again = false) {
    const { view, scroller } = this;
    const allowed = view.allowed(unit);
    if (allowed === view.columns.unit && !again) return;
    const [atX, atY] = this.#fixed(x, y);
    view.columns.scrollTo(scroller.scrollLeft);
    view.rows.scrollTo(scroller.scrollTop);
    view.zoom(allowed, ROOM, atX, atY);
    if (this.layout.kind === "tiles" && this.#tilesAcross() !== this.layout.columns) {
      this.#retile();
      this.view.resize(this.#width, MOST_HEIGHT, view.gutter);
      this.view.zoom(allowed, ROOM);
    }
    this.#apply();
  }

  /** @param {number | undefined} x @param {number | undefined} y @returns {[number, number]} */
  #fixed(x, y) {
    const { view, focus } = this;
    if (x !== undefined && y !== undefined) return [x - view.gutter, y - view.header];
    if (focus) {
      const [column, row] = [view.columns.start(focus.column), view.rows.start(focus.row)];
      if (column >= 0 && column < view.columns.length && row >= 0 && row < view.rows.length) return [column, row];
    }
    return [view.columns.length / 2, view.rows.length / 2];
  }

  /** @param {"in" | "out" | "fit"} how */
  zoomBy(how) {
    if (how === "fit") this.fit();
    else {
      this.isZoomed = true;
      const unit = this.view.columns.unit;
      this.zoom(how === "in" ? Math.max(unit * ZOOM_STEP, unit >= 3 ? unit + 1 : 0) : unit / ZOOM_STEP);
    }
  }

  fit() {
    this.isZoomed = false;
    this.zoom(this.view.fitting, undefined, undefined, true);
  }

  /** Zoom so that the columns of a region fill the picture. @param {Region} region */
  zoomInto(region) {
    this.isZoomed = true;
    this.zoom(this.view.columns.length / (region.right - region.left));
    this.view.columns.scrollTo(region.left * this.view.columns.unit);
    this.#scroll();
  }

  /** Give the elements the sizes that the view asks for, and scroll to where it is. */
  #apply() {
    const { view, scroller, room, canvas } = this;
    const width = view.gutter + view.columns.size;
    const height = view.header + view.rows.size;
    const [offsetX, offsetY] = [view.columns.offset, view.rows.offset];
    room.style.width = `${Math.max(width, 1)}px`;
    room.style.height = `${height}px`;
    scroller.style.height = `${Math.min(height, MOST_HEIGHT)}px`;
    const bar = scroller.offsetHeight - scroller.clientHeight;
    if (bar) scroller.style.height = `${Math.min(height, MOST_HEIGHT) + bar}px`;
    this.#width = scroller.clientWidth;
    view.resize(scroller.clientWidth, scroller.clientHeight, view.gutter);
    this.#ratio = Math.min(devicePixelRatio || 1, 3);
    canvas.width = Math.round(scroller.clientWidth * this.#ratio);
    canvas.height = Math.round(scroller.clientHeight * this.#ratio);
    canvas.style.width = `${scroller.clientWidth}px`;
    canvas.style.height = `${scroller.clientHeight}px`;
    view.columns.scrollTo(offsetX);
    view.rows.scrollTo(offsetY);
    this.#scroll();
    this.draw();
    this.tell("view");
  }

  #scroll() {
    this.scroller.scrollTo({ left: this.view.columns.offset, top: this.view.rows.offset, behavior: "instant" });
    this.invalidate();
  }

  // Focus

  /** @param {Place} place @param {boolean} [reveal] */
  moveFocus(place, reveal = true) {
    this.focus = place;
    if (reveal) {
      this.view.reveal(this.view.bandOf(place.row, place.column));
      this.#scroll();
    }
    this.invalidate();
    this.tell("focus");
  }

  /** What the focus is on, as far as it is drawn as one. */
  get focused() {
    return this.focus && this.view.bandOf(this.focus.row, this.focus.column);
  }

  /** @param {Region | null} region */
  point(region) {
    const before = this.pointed;
    if (before && region && before.top === region.top && before.left === region.left && before.bottom === region.bottom && before.right === region.right) return;
    if (!before && !region) return;
    this.pointed = region;
    this.invalidate();
  }

  // Drawing

  /** Draw a region, or everything, with the next frame. @param {Region} [region] */
  invalidate(region = whole(this.layout)) {
    const dirty = this.#dirty;
    this.#dirty = dirty
      ? {
          top: Math.min(dirty.top, region.top),
          bottom: Math.max(dirty.bottom, region.bottom),
          left: Math.min(dirty.left, region.left),
          right: Math.max(dirty.right, region.right),
        }
      : region;
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.draw();
    });
  }

  #brush() {
    this.#palette ??= readPalette(this.probe, this.cells.levels && this.cells.levelRange);
    return new Brush(this.context, this.view, this.#palette, this.#ratio);
  }

  draw() {
    const begun = performance.now();
    const { view, context, scroller } = this;
    view.columns.scrollTo(scroller.scrollLeft);
    view.rows.scrollTo(scroller.scrollTop);
    const dirty = this.#dirty ?? whole(this.layout);
    this.#dirty = null;
    const region = common(dirty, view.seen);
    if (isEmpty(region)) return;
    const isAll = dirty.left === 0 && dirty.top === 0 && dirty.right === this.layout.columns && dirty.bottom === this.layout.rows;
    const brush = this.#brush();
    const [width, height] = [view.gutter + view.columns.length, view.header + view.rows.length];
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    if (isAll) {
      context.fillStyle = brush.palette.ink.surface;
      context.fillRect(0, 0, width, height);
    }
    context.save();
    context.beginPath();
    if (isAll) context.rect(view.gutter - 2, view.header - 2, width, height);
    else {
      const [top, left] = [view.rowBand(region.top)[0], view.columnBand(region.left)[0]];
      const [bottom, right] = [view.rowBand(region.bottom - 1)[1], view.columnBand(region.right - 1)[1]];
      const [x, y] = [Math.max(brush.x(left), view.gutter), Math.max(brush.y(top), view.header)];
      context.rect(x, y, brush.x(right) - x, brush.y(bottom) - y);
    }
    context.clip();
    drawCells(brush, this.cells, region);
    if (this.layout.kind === "tiles") drawTileNames(brush, this.cells, this.axes.cats ?? []);
    drawSelection(brush, this.selection);
    context.restore();
    this.#drawMarks(brush, width, height, isAll);
    this.frames += 1;
    this.took = performance.now() - begun;
  }

  /** @param {Brush} brush @param {number} width @param {number} height @param {boolean} isAll */
  #drawMarks(brush, width, height, isAll) {
    const { context, view } = this;
    if (isAll) drawLabels(brush, width, height, this.pointed ?? this.focused);
    context.save();
    context.beginPath();
    context.rect(view.gutter - 2, view.header - 2, width, height);
    context.clip();
    if (this.pointed) drawRing(brush, this.pointed, brush.palette.ink["text-soft"], 1);
    if (this.focused && this.scroller.matches(":focus-visible, :focus-within")) {
      drawRing(brush, this.focused, brush.palette.ink.surface, 4);
      drawRing(brush, this.focused, brush.palette.ink.focus, 2);
    }
    context.restore();
  }
}
