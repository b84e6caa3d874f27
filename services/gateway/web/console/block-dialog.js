/** The dialog that keeps a citizen from starting chats for a while, as a chat ends or after it. */
import { show } from "./dialogs.js";
import { attribute, button, el, text } from "./dom.js";

const DURATIONS = [15, 60, 480, 1440]; // minutes
const LONGEST = 200; // characters of a reason

/** `over`: the chat has ended already. `onBlock({minutes, reason, address})` when the agent is sure. */
export function chooseBlock(t, { name, over, onBlock }) {
  const id = (part) => `block-${part}`;
  const alert = el("p", { class: "alert", role: "alert", id: id("alert") });
  const reason = el("textarea", {
    rows: "2",
    maxlength: String(LONGEST),
    required: true,
    dir: "auto",
    "aria-describedby": `${id("reason-hint")} ${id("alert")}`,
    "data-testid": "block-reason",
  });
  const address = el("input", { type: "checkbox", checked: true, "aria-describedby": id("address-hint"), "data-testid": "block-address" });
  const choice = (minutes) =>
    el(
      "label",
      { class: "pick" },
      el("input", { type: "radio", name: "minutes", value: minutes, checked: minutes === 60, "data-testid": `block-${minutes}` }),
      el("span", {}, t(`block.for_${minutes}`)),
    );
  const no = button(t("dialog.cancel"), { on: { click: () => dialog.close() } });
  const go = button(t(over ? "block.yes_over" : "block.yes"), { type: "submit", class: "main", "data-testid": "block-confirm" });
  const form = el(
    "form",
    { novalidate: true, on: { submit: send } },
    el("p", {}, t(over ? "block.lead_over" : "block.lead", { name })),
    el("fieldset", {}, el("legend", {}, t("block.duration")), el("div", { class: "choices short" }, ...DURATIONS.map(choice))),
    el(
      "div",
      { class: "field" },
      el("label", { for: id("reason") }, t("block.reason")),
      reason,
      el("small", { id: id("reason-hint") }, t("block.reason_hint")),
    ),
    el(
      "div",
      {},
      el("label", { class: "switch" }, address, t("block.address")),
      el("small", { id: id("address-hint") }, t("block.address_hint")),
    ),
    alert,
    el("div", { class: "row" }, no, go),
  );
  reason.id = id("reason");
  const dialog = show(t(over ? "block.title_over" : "block.title"), [form]);

  function send(event) {
    event.preventDefault();
    const why = reason.value.trim();
    attribute(reason, "aria-invalid", why ? null : "true");
    if (!why) {
      text(alert, t("block.missing"));
      return reason.focus();
    }
    dialog.close();
    onBlock({ minutes: Number(new FormData(form).get("minutes")), reason: why, address: address.checked });
  }
}
