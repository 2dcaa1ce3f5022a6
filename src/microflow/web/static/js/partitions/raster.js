// A piece of the canvas as pixels that are written by themselves. Tens of thousands of small rectangles cost a canvas tens of
// milliseconds; here they cost what their pixels cost, so that a frame is never late however much is on it.

/** The last piece that was drawn, and what it was drawn of. @type {ImageData | null} */
let kept = null;
let keptOf = "";

export class Raster {
  /**
   * All lengths are pixels of the screen. What is drawn outside of the piece is cut off.
   * @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} width @param {number} height
   */
  constructor(context, x, y, width, height) {
    this.context = context;
    this.left = x;
    this.top = y;
    this.width = width;
    this.height = height;
    if (kept?.width !== width || kept.height !== height) {
      kept = context.createImageData(width, height);
      keptOf = "";
    }
    this.image = kept;
    this.pixels = new Uint32Array(kept.data.buffer);
  }

  /**
   * Whether the pixels are there already, since the last piece was of the same; else it is to be drawn.
   * @param {string} what everything that the pixels depend on
   */
  isOf(what) {
    const same = keptOf === what;
    keptOf = what;
    return same;
  }

  /** @param {number} colour as `packed` gives it */
  fill(colour) {
    this.pixels.fill(colour);
  }

  /** A part of one line of pixels. @param {number} y @param {number} from @param {number} to @param {number} colour */
  line(y, from, to, colour) {
    const row = y - this.top;
    if (row < 0 || row >= this.height) return;
    const start = from > this.left ? from - this.left : 0;
    const end = to < this.left + this.width ? to - this.left : this.width;
    if (start < end) this.pixels.fill(colour, row * this.width + start, row * this.width + end);
  }

  /** The same as in a line in the lines below it. @param {number} y @param {number} end the first line that is left as it is */
  repeat(y, end) {
    const from = Math.max(y - this.top, 0);
    const to = Math.min(end - this.top, this.height);
    for (let row = from + 1; row < to; row++) this.pixels.copyWithin(row * this.width, from * this.width, (from + 1) * this.width);
  }

  /** @param {number} x @param {number} y @param {number} right @param {number} bottom @param {number} colour */
  rect(x, y, right, bottom, colour) {
    const from = Math.max(y, this.top);
    const to = Math.min(bottom, this.top + this.height);
    for (let row = from; row < to; row++) this.line(row, x, right, colour);
  }

  /** Put a square of pixels somewhere. @param {number} x @param {number} y @param {Stamp} stamp */
  stamp(x, y, { size, pixels }) {
    const from = Math.max(this.left - x, 0);
    const to = Math.min(this.left + this.width - x, size);
    if (from >= to) return;
    for (let row = Math.max(this.top - y, 0); row < size && y + row < this.top + this.height; row++) {
      this.pixels.set(pixels.subarray(row * size + from, row * size + to), (y + row - this.top) * this.width + x + from - this.left);
    }
  }

  /** Show what was drawn. */
  put() {
    this.context.putImageData(this.image, this.left, this.top);
  }
}

const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** A colour as a pixel. @param {readonly [number, number, number]} parts red, green and blue, from 0 to 255 */
export function packed([red, green, blue]) {
  const value = isLittleEndian ? (255 << 24) | (blue << 16) | (green << 8) | red : (red << 24) | (green << 16) | (blue << 8) | 255;
  return value >>> 0;
}

/**
 * A square of pixels.
 * @typedef {object} Stamp
 * @property {number} size
 * @property {Uint32Array} pixels
 */

/** @param {number} size @param {(context: CanvasRenderingContext2D) => void} draw @returns {Stamp} */
export function stampOf(size, draw) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false, willReadFrequently: true }));
  draw(context);
  return { size, pixels: new Uint32Array(context.getImageData(0, 0, size, size).data.buffer) };
}
