// A computer that other people use too: what is kept of a chat is then in the session storage of its tabs alone. The choice itself is kept
// in local storage, for all tabs and for whoever comes next.
import { OF_A_CHAT } from "./store.js";

/** @param {string} prefix of the keys in the browser's storage */
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
 * @param {string} prefix
 * @param {boolean} on
 */
export function setShared(prefix, on) {
  const [from, to] = on ? [localStorage, sessionStorage] : [sessionStorage, localStorage];
  const kept = Object.keys(from).filter((key) => key.startsWith(prefix) && OF_A_CHAT.test(key.slice(prefix.length)));
  try {
    for (const key of kept) to.setItem(key, from.getItem(key) ?? "");
    if (on) localStorage.setItem(nameOf(prefix), "true");
    else localStorage.removeItem(nameOf(prefix));
  } catch {
    return;
  }
  for (const key of kept) from.removeItem(key);
}

/** @param {string} prefix @param {AbortSignal} signal @param {(message: any) => void} onMessage */
function channel(prefix, signal, onMessage) {
  try {
    const tabs = new BroadcastChannel(nameOf(prefix));
    tabs.onmessage = ({ data }) => onMessage(data);
    signal.addEventListener("abort", () => tabs.close());
    return tabs;
  } catch {
    return null; // each tab for itself
  }
}

/**
 * Asks the other tabs of a shared computer for their chat, now and when one starts; `host` shows it.
 *
 * @param {any} host an `EloketChat`
 * @param {string} prefix
 */
export function askTabs(host, prefix) {
  const name = `${prefix}chat`;
  const { signal } = host.gone;
  if (signal.aborted) return;
  const tabs = channel(prefix, signal, (message) => {
    if (!message?.chat || !isShared(prefix) || sessionStorage.getItem(name) !== null) return;
    sessionStorage.setItem(name, JSON.stringify(message.chat));
    host.restore();
    host.panel?.then((/** @type {any} */ panel) => panel?.restore());
  });
  tabs?.postMessage({ ask: true });
}

/**
 * Lets the other tabs have the chat of this one, and follows what they set; `onChange()` after that. Returns what shares the chat again.
 *
 * @param {Store} store
 * @param {ChatRecord} record
 * @param {string} prefix
 * @param {AbortSignal} signal
 * @param {() => void} onChange
 */
export function shareWithTabs(store, record, prefix, signal, onChange) {
  const tabs = channel(prefix, signal, (message) => message?.ask && share());
  function share() {
    const chat = store.read("chat");
    if (isShared(prefix) && chat && !chat.ended) tabs?.postMessage({ chat });
  }
  /** @param {StorageEvent} event */
  const follow = ({ key, newValue, storageArea }) => {
    if (storageArea !== localStorage || key !== nameOf(prefix)) return;
    if (newValue === null) setShared(prefix, false);
    else if (!record.ended) store.write("chat", record); // the other tab has moved what both kept
    onChange();
  };
  addEventListener("storage", follow, { signal });
  share();
  return share;
}
