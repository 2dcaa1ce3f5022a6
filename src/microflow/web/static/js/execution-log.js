// <execution-log>: goes on where the server stopped writing, and follows the end unless the reader scrolled up.

/** @typedef {import("./events.js").Change} Change */

/**
 * @typedef {object} LogText
 * @property {string} text
 * @property {number} next
 * @property {number} left_out
 * @property {boolean} ended
 */

const PAUSE = 250;
const LOOK_EVERY = 3000;
const NEAR_THE_END = 24;
const KEPT = 2_000_000;

/**
 * Text as it is shown: without what is for a terminal alone, and of a line that was written over only the last version.
 * @param {string} text
 */
function cleaned(text) {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  const shown = text.replace(/\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b\n]*(?:\u0007|\u001b\\))/g, "");
  const plain = shown.replace(/\r\n/g, "\n");
  if (!plain.includes("\r")) return plain;
  // not by a pattern such as [^\n]*\r, which looks at the rest of a line from each of its characters
  const lines = plain.split("\n").map((line) => line.slice(line.lastIndexOf("\r") + 1));
  return lines.join("\n");
}

class ExecutionLog extends HTMLElement {
  #next = 0;
  #id = 0;
  #running = false;
  #following = false;
  #fetching = false;
  #again = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #planned;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looking;

  connectedCallback() {
    this.#id = Number(this.dataset.execution);
    this.#next = Number(this.dataset.next);
    this.#running = this.hasAttribute("data-running");
    this.#following = this.#running || this.querySelector(".gap") !== null;
    this.#text.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#button.addEventListener("click", () => {
      this.#following = true;
      this.#follow();
    });
    this.#follow();
    if (!this.#running) return;
    document.addEventListener("microflow:change", this.#changed);
    document.addEventListener("microflow:resync", this.#resynced);
    // what a child process writes is in the file before anybody tells of it
    this.#looking = setInterval(this.#resynced, LOOK_EVERY);
    this.#plan();
  }

  disconnectedCallback() {
    this.#stop();
  }

  get #text() {
    return /** @type {HTMLPreElement} */ (this.querySelector("pre"));
  }

  get #button() {
    return /** @type {HTMLButtonElement} */ (this.querySelector("button"));
  }

  #stop() {
    this.#running = false;
    clearInterval(this.#looking);
    clearTimeout(this.#planned);
    document.removeEventListener("microflow:change", this.#changed);
    document.removeEventListener("microflow:resync", this.#resynced);
  }

  /** @param {Event} event */
  #changed = (event) => {
    const change = /** @type {CustomEvent<Change>} */ (event).detail;
    if (change.id === this.#id && change.topic !== "progress") this.#plan();
  };

  #resynced = () => {
    if (!document.hidden) this.#plan();
  };

  #plan() {
    if (this.#fetching) this.#again = true;
    else this.#planned ??= setTimeout(() => void this.#fetch(), PAUSE);
  }

  async #fetch() {
    this.#planned = undefined;
    this.#fetching = true;
    this.#again = false;
    try {
      for (;;) {
        const response = await fetch(`/api/executions/${this.#id}/logs?after=${this.#next}`, { cache: "no-store" });
        if (!response.ok) break;
        /** @type {LogText} */
        const part = await response.json();
        this.#next = part.next;
        if (part.left_out) this.#addGap(part.left_out);
        if (part.text) this.#add(part.text);
        else {
          if (part.ended) this.#finish();
          break;
        }
      }
    } catch {
      // the server is gone for now; the next change, or the next look, tries again
    } finally {
      this.#fetching = false;
      if (this.#again && this.#running) this.#plan();
    }
  }

  /** @param {string} text */
  #add(text) {
    this.querySelector(".none")?.remove();
    const piece = document.createElement("span");
    piece.className = "piece";
    piece.textContent = cleaned(text);
    this.#text.append(piece);
    this.#forget();
    this.#follow();
  }

  /** @param {number} bytes */
  #addGap(bytes) {
    const gap = document.createElement("span");
    gap.className = "gap";
    gap.textContent = `${bytes.toLocaleString("en")} bytes were left out here to keep the log within its limit`;
    this.#text.append(gap);
  }

  /** A log without end must not fill the browser: what is far above goes, and a line says where it is. */
  #forget() {
    let length = this.#text.textContent?.length ?? 0;
    if (length <= KEPT) return;
    const pieces = [...this.#text.children];
    while (length > KEPT / 2 && pieces.length > 1) {
      const first = /** @type {Element} */ (pieces.shift());
      length -= first.textContent?.length ?? 0;
      first.remove();
    }
    const gap = document.createElement("span");
    gap.className = "gap";
    gap.textContent = "What was printed before this is in the log as text";
    this.#text.prepend(gap);
  }

  #finish() {
    this.#stop();
    const none = this.querySelector(".none");
    if (none) none.textContent = "It printed nothing.";
  }

  #scrolled() {
    const text = this.#text;
    this.#following = text.scrollHeight - text.scrollTop - text.clientHeight < NEAR_THE_END;
    this.#button.hidden = this.#following || !this.#running;
  }

  #follow() {
    if (!this.#following) return;
    this.#text.scrollTop = this.#text.scrollHeight;
    this.#button.hidden = true;
  }
}

customElements.define("execution-log", ExecutionLog);
