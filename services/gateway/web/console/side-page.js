/** What the bar opens in the place of the open chat: left questions, assignments. Chats go on meanwhile. */
import { button, el, text } from "./dom.js";
import { clock } from "./format.js";

/**
 * `{element, body, focus(), tell(words), asOf(at)}` with `body` to be filled; `acts`: `back()`, `refresh()`.
 * `tell` says in words why there is nothing (new) to see, `asOf` from when it is.
 */
export function overview(t, { title, lead, extra = [], acts }) {
  const heading = el("h2", { id: "overview-title", tabindex: "-1" }, title);
  const state = el("p", { class: "as-of" });
  const words = el("p", { class: "alert", role: "alert" });
  const body = el("div", { class: "overview-body" });
  const element = el(
    "div",
    { class: "overview" },
    el(
      "div",
      { class: "overview-head" },
      button(t("overview.back"), { symbol: "back", "data-testid": "overview-back", on: { click: acts.back } }),
      heading,
      button(t("overview.refresh"), { "data-testid": "overview-refresh", on: { click: acts.refresh } }),
    ),
    el("div", { class: "overview-lead" }, el("p", {}, lead), ...extra, state),
    words,
    body,
  );

  return {
    element,
    body,
    focus: () => heading.focus(),
    tell: (said) => text(words, said),
    asOf: (at) => text(state, at ? t("overview.as_of", { time: clock(at, t.language, new Date()) }) : t("overview.loading")),
  };
}
