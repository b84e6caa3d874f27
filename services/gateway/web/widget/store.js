// What the browser keeps of a chat.
import { isFile } from "../shared/conversation.js";

const OF_A_CHAT = /^(chat|draft|press|start|p:.*)$/; // the rest is of the browser: its id and what the citizen has set
const OF_A_PRESS = /^(press|start)$/; // until its answer, so that tabs which are pressed at the same time start one chat

/** @param {any} item */
const isPending = ({ id, text, attachment, file }) =>
  typeof id === "string" && (typeof text === "string" || (typeof attachment === "string" && isFile(file)));

/**
 * Named JSON values in the browser's storage, or in memory. `null` takes one away. `clear` takes away what is of a chat.
 *
 * What is of a chat is in session storage, which is of one tab; in local storage where the page asks for it (`storage="local"`) and on a page
 * of version 1.1, whose launcher looks there; on a shared computer never. What an earlier page has kept is moved (`settle`).
 *
 * @param {string} prefix
 * @param {ChatElement} [host]
 */
export function createStore(prefix, host) {
  const memory = new Map();
  const local = !host?.chat || host.getAttribute("storage") === "local";
  /** @param {() => any} call @param {any} [otherwise] */
  const attempt = (call, otherwise) => {
    try {
      return call();
    } catch {
      return otherwise;
    }
  };
  /** @param {string} name */
  const area = (name) => {
    if (!OF_A_CHAT.test(name)) return localStorage;
    if (localStorage.getItem(`${prefix}shared`)) return sessionStorage;
    return local || OF_A_PRESS.test(name) ? localStorage : sessionStorage;
  };
  /** @param {string} name */
  const read = (name) => memory.get(name) ?? attempt(() => JSON.parse(area(name).getItem(prefix + name) ?? "null"), null);
  /** @param {string} name @param {unknown} value */
  const write = (name, value) => {
    memory.delete(name);
    const kept = attempt(() => {
      if (value === null) area(name).removeItem(prefix + name);
      else area(name).setItem(prefix + name, JSON.stringify(value));
      return true;
    });
    if (!kept && value !== null) memory.set(name, value);
  };
  /** The names of what is of a chat in one of the two. @param {Storage} from */
  const namesIn = (from) =>
    Object.keys(from)
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
      .filter((name) => OF_A_CHAT.test(name));
  const names = () => {
    /** @type {string[]} */
    const kept = attempt(() => [localStorage, sessionStorage].flatMap((from) => namesIn(from).filter((name) => area(name) === from)), []);
    return [...kept, ...memory.keys()];
  };
  // Copied first: without room nothing changes. A chat of this tab goes before one that is kept elsewhere, which stays there for another tab.
  const settle = () =>
    attempt(() => {
      /** @type {[Storage, string][]} */
      const moved = [];
      for (const from of [localStorage, sessionStorage])
        for (const name of namesIn(from)) {
          const [to, key] = [area(name), prefix + name];
          if (to === from) continue;
          const there = to.getItem(key) !== null;
          if (there && name === "chat") continue;
          if (!there) to.setItem(key, from.getItem(key) ?? "");
          moved.push([from, key]);
        }
      for (const [from, key] of moved) from.removeItem(key);
      return true;
    }, false);
  // tabs do not overwrite one another's
  /** @param {string} chatId */
  const waiting = (chatId) =>
    names()
      .filter((name) => name.startsWith("p:"))
      .map(read)
      .filter((item) => item?.chat === chatId && isPending(item))
      .sort((a, b) => a.since - b.since || a.n - b.n);
  settle();
  return {
    prefix,
    local,
    read,
    write,
    settle,
    waiting,
    clear: () =>
      names()
        .filter((name) => OF_A_CHAT.test(name))
        .forEach((name) => write(name, null)),
  };
}
