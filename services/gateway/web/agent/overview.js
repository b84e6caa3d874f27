/** What the bar opens in the place of the open chat: left questions, assignments. Chats go on meanwhile, and new ones are told here too. */
import { nameOf } from "./chat-list.js";
import { button, el, text } from "./dom.js";
import { isNew, isOffer } from "./entry.js";
import { clock } from "./times.js";

/**
 * `{element, body, focus(), draw(desk), tell(words), asOf(at)}` with `body` to be filled; `acts`: `back()`, `open(id)`, `refresh()`.
 * `tell` says in words why there is nothing (new) to see, `asOf` from when it is.
 */
export function overview(t, { title, lead, extra = [], acts }) {
  const heading = el("h2", { id: "overview-title", tabindex: "-1" }, title);
  const fresh = el("div", { class: "bars" });
  const state = el("p", { class: "as-of" });
  const words = el("p", { class: "alert", role: "alert" });
  const body = el("div", { class: "overview-body" });
  const element = el("div", { class: "overview" },
    el("div", { class: "overview-head" }, button(t("overview.back"), { symbol: "back", "data-testid": "overview-back", on: { click: acts.back } }), heading,
      button(t("overview.refresh"), { "data-testid": "overview-refresh", on: { click: acts.refresh } })),
    fresh, el("div", { class: "overview-lead" }, el("p", {}, lead), ...extra, state), words, body);

  function draw(desk) {
    const news = desk.chats.filter(isNew);
    const looks = JSON.stringify(news.map((one) => [one.id, nameOf(one, t), isOffer(one)]));
    if (fresh.dataset.looks === looks) return;
    fresh.dataset.looks = looks;
    fresh.replaceChildren(...news.map((one) => el("div", { class: "banner fresh" },
      el("div", { class: "words" }, t(isOffer(one) ? "chat.new_offer" : "chat.new_chat", { name: nameOf(one, t) })),
      button(t("overview.open"), { class: "main", "data-testid": "overview-open", on: { click: () => acts.open(one.id) } }))));
  }

  return {
    element, body, draw,
    focus: () => heading.focus(),
    tell: (said) => text(words, said),
    asOf: (at) => text(state, at ? t("overview.as_of", { time: clock(at, t.language, new Date()) }) : t("overview.loading")),
  };
}
