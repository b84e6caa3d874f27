// The stored messages by seq, below them those without a receipt.
import { h, icon, setAttribute, setText } from "../shared/dom.js";
import { sizes } from "./format.js";

export const CLIP = "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7L9.3 17a1.7 1.7 0 0 1-2.4-2.4L14 7.5";
const ALOUD = 3; // more are counted, not read
const HUSH = 1_000; // ms
const NEAR = 48; // px
const HOPELESS = ["invalid", "too_long", "unknown_attachment", "not_yours"]; // the same again would be refused again
const LINK = /(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]])/;

/**
 * `update(chat, backlog)` draws what changed.
 *
 * @param {MessageLogOptions} options
 */
export function messageLog({ t, lang, zone, onFile, onAgain, onDiscard, onSeen, announce }) {
  const list = h("div", { class: "log", hook: "chat-messages", role: "log", "aria-live": "polite", "aria-label": t("log"), tabindex: 0 });
  const fresh = h("button", { class: "fresh", hidden: true, onclick: toEnd }, t("fresh"));
  const time = new Intl.DateTimeFormat(lang, { timeStyle: "short", timeZone: zone });
  const size = sizes(lang);
  const waiting = new Map(); // id → node
  /** @type {MessageFrame[]} */
  let drawn = [];
  /** @type {HTMLElement | null} */
  let lastDrawn = null;
  let counted = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let hush;
  let atEnd = true;
  function toEnd() {
    list.scrollTop = list.scrollHeight;
    atEnd = true;
    setAttribute(fresh, "hidden", true);
  }
  list.addEventListener("scroll", () => {
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    if (!atEnd) return;
    setAttribute(fresh, "hidden", true);
    onSeen();
  });
  const resizing = new ResizeObserver(() => atEnd && toEnd());
  resizing.observe(list);

  /** @param {string} text */
  function words(text) {
    return text
      .split(LINK)
      .map((part, index) => (index % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part));
  }

  /** @param {Attachment} attachment @param {boolean} ready */
  function file(attachment, ready) {
    const measure = size(attachment.size);
    return h(
      "button",
      {
        class: "file",
        type: "button",
        "aria-label": t("file", { name: attachment.name, size: measure }),
        disabled: !ready,
        onclick: () => onFile(attachment),
      },
      icon(CLIP),
      h("bdi", {}, attachment.name),
      h("small", {}, measure),
    );
  }

  /** @param {string} from @param {string} name @param {{text?: string, attachment?: Attachment | string, file?: Attachment}} content @param {boolean} ready */
  function node(from, name, content, ready) {
    const attachment = /** @type {Attachment | undefined} */ (ready ? content.attachment : content.file);
    return h(
      "div",
      { class: `item ${from}` },
      from !== "system" && h("div", { class: from === "citizen" ? "who sr" : "who" }, h("bdi", {}, name), h("span", { class: "sr" }, ": ")),
      attachment ? file(attachment, ready) : h("p", { dir: "auto" }, ...words(content.text ?? "")),
      h("div", { class: "state" }),
    );
  }

  /** @param {MessageFrame} message */
  function stored(message) {
    const mine = message.from === "citizen";
    const name = mine ? t("you") : message.name || t("agent");
    const before = mine ? waiting.get(message.id) : undefined;
    waiting.delete(message.id);
    // a text keeps its node and is not read twice
    const item = before && message.text === before.children[1].textContent ? before : node(message.from, name, message, true);
    if (item !== before) before?.remove();
    item.className = `item ${message.from}`;
    const at = message.at ? time.format(new Date(message.at)) : "";
    item.lastChild.replaceChildren(...(mine ? [`${t("sent")} ${at}`] : [at]));
    lastDrawn = place(item, lastDrawn);
  }

  // A node that moves is read again.
  /** @param {HTMLElement} item @param {HTMLElement | null} after */
  function place(item, after) {
    const next = after ? after.nextSibling : list.firstChild;
    if (next !== item) list.insertBefore(item, next);
    return item;
  }

  /** @param {PendingMessage} item */
  function unsent(item) {
    let element = waiting.get(item.id);
    if (!element) {
      element = node("citizen", t("you"), item, false);
      waiting.set(item.id, element);
    }
    const looks = `item citizen ${item.state}`;
    if (element.className !== looks) {
      element.className = looks;
      element.lastChild.replaceChildren(...(item.state === "sending" ? [t("sending")] : failure(item)));
    }
    return element;
  }

  /** @param {PendingMessage} item */
  function failure({ id, code }) {
    const words = `${t("failed")}.${code && t.has(code) ? ` ${t(code)}` : ""}`;
    if (code === "chat_closed") return [words];
    /** @param {string} key @param {(id: string) => void} call */
    const choice = (key, call) => h("button", { class: "text", type: "button", onclick: () => call(id) }, t(key));
    return [words, ...(HOPELESS.includes(code ?? "") ? [] : [" ", choice("again", onAgain)]), " ", choice("discard", onDiscard)];
  }

  /** @param {number} backlog */
  function quietly(backlog) {
    const last = drawn.at(-1)?.seq ?? 0;
    const old = backlog - last;
    if (last && last >= counted && old <= ALOUD) return;
    setAttribute(list, "aria-live", "off");
    if (last && backlog > counted) announce(t("missed", { n: old }));
    counted = backlog; // it may come in pieces
    clearTimeout(hush);
    hush = setTimeout(() => setAttribute(list, "aria-live", "polite"), HUSH);
  }

  /** @param {Conversation} chat @param {number} backlog */
  function update(chat, backlog) {
    if (chat.messages[0] !== drawn[0] || chat.messages.length < drawn.length) {
      list.replaceChildren();
      waiting.clear();
      [drawn, lastDrawn] = [[], null];
    }
    const follow = atEnd;
    const added = chat.messages.slice(drawn.length);
    if (added.length) quietly(backlog);
    added.forEach(stored);
    drawn = chat.messages;
    const known = new Set(chat.pending.map((item) => item.id));
    for (const [id, element] of waiting) if (!known.has(id)) (element.remove(), waiting.delete(id));
    const mine = chat.pending.some((item) => !waiting.has(item.id));
    let last = lastDrawn;
    for (const item of chat.pending) last = place(unsent(item), last);
    if (follow || mine) toEnd();
    else if (added.some((message) => message.from !== "citizen")) setAttribute(fresh, "hidden", false);
  }

  const typing = h("p", { class: "typing" });
  /** @param {Conversation} chat */
  const type = (chat) => setText(typing, chat.typing ? t("typing", { name: chat.agent?.name ?? t("agent") }) : "");
  return { parts: [list, typing, fresh], update, type, toEnd, atEnd: () => atEnd, stop: () => (clearTimeout(hush), resizing.disconnect()) };
}
