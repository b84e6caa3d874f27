// The panel before it is pressed for: its modules import each other, so a browser that finds them one by one waits for each in turn.
import { h } from "../shared/dom.js";

// Those with which the press asks for a chat come first.
const MODULES = [
  "loket-chat/start-chat",
  "loket-chat/store",
  "loket-chat/form-context",
  "shared/new-message",
  "loket-chat/panel",
  "loket-chat/chat-view",
  "loket-chat/chat-session",
  "loket-chat/composer",
  "loket-chat/panel-style",
  "shared/style-sheets",
  "shared/translator",
  "shared/conversation",
  "shared/connection",
  "shared/http-way",
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
  "loket-chat/nameless",
  "loket-chat/tools-style",
];

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
