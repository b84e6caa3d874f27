// The form of a department that asks for name and question first. An agent is reserved while it is open.
import { loadPart } from "./load-part.js";
import { reservation } from "./reservation.js";
import { browserOf, REFUSALS } from "./start-chat.js";
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { wear } from "../shared/style-sheets.js";
import { toolsSheet } from "./tools-style.js";

const NUMBER = "identifying_number"; // the code of a refusal

const LOOKS = `
.held { padding: .6rem .8rem; border-inline-start: 4px solid var(--edge); border-radius: .25rem; background: var(--soft); }
.held[data-state=held] { border-color: var(--good); }
.held[data-state=blue], .held[data-state=lapsed] { border-color: var(--wrong); }
`;

/**
 * The form in `body`; `onStart({name, question}, reservation)` resolves to what `startChat` says, `ways(path)` are how else to reach the department.
 *
 * @param {StartFormOptions} options
 */
export async function startForm({ body, base, store, host, onStart, ways }) {
  wear(/** @type {ShadowRoot} */ (rootOf(body)), toolsSheet);
  const t = await loadPart(body, "form", LOOKS);
  const name = h("input", { id: "name", name: "name", maxlength: 100, autocomplete: "name", dir: "auto" });
  const question = h("textarea", { id: "question", name: "question", rows: 4, maxlength: 4000, dir: "auto" });
  const submit = h("button", { class: "primary", hook: "start-submit" }, t("start"));
  const notice = h("div", { class: "notice", role: "alert", hidden: true });
  const words = h("p", { role: "status" });
  const held = h("div", { class: "held", hook: "start-held", hidden: true }, words);
  const form = h(
    "form",
    { class: "start", novalidate: true },
    h("p", {}, t("intro")),
    held,
    notice,
    h("label", { for: "name" }, t("name")),
    name,
    h("label", { for: "question" }, t("question")),
    question,
    submit,
  );
  const slot = reservation({
    base,
    details: () => ({
      department: host.getAttribute("department") ?? undefined,
      locale: host.frame.lang,
      browser: browserOf(store),
    }),
    onChange: show,
  });

  /** @param {string} state */
  function show(state) {
    const key = `${state}Slot`;
    const known = t.has(key);
    held.dataset.state = state;
    setAttribute(held, "hidden", !known);
    held.replaceChildren(words, ...(state === "blue" ? [ways()] : []));
    setText(words, known ? t(key) : "");
  }

  /** @param {string} text @param {Node | string | null} [more] */
  const tell = (text, more) => {
    setAttribute(notice, "hidden", !text);
    notice.replaceChildren(h("p", {}, text), ...(more ? [more] : []));
  };
  form.addEventListener("input", () => slot.typing());
  /** @param {EloketChatStart} given @returns {Promise<StartAnswer>} */
  async function send(given) {
    if (submit.getAttribute("aria-disabled")) return { code: "starting" };
    setAttribute(submit, "aria-disabled", "true");
    setText(submit, t("starting"));
    tell("");
    const answer = await onStart(given, slot.token() ?? undefined).catch(() => /** @type {StartAnswer} */ ({ code: "unavailable" }));
    setAttribute(submit, "aria-disabled", null);
    setText(submit, t("start"));
    const { code, seconds, infofiche } = answer;
    if (!code) {
      slot.close(true);
      return answer;
    }
    const own = ["rate_limited", "invalid", "too_large", NUMBER].includes(code); // the citizen can do something about it here
    setAttribute(held, "hidden", true);
    tell(t(code === NUMBER ? "startNumber" : (REFUSALS[code] ?? "startRefused"), { n: seconds ?? 5 }), own ? null : ways(infofiche));
    return answer;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ name: name.value.trim() || undefined, question: question.value.trim() ? question.value : undefined });
  });
  const leave = () => slot.close();
  /** @param {PageTransitionEvent} event */
  const back = ({ persisted }) => persisted && form.closest("dialog")?.open && slot.open();
  addEventListener("pagehide", leave);
  addEventListener("pageshow", back);
  body.replaceChildren(form);
  return {
    form,
    tell,
    /** @param {EloketChatStart} given */
    send: (given) => {
      name.value = given.name ?? "";
      question.value = given.question ?? "";
      return send(given);
    },
    focus: () => name.focus(),
    opened: () => slot.open(),
    closed: leave,
    /** @param {Button | undefined} button */
    button: (button) => slot.button(button?.lost ? undefined : button?.colour),
    stop: () => {
      removeEventListener("pagehide", leave);
      removeEventListener("pageshow", back);
      leave();
    },
  };
}
