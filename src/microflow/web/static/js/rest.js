// Whether the reader's pointer rests. What is about to be pressed must not move away below it, so live.js waits for that.

/** Milliseconds without a movement after which a pointer rests. */
const RESTING = 500;
/** Milliseconds for which a pointer that never rests holds up a page. */
const LONGEST = 2500;

let moved = -Infinity;
let isDown = false;

/** @param {Event} event */
function isOverLive(event) {
  return event.target instanceof Element && event.target.closest("[data-live]") !== null;
}

function letGo() {
  isDown = false;
  moved = -Infinity;
}

document.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" && isOverLive(event)) moved = performance.now();
  if (!event.buttons) isDown = false; // it was let go of where this page does not hear of it
});
document.addEventListener("pointerdown", (event) => {
  isDown = isOverLive(event);
});
document.addEventListener("pointerup", () => setTimeout(letGo)); // a click follows at once
for (const name of ["pointercancel", "keydown", "blur"]) addEventListener(name, letGo);

/** Resolves once the pointer rests and holds nothing down. */
export async function rest() {
  const end = performance.now() + LONGEST;
  for (;;) {
    const left = Math.min(end, moved + RESTING) - performance.now();
    if (left <= 0 && !isDown) return;
    await new Promise((done) => setTimeout(done, Math.max(left, 50)));
  }
}
