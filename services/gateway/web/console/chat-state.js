/** RULES of one chat on the agent's desk: what the conversation's own rules do not know (reading, accepting, notes, the end). */
import * as talk from "../shared/conversation.js";
import { openRequest } from "../shared/identification.js";
import * as notes from "./notes.js";

const OPEN_FOR = 600_000; // ms in which a citizen who is asked to identify may begin
const ASKING = 20_000; // ms until a request that was sent has to be in the conversation

/**
 * A chat as the server tells it (`assigned`), with what was kept of it by an earlier page.
 *
 * @param {AssignedChat} chat
 * @param {Partial<KeptChat>} [kept]
 * @returns {DeskChat}
 */
export function entry(chat, kept = {}) {
  return {
    id: chat.chat_id,
    about: aboutOf(chat),
    talk: talk.conversation("agent", kept.pending),
    book: notes.notebook(kept.notes),
    online: null, // the citizen's connection: not told yet
    shown: kept.shown ?? 0, // the highest seq that the agent had on the screen
    told: 0, // the highest seq that the server was told of, on this connection
    since: chat.last_seq ?? Infinity, // the log went so far when the server counted it among ours last
    seen: kept.seen ?? false, // a person has seen that this chat is here
    accepted: false, // and the server was told so, on this connection
    pressed: false, // "accept" was pressed while the server could not hear it
    ended: kept.ended ?? null, // {kind: "closed" | "gone", reason}
    recall: null, // its log, where it ended before this page was opened: "loading" or "failed"
    transfer: false, // asked for, not answered yet
    asking: null, // the request to identify that was sent last, {id, at}; null: none, or it was refused
    closing: kept.closing ?? false, // the agent ended it; the server has not said so yet
    block: kept.block ?? null, // and its citizen is to be blocked with it: {minutes, reason, address}
    blocking: false, // a block was asked for after the end; a refusal may still come
    closeTold: false, // and was told so, since the last hello
    transferred: chat.transferred === true, // a colleague gave it to us, and it may still be refused
    refusing: kept.refusing ?? false, // the agent does not want it; the server has not taken it away yet
    refuseTold: false, // and was told so, since the last hello
    acceptAt: chat.accept_at ?? null, // until when it can be accepted, in ms of the page's own clock; null: not told
    returned: chat.returned ?? null, // why it came back after a transfer: "refused" | "unanswered"
    silent: null, // the citizen says nothing: {warning, closes_at}
    draft: { text: "", note: "", kind: "message", ...kept.draft },
  };
}

/** @param {AssignedChat} chat */
const aboutOf = ({ department, locale, name, question, form, opened_at, remind_after, identify }) => ({
  department,
  locale,
  name: name || null,
  question: question || null,
  form: form ?? null,
  opened_at,
  remind_after: remind_after ?? 0, // seconds of waiting for an answer after which the agent is reminded; 0: never
  identify: identify === true, // the citizen may be asked to identify
});

/**
 * The server counts this chat among ours (again): `{entry, ask}`; it is a new one when it had ended here.
 *
 * @param {DeskChat} one
 * @param {AssignedChat} chat
 */
export function placed(one, chat) {
  const back = one.ended
    ? { ended: null, accepted: false, pressed: false, transfer: false, closing: false, block: null, blocking: false, refusing: false }
    : {};
  const way = {
    transferred: chat.transferred === true,
    returned: chat.returned ?? null,
    acceptAt: chat.accept_at ?? null,
    refuseTold: false,
  };
  // What the server says of accepting holds, unless it may not have heard yet what was told: then it is told again.
  const told = one.accepted || one.pressed;
  const unheard = chat.accepted === false;
  const accept = unheard ? { accepted: false, pressed: told } : {};
  const seen = chat.accepted === true || (!one.ended && (unheard ? told : one.seen));
  const { chat: next, ask } = talk.welcome({ ...one.talk, closed: null }, chat.last_seq ?? 0);
  return {
    entry: {
      ...one,
      ...accept,
      ...back,
      ...way,
      seen,
      since: chat.last_seq ?? 0,
      closeTold: false,
      about: { ...one.about, ...aboutOf(chat) },
      talk: next,
    },
    ask,
  };
}

/**
 * The connection is gone: what was told to the server counts no longer.
 *
 * @param {DeskChat} one
 */
export const disconnected = (one) => ({
  ...one,
  talk: talk.disconnected(one.talk),
  book: notes.disconnected(one.book),
  told: 0,
  accepted: false,
  transfer: false,
  asking: null,
  closeTold: false,
  online: null,
  silent: null,
});

/**
 * It is over here. What was not sent has failed and can still be read; the first reason stands.
 *
 * @param {DeskChat} one
 * @param {"closed" | "gone"} kind
 * @param {string} reason
 */
export function ended(one, kind, reason) {
  if (one.ended?.kind === "closed") return one;
  const shown = kind === "gone" ? talk.lastSeq(one.talk) : one.shown; // what a colleague has to answer is not unread here
  return unsent({ ...one, ended: { kind, reason }, shown, talk: talk.disconnected(one.talk), transfer: false, silent: null });
}

/**
 * An ended chat: what was written in it and not sent has failed, also what came too late (a file whose upload took longer).
 *
 * @param {DeskChat} one
 * @returns {DeskChat}
 */
export function unsent(one) {
  const code = one.ended?.kind === "closed" ? "chat_closed" : "not_yours";
  /** @param {PendingMessage} item @returns {PendingMessage} */
  const fail = (item) => (item.state === "failed" ? item : { ...item, state: "failed", code, wire: false });
  return { ...one, talk: { ...one.talk, pending: one.talk.pending.map(fail) }, book: notes.shut(one.book, code) };
}

/**
 * Messages of the citizen that were not on the screen yet. The system's own do not count.
 *
 * @param {DeskChat} one
 */
export const unread = (one) => one.talk.messages.filter((message) => message.seq > one.shown && message.from === "citizen").length;

/**
 * Something was written in it that was not sent: a message or a note.
 *
 * @param {DeskChat} one
 */
export const hasDraft = (one) => Boolean(one.draft.text.trim() || one.draft.note.trim());

/**
 * Whole seconds in which this chat can still be accepted, or null when that is not known.
 *
 * @param {DeskChat} one
 * @param {number} now
 */
export const secondsLeft = (one, now) => (one.acceptAt === null ? null : Math.max(0, Math.ceil((one.acceptAt - now) / 1000)));

/**
 * Assigned, and no person has seen it yet.
 *
 * @param {DeskChat} one
 */
export const isNew = (one) => !one.ended && !one.seen;

/**
 * A colleague gave it to us, and the agent has not chosen yet: until then the server hears nothing that would accept it.
 *
 * @param {DeskChat} one
 */
export const isOffer = (one) => isNew(one) && one.transferred;

/**
 * What a colleague wrote for whoever takes the chat over: the last note, or null.
 *
 * @param {DeskChat} one
 */
export const handover = (one) => one.book.notes.at(-1) ?? null;

/**
 * Something that was written here could not be sent.
 *
 * @param {DeskChat} one
 */
export const hasFailed = (one) => [...one.talk.pending, ...one.book.pending].some((item) => item.state === "failed");

/**
 * The last message that a person wrote, or null.
 *
 * @param {DeskChat} one
 */
export const lastSaid = (one) => one.talk.messages.findLast((message) => message.from !== "system") ?? null;

/**
 * Since when the citizen waits for an answer: the time of the first message after the last one of an agent; null when nobody waits.
 *
 * @param {DeskChat} one
 */
export function waitsSince(one) {
  const said = one.talk.messages.filter((message) => message.from !== "system");
  const answered = said.findLastIndex((message) => message.from === "agent");
  return one.ended ? null : (said[answered + 1]?.at ?? null);
}

/**
 * Everything was on the screen up to here.
 *
 * @param {DeskChat} one
 * @param {number} seq
 */
export const read = (one, seq) => (seq > one.shown ? { ...one, shown: seq } : one);

/**
 * All that is to be shown of the conversation, in order, each with a `key` that stays the same from the press on "send" to the receipt:
 * `{key, kind: "message" | "note" | "pending" | "pending_note" | "returned", …}`. A note stands behind the messages that are older.
 *
 * @param {DeskChat} one
 */
export function timeline(one) {
  /** @type {TimelineItem[]} */
  const items = [];
  const assigned = one.talk.messages.findLast((message) => message.event === "assigned");
  const waiting = [...one.book.notes];
  for (const message of one.talk.messages) {
    const older = waiting.filter((note) => note.at < (message.at ?? ""));
    items.push(...waiting.splice(0, older.length).map(noteItem));
    items.push({ kind: "message", key: `${message.from}:${message.id ?? message.seq}`, ...message });
    if (one.returned && message === assigned)
      items.push({ kind: "returned", key: `returned:${message.seq}`, why: one.returned, at: message.at });
  }
  items.push(...waiting.map(noteItem));
  for (const item of one.talk.pending) items.push({ kind: "pending", key: `agent:${item.id}`, ...item });
  for (const item of one.book.pending) items.push({ kind: "pending_note", key: `note:${item.id}`, ...item });
  return items;
}

/** @param {Note} note @returns {TimelineItem} */
const noteItem = (note) => ({ kind: "note", key: `note:${note.id}`, ...note });

/**
 * The end of a chat waits until all that was written before it is on its way.
 *
 * @param {DeskChat} one
 */
export const closeIsDue = (one) =>
  one.closing && !one.closeTold && !one.talk.pending.some((item) => item.state === "sending" && !item.wire);

/**
 * Why it is over here, as a text's name in two parts. One that was taken back unseen was refused, or not accepted in time.
 *
 * @param {DeskChat} one
 * @returns {[group: string, name: string]}
 */
export function endKey({ ended: over, seen, refusing, transferred, closing }) {
  if (!over) return ["gone", "other"];
  if (over.kind === "closed") return ["ended", over.reason === "agent" && closing ? "you" : over.reason];
  if (refusing && !seen) return ["gone", "refused"];
  const why = over.reason === "agent_left" && !seen ? "not_accepted" : over.reason;
  return ["gone", why === "not_accepted" && transferred ? "unanswered" : why];
}

/**
 * The seq of our last message that the citizen was shown, else 0: only that one says so.
 *
 * @param {DeskChat} one
 */
export function lastReadSeq(one) {
  return one.talk.messages.findLast((message) => message.from === "agent" && message.seq <= one.talk.read)?.seq ?? 0;
}

/**
 * Whether the citizen can be asked to identify: "no", "now", or "asked" while a request waits for its answer.
 *
 * @param {DeskChat} one
 * @param {string[]} frames beyond version 1 that the server takes
 * @param {number} now ms since 1970
 */
export function identifies(one, frames, now) {
  if (!one.about.identify || one.ended || isOffer(one) || !frames.includes("identify")) return "no";
  const asked = openRequest(one.talk.messages);
  if (asked && now < Date.parse(asked.at ?? "") + OPEN_FOR) return "asked";
  const { asking } = one;
  if (!asking || now >= asking.at + ASKING || one.talk.messages.some(({ identification }) => identification?.id === asking.id))
    return "now";
  return "asked";
}

/**
 * Whether the citizen was asked to identify and has not begun in time; they may be asked again.
 *
 * @param {DeskChat} one
 * @param {string[]} frames beyond version 1 that the server takes
 * @param {number} now ms since 1970
 */
export const identifiesNoMore = (one, frames, now) =>
  identifies(one, frames, now) === "now" && openRequest(one.talk.messages) !== undefined;

/**
 * What a later page needs of this chat. What was said is not in it: the server has that.
 *
 * @param {DeskChat} one
 */
export function keep(one) {
  const pending = one.talk.pending.map(({ id, text, attachment, file, state, code }) => ({ id, text, attachment, file, state, code }));
  const open = one.book.pending.map(({ id, text, state, code }) => ({ id, text, state, code }));
  const { shown, seen, ended: over, closing, block, refusing, transferred, draft } = one;
  return { chat_id: one.id, ...one.about, shown, seen, ended: over, closing, block, refusing, transferred, draft, pending, notes: open };
}
