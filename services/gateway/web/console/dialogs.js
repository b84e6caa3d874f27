/** Windows over the page: native dialogs, so focus, Escape and the background are the browser's. */
import { transcriptUrl } from "./api.js";
import { h } from "../shared/dom.js";
import { button, icon } from "./dom.js";

let count = 0;

/** Make the place for new chats in a dialog: the page behind is out of reach, so what is new is told there. */
export const newsPlace = () => h("div", { class: "news", role: "status" });

/**
 * Shows a dialog and takes it away when it closes; returns it. `onClose()` hears of it. The focus goes back where it was.
 *
 * @param {string} title
 * @param {Node[]} body
 */
export function show(title, body, { onClose = () => {} } = {}) {
  const id = `dialog-title-${++count}`;
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const dialog = h("dialog", { "aria-labelledby": id }, h("h2", { id, tabindex: "-1", autofocus: true }, title), newsPlace(), ...body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    const shut = before?.closest("details:not([open])")?.querySelector("summary"); // a menu takes its buttons out of sight
    if (before?.isConnected) (shut ?? before).focus();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something that cannot be undone; the harmless answer has the focus. `onYes()` when it was pressed. `other` is one more answer:
 * `{words, hook, onPress}`.
 *
 * @param {Translator} t
 * @param {{title: string, body: string, yes: string, onYes(): void, other?: {words: string, hook: string, onPress(): void} | null}} question
 */
export function confirm(t, { title, body, yes, onYes, other = null }) {
  /** @type {(() => void) | null} */
  let said = null;
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const go = button(yes, { class: "main", hook: "confirm", onclick: () => ((said = onYes), dialog.close()) });
  const more = other && button(other.words, { class: "danger", hook: other.hook, onclick: () => ((said = other.onPress), dialog.close()) });
  const dialog = show(title, [h("div", { class: "body" }, h("p", {}, body), h("div", { class: "row" }, no, go, more))], {
    onClose: () => said?.(),
  });
  no.focus();
}

/**
 * The conversation in a format of choice.
 *
 * @param {Translator} t
 * @param {string} chat
 */
export function chooseDownload(t, chat) {
  /** @param {string} format */
  const link = (format) =>
    h(
      "a",
      {
        class: "button",
        href: transcriptUrl(chat, format, t.language),
        download: "",
        hook: `download-${format}`,
        onclick: () => setTimeout(() => dialog.close()),
      },
      icon("download"),
      h("span", {}, t(`download.${format}`)),
    );
  const shut = button(t("dialog.shut"), { onclick: () => dialog.close() });
  const choices = h("div", { class: "choices" }, ...["pdf", "html", "txt", "json"].map(link));
  const dialog = show(t("download.title"), [
    h("div", { class: "body" }, h("p", {}, t("download.lead")), choices, h("div", { class: "row" }, shut)),
  ]);
  /** @type {HTMLElement} */ (choices.firstChild).focus();
}
