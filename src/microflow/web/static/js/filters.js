// form[data-filters]: a change is in the address and in the list at once, without a page load that would lose the reader's place.

/** @param {HTMLFormElement} form */
function address(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value) query.append(name, value);
  }
  const text = query.toString();
  return text ? `${form.action}?${text}` : form.action;
}

/** @param {HTMLFormElement} form */
function apply(form) {
  const wanted = address(form);
  if (wanted === location.href) return;
  history.replaceState(null, "", wanted);
  document.dispatchEvent(new CustomEvent("microflow:resync"));
}

/** @type {NodeListOf<HTMLFormElement>} */
const forms = document.querySelectorAll("form[data-filters]");
for (const form of forms) {
  form.addEventListener("change", () => apply(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply(form);
  });
}
