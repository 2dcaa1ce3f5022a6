// form[data-stay]: is sent without leaving the page; what became of it is shown by the regions that are live.

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (form.dataset.stay === undefined || event.defaultPrevented) return;
  event.preventDefault();
  void send(form);
});

/** @param {HTMLFormElement} form */
async function send(form) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(), redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.ok) {
      document.dispatchEvent(new CustomEvent("microflow:resync"));
      return;
    }
  } catch {
    // the server is gone for now; sent as any form, the browser says so
  }
  form.submit(); // it was refused: the page of the answer says why
}
