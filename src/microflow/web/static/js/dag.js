// <dag-picture>: moves, zooms and traces a DAG that the server has drawn. It is moved by scrolling, so that arrow keys, wheels and
// fingers do what they do everywhere, and zoomed by the size of its SVG. Without this it can be read at 100 %.

const SMALLEST = 0.08;
const LARGEST = 2.5;
const STEP = 1.25;
/** Nobody reads names below this, so a picture that fits only below it begins larger. */
const READABLE = 0.8;
/** Below this, names are left out and marks are drawn large. */
const FAR = 0.5;
const DRAG_FROM = 4;

/** @param {Touch} one @param {Touch} other */
function distance(one, other) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
}

class DagPicture extends HTMLElement {
  #scale = 1;
  /** Whether the scale is still the one chosen here, which follows the size of the window. */
  #chosen = false;
  /** The number of the node that is traced; "" if none is. */
  #traced = "";

  connectedCallback() {
    const scroller = this.#scroller;
    this.#pick(".tools").hidden = false;
    this.addEventListener("click", (event) => this.#press(/** @type {Element} */ (event.target)));
    this.addEventListener("keydown", (event) => this.#key(event));
    scroller.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#drag(scroller);
    this.#pinch(scroller);
    scroller.addEventListener("pointerover", (event) => this.#point(event.target));
    scroller.addEventListener("pointerleave", () => this.#point(document.activeElement));
    scroller.addEventListener("focusin", (event) => this.#point(event.target));
    scroller.addEventListener("focusout", (event) => this.#point(event.relatedTarget));
    document.addEventListener("microflow:incoming", this.#incoming);
    new ResizeObserver(() => {
      if (!this.#chosen) this.#begin();
    }).observe(scroller);
  }

  disconnectedCallback() {
    document.removeEventListener("microflow:incoming", this.#incoming);
  }

  /** @param {string} selector @returns {HTMLElement} */
  #pick(selector) {
    return /** @type {HTMLElement} */ (this.querySelector(selector));
  }

  get #scroller() {
    return this.#pick(".scroller");
  }

  get #scene() {
    return /** @type {SVGSVGElement} */ (this.querySelector(".scene"));
  }

  // Zoom

  /** The scale at which everything is seen, but never more than 100 %. */
  get #fitting() {
    const { width, height } = this.#scene.viewBox.baseVal;
    return Math.min(this.#scroller.clientWidth / width, this.#scroller.clientHeight / height, 1);
  }

  /** As it is first seen: in its whole width if that can be read, around what the page is about. */
  #begin() {
    const { width, height } = this.#scene.viewBox.baseVal;
    this.#draw(this.#scene, Math.min(Math.max(this.#scroller.clientWidth / width, READABLE), 1));
    this.#pick(".room").setAttribute("height", String(Math.ceil(height * this.#scale)));
    const here = this.querySelector(".node.here");
    if (here) this.#centre(here);
  }

  /** @param {Element} element */
  #centre(element) {
    const seen = this.#scroller.getBoundingClientRect();
    const box = element.getBoundingClientRect();
    this.#scroller.scrollBy(box.x + box.width / 2 - seen.x - seen.width / 2, box.y + box.height / 2 - seen.y - seen.height / 2);
  }

  /** @param {SVGSVGElement} scene @param {number} scale */
  #draw(scene, scale) {
    const { width, height } = this.#scene.viewBox.baseVal;
    this.#scale = scale;
    scene.setAttribute("width", String(width * scale));
    scene.setAttribute("height", String(height * scale));
    scene.classList.toggle("far", scale < FAR);
    this.#pick(".zoomed").textContent = `${Math.round(scale * 100)} %`;
  }

  /**
   * Zoom, so that what is at a point of the window stays there.
   * @param {number} scale @param {number} [x] @param {number} [y]
   */
  #zoom(scale, x, y) {
    const scroller = this.#scroller;
    const seen = scroller.getBoundingClientRect();
    const atX = x ?? seen.x + seen.width / 2;
    const atY = y ?? seen.y + seen.height / 2;
    const before = this.#scene.getBoundingClientRect();
    const across = (atX - before.x) / before.width;
    const down = (atY - before.y) / before.height;
    this.#chosen = true;
    this.#draw(this.#scene, Math.min(Math.max(scale, Math.min(SMALLEST, this.#fitting)), LARGEST));
    const after = this.#scene.getBoundingClientRect();
    scroller.scrollBy(after.x + across * after.width - atX, after.y + down * after.height - atY);
  }

  /** @param {string | undefined} how */
  #zoomTo(how) {
    if (how === "in") this.#zoom(this.#scale * STEP);
    if (how === "out") this.#zoom(this.#scale / STEP);
    if (how === "whole") this.#zoom(1);
    if (how === "fit") this.#zoom(this.#fitting);
  }

  /** @param {Element} target */
  #press(target) {
    this.#zoomTo(/** @type {HTMLElement | null} */ (target.closest("[data-zoom]"))?.dataset.zoom);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const how = { "+": "in", "=": "in", "-": "out", 0: "whole", f: "fit", F: "fit" }[event.key];
    if (!how) return;
    event.preventDefault();
    this.#zoomTo(how);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // a wheel that comes by scrolls the page; one that stays (after a click into the picture), or pinches, zooms
    const stays = this.#scroller.contains(document.activeElement) && !event.shiftKey;
    if (!event.ctrlKey && !event.metaKey && !stays) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / 20 : event.deltaY;
    this.#zoom(this.#scale * 1.06 ** -Math.min(Math.max(lines, -8), 8), event.clientX, event.clientY);
  }

  /** Two fingers zoom; one scrolls by itself. @param {HTMLElement} scroller */
  #pinch(scroller) {
    let apart = 0;
    let scale = 1;
    const begin = (/** @type {TouchEvent} */ { touches: [one, other] }) => {
      [apart, scale] = [one && other ? distance(one, other) : 0, this.#scale];
    };
    scroller.addEventListener("touchstart", begin, { passive: true });
    scroller.addEventListener("touchend", begin, { passive: true });
    scroller.addEventListener(
      "touchmove",
      (event) => {
        const [one, other] = event.touches;
        if (!one || !other || !apart) return;
        event.preventDefault();
        this.#zoom((scale * distance(one, other)) / apart, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2);
      },
      { passive: false },
    );
  }

  /** A mouse moves the picture by dragging it; fingers do so without help. @param {HTMLElement} scroller */
  #drag(scroller) {
    /** @type {{ x: number, y: number, left: number, top: number } | null} */
    let held = null;
    let moved = false;
    scroller.addEventListener("dragstart", (event) => event.preventDefault());
    scroller.addEventListener("pointerdown", (event) => {
      moved = false;
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      held = { x: event.clientX, y: event.clientY, left: scroller.scrollLeft, top: scroller.scrollTop };
    });
    scroller.addEventListener("pointermove", (event) => {
      if (event.buttons === 0) held = null; // it was let go outside
      if (!held) return;
      const [across, down] = [event.clientX - held.x, event.clientY - held.y];
      if (!moved && Math.hypot(across, down) < DRAG_FROM) return;
      if (!moved) scroller.setPointerCapture(event.pointerId);
      moved = true;
      scroller.classList.add("dragging");
      scroller.scrollTo(held.left - across, held.top - down);
    });
    for (const over of ["pointerup", "pointercancel"]) {
      scroller.addEventListener(over, () => {
        held = null;
        scroller.classList.remove("dragging");
      });
    }
    // the end of a drag is no click on the node below
    scroller.addEventListener(
      "click",
      (event) => {
        if (moved) event.preventDefault();
        moved = false;
      },
      true,
    );
  }

  // Trace

  /** @param {EventTarget | null} target */
  #point(target) {
    const node = target instanceof Element ? target.closest(".node") : null;
    const number = node && this.contains(node) ? (node.getAttribute("data-node") ?? "") : "";
    if (number === this.#traced) return;
    this.#traced = number;
    this.#mark(this.#scene);
  }

  /** Mark what leads to the traced node and what follows from it. @param {Element} scene */
  #mark(scene) {
    const edges = [...scene.querySelectorAll(".edge")].map((path) => ({
      path,
      from: path.getAttribute("data-from") ?? "",
      to: path.getAttribute("data-to") ?? "",
    }));
    const traced = this.#traced;
    /** @type {Set<string>} */
    const nodes = new Set([traced]);
    /** @type {Set<Element>} */
    const paths = new Set();
    for (const [near, away] of /** @type {const} */ ([["to", "from"], ["from", "to"]])) {
      const reached = new Set([traced]);
      for (const number of reached) {
        for (const edge of edges) {
          if (edge[near] !== number) continue;
          paths.add(edge.path);
          reached.add(edge[away]);
          nodes.add(edge[away]);
        }
      }
    }
    scene.classList.toggle("traced", traced !== "");
    for (const { path } of edges) path.classList.toggle("on", traced !== "" && paths.has(path));
    for (const node of scene.querySelectorAll(".node")) {
      node.classList.toggle("on", traced !== "" && nodes.has(node.getAttribute("data-node") ?? ""));
    }
  }

  /** What live.js is about to show gets the reader's zoom and trace first, so that nothing jumps. @param {Event} event */
  #incoming = (event) => {
    const page = /** @type {CustomEvent<Document>} */ (event).detail;
    const scene = page.getElementById(this.#scene.id);
    if (!(scene instanceof SVGSVGElement)) return;
    this.#draw(scene, this.#scale);
    if (this.#traced) this.#mark(scene);
  };
}

customElements.define("dag-picture", DagPicture);
