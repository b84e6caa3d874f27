// The white bar and Zend.
import { charactersLeft, COUNT_FROM, isSubmitKey } from "../shared/new-message.js";
import { problem } from "../shared/conversation.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";

const PLANE = "M21 3 3 10.5l7 3.5 3.5 7z M21 3 10 14";
const IDLE = 4_000; // ms
const MANY_DIGITS = /\d(\D{0,6}\d){9}/; // as many as a number has that identifies a person

/**
 * The form to write in.
 *
 * @param {{t: Translator, store: Store, session(): ReturnType<typeof import("./chat-session.js").joinChat>}} options
 */
export function composer({ t, store, session }) {
  const input = h("textarea", {
    id: "input",
    class: "input",
    hook: "chat-input",
    rows: 2,
    dir: "auto",
    enterkeyhint: "send",
    placeholder: t("placeholder"),
    "aria-label": t("input"),
    "aria-describedby": "hint count",
  });
  const count = h("p", { id: "count", class: "count", role: "status" });
  const send = h("button", { class: "primary", hook: "chat-send" }, icon(PLANE), t("send"));
  const form = h("form", { class: "bar" }, input, send, h("span", { id: "hint", class: "sr" }, t("hint")));
  /** @type {ReturnType<typeof import("./number-warning.js").numberWarning> | null | undefined} */
  let warning;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let idle;

  const measure = () => {
    const left = charactersLeft(input.value);
    setAttribute(input, "aria-invalid", left < 0 ? "true" : null);
    setText(count, left < 0 ? t("tooLong", { n: -left }) : left <= COUNT_FROM ? t("left", { n: left }) : "");
  };
  const post = () => {
    warning?.then(({ hide }) => hide());
    clearTimeout(idle);
    session().post(input.value);
    input.value = "";
    store.write("draft", null);
    measure();
  };
  input.value = store.read("draft") ?? "";
  measure();
  input.addEventListener("input", () => {
    measure();
    store.write("draft", input.value || null);
    session().typing(input.value !== "");
    clearTimeout(idle);
    idle = setTimeout(() => session().typing(false), IDLE);
  });
  input.addEventListener("keydown", (event) => {
    if (!isSubmitKey(event)) return;
    event.preventDefault();
    send.click(); // requestSubmit is not in Safari before 16
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    input.focus();
    if (problem(input.value)) return;
    if (!MANY_DIGITS.test(input.value)) return post();
    warning ??= import("./number-warning.js").then((module) => module.numberWarning({ form, input }));
    const text = input.value;
    warning
      .then(({ ask }) => ask(text, () => input.value === text && post()))
      .catch(() => {
        warning = null;
        post();
      });
  });

  return {
    parts: [count, form],
    focus: () => input.focus(),
    /** Puts texts before what is in the bar. @param {string[]} texts */
    give: (texts) => {
      if (!texts.length) return;
      input.value = [...texts, input.value].filter(Boolean).join("\n\n");
      store.write("draft", input.value);
      measure();
    },
    focused: () => form.contains(rootOf(form).activeElement),
    /** @param {boolean} away */
    hide: (away) => {
      if (away) warning?.then(({ hide }) => hide());
      for (const part of [count, form]) setAttribute(part, "hidden", away);
    },
    stop: () => clearTimeout(idle),
  };
}
