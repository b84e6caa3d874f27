// What the citizen is notified of while the page is hidden or the panel folded: by the title, a sound and a notification of the desktop.
// None of them has what somebody wrote.
import { notify } from "../shared/attention.js";
import { isNews } from "../shared/conversation.js";
import { h } from "../shared/dom.js";

const SEPARATOR = " – ";
const AGAIN = 250; // ms until a title that the page changed is marked again: a page that insists on its own gets no endless loop
// ms until a tab notifies: the one in which the citizen sees the news comes first, then one that is on the screen
const FOLDED = 150;
const HIDDEN = 400;

/**
 * What the citizen has not seen, as a key of the texts and its values; null when there is nothing.
 *
 * @param {Conversation} chat
 * @param {number} shown the last `seq` that was shown
 * @param {boolean} over the end was seen
 * @returns {{key: string, n?: number} | null}
 */
export function unseen(chat, shown, over) {
  if (chat.closed) return over || chat.closed === "citizen" ? null : { key: "endedNews" };
  if (chat.inactive) return { key: "closingNews" };
  const news = chat.messages.filter((one) => one.seq > shown && isNews(one));
  const n = news.filter(({ from }) => from === "agent").length;
  if (n) return { key: "messageNews", n };
  return chat.dot === "green" && news.some(({ event }) => event === "assigned") ? { key: "agentNews" } : null;
}

/**
 * The ids of what happened last in a chat, seen or not. Every tab of the chat has the same.
 *
 * @param {Conversation} chat
 * @param {number} backlog the last `seq` at the first welcome: what was there before is no news
 */
export function happened(chat, backlog) {
  const last = chat.messages.filter((one) => one.seq > backlog && isNews(one) && one.event !== "closed").at(-1);
  const { closed, inactive } = chat;
  return [
    closed && closed !== "citizen" && "ended",
    inactive && `closing ${inactive.warning} ${inactive.closes_at}`,
    !closed && last && `entry ${last.seq}`,
  ].filter((id) => typeof id === "string");
}

/**
 * A title with a mark before it. What the page wrote stays as it is, without earlier marks.
 *
 * @param {string} title
 * @param {string} mark
 * @param {Iterable<string>} marks all that were used
 */
export function marked(title, mark, marks) {
  let own = title;
  for (const one of marks) own = own.split(one).join("");
  return mark + own;
}

/**
 * Marks the title of the page: `mark(words)` puts words before it, `mark("")` takes them away, `stop()` too, for good.
 *
 * The page's own title is never kept here: it is what the title is without the mark, so the page may change it meanwhile.
 */
export function titleMark() {
  /** @type {Set<string>} */
  const marks = new Set();
  let mark = "";
  /** @type {HTMLTitleElement | null} */
  let made = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const observer = new MutationObserver(() => {
    timer ??= setTimeout(settle, AGAIN);
  });

  function settle() {
    timer = void clearTimeout(timer);
    let element = document.head.querySelector("title");
    if (!element) {
      if (!mark) return;
      document.head.append((element = made = h("title")));
    }
    const wanted = marked(element.text, mark, marks);
    const [text] = element.childNodes; // a framework may hold the node of its title
    if (element.text !== wanted) (text && element.childNodes.length === 1 ? text : element).textContent = wanted;
    if (element === made && !wanted) made.remove();
  }

  return {
    /** @param {string} words */
    mark(words) {
      const next = words && words + SEPARATOR;
      if (next === mark) return;
      mark = next;
      if (!marks.size) observer.observe(document.head, { childList: true, subtree: true, characterData: true });
      if (mark) marks.add(mark);
      settle();
    },
    stop() {
      observer.disconnect();
      mark = "";
      settle();
    },
  };
}

/**
 * Acts when no other tab of this browser has taken this name; it is taken until `end` resolves. Without locks every tab acts.
 *
 * @param {string} name
 * @param {() => void} act
 * @param {Promise<void>} end
 */
export function inOneTab(name, act, end) {
  if (!navigator.locks) return act();
  /** @param {Lock | null} lock */
  const taken = (lock) => {
    if (!lock) return;
    act();
    return end;
  };
  navigator.locks.request(name, { ifAvailable: true }, taken).catch(() => act()); // a page without an origin has no locks
}

/**
 * Follows a chat; returns what is told each change of it, and without a chat its end.
 *
 * @param {WidgetPart & {t: Translator, host: ChatElement, dialog: HTMLDialogElement, wants(): {sound: ReturnType<typeof import("../shared/attention.js").chime>, notify: boolean}}} options
 */
export function notifier({ base, record, session, t, host, dialog, wants }) {
  const name = `eloket-chat ${base} ${record.chat_id}`;
  const title = titleMark();
  const known = new Set(record.ended ? ["ended"] : []); // ids of what happened
  /** @type {Conversation | undefined} */
  let chat;
  let over = Boolean(record.ended);
  let seen = 0; // the `seq` that other tabs know as shown
  /** @type {Notification | null} */
  let note = null;
  /** @type {() => void} */
  let release = () => {};
  /** @type {Promise<void>} */
  const end = new Promise((done) => (release = done));
  /** @type {BroadcastChannel | null} */
  let tabs = null;
  try {
    tabs = new BroadcastChannel(name);
    tabs.onmessage = ({ data }) => {
      if (!Number.isSafeInteger(data) || data <= (record.shown ?? 0)) return;
      record.shown = seen = data;
      look();
    };
  } catch {
    // each tab for itself
  }
  const away = () => document.hidden || !dialog.open;
  const folding = new MutationObserver(() => look());
  folding.observe(dialog, { attributeFilter: ["open"] });
  document.addEventListener("visibilitychange", look);

  function look() {
    if (!chat) return;
    const { shown = 0 } = record;
    if (!away() && chat.closed) over = true;
    if (shown > seen) tabs?.postMessage((seen = shown));
    const news = unseen(chat, shown, over);
    title.mark(away() && news ? t(news.key, news) : "");
    if (!away() || !news) put(null);
    const fresh = chat.welcomed || chat.closed ? happened(chat, session.backlog()).filter((id) => !known.has(id)) : [];
    for (const id of fresh) {
      known.add(id);
      const act = () => inOneTab(`${name} ${id}`, signal, end);
      if (away()) setTimeout(act, document.hidden ? HIDDEN : FOLDED);
      else act(); // the other tabs are silent
    }
  }

  function signal() {
    const news = chat && away() && unseen(chat, record.shown ?? 0, over);
    if (!news) return;
    const { sound, notify: shown } = wants();
    sound.play("message");
    if (!shown) return;
    put(notify(t(news.key, news), name, () => dialog.open || host.press?.()));
  }

  // One notification at a time.
  /** @param {Notification | null} next */
  function put(next) {
    note?.close();
    note = next;
  }

  return (/** @type {Conversation | undefined} */ next) => {
    chat = next;
    if (chat) return look();
    title.stop();
    folding.disconnect();
    document.removeEventListener("visibilitychange", look);
    put(null);
    tabs?.close();
    release();
  };
}
