// The warning that a silent chat will be closed, and the one press that keeps it. Loaded with the first warning.
import { loadPart } from "./load-part.js";
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { clock } from "../shared/format.js";

const LOOKS = `
.inactive { color: var(--ink); border-inline-start: 4px solid var(--press); }
.inactive p { margin: 0 0 .5rem; }
.eloket > .inactive { position: fixed; z-index: 2147483000; inset: auto var(--right, 1rem) calc(var(--y, 1rem) + 4.5rem) var(--left, auto);
  width: min(24rem, calc(100vw - 2rem)); padding: .75rem 1rem; border: 1px solid var(--edge); border-inline-start: 4px solid var(--press);
  border-radius: .5rem; background: var(--paper); box-shadow: 0 2px 6px #0002, 0 12px 40px #0005; }
`;

/**
 * The words of a warning, as a key of the texts and their values: whole minutes, rounded up, and the time of the end.
 *
 * @param {InactiveFrame} frame
 * @param {(at: Date) => string} timeOf
 */
export function warning({ closes_at, seconds }, timeOf) {
  const n = Math.max(1, Math.ceil((seconds ?? 0) / 60));
  return { key: n > 1 ? "closesMinutes" : "closesMinute", n, time: timeOf(new Date(closes_at ?? NaN)) };
}

/**
 * The warning beside a chat, or beside the button while the panel is folded; returns what is told each change.
 *
 * @param {WidgetPart} options
 */
export async function inactive({ session, element, announce, bar }) {
  const t = await loadPart(element, "inactive", LOOKS);
  const dialog = /** @type {HTMLDialogElement} */ (element.closest("dialog"));
  const host = /** @type {ChatElement} */ (rootOf(element).host);
  const { lang } = host.frame;
  const words = h("p", { role: "alert" });
  const stay = h(
    "button",
    { class: "primary", hook: "still-here", type: "button", onclick: () => (stayed = session.send({ type: "extend" })) },
    t("stay"),
  );
  const box = h(
    "div",
    { class: "choice inactive", role: "group", "aria-label": t("asked"), hook: "chat-inactive", hidden: true },
    words,
    stay,
  );
  let stayed = false;

  // A closed dialog shows and says nothing.
  const place = () => {
    if (dialog.open) element.querySelector(".ended")?.after(box);
    else dialog.before(box);
  };
  const folding = new MutationObserver(place);
  folding.observe(dialog, { attributeFilter: ["open"] });
  place();

  /** @param {InactiveFrame} frame */
  function warn(frame) {
    const { key, ...values } = warning(frame, (at) => clock(at, lang, new Date()));
    setAttribute(box, "hidden", false);
    setText(words, t(key, values));
  }

  function over() {
    if (box.hidden) return;
    const held = box.contains(rootOf(box).activeElement);
    setAttribute(box, "hidden", true);
    setText(words, "");
    if (held) dialog.open ? bar.focus() : host.launcher?.focus();
    if (stayed) announce(t("stayed"));
    stayed = false;
  }

  return (/** @type {Conversation} */ chat) => {
    if (chat?.inactive) return warn(chat.inactive);
    over();
    if (chat) return;
    folding.disconnect();
    box.remove();
  };
}
