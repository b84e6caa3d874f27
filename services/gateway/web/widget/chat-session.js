// One chat: rules, connection, and what the browser keeps.
import { Connection, httpWay } from "../shared/connection.js";
import * as rules from "../shared/conversation.js";

const ADOPT = 20_000; // ms: what another tab left behind is ours
const TYPING_AGAIN = 3_000;
const TYPING_ENDS = 6_000;
const REACH = 10_000; // ms without a welcome: no websocket comes through here, or nobody answers
const LONG = 30_000; // ms: no short outage any more
const ENDING = 10_000; // ms for the server to end a chat; then it ends here alone
const ASK = 20_000; // ms between two questions about a chat out of reach, doubling, with jitter
const LONGEST_ASK = 120_000;

// What is asked over HTTP comes when it is needed, or once the chat is there; without it there is no answer.
const overHttp = () => import("./chat-over-http.js");
/** @param {string} base @param {ChatRecord} record */
const readChat = (base, record) =>
  overHttp().then(
    (http) => http.readChat(base, record),
    () => null,
  );
/** @param {string} base @param {ChatRecord} record */
const endChat = (base, record) =>
  overHttp().then(
    (http) => http.endChat(base, record),
    () => false,
  );

/**
 * Joins the chat of `record`. A chat always ends here; `onUntold(true)`: the server does not know it yet.
 *
 * A record without an id is a chat that is being started: what is posted waits until `begin()`. After `refuse()` the next
 * message, or `reopen()`, asks for it again (`onStart`).
 *
 * @param {ChatSessionOptions} options
 */
export function joinChat({ base, record, store, onChange, onUntold, onStart }) {
  let chat = rules.conversation("citizen", store.waiting(record.chat_id));
  /** @type {Link} */
  let link = { state: "connecting", trouble: null };
  let backlog = 0; // the last seq at the last welcome
  let untold = record.untold === true; // ended here, and the server does not know it
  let ending = untold;
  let left = false;
  let met = false; // welcomed once
  let refusals = 0;
  let premature = 0; // closes that said "ended" though nothing had ended
  let asks = 0;
  let count = 0;
  let typed = 0; // said last, ms
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let later;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let trouble;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let asking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let over;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let reopening;
  if (untold) chat = rules.receive(chat, { type: "closed", reason: "citizen" }).chat;

  const connection = new Connection({
    url: "", // connect() knows it
    hello: () => ({ type: "hello", token: record.token, after: rules.lastSeq(chat) }),
    onFrame: hear,
    onState: (state, code) => {
      if (state === "ended" && code === 1000 && !chat.closed) return hungUp();
      link = { ...link, state, code };
      if (state === "lost" && !link.trouble) watch(LONG, "long");
      change(state === "open" ? chat : rules.disconnected(chat));
    },
  });

  // The server says "closed" before it closes with 1000: this was something on the way.
  function hungUp() {
    link = { ...link, state: "lost", code: 1006 };
    change(rules.disconnected(chat));
    reopening = setTimeout(() => connection.open(), Math.random() * Math.min(20_000, 1_000 * 2 ** premature++));
  }

  // Counted from the first loss: a connection that comes and goes without a welcome is none.
  /** @param {number} ms @param {Link["trouble"]} kind */
  function watch(ms, kind) {
    trouble ??= setTimeout(() => {
      trouble = undefined;
      link = { ...link, trouble: kind };
      change(chat);
      if (!chat.closed) ask();
    }, ms);
  }

  // Whether the chat still is, from a server that no websocket reaches.
  async function ask() {
    clearTimeout(asking);
    const found = await readChat(base, record);
    if (left || !link.trouble) return;
    if (found?.gone) return finish({ state: "ended", code: 4404 });
    if (link.trouble !== "long") link = { ...link, trouble: found ? "blocked" : "unreached" };
    let next = chat;
    for (const message of found?.messages ?? []) next = rules.receive(next, { ...message, type: "message" }).chat;
    if (found?.closed && !chat.closed) {
      change(rules.receive(next, { type: "closed", reason: met ? "inactive" : "unreached" }).chat);
      return finish({ state: "ended", code: 1000 });
    }
    change(next);
    asking = setTimeout(ask, Math.min(LONGEST_ASK, ASK * 2 ** asks++) * (0.75 + Math.random() / 2));
  }

  /** @param {{state: ConnectionState, code?: number}} how */
  function finish(how) {
    stop();
    link = { ...how, trouble: null };
    change(chat);
  }

  function stop() {
    connection.close();
    for (const timer of [later, quiet, trouble, asking, over, reopening]) clearTimeout(timer);
  }

  // Over HTTP: the way that is left when there is no websocket.
  async function tellEnd() {
    if (!(await endChat(base, record)) || left || (chat.closed && !untold)) return;
    known();
    if (!chat.closed) change(rules.receive(chat, { type: "closed", reason: "citizen" }).chat);
    finish({ state: "ended", code: 1000 });
  }

  function known() {
    if (untold) onUntold((untold = false));
  }

  function endHere() {
    if (chat.closed) return;
    onUntold((untold = true));
    change(rules.receive(chat, { type: "closed", reason: "citizen" }).chat);
    tellEnd();
  }

  /** @param {Conversation} next */
  function change(next) {
    const before = new Map(chat.pending.map((item) => [item.id, item]));
    for (const item of next.pending) {
      if (before.get(item.id)?.code !== item.code) keep(item);
      before.delete(item.id);
    }
    for (const id of before.keys()) store.write(`p:${id}`, null);
    chat = next;
    onChange(chat, link);
  }

  /** @param {KeptMessage} message */
  function keep({ wire, ...item }) {
    store.write(`p:${item.id}`, item);
  }

  /** @param {CitizenFrame} frame */
  function hear(frame) {
    if (frame.type === "welcome") {
      if (!chat.welcomed) backlog = frame.last_seq; // what another hello brings is new
      premature = asks = 0;
      met = true;
      overHttp().catch(() => {}); // while the server is there, for when it is gone
      link = { ...link, trouble: null };
      trouble = void clearTimeout(trouble);
      clearTimeout(asking);
    }
    if (frame.type === "closed") known();
    const { chat: next, ask, added } = rules.receive(chat, frame);
    if (added.some((message) => message.from === "citizen")) refusals = 0;
    change(next);
    if (ask === "hello") connection.sayHello();
    if (ask === "later") wait();
    if (frame.type === "typing") expire();
    if (frame.type === "welcome" || frame.type === "sync") adopt();
    flush();
  }

  function wait() {
    clearTimeout(later);
    later = setTimeout(() => connection.sayHello(), Math.min(8, 2 ** refusals++) * 1000 * (1 + Math.random()));
  }

  function expire() {
    clearTimeout(quiet);
    quiet = setTimeout(() => change(rules.quiet(chat)), TYPING_ENDS);
  }

  function adopt() {
    const known = new Set([...chat.pending, ...chat.messages].map((item) => item.id));
    const left = store.waiting(record.chat_id).filter((item) => !known.has(item.id) && Math.abs(Date.now() - item.since) > ADOPT);
    if (left.length) change({ ...chat, pending: [...chat.pending, ...left.map((item) => ({ ...item, wire: false }))] });
  }

  function flush() {
    const handed = [];
    for (const frame of rules.due(chat)) {
      if (!connection.send(frame)) break;
      handed.push(frame.id);
    }
    if (handed.length) change(rules.sent(chat, handed));
    if (ending && chat.welcomed && (!chat.closed || untold) && !rules.due(chat).length) connection.send({ type: "close" });
  }

  /** @param {Partial<KeptMessage>} content */
  function add(content) {
    const id = rules.newId();
    const item = { ...content, chat: record.chat_id, since: Date.now(), n: count++ };
    keep({ id, ...item, state: "sending" });
    change(rules.post(chat, id, item));
    if (link.refused) startAgain();
    else flush();
  }

  // The chat is there, under the id that `record` has now.
  function begin() {
    const pending = chat.pending.map((item) => ({ ...item, chat: record.chat_id }));
    change({ ...chat, pending });
    pending.forEach(keep);
    connect();
  }

  function connect() {
    connection.url = `${base.replace(/^http/, "ws")}${record.websocket}`;
    connection.http = httpWay(`${base}/api/chats/${record.chat_id}`);
    watch(REACH, "unreached");
    connection.open();
  }

  function startAgain() {
    link = { state: "connecting", trouble: null };
    change(chat);
    onStart?.();
  }

  if (record.chat_id) connect();
  else onChange(chat, link); // grey
  if (untold) tellEnd();
  return {
    backlog: () => backlog,
    ending: () => ending,
    untold: () => untold,
    /** @param {string} text */
    post: (text) => {
      typed = 0;
      add({ text });
    },
    /** @param {Attachment} file */
    attach: (file) => add({ attachment: file.id, file }),
    /** @param {string} id */
    again: (id) => {
      change(rules.again(chat, id));
      flush();
    },
    /** @param {string} id */
    discard: (id) => change(rules.discard(chat, id)),
    /** @param {boolean} active */
    typing: (active) => {
      if (active ? Date.now() - typed < TYPING_AGAIN : !typed) return;
      typed = active ? Date.now() : 0;
      connection.send({ type: "typing", active });
    },
    hear,
    /** @param {object} frame */
    send: (frame) => connection.send(frame),
    end: () => {
      ending = true;
      flush();
      // what is still to be sent goes first, when the connection comes back in time
      if (!chat.welcomed && (link.trouble || !chat.pending.some((item) => item.state === "sending"))) tellEnd();
      clearTimeout(over);
      over = setTimeout(endHere, ENDING);
      onChange(chat, link);
    },
    begin,
    /** There is no chat. The texts that were to be sent, which are no longer kept here. */
    refuse: () => {
      const texts = chat.pending.flatMap(({ text }) => text ?? []);
      link = { state: "ended", code: 0, trouble: null, refused: true };
      change({ ...chat, pending: [] });
      return texts;
    },
    reopen: () => {
      if (link.refused) return startAgain();
      if (!chat.welcomed) watch(REACH, "unreached");
      connection.open();
    },
    leave: () => {
      left = true;
      stop();
      if (untold) endChat(base, record);
    },
  };
}
