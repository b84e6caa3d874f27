/** The access log, for auditors: who did what with which conversation, when, from where and why; and whether the log is intact. */
import * as api from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { moment, number } from "./format.js";
import { known } from "./i18n.js";
import { overview } from "./side-page.js";

export const FILTERS = /** @type {const} */ (["person", "chat", "act", "from", "until"]);
export const ACTS = [
  "transcript_read",
  "file_read",
  "notes_read",
  "questions_read",
  "question_archive_read",
  "question_claimed",
  "question_released",
  "question_done",
  "question_undone",
  "assignments_read",
  "report_read",
  "chats_listed",
  "chats_searched",
  "chat_reassigned",
  "supervisor_note_added",
  "chat_token_revoked",
  "canned_answer_added",
  "canned_answer_changed",
  "canned_answer_removed",
  "departments_changed",
  "departments_imported",
  "departments_restored",
  "account_added",
  "account_changed",
  "account_disabled",
  "account_enabled",
  "account_removed",
  "account_password_made",
  "account_totp_made",
  "account_totp_removed",
  "account_change_undone",
  "accounts_exported",
  "accounts_imported",
  "sessions_read",
  "session_ended",
  "chat_erased",
  "message_erased",
  "hold_set",
  "hold_lifted",
  "receipts_read",
  "access_log_read",
  "access_log_exported",
  "access_log_verified",
  "access_log_pruned",
];
const COLUMNS = ["at", "who", "act", "about", "source", "reason"];
const CHAT = /^[0-9a-f-]{4,36}$/i;
/** @typedef {Record<"person" | "chat" | "act" | "from" | "until", string>} Wish */

/**
 * RULES: what the address asks for: the filters, and the number before which the entries are.
 *
 * @param {string} search
 * @returns {{wish: Wish, before: number | null}}
 */
export function wishOf(search) {
  const asked = new URLSearchParams(search);
  const before = Number(asked.get("before"));
  const wish = /** @type {Wish} */ (Object.fromEntries(FILTERS.map((name) => [name, (asked.get(name) ?? "").slice(0, 100)])));
  return { wish, before: Number.isSafeInteger(before) && before > 0 ? before : null };
}

/**
 * RULES: the address that asks for this. What it has beside the filters stays.
 *
 * @param {string} href
 * @param {Wish} wish
 * @param {number | null} before
 */
export function addressOf(href, wish, before) {
  const url = new URL(href);
  for (const name of FILTERS) {
    if (wish[name]) url.searchParams.set(name, wish[name]);
    else url.searchParams.delete(name);
  }
  if (before) url.searchParams.set("before", String(before));
  else url.searchParams.delete("before");
  return url.href;
}

/**
 * RULES: what is wrong with the log, in words; "": nothing is known of this code.
 *
 * @param {Translator} t
 * @param {{code: string, first: number, last: number} | undefined} flaw
 */
export const flawWords = (t, flaw) => (flaw && t.has(`access.flaw.${flaw.code}`) ? t(`access.flaw.${flaw.code}`, flaw) : "");

/**
 * RULES: the result of a verification, in words.
 *
 * @param {Translator} t
 * @param {{intact: boolean, first: number, last: number, complete: boolean}} found
 */
export function verdict(t, { intact, first, last, complete }) {
  const values = { first: number(first, t.language), last: number(last, t.language) };
  if (!intact) return t("access.altered", values);
  return `${t("access.intact", values)} ${complete ? "" : t("access.not_all")}`.trim();
}

/**
 * `{element, focus(), draw(), stop()}`. The filters and the page stand in the address.
 *
 * @param {Translator} t
 */
export function accessLogView(t) {
  /** @type {any} */
  let page = null;
  let { wish, before } = wishOf(location.search);
  let turn = 0;
  const gone = new AbortController();
  const person = field("person", { type: "text", maxlength: "100", autocomplete: "off" });
  const chat = field("chat", { type: "text", maxlength: "36", autocomplete: "off", spellcheck: "false" });
  const from = field("from", { type: "date" });
  const until = field("until", { type: "date" });
  const act = h(
    "select",
    { id: "access-act", hook: "access-act" },
    h("option", { value: "" }, t("access.all_acts")),
    ...ACTS.map((one) => h("option", { value: one }, t(/** @type {any} */ (`access.act.${one}`)))),
  );
  /** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
  const inputs = { person: person.input, chat: chat.input, act, from: from.input, until: until.input };
  const form = h(
    "form",
    { class: "report-choice", role: "search", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), search()) },
    person.label,
    chat.label,
    h("label", { class: "field" }, t("access.act"), act),
    from.label,
    until.label,
    button(t("access.search"), { type: "submit", class: "main", hook: "access-search" }),
    button(t("access.clear"), { hook: "access-clear", onclick: () => go(wishOf("").wish, null) }),
  );
  const frame = overview(t, {
    title: t("access"),
    lead: t("access.lead"),
    extra: [form],
    acts: { back: null, refresh: () => load() },
  });
  const chain = h("p", { role: "status", class: "chain", hook: "access-chain" }, t("access.verifying"));
  const problems = h("ul", { class: "chain-problems", hook: "access-problems" });
  const verifyAgain = button(t("access.verify"), { class: "small", hook: "access-verify", onclick: () => verify() });
  const csv = h("a", { download: "", hook: "access-csv" }, t("access.csv"));
  const lines = h("a", { download: "", hook: "access-jsonl" }, t("access.jsonl"));
  const empty = h("p", { class: "none", hidden: true }, t("access.empty"));
  const place = h("div", { class: "wide", role: "region", tabindex: "0", "aria-label": t("access.entries"), hook: "access-log" });
  const newest = button(t("access.newest"), { hook: "access-newest", onclick: () => go(wish, null) });
  const older = button(t("access.older"), { hook: "access-older", onclick: () => go(wish, page.entries.at(-1).seq) });
  const pager = h("div", { class: "row pager" }, newest, older);
  frame.body.append(
    h(
      "div",
      { class: "reports" },
      h("div", {}, h("div", { class: "chain-row" }, chain, verifyAgain), problems),
      h("p", {}, csv, h("small", {}, ` ${t("access.csv_is")} `), h("br"), lines, h("small", {}, ` ${t("access.jsonl_is")}`)),
      empty,
      place,
      pager,
    ),
  );
  addEventListener("popstate", () => (({ wish, before } = wishOf(location.search)), load()), { signal: gone.signal });

  /** @param {"person" | "chat" | "from" | "until"} name @param {Record<string, string>} attributes */
  function field(name, attributes) {
    const input = h("input", { ...attributes, id: `access-${name}`, hook: `access-${name}` });
    return { input, label: h("label", { class: "field" }, t(/** @type {any} */ (`access.${name}`)), input) };
  }

  function search() {
    const wanted = /** @type {Wish} */ (Object.fromEntries(FILTERS.map((name) => [name, inputs[name].value.trim()])));
    const wrong = Boolean(wanted.chat) && !CHAT.test(wanted.chat);
    setAttribute(inputs.chat, "aria-invalid", wrong ? "true" : null);
    if (wrong) return (frame.tell(t("access.problem.chat")), inputs.chat.focus());
    go(wanted, null);
  }

  /** @param {Wish} wanted @param {number | null} from_ */
  function go(wanted, from_) {
    [wish, before] = [wanted, from_];
    history.pushState(null, "", addressOf(location.href, wish, before));
    load();
  }

  async function load() {
    const mine = ++turn;
    for (const name of FILTERS) inputs[name].value = wish[name];
    setAttribute(inputs.chat, "aria-invalid", null);
    frame.tell("");
    frame.asOf(null);
    const answer = await api.accessLog(wish, before);
    if (mine !== turn) return;
    if (!answer.ok) {
      frame.tell(known(t, "access.problem", answer.code));
      return frame.asOf(page ? new Date() : null);
    }
    page = answer.body;
    frame.asOf(new Date());
    fill();
  }

  function fill() {
    setAttribute(csv, "href", api.accessExportUrl("csv", wish));
    setAttribute(lines, "href", api.accessExportUrl("jsonl", { ...wish, person: "", chat: "", act: "" }));
    empty.hidden = page.entries.length > 0;
    place.hidden = !page.entries.length;
    place.replaceChildren(table(page.entries));
    newest.hidden = before === null;
    older.hidden = !page.more;
  }

  async function verify() {
    setText(chain, t("access.verifying"));
    setAttribute(chain, "data-intact", null);
    problems.replaceChildren();
    const answer = await api.verifyAccessLog();
    if (!answer.ok) return setText(chain, known(t, "access.problem", answer.code));
    setAttribute(chain, "data-intact", String(answer.body.intact));
    setText(chain, verdict(t, answer.body));
    const { problems: lines, flaws = [] } = answer.body;
    const rows = lines.map((/** @type {string} */ line, /** @type {number} */ n) => ({ line, words: flawWords(t, flaws[n]) }));
    problems.replaceChildren(...rows.map((/** @type {any} */ one) => h("li", one.words ? {} : { lang: "en" }, one.words || one.line)));
  }

  /** @param {any[]} entries */
  function table(entries) {
    const head = COLUMNS.map((one) => t(/** @type {any} */ (`access.column.${one}`)));
    return h(
      "table",
      { role: "table", class: "report access" },
      h("caption", { class: "hidden-words" }, t("access.entries")),
      h(
        "thead",
        { role: "rowgroup" },
        h("tr", { role: "row" }, ...head.map((words) => h("th", { role: "columnheader", scope: "col" }, words))),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        ...entries.map((one) => {
          const [first, ...others] = cells(one);
          return h(
            "tr",
            { role: "row", hook: "access-entry" },
            h("th", { role: "rowheader", scope: "row" }, ...first),
            ...others.map((content, n) =>
              h("td", { role: "cell" }, h("span", { class: "label", "aria-hidden": "true" }, head[n + 1]), h("span", {}, ...content)),
            ),
          );
        }),
      ),
    );
  }

  /** @param {any} one @returns {(Node | string)[][]} */
  function cells(one) {
    const name = one.name ?? one.who ?? known(t, "access.role", one.role);
    /** @param {string} words @param {string} label @param {Partial<Wish>} more */
    const narrow = (words, label, more) =>
      button(words, { class: "plain", "aria-label": label, onclick: () => go({ ...wishOf("").wish, ...more }, null) });
    const role = h("small", {}, known(t, "access.role", one.role));
    const about = [
      one.chat_id && narrow(one.chat_id.slice(0, 8), t("access.only_chat", { id: one.chat_id.slice(0, 8) }), { chat: one.chat_id }),
      one.item && h("small", {}, h("bdi", {}, one.item)),
      one.department && h("small", {}, one.department.replaceAll(",", ", ")),
    ].filter(Boolean);
    return [
      [
        h("time", { datetime: one.at }, moment(one.at, t.language)),
        " ",
        h("small", {}, t("access.number", { n: number(one.seq, t.language) })),
      ],
      [one.who ? narrow(name, t("access.only_person", { name }), { person: one.who }) : h("bdi", {}, name), " ", role],
      [known(t, "access.act", one.act)],
      about.length ? about : ["–"],
      [h("bdi", {}, one.source ?? "–")],
      [h("bdi", {}, one.reason ?? "–")],
    ];
  }

  load();
  verify();
  return { element: frame.element, focus: frame.focus, draw() {}, stop: () => (gone.abort(), void turn++) };
}
