// What a press on the launcher does: it opens the panel, and returns to a chat that is kept. Loaded once the launcher is shown, so that the
// colour waits for none of it.
import { h } from "../shared/dom.js";

const LOADING = 15_000; // ms for the panel to come
const AGAIN = 15_000; // ms, to twice as long, until a kept chat is tried again
// Events of the chat that the page does not get: its shortcuts and its traps of the focus are not for what is typed here.
const OWN = ["keydown", "keypress", "keyup", "beforeinput", "input", "paste", "copy", "cut", "focusin", "focusout"];
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
// The panel: its modules import each other, so a browser that finds them one by one waits for each in turn. Those with which the press asks
// for a chat come first.
const MODULES = [
  "loket-chat/start-chat",
  "loket-chat/store",
  "loket-chat/panel",
  "loket-chat/chat-view",
  "loket-chat/chat-session",
  "loket-chat/panel-style",
  "shared/style-sheets",
  "shared/translator",
  "shared/conversation",
  "shared/connection",
];
// What the panel loads by itself as soon as it is there.
const TOOLS = [
  "loket-chat/chat-tools",
  "loket-chat/message-list",
  "shared/message-list",
  "shared/format",
  "shared/keyed",
  "shared/links",
  "loket-chat/lazy-panels",
  "loket-chat/tools-style",
];

AbortSignal.timeout ??= (ms) => {
  const controller = new AbortController(); // Safari before 16
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
};

/**
 * A chat, of an answer or kept, or null: its id, its token and the path of its websocket.
 *
 * @param {any} value
 */
export function asRecord(value) {
  const { chat_id: id, token, websocket } = value ?? {};
  const whole = UUID.test(id) && typeof token === "string" && token && typeof websocket === "string" && /^\/(?!\/)/.test(websocket);
  return whole ? value : null;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Returns what fetches the panel's modules and texts all at once, the first time that it is called; its `tools` does the same for what
 * comes after them, with the limits.
 *
 * @param {HTMLElement} frame of the element, which takes the links
 * @param {string} base
 */
export function preloader(frame, base) {
  /** @param {string[]} names @param {string} [path] what is fetched too, and stays in the browser's cache */
  const once = (names, path) => () => {
    const rest = names.splice(0);
    frame.append(...rest.map((name) => h("link", { rel: "modulepreload", href: new URL(`../${name}.js`, import.meta.url) })));
    if (path && rest[0]) fetch(base + path, { credentials: "omit" }).catch(() => {});
  };
  return Object.assign(once([...MODULES, `loket-chat/text/panel/${frame.lang}`]), {
    tools: once([...TOOLS, `loket-chat/text/${frame.lang}`], "/api/settings"),
  });
}

/**
 * What an `<eloket-chat>` that is shown does, until `stop()`. The host gets the members by which other modules use it: `asChat`, `load`,
 * `redraw`, `restore`, `toolsAhead`, and `more`, which is what launcher-state.js does.
 *
 * @param {any} host an `EloketChat`
 * @param {LauncherOptions} options
 */
export function actionsOf(host, options) {
  const { base, prefix, load, within } = options;
  const { frame } = host;
  const ahead = preloader(frame, base);
  const { signal } = host.gone;
  const gone = () => host.frame !== frame;
  let tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;

  /** A kept chat goes on by itself. What is kept and is none, from whatever once answered instead of us, is thrown away. */
  function restore() {
    if (host.panel || gone()) return;
    try {
      const name = `${prefix}chat`;
      // in local storage for a page that asks for it, and of version 1.1
      const area = [sessionStorage, localStorage].find((one) => one.getItem(name) !== null);
      if (!area) return;
      if (asRecord(parsed(area.getItem(name) ?? ""))) loadPanel().then((/** @type {any} */ panel) => panel?.restore());
      else area.removeItem(name);
    } catch {
      // nothing is kept here
    }
  }

  /** The panel, made once; undefined when that failed or the element has gone. */
  function loadPanel() {
    return (host.panel ??= make().catch(() => {
      if (gone()) return;
      host.panel = null;
      host.show({ failed: true });
      clearTimeout(again);
      again = setTimeout(restore, AGAIN * (1 + Math.random()));
    }));
  }

  async function make() {
    ahead();
    // some browsers keep a failure for as long as the page is there; every version has the path without a digest: it is tried at once
    const attempt = () => import(tries++ ? `${base}/static/loket-chat/panel.js?${tries}` : "./panel.js");
    const made = attempt()
      .catch(attempt)
      .then(({ createPanel }) => createPanel(host, base, prefix));
    const panel = await within(LOADING, made).catch((error) => {
      made.then((late) => late.dispose()).catch(() => {});
      throw error;
    });
    if (gone()) return panel.dispose();
    host.failed = false;
    return panel;
  }

  /** @param {EloketChatStart} [given] */
  async function press(given) {
    ahead();
    host.show({ busy: true, failed: false });
    if (!given && !host.panel && host.button?.start !== "form") begin();
    const panel = await loadPanel();
    host.show({ busy: false, failed: host.failed && !panel });
    if (panel) return panel.open(given);
    abandon();
    if (!gone()) host.unfold?.(true);
  }

  /** The chat of a press is asked for while the panel loads. */
  function begin() {
    host.early ??= load("loket-chat/start-chat").then((start) => start.press(host, base, prefix));
  }

  /** The panel does not come: the chat of the press ends, so that its agent is free for the next press. */
  async function abandon() {
    const { early } = host;
    host.early = null;
    const { record } = (await early) ?? {};
    if (record) (await load("loket-chat/chat-over-http")).endChat(base, record);
  }

  /** @param {Event} event */
  function keep(event) {
    const passes = event.target === host.launcher && event instanceof KeyboardEvent && event.type !== "keyup";
    if (!passes || ["Enter", " "].includes(event.key)) event.stopPropagation();
  }

  /** @param {Event} event */
  const soon = ({ target }) => host.launcher?.contains(target) && host.button?.colour === "green" && ahead();

  Object.assign(host, { restore, load: loadPanel, asChat: asRecord, toolsAhead: ahead.tools, redraw: () => host.show({}) });
  for (const type of ["pointerover", "focusin"]) frame.addEventListener(type, soon, { passive: true });
  for (const type of OWN) frame.addEventListener(type, keep);
  addEventListener("storage", ({ key }) => [null, `${prefix}chat`].includes(key) && restore(), { signal });
  restore();
  const following = Promise.all([load("loket-chat/launcher-state"), load("shared/button-status")]).then(
    ([{ stateOf }, { followButton }]) => {
      if (!gone()) host.more = stateOf(host, followButton, options);
    },
  );

  return {
    press,
    /** Resolves when the launcher follows its button. */
    following,
    stop() {
      clearTimeout(again);
      host.panel?.then((/** @type {any} */ panel) => panel?.dispose());
    },
  };
}
