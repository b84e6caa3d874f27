/** The dialog in which people see where they are logged in, and end their other sessions. */
import { endOwnSession, ownSessions } from "./api.js";
import { show } from "./dialogs.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { latest } from "./latest.js";
import { clientWords, endWords, timeWords } from "./sessions.js";

/** @typedef {import("./sessions.js").Login} Login */

/** @param {Translator} t */
export function showSessions(t) {
  const state = h("p", { role: "status", hook: "sessions-state" }, t("overview.loading"));
  const alert = h("p", { class: "alert", role: "alert" });
  const rows = h("ul", { class: "questions", hook: "sessions-list" });
  const again = button(t("overview.refresh"), { hook: "sessions-refresh", onclick: () => asked.run("") });
  const shut = button(t("dialog.shut"), { hook: "sessions-shut", onclick: () => dialog.close() });
  const dialog = show(t("sessions.own"), [
    h("div", { class: "body" }, h("p", {}, t("sessions.own_lead")), rows, state, alert, h("div", { class: "row" }, again, shut)),
  ]);
  let busy = false;

  // `said`: what stands under the list when it is there; "": how many there are
  const asked = latest(async (current, /** @type {string} */ said) => {
    const answer = await ownSessions();
    if (!dialog.open || !current()) return; // what was asked before a session ended may still have it
    setText(alert, answer.ok ? "" : t("overview.failed"));
    if (!answer.ok) return setText(state, said);
    /** @type {Login[]} */
    const found = answer.body.sessions;
    const held = rows.contains(document.activeElement);
    rows.replaceChildren(...[...found].sort((a, b) => Number(b.current) - Number(a.current)).map(row));
    setText(state, said || (found.length > 1 ? "" : t("sessions.only")));
    if (held) /** @type {HTMLElement} */ (rows.querySelector("button") ?? shut).focus();
  });

  /** @param {Login} one */
  function row(one) {
    const client = clientWords(t, one);
    const begun = timeWords(t, one.begun_at);
    return h(
      "li",
      { class: "question", hook: "session" },
      h("h3", {}, client, one.current && ` (${t("sessions.current")})`),
      h(
        "p",
        { class: "facts" },
        h("span", {}, t("sessions.begun", { time: begun })),
        h("span", {}, t("sessions.used", { time: timeWords(t, one.used_at) })),
        h("span", {}, t("sessions.from", { network: one.network || t("sessions.not_known") })),
      ),
      !one.current &&
        h(
          "div",
          { class: "row" },
          button(t("sessions.end"), {
            hook: "session-end",
            "aria-label": t("sessions.end_of", { client, time: begun }),
            onclick: (/** @type {Event} */ event) => end(one, /** @type {HTMLElement} */ (event.currentTarget)),
          }),
        ),
    );
  }

  /** @param {Login} one @param {HTMLElement} pressed */
  async function end(one, pressed) {
    if (busy) return;
    busy = true;
    setText(alert, ""); // the same words again are news again
    setText(state, "");
    setAttribute(pressed, "aria-disabled", "true");
    const answer = await endOwnSession(one.id);
    busy = false;
    if (!dialog.open) return;
    setAttribute(pressed, "aria-disabled", null);
    if (answer.ok || answer.code === "no_such_session") return asked.run(endWords(t, answer));
    setText(alert, endWords(t, answer));
  }

  asked.run("");
}
