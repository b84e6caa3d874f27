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
  "loket-chat/message-list",
  "loket-chat/panel-style",
  "loket-chat/format",
  "shared/style-sheets",
  "shared/translator",
  "shared/conversation",
  "shared/connection",
  "shared/http-way",
  "shared/close-codes",
];

/**
 * Returns what fetches the panel's modules, texts and limits all at once, the first time that it is called.
 *
 * @param {HTMLElement} frame of the element, which takes the links
 * @param {string} base
 */
export function preloader(frame, base) {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    const names = [...MODULES, `loket-chat/text/${frame.lang}`];
    frame.append(...names.map((name) => h("link", { rel: "modulepreload", href: `${base}/static/${name}.js` })));
    fetch(`${base}/api/settings`, { credentials: "omit" }).catch(() => {}); // stays in the browser's cache
  };
}
