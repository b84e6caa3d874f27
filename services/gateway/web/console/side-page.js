/** What the bar opens in the place of the open chat: left questions, assignments. Chats go on meanwhile. */
import { h, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { clock } from "./format.js";

/**
 * `{element, body, focus(), tell(words), asOf(at)}` with `body` to be filled; `acts`: `back()`, or null where there is nothing behind it; `refresh()`.
 * `tell` says in words why there is nothing (new) to see, `asOf` from when it is.
 *
 * @param {Translator} t
 * @param {{title: string, lead: string, extra?: Node[], acts: {back: (() => void) | null, refresh(): void}}} options
 */
export function overview(t, { title, lead, extra = [], acts }) {
  const heading = h("h2", { id: "overview-title", tabindex: "-1" }, title);
  const state = h("p", { class: "as-of" });
  const words = h("p", { class: "alert", role: "alert" });
  const body = h("div", { class: "overview-body" });
  const element = h(
    "div",
    { class: "overview" },
    h(
      "div",
      { class: "overview-head" },
      acts.back && button(t("overview.back"), { symbol: "back", hook: "overview-back", onclick: acts.back }),
      heading,
      button(t("overview.refresh"), { hook: "overview-refresh", onclick: acts.refresh }),
    ),
    h("div", { class: "overview-lead" }, h("p", {}, lead), ...extra, state),
    words,
    body,
  );

  return {
    element,
    body,
    focus: () => heading.focus(),
    tell: (/** @type {string} */ said) => setText(words, said),
    asOf: (/** @type {Date | null} */ at) =>
      setText(state, at ? t("overview.as_of", { time: clock(at, t.language, new Date()) }) : t("overview.loading")),
  };
}
