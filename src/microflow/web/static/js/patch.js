// Makes one element like another by the fewest changes, so that focus, scroll, selection and open details stay as they are.

/**
 * What an element is known by from one version to the next: its id or its data-key.
 * @param {Node} node
 * @returns {string | null}
 */
function keyOf(node) {
  if (!(node instanceof Element)) return null;
  return node.id || node.getAttribute("data-key");
}

/** @param {Element} from @param {Element} to */
function patchAttributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !isReaders(from, name)) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !isReaders(from, name)) from.removeAttribute(name);
  }
}

/**
 * Whether an attribute tells what the reader did, not what the server knows.
 * @param {Element} element @param {string} name
 */
function isReaders(element, name) {
  return name === "open" && (element instanceof HTMLDetailsElement || element instanceof HTMLDialogElement);
}

/** @param {Node | null} from @param {Node} to */
function isAlike(from, to) {
  return from !== null && from.nodeType === to.nodeType && from.nodeName === to.nodeName && keyOf(from) === keyOf(to);
}

/** @param {Element} from @param {Element} to */
function patchChildren(from, to) {
  /** @type {Map<string, Element>} */
  const known = new Map();
  for (const child of from.children) {
    const key = keyOf(child);
    if (key) known.set(key, child);
  }
  const staying = new Set([...to.children].map(keyOf));
  /** @type {ChildNode | null} */
  let at = from.firstChild;
  for (const wanted of to.childNodes) {
    const key = keyOf(wanted);
    const found = key ? known.get(key) : isAlike(at, wanted) ? at : null;
    if (!found || found.nodeName !== wanted.nodeName) {
      from.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    // going up to it keeps its focus, which moving it would not; but what stands in between may be wanted further down
    if (nothingStays(at, found, staying)) at = removeUntil(at, found)?.nextSibling ?? null;
    else from.insertBefore(found, at);
    patchNode(found, wanted);
  }
  removeUntil(at, null);
}

/** @param {ChildNode | null} at @param {Node} end @param {Set<string | null>} staying */
function nothingStays(at, end, staying) {
  for (let node = at; node !== end; node = node.nextSibling) {
    if (!node) return false; // it stands before, since two have one key
    const key = keyOf(node);
    if (key && staying.has(key)) return false;
  }
  return true;
}

/** @param {ChildNode | null} at @param {Node | null} end */
function removeUntil(at, end) {
  while (at && at !== end) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
  return at;
}

/** @param {Node} from @param {Node} to */
function patchNode(from, to) {
  if (from instanceof Element && to instanceof Element) patch(from, to);
  else if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
}

/**
 * Make `from`, which is on the page, like `to`, which is of another document.
 * @param {Element} from
 * @param {Element} to
 */
export function patch(from, to) {
  if (from.isEqualNode(to)) return;
  patchAttributes(from, to);
  patchChildren(from, to);
}
