// What is known of the partition that the pointer is on (in a box beside it) and of the one with the focus (in a line below the
// picture, and in words for whoever can't see it). Details are fetched when somebody rests on a partition, and kept while it stays
// as it is.

import { STATES } from "./cells.js";
import { keyText } from "./layout.js";
import { countElements, element, isSingle, nameOf, stateOf, statusElement } from "./words.js";
import { duration, timeElement } from "../times.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./cells.js").Region} Region */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./source.js").Detail} Detail */

const REST = 90;
const KEPT = 500;
const GAP = 14;

export class Details {
  /** By key and state, so that a change of state is fetched anew. @type {Map<string, Detail>} */
  #known = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;
  /** @type {Region | null} */
  #pointed = null;
  #turn = 0;

  /**
   * @param {Picture} picture @param {Source} source
   * @param {HTMLElement} tip the box at the pointer @param {HTMLElement} line below the picture @param {HTMLElement} spoken the cells of a grid that is only heard
   */
  constructor(picture, source, tip, line, spoken) {
    this.picture = picture;
    this.source = source;
    this.tip = tip;
    this.line = line;
    this.spoken = spoken;
    this.hint = [...line.childNodes];
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") tip.hidden = true;
    });
  }

  /** @param {Region} region */
  #key(region) {
    const { layout, axes, cells } = this.picture;
    const [row, column] = [region.top, region.left];
    return `${STATES[cells.states[row][column]]} ${keyText(axes, layout.line(row, column), layout.time(row, column))}`;
  }

  /** @param {Region} region @returns {Promise<Detail>} */
  async #fetch(region) {
    const key = this.#key(region);
    const known = this.#known.get(key);
    if (known) return known;
    const { layout, axes } = this.picture;
    const line = layout.line(region.top, region.left);
    const found = await this.source.detail(axes.times?.[layout.time(region.top, region.left)], axes.cats?.[line]);
    if (this.#known.size > KEPT) this.#known.clear();
    this.#known.set(key, found);
    return found;
  }

  /** The number of the execution that a partition's state is of; null if it has none. @param {Region} region */
  async execution(region) {
    return (await this.#fetch(region)).execution_id;
  }

  // The box at the pointer

  /** @param {Region | null} region @param {number} x @param {number} y */
  point(region, x, y) {
    clearTimeout(this.#resting);
    this.#pointed = region;
    if (!region || stateOf(this.picture, region) === "no partitions") {
      this.tip.hidden = true;
      return;
    }
    const isShown = !this.tip.hidden;
    const show = () => {
      this.#write(this.tip, region, null);
      this.tip.hidden = false;
      this.#place(x, y);
    };
    if (isShown) show();
    const turn = ++this.#turn;
    this.#resting = setTimeout(() => {
      if (!isShown) show();
      if (isSingle(this.picture, region)) void this.#complete(this.tip, region, () => turn === this.#turn && this.#pointed === region, () => this.#place(x, y));
    }, REST);
  }

  /** Beside the pointer, where there is room. @param {number} x @param {number} y */
  #place(x, y) {
    const { width, height } = this.tip.getBoundingClientRect();
    const left = x + GAP + width > innerWidth ? x - GAP - width : x + GAP;
    const top = y + GAP + height > innerHeight ? y - GAP - height : y + GAP;
    this.tip.style.left = `${Math.max(left, 4)}px`;
    this.tip.style.top = `${Math.max(top, 4)}px`;
  }

  // The line below

  /** Show what the focus is on. */
  focus() {
    const region = this.picture.focused;
    if (!region) {
      this.line.replaceChildren(...this.hint);
      return;
    }
    this.#write(this.line, region, null);
    this.#speak(region);
    if (!isSingle(this.picture, region)) return;
    const turn = ++this.#turn;
    setTimeout(() => {
      if (turn === this.#turn || this.#pointed === null) void this.#complete(this.line, region, () => isSame(this.picture.focused, region), () => this.#speak(region));
    }, REST);
  }

  /** Write everything again: states have changed. */
  refresh() {
    this.focus();
    if (this.#pointed && !this.tip.hidden) this.#write(this.tip, this.#pointed, null);
  }

  /** Two cells take turns, since a reader of screens speaks when the active one is another. @param {Region} region */
  #speak(region) {
    const cells = [...this.spoken.querySelectorAll('[role="gridcell"]')];
    const active = this.picture.scroller.getAttribute("aria-activedescendant");
    const next = cells.find((cell) => cell.id !== active) ?? cells[0];
    const { selection } = this.picture;
    const isSelected = selection.has(region.top, region.left);
    next.textContent = `${nameOf(this.picture, region)}: ${this.#extra(region)}`;
    next.setAttribute("aria-colindex", String(region.left + 1));
    next.setAttribute("aria-selected", String(isSelected));
    next.parentElement?.setAttribute("aria-rowindex", String(region.top + 1));
    this.picture.scroller.setAttribute("aria-activedescendant", next.id);
  }

  /** @param {Region} region */
  #extra(region) {
    const known = isSingle(this.picture, region) ? this.#known.get(this.#key(region)) : undefined;
    const parts = [stateOf(this.picture, region)];
    if (known?.duration != null && known.ended_at) parts.push(`took ${duration(known.duration)}`);
    if (known?.execution_id) parts.push(`execution ${known.execution_id}`);
    return parts.join(", ");
  }

  // What both show

  /** @param {HTMLElement} target @param {Region} region @param {() => boolean} isStill @param {() => void} then */
  async #complete(target, region, isStill, then) {
    try {
      const detail = await this.#fetch(region);
      if (!isStill()) return;
      this.#write(target, region, detail);
      then();
    } catch {
      // the server is gone for now: what the picture itself tells stays
    }
  }

  /** @param {HTMLElement} target @param {Region} region @param {Detail | null} given */
  #write(target, region, given) {
    const { picture } = this;
    const name = element("strong", nameOf(picture, region));
    if (!isSingle(picture, region)) {
      const counts = element("span", "", "sum");
      counts.append(...countElements(picture.cells.count(region)));
      target.replaceChildren(name, counts);
      return;
    }
    const detail = given ?? this.#known.get(this.#key(region)) ?? null;
    const state = STATES[picture.cells.states[region.top][region.left]];
    target.replaceChildren(name, state === "absent" ? element("span", "no such partition", "quiet") : statusElement(state));
    if (!detail?.execution_id) {
      if (detail && state === "missing") target.append(element("span", "never executed", "soft"));
      return;
    }
    target.append(...facts(detail), linkTo(detail));
    if (!detail.last) return;
    const before = element("span", "before that: ", "soft");
    before.append(statusElement(detail.last.status));
    target.append(before, ...facts(detail.last), linkTo(detail.last));
  }
}

/** @param {import("./source.js").Run} run */
function linkTo(run) {
  const link = /** @type {HTMLAnchorElement} */ (element("a", `#${run.execution_id}`));
  link.href = `/executions/${run.execution_id}`;
  link.prepend(element("span", "Execution ", "unseen"));
  return link;
}

/** @param {import("./source.js").Run} run */
function* facts(run) {
  const when = run.ended_at ?? run.started_at;
  if (when) {
    const told = element("span", run.ended_at ? "" : "since ", "soft");
    told.append(timeElement(when));
    yield told;
  }
  if (run.duration !== null && run.ended_at) yield element("span", `took ${duration(run.duration)}`, "soft");
  if (run.attempt !== null) yield element("span", `attempt ${run.attempt}`, "soft");
}

/** @param {Region | null} one @param {Region} other */
function isSame(one, other) {
  return one !== null && one.top === other.top && one.left === other.left && one.bottom === other.bottom && one.right === other.right;
}
