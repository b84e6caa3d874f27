/** What was changed of an account of the staff, the newest first, each with the way back. */
import { h } from "../shared/dom.js";
import { confirm } from "./dialogs.js";
import { button } from "./dom.js";
import { moment } from "./format.js";
import { known } from "./i18n.js";
import { refusal } from "./staff-form.js";
import { changesOf, requests, servedWords } from "./staff.js";

/** @typedef {import("./staff.js").StaffEntry} StaffEntry */
/** @typedef {import("./staff.js").StaffOutcome} StaffOutcome */

/**
 * `{element, focus()}` of an account. `onDone(outcome)` takes the outcome of an undo; it returns whether it is to be told here that it was refused.
 *
 * @param {Translator} t
 * @param {{username: string, departments: import("./staff.js").Department[], onBack(): void, onDone(outcome: StaffOutcome): boolean}} options
 */
export function staffHistory(t, { username, departments, onBack, onDone }) {
  const heading = h("h3", { tabindex: "-1" }, t("staff.history_of", { name: username }));
  const said = refusal(t, load);
  const rows = h("ul", { class: "questions", hook: "staff-history-list" });
  let revision = 0;
  let busy = false;

  /** @returns {Promise<StaffOutcome>} */
  async function load() {
    const outcome = await requests.history(username);
    const held = said.element.contains(document.activeElement);
    said.tell(outcome);
    if (!outcome.body) return outcome;
    revision = outcome.body.revision;
    rows.replaceChildren(...outcome.body.entries.map((/** @type {StaffEntry} */ entry) => row(entry, outcome.body.removed)));
    if (held) heading.focus();
    return outcome;
  }

  /** @param {StaffEntry} entry @param {boolean} removed */
  function row(entry, removed) {
    const number = entry.revision;
    const may = entry.undoable && (removed ? number === revision : entry.act !== "removed");
    return h(
      "li",
      { class: "question" },
      h("h4", {}, known(t, "staff.did", entry.act)),
      h(
        "p",
        { class: "facts" },
        h("span", {}, moment(entry.at, t.language)),
        h("span", {}, entry.act === "begun" ? t("access.role.operator") : h("bdi", {}, entry.by.name)),
      ),
      h("ul", { class: "files" }, ...(entry.act === "removed" ? [] : changesOf(entry).map(change))),
      may &&
        h(
          "div",
          { class: "row" },
          button(t("staff.undo"), {
            hook: `staff-undo-${number}`,
            "aria-label": `${t("staff.undo")}: ${known(t, "staff.did", entry.act)}, ${moment(entry.at, t.language)}`,
            onclick: () =>
              busy || confirm(t, { title: t("staff.undo"), body: t("staff.undo_body"), yes: t("staff.undo"), onYes: () => undo(number) }),
          }),
        ),
    );
  }

  /** @param {{field: string, before: any, after: any}} one */
  function change({ field, before, after }) {
    const name = t(`staff.column.${field}`);
    if (before === undefined) return h("li", {}, t("staff.set", { field: name, after: words(field, after) }));
    return h("li", {}, t("staff.set_from", { field: name, before: words(field, before), after: words(field, after) }));
  }

  /** @param {string} field @param {any} value */
  function words(field, value) {
    if (field === "role") return t(`staff.role.${value}`);
    if (field === "departments") return servedWords(t, departments, value);
    if (field === "locales") return value.map((/** @type {string} */ id) => t(`locale.${id}`)).join(", ");
    return typeof value === "boolean" ? t(value ? "staff.yes" : "staff.no") : String(value);
  }

  /** @param {number} of */
  async function undo(of) {
    busy = true;
    said.tell(null);
    const outcome = await requests.act({ username, revision }, "undo", of);
    busy = false;
    if (onDone(outcome)) said.tell(outcome);
  }

  load();
  const element = h(
    "div",
    { class: "config-versions" },
    heading,
    h("div", { class: "row config-acts" }, button(t("staff.back"), { symbol: "back", hook: "staff-back", onclick: onBack })),
    said.element,
    rows,
  );
  return { element, focus: () => heading.focus() };
}
