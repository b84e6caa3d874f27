// What stands around the white bar once it is there: the messages, files, downloads and the end of a conversation.
import { lastSeq, unread } from "../shared/conversation.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";
import { size, useZone } from "../shared/format.js";
import { wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";
import { CLIP, messageLog } from "./message-list.js";
import { toolsSheet } from "./tools-style.js";

const DOWN = "M12 4v11 M7 10.5l5 5 5-5 M4 20h16";
const FORMATS = ["txt", "html", "pdf", "json"];
const ACCEPT = ".pdf,.png,.jpg,.jpeg,.gif,.webp,.txt,.csv,.odt,.ods,.odp,.docx,.xlsx,.pptx";
const DEFAULTS = {
  timezone: "Europe/Brussels",
  attachment_bytes: 10 * 1024 * 1024,
  attachment_count: 20,
  attachment_total: 50 * 1024 * 1024,
};
const SETTINGS = 2_500; // ms; nobody waits longer for what has defaults

/**
 * What the server says of limits and of the time zone (`GET /api/settings`); what is missing or wrong is as by default.
 *
 * @param {string} base
 */
export async function settingsOf(base) {
  const told = await fetch(`${base}/api/settings`, { credentials: "omit", signal: AbortSignal.timeout(SETTINGS) })
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null);
  const settings = { ...DEFAULTS };
  for (const name of /** @type {const} */ (["attachment_bytes", "attachment_count", "attachment_total"]))
    if (Number.isSafeInteger(told?.[name]) && told[name] > 0) settings[name] = told[name];
  if (typeof told?.timezone === "string") settings.timezone = useZone(told.timezone);
  return settings;
}

/**
 * Puts them into `element` of a chat: the messages in the place of `log`, the buttons in `row`.
 *
 * @param {ChatToolsOptions} options
 */
export async function chatTools(options) {
  const { host, lang, base, store, record, announce, session, element, tell, log: space, notice, row, isOpen, onUnread, onEnded } = options;
  const [texts, settings] = await Promise.all([import(`./text/${lang}.js`), settingsOf(base)]);
  const t = translator(texts.default, lang);
  host.settings = settings;
  /** @type {Conversation | undefined} */
  let state;
  /** @type {ReturnType<typeof import("./previews.js").widgetPreviews> | undefined} */
  let previews;
  /** @type {ReturnType<typeof import("./files.js").uploads> | null | undefined} */
  let uploading;
  let untold = false;
  /** @param {string} path @param {string} name */
  const save = async (path, name) => {
    const said = import("./files.js").then((files) => files.save({ base, record, path, name, element }));
    const [words, wrong] = await said.catch(() => /** @type {[string, boolean?]} */ ([t("saveFailed"), true]));
    tell(words, wrong);
  };
  /** @param {Attachment} file */
  const saveFile = ({ id, name }) => void save(`attachments/${id}`, name);
  const log = messageLog({
    t,
    announce,
    onFile: saveFile,
    onPreview: (file, place) => {
      previews ??= import("./previews.js").then((module) => module.widgetPreviews({ base, record, element, save: saveFile }));
      return previews.then(
        (show) => show(file, place),
        () => void (previews = undefined),
      );
    },
    /** @param {string} id */
    onAgain: (id) => session.again(id),
    /** @param {string} id */
    onDiscard: (id) => (session.discard(id), focus()),
    onSeen: () => seen(),
  });

  const hint = t("attachHint", { size: size(settings.attachment_bytes, lang) });
  const input = h("input", {
    type: "file",
    class: "sr",
    hook: "chat-file",
    multiple: true,
    accept: ACCEPT,
    tabindex: -1,
    "aria-label": hint,
    onchange: () => {
      add([...(input.files ?? [])]);
      input.value = "";
    },
  });
  const attach = h("button", { class: "tool", hook: "chat-attach", title: hint, onclick: () => input.click() }, icon(CLIP), t("attach"));
  const uploads = h("div", { class: "uploads" });

  /** @param {File[]} chosen */
  function add(chosen) {
    uploading ??= import("./files.js").then((module) =>
      module.uploads({ base, record, settings, session, announce: tell, list: uploads, focus: () => attach.focus() }),
    );
    uploading
      .then(({ add: one }) => chosen.forEach(one))
      .catch(() => {
        uploading = null;
        tell(t("attachFailed"), true);
      });
  }

  /** @param {string} look @param {string} hook @param {string} key @param {() => void} onclick @param {string} [drawing] */
  const button = (look, hook, key, onclick, drawing) =>
    h("button", { class: look, hook, onclick }, drawing && icon(drawing), t.has(key) ? t(key) : key.toUpperCase());
  const end = button("tool end-chat", "chat-close", "close", () => toggle(question, end));
  const saving = button("tool", "chat-download", "download", () => toggle(formats, saving), DOWN);
  const formats = choice(
    "format",
    FORMATS.map((format) =>
      button("tool", `download-${format}`, format, () => {
        toggle(formats, saving);
        save(`transcript?format=${format}`, `chat.${format}`);
      }),
    ),
  );
  const question = choice("confirm", [
    button("danger", "confirm", "yes", () => (toggle(question, end), session.end())),
    button("tool", "confirm-no", "no", () => toggle(question, end)),
  ]);
  const reason = h("p", { class: "reason", tabindex: -1 });
  const ended = h(
    "div",
    { class: "ended", hidden: true },
    reason,
    h("p", {}, t("keep")),
    h(
      "div",
      { class: "row" },
      button("primary", "chat-restart", "restart", options.onRestart),
      button("tool", "chat-dismiss", "dismiss", options.onDismiss),
    ),
  );
  const bar = { ...options.bar, add, attach };

  wear(host.shadowRoot, toolsSheet);
  space.replaceWith(...log.parts);
  notice.after(formats, question, ended, uploads);
  row.before(input);
  row.replaceChildren(attach, saving, end);
  /** @type {Promise<((chat?: Conversation, link?: Link) => void) | null> | null | undefined} */
  let aside; // what comes when the chat needs it; what could not be loaded is tried again at the next change

  /** @param {string} key @param {HTMLElement[]} buttons */
  function choice(key, buttons) {
    return h(
      "div",
      { class: "choice", role: "group", "aria-label": t(key), hidden: true },
      h("p", {}, t(key)),
      h("div", { class: "row" }, ...buttons),
    );
  }

  /** @param {HTMLElement} block @param {HTMLElement} opener */
  function toggle(block, opener) {
    const show = block.hidden;
    for (const [each, by] of [
      [formats, saving],
      [question, end],
    ]) {
      setAttribute(each, "hidden", each !== block || !show);
      setAttribute(by, "aria-expanded", String(each === block && show));
    }
    // a second Enter ends nothing
    if (show) /** @type {HTMLElement} */ (block.querySelector(block === question ? ".tool" : "button")).focus();
    else if (!opener.hidden) opener.focus();
  }

  const focus = () => (state?.closed ? reason.focus() : bar.focus());

  function because() {
    untold = session.untold();
    if (untold) return t("endUntold");
    const why = state?.closed ?? "";
    const key = `end${why.slice(0, 1).toUpperCase()}${why.slice(1)}`;
    return t(t.has(key) ? key : "endInactive");
  }

  function finish() {
    const held = bar.focused() || element.contains(rootOf(element).activeElement?.closest(".choice, .end-chat") ?? null);
    bar.hide(true);
    for (const part of [uploads, input, attach, end, question]) setAttribute(part, "hidden", true);
    setAttribute(ended, "hidden", false);
    setText(reason, because());
    if (held) reason.focus();
    else announce(reason.textContent);
    log.toEnd();
    onEnded();
  }

  // What a page gave with an identifying number in it is the citizen's to change: the same again would be refused again.
  function takeBack() {
    const { code, given } = host.refusal ?? {};
    host.refusal = undefined;
    if (code !== "identifying_number" || !given) return;
    if (given.question) bar.give([given.question]);
    given.name = given.question = undefined;
  }

  function seen() {
    if (!state) return;
    const last = lastSeq(state);
    if (isOpen() && !document.hidden && log.atEnd() && last > (record.shown ?? 0)) {
      record.shown = last;
      if (store.read("chat")?.chat_id === record.chat_id) store.write("chat", { ...store.read("chat"), shown: last });
      if (!state.closed) session.send({ type: "read", seq: last });
    }
    onUnread(unread(state, record.shown ?? 0));
  }
  document.addEventListener("visibilitychange", seen);

  return {
    t,
    focus,
    /** @param {Conversation} chat @param {Link} link */
    update(chat, link) {
      state = chat;
      if (link.refused) takeBack();
      row.style.visibility = record.chat_id ? "" : "hidden";
      log.update(chat, session.backlog());
      if (chat.closed && ended.hidden) finish();
      else if (chat.closed && untold && !session.untold()) setText(reason, because());
      aside ??= import("./lazy-panels.js")
        .then((module) => module.aside({ base, store, record, announce, session, element, bar }))
        .catch(() => (aside = null));
      aside?.then((show) => show?.(chat, link));
      seen();
    },
    opened: () => (log.toEnd(), seen()),
    escape: () => {
      const [block, opener] = formats.hidden ? [question, end] : [formats, saving];
      if (block.hidden) return false;
      toggle(block, opener);
      return true;
    },
    stop: () => {
      document.removeEventListener("visibilitychange", seen);
      aside?.then((show) => show?.());
      log.stop();
      uploading?.then(({ stop }) => stop());
    },
  };
}
