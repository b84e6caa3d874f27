/** What departments would be: the button of each as it would be now, and the year of one. */
import { h } from "../shared/dom.js";
import { day, moment } from "./format.js";
import { latest } from "./latest.js";

/** @typedef {{department: string, names: Record<string, string>, colour: string, reason: string, opens_at: string | null}} ButtonNow */
/** @typedef {{day: string, hours: string[], holiday: string | null, bridge: boolean}} PlannedDay */
/** @typedef {import("./configuration.js").Outcome} Outcome */

/**
 * `{element, show(), hide()}`: `show` asks what would be, and `tell` hears the outcome. `department`: whose year is shown; null: the one that is
 * chosen. What is asked before `hide()` is not shown after it, nor where its form is gone.
 *
 * @param {Translator} t
 * @param {{department: string | null, check(year: number, of: string): Promise<Outcome>, tell(outcome: Outcome): void}} options
 */
export function previewOf(t, { department, check, tell }) {
  const element = h("section", {
    class: "config-preview",
    hidden: true,
    hook: "config-preview",
    "aria-labelledby": "config-preview-title",
  });
  const heading = h("h4", { id: "config-preview-title", tabindex: "-1" }, t("config.preview"));
  let year = new Date().getFullYear();
  let of = department ?? "";

  let hidden = 0; // counts

  let shown = { year, of };

  const asked = latest(async (current, /** @type {HTMLElement} */ focus) => {
    const before = hidden;
    let outcome = await check(year, of);
    if (outcome.body && !outcome.body.departments.includes(of)) {
      [of] = outcome.body.departments;
      outcome = await check(year, of);
    }
    if (!current() || before !== hidden || !element.isConnected) return;
    tell(outcome);
    if (!outcome.body) return takeBack();
    shown = { year, of };
    const { buttons, days } = outcome.body;
    element.replaceChildren(heading, table(t, "config.buttons_now", buttonRows(t, buttons)), ...choices(buttons), ...yearOf(days));
    element.hidden = false;
    (focus === heading ? focus : document.getElementById(focus.id))?.focus();
  });

  // A choice whose answer did not come: what is shown is still of the choice before.
  function takeBack() {
    ({ year, of } = shown);
    for (const [id, value] of [
      ["config-year", String(year)],
      ["config-of", of],
    ]) {
      const select = /** @type {HTMLSelectElement | null} */ (element.querySelector(`#${id}`));
      if (select) select.value = value;
    }
  }

  const show = (/** @type {HTMLElement} */ focus = heading) => asked.run(focus);

  /** @param {ButtonNow[]} buttons */
  function choices(buttons) {
    const years = [0, 1, 2].map((more) => new Date().getFullYear() + more);
    const chosen = h(
      "select",
      { id: "config-year", hook: "config-year", onchange: () => ((year = Number(chosen.value)), show(chosen)) },
      ...years.map((one) => h("option", { value: String(one), selected: one === year }, String(one))),
    );
    const which = h(
      "select",
      { id: "config-of", hook: "config-of", onchange: () => ((of = which.value), show(which)) },
      ...buttons.map((one) => h("option", { value: one.department, selected: one.department === of }, one.names[t.language])),
    );
    return [
      !department && h("label", { class: "field" }, t("config.of"), which),
      h("label", { class: "field" }, t("config.year"), chosen),
    ].filter((one) => one !== false);
  }

  /** @param {PlannedDay[] | null} days */
  function yearOf(days) {
    if (!days) return [h("p", {}, t("config.always"))];
    if (!days.length) return [h("p", {}, t("config.no_days"))];
    return [table(t, "config.days", dayRows(t, days))];
  }

  return { element, show: () => show(), hide: () => ((hidden += 1), (element.hidden = true)) };
}

/**
 * RULES: the rows of the buttons: department, and its button in words.
 *
 * @param {Translator} t
 * @param {ButtonNow[]} buttons
 */
export const buttonRows = (t, buttons) =>
  buttons.map((one) => [
    one.names[t.language],
    t("config.button", { colour: t(`config.colour.${one.colour}`), reason: t(`config.reason.${one.reason}`) }) +
      (one.opens_at ? ` ${t("config.opens", { time: moment(one.opens_at, t.language) })}` : ""),
  ]);

/**
 * RULES: the rows of a year: the day, and its hours or why it is closed.
 *
 * @param {Translator} t
 * @param {PlannedDay[]} days
 */
export const dayRows = (t, days) =>
  days.map((one) => [
    day(one.day, t.language, { weekday: "long", day: "numeric", month: "long" }),
    [one.hours.length ? one.hours.join(", ") : t(one.bridge ? "config.bridge" : "config.closed_day"), one.holiday && `(${one.holiday})`]
      .filter(Boolean)
      .join(" "),
  ]);

/**
 * @param {Translator} t
 * @param {string} caption
 * @param {string[][]} rows
 */
function table(t, caption, rows) {
  const body = rows.map(([first, second]) => h("tr", {}, h("th", { scope: "row" }, first), h("td", {}, second)));
  return h("table", { class: "config-table" }, h("caption", {}, t(caption)), h("tbody", {}, ...body));
}
