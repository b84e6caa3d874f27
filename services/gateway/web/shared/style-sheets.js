// Style sheets made by code: a strict Content-Security-Policy allows them where it forbids inline styles.

/**
 * Make a style sheet.
 *
 * `rem` in it is `--rem` where that is set: a page that embeds the widget changes what `rem` itself is.
 *
 * @param {string} css
 * @returns {CSSStyleSheet | HTMLStyleElement} the element in Safari before 16.4
 */
export function sheet(css) {
  const own = css.replace(/@media[^{]*|(-?[\d.]+)rem\b/g, (found, n) => (n ? `calc(${n} * var(--rem, 1rem))` : found));
  try {
    const made = new CSSStyleSheet();
    made.replaceSync(own);
    return made;
  } catch {
    const made = document.createElement("style");
    made.textContent = own;
    return made;
  }
}

/**
 * Add a style sheet to a shadow root or a document, once.
 *
 * @param {ShadowRoot} root
 * @param {CSSStyleSheet | HTMLStyleElement} looks
 */
export function wear(root, looks) {
  if (looks instanceof HTMLStyleElement) root.contains(looks) || root.append(looks);
  else if (!root.adoptedStyleSheets.includes(looks)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, looks];
}
