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
  try {
    const tabs = new BroadcastChannel(`${prefix}shared`);
    tabs.onmessage = ({ data }) => {
      try {
        onMessage(data);
      } catch {
        // not ours, or nothing can be kept here
      }
    };
    signal.addEventListener("abort", () => tabs.close());
    return tabs;
  } catch {
    return null;
  }
}

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
    (host.getAttribute("storage") !== "local" || localStorage.getItem(`${prefix}shared`) !== null) && sessionStorage.getItem(name) === null;
  host.tabs = channelOf(prefix, signal, ({ chat, gone }) => {
    const taken = chat && free();
    if (taken) {
      sessionStorage.setItem(name, JSON.stringify(chat));
      host.restore();
    }
    host.panel?.then((/** @type {any} */ panel) => (taken ? panel?.restore() : gone && panel?.gone?.(gone)));
  });
  if (free()) host.tabs?.postMessage({ ask: true });
}
