// The white bar, Zend, and attachments under way.
import { charactersLeft, COUNT_FROM, isSubmitKey } from "../shared/new-message.js";
import { problem } from "../shared/conversation.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";
import { sizes } from "./format.js";
import { CLIP } from "./message-list.js";

const PLANE = "M21 3 3 10.5l7 3.5 3.5 7z M21 3 10 14";
const ACCEPT = ".pdf,.png,.jpg,.jpeg,.gif,.webp,.txt,.csv,.odt,.ods,.odp,.docx,.xlsx,.pptx";
const IDLE = 4_000; // ms
const MANY_DIGITS = /\d(\D{0,6}\d){9}/; // as many as a number has that identifies a person

/**
 * The form to write in.
 *
 * @param {{t: Translator, lang: string, base: string, record: ChatRecord, store: Store, settings: PageSettings, session(): ReturnType<typeof import("./chat-session.js").joinChat>, announce(words: string, wrong?: boolean): void}} options
 */
export function composer({ t, lang, base, record, store, settings, session, announce }) {
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
  const attachHint = t("attachHint", { size: sizes(lang)(settings.attachment_bytes) });
  const files = h("input", {
    type: "file",
    class: "sr",
    hook: "chat-file",
    multiple: true,
    accept: ACCEPT,
    tabindex: -1,
    "aria-label": attachHint,
  });
  const attach = h(
    "button",
    { class: "tool", hook: "chat-attach", title: attachHint, onclick: () => files.click() },
    icon(CLIP),
    t("attach"),
  );
  const uploads = h("div", {});
  /** @type {ReturnType<typeof import("./files.js").uploads> | null | undefined} */
  let uploading;
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
  files.addEventListener("change", () => {
    const chosen = [...(files.files ?? [])];
    files.value = "";
    uploading ??= import("./files.js").then((module) =>
      module.uploads({ base, record, settings, session: session(), announce, list: uploads, focus: () => attach.focus() }),
    );
    uploading
      .then(({ add }) => chosen.forEach(add))
      .catch(() => {
        uploading = null;
        announce(t("attachFailed"), true);
      });
  });

  return {
    parts: [uploads, count, form, files],
    attach,
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
      for (const part of [uploads, count, form, attach]) setAttribute(part, "hidden", away);
    },
    stop: () => {
      clearTimeout(idle);
      uploading?.then(({ stop }) => stop());
    },
  };
}
