/** Canned answers: how one is found and filled in, and the agent's list of them, kept up to date. */
import * as api from "./api.js";
import { LANGUAGES } from "./i18n.js";

const EVERY = 60_000; // ms between two looks that nobody asked for
export const VARIABLES = ["agent", "citizen", "department", "chat"];
const VARIABLE = /([^\S\n]*)\{\{\s*(\w+)\s*\}\}/g;
const ANY_VARIABLE = /\{\{(.*?)\}\}/gs;
const CODE = /^[a-z0-9][a-z0-9-]{0,29}$/;
const PROBLEMS = ["changed", "code_taken", "too_many_answers", "forbidden", "invalid"];
const LONGEST = { title: 100, text: 4000 };

/** @param {string} text */
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** @type {WeakMap<CannedAnswer, {code: string, title: string, all: string}>} */
const known = new WeakMap();

/** @param {CannedAnswer} answer */
function searched(answer) {
  let words = known.get(answer);
  if (!words) {
    const title = plain(answer.title);
    words = { code: answer.code, title, all: [answer.code, title, ...Object.values(answer.texts).map(plain)].join("\n") };
    known.set(answer, words);
  }
  return words;
}

/**
 * RULES: what is asked for by the text before the cursor: what stands after a `/` with which the text begins, or null.
 *
 * @param {string} text
 * @param {number} cursor
 */
export function queryOf(text, cursor) {
  const before = text.slice(0, cursor);
  return before.startsWith("/") && !before.includes("\n") ? before.slice(1) : null;
}

/**
 * RULES: the answers that have every word of the query in code, title or texts; those whose code or title begins with it come first.
 *
 * @param {CannedAnswer[]} answers
 * @param {string} query
 */
export function search(answers, query) {
  const whole = plain(query).trim();
  const words = whole.split(/\s+/).filter(Boolean);
  /** @param {CannedAnswer} answer */
  const rank = (answer) => {
    const { code, title, all } = searched(answer);
    if (!words.every((word) => all.includes(word))) return Infinity;
    if (code === whole) return 0;
    if (code.startsWith(whole)) return 1;
    if (words.every((word) => ` ${title}`.includes(` ${word}`))) return 2;
    return words.every((word) => `${code} ${title}`.includes(word)) ? 3 : 4;
  };
  return answers
    .map((answer) => ({ answer, rank: rank(answer) }))
    .filter((found) => found.rank < Infinity)
    .sort((a, b) => a.rank - b.rank || a.answer.code.localeCompare(b.answer.code))
    .map((found) => found.answer);
}

/**
 * RULES: those for a chat of this department. A chat that came from a department that is not the agent's has all of the agent's.
 *
 * @param {CannedAnswer[]} answers
 * @param {string} department
 * @param {string[]} own
 */
export const answersFor = (answers, department, own) =>
  own.includes(department) ? answers.filter((one) => one.departments.includes(department)) : answers;

/**
 * RULES: the text in this language, else in the first of ours that there is: `{language, text}`.
 *
 * @param {CannedAnswer} answer
 * @param {string} locale
 */
export function textIn(answer, locale) {
  const language = [locale, ...LANGUAGES].find((one) => Object.hasOwn(answer.texts, one)) ?? Object.keys(answer.texts)[0];
  return { language, text: answer.texts[language] };
}

/**
 * RULES: the text with its variables filled in: `{text, missing}`. One whose value is not known goes, with the space before it; at the
 * beginning of a line with the comma after it. `missing`: their names. A value is never read as a variable.
 *
 * @param {string} text
 * @param {Record<string, string | null>} values
 */
export function fill(text, values) {
  /** @type {string[]} */
  const missing = [];
  const filled = text.replace(VARIABLE, (whole, space, name) => {
    if (!VARIABLES.includes(name)) return whole;
    if (values[name]) return space + values[name].replaceAll("\0", "");
    missing.push(name);
    return "\0";
  });
  return { text: filled.replace(/^\0[,;:]?[^\S\n]*/gm, "").replaceAll("\0", ""), missing };
}

/**
 * RULES: a new answer, or a copy of one to be changed. Departments that do not exist any more are left out.
 *
 * @param {CannedAnswer | null} answer
 * @param {string[]} own the supervisor's departments, which have a new one
 * @returns {CannedAnswerDraft}
 */
export function draftOf(answer, own) {
  if (!answer) return { id: null, revision: 0, code: "", title: "", departments: [...own], texts: {}, conflict: null };
  const departments = answer.departments.filter((id) => own.includes(id));
  return { ...contentOf(answer), departments, id: answer.id, revision: answer.revision, conflict: null };
}

/** @param {CannedAnswer | CannedAnswerDraft} one */
const contentOf = ({ code, title, departments, texts }) => ({
  code: code.trim(),
  title: title.trim(),
  departments: [...departments].sort(),
  texts: Object.fromEntries(LANGUAGES.map((one) => [one, (texts[one] ?? "").trim()]).filter(([, text]) => text)),
});

/**
 * RULES: whether a draft says something else than this answer, or than nothing.
 *
 * @param {CannedAnswerDraft} draft
 * @param {CannedAnswer | null} answer
 */
export function differs(draft, answer) {
  const now = contentOf(draft);
  if (!answer) return Boolean(now.code || now.title || Object.keys(now.texts).length);
  return JSON.stringify(now) !== JSON.stringify(contentOf(answer));
}

/**
 * RULES: what is wrong with a draft, as the name of a text for each field: `code`, `title`, `departments`, `texts`, `texts.nl` …
 *
 * @param {CannedAnswerDraft} draft
 */
export function faultsOf(draft) {
  const { code, title, departments, texts } = contentOf(draft);
  /** @type {Record<string, string>} */
  const faults = {};
  if (!CODE.test(code)) faults.code = "code_wrong";
  if (!title) faults.title = "title_missing";
  else if ([...title].length > LONGEST.title) faults.title = "title_long";
  if (!departments.length) faults.departments = "department_missing";
  if (!Object.keys(texts).length) faults.texts = "text_missing";
  for (const [language, text] of Object.entries(texts)) {
    const unknown = [...text.matchAll(ANY_VARIABLE)].some(([, name]) => !VARIABLES.includes(name.trim()));
    if ([...text].length > LONGEST.text) faults[`texts.${language}`] = "text_long";
    else if (unknown) faults[`texts.${language}`] = "variable_unknown";
  }
  return faults;
}

/**
 * Loads the list at once, and again when somebody comes back to the page or `look()`s after a minute or more: `{list(), at(), failed(), refresh(),
 * look(), save(draft), remove(one), draft(), keep(draft), changed(), stop()}`. `list()` is null until it is known. `save` and `remove` resolve to
 * `{problem, current}`: `problem` null, or why not: "changed", "code_taken", "too_many_answers", "forbidden", "gone", "invalid" or "failed".
 * `current` is what is stored, where the server told it. `keep` holds what a supervisor has written while the page shows something else;
 * `changed()`: that is not what is stored.
 *
 * @param {{onChange(): void}} options
 */
export function cannedAnswers({ onChange }) {
  /** @type {CannedAnswer[] | null} */
  let list = null;
  /** @type {Date | null} */
  let at = null;
  /** @type {string | null} */
  let tag = null;
  /** @type {CannedAnswerDraft | null} */
  let written = null;
  let failed = false;
  let asked = -Infinity;
  let turn = 0; // an answer that was overtaken by a later question counts no longer
  const gone = new AbortController();

  async function refresh() {
    const mine = ++turn;
    asked = performance.now();
    const answer = await api.cannedAnswers(tag);
    if (gone.signal.aborted || mine !== turn) return;
    failed = !answer.ok && answer.status !== 304;
    if (answer.ok) [list, tag] = [answer.body?.answers ?? [], answer.tag];
    if (!failed) at = new Date();
    onChange();
  }

  function look() {
    if (document.visibilityState === "visible" && performance.now() - asked >= EVERY) refresh();
  }

  /** @param {Answer} answer */
  async function outcome(answer) {
    if (answer.ok || answer.status === 404 || answer.status === 409) await refresh();
    const told = PROBLEMS.find((problem) => problem === answer.code) ?? (answer.code === "no_such_answer" ? "gone" : "failed");
    const current = /** @type {CannedAnswer | null} */ ((answer.ok ? answer.body : answer.body?.current) ?? null);
    return { problem: answer.ok ? null : told, current };
  }

  document.addEventListener("visibilitychange", look, { signal: gone.signal });
  addEventListener("focus", look, { signal: gone.signal });
  refresh();
  return {
    list: () => list,
    at: () => at,
    failed: () => failed,
    refresh,
    look,
    /** @param {CannedAnswerDraft} draft */
    async save(draft) {
      const content = contentOf(draft);
      const { id, revision } = draft;
      return outcome(await (id ? api.changeCannedAnswer(id, { ...content, revision }) : api.addCannedAnswer(content)));
    },
    /** @param {CannedAnswer} one */
    remove: async (one) => outcome(await api.removeCannedAnswer(one.id, one.revision)),
    draft: () => written,
    /** @param {CannedAnswerDraft | null} draft */
    keep: (draft) => void (written = draft),
    changed: () => written !== null && differs(written, list?.find((one) => one.id === written?.id) ?? null),
    stop: () => gone.abort(),
  };
}
