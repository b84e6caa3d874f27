// What the citizen may set for a chat, behind a button in the head of the panel. Loaded with an open chat.
import { languageOf, loadPart } from "./load-part.js";
import { notifier } from "./notifications.js";
import { chime, notifyState } from "../shared/attention.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";
import { giveUp, isShared, setShared, shareWithTabs } from "./shared-computer.js";

const SLIDERS = "M4 7h9 M17 7h3 M15 4.5v5 M4 17h3 M11 17h9 M9 14.5v5";
const LOOKS = `
.head h2 { flex: 1; }
.chat > .settings { flex: 0 1 auto; min-height: 6rem; overflow-y: auto; border-top: 0; border-bottom: 1px solid var(--line); }
.setting > :is(.privacy, .who-card) { display: none; }
.settings label { display: flex; gap: .6rem; align-items: center; min-height: 2.75rem; cursor: pointer; }
.settings input { flex: none; width: 1.25rem; height: 1.25rem; margin: 0; accent-color: var(--press); }
.settings p:not(:empty) { font-size: .875rem; }
.settings a { display: inline-block; min-height: 2.75rem; padding-block: .6rem; }
`;

/**
 * The button and the switches behind it; returns what is told each change of the chat.
 *
 * @param {WidgetPart} view
 */
export async function settings(view) {
  const { store, session, element } = view;
  const { prefix } = store;
  const dialog = /** @type {HTMLDialogElement} */ (element.closest("dialog"));
  const host = /** @type {ChatElement} */ (rootOf(element).host);
  const t = await loadPart(element, "settings", LOOKS);
  let over = false; // a chat on a shared computer has ended: nothing of it stays for whoever comes next
  const gone = new AbortController();
  const { signal } = gone;
  const sound = chime({ on: store.read("sound") === true, keep: (on) => store.write("sound", on || null), signal });
  const notifies = () => store.read("notify") === true && notifyState() === "granted";
  const words = h("p", { hook: "settings-words", role: "status" });
  /** @param {string} key @param {string} hook @param {(on: boolean) => void} onSet */
  const choice = (key, hook, onSet) => {
    const box = h("input", { type: "checkbox", role: "switch", hook, onchange: () => (setText(words, ""), onSet(box.checked)) });
    return { box, label: h("label", {}, box, h("span", {}, t(key))) };
  };
  const rings = choice("sound", "set-sound", (on) => void sound.set(on).then(() => sound.play("message")));
  const notes = choice("notify", "set-notify", setNotify);
  const computer = choice("sharedComputer", "set-shared", (on) => {
    setShared(store, on);
    share?.();
    refresh();
  });
  const open = h(
    "button",
    {
      class: "fold",
      hook: "chat-settings",
      type: "button",
      title: t("settings"),
      "aria-label": t("settings"),
      "aria-expanded": "false",
      "aria-controls": "settings",
      onclick: () => show(box.hidden),
    },
    icon(SLIDERS),
  );
  const box = h(
    "div",
    { class: "choice settings", id: "settings", role: "group", "aria-label": t("settings"), hidden: true },
    "AudioContext" in window && rings.label,
    notifyState() !== "missing" && notes.label,
    prefix && isShared(prefix) !== null && computer.label,
    words,
    h(
      "a",
      { hook: "accessibility", href: `${view.base}/toegankelijkheid?lang=${languageOf(element)}`, target: "_blank", rel: "noopener" },
      t("accessibility"),
      h("span", { class: "sr" }, ` ${t("newTab")}`),
    ),
  );
  const tell = notifier({ ...view, t, host, dialog, wants: () => ({ sound, notify: notifies() }) });
  dialog.querySelector(".fold")?.before(open);
  element.querySelector(".status")?.after(box);
  box.addEventListener("keydown", escape);
  open.addEventListener("keydown", escape);
  const share = prefix ? shareWithTabs(store, view.record, signal, refresh) : null;
  addEventListener("storage", refresh, { signal }); // another tab set it
  addEventListener("pagehide", giveBack);
  refresh();

  // The conversation has been put away, or the page is left: its token opens nothing from then on.
  function giveBack() {
    if (over && view.record.token) giveUp(view.base, view.record);
    over = false;
  }

  function refresh() {
    sound.on = store.read("sound") === true;
    rings.box.checked = sound.on;
    notes.box.checked = notifies();
    computer.box.checked = Boolean(prefix && isShared(prefix));
    setText(words, computer.box.checked ? t("sharedComputerHint") : "");
  }

  /** @param {boolean} on */
  function show(on) {
    if (on) refresh();
    const held = box.contains(rootOf(box).activeElement);
    setAttribute(box, "hidden", !on);
    element.classList.toggle("setting", on); // room for it
    setAttribute(open, "aria-expanded", String(on));
    if (on) box.querySelector("input")?.focus();
    else if (held) open.focus();
  }

  /** @param {KeyboardEvent} event */
  function escape(event) {
    if (event.key !== "Escape" || box.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    show(false);
  }

  // Asked for on this press only.
  /** @param {boolean} on */
  async function setNotify(on) {
    if (on && notifyState() === "default") await Notification.requestPermission().catch(() => {});
    const granted = notifyState() === "granted";
    store.write("notify", (on && granted) || null);
    notes.box.checked = on && granted;
    if (on && !granted) setText(words, t("notifyDenied"));
  }

  return (/** @type {Conversation | undefined} */ chat) => {
    tell(chat);
    if (chat?.closed && computer.box.checked && !session.untold()) {
      store.clear();
      over = true;
    }
    if (chat && !chat.closed) return;
    const held = rootOf(open).activeElement === open;
    show(false);
    open.remove();
    if (held) /** @type {HTMLElement | null} */ (element.querySelector(".reason"))?.focus();
    box.remove();
    if (chat) return;
    giveBack();
    removeEventListener("pagehide", giveBack);
    gone.abort();
  };
}
