/** The messages of a chat as agents see them: with notes, in the citizen's language, the system's words from where the agent stands. */
import { ask, attachmentUrl } from "./api.js";
import { h, setAttribute } from "../shared/dom.js";
import { newsPlace } from "./dialogs.js";
import { button, icon } from "./dom.js";
import { lastReadSeq, timeline } from "./chat-state.js";
import { maskedParts } from "../shared/masked-numbers.js";
import { linked } from "../shared/links.js";
import { deliveryOf, messageList } from "../shared/message-list.js";
import { hasPreview, previews } from "../shared/previews.js";
import { reading, save as saveFile } from "./reading.js";
import { systemWords } from "./system-messages.js";
import { known } from "./i18n.js";
import { nameOf } from "./chat-list.js";

/** @type {Record<string, string>} */
const TEXTS = {
  sending: "chat.pending",
  sent: "chat.delivered",
  read: "chat.read",
  again: "chat.again",
  discard: "chat.discard",
  file: "attach.download",
  noteSending: "note.pending",
};
/** @type {Record<string, import("./dom.js").IconName>} */
const ICONS = { sending: "waiting", read: "online", failed: "failed", file: "file", note: "note" };

/** @param {TimelineItem} item */
const isNote = (item) => item.kind === "note" || item.kind === "pending_note";

/**
 * RULES: what an agent sees of a chat, in order.
 *
 * @param {Translator} t
 * @param {DeskChat} one
 * @param {{agent: string, own: string, departments: Map<string, string>}} context `agent`: how the agent is called, `own`: their id
 * @returns {ListItem[]}
 */
export function itemsOf(t, one, { agent, own, departments }) {
  const read = lastReadSeq(one);
  return timeline(one).map((item) => {
    const { kind, key, id, seq, at, text, code } = item;
    if (kind === "returned") return { key, from: "system", own: false, aside: true, stored: true, text: known(t, "returned", item.why) };
    const stored = kind === "message" || kind === "note";
    const from = isNote(item) ? "note" : stored ? (item.from ?? "system") : "agent";
    const mine = from === "agent";
    const file = /** @type {Attachment | undefined} */ (stored ? item.attachment : item.file);
    const said = from === "system" ? systemWords(t, item, { own, name: nameOf(one, t), departments }) : text;
    const name = from === "citizen" ? item.name || nameOf(one, t) : from === "system" ? "" : item.name || agent;
    const state = stored ? (mine ? deliveryOf(seq ?? 0, read) : undefined) : item.state;
    const lang = from === "citizen" ? one.about.locale : undefined;
    const badge = from === "note" ? t("note.badge") : undefined;
    return { key, id, from, own: mine, name, text: said, file, stored, state, code, seq, at, lang, badge };
  });
}

/**
 * `{element, draw(one, departments), atBottom(), toBottom(), stop()}`; `own` is the agent's id; `acts`: `again`, `discard`, `againNote`,
 * `discardNote`, each with (chat, id); `onScroll()`.
 *
 * @param {Translator} t
 * @param {ConsoleLogOptions} options
 */
export function messageLog(t, { chat, name, acts, agent, own, onScroll }) {
  const jump = button(t("chat.new_below"), { class: "jump main small", hidden: true });
  /** @param {Attachment} file */
  const urlOf = ({ id }) => attachmentUrl(chat, id);
  const show = previews({
    t: (key, values) => t(`attach.${key}`, values),
    ask: (file, size) =>
      reading(t, chat, (reason) => ask("GET", `${urlOf(file)}/preview?size=${size}`, undefined, null, { reason, file: true })).then(
        ({ status, body }) => (status === 200 ? body.bytes : null),
      ),
    save: (file) => void saveFile(t, chat, h("a", { href: urlOf(file), download: file.name })),
    within: () => document.body,
    news: newsPlace,
  });
  /** @type {any} */
  const words = (/** @type {string} */ key, /** @type {any} */ values) => t(TEXTS[key] ?? key, values);
  words.language = t.language;
  const { list, draw, ...rest } = messageList({
    t: words,
    label: t("chat.messages", { name }),
    jump,
    file: { href: urlOf, preview: (file, place) => (hasPreview(file) ? show(file, place) : undefined) },
    words: (text) =>
      maskedParts(text, (kind, last) => t(`masked.${kind}`, { last })).flatMap((part) =>
        typeof part === "string" ? linked(part) : [part],
      ),
    icon: (symbol) => icon(ICONS[symbol]),
    failure: ({ from, code }) => t(from === "note" ? "note.failed" : "chat.failed", { reason: known(t, "error", code) }),
    onScroll,
    onAgain: ({ from, id = "" }) => (from === "note" ? acts.againNote : acts.again)?.(chat, id),
    onDiscard: ({ from, id = "" }) => (from === "note" ? acts.discardNote : acts.discard)?.(chat, id),
  });

  /** @param {DeskChat} one @param {Map<string, string>} departments */
  function drawChat(one, departments) {
    setAttribute(list, "aria-label", t("chat.messages", { name: nameOf(one, t) }));
    const loading = one.recall === "loading" || !(one.talk.welcomed || one.ended);
    const empty = t(one.recall === "failed" ? "past.not_read" : loading ? "chat.loading" : "chat.empty");
    draw(itemsOf(t, one, { agent, own, departments }), { backlog: one.since, over: Boolean(one.ended), empty });
  }

  return {
    element: h("div", { class: "log-frame" }, list, jump),
    draw: drawChat,
    toBottom: rest.toEnd,
    atBottom: rest.atEnd,
    stop: rest.stop,
  };
}
