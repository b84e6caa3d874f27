// What pages of version 1.1 import from /static/loket-chat/start.js.
import { h, setAttribute, setText } from "../shared/dom.js";
import { REFUSALS } from "./start-chat.js";

export { browserOf, secondsOf, startChat } from "./start-chat.js";

export function startForm({ t, onStart, ways }) {
  const name = h("input", { id: "name", name: "name", maxlength: 100, autocomplete: "name", dir: "auto" });
  const question = h("textarea", { id: "question", name: "question", rows: 4, maxlength: 4000, dir: "auto" });
  const submit = h("button", { class: "primary", hook: "start-submit" }, t("start"));
  const notice = h("div", { class: "notice", role: "alert", hidden: true });
  const form = h(
    "form",
    { class: "start", novalidate: true },
    h("p", {}, t("intro")),
    notice,
    h("label", { for: "name" }, t("name")),
    name,
    h("label", { for: "question" }, t("question")),
    question,
    submit,
  );

  /** @param {string} text @param {Node | string | null} [more] */
  const tell = (text, more) => {
    setAttribute(notice, "hidden", !text);
    notice.replaceChildren(h("p", {}, text), ...(more ? [more] : []));
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    setAttribute(submit, "aria-disabled", "true");
    setText(submit, t("starting"));
    tell("");
    const given = { name: name.value.trim() || undefined, question: question.value.trim() ? question.value : undefined };
    const { code, seconds, infofiche } = await onStart(given).catch(() => /** @type {StartAnswer} */ ({ code: "unavailable" }));
    setAttribute(submit, "aria-disabled", null);
    setText(submit, t("start"));
    if (!code) return;
    const own = ["rate_limited", "invalid", "too_large"].includes(code); // the citizen can do something about it here
    tell(t(REFUSALS[code] ?? "startRefused", { n: seconds ?? 5 }), own ? null : ways(infofiche));
  });
  return { form, tell };
}
