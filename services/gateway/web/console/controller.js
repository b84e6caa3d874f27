/** The desk at work: the one place that holds its state, feeds it the server's frames and sends what is due. */
import { Connection } from "../shared/connection.js";
import * as talk from "../shared/conversation.js";
import { notes as writtenNotes, transcript } from "./api.js";
import * as rules from "./desk-state.js";
import { isOffer, unsent } from "./chat-state.js";
import { serverNow } from "./server-clock.js";
import { keepDesk, keptDesk } from "./storage.js";
import * as notes from "./notes.js";

// Whatever the agent does with a chat that was offered takes it; only opening it does not.
/** @param {DeskChat} one */
const accepted = (one) => (one.seen ? one : { ...one, pressed: true, seen: true, refusing: false });
const LATER = 2000; // ms before a refused line is tried again
const SAVE = 200;
const ACTIVE_EVERY = 3000; // ms between two signs that the agent is at work, only while a chat waits to be accepted
const SILENCE = 4800; // the server says `sync` each second: back before the agent is taken for gone (10 s)
const TYPING_LASTS = 8000; // ms; the other end repeats it sooner

/**
 * Starts work for `agent`. `onChange(desk, link, code)` after every change (drawn once for many), `onEffect(effect, desk)` as in `desk.take`,
 * `look()` tells `{here, bottom}` as `desk.due` wants them, `reading(chat, read)` reads with a reason where one is asked. Returns the acts of the person, each on a chat's id, and `stop()`.
 *
 * @param {WorkOptions} options
 */
export function startWork({ agent, onChange, onEffect, onLive, onDepartments, look, reading }) {
  let desk = rules.desk(agent, keptDesk(agent.id));
  /** @type {[ConnectionState, number?]} */
  let link = ["connecting"];
  let waiting = false; // a drawing is under way
  let over = false;
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */
  const timers = {};
  const connection = new Connection({ url: socketUrl(), hello: () => rules.hello(desk), onFrame, onState, silence: SILENCE });

  /** @param {Desk} next */
  function change(next) {
    if (over) return;
    desk = next;
    after("save", SAVE, save);
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      if (!over) onChange(desk, ...link);
      if (!over) push();
    });
  }

  // What a full socket does not take stays due.
  function push() {
    const { frames, desk: next } = rules.due(desk, look());
    if (!frames.length) return;
    if (frames.every((frame) => connection.send(frame))) change(next);
    else after("push", LATER, push);
  }

  /** @param {AgentFrame} frame */
  function onFrame(frame) {
    if (frame.type === "live") return onLive(frame);
    if (frame.type === "departments") return onDepartments(frame);
    for (const chat of frame.type === "welcome" ? (frame.chats ?? []) : frame.type === "assigned" ? [frame.chat] : []) {
      if (typeof chat.accept_seconds === "number") chat.accept_at = performance.now() + chat.accept_seconds * 1000;
    }
    const wraps = frame.type === "welcome" ? frame.agent?.wrap_ups : frame.type === "state" ? frame.wrap_ups : undefined;
    for (const one of wraps ?? []) one.until = performance.now() + one.seconds * 1000;
    const { desk: next, effects } = rules.take(desk, frame);
    if (frame.type === "typing" && frame.chat_id) {
      const id = frame.chat_id;
      after(`typing ${id}`, TYPING_LASTS, () => edit(id, (one) => ({ ...one, talk: talk.quiet(one.talk) })));
    }
    change(next);
    for (const effect of effects) react(effect);
    if (frame.type === "welcome" && desk.frames.includes("departments")) connection.send({ type: "departments" });
    if (frame.type === "welcome" && agent.supervisor && desk.frames.includes("watch")) connection.send({ type: "watch" });
  }

  /** @param {Effect} effect */
  function react(effect) {
    if (effect.type === "hello") connection.sayHello();
    else if (effect.type === "later") timers.later ?? after("later", LATER, () => connection.sayHello());
    else if (effect.type === "missing" && effect.id) recall(effect.id);
    else onEffect(effect, desk);
  }

  /** @param {ConnectionState} state @param {number} [code] */
  function onState(state, code) {
    link = [state, code];
    change(state === "open" ? desk : rules.disconnected(desk));
  }

  /** @param {string} name @param {number} ms @param {() => void} call */
  function after(name, ms, call) {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(() => {
      delete timers[name];
      call();
    }, ms);
  }

  // An ended chat of an earlier page: the server's log of it is the transcript, and its notes are kept beside it.
  /** @param {string | null} id */
  function remember(id) {
    const one = rules.find(desk, id);
    if (one?.ended && !one.talk.messages.length) recall(one.id);
  }

  /** @param {string} id */
  async function recall(id) {
    edit(id, (one) => ({ ...one, recall: "loading" }));
    const said = await reading(id, (reason) => transcript(id, reason));
    const written = said.ok ? await reading(id, (reason) => writtenNotes(id, reason)) : said;
    if (said.ok) change(rules.recalled(desk, id, said.body ?? {}));
    if (written.ok) change(rules.noted(desk, id, written.body?.notes ?? []));
    edit(id, (one) => ({ ...one, recall: said.ok ? null : "failed" }));
  }

  function save() {
    keepDesk(agent.id, rules.keep(desk));
  }

  /** @param {string} id @param {(one: DeskChat) => DeskChat} alter */
  const edit = (id, alter) => change(rules.update(desk, id, alter));
  /** @param {string} id @param {(chat: Conversation) => Conversation} alter */
  const converse = (id, alter) => edit(id, (one) => ({ ...one, talk: alter(one.talk) }));
  /** @param {string} id @param {(book: Notebook) => Notebook} alter */
  const note = (id, alter) => edit(id, (one) => ({ ...one, book: alter(one.book) }));
  /** @param {string} id */
  const isOffered = (id) => rules.openChats(desk).some((one) => one.id === id && isOffer(one));
  /** @param {string} id */
  const isOpen = (id) => rules.openChats(desk).some((one) => one.id === id);

  addEventListener("pagehide", save);
  connection.open();
  change(desk);
  remember(desk.selected);

  return {
    desk: () => desk,
    look: () => change(desk),
    /** @param {string} id */
    select(id) {
      change(rules.select(desk, id));
      remember(id);
    },
    /** @param {string} id */
    accept: (id) => edit(id, accepted),
    /** @param {string} id */
    refuse: (id) => edit(id, (one) => ({ ...one, refusing: true })),
    /** @param {string} id */
    dismiss: (id) => change(rules.dismiss(desk, id)),
    /** @param {string} id @param {string} text */
    post: (id, text) => edit(id, (one) => (one.ended ? unsent : accepted)({ ...one, talk: talk.post(one.talk, talk.newId(), { text }) })),
    /** @param {string} id @param {Attachment} file */
    attach: (id, file) =>
      edit(id, (one) =>
        (one.ended ? unsent : accepted)({ ...one, talk: talk.post(one.talk, talk.newId(), { attachment: file.id, file }) }),
      ),
    /** @param {string} id @param {string} message */
    again: (id, message) => converse(id, (chat) => talk.again(chat, message)),
    /** @param {string} id @param {string} message */
    discard: (id, message) => converse(id, (chat) => talk.discard(chat, message)),
    /** @param {string} id @param {string} text */
    note: (id, text) => edit(id, (one) => accepted({ ...one, book: notes.write(one.book, talk.newId(), text) })),
    /** @param {string} id @param {string} one */
    againNote: (id, one) => note(id, (book) => notes.again(book, one)),
    /** @param {string} id @param {string} one */
    discardNote: (id, one) => note(id, (book) => notes.discard(book, one)),
    /** @param {string} id @param {Partial<Draft>} draft */
    draft: (id, draft) => edit(id, (one) => ({ ...one, draft: { ...one.draft, ...draft } })),
    /** @param {string} id @param {boolean} active */
    typing: (id, active) => desk.welcomed && isOpen(id) && !isOffered(id) && connection.send({ type: "typing", chat_id: id, active }),
    /** @param {string} id */
    close: (id) => edit(id, (one) => accepted({ ...one, closing: true })),
    /** @param {string} id @param {Block} block */
    block(id, block) {
      if (isOpen(id)) return edit(id, (one) => accepted({ ...one, closing: true, block }));
      const told = desk.welcomed && connection.send({ type: "close", chat_id: id, block });
      if (!told) return onEffect({ type: "block_refused", id }, desk);
      edit(id, (one) => ({ ...one, blocking: true }));
      onEffect({ type: "block_asked", id }, desk);
    },
    /** @param {string} state @param {string} [reason] for a pause */
    setState: (state, reason) => desk.welcomed && connection.send({ type: "state", state, ...(reason ? { reason } : {}) }),
    /** @param {string} id */
    done: (id) => desk.welcomed && desk.frames.includes("done") && connection.send({ type: "done", chat_id: id }),
    /** @param {string} id @param {object} to @param {string} words */
    transfer(id, to, words) {
      const frame = { type: "transfer", chat_id: id, to, ...(words ? { note: words } : {}) };
      if (!desk.welcomed || !connection.send(frame)) return onEffect({ type: "transfer_refused", id }, desk);
      edit(id, (one) => accepted({ ...one, transfer: true, draft: { ...one.draft, transfer: "" } }));
    },
    /** Whether it was sent. @param {string} id */
    identify(id) {
      const request = talk.newId();
      const sent = desk.welcomed && connection.send({ type: "identify", chat_id: id, id: request });
      if (sent) edit(id, (one) => accepted({ ...one, asking: { id: request, at: serverNow() } }));
      else onEffect({ type: "identify_refused", id }, desk);
      return sent;
    },
    reconnect: () => connection.open(),
    active() {
      if (!desk.frames.includes("active") || timers.active) return;
      after("active", ACTIVE_EVERY, () => {});
      connection.send({ type: "active" });
    },
    refresh: () => timers.later ?? after("later", LATER, () => connection.sayHello()),
    stop() {
      removeEventListener("pagehide", save);
      Object.values(timers).forEach(clearTimeout);
      save();
      over = true;
      connection.close();
    },
  };
}

function socketUrl() {
  const url = new URL("/ws/agent", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}
