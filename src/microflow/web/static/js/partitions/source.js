// What the server knows of a job's partitions: fetched whole at first, and again, in the part that is seen, as executions change.

import { expand } from "./times.js";

/** @typedef {import("../events.js").Change} Change */
/** @typedef {import("./layout.js").Axes} Axes */
/** @typedef {import("./times.js").Frequency} Frequency */
/** @typedef {"status" | "duration" | "age"} Colour */

/**
 * An answer: for each category a text with one letter for each time. `measured` likewise, if a measure was asked for, of which
 * `levels` are the upper ends in seconds.
 * @typedef {object} Answer
 * @property {Axes} axes
 * @property {string[]} lines
 * @property {string[] | null} measured
 * @property {number[]} levels
 */

/**
 * What the server says of an execution that a partition's state is of.
 * @typedef {object} Run
 * @property {string} status
 * @property {number | null} execution_id
 * @property {string | null} started_at
 * @property {string | null} ended_at
 * @property {number | null} duration in seconds
 * @property {number | null} attempt
 */

/**
 * What the server says of one partition; `last` is the newest execution that ended, while another one is queued or running.
 * @typedef {Run & { queued_at: string | null, last: Run | null }} Detail
 */

/** How many cells are fetched again without thinking twice. */
const MANY = 40_000;
const SHORTEST_PAUSE = 400;
const WHOLE_EVERY = 5000;
const KEPT = 4;

/** A request that was refused, with the server's words. */
export class Refused extends Error {}

/**
 * @param {string} address @param {unknown} [body] what is sent, as JSON; without it the request only looks
 * @returns {Promise<any>}
 */
export async function ask(address, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(address, { cache: "no-store", ...options });
  const answer = response.headers.get("Content-Type")?.includes("json") ? await response.json() : null;
  if (!response.ok) throw new Refused(answer?.detail ?? `The server answered ${response.status}.`);
  return answer;
}

export class Source {
  /** @type {Colour} */
  colour = "status";
  from = "";
  to = "";
  /** The axes of the last answers, by what they were told as. @type {Map<string, Axes>} */
  #known = new Map();

  /** @param {string} address of the job's partitions @param {string} flow @param {string} job */
  constructor(address, flow, job) {
    this.address = address;
    this.flow = flow;
    this.job = job;
  }

  /** @param {string} [from] @param {string} [to] @returns {Promise<Answer>} */
  async load(from = this.from, to = this.to) {
    const query = new URLSearchParams({ form: "compact" });
    if (from) query.set("from", from);
    if (to) query.set("to", to);
    if (this.colour !== "status") query.set("measure", this.colour);
    const answer = await ask(`${this.address}?${query}`);
    return {
      axes: this.#axes(answer.frequency, answer.time, answer.cat),
      lines: answer.cells,
      measured: answer.measured ?? null,
      levels: answer.levels ?? [],
    };
  }

  /**
   * The axes of an answer; the same object as before if they are the same, since to write 10,000 partitions takes its time.
   * @param {Frequency | null} frequency @param {[string, number][] | null} stretches @param {string[] | null} cats
   */
  #axes(frequency, stretches, cats) {
    const key = JSON.stringify([stretches, cats]);
    const known = this.#known.get(key);
    if (known) return known;
    const axes = { frequency, times: frequency && stretches ? expand(stretches, frequency) : null, cats };
    if (this.#known.size >= KEPT) this.#known.clear();
    this.#known.set(key, axes);
    return axes;
  }

  /** @param {string | undefined} time @param {string | undefined} cat @returns {Promise<Detail>} */
  detail(time, cat) {
    const query = new URLSearchParams();
    if (time !== undefined) query.set("time_partition", time);
    if (cat !== undefined) query.set("cat_partition", cat);
    return ask(`${this.address}/detail?${query}`);
  }
}

/** Fetches again when executions of the job change: not at once, not twice at a time, and the less often the longer it takes. */
export class Follower {
  #stale = false;
  #whole = false;
  #fetching = false;
  #lastWhole = 0;
  #rest = SHORTEST_PAUSE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #planned;

  /**
   * @param {Source} source
   * @param {(whole: boolean) => Promise<void>} fetch everything, or what is seen
   * @param {() => number} count how many cells there are
   */
  constructor(source, fetch, count) {
    this.source = source;
    this.fetch = fetch;
    this.count = count;
    document.addEventListener("microflow:change", this.#changed);
    document.addEventListener("microflow:resync", this.#resynced);
    document.addEventListener("visibilitychange", this.#seen);
  }

  stop() {
    clearTimeout(this.#planned);
    document.removeEventListener("microflow:change", this.#changed);
    document.removeEventListener("microflow:resync", this.#resynced);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  /** @param {Event} event */
  #changed = (event) => {
    const change = /** @type {CustomEvent<Change>} */ (event).detail;
    if (change.topic !== "execution" || change.flow !== this.source.flow || change.job !== this.source.job) return;
    this.#stale = true;
    this.#plan();
  };

  #resynced = () => {
    this.#stale = this.#whole = true;
    this.#plan();
  };

  #seen = () => {
    if (!document.hidden && this.#stale) this.#plan();
  };

  #plan() {
    if (!this.#fetching && !document.hidden) this.#planned ??= setTimeout(() => void this.#go(), this.#rest);
  }

  async #go() {
    this.#planned = undefined;
    this.#fetching = true;
    const isDue = performance.now() - this.#lastWhole > WHOLE_EVERY;
    const whole = this.#whole || this.count() <= MANY || isDue;
    this.#stale = this.#whole = false;
    const begun = performance.now();
    let hasFailed = false;
    try {
      await this.fetch(whole);
    } catch {
      hasFailed = true;
    }
    const now = performance.now();
    if (hasFailed) {
      // what could not be fetched is still stale: no other change need ever tell of it again
      this.#stale = true;
      this.#whole ||= whole;
    } else if (whole) this.#lastWhole = now;
    // what is not seen changes too: when things are quiet again, everything is fetched once more
    else if (!this.#stale) this.#whole = this.#stale = true;
    const isSlow = hasFailed || (this.#whole && !whole);
    this.#rest = isSlow ? WHOLE_EVERY / 2 : Math.max(SHORTEST_PAUSE, 3 * (now - begun));
    this.#fetching = false;
    if (this.#stale) this.#plan();
  }
}
