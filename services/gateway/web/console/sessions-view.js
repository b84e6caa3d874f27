/** Who is logged in now and where, for administrators, who can end the session of another person. */
import { endSession, sessions } from "./api.js";
import { h, setText } from "../shared/dom.js";
import { confirm } from "./dialogs.js";
import { button } from "./dom.js";
import { latest } from "./latest.js";
import { clientWords, endWords, timeWords } from "./sessions.js";
import { overview } from "./side-page.js";

/** @typedef {import("./sessions.js").Login} Login */

const COLUMNS = /** @type {const} */ (["name", "client", "network", "begun", "used", "acts"]);

/**
 * `{element, draw(), focus(), stop()}`; `say` speaks, `isOpen()` tells whether this person is still logged in here.
 *
 * @param {Translator} t
 * @param {{say(words: string, how?: string): void, isOpen(): boolean}} options
 */
export function sessionsView(t, { say, isOpen }) {
  const frame = overview(t, { title: t("sessions"), lead: t("sessions.lead"), acts: { back: null, refresh: () => asked.run() } });
  const field = h("input", { type: "search", id: "sessions-search", maxlength: "100", autocomplete: "off", hook: "sessions-search" });
  const count = h("p", { class: "past-state", role: "status", hook: "sessions-count" });
  const rows = h("div", { class: "config" });
  let stopped = false;
  const find = h(
    "form",
    {
      class: "row config-acts staff-search",
      role: "search",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        asked.run();
      },
    },
    h("label", { for: "sessions-search" }, t("staff.search")),
    field,
    button(t("staff.find"), { type: "submit", hook: "sessions-find" }),
  );
  frame.body.append(h("div", { class: "config" }, find, count, rows));

  const asked = latest(async (current) => {
    const answer = await sessions(field.value.trim());
    if (!current()) return;
    frame.tell(answer.ok ? "" : t("overview.failed"));
    if (!answer.ok) return;
    frame.asOf(new Date());
    draw(answer.body);
  });

  /** @param {{sessions: Login[], more: boolean}} found */
  function draw({ sessions: found, more }) {
    const held = rows.contains(document.activeElement);
    const words = more ? "sessions.count_more" : "sessions.count";
    setText(count, found.length ? t(words, { n: found.length }) : t("sessions.none"));
    rows.replaceChildren(...(found.length ? [table(found)] : []));
    if (held) frame.focus();
  }

  // Narrow pages show the rows as blocks, and then only the roles say that it is a table.
  /** @param {Login[]} found */
  const table = (found) =>
    h(
      "table",
      { role: "table", class: "assignments", "aria-labelledby": "overview-title", hook: "sessions-table" },
      h(
        "thead",
        { role: "rowgroup" },
        h("tr", { role: "row" }, ...COLUMNS.map((one) => h("th", { role: "columnheader", scope: "col" }, t(`sessions.column.${one}`)))),
      ),
      h("tbody", { role: "rowgroup" }, ...found.map(row)),
    );

  /** @param {Login} one */
  function row(one) {
    const name = one.name || t("sessions.not_known");
    const client = clientWords(t, one);
    const end = button(t("sessions.end"), {
      hook: "session-end",
      "aria-label": t("sessions.end_of_person", { name, client }),
      onclick: () =>
        confirm(t, {
          title: t("sessions.end_title", { name }),
          body: t("sessions.end_body", { name }),
          yes: t("sessions.end"),
          onYes: () => finish(one),
        }),
    });
    /** @type {Record<(typeof COLUMNS)[number], Node | string>} */
    const cells = {
      name: h("bdi", {}, name),
      client,
      network: h("bdi", {}, one.network || t("sessions.not_known")),
      begun: timeWords(t, one.begun_at),
      used: timeWords(t, one.used_at),
      acts: one.current ? t("sessions.current") : end,
    };
    /** @param {(typeof COLUMNS)[number]} column */
    const cell = (column) => {
      const [tag, role] = column === "name" ? /** @type {const} */ (["th", "rowheader"]) : /** @type {const} */ (["td", "cell"]);
      const label = h("span", { class: "label", "aria-hidden": "true" }, t(`sessions.column.${column}`));
      return h(tag, { role, scope: tag === "th" ? "row" : null }, label, h("span", {}, cells[column]));
    };
    return h("tr", { role: "row", hook: "session" }, ...COLUMNS.map(cell));
  }

  /** @param {Login} one */
  async function finish(one) {
    const answer = await endSession(one.id);
    if (!isOpen()) return;
    say(endWords(t, answer), answer.ok ? "announce" : "loud");
    if (!stopped) asked.run();
  }

  frame.asOf(null);
  asked.run();
  return {
    element: frame.element,
    focus: () => frame.focus(),
    draw() {},
    stop() {
      stopped = true;
      asked.stop();
    },
  };
}
