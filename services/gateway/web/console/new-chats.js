/** Chats that wait to be accepted, in sight wherever the agent works: above the page, and in a dialog that lies over it. */
import { nameOf } from "./chat-list.js";
import { h, setText } from "../shared/dom.js";
import { button, keyed } from "./dom.js";
import { isNew, isOffer, secondsLeft } from "./chat-state.js";

/**
 * RULES: the chats to be told of: all that are new, but the one that is on the screen and says so itself.
 *
 * @param {{chats: DeskChat[]}} desk
 * @param {string | null} shown
 */
export const waiting = (desk, shown) => desk.chats.filter((one) => isNew(one) && !one.refusing && one.id !== shown);

/**
 * RULES: how many times the usual volume the next signal has for chats that are not accepted yet, after so many signals.
 *
 * @param {number} rings
 */
export const loudness = (rings) => Math.min(4, 2 ** rings);

/**
 * How long there still is to accept this chat, in words; empty when the server did not say. `now` in ms of the page's own clock.
 *
 * @param {Translator} t
 * @param {DeskChat} one
 * @param {number} now
 */
export function timeLeft(t, one, now) {
  const left = secondsLeft(one, now);
  if (left === null) return "";
  return left > 0 ? t("news.left", { n: left }) : t("news.over");
}

/**
 * Draws `chats` into `place`; without `acts` (`open(id)`, `accept(id)`) they are told only. The time left is no news for a screen reader.
 *
 * @param {Element} place
 * @param {Translator} t
 * @param {{chats: DeskChat[], acts?: {open(id: string): void, accept(id: string): void} | null, overview?: boolean, now: number}} options
 */
export function drawNews(place, t, { chats, acts = null, overview = false, now }) {
  const items = chats.map((one) => ({ key: one.id, one, looks: JSON.stringify([t.language, nameOf(one, t), isOffer(one), overview]) }));
  keyed(place, items, ({ one, looks }, old) => {
    const row = old?.dataset.looks === looks ? old : fresh(t, one, { acts, overview });
    row.dataset.looks = looks;
    setText(row.querySelector(".left"), timeLeft(t, one, now));
    return row;
  });
}

/** @param {Translator} t @param {DeskChat} one @param {{acts: Pick<Acts, "open" | "accept"> | null, overview: boolean}} options */
function fresh(t, one, { acts, overview }) {
  const offered = isOffer(one);
  const name = nameOf(one, t);
  const open = () =>
    button(t("overview.open"), {
      hook: overview ? "overview-open" : "news-open",
      "aria-label": t("news.open_of", { name }),
      onclick: () => acts?.open(one.id),
    });
  const accept = () =>
    button(t("item.accept"), {
      class: "main",
      hook: "news-accept",
      "aria-label": t("item.accept_of", { name }),
      onclick: () => acts?.accept(one.id),
    });
  return h(
    "div",
    { class: "banner fresh", hook: "news" },
    h(
      "p",
      { class: "words" },
      t(offered ? "chat.new_offer" : "chat.new_chat", { name }),
      " ",
      h("strong", { class: "left", role: "timer" }),
    ),
    acts && h("div", { class: "row" }, (offered || overview) && open(), !offered && accept()),
  );
}
