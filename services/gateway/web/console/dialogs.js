/** Windows over the page: native dialogs, so focus, Escape and the background are the browser's. */
import { transcriptUrl } from "./api.js";
import { button, el, icon } from "./dom.js";

let count = 0;

/** Shows a dialog and takes it away when it closes; returns it. `onClose()` hears of it. The focus goes back where it was. */
export function show(title, body, { onClose = () => {} } = {}) {
  const id = `dialog-title-${++count}`;
  const before = document.activeElement;
  const news = el("div", { class: "news", role: "status" }); // the page behind is out of reach: what is new is told here
  const dialog = el("dialog", { "aria-labelledby": id }, el("h2", { id, tabindex: "-1", autofocus: true }, title), news, ...body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before?.isConnected) before.focus();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something that cannot be undone; the harmless answer has the focus. `onYes()` when it was pressed. `other` is one more answer:
 * `{words, hook, onPress}`.
 */
export function confirm(t, { title, body, yes, onYes, other = null }) {
  let said = null;
  const no = button(t("dialog.cancel"), { on: { click: () => dialog.close() } });
  const go = button(yes, { class: "main", "data-testid": "confirm", on: { click: () => ((said = onYes), dialog.close()) } });
  const more =
    other &&
    button(other.words, { class: "danger", "data-testid": other.hook, on: { click: () => ((said = other.onPress), dialog.close()) } });
  const dialog = show(title, [el("div", { class: "body" }, el("p", {}, body), el("div", { class: "row" }, no, go, more))], {
    onClose: () => said?.(),
  });
  no.focus();
}

/** The conversation in a format of choice. */
export function chooseDownload(t, chat) {
  const link = (format) =>
    el(
      "a",
      {
        class: "button",
        href: transcriptUrl(chat, format, t.language),
        download: "",
        "data-testid": `download-${format}`,
        on: { click: () => setTimeout(() => dialog.close()) },
      },
      icon("download"),
      el("span", {}, t(`download.${format}`)),
    );
  const shut = button(t("dialog.shut"), { on: { click: () => dialog.close() } });
  const choices = el("div", { class: "choices" }, ...["pdf", "html", "txt", "json"].map(link));
  const dialog = show(t("download.title"), [
    el("div", { class: "body" }, el("p", {}, t("download.lead")), choices, el("div", { class: "row" }, shut)),
  ]);
  choices.firstChild.focus();
}
