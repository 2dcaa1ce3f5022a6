// The keyboard in the picture: arrows move the focus from one thing that is drawn to the next, Shift extends the selection, Space
// selects, Enter opens, and what is at the focus is told in words to whoever can't see the canvas.

import { isWithin } from "./pointer.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./view.js").Place} Place */

export class Keyboard {
  /** @param {Picture} picture @param {(place: Place) => void} open */
  constructor(picture, open) {
    this.picture = picture;
    this.open = open;
    picture.scroller.addEventListener("keydown", (event) => {
      if (this.#press(event)) event.preventDefault();
    });
    picture.scroller.addEventListener("focus", () => {
      if (!picture.focus) picture.moveFocus(this.#newest());
      picture.invalidate();
    });
    picture.scroller.addEventListener("blur", () => picture.invalidate());
  }

  /** Where the focus begins: the newest partition of what is seen. @returns {Place} */
  #newest() {
    const { view, layout, cells } = this.picture;
    const [, end] = view.columns.seen;
    const [first] = view.rows.seen;
    if (layout.kind === "tiles") return { row: 0, column: 0 };
    for (let column = end - 1; column >= Math.max(end - 8, 0); column--) {
      for (let row = first; row < layout.rows; row++) if (cells.states[row][column]) return { row, column };
    }
    return { row: first, column: end - 1 };
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it meant something here */
  #press(event) {
    const { picture } = this;
    const command = event.ctrlKey || event.metaKey;
    if (event.altKey) return false;
    const focus = picture.focus ?? this.#newest();
    const target = this.#target(event.key, command, focus);
    if (target) {
      this.#go(target, focus, event.shiftKey);
      return true;
    }
    switch (event.key) {
      case " ":
        this.#toggle(this.#regionOf(focus, command, event.shiftKey));
        picture.anchor = focus;
        return true;
      case "Enter":
        this.open(focus);
        return true;
      case "Escape":
        if (!picture.selection.count) return false;
        picture.selection.clear();
        break;
      case "a":
        if (!command) return false;
        picture.selection.set({ top: 0, left: 0, bottom: picture.layout.rows, right: picture.layout.columns });
        break;
      case "+":
      case "=":
      case "-":
      case "0":
        if (command) return false; // the browser's own zoom
        picture.zoomBy(event.key === "-" ? "out" : event.key === "0" ? "fit" : "in");
        return true;
      default:
        return false;
    }
    picture.invalidate();
    picture.tell("selection");
    return true;
  }

  /** Where a key leads to. @param {string} key @param {boolean} command @param {Place} from @returns {Place | null} */
  #target(key, command, from) {
    const { view, layout } = this.picture;
    const band = view.bandOf(from.row, from.column);
    const page = Math.max(Math.floor(view.columns.length / view.columns.unit) - 1, 1);
    const [lastRow, lastColumn] = [layout.rows - 1, layout.columns - 1];
    const { row, column } = from;
    switch (key) {
      case "ArrowLeft":
        return { row, column: command ? 0 : Math.max(band.left - 1, 0) };
      case "ArrowRight":
        return { row, column: command ? lastColumn : Math.min(band.right, lastColumn) };
      case "ArrowUp":
        return { row: command ? 0 : Math.max(band.top - 1, 0), column };
      case "ArrowDown":
        return { row: command ? lastRow : Math.min(band.bottom, lastRow), column };
      case "Home":
        return { row: command ? 0 : row, column: 0 };
      case "End":
        return { row: command ? lastRow : row, column: lastColumn };
      case "PageUp":
        return { row, column: Math.max(column - page, 0) };
      case "PageDown":
        return { row, column: Math.min(column + page, lastColumn) };
      default:
        return null;
    }
  }

  /** @param {Place} target @param {Place} from @param {boolean} extends_ */
  #go(target, from, extends_) {
    const { picture } = this;
    const { row, column } = target;
    const band = picture.view.bandOf(row, column);
    picture.moveFocus({ row: band.top, column: band.left });
    if (!extends_) {
      picture.anchor = picture.focus;
      return;
    }
    picture.anchor ??= from;
    picture.selection.begin();
    picture.selection.draw(picture.view.span(picture.anchor, { row, column }), "only");
    picture.tell("selection");
  }

  /** As in a sheet: with Ctrl the column, with Shift the row. @param {Place} place @param {boolean} column @param {boolean} row @returns {Region} */
  #regionOf(place, column, row) {
    const { view, layout } = this.picture;
    const band = view.bandOf(place.row, place.column);
    if (column) return { ...band, top: 0, bottom: layout.rows };
    return row ? { ...band, left: 0, right: layout.columns } : band;
  }

  /** @param {Region} region */
  #toggle(region) {
    const { picture } = this;
    picture.selection.set(region, !isWithin(picture, region));
    picture.invalidate();
    picture.tell("selection");
  }
}
