// The tabs of a browser that show one chat. Each keeps it in its own session storage, so they give it to one another over a BroadcastChannel
// of the page's origin: `{ask}` asks for a chat, `{chat}` is one, `{gone}` is the id of one that the citizen has put away.

/**
 * The channel of the tabs, until `signal`; null where there is none, and each tab is for itself.
 *
 * @param {string} prefix of the keys in the browser's storage
 * @param {AbortSignal} signal
 * @param {(message: any) => void} onMessage
 */
export function channelOf(prefix, signal, onMessage) {
  /** @type {BroadcastChannel} */
  let tabs;
  try {
    tabs = new BroadcastChannel(`${prefix}shared`);
  } catch {
    return null; // there are none, or the storage is forbidden
  }
  tabs.onmessage = ({ data }) => onMessage(Object(data)); // other scripts of the page can send anything
  signal.addEventListener("abort", () => tabs.close());
  return tabs;
}

/** @param {() => any} call */
const attempt = (call) => {
  try {
    return call();
  } catch {
    return false; // storage is full or forbidden
  }
};

/**
 * Asks the other tabs for their chat when this one has none, takes one that another tab starts, and drops one that another puts away.
 * `host` shows it; its `tabs` is the channel.
 *
 * @param {any} host an `EloketChat`
 * @param {string} prefix
 */
export function followTabs(host, prefix) {
  const name = `${prefix}chat`;
  const { signal } = host.gone;
  if (signal.aborted) return;
  // In local storage all tabs find it by themselves.
  const free = () =>
    attempt(
      () =>
        (host.getAttribute("storage") !== "local" || localStorage.getItem(`${prefix}shared`) !== null) &&
        sessionStorage.getItem(name) === null,
    );
  /** @param {unknown} chat */
  const take = (chat) => attempt(() => (sessionStorage.setItem(name, JSON.stringify(chat)), true));
  host.tabs = channelOf(prefix, signal, ({ chat, gone }) => {
    const taken = chat && free() && take(chat);
    if (taken) host.restore();
    host.panel?.then((/** @type {any} */ panel) => (taken ? panel?.restore() : gone && panel?.gone?.(gone)));
  });
  if (free()) host.tabs?.postMessage({ ask: true });
}
