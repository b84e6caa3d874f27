// RULES of one chat: pure functions from a state to the next. `me` is "citizen" or "agent".

export const UNDER_WAY = 32; // messages without a receipt at a time
export const LONGEST_TEXT = 4000; // Unicode code points
const AHEAD = 64; // kept beyond a hole
/** Refusals that hold for now only: the same message is sent again later. */
export const RETRY_LATER = ["rate_limited", "unavailable"];
const DOTS = ["grey", "green", "red"];
const PARTIES = ["citizen", "agent", "system"];

/**
 * A new one; `pending`, of an earlier page: `{id, text}` or `{id, attachment, file}`.
 *
 * @param {Party} me
 * @returns {Conversation}
 * @param {KeptMessage[]} [pending]
 */
export function conversation(me, pending = []) {
  return {
    me,
    messages: [],
    ahead: [], // of a hole
    pending: pending.map((item) => ({ state: "sending", ...item, wire: false })), // wire: under way
    blocked: false, // nothing goes out until the next welcome
    welcomed: false,
    dot: "grey",
    position: null,
    agent: null,
    assigned: false, // an agent has it on the screen and has not accepted it yet
    wait: null, // seconds, estimated
    name: null, // of the citizen, as far as the server knows it
    frames: [], // beyond version 1 that the server takes
    inactive: null, // or the frame that warns
    typing: false, // the other party
    read: 0,
    closed: null,
  };
}

/**
 * `after` of the next hello.
 *
 * @param {Conversation} chat
 */
export const lastSeq = (chat) => chat.messages.at(-1)?.seq ?? 0;

/**
 * What a frame of the server does.
 *
 * @param {Conversation} chat
 * @param {CitizenFrame} frame
 * @returns {Received}
 */
export function receive(chat, frame) {
  switch (frame.type) {
    case "welcome":
      return welcome(
        { ...chat, ...known(frame), dot: DOTS.includes(frame.dot) ? frame.dot : chat.dot },
        count(frame.last_seq) ?? lastSeq(chat),
      );
    case "status":
      return DOTS.includes(frame.dot) ? done(status(chat, frame)) : done(chat);
    case "inactive":
      return done({ ...chat, inactive: frame.warning && isTime(frame.closes_at) && Number.isFinite(frame.seconds) ? frame : null });
    case "message":
      return message(chat, frame);
    case "typing":
      return done(frame.from === chat.me ? chat : { ...chat, typing: frame.active === true });
    case "read":
      return done(frame.from === chat.me ? chat : { ...chat, read: Math.max(chat.read, count(frame.seq) ?? 0) });
    case "sync":
      return done(chat, (count(frame.last_seq) ?? 0) > lastSeq(chat) ? "hello" : null);
    case "closed":
      return done(close(chat, typeof frame.reason === "string" && frame.reason ? frame.reason : "inactive"));
    case "error":
      return refuse(chat, frame);
    default:
      return done(chat);
  }
}

/** @param {CitizenWelcomeFrame} frame */
const known = ({ name, frames }) => ({ name: typeof name === "string" ? name : null, frames: Array.isArray(frames) ? frames : [] });

/** @param {unknown} value @returns {number | null} */
const count = (value) => (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null);
/** @param {unknown} value */
const isTime = (value) => typeof value === "string" && !Number.isNaN(Date.parse(value));

/**
 * Whether this describes an attachment: what an upload is answered with, and what a message carries.
 *
 * @param {any} file
 */
export const isFile = (file) => typeof file?.id === "string" && typeof file.name === "string" && Number.isFinite(file.size);

/** @param {Conversation} chat @param {StatusFrame} frame @returns {Conversation} */
function status(chat, { dot: colour, position, agent, wait, assigned }) {
  return {
    ...chat,
    dot: colour,
    position: count(position) || null,
    agent: typeof agent?.name === "string" ? agent : null,
    assigned: colour === "grey" && assigned === true,
    wait: Number.isFinite(wait) ? wait : null,
    inactive: colour === "green" ? chat.inactive : null,
  };
}

// What cannot be shown as it is becomes something that can: a message that is left out would be a hole for ever.
/** @param {MessageFrame} frame */
function readable(frame) {
  const right = { ...frame };
  if (!PARTIES.includes(frame.from)) right.from = "system";
  if (typeof frame.name !== "string") delete right.name;
  if (!isFile(frame.attachment)) delete right.attachment;
  if (typeof frame.text !== "string") delete right.text;
  if (!right.attachment && right.text === undefined) right.text = "";
  if (!isTime(frame.at)) right.at = null;
  return right;
}

// Hello lifts a refusal: what we sent before its welcome could overtake the refused. One hello at a time.
/** @param {Conversation} chat @param {Ask} [ask] @param {MessageFrame[]} [added] @returns {Received} */
function done(chat, ask, added = []) {
  return ask && chat.welcomed && !chat.blocked ? { chat: { ...chat, blocked: true }, ask, added } : { chat, ask: null, added };
}

/**
 * Hello was accepted. A server that knows less than we do is right.
 *
 * @param {Conversation} chat
 * @param {number} last
 */
export function welcome(chat, last) {
  const open = { ...chat, welcomed: true, blocked: false };
  return last < lastSeq(chat) ? done({ ...open, messages: [], ahead: [], read: 0 }, "hello") : done(open);
}

/**
 * What had no receipt goes out again, under the same ids, after the next welcome.
 *
 * @param {Conversation} chat
 * @returns {Conversation}
 */
export function disconnected(chat) {
  const pending = chat.pending.map((item) => ({ ...item, wire: false }));
  return { ...chat, pending, welcomed: false, blocked: false, typing: false, inactive: null };
}

/** @param {Conversation} chat @param {MessageFrame} frame */
function message(chat, frame) {
  if (!Number.isSafeInteger(frame.seq) || frame.seq < 1) return done(chat);
  if (frame.seq <= lastSeq(chat)) return done({ ...chat, pending: without(chat, [frame]) });
  const ahead = chat.ahead.filter((known) => known.seq !== frame.seq && known.seq > lastSeq(chat));
  ahead.push(readable(frame));
  ahead.sort((a, b) => a.seq - b.seq);
  let ready = 0;
  while (ahead[ready]?.seq === lastSeq(chat) + ready + 1) ready += 1;
  const added = ahead.splice(0, ready);
  const next = {
    ...chat,
    messages: added.length ? [...chat.messages, ...added] : chat.messages,
    ahead: ahead.slice(0, AHEAD),
    pending: without(chat, added),
    typing: chat.typing && !added.some((one) => one.from !== chat.me && one.from !== "system"),
  };
  return done(next, ahead.length ? "hello" : null, added);
}

// Our own message with a seq is its receipt.
/** @param {Conversation} chat @param {MessageFrame[]} stored */
function without(chat, stored) {
  const ids = new Set(stored.filter((one) => one.from === chat.me).map((one) => one.id));
  return ids.size ? chat.pending.filter((item) => !ids.has(item.id)) : chat.pending;
}

/** @param {Conversation} chat @param {string} reason @returns {Conversation} */
function close(chat, reason) {
  const pending = chat.pending.map((item) => fail(item, "chat_closed"));
  return { ...chat, pending, closed: reason, dot: "red", position: null, agent: null, assigned: false, typing: false, inactive: null };
}

/** @param {PendingMessage} item @param {string} code @returns {PendingMessage} */
const fail = (item, code) => ({ ...item, state: "failed", code, wire: false });

/**
 * "Not now" holds for all that came after it too; any other code for this message alone.
 *
 * @param {Conversation} chat
 * @param {ErrorFrame} frame
 */
function refuse(chat, { code, id }) {
  if (RETRY_LATER.includes(code)) {
    const from = id ? chat.pending.findIndex((item) => item.id === id) : 0;
    const pending = chat.pending.map((item, index) => (from >= 0 && index >= from ? { ...item, wire: false } : item));
    return done({ ...chat, pending }, "later");
  }
  return done({ ...chat, pending: chat.pending.map((item) => (item.id === id ? fail(item, code) : item)) });
}

/**
 * A new message of ours; `content` is `{text}` or `{attachment, file}`.
 *
 * @param {Conversation} chat
 * @param {string} id
 * @param {Partial<KeptMessage>} content
 * @returns {Conversation}
 */
export function post(chat, id, content) {
  return { ...chat, pending: [...chat.pending, { id, ...content, state: "sending", wire: false }] };
}

/**
 * A failed message goes to the end of the line, under its own id.
 *
 * @param {Conversation} chat
 * @param {string} id
 * @returns {Conversation}
 */
export function again(chat, id) {
  const item = chat.pending.find((one) => one.id === id);
  if (!item) return chat;
  const rest = chat.pending.filter((one) => one.id !== id);
  return { ...chat, pending: [...rest, { ...item, state: "sending", code: undefined, wire: false }] };
}

/**
 * A failed message is given up.
 *
 * @param {Conversation} chat
 * @param {string} id
 */
export const discard = (chat, id) => ({ ...chat, pending: chat.pending.filter((item) => item.id !== id) });

/**
 * The frames that may go out now, in order; tell `sent` which did.
 *
 * @param {Conversation} chat
 */
export function due(chat) {
  if (!chat.welcomed || chat.blocked || chat.closed) return [];
  const line = chat.pending.filter((item) => item.state === "sending");
  const room = UNDER_WAY - line.filter((item) => item.wire).length;
  return line
    .filter((item) => !item.wire)
    .slice(0, Math.max(0, room))
    .map(({ id, text, attachment }) => (attachment ? { type: "message", id, attachment } : { type: "message", id, text }));
}

/**
 * These are under way.
 *
 * @param {Conversation} chat
 * @param {string[]} ids
 */
export function sent(chat, ids) {
  const known = new Set(ids);
  return { ...chat, pending: chat.pending.map((item) => (known.has(item.id) ? { ...item, wire: true } : item)) };
}

/**
 * The other party stopped typing.
 *
 * @param {Conversation} chat
 */
export const quiet = (chat) => (chat.typing ? { ...chat, typing: false } : chat);

/**
 * The true colour: without a connection to the server there is none to a person.
 *
 * @param {Conversation} chat
 * @param {ConnectionState} link
 */
export function dot(chat, link) {
  if (chat.closed || link === "lost" || link === "ended") return "red";
  return chat.welcomed ? chat.dot : "grey";
}

/**
 * Whether an entry is news to a citizen: a message of the agent, that an agent has come, or the end.
 *
 * @param {MessageFrame} entry
 */
export const isNews = ({ from, event }) => from === "agent" || event === "assigned" || event === "closed";

/**
 * How much news there is for the citizen after the seq that was shown.
 *
 * @param {Conversation} chat
 * @param {number} shown
 */
export const unread = (chat, shown) => chat.messages.filter((one) => one.seq > shown && isNews(one)).length;

/**
 * Why a text cannot be sent: "empty", "too_long" or null.
 *
 * @param {string} text
 */
export function problem(text) {
  if (!text.trim()) return "empty";
  return [...text].length > LONGEST_TEXT ? "too_long" : null;
}

// A message that is being written.

/** The number of characters left from which it is shown. */
export const COUNT_FROM = 500;

/**
 * Return how many characters (Unicode code points) may still be written; negative when the text is too long.
 *
 * @param {string} text
 */
export const charactersLeft = (text) => LONGEST_TEXT - [...text].length;

/**
 * Return whether this key sends: Enter without Shift, and not the end of a composition (key code 229).
 *
 * @param {KeyboardEvent} event
 */
export const isSubmitKey = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;

/** Make a random UUID, also on plain http, where `crypto.randomUUID` is missing. */
export const newId = () =>
  crypto.randomUUID?.() ??
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (+digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+digit / 4)))).toString(16),
  );
