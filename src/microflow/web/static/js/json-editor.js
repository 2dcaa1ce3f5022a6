// textarea[data-json]: says beside the field what is wrong with the JSON in it, once the reader pauses; Ctrl+Enter sends the form.

import { mistakeIn } from "./json-check.js";

const PAUSE = 700;

/** @param {HTMLTextAreaElement} field */
function mistakeOf(field) {
  // an empty field is for the server to judge
  return field.value.trim() ? mistakeIn(field.value) : "";
}

/** @param {HTMLTextAreaElement} field */
function check(field) {
  const slot = document.getElementById(field.getAttribute("aria-describedby") ?? "");
  if (!slot) return;
  const mistake = mistakeOf(field);
  if (mistake) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
  slot.replaceChildren();
  if (!mistake) return;
  const text = document.createElement("p");
  text.className = "mistake";
  text.textContent = mistake;
  slot.append(text);
}

/** @type {WeakMap<HTMLTextAreaElement, ReturnType<typeof setTimeout>>} */
const waiting = new WeakMap();

/** @type {NodeListOf<HTMLTextAreaElement>} */
const fields = document.querySelectorAll("textarea[data-json]");
for (const field of fields) {
  // never when the field is left: a message that comes or goes then moves the button that is being pressed
  field.addEventListener("input", () => {
    clearTimeout(waiting.get(field));
    if (field.hasAttribute("aria-invalid") && !mistakeOf(field)) check(field);
    else waiting.set(field, setTimeout(() => check(field), PAUSE));
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    /** @type {HTMLButtonElement | null | undefined} */
    const run = field.form?.querySelector('[name="act"][value="run"]');
    field.form?.requestSubmit(run);
  });
}
