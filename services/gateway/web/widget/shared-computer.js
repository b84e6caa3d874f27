// A computer that other people use too: what is kept of a chat is then in the session storage of its tabs, and goes with its end. The choice
// itself is kept in local storage, for all tabs and for whoever comes next.
import { channelOf } from "./tabs.js";

/** @param {string | undefined} prefix of the keys in the browser's storage */
const nameOf = (prefix) => `${prefix}shared`;

/**
 * Whether this is a shared computer; null where nothing can be kept at all.
 *
 * @param {string} prefix
 */
export function isShared(prefix) {
  try {
    return sessionStorage && localStorage.getItem(nameOf(prefix)) !== null;
  } catch {
    return null;
  }
}

/**
 * Sets whether this is a shared computer, and moves what is kept of a chat. Nothing changes when there is no room.
 *
 * @param {Store} store
 * @param {boolean} on
 */
export function setShared(store, on) {
  const name = nameOf(store.prefix);
  /** @param {boolean} value */
  const keep = (value) => (value ? localStorage.setItem(name, "true") : localStorage.removeItem(name));
  try {
    keep(on);
    if (store.settle?.() === false) keep(!on);
  } catch {
    // nothing is kept here
  }
}

/**
 * Gives up the token of a chat, so that nobody can use it who comes next. Its end is not waited for: the page may be left at once.
 *
 * @param {string} base
 * @param {ChatRecord} record
 */
export function giveUp(base, { chat_id, token }) {
  fetch(`${base}/api/chats/${chat_id}/token`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${token}` },
    credentials: "omit",
    keepalive: true,
  }).catch(() => {}); // it expires by itself then
}

/**
 * Lets the other tabs have the chat of this one, and follows what they set; `onChange()` after that. Returns what shares the chat again.
 *
 * @param {Store} store
 * @param {ChatRecord} record
 * @param {AbortSignal} signal
 * @param {() => void} onChange
 */
export function shareWithTabs(store, record, signal, onChange) {
  const { prefix = "" } = store;
  const tabs = channelOf(prefix, signal, ({ ask }) => ask && share());
  function share() {
    const chat = store.read("chat");
    if ((!store.local || isShared(prefix)) && chat && !chat.ended) tabs?.postMessage({ chat });
  }
  /** @param {StorageEvent} event */
  const follow = ({ key, newValue, storageArea }) => {
    if (storageArea !== localStorage || key !== nameOf(prefix)) return;
    store.settle?.();
    if (newValue !== null && !record.ended) store.write("chat", record); // the other tab has moved what both kept
    onChange();
  };
  addEventListener("storage", follow, { signal });
  share();
  return share;
}
