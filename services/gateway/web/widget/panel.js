// The panel: a dialog with the conversation, which a press starts at once, or first the form of departments that ask.
import { chatView } from "./chat-view.js";
import { h, icon, setText } from "../shared/dom.js";
import { panelSheet } from "./panel-style.js";
import { wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";
import { createStore } from "./store.js";
import { detailsOf, placeOf, pressNow, REFUSALS, seenBy, startChat } from "./start-chat.js";

export { translator }; // for what a replica of version 1.1 serves during an update

const MINUS = "M5 12h14";
const SMALL = "(max-width: 30rem), (max-height: 30rem)"; // as in panel-style.js
const SHORT = 480; // pixels; what the keyboard of a phone leaves has room for the conversation alone
const FORGET = 3600_000; // ms: an ended chat is not for whoever comes next
const FRESH = 6_000; // ms: an answer to a press that came before the panel; without a hello its chat ends after ten seconds
const LEFT = 20_000; // ms: what a press that never became a chat has left behind is only a draft

/**
 * The panel of an `<eloket-chat>`; `restore()` shows a kept chat without taking the focus.
 *
 * @param {ChatElement} host
 * @param {string} base
 * @param {string} prefix
 */
export async function createPanel(host, base, prefix) {
  const { lang } = host.frame;
  host.asChat ??= (chat) => /** @type {ChatRecord | null} */ (chat); // a page of version 1.1
  host.ways ??= () => "";
  const t = translator((await import(`./text/panel/${lang}.js`)).default, lang);
  const store = (host.store ??= createStore(prefix, host));
  const small = matchMedia(SMALL);
  const title = h("h2", { id: "title", tabindex: -1 }, "Chat");
  const fold = h("button", { class: "fold", hook: "chat-minimise", "aria-label": t("minimise"), onclick: () => minimise() }, icon(MINUS));
  const body = h("div", { class: "body" });
  const aloud = h("div", { class: "sr", role: "status" });
  const dialog = h("dialog", { class: "panel", "aria-labelledby": "title" }, h("div", { class: "head" }, title, fold), body, aloud);
  /** @type {ChatRecord | null} */
  let record = null;
  /** @type {ReturnType<typeof chatView> | null} */
  let view = null;
  /** @type {Awaited<ReturnType<typeof import("./start-form.js").startForm>> | null} */
  let form = null;
  let forms = 0; // counts them: what comes for an earlier one is ignored
  let unread = 0;
  let refused = false; // the chat of the last press
  /** @type {Element | null} */
  let before = null; // where the focus was in the page
  /** @type {((chat?: Conversation, colour?: Dot, backlog?: number) => void) | undefined} */
  let tellPage;
  /** @type {ReturnType<typeof import("./back-closes.js").backCloses> | undefined} */
  let back;
  /** @type {Promise<void> | undefined} */
  let coming; // of what `back` is

  wear(host.shadowRoot, panelSheet);
  host.frame.style.setProperty("--rem", getComputedStyle(host.frame).fontSize); // a page changes what rem is
  host.frame.append(dialog);

  /** @param {string} text */
  const announce = (text) => setText(aloud, aloud.textContent === text ? `${text}\u00a0` : text);
  const focused = () => /** @type {HTMLElement | null} */ (host.shadowRoot.activeElement);
  const tellHost = () => host.show({ chat: { live: Boolean(record?.chat_id), open: dialog.open, unread } });
  /** @param {Partial<ChatRecord>} change */
  const remember = (change) => {
    if (record && store.read("chat")?.chat_id === record.chat_id) store.write("chat", Object.assign(record, store.read("chat"), change));
  };
  const asksFirst = () => host.button?.start === "form";

  // Neither a conversation nor a form.
  function clear() {
    view?.stop();
    form?.stop();
    tellPage?.();
    tellPage = undefined;
    [view, record, unread, form] = [null, null, 0, null];
    host.dot = null;
    refused = false;
    forms += 1;
    body.replaceChildren();
    tellHost();
  }

  /** @param {string} [words] */
  async function showForm(words) {
    clear();
    const mine = forms;
    /** @param {string} [path] */
    const ways = (path) => host.ways(path);
    try {
      const { startForm } = await import("./start-form.js");
      const made = await startForm({ body, base, store, host, onStart: begin, ways });
      if (mine !== forms) return made.stop();
      form = made;
    } catch {
      if (mine === forms) body.replaceChildren(h("div", { class: "notice far" }, h("p", { role: "alert" }, t("startFailed")), ways()));
      return;
    }
    if (words) form.tell(words);
    form.button(host.button);
    if (!dialog.open) return;
    form.opened();
    if (!small.matches) form.focus();
  }

  /** @param {EloketChatStart & {queue?: boolean}} given @param {string} [reservation] */
  async function begin(given, reservation) {
    const details = detailsOf(host, store, given);
    const answer = await startChat(base, store, details, (value) => host.asChat(value), { seen: seenBy(host), reservation });
    if (answer.record) {
      store.write("chat", { ...answer.record, open: true, place: placeOf(details.form) });
      join(store.read("chat"));
      host.emit?.("started", { chat_id: answer.record.chat_id });
      view?.focus();
    } else noChat(answer);
    return answer;
  }

  /** @param {StartAnswer} answer @param {EloketChatStart} [given] */
  function noChat({ code }, given) {
    host.refusal = { code, given };
    host.emit?.("refused", { code });
    if (code === "button_blue") host.show({ button: { contact: [], ...host.button, colour: "blue" } });
  }

  // The conversation is on the screen before there is a chat: the white bar takes what is typed meanwhile.
  /** @param {EloketChatStart} [given] */
  function startNow(given) {
    clear();
    const left = store.waiting("").filter((item) => Date.now() - item.since > LEFT);
    for (const { id } of left) store.write(`p:${id}`, null);
    const drafts = [...left.map(({ text }) => text), store.read("draft")].filter(Boolean);
    if (left.length) store.write("draft", drafts.join("\n\n"));
    join({ chat_id: "", token: "", websocket: "" }, given);
    return ask(given);
  }

  /** @param {EloketChatStart} [given] @returns {Promise<StartAnswer>} */
  async function ask(given) {
    const mine = view;
    const { early } = host;
    refused = false;
    host.early = null;
    let answer = given ? null : await Promise.resolve(early).catch(() => null);
    if (!answer || Date.now() - (answer.at ?? 0) > FRESH) answer = await pressNow(host, base, store, given);
    if (view !== mine || !view || !record) return answer;
    if (answer.record) {
      store.write("chat", Object.assign(record, answer.record, { open: dialog.open, place: answer.place }));
      tellPageOf(record);
      view.begun();
      host.emit?.("started", { chat_id: record.chat_id });
      tellHost();
      return answer;
    }
    noChat(answer, given);
    refused = true;
    view.refused(REFUSALS[answer.code ?? ""] ?? "startRefused", { n: answer.seconds ?? 5 }, host.ways(answer.infofiche));
    return answer;
  }

  /** @param {ChatRecord} chat */
  function tellPageOf(chat) {
    const events = import("./page-events.js").then((module) => module.followChat(host, chat)).catch(() => null);
    tellPage = (...change) => void events.then((tell) => tell?.(...change));
  }

  /** @param {ChatRecord} kept @param {EloketChatStart} [given] what a chat that is being started is started with */
  function join(kept, given) {
    // what was sent while it was being started, here or in another tab
    if (kept.chat_id) for (const item of store.waiting("")) store.write(`p:${item.id}`, { ...item, chat: kept.chat_id });
    view?.stop();
    form?.stop();
    tellPage?.();
    tellPage = undefined;
    form = null;
    forms += 1;
    record = kept;
    if (kept.chat_id) tellPageOf(kept);
    view = chatView({
      t,
      host,
      lang,
      base,
      store,
      record,
      announce,
      ways: () => host.ways(),
      isOpen: () => dialog.open,
      onUnread: (count) => {
        unread = count;
        tellHost();
      },
      onState: (...change) => tellPage?.(...change),
      onGone: () => forget("gone"),
      onEnded: () => record?.ended || remember({ ended: Date.now() }),
      onUntold: (untold) => remember({ untold }),
      onStart: () => void ask(given),
      onRestart: () => {
        const draft = store.read("draft");
        putAway();
        store.write("draft", draft);
        start();
        if (view && !small.matches) view.focus();
        else title.focus();
      },
      onDismiss: () => (forget(), minimise()),
    });
    body.replaceChildren(view.element);
    tellHost();
  }

  const start = () => void (asksFirst() ? showForm() : startNow());

  /** @param {EloketChatStart} given @returns {Promise<EloketChatStarted>} */
  async function startWith(given) {
    if (record?.ended) forget();
    const chat = record ? null : kept();
    if (chat && !chat.ended) join(chat);
    if (asksFirst() && !record && !form) await showForm();
    /** @type {StartAnswer | Promise<StartAnswer>} */
    const starting = record?.chat_id ? { code: "open" } : form ? form.send(given) : startNow(given);
    show();
    const answer = await starting;
    return answer.record ? { started: true, chat_id: answer.record.chat_id } : { started: false, code: answer.code ?? "unavailable" };
  }

  // Here and in the other tabs.
  function putAway() {
    store.clear();
    if (!store.local && record?.chat_id) host.tabs?.postMessage({ gone: record.chat_id });
  }

  /** Another tab put this chat away. @param {string} id */
  function gone(id) {
    if (record?.chat_id !== id) return;
    store.clear();
    shut();
    clear();
  }

  /** @param {string} [why] the key of a text */
  function forget(why) {
    putAway();
    if (why && asksFirst()) return void showForm(t(why));
    clear();
    if (!why) return;
    join({ chat_id: "", token: "", websocket: "" });
    view?.refused(why, {}, "");
  }

  // Back closes a panel that fills the screen.
  function fill() {
    const close = () => small.matches && minimise();
    coming ??= import("./back-closes.js").then(
      (module) => void (back = module.backCloses({ close, signal })),
      () => (coming = undefined),
    );
    coming.then(() => dialog.open && small.matches && back?.enter());
  }

  function shut(byPage = false) {
    dialog.close();
    back?.leave(!byPage);
  }

  function show() {
    if (dialog.open) return;
    if (small.matches) dialog.showModal();
    else dialog.show();
    if (small.matches) fill();
    fit();
    remember({ open: true });
    view?.opened();
    form?.opened();
    tellHost();
  }

  /**
   * Opens the panel; with `given`, starts a chat with it, unless one is open.
   *
   * @param {EloketChatStart} [given]
   * @returns {Promise<EloketChatStarted | undefined>}
   */
  async function open(given) {
    const at = document.activeElement;
    if (at !== host) before = at;
    if (given) return startWith({ ...given });
    if ((!view && !form) || (refused && !dialog.open)) {
      const chat = kept();
      chat ? join(chat) : start();
    }
    show();
    // on a phone a keyboard would cover the text
    if (small.matches || !(view ?? form)) title.focus();
    else (view ?? form)?.focus();
  }

  /** @param {boolean} [byPage] */
  function minimise(byPage = false) {
    if (!dialog.open) return;
    const held = focused();
    shut(byPage);
    form?.closed();
    remember({ open: false });
    tellHost();
    if (byPage && !held) return;
    if (host.hasAttribute("hide-launcher")) /** @type {HTMLElement | null} */ (before)?.focus();
    else host.launcher?.focus();
  }

  // The kept chat; what is none, or ended too long ago, is thrown away.
  function kept() {
    store.settle?.();
    const found = store.read("chat");
    const chat = host.asChat(found);
    if (!found || (chat && (!chat.ended || Date.now() - chat.ended < FORGET))) return chat;
    store.clear();
  }

  function restore() {
    const chat = kept();
    if (!chat || chat.chat_id === record?.chat_id) return;
    join(chat);
    if (!chat.open || dialog.open) return;
    const before = /** @type {HTMLElement} */ (document.activeElement);
    show();
    if (!small.matches) before && before !== document.body ? before.focus() : focused()?.blur();
  }

  /** @param {StorageEvent} event */
  function stored({ key, newValue }) {
    if (key !== null && key !== `${prefix}chat`) return;
    const chat = host.asChat(store.read("chat"));
    const same = chat && chat.chat_id === record?.chat_id;
    if (!newValue && record && store.local !== false && !store.read("shared")) {
      // another tab dismissed it, perhaps while we wrote
      if (same) store.clear();
      shut();
      clear();
    } else if (record && same) record.shown = Math.max(record.shown ?? 0, chat.shown ?? 0);
    else restore();
  }

  // what the keyboard leaves of a small screen
  function fit() {
    if (!visualViewport) return;
    const { height, offsetTop } = visualViewport;
    dialog.style.setProperty("--height", `${height}px`);
    dialog.style.setProperty("--top", `${offsetTop}px`);
    dialog.classList.toggle("short", height < SHORT);
  }

  function resized() {
    if (!dialog.open) return;
    const held = focused();
    shut();
    show();
    held?.focus();
  }

  /** @param {Event} event */
  const escape = (event) => {
    if (event instanceof KeyboardEvent && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (!view?.escape()) minimise();
  };
  dialog.addEventListener("keydown", escape);
  dialog.addEventListener("cancel", escape);
  host.onbutton = () => form?.button(host.button);
  const end = new AbortController();
  const { signal } = end;
  addEventListener("storage", stored, { signal });
  small.addEventListener("change", resized, { signal });
  for (const type of ["resize", "scroll"]) visualViewport?.addEventListener(type, fit, { signal });
  host.toolsAhead?.();

  return {
    open,
    restore,
    begin, // blue-panel.js: with `queue`, for who chooses to wait
    minimise,
    kept,
    gone,
    dispose: () => {
      end.abort();
      tellPage?.();
      view?.stop();
      form?.stop();
      forms += 1;
      dialog.remove();
    },
  };
}
