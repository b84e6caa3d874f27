// What the browser keeps of a chat.
import { isFile } from "../shared/conversation.js";

export const OF_A_CHAT = /^(chat|draft|press|start|p:.*)$/; // the rest is of the browser: its id and what the citizen has set

/** @param {any} item */
const isPending = ({ id, text, attachment, file }) =>
  typeof id === "string" && (typeof text === "string" || (typeof attachment === "string" && isFile(file)));

/**
 * Named JSON values in localStorage, or in memory; on a shared computer those of a chat in sessionStorage. `null` takes one away. `clear` takes away what is of a chat.
 *
 * @param {string} prefix
 */
export function createStore(prefix) {
  const memory = new Map();
  /** @param {() => any} call @param {any} [otherwise] */
  const attempt = (call, otherwise) => {
    try {
      return call();
    } catch {
      return otherwise;
    }
  };
  /** @param {string} name */
  const area = (name) => (OF_A_CHAT.test(name) && localStorage.getItem(`${prefix}shared`) ? sessionStorage : localStorage);
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
  const names = () => {
    /** @type {string[]} */
    const all = attempt(() => Object.keys(area("chat")), []);
    const keys = all.filter((key) => key.startsWith(prefix));
    return [...keys.map((key) => key.slice(prefix.length)), ...memory.keys()];
  };
  // tabs do not overwrite one another's
  /** @param {string} chatId */
  const waiting = (chatId) =>
    names()
      .filter((name) => name.startsWith("p:"))
      .map(read)
      .filter((item) => item?.chat === chatId && isPending(item))
      .sort((a, b) => a.since - b.since || a.n - b.n);
  return {
    prefix,
    read,
    write,
    waiting,
    clear: () =>
      names()
        .filter((name) => OF_A_CHAT.test(name))
        .forEach((name) => write(name, null)),
  };
}
