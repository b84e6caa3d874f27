/**
 * Keyboard shortcuts: one key while nobody types, or Alt+Shift with the same key at any time.
 *
 * One key can be switched off (WCAG 2.1.4). Alt+Shift is used by no screen reader, and by browsers only with other letters (Chrome: A, I, T;
 * Edge: B); Ctrl+Alt would be AltGr on Windows, and Alt alone opens menus.
 */
import { h, setAttribute } from "../shared/dom.js";
import { button } from "./dom.js";
import { show } from "./dialogs.js";
import { choice, choose } from "./storage.js";

/** @type {[name: string, key: string][]} */
export const SHORTCUTS = [
  ["next", "n"],
  ["accept", "y"],
  ["answer", "r"],
  ["note", "m"],
  ["answers", "c"],
  ["close", "e"],
  ["transfer", "g"],
  ["identify", "d"],
  ["search", "s"],
  ["list", "l"],
  ["wrap", "w"],
  ["pause", "p"],
  ["help", "h"],
];
const HELP = "?"; // beside its letter
const TYPED = "textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=file]), [contenteditable]";

/**
 * RULES: the shortcut that a press of a key is, or null. `typing`: the focus is where letters are typed; `single`: shortcuts of one key are on.
 *
 * A key that gives another character with Alt and Shift, as on macOS, counts by its place on the keyboard.
 *
 * @param {Pick<KeyboardEvent, "key" | "code" | "altKey" | "shiftKey" | "ctrlKey" | "metaKey" | "isComposing" | "repeat">} event
 * @param {{typing: boolean, single: boolean}} state
 */
export function shortcutOf({ key, code, altKey, shiftKey, ctrlKey, metaKey, isComposing, repeat }, { typing, single }) {
  if (isComposing || repeat || ctrlKey || metaKey || (altKey && !shiftKey)) return null;
  if (!altKey && (typing || !single)) return null;
  if (!altKey && key === HELP) return "help";
  if (!altKey && shiftKey) return null;
  const letter = /^[a-z]$/i.test(key) ? key.toLowerCase() : altKey ? /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() : "";
  return SHORTCUTS.find(([, one]) => one === letter)?.[0] ?? null;
}

export const singleKeys = () => choice("shortcuts") !== "off";

/**
 * Does `acts[name]()` for each shortcut that is pressed, and `leave()` for Escape in a text bar of `chat`, until `signal`. Nothing while a dialog is open.
 *
 * @param {{acts: Record<string, () => void>, chat: HTMLElement, leave(): void, signal: AbortSignal}} options
 */
export function watchShortcuts({ acts, chat, leave, signal }) {
  addEventListener(
    "keydown",
    (event) => {
      const at = /** @type {Element | null} */ (event.target instanceof Element ? event.target : null);
      if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape" && !event.isComposing && at?.matches("textarea") && chat.contains(at)) return leave();
      const name = shortcutOf(event, { typing: Boolean(at?.closest(TYPED)), single: singleKeys() });
      if (!name) return;
      event.preventDefault();
      acts[name]();
    },
    { signal },
  );
}

/**
 * Shows the help sheet, with the switch for shortcuts of one key.
 *
 * @param {Translator} t
 */
export function showShortcuts(t) {
  /** @param {...string} names */
  const keys = (...names) => names.flatMap((name, n) => [n ? "+" : "", h("kbd", {}, name)]).filter(Boolean);
  const rows = SHORTCUTS.map(([name, key]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, t(`keys.${name}`)),
      h("td", {}, h("kbd", {}, name === "help" ? HELP : key.toUpperCase())),
      h("td", {}, ...keys("Alt", "Shift", key.toUpperCase())),
    ),
  );
  const box = h("input", { type: "checkbox", role: "switch", checked: singleKeys(), hook: "shortcuts-single", onchange: change });
  const table = h(
    "table",
    { class: "keys" },
    h("thead", {}, h("tr", {}, ...["task", "single", "always"].map((name) => h("th", { scope: "col" }, t(`keys.${name}`))))),
    h("tbody", {}, ...rows),
  );
  const shut = button(t("dialog.shut"), { hook: "shortcuts-shut", onclick: () => dialog.close() });
  const dialog = show(t("keys.title"), [
    h(
      "div",
      { class: "body" },
      h("p", {}, t("keys.lead")),
      table,
      h("label", { class: "switch" }, box, t("keys.switch")),
      h("div", { class: "row" }, shut),
    ),
  ]);
  setAttribute(dialog, "data-testid", "shortcuts");
  change();

  function change() {
    choose("shortcuts", box.checked ? "" : "off");
    table.toggleAttribute("data-off", !box.checked);
  }
}
