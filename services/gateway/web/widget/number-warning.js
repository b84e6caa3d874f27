// Asks before a message with an identifying number is sent. Loaded when a message has as many digits as such a number.
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { wear } from "../shared/style-sheets.js";
import { loadPart } from "./load-part.js";
import { identifyingNumbers } from "./number-check.js";
import { toolsSheet } from "./tools-style.js";

const LOOKS = `
.numbers { border-inline-start: 4px solid var(--wrong); }
`;

/**
 * The question, hidden at first. `ask(text, send)` calls `send` when the text has no such number, or when the citizen has decided to send it;
 * to decide submits the form again.
 *
 * @param {{form: HTMLElement, input: HTMLTextAreaElement}} options
 */
export async function numberWarning({ form, input }) {
  wear(/** @type {ShadowRoot} */ (rootOf(form)), toolsSheet);
  const t = await loadPart(form, "numbers", LOOKS);
  let allowed = ""; // the text that the citizen decided to send
  const words = h("p", { role: "alert" });
  const change = h(
    "button",
    { class: "primary", hook: "numbers-change", type: "button", onclick: () => (close(), input.focus()) },
    t("change"),
  );
  const still = h("button", { class: "tool", hook: "numbers-send", type: "button", onclick: decide }, t("sendStill"));
  const box = h(
    "div",
    { class: "choice numbers", role: "group", "aria-label": t("label"), hook: "chat-numbers", hidden: true },
    words,
    h("div", { class: "row" }, change, still),
  );
  form.before(box);
  input.addEventListener("input", () => !box.hidden && !identifyingNumbers(input.value).length && close());

  function close() {
    setAttribute(box, "hidden", true);
    setText(words, "");
  }

  // As the button of the bar: what is there now is looked at and sent.
  function decide() {
    allowed = input.value;
    close();
    /** @type {HTMLElement} */ (form.querySelector(".primary")).click();
  }

  return {
    /** @param {string} text @param {() => void} send */
    ask(text, send) {
      const kinds = identifyingNumbers(text);
      if (!kinds.length || text === allowed) {
        close();
        return send();
      }
      const host = /** @type {ChatElement} */ (rootOf(form).host);
      const rules = kinds.map((kind) => host.button?.numbers?.[kind] ?? "mask");
      const refused = rules.includes("refuse");
      const texts = kinds.map((kind) => t(kind));
      if (rules.includes("mask")) texts.push(t("willMask"));
      setAttribute(box, "hidden", false);
      setAttribute(still, "hidden", refused);
      setText(words, refused ? t("refused") : texts.join(" "));
      if (rootOf(form).activeElement === input) change.focus();
    },
    hide: close,
  };
}
