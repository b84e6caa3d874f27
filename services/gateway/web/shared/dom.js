// Elements made by code: text is only ever set as text, and a strict Content-Security-Policy has nothing to forbid.

/**
 * Set an attribute, and touch the page only when it changes. `true` sets an empty one; false, null and undefined remove it.
 *
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function setAttribute(element, name, value) {
  const text = value === true ? "" : String(value);
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Set a text, and touch the page only when it changes: a live region would read the same text again.
 *
 * @param {Node} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make an element. `on…` are listeners, `hook` is data-testid, the rest are attributes; null and false are no children.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node | string | number | boolean | null | undefined)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else setAttribute(element, name === "hook" ? "data-testid" : name, value);
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child != null && child !== false)));
  return element;
}

/**
 * Make a drawing of 24 by 24 that screen readers pass over.
 *
 * @param {string} path
 */
export function icon(path, className = "icon") {
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  setAttribute(svg, "viewBox", "0 0 24 24");
  setAttribute(svg, "aria-hidden", "true");
  setAttribute(svg, "class", className);
  setAttribute(line, "d", path);
  svg.append(line);
  return svg;
}

/**
 * Return the shadow root, or the document, that this node stands in.
 *
 * @param {Node} node
 */
export const rootOf = (node) => /** @type {ShadowRoot} */ (node.getRootNode());
