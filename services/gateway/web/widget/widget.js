// The embed script: defines <eloket-chat department="…" locale="…">. The panel comes with the first press, or for a chat to return to.
// Its public API is eloket-chat.d.ts; docs/embedding.md describes it.

const { origin: BASE, host: HOST } = new URL(import.meta.url);
const PREFIX = `eloket-chat ${HOST} `; // of the keys in localStorage
const LOADING = 15_000; // ms for the panel to come
const AGAIN = 15_000; // ms, to twice as long, until a kept chat is tried again
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SPEECH = "M4 5h16v11H9l-5 4z M8 9h8 M8 12h5";
const INFO = "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18 M12 11v6 M12 7.5v.1";
const SECOND = 1_000; // ms in which a page may have two elements, while it replaces one
// Events of the chat that the page does not get: its shortcuts and its traps of the focus are not for what is typed here.
const OWN = ["keydown", "keypress", "keyup", "beforeinput", "input", "paste", "copy", "cut", "focusin", "focusout"];
/** @type {EloketChat[]} */
const elements = []; // in the page; the first is shown

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
function asRecord(value) {
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

/** @param {number} ms @param {Promise<any>} promise */
const within = (ms, promise) => Promise.race([promise, new Promise((_, reject) => setTimeout(reject, ms))]);

/**
 * A module of the launcher, tried until it comes: during an update a replica may lack it.
 *
 * @param {string} path
 */
async function load(path) {
  for (let n = 0; ; n += 1) {
    try {
      return await import(`./static/${path}.js${n ? `?${n}` : ""}`);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, Math.min(30_000, 1_000 * 2 ** n) * (0.5 + Math.random())));
    }
  }
}

/** @type {[typeof import("../shared/button-status.js"), typeof import("../shared/dom.js"), typeof import("./launcher-style.js")]} */
const [{ followButton }, { h, icon, setAttribute }, { launcherSheet }] = /** @type {any} */ (
  await Promise.all(["shared/button-status", "shared/dom", "loket-chat/launcher-style"].map(load))
);

/** @implements {EloketChatElement} */
class EloketChat extends HTMLElement {
  static observedAttributes = ["department", "locale"];
  /** @type {Button | undefined} */
  button;
  /** @type {{live: boolean, open: boolean, unread: number}} */
  chat = { live: false, open: false, unread: 0 };
  /** @type {EloketChatDot | null} */
  dot = null;
  /** @type {EloketChatContext | null} */
  context = /** @type {any} */ (this).context ?? null; // a page may set it before this script has come
  /** @type {HTMLElement | null} */
  frame = null;
  /** @type {HTMLElement | null} */
  launcher = null;
  /** @type {HTMLElement} */
  reach = h("div");
  /** @type {ReturnType<typeof import("./reach.js").reachOf> | undefined} */
  other;
  /** @type {(() => void) | undefined} */
  ahead; // fetches the panel (preload.js)
  /** @type {Promise<any> | null} */
  panel = null;
  /** @type {string | null} */
  looks = null;
  /** @type {any} */
  blue = null; // says why the button is blue (blue-reason.js)
  /** @type {Promise<void> | null | undefined} */
  explaining = null;
  /** @type {Promise<{tell(): void}> | null} */
  notice = null; // of the department (notice.js)
  /** @type {Promise<unknown> | null} */
  asked = null;
  /** @type {(() => void) | undefined} */
  onbutton;

  connectedCallback() {
    if (!elements.includes(this)) elements.push(this);
    if (elements[0] === this) this.render();
    else setTimeout(() => elements.indexOf(this) > 0 && this.doubt("second"), SECOND);
  }

  disconnectedCallback() {
    const [first] = elements;
    elements.splice(elements.indexOf(this), 1);
    if (first !== this) return;
    this.stop();
    elements[0]?.render();
  }

  attributeChangedCallback() {
    if (elements[0] !== this) return;
    this.stop();
    this.render();
  }

  async render() {
    const asked = [this.getAttribute("locale"), document.documentElement.lang].map((tag) => tag?.slice(0, 2).toLowerCase());
    const lang = asked.find((tag) => ["nl", "fr", "de", "en"].includes(`${tag}`)) ?? "nl";
    const { signal } = (this.gone = new AbortController());
    const frame = (this.frame = h("aside", { class: "eloket", lang, "aria-label": "Chat" }));
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    if (launcherSheet instanceof CSSStyleSheet) root.adoptedStyleSheets = [launcherSheet];
    root.replaceChildren(...(launcherSheet instanceof CSSStyleSheet ? [] : [launcherSheet]), frame);
    for (const type of OWN) frame.addEventListener(type, (event) => this.keep(event));
    try {
      // above whatever the page has; a page that closes its own popovers leaves this one
      if (frame.showPopover) {
        frame.popover = "manual";
        frame.showPopover();
      }
    } catch {
      frame.removeAttribute("popover");
    }
    this.button = undefined;
    this.chat = { live: false, open: false, unread: 0 };
    this.failed = this.busy = false;
    this.other = undefined;
    this.reach = h("div", { id: "reach", class: "reach", hook: "chat-reach", role: "group", tabindex: -1, hidden: true });
    frame.append(this.reach);
    this.words = (await load(`loket-chat/text/launcher/${lang}`)).default;
    if (this.frame !== frame) return;
    this.unfollow = followButton(BASE, this.getAttribute("department"), (button) => {
      this.show({ button });
      if (button.doubt) this.doubt(button.doubt);
    });
    addEventListener("storage", ({ key }) => (key === null || key === `${PREFIX}chat`) && this.restore(), { signal });
    const avoid = () => load("loket-chat/avoid-focus").then(({ avoidFocus }) => signal.aborted || avoidFocus(this, frame, signal));
    if (document.activeElement?.matches("body, html, eloket-chat") ?? true) addEventListener("focusin", avoid, { signal, once: true });
    else avoid();
    this.restore();
    const { reachOf } = await load("loket-chat/reach"); // while the server is there, for when it is gone
    if (this.frame !== frame) return;
    this.other = reachOf(this);
    this.show({});
    const { preloader } = await load("loket-chat/preload");
    if (this.frame === frame) this.ahead = preloader(frame, BASE);
  }

  stop() {
    this.gone?.abort();
    this.unfollow?.();
    clearTimeout(this.again);
    this.panel?.then((panel) => panel?.dispose());
    this.blue?.dispose();
    this.panel = this.launcher = this.frame = this.looks = this.dot = this.blue = this.explaining = this.notice = this.asked = null;
  }

  /**
   * Perhaps the page made a mistake: that is looked at and told.
   *
   * @param {string} kind
   */
  async doubt(kind) {
    const { gone } = this;
    const { mistake } = await load("loket-chat/mistakes");
    if (this.gone === gone) mistake(this, BASE, kind);
  }

  /** @param {Event} event */
  keep(event) {
    const passes = event.target === this.launcher && event instanceof KeyboardEvent && event.type !== "keyup";
    if (!passes || ["Enter", " "].includes(event.key)) event.stopPropagation();
  }

  /** What a page may know; null until the button is known. */
  get state() {
    const { button, chat, dot } = this;
    if (!this.launcher || !button) return null;
    return { colour: button.colour, reason: button.reason ?? "unknown", open: chat.open, unread: chat.unread, dot };
  }

  /** As a press on the launcher. */
  async open() {
    await this.ready();
    this.launcher?.click();
  }

  ready() {
    return this.launcher ? null : new Promise((done) => this.addEventListener("eloket-chat-ready", done, { once: true }));
  }

  async close() {
    (await this.panel)?.minimise?.(true);
  }

  /**
   * Starts a chat with what the page knows already.
   *
   * @param {EloketChatStart} [given]
   * @returns {Promise<EloketChatStarted>}
   */
  async start(given = {}) {
    await this.ready();
    return (await this.press(given)) ?? { started: false, code: "unavailable" };
  }

  /**
   * @param {string} name
   * @param {unknown} [detail]
   */
  emit(name, detail = this.state) {
    this.dispatchEvent(new CustomEvent(`eloket-chat-${name}`, { bubbles: true, detail }));
  }

  /** A kept chat goes on by itself. What is kept and is none, from whatever once answered instead of us, is thrown away. */
  restore() {
    if (this.panel || !this.frame) return;
    try {
      const name = `${PREFIX}chat`;
      const shared = localStorage.getItem(`${PREFIX}shared`);
      const area = shared ? sessionStorage : localStorage;
      const kept = area.getItem(name);
      if (kept === null && shared) this.asked ??= load("loket-chat/shared-computer").then(({ askTabs }) => askTabs(this, PREFIX));
      if (kept === null) return;
      if (asRecord(parsed(kept))) this.load().then((panel) => panel?.restore());
      else area.removeItem(name);
    } catch {
      // nothing is kept here
    }
  }

  /** The panel, made once; undefined when that failed or the element has gone. */
  load() {
    const { frame } = this;
    return (this.panel ??= this.make().catch(() => {
      if (this.frame !== frame) return;
      this.panel = null;
      this.show({ failed: true });
      clearTimeout(this.again);
      this.again = setTimeout(() => this.restore(), AGAIN * (1 + Math.random()));
    }));
  }

  async make() {
    const { frame } = this;
    this.tries = (this.tries ?? -1) + 1; // some browsers keep a failure for as long as the page is there
    const made = import(`./static/loket-chat/panel.js${this.tries ? `?${this.tries}` : ""}`).then(({ createPanel }) =>
      createPanel(this, BASE, PREFIX),
    );
    const panel = await within(LOADING, made).catch((error) => {
      made.then((late) => late.dispose()).catch(() => {});
      throw error;
    });
    if (this.frame !== frame) return panel.dispose();
    this.failed = false;
    return panel;
  }

  /** @param {EloketChatStart} [given] */
  async press(given) {
    this.ahead?.();
    this.show({ busy: true, failed: false });
    if (!given && !this.panel && this.button?.start !== "form") this.begin();
    const panel = await this.load();
    this.show({ busy: false, failed: this.failed && !panel });
    if (panel) return panel.open(given);
    this.abandon();
    if (this.frame) this.unfold(true);
  }

  /** The panel does not come: the chat of the press ends, so that its agent is free for the next press. */
  async abandon() {
    const { early } = /** @type {any} */ (this);
    /** @type {any} */ (this).early = null;
    const { record } = (await early) ?? {};
    if (record) (await load("loket-chat/chat-over-http")).endChat(BASE, record);
  }

  /** The chat of a press is asked for while the panel loads. */
  begin() {
    /** @type {any} */ (this).early ??= load("loket-chat/start-chat").then(({ press }) => press(this, BASE, PREFIX));
  }

  /** @param {Partial<EloketChat>} change */
  show(change) {
    if (!this.frame) return;
    const { state } = this;
    Object.assign(this, change);
    if (change.button) this.onbutton?.();
    if (change.button && !change.button.lost) this.restore();
    if (this.button?.colour === "blue" && !this.button.lost) this.explaining ??= this.explain();
    const looks = JSON.stringify([this.button, this.chat, this.failed, this.busy, this.reach.hidden, !this.other]);
    if (this.looks === looks && this.launcher) return;
    this.looks = looks;
    const { launcher: before } = this;
    const focused = before && this.shadowRoot?.activeElement === before;
    const launcher = (this.launcher = this.draw());
    if (before) before.replaceWith(launcher);
    else this.frame.prepend(launcher);
    if (focused) launcher.focus();
    this.other?.tell();
    this.blue?.changed();
    if (this.button?.notice) this.notice ??= load("loket-chat/notice").then(({ noticeOf }) => noticeOf(this, PREFIX));
    this.notice?.then((notice) => this.frame && notice.tell());
    const now = this.state;
    if (!state) now && this.emit("ready");
    else if (now && (now.colour !== state.colour || now.reason !== state.reason)) this.emit("button");
    if (now && now.open !== (state?.open ?? false)) this.emit(now.open ? "opened" : "closed");
  }

  redraw() {
    this.looks = null;
    this.show({});
  }

  async explain() {
    const { frame } = this;
    const blue = await (await load("loket-chat/blue-reason")).createReason(this, BASE).catch(() => null);
    if (this.frame !== frame) return blue?.dispose();
    this.blue = blue;
    this.redraw();
  }

  draw() {
    const { words, chat, busy, failed } = this;
    /** @type {Button} */
    const button = this.button ?? { colour: "blue", contact: [], lost: false };
    const kind = chat.live ? "live" : button.colour;
    const lost = kind === "blue" && button.lost;
    const [way] = button.contact;
    const why = kind === "blue" && !lost && this.button ? this.blue?.words(button) : null;
    const hint = busy
      ? words.loading
      : failed
        ? words.failedHint
        : !lost
          ? (why?.hint ?? words[`${kind}Hint`])
          : way
            ? `${words[way.kind]}: ${way.value}`
            : words.lostHint;
    const looks = {
      class: `launcher ${kind}${busy || failed || lost ? " said" : ""}`,
      hook: "chat-button",
      "data-colour": button.colour,
      hidden: chat.open,
    };
    const inside = [
      icon(kind === "blue" ? INFO : SPEECH),
      h("span", { class: "words" }, h("b", {}, why?.title ?? words[kind]), h("small", {}, hint)),
      chat.unread > 0 && h("span", { class: "badge" }, `${chat.unread}`, h("span", { class: "sr" }, ` ${words.unread}`)),
    ];
    if (lost && this.other) {
      const unfold = () => this.unfold(this.reach.hidden);
      return h(
        "button",
        { ...looks, type: "button", "aria-expanded": String(!this.reach.hidden), "aria-controls": "reach", onclick: unfold },
        ...inside,
      );
    }
    if (why && this.blue.offers(button))
      return h("button", { ...looks, type: "button", "aria-haspopup": "dialog", onclick: () => this.blue.open() }, ...inside);
    if (kind !== "blue") {
      const ahead = () => this.ahead?.();
      return h(
        "button",
        {
          ...looks,
          type: "button",
          "aria-haspopup": "dialog",
          "aria-busy": busy && "true",
          onpointerenter: ahead,
          onfocus: ahead,
          onclick: () => this.press(),
        },
        ...inside,
      );
    }
    return h("a", { ...looks, href: this.sheet(), target: "_blank", rel: "noopener" }, ...inside, h("span", { class: "sr" }, words.newTab));
  }

  /**
   * The address of the info sheet, in the language of the element.
   *
   * @param {string} [path]
   */
  sheet(path) {
    const address = new URL(path ?? this.button?.infofiche_url ?? `/infofiche/${this.getAttribute("department") ?? "algemeen"}`, BASE);
    address.searchParams.set("lang", this.frame?.lang ?? "nl");
    return address.href;
  }

  /**
   * How else to reach the department, as a list of links: what the button once told, and the info sheet.
   *
   * @param {string} [path]
   */
  ways(path) {
    const list = this.other?.ways(path);
    this.explaining?.then(() => {
      const { blue, button } = this;
      if (!list || !button || !blue?.offers(button)) return;
      list.prepend(h("li", {}, h("button", { type: "button", hook: "blue-offers", onclick: () => blue.open() }, blue.words(button).hint)));
    });
    return list ?? "";
  }

  /**
   * Says above the launcher why there is no chat, and what else there is.
   *
   * @param {boolean} open
   */
  unfold(open) {
    if (!this.other) return;
    const held = this.reach.contains(this.shadowRoot?.activeElement ?? null);
    setAttribute(this.reach, "hidden", !open);
    this.show({});
    if (open) this.reach.focus();
    else if (held) this.launcher?.focus();
  }

  /**
   * What was answered or kept, when it is a chat; else null.
   *
   * @param {unknown} value
   */
  asChat(value) {
    return asRecord(value);
  }
}

// In a browser that is too old for the panel the element keeps the page's own content.
const able = "HTMLDialogElement" in globalThis && "hasOwn" in Object;
if (able && !customElements.get("eloket-chat")) customElements.define("eloket-chat", EloketChat);
