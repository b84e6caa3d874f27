/** The archive of questions that are done: who did it and when, found by number, day and department; opened again from here. */
import * as api from "./api.js";
import { confirm } from "./dialogs.js";
import { h, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { clock, size, today } from "./format.js";
import { known } from "./i18n.js";
import { latest } from "./latest.js";
import { nameOf, question, readInto, undoRefusal } from "./left-questions.js";
import { overview } from "./side-page.js";

const LAST = "9998-12-31"; // the last day that the server takes; a year has four digits

/**
 * RULES: whether this agent may open a question again: the one who did it, and a supervisor.
 *
 * @param {DoneQuestion} one
 * @param {{id: string, supervisor?: boolean}} agent
 */
export const mayUndo = (one, agent) => one.done.agent_id === agent.id || agent.supervisor === true;

/**
 * RULES: what the server is asked with what stands in the fields. A number may be typed in groups and in small letters.
 *
 * @param {Record<string, string>} given
 */
export const wishOf = ({ number = "", ...rest }) => ({
  number: number.replace(/[\s-]/g, "").toUpperCase(),
  ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value.trim()])),
});

/**
 * RULES: a moment in words, with its year where that is not this year, both in the service's time zone.
 *
 * @param {string} at
 * @param {string} language
 * @param {Date} now
 */
export function dated(at, language, now) {
  const [year, current] = [new Date(at), now].map((one) => today(one).slice(0, 4));
  const words = clock(at, language, now);
  return year === current ? words : `${words} ${year}`;
}

/**
 * `{element, draw(), focus(), stop()}`; `left` as `leftQuestions()`, `agent` who is logged in, `departments()` names departments by id, `say`
 * speaks, `acts` as in `overview`, and `questions()`.
 *
 * @param {Translator} t
 * @param {{left: ReturnType<typeof import("./left-questions.js").leftQuestions>, agent: AgentWelcomeFrame["agent"], departments(): Map<string, string>, say(words: string, how?: string): void, acts: {back(): void, questions(): void}}} options
 */
export function archiveView(t, { left, agent, departments, say, acts }) {
  let shown = 0;
  /** @type {string | null} */
  let next = null;
  /** @type {Date | null} */
  let at = null;
  /** @type {Record<string, string>} */
  let wish = {};
  const number = h("input", {
    type: "search",
    hook: "archive-number",
    maxlength: "20",
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    "aria-describedby": "archive-hint",
  });
  const [from, until] = ["from", "until"].map((name) => h("input", { type: "date", max: LAST, hook: `archive-${name}` }));
  const department = h(
    "select",
    { hook: "archive-department" },
    h("option", { value: "" }, t("past.any")),
    ...agent.departments.map((id) => h("option", { value: id }, id)),
  );
  /** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
  const inputs = { number, from, until, ...(agent.departments.length > 1 ? { department } : {}) };
  const search = h(
    "form",
    { class: "past-search", role: "search", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), choose()) },
    h(
      "div",
      { class: "past-words" },
      ...Object.entries(inputs).map(([name, input]) => h("label", { class: "field" }, t(`archive.by_${name}`), input)),
      button(t("past.search"), { type: "submit", class: "main", hook: "archive-search" }),
      button(t("past.clear"), { hook: "archive-clear", onclick: clear }),
    ),
    h("p", { id: "archive-hint", class: "hint" }, t("archive.hint")),
  );
  const frame = overview(t, {
    title: t("archive"),
    lead: t(agent.supervisor ? "archive.lead_supervisor" : "archive.lead"),
    extra: [button(t("archive.questions"), { symbol: "inbox", hook: "archive-questions", onclick: toQuestions }), search],
    acts: { back: acts.back, refresh: () => load() },
  });
  const state = h("p", { class: "past-state", role: "status", tabindex: "-1", hook: "archive-state" });
  const rows = h("ul", { class: "questions", hook: "archive-list" });
  const onward = button(t("archive.more"), { hook: "archive-more", hidden: true, onclick: () => load(true) });
  frame.body.append(state, rows, onward);

  function toQuestions() {
    left.refresh(); // colleagues undo too
    acts.questions();
  }

  function choose() {
    wish = wishOf(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value])));
    load();
  }

  function clear() {
    for (const input of Object.values(inputs)) input.value = "";
    choose();
    number.focus();
  }

  const asked = latest(async (current, /** @type {boolean} */ further) => {
    frame.tell("");
    frame.asOf(null);
    setText(state, t("overview.loading"));
    const answer = await api.questionArchive(wish, further ? next : null);
    if (!current()) return;
    if (answer.ok) at = new Date();
    frame.asOf(at);
    if (!further) (rows.replaceChildren(), (shown = 0)); // what is there is not what was asked for
    if (!answer.ok) {
      onward.hidden = !further;
      count();
      return frame.tell(known(t, "archive.problem", answer.code));
    }
    const found = /** @type {DoneQuestion[]} */ (answer.body?.questions ?? []);
    const before = rows.childElementCount;
    rows.append(...found.map((one) => row(one)));
    shown += found.length;
    next = answer.body?.next ?? null;
    onward.hidden = next === null;
    count();
    if (further) /** @type {HTMLElement} */ (rows.children[before]?.querySelector("h3") ?? state).focus();
  });

  function load(further = false) {
    if (!further) onward.hidden = true; // there is no more yet of what is searched now
    return asked.run(further);
  }

  function count() {
    setText(state, shown ? t("archive.count", { n: shown }) : at ? t("archive.none") : "");
  }

  /** @param {DoneQuestion} one */
  function row(one) {
    const node = question(t, one);
    const [place, who, files, doable, read] = [".department", ".who", ".files", ".doable", ".read"].map(
      (part) => /** @type {HTMLElement} */ (node.querySelector(part)),
    );
    node.dataset.testid = "archived-question";
    node.dataset.chat = one.chat_id;
    place.dataset.department = one.department;
    setText(place, departments().get(one.department) ?? one.department);
    who.replaceChildren(
      t(one.done.agent_id === agent.id ? "archive.done_by_you" : "archive.done_by", { name: one.done.name ?? one.done.agent_id }),
      " ",
      h("time", { datetime: one.done.at }, dated(one.done.at, t.language, new Date())),
    );
    who.dataset.testid = "archived-by";
    const mine = mayUndo(one, agent);
    files.replaceChildren(...(one.files ?? []).map((file) => fileOf(one, file, mine)));
    if (!mine) return node;
    const about = { name: nameOf(one, t) };
    if (one.source !== "button")
      doable.append(
        button(t("questions.read"), {
          hook: "archive-read",
          "aria-label": t("questions.read_of", about),
          onclick: () => readInto(t, read, one, agent, departments()),
        }),
      );
    doable.append(
      button(t("questions.undo"), {
        hook: "archive-undo",
        "aria-label": t("questions.undo_of", about),
        onclick: () => (one.done.agent_id === agent.id ? undo(one, node) : ask(one, node)),
      }),
    );
    return node;
  }

  /** @param {DoneQuestion} one @param {Attachment} file @param {boolean} mine */
  function fileOf(one, file, mine) {
    const name = h("bdi", {}, file.name);
    const weight = h("small", {}, `(${size(file.size, t.language)})`);
    return h("li", {}, mine ? h("a", { href: api.questionFileUrl(one.chat_id, file.id), download: true }, name) : name, " ", weight);
  }

  /** What a colleague has done is not opened again without a thought. @param {DoneQuestion} one @param {HTMLElement} node */
  function ask(one, node) {
    const name = one.done.name ?? one.done.agent_id;
    confirm(t, {
      title: t("archive.confirm"),
      body: t("archive.confirm_body", { name, citizen: nameOf(one, t) }),
      yes: t("questions.undo"),
      onYes: () => undo(one, node),
    });
  }

  /** The focus goes to the next question, or to what is said of the list. @param {DoneQuestion} one @param {HTMLElement} node */
  async function undo(one, node) {
    const { problem, name } = await left.undo(one.chat_id, one.done.agent_id);
    if (problem !== null) {
      say(undoRefusal(t, problem, name), "loud");
      if (problem === "gone" || problem === "done") await load();
    } else {
      say(t("questions.said_undone"));
      if (node.parentNode !== rows) return;
      const beside = node.nextElementSibling ?? node.previousElementSibling;
      const had = node.contains(document.activeElement);
      node.remove();
      shown -= 1;
      count();
      if (had || document.activeElement === document.body) /** @type {HTMLElement} */ (beside?.querySelector("h3") ?? state).focus();
    }
    if (frame.element.isConnected && document.activeElement === document.body) frame.focus();
  }

  function draw() {
    for (const option of department.options) if (option.value) setText(option, departments().get(option.value) ?? option.value);
    for (const place of rows.querySelectorAll("[data-department]")) {
      const id = /** @type {HTMLElement} */ (place).dataset.department ?? "";
      setText(/** @type {HTMLElement} */ (place), departments().get(id) ?? id);
    }
  }

  load();
  return { element: frame.element, focus: frame.focus, draw, stop: asked.stop };
}
