// [data-theme-toggle]: a button that goes from the system's theme to light, to dark, and back. The choice stays in localStorage.

const KEY = "microflow-theme";

/** @typedef {"system" | "light" | "dark"} Theme */

/** @type {Record<Theme, Theme>} */
const AFTER = { system: "light", light: "dark", dark: "system" };

/** @returns {Theme} */
function current() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

/** @param {Theme} theme */
function choose(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // storage is switched off: the choice holds for this page
  }
}

/** @param {HTMLElement} button */
function show(button) {
  const theme = current();
  const text = `Theme: ${theme}. Change to ${AFTER[theme]}`;
  button.setAttribute("aria-label", text);
  button.title = text;
  for (const icon of button.querySelectorAll("[data-theme-icon]")) {
    /** @type {HTMLElement} */ (icon).hidden = icon.getAttribute("data-theme-icon") !== theme;
  }
  button.hidden = false;
}

/** @type {NodeListOf<HTMLElement>} */
const buttons = document.querySelectorAll("[data-theme-toggle]");
for (const button of buttons) {
  show(button);
  button.addEventListener("click", () => {
    choose(AFTER[current()]);
    buttons.forEach(show);
  });
}

// another tab chose
addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  choose(event.newValue === "light" || event.newValue === "dark" ? event.newValue : "system");
  buttons.forEach(show);
});
