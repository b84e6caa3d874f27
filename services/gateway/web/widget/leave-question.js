// Leaving a question with a way to be reached: in a chat that waits (queue-info.js), or while the button is blue (blue-panel.js).
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { secondsOf } from "./start-chat.js";

const SHORTEST_NUMBER = 6; // digits
const ADDRESS = /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/;
const NUMBER = /^\+?[\d\s()./-]+$/;
const AGAIN = ["network", "unavailable"];
export const FORM_LOOKS = `
h3 { margin: 0; font: inherit; font-size: 1.125rem; font-weight: 600; }
.wrong { color: var(--wrong); font-size: .9375rem; }
.start [aria-invalid] { border-color: var(--wrong); }
.start .row { align-items: baseline; margin-top: .6rem; }
.start .row > * { margin: 0; }
`;

/**
 * Why nobody can be reached there: "contactEmpty", "contactWrong" or null. The server has the last word.
 *
 * @param {string} text
 */
export function contactProblem(text) {
  const contact = text.trim();
  if (!contact) return "contactEmpty";
  const number = NUMBER.test(contact) && contact.replace(/\D/g, "").length >= SHORTEST_NUMBER;
  return number || ADDRESS.test(contact) ? null : "contactWrong";
}

/**
 * The day of a receipt in words, such as "woensdag 2 december 2026"; null when there is none that can be read.
 *
 * @param {Translator} t
 * @param {unknown} day a date, such as 2026-12-02
 */
export function dayInWords(t, day) {
  const at = typeof day === "string" && /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(day) : NaN;
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };
  return Number.isFinite(at) ? new Intl.DateTimeFormat(t.language, options).format(at) : null;
}

/**
 * Leaves `{contact, text}` for the agents: `{receipt}` when it was kept.
 *
 * @returns {Promise<QuestionOutcome>}
 * @param {string} base
 * @param {ChatRecord} record
 * @param {{contact: string, text: string}} given
 */
export async function leaveQuestion(base, record, given) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${record.token}` };
  try {
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/question`, {
      method: "POST",
      headers,
      body: JSON.stringify(given),
      credentials: "omit",
      signal: AbortSignal.timeout(20_000),
    });
    const told = await answer.json().catch(() => null);
    if (answer.status === 201 && told?.chat_id === record.chat_id) return { receipt: told };
    const code = answer.status >= 400 && typeof told?.code === "string" ? told.code : "unavailable";
    return { code, seconds: secondsOf(answer) };
  } catch {
    return { code: "network" };
  }
}

/**
 * The form, hidden at first. `onLeft` gets the receipt; `onLate`: the server says that nobody waits here any more.
 *
 * Without `send` the question is left in the chat of `record`. `intro`, `before` and `after` are what else it shows: a line, and elements
 * before and after the two fields.
 *
 * @param {QuestionFormOptions} options
 */
export function questionForm({ t, base = "", record, send: deliver, intro = "", before = [], after = [], onCancel, onLeft, onLate }) {
  const notice = h("p", { class: "notice", role: "alert", hidden: true });
  const leaves = h("p", { hidden: true }, t("leaves"));
  const contact = field("input", "contact", {
    name: "contact",
    autocomplete: "email",
    maxlength: 200,
    autocapitalize: "off",
    spellcheck: "false",
  });
  const text = field("textarea", "text", { name: "text", rows: 3, maxlength: 4000 });
  const send = h("button", { class: "primary", hook: "question-send" }, t("leaveSend"));
  const back = h("button", { class: "tool", type: "button", onclick: onCancel }, t("leaveBack"));
  const form = h(
    "form",
    { class: "start", novalidate: true, "aria-labelledby": "leave", hidden: true },
    h("h3", { id: "leave" }, t("leave")),
    h("p", {}, t("leaveIntro"), intro && ` ${intro}`),
    leaves,
    notice,
    ...before,
    ...contact.parts,
    ...text.parts,
    ...after,
    h("div", { class: "row" }, send, back),
  );
  let busy = false;
  let first = "";

  /** @param {"input" | "textarea"} tag @param {string} name @param {Record<string, unknown>} attributes */
  function field(tag, name, attributes) {
    const id = `left-${name}`;
    const input = h(tag, { id, hook: `question-${name}`, required: true, dir: "auto", "aria-describedby": `${id}-wrong`, ...attributes });
    const wrong = h("p", { id: `${id}-wrong`, class: "wrong", hidden: true });
    /** @param {string | null} problem */
    const judge = (problem) => {
      setAttribute(input, "aria-invalid", problem && "true");
      setAttribute(wrong, "hidden", !problem);
      setText(wrong, problem ? t(problem) : "");
      return problem;
    };
    return { input, judge, parts: [h("label", { for: id }, t(name === "text" ? "leaveText" : name)), input, wrong] };
  }

  /** @param {string} words */
  function complain(words) {
    setAttribute(notice, "hidden", !words);
    setText(notice, words);
  }

  function wrong() {
    /** @type {[ReturnType<typeof field>, string | null][]} */
    const fields = [
      [contact, contact.judge(contactProblem(contact.input.value))],
      [text, text.judge(text.input.value.trim() ? null : "textEmpty")],
    ];
    const found = fields.find(([, problem]) => problem);
    found?.[0].input.focus();
    return Boolean(found);
  }

  /** @param {string} code @param {number} [seconds] */
  function refused(code, seconds) {
    if (code === "rate_limited") return t("startBusy", { n: seconds });
    if (code === "not_waiting") return t("late");
    if (code === "identifying_number") return t("leaveNumber");
    if (code === "not_offered" || code === "origin_not_allowed") return t("notOffered");
    return t(AGAIN.includes(code) ? "leaveFailed" : code === "invalid" ? "leaveInvalid" : "gone");
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    complain("");
    if (busy || wrong()) return;
    busy = true;
    setAttribute(send, "aria-disabled", "true");
    const given = { contact: contact.input.value.trim(), text: text.input.value };
    const answer = await (deliver ? deliver(given) : leaveQuestion(base, /** @type {ChatRecord} */ (record), given));
    busy = false;
    setAttribute(send, "aria-disabled", null);
    if (!answer.code) return onLeft(answer.receipt ?? {});
    complain(refused(answer.code, answer.seconds));
    onLate();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || busy) return;
    event.preventDefault();
    event.stopPropagation();
    onCancel();
  });

  return {
    element: form,
    open: () => !form.hidden,
    busy: () => busy,
    holds: () => form.contains(rootOf(form).activeElement),
    changed: () => text.input.value !== first,
    text: () => text.input.value,
    /** @param {boolean} line */
    inLine: (line) => setAttribute(leaves, "hidden", !line),
    /** @param {string} question */
    show: (question) => {
      first = question;
      if (!text.input.value) text.input.value = question;
      setAttribute(form, "hidden", false);
      contact.input.focus();
    },
    hide: () => {
      complain("");
      setAttribute(form, "hidden", true);
    },
  };
}
