/** The dialog that keeps a citizen from starting chats for a while, as a chat ends or after it. */
import { show } from "./dialogs.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";

const DURATIONS = [15, 60, 480, 1440]; // minutes
const LONGEST = 200; // characters of a reason

/**
 * `over`: the chat has ended already. `onBlock({minutes, reason, address})` when the agent is sure.
 *
 * @param {Translator} t
 * @param {{name: string, over: boolean, onBlock(block: Block): void}} options
 */
export function chooseBlock(t, { name, over, onBlock }) {
  /** @param {string} part */
  const id = (part) => `block-${part}`;
  const alert = h("p", { class: "alert", role: "alert", id: id("alert") });
  const reason = h("textarea", {
    rows: "2",
    maxlength: String(LONGEST),
    required: true,
    dir: "auto",
    "aria-describedby": `${id("reason-hint")} ${id("alert")}`,
    hook: "block-reason",
  });
  const address = h("input", { type: "checkbox", checked: true, "aria-describedby": id("address-hint"), hook: "block-address" });
  /** @param {number} minutes */
  const choice = (minutes) =>
    h(
      "label",
      { class: "pick" },
      h("input", { type: "radio", name: "minutes", value: minutes, checked: minutes === 60, hook: `block-${minutes}` }),
      h("span", {}, t(`block.for_${minutes}`)),
    );
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const go = button(t(over ? "block.yes_over" : "block.yes"), { type: "submit", class: "main", hook: "block-confirm" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("p", {}, t(over ? "block.lead_over" : "block.lead", { name })),
    h("fieldset", {}, h("legend", {}, t("block.duration")), h("div", { class: "choices short" }, ...DURATIONS.map(choice))),
    h(
      "div",
      { class: "field" },
      h("label", { for: id("reason") }, t("block.reason")),
      reason,
      h("small", { id: id("reason-hint") }, t("block.reason_hint")),
    ),
    h(
      "div",
      {},
      h("label", { class: "switch" }, address, t("block.address")),
      h("small", { id: id("address-hint") }, t("block.address_hint")),
    ),
    alert,
    h("div", { class: "row" }, no, go),
  );
  reason.id = id("reason");
  const dialog = show(t(over ? "block.title_over" : "block.title"), [form]);

  /** @param {Event} event */
  function send(event) {
    event.preventDefault();
    const why = reason.value.trim();
    setAttribute(reason, "aria-invalid", why ? null : "true");
    if (!why) {
      setText(alert, t("block.missing"));
      return reason.focus();
    }
    dialog.close();
    onBlock({ minutes: Number(new FormData(form).get("minutes")), reason: why, address: address.checked });
  }
}
