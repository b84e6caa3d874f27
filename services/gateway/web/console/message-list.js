/** The messages of the open chat on the screen: a live log that only ever says what is new. */
import { attachmentUrl } from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, icon, keyed } from "./dom.js";
import { lastReadSeq, timeline } from "./chat-state.js";
import { clock, size } from "./format.js";
import { maskedParts } from "../shared/masked-numbers.js";
import { systemWords } from "./system-messages.js";
import { known } from "./i18n.js";
import { nameOf } from "./chat-list.js";

const NEAR = 40; // px from the end still counts as the end
const CHANGING = 3; // more new things than this at once are history, not news

/**
 * `{element, draw(one, departments), atBottom(), toBottom()}`; `own` is the agent's id; `acts`: `again`, `discard`, `againNote`, `discardNote`, each with (chat, id); `onScroll()`.
 *
 * @param {Translator} t
 * @param {ConsoleLogOptions} options
 */
export function messageLog(t, { chat, name, acts, agent, own, onScroll }) {
  const log = h("div", {
    class: "log",
    role: "log",
    tabindex: "0",
    "aria-label": t("chat.messages", { name }),
    hook: "chat-messages",
    onscroll: scroll,
  });
  const jump = button(t("chat.new_below"), { class: "jump main small", hidden: true, onclick: () => (toBottom(), log.focus()) });
  let drawn = 0;
  let stuck = true; // the end is on the screen and stays there

  function scroll() {
    stuck = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    if (stuck) jump.hidden = true;
    onScroll();
  }

  function toBottom() {
    log.scrollTop = log.scrollHeight;
    stuck = true;
    jump.hidden = true;
  }

  /** @param {DeskChat} one @param {Map<string, string>} departments */
  function draw(one, departments) {
    setAttribute(log, "aria-label", t("chat.messages", { name: nameOf(one, t) }));
    const items = timeline(one);
    const read = lastReadSeq(one);
    // Filling in a conversation is not news: a screen reader would read all of it aloud.
    log.setAttribute("aria-live", drawn === 0 || items.length - drawn > CHANGING ? "off" : "polite");
    const empty = items.length ? [] : [{ key: "empty", kind: "empty" }];
    keyed(log, [...empty, ...items], (item, old) => draw1(item, old, one, read, departments));
    const added = items.length > drawn;
    const own = items.at(-1)?.kind.startsWith("pending");
    drawn = items.length;
    if (stuck || (added && own)) toBottom();
    else if (added) jump.hidden = false;
  }

  /**
   * @param {TimelineItem} item
   * @param {HTMLElement | undefined} old
   * @param {DeskChat} one
   * @param {number} read
   * @param {Map<string, string>} departments
   */
  function draw1(item, old, one, read, departments) {
    if (item.kind === "empty") {
      const node = old ?? h("p", { class: "empty" });
      setText(node, t(one.talk.welcomed || one.ended ? "chat.empty" : "chat.loading"));
      return node;
    }
    if (item.kind === "returned")
      return old ?? h("div", { class: "message system aside" }, h("div", { class: "bubble" }, known(t, "returned", item.why)));
    const file = Boolean(item.attachment && item.kind === "message");
    const reuse = old && old.dataset.file === String(file);
    const node = reuse ? old : messageNode(t, chat, item, one, agent);
    node.dataset.file = String(file);
    const bubble = /** @type {HTMLElement} */ (node.querySelector(".bubble"));
    if (item.from !== "system" && item.text != null && bubble.textContent !== item.text) bubble.replaceChildren(...wordsOf(t, item.text));
    if (item.from === "system") setText(bubble, systemWords(t, item, { own, name: nameOf(one, t), departments }));
    if (node.dataset.from === "citizen") setText(/** @type {HTMLElement} */ (node.querySelector(".head bdi")), item.name || nameOf(one, t));
    status(t, chat, node, item, { read, over: Boolean(one.ended) }, acts);
    return node;
  }

  return { element: h("div", { class: "log-frame" }, log, jump), draw, toBottom, atBottom: () => stuck };
}

/** @param {TimelineItem} item */
const isNote = (item) => item.kind === "note" || item.kind === "pending_note";
/** @param {TimelineItem} item */
const isOwn = (item) => item.kind === "pending" || (item.kind === "message" && item.from === "agent");

/** @param {Translator} t @param {string} chat @param {TimelineItem} item @param {DeskChat} one @param {string} agent */
function messageNode(t, chat, item, one, agent) {
  const side = isNote(item) ? "note" : isOwn(item) ? "own" : item.from === "system" ? "system" : "citizen";
  const who = side === "citizen" ? item.name || nameOf(one, t) : item.name || (side === "system" ? "" : agent);
  const said = h("div", { class: "bubble", dir: "auto", lang: side === "citizen" ? one.about.locale : null });
  const file = /** @type {Attachment | undefined} */ (item.kind === "message" ? item.attachment : item.file);
  if (file) said.append(fileNode(t, chat, file, item.kind === "message"));
  else said.append(...wordsOf(t, item.text ?? ""));
  const head = h("div", { class: "head" }, who && h("bdi", {}, who), who && " ", h("time", {}));
  const badge = isNote(item) && h("p", { class: "note-badge" }, icon("note"), t("note.badge"));
  return h("div", { class: `message ${side}`, "data-from": side }, badge, head, said, h("div", { class: "status" }));
}

/** @param {Translator} t @param {string} text */
const wordsOf = (t, text) => maskedParts(text, (kind, last) => t(`masked.${kind}`, { last }));

/** @param {Translator} t @param {string} chat @param {Attachment} file @param {boolean} stored */
function fileNode(t, chat, file, stored) {
  const words = size(file.size, t.language);
  if (!stored) return h("span", { class: "file" }, icon("file"), h("bdi", {}, file.name), ` (${words})`);
  return h(
    "a",
    {
      class: "file",
      href: attachmentUrl(chat, file.id),
      download: file.name,
      "aria-label": t("attach.download", { name: file.name, size: words }),
    },
    icon("download"),
    h("bdi", {}, file.name),
    ` (${words})`,
  );
}

/**
 * The part of a message that changes: its time, and whether it was sent, read or refused.
 *
 * @param {Translator} t
 * @param {string} chat
 * @param {HTMLElement} node
 * @param {TimelineItem} item
 * @param {{read: number, over: boolean}} context
 * @param {MessageActs} acts
 */
function status(t, chat, node, item, { read, over }, acts) {
  const time = /** @type {HTMLTimeElement} */ (node.querySelector("time"));
  if (item.at) {
    time.dateTime = item.at;
    setText(time, clock(item.at, t.language, new Date()));
  }
  const sending = item.kind.startsWith("pending");
  const failed = sending && item.state === "failed";
  node.classList.toggle("sending", sending && !failed);
  node.classList.toggle("failed", failed);
  const place = /** @type {HTMLElement} */ (node.lastElementChild);
  const looks = failed
    ? `failed ${item.code} ${over ? "over" : ""}`
    : sending
      ? "sending"
      : isOwn(item) && item.seq === read && read > 0
        ? "read"
        : isOwn(item)
          ? "sent"
          : "";
  if (place.dataset.looks === looks) return;
  place.dataset.looks = looks;
  place.replaceChildren(...statusWords(t, chat, item, { looks: looks.split(" ")[0], over }, acts));
}

/**
 * @param {Translator} t
 * @param {string} chat
 * @param {TimelineItem} item
 * @param {{looks: string, over: boolean}} context
 * @param {MessageActs} acts
 * @returns {(Node | string)[]}
 */
function statusWords(t, chat, item, { looks, over }, acts) {
  const note = item.kind === "pending_note";
  if (looks === "sending") return [icon("waiting"), t(note ? "note.pending" : "chat.pending")];
  if (looks === "read") return [icon("online"), t("chat.read")];
  if (looks === "sent") return [t("chat.delivered")];
  if (looks !== "failed") return [];
  const reason = t(note ? "note.failed" : "chat.failed", { reason: known(t, "error", item.code) });
  /** @param {string} key @param {((chat: string, id: string) => void) | undefined} call */
  const act = (key, call) => button(t(key), { class: "small", onclick: () => call?.(chat, item.id ?? "") });
  return /** @type {Node[]} */ (
    [
      h("span", {}, icon("failed"), reason),
      !over && act("chat.again", note ? acts.againNote : acts.again),
      act("chat.discard", note ? acts.discardNote : acts.discard),
    ].filter(Boolean)
  );
}
