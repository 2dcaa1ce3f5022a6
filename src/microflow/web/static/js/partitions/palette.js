// The colours of the picture, read from the style sheets when it is drawn, so that a change of the theme is one more drawing; and the
// signs that large cells bear, the same shapes as templates/marks.html.

import { LEVELS, STATES } from "./cells.js";
import { packed, stampOf } from "./raster.js";

/**
 * @typedef {object} Palette
 * @property {number} version another one for other colours
 * @property {number[]} pixels by code, as `packed` gives them
 * @property {number} ground what cells stand on, as a pixel
 * @property {number} edge of an empty box
 * @property {string[]} colours by code, as style sheets write them
 * @property {Map<string, import("./raster.js").Stamp>} stamps
 * @property {Record<string, string>} ink by name
 * @property {string} font
 */

/** Names of tokens that are used as they are. */
const INKS = ["surface", "sunken", "line", "line-strong", "line-control", "text", "text-soft", "text-quiet", "focus", "accent", "tint", "hover"];

let versions = 0;

const RAMP = ["ramp-1", "ramp-2", "ramp-3", "ramp-4"];

/** @param {HTMLElement} probe an element whose colour may be changed @param {string} token */
function resolved(probe, token) {
  probe.style.color = `var(--${token})`;
  return getComputedStyle(probe).color;
}

/**
 * The colours as they are now, for states or for the levels of a measure, of which `range` are the lowest and the highest.
 * @param {HTMLElement} probe @param {readonly [number, number] | null} range
 * @returns {Palette}
 */
export function readPalette(probe, range) {
  const ink = Object.fromEntries(INKS.map((name) => [name, resolved(probe, name)]));
  const font = getComputedStyle(probe).fontFamily;
  const ground = packed(parts(ink.surface));
  const edge = packed(parts(ink["line-control"]));
  const names = range
    ? ["missing", ...rampOf(probe, range), "missing"]
    : STATES.map((name) => (name === "absent" ? "missing" : name)); // nothing is drawn where nothing is
  const colours = names.map((name) => (name.startsWith("rgb") ? name : resolved(probe, `${name}-fill`)));
  const pixels = colours.map((colour) => packed(parts(colour)));
  return { version: ++versions, pixels, colours, ground, edge, stamps: new Map(), ink, font };
}

/**
 * The colours of the levels of a measure; those that there are take up all of the ramp.
 * @param {HTMLElement} probe @param {readonly [number, number]} range
 */
export function rampOf(probe, [low, high]) {
  const anchors = RAMP.map((name) => parts(resolved(probe, name)));
  return Array.from({ length: LEVELS }, (_, index) => {
    const share = Math.min(Math.max((index + 1 - low) / Math.max(high - low, 1), 0), 1);
    const at = share * (anchors.length - 1);
    const before = Math.min(Math.floor(at), anchors.length - 2);
    const mixed = anchors[before].map((value, part) => Math.round(value + (anchors[before + 1][part] - value) * (at - before)));
    return `rgb(${mixed.join(" ")})`;
  });
}

/** @param {string} colour as a browser computes it @returns {[number, number, number]} */
function parts(colour) {
  const numbers = colour.match(/[\d.]+/g)?.map(Number) ?? [];
  const whole = colour.startsWith("color(") ? numbers.map((value) => value * 255) : numbers;
  return [Math.round(whole[0] ?? 0), Math.round(whole[1] ?? 0), Math.round(whole[2] ?? 0)];
}

/**
 * The sign of each state in a square of 16: what is drawn as a line, in the middle of a filled cell.
 * @type {(Path2D | null)[]}
 */
export const SIGNS = [
  null,
  null,
  new Path2D("m3.6 4.6 3 3.4-3 3.4m4.6-6.8 3 3.4-3 3.4m4.6-6.8v6.8"),
  new Path2D("m4.4 8.4 2.4 2.4 4.8-5.2"),
  new Path2D("M8 4.4v3.8l2.6 1.6M13 8a5 5 0 1 1-10 0 5 5 0 0 1 10 0"),
  new Path2D("M8 3a5 5 0 0 1 5 5"),
  new Path2D("M4.2 11.8 11.8 4.2"),
  new Path2D("m4.6 4.6 6.8 6.8m0-6.8-6.8 6.8"),
];

const RUNNING = 5;
/** The dot within the turning arc of what runs. */
const DOT = new Path2D("M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6");

/**
 * The sign of a state on the colour of a code, as pixels.
 * @param {Palette} palette @param {number} state @param {number} code @param {number} size
 */
export function signStamp(palette, state, code, size) {
  const key = `${state} ${code} ${size}`;
  const known = palette.stamps.get(key);
  if (known) return known;
  const made = stampOf(size, (context) => {
    context.fillStyle = palette.colours[code];
    context.fillRect(0, 0, size, size);
    context.scale(size / 16, size / 16);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 1.9;
    context.strokeStyle = context.fillStyle = palette.ink.surface;
    context.stroke(/** @type {Path2D} */ (SIGNS[state]));
    if (state === RUNNING) context.fill(DOT);
  });
  palette.stamps.set(key, made);
  return made;
}
