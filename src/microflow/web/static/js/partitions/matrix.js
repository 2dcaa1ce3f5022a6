// <partition-matrix>: the page of a job's partitions. It puts the parts together: what the server knows (source), the canvas
// (picture), pointer and keyboard, details, the panel that runs a selection, and the address that keeps the state of it all.

import { ONLY, STATES, total } from "./cells.js";
import { placeText, readAddress, readPlace, readSelection, writeAddress, writeSelection } from "./address.js";
import { Details } from "./details.js";
import { Keyboard } from "./keyboard.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Pointer } from "./pointer.js";
import { readArea } from "./selection.js";
import { Follower, Refused, Source } from "./source.js";
import { isSingle, roundDuration } from "./words.js";
import { rampOf } from "./palette.js";

/** @typedef {import("./source.js").Answer} Answer */
/** @typedef {import("./source.js").Colour} Colour */
/** @typedef {import("./cells.js").Region} Region */

class PartitionMatrix extends HTMLElement {
  /** @type {Picture} */
  #picture;
  /** @type {Source} */
  #source;
  /** @type {Details} */
  #details;
  /** @type {Panel} */
  #panel;
  /** @type {Follower | undefined} */
  #follower;
  /** The range that is on its way. @type {Promise<void> | undefined} */
  #loading;
  #isShown = false;
  #isTelling = false;

  constructor() {
    super();
    const { partitions = "", flow = "", job = "" } = this.dataset;
    this.#source = new Source(partitions, flow, job);
    this.#picture = new Picture(this.#pick(".scroller"));
    this.#details = new Details(this.#picture, this.#source, this.#pick("[data-tip]"), this.#pick("[data-focus]"), this.#pick("[data-spoken]"));
    this.#panel = new Panel(this.#picture, this.#source, /** @type {HTMLFormElement} */ (this.#pick("[data-panel]")), this.#pick("[data-summary]"));
  }

  /** For measurements and tests. */
  get picture() {
    return this.#picture;
  }

  connectedCallback() {
    const picture = this.#picture;
    // the table is for those who can't use the picture; for all others it is there when they ask for it
    document.querySelector("[data-closed-by-scripts]")?.removeAttribute("open");
    new Pointer(picture, {
      point: (hit, x, y) => this.#details.point(hit && hit.region, x, y),
      open: (hit) => {
        if (hit.zone === "cell") void this.#open(hit.region);
      },
    });
    new Keyboard(picture, (place) => void this.#open(picture.view.bandOf(place.row, place.column)));
    picture.listen((news) => this.#hear(news));
    this.#follower = new Follower(this.#source, (whole) => this.#refresh(whole), () => picture.layout.rows * picture.layout.columns);
    this.addEventListener("click", (event) => this.#press(/** @type {Element} */ (event.target)));
    this.addEventListener("change", (event) => this.#choose(/** @type {HTMLInputElement} */ (event.target)));
    const range = /** @type {HTMLFormElement} */ (this.#pick("[data-range]"));
    range.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#load();
    });
    this.#source.colour = /** @type {Colour} */ (readAddress("colour") || "status");
    const chosen = /** @type {HTMLInputElement | null} */ (this.querySelector(`[name="colour"][value="${CSS.escape(this.#source.colour)}"]`));
    if (chosen) chosen.checked = true;
    else this.#source.colour = "status";
    this.#enable(false);
    this.#load();
  }

  disconnectedCallback() {
    this.#follower?.stop();
  }

  /** @param {string} selector @returns {HTMLElement} */
  #pick(selector) {
    return /** @type {HTMLElement} */ (this.querySelector(selector));
  }

  // Data

  /** Fetch the range that the fields say, and show it, unless they have come to say another one meanwhile. */
  #load() {
    /** @type {Promise<void>} */
    const loading = this.#fetch(() => this.#loading === loading).finally(() => {
      if (this.#loading === loading) this.#loading = undefined;
    });
    this.#loading = loading;
  }

  /** @param {() => boolean} isWanted whether no other range was asked for since */
  async #fetch(isWanted) {
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement | null} */ (this.querySelector(`[data-range] [name="${name}"]`))?.value.trim() ?? "";
    const [from, to] = [value("from"), value("to")];
    this.setAttribute("aria-busy", "true");
    try {
      const answer = await this.#source.load(from, to);
      if (!isWanted()) return;
      Object.assign(this.#source, { from, to });
      this.#show(answer);
      this.#complain("");
      writeAddress("from", from);
      writeAddress("to", to);
    } catch (error) {
      if (!isWanted()) return;
      this.#complain(error instanceof Refused ? error.message : "The server can't be reached now.");
      this.#pick(".matrix").hidden = !this.#isShown;
    } finally {
      if (isWanted()) this.removeAttribute("aria-busy");
    }
  }

  /** Whether there is anything to select or to zoom yet. @param {boolean} isThere */
  #enable(isThere) {
    const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (this.querySelectorAll("[data-select], [data-state], [data-zoom]"));
    for (const button of buttons) button.disabled = !isThere;
  }

  /** @param {string} text */
  #complain(text) {
    const place = this.#pick("[data-mistake]");
    place.textContent = text;
    place.hidden = !text;
    for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (this.querySelectorAll("[data-range] input"))) {
      if (text && field.value && text.includes(field.value.trim())) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  /** @param {Answer} answer */
  #show(answer) {
    const picture = this.#picture;
    const known = picture.axes;
    const areas = this.#isShown ? picture.selection.areas(known.cats?.length ?? 1, known.times?.length ?? 1) : [];
    const focus = this.#isShown ? placeText(picture.axes, picture.layout, picture.focus) : readAddress("focus");
    const unit = this.#isShown ? 0 : Number(readAddress("unit"));
    const at = this.#isShown ? this.#at() : readAddress("at");
    this.#pick(".matrix").hidden = false;
    picture.show(answer.axes, answer.lines);
    this.#pick("[data-empty]").hidden = picture.layout.columns > 0 && answer.lines.length > 0;
    if (answer.measured) picture.measure(answer.measured);
    if (unit > 0) {
      picture.isZoomed = true;
      picture.zoom(unit);
    }
    if (this.#isShown) picture.selection.addShifted(areas, shiftOf(known.times, answer.axes.times), answer.axes.times?.length ?? 1);
    else this.#select(readSelection());
    this.#panel.show();
    this.#goTo(at);
    const place = readPlace(focus, picture.axes, picture.layout);
    if (place) picture.moveFocus(place, !at);
    picture.anchor = place;
    this.#isShown = true;
    this.#enable(true);
    this.#legend(answer.levels);
    this.#labelGrid();
    picture.draw();
  }

  /** @param {readonly string[]} texts */
  #select(texts) {
    const { selection, axes } = this.#picture;
    for (const text of texts) {
      if (text === "missing" || text === "failed") selection.setWhere(ONLY[text]);
      const area = readArea(text, axes);
      if (area) selection.addArea(area);
    }
  }

  #at() {
    const { view, axes, layout } = this.#picture;
    return placeText(axes, layout, { row: view.rows.at(0), column: view.columns.at(0.5) });
  }

  /** Begin with what the address says, else with the newest. @param {string} text */
  #goTo(text) {
    const { axes, layout, view, scroller } = this.#picture;
    const place = text ? readPlace(text, axes, layout) : null;
    const left = place ? place.column * view.columns.unit : view.columns.size;
    scroller.scrollTo({ left, top: place ? place.row * view.rows.unit : 0, behavior: "instant" });
  }

  /** Fetch again what may have changed. @param {boolean} whole */
  async #refresh(whole) {
    const picture = this.#picture;
    const source = this.#source;
    await this.#loading; // what is on its way may have been read before the change
    if (!this.#isShown) return;
    const { axes, view, layout } = picture;
    let first = 0;
    let answer;
    if (whole || !axes.times || layout.kind !== "matrix") answer = await source.load();
    else {
      const { left, right } = view.seen;
      first = left;
      answer = await source.load(axes.times[left], axes.times[right - 1]);
    }
    if (picture.axes !== axes || this.#loading) {
      await this.#refresh(true); // another range was chosen meanwhile
      return;
    }
    const isOther = (first === 0 && !sameTexts(answer.axes.times, axes.times, whole)) || !sameTexts(answer.axes.cats, axes.cats, true);
    if (isOther) {
      this.#show(answer); // time has gone on: there are more of them
      return;
    }
    const changed = picture.update(answer.lines, first);
    if (answer.measured && picture.cells.levels) {
      picture.measure(answer.measured, first);
      this.#legend(answer.levels);
    }
    if (!changed) return;
    this.#count();
    this.#panel.show(false);
    this.#details.refresh();
  }

  // What the reader does

  /** @param {import("./picture.js").News} news */
  #hear(news) {
    const picture = this.#picture;
    if (news === "selection") {
      writeSelection(() => this.#panel.texts());
      // a drag tells of many selections between two frames
      if (!this.#isTelling) requestAnimationFrame(() => {
        this.#isTelling = false;
        this.#panel.show();
      });
      this.#isTelling = true;
    } else if (news === "focus") {
      this.#details.focus();
      writeAddress("focus", placeText(picture.axes, picture.layout, picture.focus));
    } else if (this.#isShown) {
      writeAddress("unit", picture.isZoomed ? String(Math.round(picture.view.columns.unit * 1000) / 1000) : "");
      writeAddress("at", picture.isZoomed ? this.#at() : "");
      this.#details.point(null, 0, 0);
    }
  }

  /** @param {Element} target */
  #press(target) {
    const button = /** @type {HTMLElement | null} */ (target.closest("button"));
    if (!button) return;
    const picture = this.#picture;
    const { zoom, select, state } = button.dataset;
    if (zoom === "in" || zoom === "out" || zoom === "fit") picture.zoomBy(zoom);
    if (select === "none") picture.selection.clear();
    else if (select) picture.selection.setWhere(ONLY[select]);
    else if (state) picture.selection.setWhere([STATES.indexOf(state)]);
    if (!select && !state) return;
    // whoever selects what has failed does not mean to run what is missing of it
    const meant = select ?? ["missing", "failed"].find((only) => ONLY[only].includes(STATES.indexOf(state ?? "")));
    if (meant === "missing" || meant === "failed") this.#panel.choose(meant);
    picture.invalidate();
    picture.tell("selection");
  }

  /** @param {HTMLInputElement} field */
  #choose(field) {
    if (field.name === "from" || field.name === "to") this.#load();
    if (field.name !== "colour") return;
    this.#source.colour = /** @type {Colour} */ (field.value);
    writeAddress("colour", field.value === "status" ? "" : field.value);
    void this.#recolour();
  }

  async #recolour() {
    const picture = this.#picture;
    const { colour } = this.#source;
    if (colour === "status") {
      picture.measure(null);
      this.#legend([]);
      return;
    }
    try {
      const { axes } = picture;
      const answer = await this.#source.load();
      if (this.#source.colour !== colour || picture.axes !== axes || !answer.measured) return;
      picture.update(answer.lines);
      picture.measure(answer.measured);
      this.#legend(answer.levels);
      this.#complain("");
    } catch (error) {
      this.#complain(error instanceof Refused ? error.message : "The server can't be reached now.");
    }
  }

  /** Open the execution of a partition, or look into what is gathered. @param {Region} region */
  async #open(region) {
    const picture = this.#picture;
    if (!isSingle(picture, region)) {
      picture.zoomInto(region);
      return;
    }
    try {
      const id = await this.#details.execution(region);
      if (id) location.assign(`/executions/${id}`);
    } catch (error) {
      this.#complain(error instanceof Refused ? error.message : "The server can't be reached now.");
    }
  }

  // Words around the picture

  /** @param {readonly number[]} levels */
  #legend(levels) {
    this.#pick("[data-legend=status]").hidden = levels.length > 0;
    const measured = this.#pick("[data-legend=measure]");
    measured.hidden = levels.length === 0;
    if (levels.length) this.#ramp(measured, levels);
    this.#count();
  }

  /** @param {HTMLElement} place @param {readonly number[]} levels */
  #ramp(place, levels) {
    const [low, high] = this.#picture.cells.levelRange;
    const below = (/** @type {number} */ level) => (level <= levels.length ? `under ${roundDuration(levels[level - 1])}` : `over ${roundDuration(levels[level - 2])}`);
    const [first, last] = this.#source.colour === "age" ? ["newest", "oldest"] : ["quickest", "slowest"];
    this.#pick("[data-lowest]").textContent = `${first}, ${below(low)}`;
    this.#pick("[data-highest]").textContent = `${last}, ${below(high)}`;
    const colours = rampOf(this.#picture.probe, [low, high]);
    place.querySelectorAll("rect").forEach((swatch, index) => {
      const isThere = index + 1 >= low && index + 1 <= high;
      swatch.style.display = isThere ? "" : "none";
      swatch.setAttribute("x", String((index + 1 - low) * 16));
      swatch.style.fill = colours[index];
      const title = /** @type {Element} */ (swatch.firstElementChild);
      title.textContent = below(index + 1);
    });
    place.querySelector("svg")?.setAttribute("width", String((high - low + 1) * 16));
  }

  #count() {
    const counts = this.#picture.cells.count();
    STATES.forEach((state, index) => {
      const place = this.querySelector(`[data-state="${state}"] b`);
      if (!place) return;
      place.textContent = counts[index].toLocaleString("en");
      place.closest("button")?.classList.toggle("zero", !counts[index]);
    });
    this.#pick("[data-total]").textContent = `${total(counts).toLocaleString("en")} partitions`;
  }

  #labelGrid() {
    const { scroller, layout } = this.#picture;
    scroller.setAttribute("aria-rowcount", String(layout.rows));
    scroller.setAttribute("aria-colcount", String(layout.columns));
  }
}

/** By how much the places on one axis differ from those on another. @param {string[] | null} known @param {string[] | null} fresh */
function shiftOf(known, fresh) {
  if (!known?.length || !fresh?.length) return 0;
  const later = fresh.indexOf(known[0]);
  return later >= 0 ? later : -Math.max(known.indexOf(fresh[0]), 0);
}

/** @param {string[] | null} fresh @param {string[] | null} known @param {boolean} whole whether the ends are to be alike as well */
function sameTexts(fresh, known, whole) {
  if (!fresh || !known) return fresh === known;
  return !whole || (fresh.length === known.length && fresh[0] === known[0] && fresh.at(-1) === known.at(-1));
}

customElements.define("partition-matrix", PartitionMatrix);
