/** The choice of a role, after a login at the issuer by a person who has several. */
import { chooseRole, roles } from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";
import { refusal } from "./login.js";

/**
 * Fills `root` with the roles. `onDone()` after the choice; `onLost(code)` when there is nothing to choose (any more).
 *
 * @param {HTMLElement} root
 * @param {Translator} t
 * @param {{onDone(): void, onLost(code: string): void}} options
 */
export async function showRoles(root, t, { onDone, onLost }) {
  const answer = await roles();
  if (!answer.ok) return onLost(answer.status === 401 ? "oidc_expired" : "unavailable");
  const alert = h("p", { class: "alert", role: "alert" });

  let busy = false;

  // A choice is made once: the server knows none of a second press, and would send the person back to the login.
  /** @param {string} id */
  async function choose(id) {
    if (busy) return;
    hold(true);
    setText(alert, "");
    const chosen = await chooseRole(id);
    if (chosen.ok) return onDone();
    if (chosen.status === 401) return onLost("oidc_expired");
    hold(false);
    setText(alert, refusal(t, chosen));
  }

  /** @param {boolean} now */
  function hold(now) {
    busy = now;
    for (const one of buttons) setAttribute(one, "aria-disabled", now && "true");
  }

  const choices = /** @type {any[]} */ (answer.body.choices);
  const buttons = choices.map((one) => button(words(t, one), { class: "main", hook: "login-role", onclick: () => choose(one.id) }));
  const title = h("h2", { tabindex: "-1" }, t("login.role_title"));
  root.replaceChildren(
    title,
    h("p", { class: "lead" }, t("login.role_lead")),
    h("ul", { class: "roles" }, ...buttons.map((one) => h("li", {}, one))),
    alert,
  );
  title.focus();
}

/** @param {Translator} t @param {any} one */
function words(t, one) {
  const where = one.organisation_name || one.organisation || one.departments.join(", ");
  if (one.role) return t(one.role === "auditor" ? "login.role_auditor" : "login.role_administrator", { where: where || t("title") });
  return t(one.supervisor ? "login.role_supervisor" : "login.role_agent", { where });
}
