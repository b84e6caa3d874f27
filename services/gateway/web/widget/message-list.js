// The citizen's messages: the stored ones by seq, below them those without a receipt.
import { h, icon, setText } from "../shared/dom.js";
import { deliveryOf, messageList } from "../shared/message-list.js";

export const CLIP = "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7L9.3 17a1.7 1.7 0 0 1-2.4-2.4L14 7.5";
const PREVIEWED = /^(image\/|application\/pdf$)/; // shared/previews.js, which comes when it is needed, knows which
const HOPELESS = ["invalid", "too_long", "unknown_attachment", "not_yours", "chat_closed"]; // the same again would be refused again

/**
 * RULES: what the citizen sees of a conversation, in order; one that was sent keeps its key when its receipt comes.
 *
 * @param {Conversation} chat
 * @param {Translator} t
 * @returns {ListItem[]}
 */
export function itemsOf({ messages, pending, read }, t) {
  const lastRead = messages.findLast(({ from, seq }) => from === "citizen" && seq <= read)?.seq ?? 0;
  return [
    ...messages.map(({ from, id, seq, name, text, attachment, at }) => {
      const own = from === "citizen";
      const called = own ? t("you") : from === "agent" ? name || t("agent") : "";
      /** @type {ListItem["state"]} */
      const state = own ? deliveryOf(seq, lastRead) : undefined;
      return { key: `${from}:${id ?? seq}`, id, from, own, name: called, text, file: attachment, stored: true, state, seq, at };
    }),
    ...pending.map(({ id, text, file, state, code }) => {
      /** @type {ListItem} */
      const item = { key: `citizen:${id}`, id, from: "citizen", own: true, name: t("you"), text, file, stored: false, state, code };
      return item;
    }),
  ];
}

/**
 * `update(chat, backlog)` draws what changed.
 *
 * @param {MessageLogOptions} options
 */
export function messageLog({ t, onFile, onPreview, onAgain, onDiscard, onSeen, announce }) {
  const jump = h("button", { class: "jump", hidden: true }, t("fresh"));
  const typing = h("p", { class: "typing" });
  const { list, draw, ...rest } = messageList({
    t,
    label: t("log"),
    jump,
    file: { onOpen: onFile, preview: (file, place) => (PREVIEWED.test(file.content_type ?? "") ? onPreview(file, place) : undefined) },
    icon: (name) => name === "file" && icon(CLIP),
    failure: ({ code }) => `${t("failed")}.` + (code && t.has(code) ? ` ${t(code)}` : ""),
    hopeless: HOPELESS,
    onScroll: (atEnd) => atEnd && onSeen(),
    onAgain: ({ id }) => id && onAgain(id),
    onDiscard: ({ id }) => id && onDiscard(id),
    announce: (n) => announce(t("missed", { n })),
  });
  /** @type {unknown[]} */
  let drawn = [];

  /** @param {Conversation} chat @param {number} backlog */
  function update(chat, backlog) {
    setText(typing, chat.typing ? t("typing", { name: chat.agent?.name ?? t("agent") }) : "");
    const now = [chat.messages, chat.pending, chat.read, chat.closed];
    if (now.every((part, index) => part === drawn[index])) return;
    drawn = now;
    draw(itemsOf(chat, t), { backlog, over: Boolean(chat.closed) });
  }

  return { parts: [list, typing, jump], update, ...rest };
}
