// Sets the theme the reader chose before the first paint; a classic script, since a module would run after it. See theme.js.
(() => {
  document.documentElement.dataset.scripts = "on"; // what is only there for pages without them goes: [data-without-scripts]
  try {
    const chosen = localStorage.getItem("microflow-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage is switched off: the system's theme it is
  }
})();
