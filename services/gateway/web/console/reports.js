/** The figures of the chats, by day or week, department and agent: for supervisors. */
import * as api from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { latest } from "./latest.js";
import { optionName } from "./pause-dialog.js";
import { overview } from "./side-page.js";
import { known } from "./i18n.js";
import { day, number, span, today } from "./format.js";

const FIRST_LOOK = 27; // days before today with which the page begins
const DAY = 86_400_000; // ms
const NONE = "–";
export const FIGURES = [
  "offered",
  "served",
  "abandoned",
  "wait",
  "first_answer",
  "duration",
  "wrap_up",
  "paused",
  "transferred",
  "left_questions",
  "helped",
  "score",
];
/** What is told of an agent: nothing that a department decides. */
export const FIGURES_OF_AGENTS = ["served", "first_answer", "duration", "wrap_up", "paused", "transferred", "helped", "score"];

/**
 * RULES: the figures of a report: without a time to wrap chats up where no department gives one, and without pauses where there were none.
 *
 * @param {string[]} figures
 * @param {any} total of the report
 */
export const shownOf = (figures, total) =>
  figures.filter((name) => !["wrap_up", "paused"].includes(name) || (total[`${name}_total`] ?? 0) > 0);

/**
 * RULES: the pauses by reason: `[reason, number, time]`, each in words.
 *
 * @param {Translator} t
 * @param {{total: any, names?: Record<string, Record<string, Record<string, string>>>}} report
 * @returns {string[][]}
 */
export function pauseLines(t, { total, names }) {
  const named = optionsIn(names?.pause_reasons);
  return (total.pauses ?? []).map((/** @type {{reason: string | null, pauses: number, seconds: number}} */ one) => [
    one.reason === null ? t("reports.pause_none") : optionName(named, one.reason, t.language),
    number(one.pauses, t.language),
    span(one.seconds, t.language),
  ]);
}

/** @param {Record<string, Record<string, string>>} [names] */
const optionsIn = (names = {}) => Object.entries(names).map(([id, words]) => ({ id, names: words }));

/**
 * RULES: the chats by closing reason or tag: `[name, number, part of the served ones]`, each in words.
 *
 * @param {Translator} t
 * @param {{total: any, names?: Record<string, Record<string, Record<string, string>>>}} report
 * @param {"closing_reasons" | "tags"} list
 * @returns {string[][]}
 */
export function labelLines(t, { total, names }, list) {
  const named = optionsIn(names?.[list]);
  const percent = new Intl.NumberFormat(t.language, { style: "percent" });
  return (total[list] ?? []).map((/** @type {{id: string, chats: number}} */ one) => [
    optionName(named, one.id, t.language),
    number(one.chats, t.language),
    total.served ? percent.format(one.chats / total.served) : NONE,
  ]);
}

/**
 * RULES: a figure in words. Times: half of the chats within the first, nine of ten within the second.
 *
 * @param {Translator} t
 * @param {string} name
 * @param {any} figures as the server tells them
 */
export function figure(t, name, figures) {
  if (name === "helped") return ["yes", "partly", "no"].map((answer) => number(figures[`helped_${answer}`], t.language)).join(" / ");
  if (name === "score")
    return figures.scores
      ? t("reports.score_of", { score: number(figures.score_mean, t.language), count: number(figures.scores, t.language) })
      : NONE;
  if (name === "paused") return figures.paused_total ? span(figures.paused_total, t.language).replaceAll(" ", "\u00a0") : NONE;
  if (`${name}_p50` in figures) {
    const times = [figures[`${name}_p50`], figures[`${name}_p90`]];
    return times[0] === null ? NONE : times.map((seconds) => span(seconds, t.language).replaceAll(" ", "\u00a0")).join(" / ");
  }
  return number(figures[name], t.language);
}

/**
 * RULES: what a day or a week is called; a day without its year where all days of the report are of one year.
 *
 * @param {Translator} t
 * @param {{period: string, from: string, until: string}} period
 * @param {{from: string, until: string}} report
 */
export function periodName(t, { period, from, until }, report) {
  const week = /-W(\d+)$/.exec(period);
  const year = report.from.slice(0, 4) === report.until.slice(0, 4) ? undefined : "numeric";
  if (!week) return day(from, t.language, { weekday: "short", day: "numeric", month: "short", year });
  const [first, last] = [from, until].map((one) => day(one, t.language, { day: "numeric", month: "short", year: "numeric" }));
  return t("reports.week_of", { week: Number(week[1]), from: first, until: last });
}

/**
 * RULES: the bars of a chart of 100 high, one for each pair: what stands below (or in front), and how high all of it is.
 *
 * @param {[number, number][]} pairs the lower part and the whole
 */
export function bars(pairs) {
  const most = Math.max(1, ...pairs.map(([, whole]) => whole));
  return pairs.map(([part, whole]) => ({ part: (part / most) * 100, whole: (whole / most) * 100 }));
}

/**
 * `{element, draw(), focus(), stop()}` of the agent's departments; `names()` names them by id, `acts` as in `overview`.
 *
 * @param {Translator} t
 * @param {{departments: string[], names(): Map<string, string>, acts: {back(): void}}} options
 */
export function reportsView(t, { departments, names, acts }) {
  /** @type {any} */
  let report = null;
  /** @type {Date | null} */
  let at = null;
  const last = today(new Date());
  const from = dayField("from", new Date(Date.parse(last) - FIRST_LOOK * DAY).toISOString().slice(0, 10));
  const until = dayField("until", last);
  const by = choice("by", [
    ["day", t("reports.by_day")],
    ["week", t("reports.by_week")],
  ]);
  const department = choice("department", [["", t("reports.all")], ...departments.map((id) => /** @type {[string, string]} */ ([id, id]))]);
  const form = h(
    "form",
    { class: "report-choice", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), load()) },
    ...[from, until, by, department].map(({ field }) => field),
    button(t("reports.show"), { type: "submit", hook: "reports-show" }),
  );
  const csv = h("a", { download: "", hook: "reports-csv" }, t("reports.csv"));
  const frame = overview(t, { title: t("reports"), lead: t("reports.lead"), extra: [form], acts: { ...acts, refresh: load } });
  const place = h("div", { class: "reports", hook: "reports" });
  frame.body.append(place);

  /** @param {string} name @param {string} value */
  function dayField(name, value) {
    const input = h("input", { type: "date", id: `reports-${name}`, hook: `reports-${name}`, value, required: true });
    return { input, field: h("label", { class: "field" }, t(`reports.${name}`), input) };
  }

  /** @param {string} name @param {[string, string][]} options */
  function choice(name, options) {
    const input = h(
      "select",
      { id: `reports-${name}`, hook: `reports-${name}` },
      ...options.map(([value, words]) => h("option", { value }, words)),
    );
    return { input, field: h("label", { class: "field" }, t(`reports.${name}`), input) };
  }

  const asked = latest(async (current) => {
    const wish = { from: from.input.value, until: until.input.value, by: by.input.value, department: department.input.value };
    frame.tell("");
    frame.asOf(null);
    const answer = await api.report(wish);
    if (!current()) return;
    if (!answer.ok) {
      frame.tell(known(t, "reports.problem", answer.code));
      return frame.asOf(at);
    }
    [report, at] = [answer.body, new Date()];
    setAttribute(csv, "href", api.reportUrl({ ...wish, format: "csv" }));
    frame.asOf(at);
    fill();
  });

  function load() {
    asked.run();
  }

  function fill() {
    if (!report) return;
    const zone = h("p", { class: "zone" }, t("reports.zone", { zone: report.timezone }));
    place.replaceChildren(zone, h("p", {}, csv), total(), charts(), ...tables());
  }

  // The definition stands beside each figure.
  function total() {
    const lines = shownOf(FIGURES, report.total).map((name) => [
      t(`reports.${name}`),
      figure(t, name, report.total),
      t(`reports.${name}.is`),
    ]);
    const made = table(t("reports.total"), "reports-total", [t("reports.figure"), t("reports.value"), t("reports.meaning")], lines);
    made.classList.add("defined");
    return made;
  }

  function tables() {
    const [all, ofAgents] = [FIGURES, FIGURES_OF_AGENTS].map((names) => shownOf(names, report.total));
    const head = (/** @type {string} */ first) => [t(first), ...all.map((name) => t(`reports.${name}`))];
    /** @param {string} words @param {any} figures @param {string[]} of */
    const line = (words, figures, of = all) => [words, ...of.map((name) => figure(t, name, figures))];
    const periods = report.periods.map((/** @type {any} */ one) => line(periodName(t, one, report), one));
    /** @type {HTMLElement[]} */
    const made = [wide(table(t(`reports.per_${report.by}`), "reports-periods", head(`reports.${report.by}`), periods))];
    if (report.by_department.length > 1) {
      const each = report.by_department.map((/** @type {any} */ one) => line(names().get(one.department) ?? one.department, one));
      made.push(wide(table(t("reports.per_department"), "reports-departments", head("chat.department"), each)));
    }
    for (const list of /** @type {const} */ (["closing_reasons", "tags"])) {
      const lines = labelLines(t, report, list);
      const columns = ["label", "label_chats", "label_part"].map((name) => t(`reports.${name}`));
      if (lines.length)
        made.push(
          h("div", {}, table(t(`reports.${list}`), `reports-${list}`, columns, lines), h("p", { class: "zone" }, t("reports.label_is"))),
        );
    }
    const pauses = pauseLines(t, report);
    if (pauses.length) {
      const columns = ["pause_reason", "pause_count", "pause_time"].map((name) => t(`reports.${name}`));
      made.push(table(t("reports.pauses"), "reports-pauses", columns, pauses));
    }
    if (report.by_agent) {
      const each = report.by_agent.map((/** @type {any} */ one) => line(one.name ?? one.agent_id, one, ofAgents));
      const columns = [t("assignments.agent"), ...ofAgents.map((name) => t(`reports.${name}`))];
      made.push(
        h("div", {}, table(t("reports.per_agent"), "reports-agents", columns, each), h("p", { class: "zone" }, t("reports.agent.is"))),
      );
    }
    return made;
  }

  function charts() {
    /** @type {any[]} */
    const periods = report.periods;
    /** @param {any} one @param {string[]} of */
    const words = (one, of) => {
      const figures = of.map((name) => [t(`reports.${name}`), figure(t, name, one)].join(" "));
      return `${periodName(t, one, report)}: ${figures.join(", ")}`;
    };
    const chats = periods.map((one) => ({ pair: [one.served, one.offered], words: words(one, ["offered", "served", "abandoned"]) }));
    const waits = periods.map((one) => ({ pair: [one.wait_p50 ?? 0, one.wait_p90 ?? 0], words: words(one, ["wait"]) }));
    const most = (/** @type {any[]} */ all) => Math.max(0, ...all.map(({ pair }) => pair[1]));
    const ends = [periodName(t, periods[0], report), periodName(t, periods[periods.length - 1], report)];
    return h(
      "div",
      { class: "charts" },
      chart(t("reports.chart_chats"), [t("reports.served"), t("reports.abandoned")], number(most(chats), t.language), chats, ends),
      chart(t("reports.chart_waits"), [t("reports.half"), t("reports.nine")], span(most(waits), t.language), waits, ends),
    );
  }

  /**
   * A drawing of what the table of the periods says too.
   *
   * @param {string} title
   * @param {string[]} legend what is filled, and what is only drawn
   * @param {string} most the highest value, in words
   * @param {any[]} all
   * @param {string[]} ends
   */
  function chart(title, legend, most, all, ends) {
    const drawing = svg("svg", { viewBox: `0 0 ${all.length} 100`, preserveAspectRatio: "none", role: "img" });
    setAttribute(drawing, "aria-label", `${title}. ${t("reports.chart_is")}`);
    for (const [n, { part, whole }] of bars(all.map(({ pair }) => pair)).entries()) {
      const bar = svg("g", {});
      const words = svg("title", {});
      setText(words, all[n].words);
      bar.append(words, rect(n, whole, "whole"), rect(n, part, "part"));
      drawing.append(bar);
    }
    const keys = ["part", "whole"].map((key, n) => h("span", { class: `key ${key}` }, legend[n]));
    return h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, h("strong", {}, title), " ", ...keys),
      h("div", { class: "most" }, t("reports.most", { value: most })),
      drawing,
      h("div", { class: "ends" }, h("span", {}, ends[0]), h("span", {}, ends[1])),
    );
  }

  function draw() {
    for (const option of department.input.options) if (option.value) setText(option, names().get(option.value) ?? option.value);
    if (report?.by_department.length > 1 && places() !== named) ((named = places()), fill());
  }

  const places = () => departments.map((id) => names().get(id) ?? id).join("|");
  let named = places();
  load();
  return { element: frame.element, focus: frame.focus, draw, stop: asked.stop };
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  return element;
}

/** @param {number} n @param {number} height @param {string} kind */
const rect = (n, height, kind) => svg("rect", { class: kind, x: n + 0.15, width: 0.7, y: 100 - height, height });

/**
 * A place in which a table scrolls sideways, by the keyboard too, where the words of a language are too long for the page.
 *
 * @param {HTMLTableElement} one
 */
const wide = (one) => h("div", { class: "wide", role: "region", tabindex: "0", "aria-label": one.caption?.textContent }, one);

/**
 * A table whose rows are blocks on a narrow page: then only the roles say that it is a table.
 *
 * @param {string} title
 * @param {string} hook
 * @param {string[]} head
 * @param {string[][]} lines each with the words of its row first
 */
function table(title, hook, head, lines) {
  return h(
    "table",
    { role: "table", class: "report", hook },
    h("caption", {}, title),
    h(
      "thead",
      { role: "rowgroup" },
      h("tr", { role: "row" }, ...head.map((words) => h("th", { role: "columnheader", scope: "col" }, words))),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      ...lines.map(([first, ...others]) =>
        h(
          "tr",
          { role: "row" },
          h("th", { role: "rowheader", scope: "row" }, h("bdi", {}, first)),
          ...others.map((words, n) =>
            h("td", { role: "cell" }, h("span", { class: "label", "aria-hidden": "true" }, head[n + 1]), h("span", {}, words)),
          ),
        ),
      ),
    ),
  );
}
