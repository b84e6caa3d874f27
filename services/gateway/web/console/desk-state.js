/** RULES of the agent's desk: which chats there are, which one is open, and what a frame of the server changes. */
import * as talk from "../shared/conversation.js";
import * as notes from "./notes.js";
import * as chats from "./chat-state.js";
import { wrapUps } from "./wrap-ups.js";

const OVER = ["chat_closed", "not_yours"]; // the end of a chat crossed a frame that nobody wrote: its own frame tells it
const MOST_NAMED = 100; // chats that a hello may name

/**
 * An empty desk, with the chats that an earlier page of this agent kept (`kept` as `keep` made it, or null).
 *
 * @param {AgentWelcomeFrame["agent"]} agent
 * @param {KeptDesk | null} kept
 * @returns {Desk}
 */
export function desk({ wrap_ups: _, ...agent }, kept) {
  const list = (kept?.chats ?? []).map((one) => chats.entry(one, one));
  const selected = list.find((one) => one.id === kept?.selected)?.id ?? null;
  return {
    agent: { ...agent, state: null, why: kept?.why ?? null },
    wrapUps: /** @type {WrapUp[]} */ ([]),
    frames: /** @type {string[]} */ ([]),
    welcomed: false,
    chats: list,
    selected,
  };
}

/**
 * What a later page needs.
 *
 * @param {Desk} state
 */
export const keep = ({ agent, chats: list, selected }) => ({ selected, why: agent.why, chats: list.map(chats.keep) });

/** @param {Desk} state @param {string | null | undefined} id */
export const find = (state, id) => state.chats.find((one) => one.id === id);
/** @param {DeskChat} one */
export const isOpen = (one) => !one.ended;
/** @param {Desk} state */
export const openChats = (state) => state.chats.filter(isOpen);
/** @param {Desk} state */
export const unread = (state) => state.chats.reduce((sum, one) => sum + chats.unread(one), 0);

/**
 * One chat changed by `change`; an unknown id changes nothing.
 *
 * @param {Desk} state
 * @param {string | undefined} id
 * @param {(one: DeskChat) => DeskChat} change
 */
export function update(state, id, change) {
  return { ...state, chats: state.chats.map((one) => (one.id === id ? change(one) : one)) };
}

/**
 * The order of the list: what nobody has seen yet, then chats with unread messages, of which the citizen who waits longest comes first, then
 * the other open chats and the ended ones, each as they came.
 *
 * @param {Desk} state
 */
export function ordered(state) {
  /** @param {DeskChat} one */
  const rank = (one) => (one.ended ? 3 : chats.isNew(one) ? 0 : chats.unread(one) ? 1 : 2);
  /** @param {DeskChat} one */
  const since = (one) => (rank(one) === 1 ? (chats.waitsSince(one) ?? "") : "");
  return [...state.chats].sort((a, b) => rank(a) - rank(b) || (since(a) < since(b) ? -1 : Number(since(a) > since(b))));
}

/**
 * The chat that wants its agent next, beside the one in front: one that nobody has seen yet, or with unread messages; undefined when there is none.
 *
 * @param {Desk} state
 */
export const nextUnread = (state) =>
  ordered(state).find((one) => one.id !== state.selected && !one.ended && (chats.isNew(one) ? !one.refusing : chats.unread(one) > 0));

/**
 * The first frame of a connection: what this page has already.
 *
 * @param {Desk} state
 */
export function hello(state) {
  const known = openChats(state)
    .filter((one) => talk.lastSeq(one.talk) > 0)
    .slice(0, MOST_NAMED);
  return { type: "hello", chats: Object.fromEntries(known.map((one) => [one.id, talk.lastSeq(one.talk)])) };
}

/** @param {Desk} state */
export const disconnected = (state) => ({ ...state, welcomed: false, chats: state.chats.map(chats.disconnected) });

/**
 * This chat is in front; null: none is.
 *
 * @param {Desk} state
 * @param {string | null} id
 */
export const select = (state, id) => ({ ...state, selected: id });

/**
 * An ended chat leaves the list; the next one that is open comes in front if it was this one.
 *
 * @param {Desk} state
 * @param {string} id
 */
export function dismiss(state, id) {
  const rest = state.chats.filter((one) => one.id !== id || isOpen(one));
  const selected = rest.some((one) => one.id === state.selected) ? state.selected : (rest.find(isOpen)?.id ?? null);
  return { ...state, chats: rest, selected };
}

/**
 * A new chat may come in front by itself when none is in work there: nothing chosen, or what is there has ended, nobody is at
 * work there (`busy`: keys or the pointer were pressed just now) and nothing that was written there is still to be read.
 *
 * @param {Desk} state
 * @param {boolean} busy
 */
export function mayOpen(state, busy) {
  const front = find(state, state.selected);
  return !front || (Boolean(front.ended) && !busy && !chats.hasDraft(front));
}

/**
 * The cursor may go into the text bar of a chat that comes in front by itself: no other chat made way, nobody types, nothing is half written.
 *
 * @param {Desk} state
 * @param {boolean} typing
 */
export const mayType = (state, typing) => !find(state, state.selected) && !typing && !state.chats.some(chats.hasDraft);

/**
 * The chat that waits longest for its acceptance, or undefined.
 *
 * @param {Desk} state
 */
export const nextNew = (state) => state.chats.find((one) => chats.isNew(one) && !one.refusing);

/**
 * What a frame of the server does: `{desk, effects}`; effects are `{type, …}` for whoever does I/O:
 * `hello` and `later` (say it again, at once or after a pause), `arrived` {id}, `returned` {id}, `message` {id, added}, `ended` {id},
 * `wrap_began` and `wrap_ended` {wrap}, `silent` {id}, `missing` {id} (no longer ours, nobody told why), `state` {state, why}, `transfer_refused` {id}, `refusal_refused` {id}, `block_refused` {id}, `identify_refused` {id},
 * `error` {code, id}. Unknown frames change nothing.
 *
 * @param {Desk} state
 * @param {AgentFrame} frame
 */
export function take(state, frame) {
  switch (frame.type) {
    case "welcome":
      return welcome(state, frame);
    case "assigned":
      return place(state, frame.chat);
    case "unassigned":
      return finish(state, frame.chat_id, "gone", frame.reason ?? "other");
    case "closed":
      return finish(state, frame.chat_id ?? "", "closed", frame.reason ?? "other");
    case "citizen":
      return done(update(state, frame.chat_id, (one) => ({ ...one, online: frame.online === true, about: named(one.about, frame.name) })));
    case "state":
      return wrapping(agentState(state, frame), frame.wrap_ups);
    case "inactive":
      return silence(state, frame);
    case "note":
      return done(update(state, frame.chat_id, (one) => ({ ...one, book: notes.stored(one.book, frame) })));
    case "error":
      return refuse(state, frame);
    default:
      return converse(state, frame);
  }
}

/** @param {Desk} next @param {...Effect} effects @returns {{desk: Desk, effects: Effect[]}} */
const done = (next, ...effects) => ({ desk: next, effects });

/** @param {Desk} state @param {AgentWelcomeFrame} frame */
function welcome(state, { agent: { wrap_ups: wraps = [], ...agent }, chats: list = [], frames = [] }) {
  const why = agent?.state === "paused" ? state.agent.why : null; // a welcome does not say it: what was told before still holds
  /** @type {Desk} */
  let next = { ...state, agent: { ...state.agent, ...agent, why }, frames, welcomed: true }; // what this server takes beyond version 1
  const effects = [];
  for (const chat of list) {
    const step = place(next, chat);
    next = step.desk;
    effects.push(...step.effects);
  }
  const ours = new Set(list.map((chat) => chat.chat_id));
  for (const one of openChats(next).filter((chat) => !ours.has(chat.id))) {
    next = update(next, one.id, (chat) => chats.ended(chat, "gone", "other"));
    effects.push({ type: "missing", id: one.id });
  }
  if (agent?.state && agent.state !== state.agent.state) effects.push({ type: "state", state: agent.state, why });
  return wrapping({ desk: next, effects }, wraps);
}

/**
 * The same step with these wrap-ups; `wrap_began` {wrap} and `wrap_ended` {wrap} tell of news.
 *
 * @param {{desk: Desk, effects: Effect[]}} step
 * @param {SentWrapUp[] | undefined} listed undefined: this server does not list them
 * @returns {{desk: Desk, effects: Effect[]}}
 */
function wrapping({ desk: state, effects }, listed) {
  if (!listed) return { desk: state, effects };
  const list = wrapUps(state.wrapUps, listed, (id) => find(state, id)?.about.name ?? null);
  /** @param {WrapUp[]} some @param {WrapUp[]} others */
  const without = (some, others) => some.filter(({ id }) => !others.some((one) => one.id === id));
  return {
    desk: { ...state, wrapUps: list },
    effects: [
      ...effects,
      ...without(list, state.wrapUps).map((wrap) => ({ type: "wrap_began", wrap })),
      ...without(state.wrapUps, list).map((wrap) => ({ type: "wrap_ended", wrap })),
    ],
  };
}

/** @param {Desk} state @param {AssignedChat} chat */
function place(state, chat) {
  const before = find(state, chat.chat_id);
  const { entry, ask } = chats.placed(before ?? chats.entry(chat), chat);
  const rest = before ? state.chats.map((one) => (one.id === entry.id ? entry : one)) : [...state.chats, entry];
  /** @type {Effect[]} */
  const effects = ask ? [{ type: ask }] : [];
  const news = !before || before.ended;
  if (news) effects.push({ type: "arrived", id: entry.id });
  if (entry.returned && (news || !before.returned)) effects.push({ type: "returned", id: entry.id });
  return done({ ...state, chats: rest }, ...effects);
}

/** @param {Desk} state @param {string} id @param {"closed" | "gone"} kind @param {string} reason */
function finish(state, id, kind, reason) {
  const before = find(state, id);
  if (!before || before.ended?.kind === "closed") return done(state);
  return done(
    update(state, id, (one) => chats.ended(one, kind, reason)),
    { type: "ended", id },
  );
}

/** @param {Desk} state @param {StateFrame} frame */
function agentState(state, { state: word, reason, pause_reason: pause }) {
  const why = word === "paused" ? (reason ?? (state.agent.state === word ? state.agent.why : null)) : null;
  const next = { ...state, agent: { ...state.agent, state: word, why, pause_reason: pause ?? null } };
  if (state.agent.state === word && state.agent.why === why) return done(next);
  return done(next, { type: "state", state: word, why });
}

/**
 * `warning` 0: the citizen is there again.
 *
 * @param {Desk} state
 * @param {InactiveFrame} frame
 */
function silence(state, { chat_id: id, warning, closes_at }) {
  const one = find(state, id);
  if (!one || one.ended) return done(state);
  const silent = warning > 0 ? { warning, closes_at } : null;
  const louder = silent && silent.warning !== one.silent?.warning;
  return done(
    update(state, id, (before) => ({ ...before, silent })),
    ...(louder ? [{ type: "silent", id }] : []),
  );
}

// A refusal is about a note, about a transfer or a refusal of one that waits for its answer, or about the conversation.
/** @param {Desk} state @param {ErrorFrame} frame */
function refuse(state, frame) {
  const one = find(state, frame.chat_id);
  if (!one) return done(state, { type: "error", code: frame.code }, ...(talk.RETRY_LATER.includes(frame.code) ? [{ type: "later" }] : []));
  const { id } = frame;
  if (id && notes.owns(one.book, id)) {
    const next = update(state, one.id, (chat) => ({ ...chat, book: notes.refused(chat.book, id, frame.code) }));
    return talk.RETRY_LATER.includes(frame.code) ? done(next, { type: "later" }) : done(next);
  }
  if (id && id === one.asking?.id) {
    return done(
      update(state, one.id, (chat) => ({ ...chat, asking: null })),
      { type: "identify_refused", id: one.id },
    );
  }
  if (one.blocking && !frame.id) {
    return done(
      update(state, one.id, (chat) => ({ ...chat, blocking: false })),
      { type: "block_refused", id: one.id },
    );
  }
  if (one.transfer && !frame.id) {
    return done(
      update(state, one.id, (chat) => ({ ...chat, transfer: false })),
      { type: "transfer_refused", id: one.id },
    );
  }
  // It is ours for good, accepted in another tab perhaps: the next welcome says how it stands.
  if (chats.isOffer(one) && one.refusing && !frame.id) {
    return done(
      update(state, one.id, (chat) => ({ ...chat, refusing: false })),
      { type: "refusal_refused", id: one.id },
      { type: "later" },
    );
  }
  return converse(state, frame);
}

/** @param {Desk} state @param {any} frame */
function converse(state, frame) {
  const one = find(state, frame.chat_id);
  if (!one) return done(state);
  const { chat, ask, added } = talk.receive(one.talk, frame);
  /** @type {Effect[]} */
  const effects = ask ? [{ type: ask }] : [];
  if (added.length) effects.push({ type: "message", id: one.id, added });
  if (frame.type === "error" && !frame.id && !OVER.includes(frame.code)) effects.push({ type: "error", code: frame.code, id: one.id });
  const shown = frame.type === "read" && frame.from === "agent" ? frame.seq : 0;
  const silent = added.some((message) => message.from === "citizen") ? null : one.silent;
  // Accepted in another tab: what is older is of an earlier turn.
  const taken = added.some(({ event, about, seq }) => event === "assigned" && about?.agent_id === state.agent?.id && seq > one.since);
  return done(
    update(state, one.id, (before) => chats.read({ ...before, talk: chat, silent, ...(taken && { seen: true, refusing: false }) }, shown)),
    ...effects,
  );
}

/**
 * A chat that ended earlier, with what the transcript says was said; closed when that says so too.
 *
 * @param {Desk} state
 * @param {string} id
 * @param {{messages?: MessageFrame[], closed_at?: string | null}} transcript
 */
export function recalled(state, id, { messages = [], closed_at: closedAt }) {
  const filled = messages.reduce((next, message) => converse(next, { ...message, type: "message", chat_id: id }).desk, state);
  /** @param {DeskChat} one @returns {DeskChat} */
  const close = (one) => (closedAt && one.ended?.kind === "gone" ? { ...one, ended: { kind: "closed", reason: "away" } } : one);
  return update(filled, id, (one) => close(chats.read(one, talk.lastSeq(one.talk))));
}

/**
 * A chat with the notes that the server keeps of it.
 *
 * @param {Desk} state
 * @param {string} id
 * @param {Note[]} list
 */
export const noted = (state, id, list) => update(state, id, (one) => ({ ...one, book: list.reduce(notes.stored, one.book) }));

/**
 * What the server is to hear now, in order: `{frames, desk}`, the desk as it is when all of them were sent.
 * `here`: a person is looking at this page; `bottom`: the end of the open conversation is on the screen.
 *
 * @param {Desk} state
 * @param {{here: boolean, bottom: boolean}} look
 */
export function due(state, { here, bottom }) {
  if (!state.welcomed) return { frames: [], desk: state };
  /** @type {DeskFrame[]} */
  const frames = [];
  const list = state.chats.map((one) => {
    if (one.ended) return one;
    const front = here && one.id === state.selected;
    const step = dueOf(one, front, front && bottom);
    frames.push(...step.frames.map((frame) => ({ ...frame, chat_id: one.id })));
    return step.entry;
  });
  return { frames, desk: { ...state, chats: list } };
}

// Anything that is said about an offered chat would accept it, so nothing is, but that it is refused.
/** @param {DeskChat} one */
function dueOfOffer(one) {
  if (!one.refusing || one.refuseTold) return { frames: [], entry: one };
  return { frames: [{ type: "refuse" }], entry: { ...one, refuseTold: true } };
}

/** @param {DeskChat} one @param {boolean} front @param {boolean} bottom */
function dueOf(one, front, bottom) {
  if (chats.isOffer(one)) return dueOfOffer(one);
  const frames = [];
  let next = one;
  if (!one.accepted && (one.pressed || front)) {
    frames.push({ type: "accept" });
    next = { ...next, accepted: true, pressed: false, seen: true };
  }
  const messages = talk.due(one.talk);
  const written = notes.due(one.book);
  frames.push(...messages, ...written.map(({ id, text }) => ({ type: "note", id, text })));
  const book = written.reduce((before, note) => notes.sent(before, note.id), one.book);
  next = {
    ...next,
    book,
    talk: talk.sent(
      one.talk,
      messages.map((frame) => frame.id),
    ),
  };
  if (chats.closeIsDue(next)) {
    frames.push({ type: "close", ...(one.block ? { block: one.block } : {}) });
    next = { ...next, closeTold: true };
  }
  const last = talk.lastSeq(one.talk);
  if (bottom && last > next.told) {
    frames.push({ type: "read", seq: last });
    next = chats.read({ ...next, told: last }, last);
  }
  return { frames, entry: next };
}

/**
 * With the name that the citizen gave, if any.
 *
 * @param {DeskChat["about"]} about
 * @param {string | undefined} name
 */
const named = (about, name) => (typeof name === "string" && name && name !== about.name ? { ...about, name } : about);
