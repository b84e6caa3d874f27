// What the console draws with, beyond the elements that all pages make.
import { h, icon as drawing, setAttribute } from "../shared/dom.js";

export { keyed } from "../shared/keyed.js";

/** @typedef {keyof typeof ICONS} IconName */
const ICONS = {
  available: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20Zm-1.4 14.6-4.2-4.2 1.7-1.7 2.5 2.5 5.3-5.3 1.7 1.7Z",
  paused: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20ZM8 8h2.8v8H8Zm5.2 0H16v8h-2.8Z",
  waiting: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 2.4a6.6 6.6 0 1 1 0 13.2 6.6 6.6 0 0 1 0-13.2Zm-1.1 2.4v5l3.9 2.3 1.1-1.8-2.8-1.7V7.8Z",
  online: "M5 12.5 10 17.5 19.5 7l-2-1.8-7.6 8.4-3.1-3.1Z",
  offline: "M12 2.5 1.5 21h21Zm-1.2 6.7h2.4v6h-2.4Zm0 7.5h2.4V19h-2.4Z",
  attach:
    "M16.5 6v10.5a4.5 4.5 0 0 1-9 0V5a3 3 0 0 1 6 0v10a1.5 1.5 0 0 1-3 0V6H9v9a3 3 0 0 0 6 0V5a4.5 4.5 0 0 0-9 0v11.5a6 6 0 0 0 12 0V6Z",
  download: "M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3ZM4 18h16v2.5H4Z",
  close: "m6.2 4.8 5.8 5.8 5.8-5.8 1.4 1.4-5.8 5.8 5.8 5.8-1.4 1.4-5.8-5.8-5.8 5.8-1.4-1.4 5.8-5.8-5.8-5.8Z",
  identify:
    "M3 4h18v16H3Zm2.2 2.2v11.6h13.6V6.2ZM9 8.2a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2ZM5.8 16c.4-1.8 1.6-2.8 3.2-2.8s2.8 1 3.2 2.8Zm8-6.6h4v1.9h-4Zm0 3.4h4v1.9h-4Z",
  transfer: "M14 5l7 7-7 7v-4H3v-6h11Z",
  back: "M10 5 3 12l7 7v-4h11V9H10Z",
  note: "M4 3h16v12l-6 6H4Zm2 2v14h7v-5h5V5Zm2 3h8v2H8Zm0 4h5v2H8Z",
  file: "M6 2h8l5 5v15H6Zm7 2H8v16h9V8h-4Z",
  failed: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20Zm-1.2 4.5h2.4v7.5h-2.4Zm0 9h2.4v2.4h-2.4Z",
  menu: "M3 5h18v2.4H3Zm0 5.8h18v2.4H3Zm0 5.8h18V19H3Z",
  inbox: "M5 3.5h14l3 9.5v7.5H2V13Zm1.8 2.4L4.7 12.5H8.5l1.5 3h4l1.5-3h3.8L17.2 5.9Z",
  copy: "M8 2h12v15H8Zm2.2 2.2v10.6h7.6V4.2ZM4 7h2v13h10v2H4Z",
  table: "M3 4h18v16H3Zm2 4.5V11h4V8.5Zm6 0V11h8V8.5ZM5 13v5h4v-5Zm6 0v5h8v-5Z",
  canned: "M4 3h16v13H10l-6 5Zm2.2 2.2v11.4l2.9-2.8h8.7V5.2Zm2.3 2h7v2h-7Zm0 3.4h5v2h-5Z",
  chart: "M3 3h2v16h16v2H3ZM7 11h3v7H7Zm5-5h3v12h-3Zm5 8h3v4h-3Z",
  live: "M12 5c5 0 8.6 3.6 10 7-1.4 3.4-5 7-10 7s-8.6-3.6-10-7c1.4-3.4 5-7 10-7Zm0 2.4c-3.5 0-6.1 2.3-7.3 4.6 1.2 2.3 3.8 4.6 7.3 4.6s6.1-2.3 7.3-4.6c-1.2-2.3-3.8-4.6-7.3-4.6Zm0 1.6a3 3 0 1 1 0 6 3 3 0 0 1 0-6Z",
  past: "M12 3a9 9 0 1 1-8.6 6.4l2.3.7A6.6 6.6 0 1 0 7.6 7.1L10 9.5H3v-7l2.9 2.9A9 9 0 0 1 12 3Zm-1.1 4.8h2.3v4l2.9 1.7-1.1 1.8-4.1-2.4Z",
  send: "M3 4l18 8-18 8 3-8Zm3.4 3.4L8 11h6v2H8l-1.6 3.6L17 12Z",
};

/**
 * Make the icon of this name. It says nothing to a screen reader: words stand beside it or in the control's name.
 *
 * @param {IconName} name
 */
export function icon(name) {
  const svg = drawing(ICONS[name], `icon icon-${name}`);
  setAttribute(svg, "focusable", "false");
  setAttribute(/** @type {Element} */ (svg.firstChild), "fill-rule", "evenodd");
  return svg;
}

/**
 * Make a button with words, optionally an icon before them.
 *
 * @param {string} words
 * @param {{symbol?: IconName, [attribute: string]: any}} attributes
 */
export function button(words, { symbol, ...props } = {}) {
  return h("button", { type: "button", ...props }, symbol && icon(symbol), h("span", { class: "words" }, words));
}

/**
 * Put a field's text on the clipboard; true when it is there. Pages on plain http have only the older way.
 *
 * @param {HTMLTextAreaElement | HTMLInputElement} field
 */
export async function copied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.select();
    return document.execCommand("copy");
  }
}
