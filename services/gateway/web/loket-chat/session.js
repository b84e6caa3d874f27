// One chat: rules, connection, and what the browser keeps.
import { Connection } from "../lib/connection.js";
import * as rules from "../lib/conversation.js";

const ADOPT = 20_000; // ms: what another tab left behind is ours
const TYPING_AGAIN = 3_000;
const TYPING_ENDS = 6_000;

/** A UUID, also on plain http. */
export const newId = () =>
  crypto.randomUUID?.() ??
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16));

/** Joins the chat of `record` (`{chat_id, token, websocket}`); `onChange(chat, link)` with link `{state, code}`. */
export function joinChat({ base, record, store, onChange }) {
  let chat = rules.conversation("citizen", store.waiting(record.chat_id));
  let link = { state: "connecting" };
  let backlog = 0; // the last seq at the last welcome
  let ending = false;
  let refusals = 0;
  let count = 0;
  let typed = 0; // said last, ms
  let later, quiet;

  const connection = new Connection({
    url: `${base.replace(/^http/, "ws")}${record.websocket}`,
    hello: () => ({ type: "hello", token: record.token, after: rules.lastSeq(chat) }),
    onFrame: hear,
    onState: (state, code) => {
      link = { state, code };
      if (state === "ended" && code === 1000 && !chat.closed) chat = rules.receive(chat, { type: "closed" }).chat;
      change(state === "open" ? chat : rules.disconnected(chat));
    },
  });

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

  function keep({ wire, ...item }) {
    store.write(`p:${item.id}`, item);
  }

  function hear(frame) {
    if (frame.type === "welcome") backlog = frame.last_seq;
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
    later = setTimeout(() => connection.sayHello(), Math.min(8, 2 ** refusals++) * 1000 * (1 + Math.random()));
  }

  function expire() {
    clearTimeout(quiet);
    quiet = setTimeout(() => change(rules.quiet(chat)), TYPING_ENDS);
  }

  function adopt() {
    const known = new Set([...chat.pending, ...chat.messages].map((item) => item.id));
    const left = store.waiting(record.chat_id).filter((item) => !known.has(item.id) && Date.now() - item.since > ADOPT);
    if (left.length) change({ ...chat, pending: [...chat.pending, ...left.map((item) => ({ ...item, wire: false }))] });
  }

  function flush() {
    const handed = [];
    for (const frame of rules.due(chat)) {
      if (!connection.send(frame)) break;
      handed.push(frame.id);
    }
    if (handed.length) change(rules.sent(chat, handed));
    if (ending && chat.welcomed && !chat.closed && !rules.due(chat).length) connection.send({ type: "close" });
  }

  function add(content) {
    const id = newId();
    keep({ id, ...content, chat: record.chat_id, since: Date.now(), n: count++, state: "sending" });
    change(rules.post(chat, id, { ...content, chat: record.chat_id, since: Date.now(), n: count }));
    flush();
  }

  connection.open();
  return {
    backlog: () => backlog,
    ending: () => ending,
    post: (text) => {
      typed = 0;
      add({ text });
    },
    attach: (file) => add({ attachment: file.id, file }),
    again: (id) => {
      change(rules.again(chat, id));
      flush();
    },
    discard: (id) => change(rules.discard(chat, id)),
    typing: (active) => {
      if (active ? Date.now() - typed < TYPING_AGAIN : !typed) return;
      typed = active ? Date.now() : 0;
      connection.send({ type: "typing", active });
    },
    hear,
    send: (frame) => connection.send(frame),
    end: () => {
      ending = true;
      flush();
      onChange(chat, link);
    },
    reopen: () => connection.open(),
    leave: () => {
      connection.close();
      clearTimeout(later);
      clearTimeout(quiet);
    },
  };
}

/** Named JSON values in localStorage, or in memory; `null` takes one away. */
export function createStore(prefix) {
  const memory = new Map();
  const attempt = (call, otherwise) => {
    try {
      return call();
    } catch {
      return otherwise;
    }
  };
  const read = (name) => memory.get(name) ?? attempt(() => JSON.parse(localStorage.getItem(prefix + name)), null);
  const write = (name, value) => {
    memory.delete(name);
    const kept = attempt(() => {
      if (value === null) localStorage.removeItem(prefix + name);
      else localStorage.setItem(prefix + name, JSON.stringify(value));
      return true;
    });
    if (!kept && value !== null) memory.set(name, value);
  };
  const names = () => {
    const keys = attempt(() => Object.keys(localStorage), []).filter((key) => key.startsWith(prefix));
    return [...keys.map((key) => key.slice(prefix.length)), ...memory.keys()];
  };
  // tabs do not overwrite one another's
  const waiting = (chatId) =>
    names().filter((name) => name.startsWith("p:")).map(read).filter((item) => item?.chat === chatId)
      .sort((a, b) => a.since - b.since || a.n - b.n);
  return { read, write, waiting, clear: () => names().forEach((name) => write(name, null)) };
}
