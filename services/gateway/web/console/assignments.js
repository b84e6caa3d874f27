/** Which agent got which chat, and why: for supervisors. */
import * as api from "./api.js";
import { h, setText } from "../shared/dom.js";
import { keyed } from "../shared/keyed.js";
import { overview } from "./side-page.js";
import { known } from "./i18n.js";
import { clock, span } from "./format.js";

const EVERY = 60_000; // ms between two looks, while somebody can see the page
const COLUMNS = ["time", "chat", "agent", "waited", "reason"];

/**
 * RULES: why this agent, in words; what was kept of it may be nothing.
 *
 * @param {Translator} t
 * @param {any} choice
 */
export const reasonOf = (t, choice) => known(t, "choice", choice?.rule ?? "other");

/**
 * RULES: the figures behind it, one line of words each.
 *
 * @param {Translator} t
 * @param {any} choice
 */
export function figuresOf(t, choice) {
  if (!choice) return [];
  return [
    t("assignments.candidates", { n: choice.candidates }),
    t("assignments.had", { n: choice.chats }),
    t("assignments.idle", { time: span(choice.idle_for, t.language) }),
    t(choice.speaks ? "assignments.speaks" : "assignments.speaks_not"),
  ];
}

/**
 * `{element, draw(), focus(), stop()}` of the agent's departments; `names()` names them by id, `acts` as in `overview`.
 *
 * @param {Translator} t
 * @param {{departments: string[], names(): Map<string, string>, acts: {back(): void}}} options
 */
export function assignmentsView(t, { departments, names, acts }) {
  /** @type {any[] | null} */
  let list = null;
  /** @type {Date | null} */
  let at = null;
  let turn = 0;
  const select = h(
    "select",
    { id: "assignments-department", hook: "assignments-department", onchange: () => ((list = at = null), load()) },
    ...departments.map((id) => h("option", { value: id }, id)),
  );
  const choice = h("label", { class: "field" }, t("chat.department"), select);
  const frame = overview(t, { title: t("assignments"), lead: t("assignments.lead"), extra: [choice], acts: { ...acts, refresh: load } });
  const empty = h("p", { class: "none" }, t("assignments.empty"));
  const rows = h("tbody", { role: "rowgroup" });
  // Narrow pages show the rows as blocks, and then only the roles say that it is a table.
  const table = h(
    "table",
    { role: "table", class: "assignments", "aria-labelledby": "overview-title", hook: "assignments" },
    h(
      "thead",
      { role: "rowgroup" },
      h("tr", { role: "row" }, ...COLUMNS.map((one) => h("th", { role: "columnheader", scope: "col" }, t(`assignments.${one}`)))),
    ),
    rows,
  );
  frame.body.append(empty, table);
  const timer = setInterval(() => document.visibilityState === "visible" && load(), EVERY);

  async function load() {
    const mine = ++turn;
    fill(null);
    const answer = await api.assignments(select.value);
    if (mine !== turn) return;
    if (answer.ok) [list, at] = [answer.body?.assignments ?? [], new Date()];
    fill(answer);
  }

  /** @param {Answer | null} answer */
  function fill(answer) {
    frame.asOf(at);
    frame.tell(answer && !answer.ok ? t("overview.failed") : "");
    table.hidden = !list?.length;
    empty.hidden = list === null || list.length > 0;
    const items = (list ?? []).map((one) => ({ key: `${one.chat_id} ${one.turn}`, one })); // what was recorded of an attempt stays
    keyed(rows, items, ({ one }, old) => old ?? row(t, one));
  }

  function draw() {
    for (const option of select.options) setText(option, names().get(option.value) ?? option.value);
  }

  load();
  return { element: frame.element, focus: frame.focus, draw, stop: () => (clearInterval(timer), turn++) };
}

/** @param {Translator} t @param {any} one */
function row(t, one) {
  const id = one.chat_id.slice(0, 8);
  /** @type {Record<string, (Node | string)[]>} */
  const cells = {
    time: [h("time", { datetime: one.at }, clock(one.at, t.language, new Date()))],
    chat: [
      h(
        "a",
        { href: api.transcriptUrl(one.chat_id, "html", t.language), download: "", "aria-label": t("assignments.chat_of", { id }) },
        id,
      ),
      " ",
      h("small", {}, t("assignments.turn", { n: one.turn })),
    ],
    agent: [h("bdi", {}, one.agent_name)],
    waited: [span(one.waited, t.language)],
    reason: [h("strong", {}, reasonOf(t, one.choice)), h("small", {}, figuresOf(t, one.choice).join(" · "))],
  };
  return h(
    "tr",
    { role: "row" },
    ...COLUMNS.map((name) =>
      h(
        "td",
        { role: "cell", class: name },
        h("span", { class: "label", "aria-hidden": "true" }, t(`assignments.${name}`)),
        h("span", {}, ...cells[name]),
      ),
    ),
  );
}
