// The embed script: defines <eloket-chat department="…" locale="…">. The panel comes with the first press, or for a chat to return to.

const { origin: BASE, host: HOST } = new URL(import.meta.url);
const PREFIX = `eloket-chat ${HOST} `; // of the keys in localStorage
const LOADING = 15_000; // ms for the panel to come
const AGAIN = 15_000; // ms, to twice as long, until a kept chat is tried again
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SPEECH = "M4 5h16v11H9l-5 4z M8 9h8 M8 12h5";
const INFO = "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18 M12 11v6 M12 7.5v.1";

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

class EloketChat extends HTMLElement {
  static observedAttributes = ["department", "locale"];
  /** @type {Button | undefined} */
  button;
  /** @type {{live: boolean, open: boolean, unread: number}} */
  chat = { live: false, open: false, unread: 0 };
  /** @type {HTMLElement | null} */
  frame = null;
  /** @type {HTMLElement | null} */
  launcher = null;
  /** @type {HTMLElement} */
  reach = h("div");
  /** @type {Promise<any> | null} */
  panel = null;
  /** @type {string | null} */
  looks = null;
  /** @type {string | null} */
  news = null;
  /** @type {any} */
  blue = null; // says why the button is blue (blue-reason.js)
  /** @type {Promise<void> | null | undefined} */
  explaining = null;
  onstorage = (/** @type {StorageEvent} */ { key }) => (key === null || key === `${PREFIX}chat`) && this.restore();

  async connectedCallback() {
    const asked = [this.getAttribute("locale"), document.documentElement.lang].map((tag) => tag?.slice(0, 2).toLowerCase());
    const lang = asked.find((tag) => ["nl", "fr", "de", "en"].includes(`${tag}`)) ?? "nl";
    const frame = (this.frame = h("aside", { class: "eloket", lang, "aria-label": "Chat" }));
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [launcherSheet];
    root.replaceChildren(frame);
    this.button = undefined;
    this.chat = { live: false, open: false, unread: 0 };
    this.failed = this.busy = false;
    this.reach = h("div", { id: "reach", class: "reach", hook: "chat-reach", role: "group", tabindex: -1, hidden: true });
    frame.append(this.reach);
    this.words = (await load(`loket-chat/text/launcher/${lang}`)).default;
    if (this.frame !== frame) return;
    setAttribute(this.reach, "aria-label", this.words.reach);
    this.reach.addEventListener("keydown", ({ key }) => key === "Escape" && this.unfold(false));
    this.unfollow = followButton(BASE, this.getAttribute("department"), (button) => this.show({ button }));
    addEventListener("storage", this.onstorage);
    this.restore();
  }

  disconnectedCallback() {
    this.unfollow?.();
    removeEventListener("storage", this.onstorage);
    clearTimeout(this.again);
    this.panel?.then((panel) => panel?.dispose());
    this.blue?.dispose();
    this.panel = this.launcher = this.frame = this.looks = this.news = this.blue = this.explaining = null;
  }

  attributeChangedCallback() {
    if (!this.frame) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  /** A kept chat goes on by itself. What is kept and is none, from whatever once answered instead of us, is thrown away. */
  restore() {
    if (this.panel || !this.frame) return;
    try {
      const name = `${PREFIX}chat`;
      const kept = localStorage.getItem(name);
      if (kept === null) return;
      if (asRecord(parsed(kept))) this.load().then((panel) => panel?.restore());
      else localStorage.removeItem(name);
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

  async press() {
    this.show({ busy: true, failed: false });
    const panel = await this.load();
    this.show({ busy: false, failed: this.failed && !panel });
    if (panel) panel.open();
    else if (this.frame) this.unfold(true);
  }

  /** @param {Partial<EloketChat>} change */
  show(change) {
    if (!this.frame) return;
    Object.assign(this, change);
    if (change.button && !change.button.lost) this.restore();
    if (this.button?.colour === "blue" && !this.button.lost) this.explaining ??= this.explain();
    const looks = JSON.stringify([this.button, this.chat, this.failed, this.busy, this.reach.hidden]);
    if (this.looks === looks && this.launcher) return;
    this.looks = looks;
    const { launcher: before } = this;
    const focused = before && this.shadowRoot?.activeElement === before;
    const launcher = (this.launcher = this.draw());
    if (before) before.replaceWith(launcher);
    else this.frame.prepend(launcher);
    if (focused) launcher.focus();
    this.tell();
    this.blue?.changed();
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
    const looks = { class: `launcher ${kind}`, hook: "chat-button", "data-colour": button.colour, hidden: chat.open };
    const inside = [
      icon(kind === "blue" ? INFO : SPEECH),
      h("span", { class: "words" }, h("b", {}, why?.title ?? words[kind]), h("small", {}, hint)),
      chat.unread > 0 && h("span", { class: "badge" }, `${chat.unread}`, h("span", { class: "sr" }, ` ${words.unread}`)),
    ];
    if (lost) {
      const unfold = () => this.unfold(this.reach.hidden);
      return h(
        "button",
        { ...looks, type: "button", "aria-expanded": String(!this.reach.hidden), "aria-controls": "reach", onclick: unfold },
        ...inside,
      );
    }
    if (why && this.blue.offers(button))
      return h("button", { ...looks, type: "button", "aria-haspopup": "dialog", onclick: () => this.blue.open() }, ...inside);
    if (kind !== "blue")
      return h(
        "button",
        { ...looks, type: "button", "aria-haspopup": "dialog", "aria-busy": busy && "true", onclick: () => this.press() },
        ...inside,
      );
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
    const { words } = this;
    /** @param {Way} way */
    const way = ({ kind, value, href }) =>
      h("li", {}, `${words[kind]}: `, href ? h("a", { href, rel: "noopener", target: kind === "web" && "_blank" }, value) : value);
    const sheet = h(
      "a",
      { href: this.sheet(path), target: "_blank", rel: "noopener" },
      words.blueHint,
      h("span", { class: "sr" }, words.newTab),
    );
    const list = h("ul", { class: "ways" }, ...(this.button?.contact ?? []).map(way), h("li", {}, sheet));
    this.explaining?.then(() => {
      const { blue, button } = this;
      if (!button || !blue?.offers(button)) return;
      list.prepend(h("li", {}, h("button", { type: "button", hook: "blue-offers", onclick: () => blue.open() }, blue.words(button).hint)));
    });
    return list;
  }

  /**
   * Says above the launcher why there is no chat, and what else there is.
   *
   * @param {boolean} open
   */
  unfold(open) {
    const held = this.reach.contains(this.shadowRoot?.activeElement ?? null);
    setAttribute(this.reach, "hidden", !open);
    this.show({});
    if (open) this.reach.focus();
    else if (held) this.launcher?.focus();
  }

  tell() {
    const { reach, words, failed, button } = this;
    const why = failed ? words.failed : button?.lost ? words.lost : words.back;
    const news = JSON.stringify([why, button?.contact]);
    if (this.chat.open) setAttribute(reach, "hidden", true);
    if (reach.hidden || this.news === news) return;
    this.news = news;
    const close = h("button", { type: "button", onclick: () => this.unfold(false) }, words.close);
    const held = reach.contains(this.shadowRoot?.activeElement ?? null);
    reach.replaceChildren(h("p", { role: "status" }, why), this.ways(), close);
    if (held) reach.focus();
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

customElements.get("eloket-chat") ?? customElements.define("eloket-chat", EloketChat);
