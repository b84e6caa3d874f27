// The department's message for a period, above the launcher until the citizen closes it. Loaded while there is one.
import { h, setAttribute, setText } from "../shared/dom.js";
import { sheet, wear } from "../shared/style-sheets.js";

const LONGEST = 300; // characters
const looks = sheet(`
.department-notice { position: fixed; z-index: 2147483000; inset: auto var(--right) calc(var(--y) + 4.25em) var(--left); display: flex; gap: .5em; align-items: flex-start;
  max-width: min(22em, calc(100vw - 2 * var(--x))); max-height: 40vh; overflow-y: auto; padding: .6em .6em .6em 1em; border: 1px solid #8888;
  border-inline-start: 4px solid var(--accent); border-radius: .5em; background: Canvas; color: CanvasText; box-shadow: 0 2px 6px #0002; overflow-wrap: anywhere; }
.department-notice p { flex: 1; margin: 0; padding-block: .3em; }
.department-notice button { flex: none; min-height: 2.25em; padding: .2em .6em; border: 1px solid; border-radius: .4em; background: none; color: inherit; font: inherit; font-size: .875em; cursor: pointer; }
.department-notice button:focus-visible { outline: 3px solid LinkText; outline-offset: 1px; }
.eloket[data-avoid=away] > .department-notice { display: none; }
`);

/**
 * The message of a button in a language; empty when it has none.
 *
 * @param {Button | undefined} button
 * @param {string} lang
 */
export function messageOf(button, lang) {
  const text = button?.notice?.[lang];
  return typeof text === "string" ? text.slice(0, LONGEST) : "";
}

/**
 * Shows and hides the message of `host.button` at each `tell()`. A message that was closed stays closed in this tab.
 *
 * @param {any} host an `EloketChat`
 * @param {string} prefix of the keys in the browser's storage
 */
export function noticeOf(host, prefix) {
  const key = `${prefix}notice`;
  let closed = "";
  try {
    closed = sessionStorage.getItem(key) ?? "";
  } catch {
    // nothing is kept here
  }
  const words = h("p", {});
  const close = h("button", { type: "button", hook: "notice-close", onclick: dismiss }, host.words.close);
  const box = h("div", { class: "department-notice", hook: "chat-notice", role: "note", hidden: true }, words, close);
  wear(host.shadowRoot, looks);
  host.frame.append(box);

  function dismiss() {
    closed = words.textContent ?? "";
    try {
      sessionStorage.setItem(key, closed);
    } catch {
      // it appears again on the next page
    }
    tell();
    host.launcher?.focus();
  }

  function tell() {
    const text = messageOf(host.button, host.frame?.lang ?? "nl");
    if (text) setText(words, text);
    setAttribute(box, "hidden", !text || text === closed || host.chat.open || !host.reach.hidden);
  }

  return { tell };
}
