// The panel: a dialog with the start form or the conversation.
import { chatView } from "./chat-view.js";
import { h, icon, setText } from "../shared/dom.js";
import { panelSheet } from "./panel-style.js";
import { wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";
import { createStore } from "./chat-session.js";
import { formOf, placeOf } from "./form-context.js";
import { browserOf, startChat, startForm } from "./start-form.js";

export { translator }; // for what a replica of version 1.1 serves during an update

const MINUS = "M5 12h14";
const SMALL = "(max-width: 30rem), (max-height: 30rem)"; // as in panel-style.js
const FORGET = 3600_000; // ms: an ended chat is not for whoever comes next

const DEFAULTS = {
  timezone: "Europe/Brussels",
  attachment_bytes: 10 * 1024 * 1024,
  attachment_count: 20,
  attachment_total: 50 * 1024 * 1024,
};
const SETTINGS = 2_500; // ms; the panel does not wait longer for what it has defaults for

/**
 * What the server says of limits and of the time zone (`GET /api/settings`); what is missing or wrong is as by default.
 *
 * @param {string} base
 */
export async function settingsOf(base) {
  const told = await fetch(`${base}/api/settings`, { credentials: "omit", signal: AbortSignal.timeout(SETTINGS) })
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null);
  const settings = { ...DEFAULTS };
  for (const name of /** @type {const} */ (["attachment_bytes", "attachment_count", "attachment_total"]))
    if (Number.isSafeInteger(told?.[name]) && told[name] > 0) settings[name] = told[name];
  try {
    settings.timezone = new Intl.DateTimeFormat("nl", { timeZone: told?.timezone ?? DEFAULTS.timezone }).resolvedOptions().timeZone;
  } catch {
    // a zone that this browser does not know
  }
  return settings;
}

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
  const [texts, settings] = await Promise.all([import(`./text/${lang}.js`), settingsOf(base)]);
  const t = translator(texts.default, lang);
  host.settings = settings;
  const store = createStore(prefix);
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
  /** @type {ReturnType<typeof startForm> | undefined} */
  let form;
  let unread = 0;
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
  const tellHost = () => host.show({ chat: { live: record !== null, open: dialog.open, unread } });
  /** @param {Partial<ChatRecord>} change */
  const remember = (change) => {
    if (record && store.read("chat")?.chat_id === record.chat_id) store.write("chat", Object.assign(record, store.read("chat"), change));
  };

  /** @param {string} [words] */
  function showForm(words) {
    view?.stop();
    tellPage?.();
    [view, record, unread] = [null, null, 0];
    host.dot = null;
    form = startForm({ t, onStart: begin /** @param {string} path */, ways: (path) => host.ways(path) });
    body.replaceChildren(form.form);
    if (words) form.tell(words);
    tellHost();
  }

  /** @param {EloketChatStart & {queue?: boolean}} given */
  async function begin(given) {
    const { form: more, ...rest } = given;
    const asked = formOf(host, more);
    const answer = await startChat(
      base,
      store,
      { ...rest, department: host.getAttribute("department") ?? undefined, locale: lang, form: asked, browser: browserOf(store) },
      host.asChat,
    );
    if (answer.record) {
      store.write("chat", { ...answer.record, open: true, place: placeOf(asked) });
      join(store.read("chat"));
      host.emit?.("started", { chat_id: answer.record.chat_id });
      view?.focus();
    } else if (answer.code === "button_blue") host.show({ button: { contact: [], ...host.button, colour: "blue" } });
    return answer;
  }

  /** @param {ChatRecord} kept */
  function join(kept) {
    view?.stop();
    tellPage?.();
    record = kept;
    const events = import("./page-events.js").then((module) => module.followChat(host, kept)).catch(() => null);
    const tell = (tellPage = (...change) => void events.then((tell) => tell?.(...change)));
    view = chatView({
      t,
      lang,
      base,
      store,
      record,
      announce,
      settings,
      ways: () => host.ways(),
      isOpen: () => dialog.open,
      onUnread: (count) => {
        unread = count;
        tellHost();
      },
      onState: tell,
      onGone: () => forget(t("gone")),
      onEnded: () => record?.ended || remember({ ended: Date.now() }),
      onUntold: (untold) => remember({ untold }),
      onRestart: () => {
        const draft = store.read("draft");
        forget();
        store.write("draft", draft);
        title.focus();
      },
      onDismiss: () => (forget(), minimise()),
    });
    body.replaceChildren(view.element);
    tellHost();
  }

  /** @param {string} [words] */
  function forget(words) {
    store.clear();
    showForm(words);
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

  function show() {
    if (dialog.open) return;
    if (small.matches) dialog.showModal();
    else dialog.show();
    if (small.matches) fill();
    fit();
    remember({ open: true });
    view?.opened();
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
    if (!view && !form) {
      const chat = kept();
      chat ? join(chat) : showForm();
    }
    show();
    if (given) return start(given);
    // on a phone a keyboard would cover the text
    if (small.matches || !view) (view ? title : body.querySelector("input"))?.focus();
    else view.focus();
  }

  /** @param {EloketChatStart} given @returns {Promise<EloketChatStarted>} */
  async function start(given) {
    if (record?.ended) forget();
    const answer = record ? { code: "open" } : await form?.send(given);
    return answer?.record ? { started: true, chat_id: answer.record.chat_id } : { started: false, code: answer?.code ?? "unavailable" };
  }

  /** @param {boolean} [byPage] */
  function minimise(byPage = false) {
    if (!dialog.open) return;
    const held = focused();
    dialog.close();
    back?.leave(!byPage);
    remember({ open: false });
    tellHost();
    if (byPage && !held) return;
    if (host.hasAttribute("hide-launcher")) /** @type {HTMLElement | null} */ (before)?.focus();
    else host.launcher?.focus();
  }

  // The kept chat; what is none, or ended too long ago, is thrown away.
  function kept() {
    const found = store.read("chat");
    const chat = host.asChat(found);
    if (!found || (chat && (!chat.ended || Date.now() - chat.ended < FORGET))) return chat;
    store.clear();
    return null;
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
    if (!newValue && record) {
      // another tab dismissed it, perhaps while we wrote
      if (same) store.clear();
      dialog.close();
      showForm();
    } else if (record && same) record.shown = Math.max(record.shown ?? 0, chat.shown ?? 0);
    else restore();
  }

  // what the keyboard leaves of a small screen
  function fit() {
    if (!visualViewport) return;
    const { height, offsetTop } = visualViewport;
    dialog.style.setProperty("--height", `${height}px`);
    dialog.style.setProperty("--top", `${offsetTop}px`);
  }

  function resized() {
    if (!dialog.open) return;
    const before = focused();
    dialog.close();
    back?.leave(true);
    show();
    before?.focus();
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
  const gone = new AbortController();
  const { signal } = gone;
  addEventListener("storage", stored, { signal });
  small.addEventListener("change", resized, { signal });
  for (const type of ["resize", "scroll"]) visualViewport?.addEventListener(type, fit, { signal });

  return {
    open,
    restore,
    begin, // blue-panel.js: with `queue`, for who chooses to wait
    minimise,
    dispose: () => {
      gone.abort();
      view?.stop();
      tellPage?.();
      dialog.remove();
    },
  };
}
