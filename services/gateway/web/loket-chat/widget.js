// The embed script: defines <eloket-chat department="…" locale="…">. The panel comes with the first press, or for a chat to return to.
import { followButton } from "./static/loket-chat/button.js";
import { h, icon } from "./static/loket-chat/dom.js";
import { launcherSheet } from "./static/loket-chat/launcher-style.js";

const { origin: BASE, host: HOST } = new URL(import.meta.url);
const PREFIX = `eloket-chat ${HOST} `; // of the keys in localStorage
const SPEECH = "M4 5h16v11H9l-5 4z M8 9h8 M8 12h5";
const INFO = "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18 M12 11v6 M12 7.5v.1";

class EloketChat extends HTMLElement {
  static observedAttributes = ["department", "locale"];

  async connectedCallback() {
    const asked = [this.getAttribute("locale"), document.documentElement.lang].map((tag) => tag?.slice(0, 2).toLowerCase());
    const lang = asked.find((tag) => ["nl", "fr", "de", "en"].includes(tag)) ?? "nl";
    const frame = (this.frame = h("aside", { class: "eloket", lang, "aria-label": "Chat" }));
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [launcherSheet];
    root.replaceChildren(frame);
    this.chat = { live: false, open: false, unread: 0 };
    this.words = (await import(`./static/loket-chat/text/launcher/${lang}.js`)).default;
    if (this.frame !== frame) return;
    this.unfollow = followButton(BASE, this.getAttribute("department"), (button) => this.show({ button }));
    this.onstorage = ({ key }) => (key === null || key === `${PREFIX}chat`) && this.restore();
    addEventListener("storage", this.onstorage);
    this.restore();
  }

  disconnectedCallback() {
    this.unfollow?.();
    removeEventListener("storage", this.onstorage);
    this.panel?.then((panel) => panel?.dispose());
    this.panel = this.launcher = this.frame = null;
  }

  attributeChangedCallback() {
    if (!this.frame) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  /** A kept chat goes on by itself. */
  restore() {
    try {
      if (!this.panel && localStorage.getItem(`${PREFIX}chat`)) this.load().then((panel) => panel?.restore());
    } catch {
      // nothing is kept here
    }
  }

  /** The panel, made once; undefined when that failed or the element has gone. */
  load() {
    const { frame } = this;
    return (this.panel ??= import("./static/loket-chat/panel.js")
      .then(({ createPanel }) => createPanel(this, BASE, PREFIX))
      .then((panel) => (this.frame === frame ? panel : panel.dispose()))
      .catch(() => {
        this.panel = null;
        this.show({ failed: true });
      }));
  }

  show({ button = this.button, chat = this.chat, failed }) {
    if (!this.frame) return;
    Object.assign(this, { button, chat });
    const looks = JSON.stringify([button, chat, failed]);
    if (this.looks === looks && this.launcher) return;
    this.looks = looks;
    const { launcher: before } = this;
    const focused = before && this.shadowRoot.activeElement === before;
    this.launcher = this.draw(failed);
    if (before) before.replaceWith(this.launcher);
    else this.frame.prepend(this.launcher);
    if (focused) this.launcher.focus();
  }

  draw(failed) {
    const { words, button = { colour: "blue" }, chat } = this;
    const kind = chat.live ? "live" : button.colour;
    const looks = { class: `launcher ${kind}`, hook: "chat-button", "data-colour": button.colour, hidden: chat.open };
    const inside = [
      icon(kind === "blue" ? INFO : SPEECH),
      h("span", { class: "words" }, h("b", {}, words[kind]), h("small", {}, failed ? words.failed : words[`${kind}Hint`])),
      chat.unread > 0 && h("span", { class: "badge" }, `${chat.unread}`, h("span", { class: "sr" }, ` ${words.unread}`)),
    ];
    if (kind !== "blue") {
      const press = () => this.load().then((panel) => panel?.open());
      return h("button", { ...looks, type: "button", "aria-haspopup": "dialog", onclick: press }, ...inside);
    }
    const href = new URL(button.infofiche_url ?? `/infofiche/${this.getAttribute("department") ?? "algemeen"}`, BASE).href;
    return h("a", { ...looks, href, target: "_blank", rel: "noopener" }, ...inside, h("span", { class: "sr" }, words.newTab));
  }
}

customElements.get("eloket-chat") ?? customElements.define("eloket-chat", EloketChat);
