// textarea[data-json]: says beside the field what is wrong with the JSON in it, once the reader pauses; Ctrl+Enter sends the form.

const PAUSE = 700;

/**
 * What is wrong with a text, or "" if nothing is. An empty field is for the server to judge.
 * @param {string} text
 */
function mistakeIn(text) {
  if (!text.trim()) return "";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return `${place(message, text)}${plain(message)}`;
  }
}

/** @param {string} message @param {string} text */
function place(message, text) {
  const lines = /line (\d+) column (\d+)/.exec(message);
  if (lines) return `Line ${lines[1]}, column ${lines[2]}: `;
  const position = /position (\d+)/.exec(message);
  if (!position) return "";
  const before = text.slice(0, Number(position[1])).split("\n");
  return `Line ${before.length}, column ${(before.at(-1) ?? "").length + 1}: `;
}

/** @param {string} message */
function plain(message) {
  const text = message
    .replace(/^JSON\.parse: /, "")
    .replace(/ in JSON at.*$/s, "")
    .replace(/ (after .*)? ?at line.*$/s, "$1")
    .replace(/, (\.\.\.)?".*" is not valid JSON$/s, "");
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`.replace(/\.?$/, ".");
}

/** @param {HTMLTextAreaElement} field */
function check(field) {
  const slot = document.getElementById(field.getAttribute("aria-describedby") ?? "");
  if (!slot) return;
  const mistake = mistakeIn(field.value);
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
    if (field.hasAttribute("aria-invalid") && !mistakeIn(field.value)) check(field);
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
