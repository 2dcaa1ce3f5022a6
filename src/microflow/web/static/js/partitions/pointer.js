// The pointer in the picture: a click or a drag selects partitions, rows, columns or everything; Shift extends, Ctrl or Command adds
// and takes away; Ctrl and the wheel zoom. A finger scrolls; a tap selects, and a long press begins a drag.

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./view.js").Place} Place */
/** @typedef {ReturnType<import("./view.js").View["hit"]>} Hit */

const LONG_PRESS = 420;
const EDGE = 4;
const DRAG_FROM = 3;

export class Pointer {
  /** Where a drag began. @type {Hit | null} */
  #begun = null;
  /** @type {"only" | "add" | "take"} */
  #how = "only";
  #moved = false;
  #x = 0;
  #y = 0;
  #startX = 0;
  #startY = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pressing;
  #scrolling = false;
  /** What was the only thing selected before a click, which a click on it gives up. */
  #wasOnly = false;

  /**
   * @param {Picture} picture
   * @param {{ point: (hit: Hit | null, x: number, y: number) => void, open: (hit: Hit) => void }} tell what the pointer is on, and that it was clicked twice
   */
  constructor(picture, tell) {
    this.picture = picture;
    this.tell = tell;
    const { canvas } = picture;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#end());
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("dblclick", (event) => tell.open(this.#hit(event)));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("touchmove", (event) => {
      if (this.#begun) event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => {
      if (this.#begun) event.preventDefault();
    });
  }

  /** @param {{ clientX: number, clientY: number }} event */
  #hit(event) {
    const box = this.picture.canvas.getBoundingClientRect();
    return this.picture.view.hit(event.clientX - box.x, event.clientY - box.y);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.#startX = this.#x = event.clientX;
    this.#startY = this.#y = event.clientY;
    this.#moved = false;
    if (event.pointerType !== "touch") {
      this.#begin(event);
      return;
    }
    clearTimeout(this.#pressing);
    this.#pressing = setTimeout(() => this.#begin(event), LONG_PRESS);
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    const { picture } = this;
    const hit = this.#hit(event);
    if (hit.zone === "none") return;
    picture.canvas.setPointerCapture(event.pointerId);
    picture.scroller.focus({ preventScroll: true });
    this.#begun = hit;
    this.#wasOnly = isExactly(picture, hit.region);
    picture.selection.begin();
    const adds = event.ctrlKey || event.metaKey || event.pointerType === "touch";
    this.#how = !adds ? "only" : isWithin(picture, hit.region) ? "take" : "add";
    if (event.shiftKey && picture.anchor) {
      this.#begun = { ...hit, ...picture.anchor, region: this.#regionAt(hit.zone, picture.anchor) };
      this.#wasOnly = false;
    } else picture.anchor = { row: hit.row, column: hit.column };
    if (hit.zone === "cell") picture.moveFocus({ row: hit.row, column: hit.column }, false);
    this.#draw(hit);
  }

  /** What a row's or a column's label stands for, at another place. @param {Hit["zone"]} zone @param {Place} place @returns {Region} */
  #regionAt(zone, place) {
    const { view } = this.picture;
    const band = view.bandOf(place.row, place.column);
    if (zone === "row") return { ...band, left: 0, right: view.columns.count };
    return zone === "column" ? { ...band, top: 0, bottom: view.rows.count } : band;
  }

  /** Select from where the drag began to here. @param {Hit} hit */
  #draw(hit) {
    const { picture } = this;
    const begun = /** @type {Hit} */ (this.#begun);
    const region = { ...begun.region };
    const here = begun.zone === "cell" ? picture.view.bandOf(hit.row, hit.column) : this.#sameZone(begun.zone, hit);
    if (begun.zone !== "row") {
      region.left = Math.min(region.left, here.left);
      region.right = Math.max(region.right, here.right);
    }
    if (begun.zone !== "column") {
      region.top = Math.min(region.top, here.top);
      region.bottom = Math.max(region.bottom, here.bottom);
    }
    picture.selection.draw(region, this.#how);
    picture.invalidate();
    picture.tell("selection");
  }

  /** @param {Hit["zone"]} zone @param {Hit} hit @returns {Region} */
  #sameZone(zone, hit) {
    return hit.zone === zone ? hit.region : this.#regionAt(zone, hit);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    this.#x = event.clientX;
    this.#y = event.clientY;
    if (Math.hypot(event.clientX - this.#startX, event.clientY - this.#startY) > DRAG_FROM * (event.pointerType === "touch" ? 3 : 1)) {
      this.#moved = true;
      clearTimeout(this.#pressing);
    }
    const hit = this.#hit(event);
    if (this.#begun) {
      if (this.#moved) this.#draw(hit);
      this.#scrollAtEdge();
    }
    if (event.pointerType !== "touch") this.#point(hit, event);
  }

  /** @param {Hit} hit @param {{ clientX: number, clientY: number }} event */
  #point(hit, event) {
    this.picture.point(hit.zone === "none" || hit.zone === "corner" ? null : hit.region);
    this.tell.point(hit.zone === "cell" && !(this.#begun && this.#moved) ? hit : null, event.clientX, event.clientY);
  }

  #leave() {
    if (this.#begun) return;
    this.picture.point(null);
    this.tell.point(null, 0, 0);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    clearTimeout(this.#pressing);
    if (event.pointerType === "touch" && !this.#begun && !this.#moved) this.#begin(event);
    if (this.#begun && !this.#moved && this.#wasOnly && this.#how === "only") {
      this.picture.selection.clear();
      this.picture.invalidate();
      this.picture.tell("selection");
    }
    this.#end();
  }

  #end() {
    clearTimeout(this.#pressing);
    this.#begun = null;
  }

  /** While a drag is at an edge, what is seen moves on by itself. */
  #scrollAtEdge() {
    if (this.#scrolling) return;
    this.#scrolling = true;
    const step = () => {
      const { canvas, scroller, view } = this.picture;
      const box = canvas.getBoundingClientRect();
      const across = beyond(this.#x, box.x + view.gutter, box.right);
      const down = beyond(this.#y, box.y + view.header, box.bottom);
      if (!this.#begun || !this.#moved || (!across && !down)) {
        this.#scrolling = false;
        return;
      }
      scroller.scrollBy(across, down);
      this.picture.view.columns.scrollTo(scroller.scrollLeft);
      this.picture.view.rows.scrollTo(scroller.scrollTop);
      this.#draw(this.#hit({ clientX: this.#x, clientY: this.#y }));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { picture } = this;
    const box = picture.canvas.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / 30 : event.deltaY;
    const factor = 1.1 ** -Math.min(Math.max(lines, -6), 6);
    const unit = picture.view.columns.unit;
    picture.isZoomed = true;
    // whole pixels: a small turn of the wheel must still go one further
    picture.zoom(unit < 3 ? unit * factor : factor > 1 ? Math.max(unit * factor, unit + 1) : Math.min(unit * factor, unit - 0.01), event.clientX - box.x, event.clientY - box.y);
  }
}

/** How far to scroll for a pointer at or past the ends of a stretch. @param {number} at @param {number} start @param {number} end */
function beyond(at, start, end) {
  if (at < start + EDGE) return Math.max((at - start - EDGE) / 2 - 1, -40);
  return at > end - EDGE ? Math.min((at - end + EDGE) / 2 + 1, 40) : 0;
}

/** Whether all of a region is selected. @param {Picture} picture @param {Region} region */
export function isWithin({ cells, selection }, region) {
  for (let row = region.top; row < region.bottom; row++) {
    for (let column = region.left; column < region.right; column++) {
      if (cells.states[row][column] && !selection.has(row, column)) return false;
    }
  }
  return true;
}

/** Whether a region is what is selected, and nothing else. @param {Picture} picture @param {Region} region */
function isExactly(picture, region) {
  const all = picture.cells.count(region).reduce((sum, count) => sum + count, 0);
  return all > 0 && all === picture.selection.count && isWithin(picture, region);
}
