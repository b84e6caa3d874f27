// Beside a conversation that nobody has put a name to: a card that asks for one, and may stay empty.
import { loadPart } from "./load-part.js";
import { h, rootOf } from "../shared/dom.js";

const LOOKS = `
.who-card { display: flex; flex-wrap: wrap; align-items: end; gap: .25rem .5rem; padding: .5rem .75rem; border-top: 1px solid var(--line); background: var(--soft); font-size: .9375rem; }
.who-card label { flex: 1 1 100%; }
.who-card input { flex: 1 1 8rem; min-width: 0; padding: .45rem .6rem; border: 1px solid var(--edge); border-radius: .4rem; background: var(--paper); font-size: max(1rem, 16px); }
.short .who-card { display: none; }
.who-card .tool { border-color: var(--edge); background: var(--paper); }
`;

/**
 * The card; returns what is told each change of the chat. A name that a server does not know yet is told again after each welcome.
 *
 * @param {WidgetPart} options
 */
export async function name({ store, record, announce, session, element, bar }) {
  const t = await loadPart(element, "name", LOOKS);
  const input = h("input", { id: "own-name", hook: "own-name", maxlength: 100, autocomplete: "name", dir: "auto" });
  const save = h("button", { class: "tool", hook: "own-name-send" }, t("tellName"));
  const skip = h("button", { class: "text", type: "button", hook: "own-name-skip", onclick: () => done() }, t("skipName"));
  const card = h(
    "form",
    { class: "who-card", hook: "name-card", novalidate: true },
    h("label", { for: "own-name" }, t("askName")),
    input,
    save,
    skip,
  );
  /** @type {string[] | null} */
  let told = null; // the `frames` of the welcome since when the name was told
  /** @type {Conversation} */
  let chat;

  card.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = input.value.trim();
    done(given || undefined);
    if (given) announce(t("nameTold"));
    tell();
  });

  /** @param {string} [given] */
  function done(given) {
    Object.assign(record, { name: given, named: true });
    const kept = store.read("chat");
    if (kept?.chat_id === record.chat_id) store.write("chat", { ...kept, name: given, named: true });
    const held = card.contains(rootOf(card).activeElement);
    card.remove();
    if (held) bar.focus();
  }

  function tell() {
    if (!record.name || !chat.welcomed || chat.name === record.name || told === chat.frames || !chat.frames.includes("details")) return;
    if (session.send({ type: "details", name: record.name })) told = chat.frames;
  }

  return (/** @type {[chat?: Conversation]} */ ...[next]) => {
    if (!next) return;
    chat = next;
    const asked = !record.named && !chat.name && !chat.closed;
    if (asked && !card.isConnected) element.querySelector(".ended")?.before(card);
    else if (!asked && card.isConnected) {
      const held = card.contains(rootOf(card).activeElement);
      card.remove();
      if (held) bar.focus();
    }
    tell();
  };
}
