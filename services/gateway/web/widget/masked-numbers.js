// Numbers that the server has masked, and a message that it refuses because of one.
import { h, setAttribute, setText } from "../shared/dom.js";
import { maskedParts } from "../shared/masked-numbers.js";
import { loadPart } from "./load-part.js";

const LOOKS = `
.masked { white-space: nowrap; }
.hidden-number { display: block; color: var(--muted); font-size: .8125rem; }
`;

/**
 * Names the masked numbers of the conversation, and puts a refused text back into the bar; returns what is called with each change.
 *
 * @param {WidgetPart} options
 */
export async function masked({ session, element, bar }) {
  const t = await loadPart(element, "masked", LOOKS);
  const named = new WeakSet();
  const returned = new Set(); // ids: the same state comes more than once
  const box = h("p", { class: "notice", role: "alert", hook: "chat-number-refused", hidden: true });
  element.querySelector(".bar")?.before(box);
  element.addEventListener("input", () => show(""));

  /** @param {string} words */
  function show(words) {
    setAttribute(box, "hidden", !words);
    setText(box, words);
  }

  function nameNumbers() {
    for (const words of element.querySelectorAll(".log .bubble")) {
      if (named.has(words) || !words.textContent?.includes("•")) continue;
      named.add(words);
      const walker = document.createTreeWalker(words, NodeFilter.SHOW_TEXT);
      const texts = /** @type {Text[]} */ ([]);
      while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
      for (const text of texts) text.replaceWith(...maskedParts(text.data, (kind, last) => t(kind, { last })));
      if (words.querySelector(".masked")) words.after(h("small", { class: "hidden-number" }, t("hidden")));
    }
  }

  return (/** @type {Conversation | undefined} */ chat) => {
    if (!chat) return box.remove();
    const refused = chat.pending.filter(({ id, code }) => code === "identifying_number" && !returned.has(id));
    for (const { id } of refused) session.discard((returned.add(id), id));
    if (refused.length) {
      bar.give(refused.flatMap(({ text }) => text ?? []));
      show(t("refused"));
    }
    nameNumbers();
  };
}
