/** The closing reason and the tags of a chat: the fields in which an agent chooses them, at its end and while they wrap it up. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { show } from "./dialogs.js";
import { optionName } from "./pause-dialog.js";

let count = 0;

/**
 * RULES: what is chosen says something.
 *
 * @param {Label} label
 */
export const isLabelled = ({ reason, tags }) => reason !== null || tags.length > 0;

/**
 * RULES: every option of one list of all departments, once.
 *
 * @param {Record<string, ClosingOptions> | undefined} closing
 * @param {"reasons" | "tags"} list
 * @returns {NamedOption[]}
 */
export function optionsOf(closing, list) {
  const every = Object.values(closing ?? {}).flatMap((one) => one[list]);
  return every.filter((one, n) => every.findIndex((other) => other.id === one.id) === n);
}

/**
 * The fields: `{element, value(), complete()}`. `complete()` says in words what is missing, and puts the focus there.
 *
 * @param {Translator} t
 * @param {ClosingOptions} options
 * @param {Label} [chosen] what is chosen at first
 */
export function labelFields(t, { reasons, tags, required }, chosen = { reason: null, tags: [] }) {
  const id = `label-${++count}`;
  const alert = h("p", { class: "alert", role: "alert", id: `${id}-alert` });
  const select = h(
    "select",
    { id, hook: "label-reason", "aria-describedby": alert.id, required },
    h("option", { value: "" }, t(required ? "label.choose" : "label.none")),
    ...reasons.map((one) => h("option", { value: one.id, selected: one.id === chosen.reason }, optionName(reasons, one.id, t.language))),
  );
  const boxes = tags.map((one) =>
    h("input", { type: "checkbox", value: one.id, checked: chosen.tags.includes(one.id), hook: `label-tag-${one.id}` }),
  );
  const choices = boxes.map((box) =>
    h("label", { class: "pick" }, box, h("span", {}, h("bdi", {}, optionName(tags, box.value, t.language)))),
  );
  const element = h(
    "div",
    { class: "labels", hook: "labels" },
    reasons.length ? h("label", { class: "field", for: id }, t("label.reason"), select) : null,
    tags.length ? h("fieldset", {}, h("legend", {}, t("label.tags")), h("div", { class: "choices short" }, ...choices)) : null,
    alert,
  );
  return {
    element,
    /** @returns {Label} */
    value: () => ({ reason: select.value || null, tags: boxes.filter((box) => box.checked).map((box) => box.value) }),
    complete() {
      const missing = required && !select.value;
      setAttribute(select, "aria-invalid", missing ? "true" : null);
      setText(alert, missing ? t("label.missing") : "");
      if (missing) select.focus();
      return !missing;
    },
  };
}

/**
 * Asks whether a chat is to end, with its closing reason and tags. `onEnd(label)` when the agent is sure, `onBlock()` when they block the citizen too.
 *
 * @param {Translator} t
 * @param {{options: ClosingOptions, onEnd(label: Label): void, onBlock(): void}} wish
 */
export function confirmEnd(t, { options, onEnd, onBlock }) {
  const fields = labelFields(t, options);
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const go = button(t("close.yes"), { type: "submit", class: "main", hook: "confirm" });
  const block = button(t("block.choose"), { class: "danger", hook: "close-and-block", onclick: () => (dialog.close(), onBlock()) });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("p", {}, t("close.body")),
    fields.element,
    h("div", { class: "row" }, no, go, block),
  );
  const dialog = show(t("close.title"), [form]);
  /** @type {HTMLElement} */ (fields.element.querySelector("select, input") ?? no).focus();

  /** @param {Event} event */
  function send(event) {
    event.preventDefault();
    if (!fields.complete()) return;
    dialog.close();
    onEnd(fields.value());
  }
}
