// Elements by code: text is always text, and a strict Content-Security-Policy has nothing to forbid.

/** Sets an attribute; false and null take it away. */
export function set(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Sets a text; a live region would read the same text again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An element; `on…` are listeners, `hook` is data-testid, the rest attributes. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else set(element, name === "hook" ? "data-testid" : name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** A drawing of 24 by 24 that screen readers pass over. */
export function icon(path) {
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  set(svg, "viewBox", "0 0 24 24");
  set(svg, "aria-hidden", "true");
  set(svg, "class", "icon");
  set(line, "d", path);
  svg.append(line);
  return svg;
}

/** A size in bytes as people read it: whole kB, from 1,000 kB on MB with one decimal, in powers of 1,000. */
export function sizes(lang) {
  const format = (unit, maximumFractionDigits) => new Intl.NumberFormat(lang, { style: "unit", unit, maximumFractionDigits });
  const [kilo, mega] = [format("kilobyte", 0), format("megabyte", 1)];
  return (bytes) => (bytes > 999_000 ? mega.format(Math.ceil(bytes / 100_000) / 10) : kilo.format(Math.ceil(bytes / 1000)));
}

/** Allowed where inline styles are not. */
export function sheet(css) {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}
