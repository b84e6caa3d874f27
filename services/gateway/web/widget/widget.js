// The embed script: defines <eloket-chat department="…" locale="…">. It shows the button in its colour with as little as possible; what
// a press does (launcher-actions.js) and what follows the colour (launcher-state.js) come after that, and the panel with the first press.
// Its public API is eloket-chat.d.ts; docs/embedding.md describes it.

const { origin: BASE, host: HOST } = new URL(import.meta.url);
const PREFIX = `eloket-chat ${HOST} `; // of the keys in the browser's storage
/** Of the gateway's files, which it puts here: "/0a1b2c3d". Browsers keep what is below it. */
let digest = "";
const ANSWER = 4_000; // ms for the first answer about the button
const LOST = 12_000; // ms, as in button-status.js
const LOADING = 15_000; // ms for what a press needs
const SPEECH = "M4 5h16v11H9l-5 4z M8 9h8 M8 12h5";
const INFO = "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18 M12 11v6 M12 7.5v.1";
const SECOND = 1_000; // ms in which a page may have two elements, while it replaces one
/** @typedef {ReturnType<typeof import("./launcher-actions.js").actionsOf>} Actions */
/** @type {EloketChat[]} */
const elements = []; // in the page; the first is shown

/** @param {number} ms @param {Promise<any>} promise */
const within = (ms, promise) => Promise.race([promise, new Promise((_, reject) => setTimeout(reject, ms))]);

/**
 * A module of the launcher, tried until it comes: during an update a replica may lack it. After a failure all modules come from the paths
 * without a digest, which every version has: some browsers keep a failure, of an imported module too, for as long as the page is there.
 *
 * @param {string} path
 */
async function load(path) {
  for (let n = 0; ; n += 1) {
    try {
      return await import(`./static${digest}/${path}.js` + (n ? `?${n}` : ""));
    } catch {
      digest = "";
      await new Promise((resolve) => setTimeout(resolve, Math.min(30_000, 1_000 * 2 ** n) * (0.5 + Math.random())));
    }
  }
}

// What draws the launcher: asked for at once, with the texts and the button. None of them imports another.
const drawing = Promise.all(["shared/dom", "loket-chat/launcher-style"].map(load));
/** @type {typeof import("../shared/dom.js")} */
let dom;

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
  /** @type {Promise<Actions | undefined> | undefined} */
  acting;
  /** @type {Actions | undefined} */
  actions; // what `acting` resolved to
  /** @type {ReturnType<typeof import("./launcher-state.js").stateOf> | undefined} */
  more;
  /** @type {Promise<any> | null} */
  panel = null;
  /** @type {string | null} */
  looks = null;
  /** @type {(() => void) | undefined} */
  onbutton;

  connectedCallback() {
    if (!elements.includes(this)) elements.push(this);
    if (elements[0] === this) this.render();
    else
      setTimeout(() => {
        if (elements.indexOf(this) > 0) load("loket-chat/mistakes").then(({ mistake }) => mistake(this, BASE, "second"));
      }, SECOND);
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
    const first = (this.first = document.hidden ? null : within(ANSWER, this.ask())); // a hidden page asks when it is looked at
    first?.catch(() => {}); // it is looked at below, and again by what follows the button
    const [[made, { launcherSheet }], texts] = await Promise.all([drawing, load(`loket-chat/text/button/${lang}`)]);
    if (signal.aborted) return;
    dom = made;
    this.words = texts.default;
    const frame = (this.frame = dom.h("aside", { class: "eloket", lang, "aria-label": "Chat" }));
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    if (launcherSheet instanceof CSSStyleSheet) root.adoptedStyleSheets = [launcherSheet];
    root.replaceChildren(...(launcherSheet instanceof CSSStyleSheet ? [] : [launcherSheet]), frame);
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
    const { colour, reason, revision, start } = Object(await first?.catch(() => null));
    if (signal.aborted) return;
    // the rest is checked and shown by what follows the button
    if (["green", "blue"].includes(colour)) this.show({ button: { colour, reason, revision, start, contact: [], lost: false } });
    // a colour that nothing follows is not shown for long
    within(
      LOST,
      this.act().then((actions) => actions?.following),
    ).catch((error) => {
      if (this.frame === frame && !this.more) this.show({ button: { contact: [], colour: "blue", lost: true } });
      if (error) throw error;
    });
  }

  /** What the server says of the button: the body of its answer. */
  async ask() {
    const department = this.getAttribute("department");
    const query = department ? `?department=${encodeURIComponent(department)}` : "";
    const answer = await fetch(`${BASE}/api/button${query}`, { credentials: "omit" });
    if (!answer.ok) throw answer.status;
    return answer.json();
  }

  /**
   * What a press does, loaded once the launcher is shown; undefined when the element has gone meanwhile.
   *
   * @returns {Promise<Actions | undefined>}
   */
  act() {
    const { frame } = this;
    this.acting ??= load("loket-chat/launcher-actions").then(({ actionsOf }) => {
      if (frame && this.frame === frame) this.actions = actionsOf(this, { base: BASE, prefix: PREFIX, load, within });
      return this.actions;
    });
    return this.acting;
  }

  stop() {
    this.gone?.abort();
    this.more?.stop();
    this.actions?.stop();
    this.panel = this.launcher = this.frame = this.looks = this.dot = null;
    this.acting = this.actions = this.more = undefined;
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

  /**
   * Says at once that it works on it; a press before the launcher can do anything waits for that.
   *
   * @param {EloketChatStart} [given]
   * @returns {Promise<EloketChatStarted | undefined>}
   */
  async press(given) {
    const { frame } = this;
    if (!frame) return;
    this.show({ busy: true, failed: false });
    const actions = this.actions ?? (await within(LOADING, this.act()).catch(() => null));
    if (actions) return actions.press(given);
    if (this.frame === frame) this.show({ busy: false, failed: true });
  }

  /** @param {Partial<EloketChat>} change */
  show(change) {
    if (!this.frame) return;
    const { state } = this;
    Object.assign(this, change);
    if (change.button) this.onbutton?.();
    const { launcher: before } = this;
    const launcher = this.draw();
    const looks = launcher.outerHTML;
    if (this.looks !== looks) {
      // one that stays as it is stays there: it may be under a finger
      const focused = before && this.shadowRoot?.activeElement === before;
      this.looks = looks;
      this.launcher = launcher;
      if (before) before.replaceWith(launcher);
      else this.frame.prepend(launcher);
      if (focused) launcher.focus();
    }
    this.more?.changed(change);
    const now = this.state;
    if (!state) now && this.emit("ready");
    else if (now && (now.colour !== state.colour || now.reason !== state.reason)) this.emit("button");
    if (now && now.open !== (state?.open ?? false)) this.emit(now.open ? "opened" : "closed");
  }

  draw() {
    const { words, chat, busy, failed } = this;
    const { h, icon } = dom;
    /** @type {Button} */
    const button = this.button ?? { colour: "blue", contact: [], lost: false };
    const kind = chat.live ? "live" : button.colour;
    const blue = kind === "blue" ? this.more?.blue(button) : null;
    const press = { "aria-haspopup": "dialog", "aria-busy": busy && "true", onclick: () => this.press() };
    const act = kind === "blue" ? blue?.act : press;
    const looks = {
      class: `launcher ${kind}${busy || failed || (kind === "blue" && button.lost) ? " said" : ""}`,
      hook: "chat-button",
      "data-colour": button.colour,
      hidden: chat.open,
    };
    const hint = busy ? words.loading : failed ? words.failedHint : (blue?.hint ?? words[`${kind}Hint`]);
    const inside = [
      icon(kind === "blue" ? INFO : SPEECH),
      h("span", { class: "words" }, h("b", {}, blue?.title ?? words[kind]), h("small", {}, hint)),
      chat.unread > 0 && h("span", { class: "badge" }, `${chat.unread}`, h("span", { class: "sr" }, ` ${words.unread}`)),
    ];
    if (act) return h("button", { ...looks, type: "button", ...act }, ...inside);
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
}

// In a browser that is too old for the panel the element keeps the page's own content.
const able = "HTMLDialogElement" in globalThis && "hasOwn" in Object;
if (able && !customElements.get("eloket-chat")) customElements.define("eloket-chat", EloketChat);
