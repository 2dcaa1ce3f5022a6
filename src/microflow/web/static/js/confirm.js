// form[data-confirm]: asks before it is sent. data-confirm is the question, data-confirm-text what follows from a yes,
// data-confirm-act and data-confirm-back what the two buttons say.

/** @type {WeakSet<HTMLFormElement>} */
const confirmed = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.dataset.confirm || confirmed.has(form)) return;
  event.preventDefault();
  ask(form);
});

/** @param {HTMLFormElement} form */
function ask(form) {
  const { confirm: question = "", confirmText = "", confirmAct = "Go on", confirmBack = "Back" } = form.dataset;
  const heading = element("h2", question);
  heading.id = "confirm-head";
  const back = element("button", confirmBack);
  back.className = "button";
  const act = element("button", confirmAct);
  act.className = "button danger";
  const actions = document.createElement("div");
  actions.className = "actions";
  actions.append(back, act);
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(heading, element("p", confirmText), actions);
  back.addEventListener("click", () => dialog.close());
  act.addEventListener("click", () => {
    confirmed.add(form);
    dialog.close();
    form.requestSubmit();
  });
  // a click beside the dialog is one on itself: its content covers the rest
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  back.focus();
}

/** @param {string} name @param {string} text */
function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
