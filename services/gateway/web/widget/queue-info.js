// The citizen in the queue: their number, the estimate, and what they may do meanwhile. Loaded when one waits.
import { loadPart } from "./load-part.js";
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { dayInWords, FORM_LOOKS, questionForm } from "./leave-question.js";

const FIRST = 150; // ms: a region that is new and full at once is not read aloud
const CALM = 30_000; // ms between two estimates of one position
const LOOKS = `
.waiting { padding: .75rem 1rem; border-top: 1px solid var(--line); background: var(--soft); }
.place:not(:empty) { margin-bottom: .5rem; }
.waiting .row { align-items: center; gap: .25rem 1rem; }
.waiting .tool { border-color: var(--edge); background: var(--paper); }
.waiting a { display: inline-flex; flex-wrap: wrap; align-items: baseline; column-gap: .35rem; padding-block: .5rem; }
.leaving > :not(.status, .waiting) { display: none !important; }
.leaving > .waiting { flex: 1 1 auto !important; min-height: 0; padding: 0; overflow-y: auto; border-top: 0; background: none; }
.leaving .place:not(:empty) { margin: 0; padding: .75rem 1rem; background: var(--soft); }
.leaving .offer { display: none; }
${FORM_LOOKS}`;

/**
 * How long a wait of so many seconds is, as a key of the texts and its minutes: rounded up, never none.
 *
 * @param {number | null} seconds
 */
export function estimate(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return null;
  const n = Math.max(1, Math.ceil(seconds / 60));
  return { key: n > 60 ? "hour" : n > 1 ? "minutes" : "minute", n };
}

/**
 * Milliseconds until a new place in the queue is told. A number at once; a mere estimate waits until the last was heard.
 *
 * @param {(QueuePlace & {at: number}) | undefined} told
 * @param {QueuePlace} next
 * @param {number} now
 */
export function pause(told, next, now) {
  if (!told) return FIRST;
  const mere = told.position === next.position && told.position !== null && next.wait !== null && told.wait !== null;
  return mere ? Math.max(0, told.at + CALM - now) : 0;
}

/**
 * The queue beside a chat; returns what is told each change of it.
 *
 * @param {WidgetPart} options
 */
export async function waiting({ base, store, record, announce, session, element, bar }) {
  const t = await loadPart(element, "waiting", LOOKS);
  const host = /** @type {ChatElement} */ (rootOf(element).host);
  const ended = /** @type {HTMLElement} */ (element.querySelector(".ended"));
  const words = h("p", { class: "place", hook: "chat-wait", role: "status" });
  const ask = h("button", { class: "tool", hook: "leave-question", type: "button", onclick: () => open() }, t("leave"));
  const info = h(
    "a",
    { href: host.sheet?.() ?? `${base}/infofiche/${host.getAttribute("department") ?? "algemeen"}`, target: "_blank", rel: "noopener" },
    t("infofiche"),
    " ",
    h("small", {}, t("newTab")),
  );
  const offer = h("div", { class: "row offer" }, ask, info);
  const form = questionForm({ t, base, record, onCancel: () => close(ask), onLeft: left, onLate: () => draw() });
  const box = h("div", { class: "waiting", hidden: true }, words, offer, form.element);
  /** @type {Conversation} */
  let chat;
  /** @type {Link} */
  let link;
  /** @type {(QueuePlace & {at: number}) | undefined} */
  let told;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  ended.before(box);

  function draw() {
    const line = chat.position && !chat.closed;
    const offered = !record.left && Boolean(line || chat.closed === "no_agent");
    if (record.left && chat.closed) thank();
    if (form.open() && !offered && !form.busy()) give();
    if (!offered && !form.open()) away();
    else setAttribute(box, "hidden", false);
    if (chat.closed && !form.open()) below();
    form.inLine(Boolean(line));
    place(line && link.state === "open" ? { position: chat.position, wait: chat.wait } : { position: null, wait: null });
  }

  /** @param {QueuePlace} next */
  function place(next) {
    const length = estimate(next.wait);
    const text = next.position ? [t("place", { ...next }), length && t(length.key, length)].filter(Boolean).join(" ") : "";
    clearTimeout(timer);
    if (text === words.textContent) return;
    const tell = () => {
      told = { ...next, at: Date.now() };
      setText(words, text);
    };
    timer = setTimeout(tell, pause(told, next, Date.now()));
  }

  function open() {
    element.classList.add("leaving");
    const asked = [...chat.messages, ...chat.pending].find((one) => one.text && !("from" in one && one.from !== "citizen"));
    form.show(asked?.text ?? "");
  }

  // Whether the focus had to go somewhere else.
  /** @param {{focus(): void}} next */
  function close(next) {
    const held = form.holds();
    element.classList.remove("leaving");
    form.hide();
    if (held) next.focus();
    return held;
  }

  function away() {
    const held = box.contains(rootOf(box).activeElement);
    setAttribute(box, "hidden", true);
    if (held) bar.focus();
  }

  // Under what says that the chat has ended; a node that moves loses the focus.
  function below() {
    const held = /** @type {HTMLElement | null} */ (rootOf(box).activeElement);
    if (ended.nextSibling === box) return;
    ended.after(box);
    if (held && box.contains(held)) held.focus();
  }

  // An agent came: what was typed goes to them. Or the chat ended.
  function give() {
    const input = /** @type {HTMLTextAreaElement} */ (element.querySelector("#input"));
    if (form.changed() && !input.value && !chat.closed) {
      input.value = form.text();
      input.dispatchEvent(new Event("input"));
    }
    close(chat.closed ? /** @type {HTMLElement} */ (element.querySelector(".reason")) : bar);
  }

  /** @param {QuestionReceipt} receipt */
  function left({ number, answer_within: within, answer_by: by }) {
    record.left = { number, within, by };
    const kept = store.read("chat");
    if (kept?.chat_id === record.chat_id) store.write("chat", { ...kept, left: record.left });
    session.hear({ type: "closed", reason: "citizen" });
  }

  function thank() {
    const reason = /** @type {HTMLElement} */ (element.querySelector(".reason"));
    const receipt = receiptOf(record.left);
    if (reason.textContent === receipt) return;
    setText(reason, receipt);
    if (!form.open() || !close(reason)) announce(receipt);
  }

  // A page of version 1.1 kept no more than that a question was left.
  /** @param {ChatRecord["left"]} kept */
  function receiptOf(kept) {
    const { number, within, by } = typeof kept === "object" ? kept : {};
    const day = dayInWords(t, by);
    const until = day ? t("leftBy", { day }) : within && t("leftWithin", { n: within });
    return [t("questionLeft"), number && t("leftNumber", { number }), until].filter(Boolean).join(" ");
  }

  return (/** @type {[chat?: Conversation, link?: Link]} */ ...[next, now]) => {
    if (!next || !now) return clearTimeout(timer);
    [chat, link] = [next, now];
    draw();
  };
}
