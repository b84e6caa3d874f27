/** The supervisors' live page: each department's button, who waits, the running chats, the agents, and today's figures. */
import * as api from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, keyed } from "./dom.js";
import { overview } from "./side-page.js";
import { known } from "./i18n.js";
import { clock, day, number, span, today } from "./format.js";
import { agentsOf, chatsOf, countOf, secondsSince, standing } from "./live-state.js";
import { liveActs, load } from "./live-acts.js";
import { figure } from "./reports.js";
import { optionName } from "./pause-dialog.js";

const TICK = 1000; // ms between two drawings of the times
const WEEK = 7 * 86_400_000; // ms
const FIGURES = ["offered", "served", "abandoned", "wait", "first_answer"];

/**
 * `{element, draw(), focus(), stop()}`; `live` as `liveDepartments()`, `agent` who is logged in, `names()` names departments by id, `link()` tells
 * whether the server is connected and can show it, `acts` as in `overview`.
 *
 * @param {Translator} t
 * @param {{live: ReturnType<typeof import("./live.js").liveDepartments>, agent: {id: string, name: string, departments: string[], pause_reasons?: NamedOption[]}, names(): Map<string, string>, link(): "ready" | "missing" | "lost", say(words: string, how?: "announce" | "new" | "loud"): void, acts: {back(): void}}} options
 */
export function liveView(t, { live, agent, names, link, say, acts }) {
  const frame = overview(t, { title: t("live"), lead: t("live.lead"), acts: { ...acts, refresh: loadFigures } });
  const place = h("div", { class: "live", hook: "live" });
  frame.body.append(place);
  const doing = liveActs(t, { agent, say, names });
  /** @type {Map<string, {now: any, then: any}>} */
  let figures = new Map();
  let weekday = "";
  let problem = "";
  let turn = 0;
  const timer = setInterval(draw, TICK);

  async function loadFigures() {
    const mine = ++turn;
    const last = today(new Date());
    const first = new Date(Date.parse(last) - WEEK).toISOString().slice(0, 10);
    const [now, then] = await Promise.all([last, first].map((one) => api.report({ from: one, until: one, by: "day", department: "" })));
    if (mine !== turn) return;
    problem = now.ok && then.ok ? "" : known(t, "reports.problem", now.ok ? then.code : now.code);
    weekday = day(first, t.language, { weekday: "long", day: "numeric", month: "short" });
    const of = (/** @type {Answer} */ answer, /** @type {string} */ id) =>
      (answer.body?.by_department ?? []).find((/** @type {any} */ one) => one.department === id) ?? null;
    if (!problem) figures = new Map(agent.departments.map((id) => [id, { now: of(now, id), then: of(then, id) }]));
    draw();
  }

  function draw() {
    const departments = agent.departments.filter((id) => live.known().has(id));
    const state = link();
    const old = [...live.known().values()].some((one) => !one.current);
    frame.tell(state === "missing" ? t("live.unsupported") : state === "lost" ? t("live.offline") : old ? t("live.old") : problem);
    const loading = !departments.length && state === "ready";
    frame.asOf(loading ? null : new Date(live.now()));
    keyed(
      place,
      departments.map((id) => ({ key: id, one: live.known().get(id) })),
      ({ key, one }, before) => {
        const section = before ?? skeleton(key);
        fill(section, one);
        return section;
      },
    );
  }

  /** @param {string} id */
  function skeleton(id) {
    const heading = h("h3", { id: `live-${id}` });
    const intake = button("", { hook: "live-intake", onclick: () => toggleIntake(id) });
    /** @param {string} name @param {string[]} heads */
    const grid = (name, heads) =>
      h(
        "table",
        { role: "table", class: `report ${name}`, hook: `live-${name}` },
        h("caption", {}),
        h(
          "thead",
          { role: "rowgroup" },
          h("tr", { role: "row" }, ...heads.map((words) => h("th", { role: "columnheader", scope: "col" }, words))),
        ),
        h("tbody", { role: "rowgroup" }),
      );
    return h(
      "section",
      { class: "live-department", "aria-labelledby": `live-${id}`, hook: `live-department-${id}` },
      h("div", { class: "live-head" }, heading, intake),
      h("p", { class: "live-button", hook: "live-button" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", {})),
      h("p", { class: "live-hours" }),
      h("dl", { class: "live-counts", hook: "live-counts" }),
      h("p", { class: "live-none" }, t("live.no_chats")),
      grid("chats", [t("live.agent"), t("live.answer"), t("live.started"), t("live.acts")]),
      grid("agents", [t("live.agent"), t("live.state"), t("live.load"), t("live.acts")]),
      grid("figures", [t("reports.figure"), t("live.today"), ""]),
    );
  }

  /** @param {string} id */
  function toggleIntake(id) {
    if (live.known().get(id)?.intake) doing.openIntake(id);
    else doing.closeIntake(id);
  }

  /** @param {HTMLElement} section @param {LiveDepartment} one */
  function fill(section, one) {
    const now = live.now();
    const [head, light, hours, counts, none, chats, agents, table] = /** @type {HTMLElement[]} */ ([...section.children]);
    const name = names().get(one.department) ?? one.department;
    setText(head.children[0], name);
    setText(/** @type {Node} */ (head.children[1].lastChild), t(one.intake ? "live.open" : "live.close"));
    setAttribute(head.children[1], "aria-label", t(one.intake ? "live.open_of" : "live.close_of", { name }));
    setAttribute(light, "data-colour", one.button?.colour ?? "blue");
    setText(light.children[1], buttonWords(t, one, now));
    setText(hours, hoursWords(t, one));
    drawCounts(counts, one, now);
    none.hidden = one.chats.size > 0;
    drawChats(/** @type {HTMLTableElement} */ (chats), one, now);
    drawAgents(/** @type {HTMLTableElement} */ (agents), one, now);
    drawFigures(/** @type {HTMLTableElement} */ (table), one.department);
  }

  /** @param {HTMLElement} list @param {LiveDepartment} one @param {number} now */
  function drawCounts(list, one, now) {
    const longest = secondsSince(one, one.waiting.since, now);
    const waits = one.waiting.count && longest !== null ? t("live.longest", { time: span(longest, t.language) }) : "";
    const late = chatsOf(one).filter((chat) => standing(one, chat, now) === "late").length;
    const items = [
      { key: "waiting", count: one.waiting.count, more: waits },
      { key: "running", count: one.running, more: late ? t("live.late_count", { n: late }) : "" },
      { key: "available", count: countOf(one, "available"), more: "" },
      { key: "paused", count: countOf(one, "paused"), more: "" },
    ];
    keyed(list, items, (item, before) => {
      const box = before ?? h("div", {}, h("dt", {}, t(`live.${item.key}`)), h("dd", {}, h("strong", {}), " ", h("small", {})));
      setText(box.children[1].children[0], number(item.count, t.language));
      setText(box.children[1].children[1], item.more);
      box.classList.toggle("late", item.key === "running" && late > 0);
      return box;
    });
  }

  /**
   * Rows that stay while their content changes, so that the focus stays in them.
   *
   * @param {HTMLTableElement} table
   * @param {string} caption
   * @param {{key: string, cells: string[], kinds?: string[], acts?: {name: string, label: string, press(): void}[]}[]} rows
   */
  function rowsOf(table, caption, rows) {
    const heads = [...(table.tHead?.rows[0].cells ?? [])].map((one) => one.textContent ?? "");
    setText(/** @type {Node} */ (table.caption), caption);
    keyed(table.tBodies[0], rows, (row, before) => {
      const line =
        before ??
        h(
          "tr",
          { role: "row" },
          ...row.cells.map((/** @type {string} */ _, /** @type {number} */ n) =>
            n
              ? h("td", { role: "cell" }, h("span", { class: "label", "aria-hidden": "true" }, heads[n]), h("span", {}))
              : h("th", { role: "rowheader", scope: "row" }, h("bdi", {})),
          ),
          row.acts && h("td", { role: "cell" }, h("div", { class: "acts" })),
        );
      for (const [n, words] of row.cells.entries()) {
        setText(/** @type {Node} */ (line.children[n].lastChild), words);
        setAttribute(line.children[n], "class", row.kinds?.[n] || null);
      }
      if (row.acts) drawActs(line.lastElementChild.firstElementChild, row.acts);
      return line;
    });
  }

  /** @param {HTMLElement} place @param {{name: string, label: string, press(): void}[]} wanted */
  function drawActs(place, wanted) {
    keyed(
      place,
      wanted.map((one) => ({ key: one.name, one })),
      ({ key, one }, before) => {
        const made = before ?? button(t(`live.${key}`), { class: "small", hook: `live-${key}`, onclick: () => made.press() });
        made.press = one.press;
        setAttribute(made, "aria-label", one.label);
        return made;
      },
    );
  }

  /** @param {HTMLTableElement} table @param {LiveDepartment} one @param {number} now */
  function drawChats(table, one, now) {
    const listed = chatsOf(one);
    const caption = one.running > listed.length ? t("live.chats_first", { n: listed.length, all: one.running }) : t("live.chats");
    const rows = listed.map((chat) => {
      const waits = secondsSince(one, chat.unanswered_since, now);
      const how = standing(one, chat, now);
      const began = span(secondsSince(one, chat.since, now) ?? 0, t.language);
      const words = waits === null ? t(chat.accepted ? "live.answered" : "live.not_accepted") : span(waits, t.language);
      return {
        key: chat.chat_id,
        cells: [chat.agent, how === "late" ? t("live.too_long", { time: words }) : words, began],
        kinds: ["", how === "late" ? "bad" : how === "reminded" ? "wait" : "", ""],
        acts: [
          { name: "look", label: t("live.look_of", { name: chat.agent }), press: () => doing.look(chat, one.department) },
          { name: "reassign", label: t("live.reassign_of", { name: chat.agent }), press: () => doing.reassign(chat, agentsOf(one)) },
          { name: "revoke", label: t("live.revoke_of", { name: chat.agent }), press: () => doing.revoke(chat) },
        ],
      };
    });
    rowsOf(table, caption, rows);
    table.hidden = !rows.length;
  }

  /** @param {HTMLTableElement} table @param {LiveDepartment} one @param {number} now */
  function drawAgents(table, one, now) {
    const listed = agentsOf(one);
    const caption = one.staff > listed.length ? t("live.agents_first", { n: listed.length, all: one.staff }) : t("live.agents");
    table.hidden = !listed.length;
    rowsOf(
      table,
      caption,
      listed.map((who) => {
        const since = secondsSince(one, who.since, now);
        const state = stateWords(t, who, agent.pause_reasons);
        const there = who.state !== "offline" && who.id !== agent.id;
        return {
          key: who.id,
          cells: [who.name, since === null ? state : t("live.state_since", { state, time: span(since, t.language) }), load(t, who)],
          kinds: ["", who.state === "paused" ? "wait" : who.state === "available" ? "good" : "", ""],
          acts: [
            ...(there && who.state === "available"
              ? [{ name: "pause", label: t("live.pause_of", { name: who.name }), press: () => doing.pause(who) }]
              : []),
            ...(there ? [{ name: "logout", label: t("live.logout_of", { name: who.name }), press: () => doing.logout(who) }] : []),
          ],
        };
      }),
    );
  }

  /** @param {HTMLTableElement} table @param {string} id */
  function drawFigures(table, id) {
    const both = figures.get(id);
    table.hidden = !both?.now || !both.then;
    if (!both?.now || !both.then) return;
    setText(/** @type {Node} */ (table.tHead?.rows[0].cells[2]), weekday);
    const rows = FIGURES.map((name) => ({
      key: name,
      cells: [t(`reports.${name}`), figure(t, name, both.now), figure(t, name, both.then)],
    }));
    rowsOf(table, t("live.figures"), rows);
    for (const line of table.tBodies[0].rows) setText(/** @type {Node} */ (line.cells[2].firstChild), weekday);
  }

  loadFigures();
  draw();
  return {
    element: frame.element,
    focus: frame.focus,
    draw,
    stop() {
      turn++;
      clearInterval(timer);
    },
  };
}

/**
 * RULES: the state of an agent, in words: a pause with the reason that they chose.
 *
 * @param {Translator} t
 * @param {LiveAgent} who
 * @param {NamedOption[]} [reasons]
 */
export function stateWords(t, { state, chats, pause_reason: why }, reasons) {
  if (state === "paused" && why) return t("live.state.paused_for", { reason: optionName(reasons, why, t.language) });
  return t(`live.state.${chats && state === "available" ? "busy" : state}`);
}

/**
 * RULES: what the button of a department shows, and why.
 *
 * @param {Translator} t
 * @param {LiveDepartment} one
 * @param {number} now
 */
export function buttonWords(t, { button: shown, intake }, now) {
  const at = new Date(now);
  if (intake) {
    const values = { name: intake.name, time: clock(intake.until, t.language, at), reason: known(t, "live.reason", intake.reason) };
    return t("live.button.intake", values);
  }
  const words = known(t, "live.button", shown?.reason === "unknown" ? "other" : shown?.reason);
  return shown?.opens_at ? `${words} ${t("live.opens", { time: clock(shown.opens_at, t.language, at) })}` : words;
}

/**
 * RULES: the opening hours of today, in words.
 *
 * @param {Translator} t
 * @param {LiveDepartment} one
 */
export function hoursWords(t, { hours }) {
  if (hours === null) return t("live.always");
  return hours.length ? t("live.hours", { hours: hours.map((one) => one.replace("-", " – ")).join(", ") }) : t("live.no_hours");
}
