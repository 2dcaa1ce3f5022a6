// The panel below the picture: how much is selected, what of it would run and how long that is likely to take, and the button that
// runs it. Without scripts the same form is sent with a range and categories that are typed.

import { ONLY, STATES, total } from "./cells.js";
import { countElements, element } from "./words.js";
import { Refused, ask } from "./source.js";
import { areaText } from "./selection.js";
import { duration } from "../times.js";

/** @typedef {import("./picture.js").Picture} Picture */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./selection.js").Area} Area */

const PAUSE = 250;

export class Panel {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #planned;
  #turn = 0;
  #sending = false;
  #count = 0;
  /** Whether just this was started already; it is not started twice by mistake. */
  #begun = false;

  /** @param {Picture} picture @param {Source} source @param {HTMLFormElement} form @param {HTMLElement} summary what is selected, in words */
  constructor(picture, source, form, summary) {
    this.picture = picture;
    this.source = source;
    this.form = form;
    this.summary = summary;
    this.estimate = this.#pick("[data-estimate]");
    this.button = /** @type {HTMLButtonElement} */ (this.#pick("[data-run]"));
    this.told = this.#pick("[data-told]");
    this.button.disabled = true; // until there is something to run
    for (const change of ["input", "change"]) {
      form.addEventListener(change, () => {
        this.#begun = false;
        this.#plan();
      });
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#run();
    });
  }

  /** @param {string} selector @returns {HTMLElement} */
  #pick(selector) {
    return /** @type {HTMLElement} */ (this.form.querySelector(selector));
  }

  /** What is selected is something else, or has another state now. @param {boolean} [isOther] */
  show(isOther = true) {
    if (isOther) this.#begun = false;
    const { selection } = this.picture;
    const counts = selection.counts();
    const all = total(counts);
    this.summary.replaceChildren(
      element("strong", all ? `${all.toLocaleString("en")} selected` : "Nothing selected"),
      ...(all ? countElements(counts) : [element("span", "Click a partition, drag over some, or click a label.", "soft")]),
    );
    for (const [only, states] of Object.entries(ONLY)) {
      const place = this.form.querySelector(`[data-count="${only}"]`);
      if (place) place.textContent = all ? total(counts, states).toLocaleString("en") : "";
    }
    this.#plan();
  }

  /** Which of what is selected are to run. @param {string} only */
  choose(only) {
    /** @type {HTMLInputElement} */ (this.#pick(`[name="only"][value="${only}"]`)).checked = true;
  }

  get #only() {
    return new FormData(this.form).get("only")?.toString() ?? "all";
  }

  /** How many partitions would run, as far as the picture knows. */
  get #wanted() {
    return total(this.picture.selection.counts(), ONLY[this.#only]);
  }

  /** What the server is asked to run. */
  #body() {
    const { times } = this.picture.axes;
    // all that is missing may be thousands of areas, and is said in a word
    const where = this.#word === this.#only ? { start: times?.[0] ?? null, end: times?.at(-1) ?? null } : { areas: this.#areas.map((area) => this.#areaBody(area)) };
    const fields = new FormData(this.form);
    const number = (/** @type {string} */ name) => Number(fields.get(name)?.toString().trim() || NaN) || null;
    return {
      ...where,
      only: this.#only,
      order: fields.get("order")?.toString() ?? "asc",
      batch_size: number("batch_size"),
      max_concurrency: number("max_concurrency"),
      with_inputs: fields.get("with_inputs") === "yes",
    };
  }

  /** @param {Area} area */
  #areaBody(area) {
    const { times, cats } = this.picture.axes;
    return {
      start: times ? times[area.first] : null,
      end: times ? times[area.last] : null,
      cat_partitions: cats && area.lines.length < cats.length ? area.lines.map((line) => cats[line]) : null,
    };
  }

  #mistake() {
    for (const name of ["batch_size", "max_concurrency"]) {
      const field = /** @type {HTMLInputElement} */ (this.#pick(`[name="${name}"]`));
      const text = field.value.trim();
      const isWrong = text !== "" && !/^[1-9]\d{0,8}$/.test(text);
      if (isWrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
      if (isWrong) return `${field.labels?.[0]?.firstChild?.textContent?.trim() ?? name} is a whole number from 1 on.`;
    }
    return "";
  }

  #plan() {
    clearTimeout(this.#planned);
    this.#count = this.#wanted;
    this.#label();
    const mistake = this.#mistake();
    this.button.disabled = !this.#count || mistake !== "" || this.#sending || this.#begun;
    this.told.hidden = !this.#begun;
    const turn = ++this.#turn;
    if (this.#begun) {
      this.#tell("");
      return;
    }
    if (!this.#count || mistake) {
      this.#tell(mistake || (this.picture.selection.count ? `None of what is selected is ${this.#only.replaceAll("_", " ")}.` : ""), mistake ? "error" : "");
      return;
    }
    this.#planned = setTimeout(() => void this.#preview(turn), PAUSE);
  }

  #label() {
    const noun = this.#count === 1 ? "partition" : "partitions";
    this.#pick("[data-run] span").textContent = this.#count ? `Run ${this.#count.toLocaleString("en")} ${noun}` : "Run";
  }

  /** @param {string} text @param {string} [status] */
  #tell(text, status = "") {
    this.estimate.textContent = text;
    this.estimate.className = status ? `hint ${status}` : "hint";
  }

  /** @param {number} turn */
  async #preview(turn) {
    try {
      const plan = await ask(`${this.source.address}/plan`, this.#body());
      if (turn !== this.#turn) return;
      this.#count = plan.partitions;
      this.#label();
      this.#tell(planText(plan));
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#tell(error instanceof Refused ? error.message : "The server can't be reached now.", "error");
      this.button.disabled = error instanceof Refused;
    }
  }

  async #run() {
    if (this.button.disabled) return;
    this.#sending = this.button.disabled = true;
    try {
      const started = await ask(`${this.source.address}/executions`, this.#body());
      this.#begun = true;
      this.#started(started.id);
    } catch (error) {
      this.#tell(error instanceof Refused ? error.message : "The server can't be reached now; nothing was started.", "error");
    } finally {
      this.#sending = false;
      this.#plan();
    }
  }

  /** @param {number} id */
  #started(id) {
    const link = /** @type {HTMLAnchorElement} */ (element("a", `execution #${id}`));
    link.href = `/executions/${id}`;
    const text = element("span", "Started as ");
    text.append(link, ".");
    this.told.replaceChildren(text);
  }

  /** The selection as the texts of an address. @returns {string[]} */
  texts() {
    const { axes, selection } = this.picture;
    if (!selection.count) return [];
    return this.#word ? [this.#word] : this.#areas.map((area) => areaText(area, axes));
  }

  get #areas() {
    const { axes, selection } = this.picture;
    return selection.areas(axes.cats?.length ?? 1, axes.times?.length ?? 1);
  }

  /** "missing" or "failed", if the selection is all that is; else "". */
  get #word() {
    const { selection, cells } = this.picture;
    const counts = selection.counts();
    const everything = cells.count();
    const isAll = (/** @type {string} */ word) => STATES.every((_, state) => counts[state] === (ONLY[word].includes(state) ? everything[state] : 0));
    return ["missing", "failed"].find(isAll) ?? "";
  }
}

/** @param {{ partitions: number, executions: number, concurrency: number, seconds_each: number | null, seconds: number | null }} plan */
function planText(plan) {
  if (!plan.partitions) return "Nothing is left to run.";
  const count = (/** @type {number} */ number, /** @type {string} */ noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const parts = [count(plan.executions, "execution")];
  if (plan.executions > 1) parts.push(`${plan.concurrency.toLocaleString("en")} at a time`);
  const likely = plan.seconds === null ? "How long it takes is not known before the first has succeeded." : `About ${duration(plan.seconds)}.`;
  return `${parts.join(", ")}. ${likely}`;
}
