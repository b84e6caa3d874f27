/** Where the agent writes: a message to the citizen or an internal note, each with a draft of its own. */
import { charactersLeft, COUNT_FROM, isSubmitKey, problem } from "../shared/conversation.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, copied } from "./dom.js";
import { answerPicker } from "./answer-picker.js";

const TYPING_EVERY = 3000; // ms between two words to the citizen that somebody is writing
const TYPING_OVER = 4000; // ms of stillness
const NAMES = { message: "write", note: "note" };

/**
 * `{element, focus(), focused(), end(over), redraw(), stop()}`; `acts`: `post`, `note`, `draft`, `typing`, `upload` with the chat's id first;
 * `answers()` tells what there is to be found by `/`, `look()` asks for news of it.
 * When the chat is over, what was not sent stays: to be read and copied, in the same element, so that the focus stays and keys have no effect.
 *
 * @param {Translator} t
 * @param {{chat: string, locale?: string, draft: Draft, uploads: Node, acts: Acts, answers(): ChatAnswers, look(): void}} options
 */
export function composer(t, { chat, locale, draft, uploads, acts, answers, look }) {
  const areas = {
    message: area(t("write.label"), t("write.placeholder"), "chat-input", locale), // its spelling is that of the citizen's language
    note: area(t("note.label"), t("note.placeholder"), "note-input"),
  };
  const copies = { message: copyOf("message", "copy-message"), note: copyOf("note", "copy-note") };
  const unsent = h("p", { class: "unsent", hidden: true }, t("write.unsent"));
  const left = h("p", { class: "hint", id: "write-left", role: "status" });
  const hint = h("p", { class: "hint keys", id: "write-hint" });
  const send = button(t("write.send"), { symbol: "send", class: "main", hook: "chat-send", type: "submit" });
  const save = button(t("note.save"), { symbol: "note", class: "main", hook: "note-save", type: "submit" });
  const file = h("input", {
    type: "file",
    multiple: true,
    hidden: true,
    hook: "chat-file",
    "aria-label": t("attach"),
    onchange: pick,
  });
  const attach = button(t("attach"), { symbol: "attach", hook: "chat-attach", onclick: () => file.click() });
  const kinds = { message: kindOf("message", "write-message"), note: kindOf("note", "write-note") };
  const picker = answerPicker(t, areas.message, { about: answers, look, onInsert: changed });
  const form = h(
    "form",
    { class: "write", onsubmit: submit },
    h("fieldset", { class: "kinds" }, h("legend", { class: "hidden-words" }, t("write.kind")), kinds.message.label, kinds.note.label),
    unsent,
    uploads,
    h(
      "div",
      { class: "line" },
      picker.list,
      ...Object.values(areas).map((field, index) => h("div", { class: "text" }, field, Object.values(copies)[index])),
      h("div", { class: "buttons" }, send, save),
    ),
    h("div", { class: "under" }, attach, file, picker.opener, hint, left, picker.status),
  );
  let kind = draft.kind;
  let over = false;
  let told = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let still;

  areas.message.value = draft.text;
  areas.note.value = draft.note;
  show(kind);

  /** @param {string} label @param {string} placeholder @param {string} hook @param {string} [lang] */
  function area(label, placeholder, hook, lang) {
    return h("textarea", {
      lang,
      rows: "2",
      dir: "auto",
      "aria-label": label,
      placeholder,
      hook,
      "aria-describedby": "write-hint write-left",
      oninput: changed,
      onkeydown: key,
      onblur: quiet,
    });
  }

  /** @param {Kind} value @param {string} hook */
  function kindOf(value, hook) {
    const input = h("input", { type: "radio", name: "kind", value, hook, onchange: () => (show(value), changed()) });
    return { input, label: h("label", {}, input, t(value === "note" ? "write.note" : "write.message")) };
  }

  /** @param {Kind} name @param {string} hook */
  function copyOf(name, hook) {
    return button(t(name === "note" ? "write.copy_note" : "write.copy"), {
      symbol: "copy",
      class: "small",
      hidden: true,
      hook,
      onclick: () => copy(areas[name]),
    });
  }

  /** @param {HTMLTextAreaElement} field */
  async function copy(field) {
    setText(left, "");
    setText(left, t((await copied(field)) ? "write.copied" : "write.not_copied"));
  }

  /** @param {Kind} which */
  function show(which) {
    kind = which;
    form.dataset.kind = which;
    kinds[which].input.checked = true;
    for (const [name, node] of /** @type {[Kind, HTMLTextAreaElement][]} */ (Object.entries(areas))) {
      node.hidden = over ? !node.value.trim() : name !== which;
      copies[name].hidden = !over || node.hidden;
      node.readOnly = over;
      setAttribute(node, "aria-label", t(`${NAMES[name]}.${over ? "unsent_label" : "label"}`));
    }
    form.hidden = over && Object.values(areas).every((node) => node.hidden);
    /** @type {HTMLElement} */ (kinds.message.label.parentElement).hidden = hint.hidden = over;
    unsent.hidden = !over;
    send.hidden = over || which !== "message";
    attach.hidden = over || which !== "message";
    save.hidden = over || which !== "note";
    setText(hint, which === "note" ? t("note.hint") : `${t("write.hint")} ${t("attach.given_hint")}`);
    picker.enable(!over && which === "message");
    measure();
  }

  /** @param {boolean} now */
  function end(now) {
    if (over === now) return;
    over = now;
    if (over) quiet();
    show(kind);
  }

  function measure() {
    if (over) return setText(left, "");
    const room = charactersLeft(areas[kind].value);
    setAttribute(areas[kind], "aria-invalid", room < 0 ? "true" : null);
    left.classList.toggle("over", room < 0);
    setText(left, room < 0 ? t("write.over", { n: -room }) : room <= COUNT_FROM ? t("write.left", { n: room }) : "");
  }

  function changed() {
    measure();
    picker.update();
    acts.draft(chat, { text: areas.message.value, note: areas.note.value, kind });
    if (over || kind !== "message" || !areas.message.value) return quiet();
    const now = Date.now();
    if (Math.abs(now - told) > TYPING_EVERY) {
      told = now;
      acts.typing(chat, true);
    }
    clearTimeout(still);
    still = setTimeout(quiet, TYPING_OVER);
  }

  function quiet() {
    clearTimeout(still);
    if (told) acts.typing(chat, false);
    told = 0;
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (picker.key(event) || !isSubmitKey(event)) return;
    event.preventDefault();
    form.requestSubmit();
  }

  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (over) return;
    const field = areas[kind];
    field.focus();
    if (problem(field.value)) return;
    const words = field.value;
    field.value = "";
    changed();
    if (kind === "note") acts.note(chat, words);
    else acts.post(chat, words);
  }

  function pick() {
    acts.upload(chat, [...(file.files ?? [])]);
    file.value = "";
    areas.message.focus();
  }

  /** @param {File[]} files pasted or dropped */
  function add(files) {
    setText(left, files.map(({ name }) => t("attach.given", { name })).join(" "));
    acts.upload(chat, files);
  }

  return {
    element: form,
    focus: () => areas[kind].focus(),
    focused: () => form.contains(document.activeElement),
    add,
    takes: () => !over && kind === "message",
    end,
    redraw: picker.redraw,
    stop: quiet,
  };
}
