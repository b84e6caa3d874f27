/** The line below the bar: the button of each of the agent's departments and why, today's opening hours, and who waits. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { keyed } from "./dom.js";
import { clock, span, today } from "./format.js";
import { known } from "./i18n.js";
import { secondsSince } from "./live-state.js";
import { EMPTY, summary } from "./own-departments.js";
import { timeFormat } from "../shared/format.js";

const DAY = 86_400_000; // ms
const WEEK = 6; // days for which the name of the day says enough
const TABLE = "own-departments";

/**
 * `{element, draw(desk)}`; `own` as `ownDepartments()`, `names()` names departments by id.
 *
 * @param {Translator} t
 * @param {{own: ReturnType<typeof import("./own-departments.js").ownDepartments>, departments: string[], names(): Map<string, string>}} options
 */
export function departmentBar(t, { own, departments, names }) {
  const order = new Intl.Collator(t.language);
  const one = oneLine();
  const many = disclosure();
  const element = h("div", { class: "bar-departments", role: "group", "aria-label": t("bar.title"), hook: "departments", hidden: true });

  /** One department: its line. */
  function oneLine() {
    const line = h(
      "p",
      { class: "bar-line", hook: "department-line" },
      dot(),
      h("strong", {}, h("bdi", {})),
      ...["state", "hours", "waiting"].map((name) => h("span", { class: `bar-${name}` })),
    );
    return {
      element: line,
      /** @param {OwnDepartment[]} list @param {string} problem why nothing is known, or "" @param {number} now */
      draw([department], problem, now) {
        const [light, name, state, hours, waiting] = [...line.children];
        setAttribute(light, "data-colour", problem ? null : (department.button?.colour ?? null));
        setText(/** @type {Node} */ (name.firstChild), nameOf(department));
        setText(state, problem ? t(problem) : stateWords(t, department, now));
        setText(hours, problem ? "" : todayWords(t, department));
        fillWaiting(waiting, problem ? null : department, now);
      },
    };
  }

  /** Several departments: how they stand together, and a table on request. */
  function disclosure() {
    const parts = ["green", "blue"].map((colour) =>
      h("span", { class: "bar-part" }, h("span", { class: "dot", "aria-hidden": "true", "data-colour": colour }), h("span", {})),
    );
    const unknown = h("span", {});
    const where = h("bdi", {});
    const waiting = h("span", { class: "bar-waiting" }, h("span", {}), h("span", {}, " (", where, ")"));
    const opener = h(
      "button",
      {
        type: "button",
        class: "bar-open",
        "aria-expanded": "false",
        "aria-controls": TABLE,
        hook: "departments-open",
        onclick: () => expand(panel.hidden),
      },
      h("span", { class: "bar-title" }, t("bar.title")),
      unknown,
      ...parts,
      waiting,
    );
    const rows = h("tbody", { role: "rowgroup" });
    const panel = h(
      "div",
      {
        id: TABLE,
        class: "bar-sheet",
        role: "region",
        "aria-label": t("bar.title"),
        tabindex: "0",
        hook: "departments-table",
        hidden: true,
      },
      h(
        "table",
        { role: "table" },
        h(
          "thead",
          { role: "rowgroup" },
          h(
            "tr",
            { role: "row" },
            ...["department", "button", "hours", "queue"].map((name) => h("th", { role: "columnheader", scope: "col" }, t(`bar.${name}`))),
          ),
        ),
        rows,
      ),
    );
    const box = h("div", { class: "bar-many", onkeydown: onKey, onfocusout: onLeave }, opener, panel);
    /** @type {[OwnDepartment[], number]} */
    let last = [[], 0];

    /** @param {boolean} open */
    function expand(open) {
      if (open && opener.getAttribute("aria-disabled")) return;
      if (!open && panel.contains(document.activeElement)) opener.focus();
      panel.hidden = !open;
      setAttribute(opener, "aria-expanded", String(open));
      if (open) drawRows(...last);
    }

    /** @param {KeyboardEvent} event */
    function onKey(event) {
      if (event.key !== "Escape" || panel.hidden) return;
      expand(false);
      opener.focus();
    }

    /** @param {FocusEvent} event */
    function onLeave({ relatedTarget }) {
      if (relatedTarget && !box.contains(/** @type {Node} */ (relatedTarget))) expand(false);
    }

    /** @param {OwnDepartment[]} list @param {number} now */
    function drawRows(list, now) {
      keyed(
        rows,
        list.map((department) => ({ key: department.department, department })),
        ({ department }, before) => {
          const row = before ?? tableRow();
          const [name, state, hours, queue] = [...row.children];
          setText(name.firstChild, nameOf(department));
          setAttribute(state.firstChild, "data-colour", department.button?.colour ?? null);
          setText(state.lastChild, stateWords(t, department, now));
          setText(hours, todayWords(t, department));
          fillWaiting(queue, department, now);
          return row;
        },
      );
    }

    return {
      element: box,
      /** @param {OwnDepartment[]} list @param {string} problem why nothing is known, or "" @param {number} now */
      draw(list, problem, now) {
        last = [list, now];
        const { green, blue, waiting: count, longest } = summary(list, now);
        setAttribute(opener, "aria-disabled", problem ? "true" : null);
        setText(unknown, problem ? t(problem) : "");
        unknown.hidden = !problem;
        for (const [n, part] of parts.entries()) {
          part.hidden = Boolean(problem) || ![green, blue][n];
          setText(/** @type {Node} */ (part.lastChild), n ? t("bar.blue", { n: blue }) : t("bar.green", { n: green }));
        }
        const [words, place] = /** @type {HTMLElement[]} */ ([...waiting.children]);
        waiting.hidden = Boolean(problem) || count === null;
        setText(words, waitingWords(t, count, longest?.seconds ?? null));
        waiting.classList.toggle("some", Boolean(count));
        place.hidden = !longest;
        setText(where, longest ? nameOf(longest.one) : "");
        if (problem) expand(false);
        else if (!panel.hidden) drawRows(list, now);
      },
    };
  }

  /** @param {Element} place @param {OwnDepartment | null} department @param {number} now */
  function fillWaiting(place, department, now) {
    const queue = department?.waiting;
    const seconds = department && queue?.count ? secondsSince(department, queue.since, now) : null;
    setText(place, waitingWords(t, queue ? queue.count : null, seconds));
    place.classList.toggle("some", Boolean(queue?.count));
  }

  /** @param {string} id @returns {OwnDepartment} */
  const stateOf = (id) => own.known().get(id) ?? { ...EMPTY, department: id, ahead: 0 };
  /** @param {OwnDepartment} one */
  const nameOf = ({ department }) => names().get(department) ?? department;

  return {
    element,
    /** @param {Desk} desk */
    draw(desk) {
      const can = desk.frames.includes("departments");
      element.hidden = !departments.length || (desk.welcomed ? !can : !own.known().size);
      if (element.hidden) return;
      const list = departments.map(stateOf).sort((a, b) => order.compare(nameOf(a), nameOf(b)));
      const shown = list.length > 1 ? many : one;
      if (element.firstChild !== shown.element) element.replaceChildren(shown.element);
      shown.draw(list, !desk.welcomed ? "bar.offline" : own.current() ? "" : "bar.loading", own.now());
    },
  };
}

const dot = () => h("span", { class: "dot", "aria-hidden": "true" });

const tableRow = () =>
  h(
    "tr",
    { role: "row" },
    h("th", { role: "rowheader", scope: "row" }, h("bdi", {})),
    h("td", { role: "cell" }, dot(), h("span", {})),
    h("td", { role: "cell" }),
    h("td", { role: "cell" }),
  );

/**
 * RULES: the colour of the button and why it is so, in a few words.
 *
 * @param {Translator} t
 * @param {OwnDepartment} one
 * @param {number} now
 */
export function stateWords(t, { button, intake }, now) {
  if (intake) {
    const time = clock(intake.until, t.language, new Date(now));
    return intake.name ? t("bar.intake_by", { name: intake.name, time }) : t("bar.intake", { time });
  }
  const when = button?.reason === "closed" ? opening(t, button.opens_at, now) : "";
  return when ? t("bar.state.closed_until", { when }) : known(t, "bar.state", button?.reason);
}

/**
 * RULES: when a department opens: `om 13.30 u.`, `morgen 9 u.`, `maandag 9 u.`; empty when that is not known.
 *
 * @param {Translator} t
 * @param {string | null | undefined} at
 * @param {number} now
 */
export function opening(t, at, now) {
  const moment = new Date(at ?? NaN);
  if (Number.isNaN(moment.getTime())) return "";
  const [hour, m] = timeFormat("nl", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment).split(":");
  const time = t(m === "00" ? "bar.hour" : "bar.time", { h: Number(hour), m });
  const days = Math.round((Date.parse(today(moment)) - Date.parse(today(new Date(now)))) / DAY);
  if (days < 1) return t("bar.opens_today", { time });
  if (days < 2) return t("bar.opens_tomorrow", { time });
  if (days <= WEEK) return t("bar.opens_day", { day: timeFormat(t.language, { weekday: "long" }).format(moment), time });
  return t("bar.opens_date", { day: timeFormat(t.language, { day: "numeric", month: "short" }).format(moment), time });
}

/**
 * RULES: the opening hours of today; empty while they are not known.
 *
 * @param {Translator} t
 * @param {OwnDepartment} one
 */
export function todayWords(t, { hours }) {
  if (hours === undefined) return "";
  if (hours === null) return t("bar.always");
  return hours.length ? t("bar.today", { hours: hours.map((one) => one.replace("-", " – ")).join(", ") }) : t("bar.no_hours");
}

/**
 * RULES: how many chats wait, and how long the one that has waited longest: in whole minutes, so that the words stay a while. Empty while it is
 * not known.
 *
 * @param {Translator} t
 * @param {number | null} count
 * @param {number | null} seconds
 */
export function waitingWords(t, count, seconds) {
  if (count === null) return "";
  if (!count) return t("bar.nobody");
  if (seconds === null) return t("bar.waiting", { n: count });
  return t("bar.waiting_long", { n: count, time: seconds < 60 ? t("bar.under_minute") : span(seconds - (seconds % 60), t.language) });
}
