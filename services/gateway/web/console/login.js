/** The login form. */
import { login, loginWays } from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";

/**
 * Why it did not work, in words. `answer` as `api.ask` gives it.
 *
 * @param {Translator} t
 * @param {Answer} answer
 */
export function refusal(t, answer) {
  if (answer.code === "totp_required") return t("login.totp_required");
  if (answer.code === "password_change_required") return t("login.new_required");
  return refusalOfPassword(t, answer, t("login.bad_credentials"));
}

/**
 * Why a password, or a new one, was not accepted, in words; `unknown` is said where it is not known who asks.
 *
 * @param {Translator} t
 * @param {Answer} answer
 * @param {string} unknown
 */
export function refusalOfPassword(t, answer, unknown) {
  if (answer.code === "password_too_short") return t("password.too_short", { n: SHORTEST });
  if (answer.code === "password_easy") return t("password.easy");
  if (answer.code === "password_common") return t("password.common");
  if (answer.code === "password_breached") return t("password.breached");
  if (answer.code === "password_unchanged") return t("password.unchanged");
  if (answer.status === 401) return unknown;
  if (answer.status === 429) return t("login.rate_limited", { n: answer.retryAfter ?? 60 });
  return unansweredWords(t, answer);
}

/**
 * Why the server could not say who this is, in words.
 *
 * @param {Translator} t
 * @param {Answer} answer
 */
export function unansweredWords(t, { status, code }) {
  if (code === "no_answer") return t("login.no_answer");
  return t(status === 0 ? "login.network" : "login.unavailable");
}

export const SHORTEST = 12; // characters of a password, as presence has it
const OUTCOMES = ["oidc_cancelled", "oidc_expired", "oidc_failed", "oidc_acr", "oidc_no_role", "rate_limited", "unavailable"];

/**
 * What a login at the issuer came back with, in words; "" when it says nothing. `outcome` stands in the address: it may be anything.
 *
 * @param {Translator} t
 * @param {string} outcome
 */
export function outcomeWords(t, outcome) {
  if (!OUTCOMES.includes(outcome)) return "";
  if (outcome === "rate_limited") return t("login.rate_limited", { n: 60 });
  return t(/** @type {any} */ (`login.${outcome}`));
}

/**
 * Fills `root` with the form; `why` is a text that stands above it (or ""); `onDone(username)` after a good login. Without `focus` the cursor stays out of
 * the fields: somebody was typing when the session ended, and the rest of it is no user name.
 *
 * @param {HTMLElement} root
 * @param {Translator} t
 * @param {string} why
 * @param {{focus: boolean, onDone(username: string): void}} options
 */
export function showLogin(root, t, why, { focus, onDone }) {
  const alert = h("p", { class: "alert", role: "alert", id: "login-alert" });
  /** @param {string} name @param {string} type @param {string} complete */
  const field = (name, type, complete) =>
    h("input", {
      type,
      name,
      id: `login-${name}`,
      autocomplete: complete,
      required: true,
      "aria-describedby": "login-alert",
      hook: `login-${name}`,
      spellcheck: "false",
      autocapitalize: "none",
    });
  const username = field("username", "text", "username");
  const password = field("password", "password", "current-password");
  const code = field("code", "text", "one-time-code");
  setAttribute(code, "inputmode", "numeric");
  const codeField = h("label", { class: "field", hidden: true }, t("login.code"), code);
  const fresh = field("new", "password", "new-password");
  const again = field("again", "password", "new-password");
  const freshFields = h(
    "div",
    { hidden: true },
    h("label", { class: "field" }, t("password.new"), fresh),
    h("p", { class: "lead" }, t("password.hint", { n: SHORTEST })),
    h("label", { class: "field" }, t("password.again"), again),
  );
  const submit = button(t("login.submit"), { type: "submit", class: "main", hook: "login-submit" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("label", { class: "field" }, t("login.username"), username),
    h("label", { class: "field" }, t("login.password"), password),
    freshFields,
    codeField,
    alert,
    submit,
  );

  let asked = ""; // the username whose code or new password is asked

  // A code and a new password are asked of one person: another one begins anew.
  username.addEventListener("input", () => {
    if (username.value === asked) return;
    freshFields.hidden = codeField.hidden = true;
    for (const one of [fresh, again, code]) one.value = "";
  });

  /** @param {HTMLElement} empty */
  function missing(empty) {
    if (empty === code) return "login.totp_required";
    return empty === fresh || empty === again ? "login.new_required" : "login.missing";
  }

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    const shown = [username, password, ...(freshFields.hidden ? [] : [fresh, again]), ...(codeField.hidden ? [] : [code])];
    const empty = shown.filter((one) => !one.value);
    for (const one of shown) setAttribute(one, "aria-invalid", empty.includes(one) ? "true" : null);
    if (empty.length) return refuse(t(missing(empty[0])), empty[0]);
    if (!freshFields.hidden && fresh.value !== again.value) return refuse(t("password.differs"), again);
    asked = username.value;
    setAttribute(submit, "aria-disabled", "true");
    setText(/** @type {Node} */ (submit.lastChild), t("login.busy"));
    const answer = await login(username.value, password.value, codeField.hidden ? "" : code.value, freshFields.hidden ? "" : fresh.value);
    setAttribute(submit, "aria-disabled", null);
    setText(/** @type {Node} */ (submit.lastChild), t("login.submit"));
    if (answer.ok) return onDone(asked);
    if (answer.code === "totp_required") {
      codeField.hidden = false;
      return refuse(refusal(t, answer), code);
    }
    if (answer.code === "password_change_required") {
      freshFields.hidden = false;
      return refuse(refusal(t, answer), fresh);
    }
    if (answer.status === 422) return refuse(refusal(t, answer), freshFields.hidden ? submit : fresh);
    if (answer.status !== 401) return refuse(refusal(t, answer), submit);
    // Which of them was wrong is not told. The code is used up or too old in any case.
    if (codeField.hidden) password.value = "";
    code.value = "";
    refuse(t(codeField.hidden ? "login.bad_credentials" : "login.bad_code"), codeField.hidden ? password : code);
  }

  /** @param {string} words @param {HTMLElement} place */
  function refuse(words, place) {
    alert.textContent = ""; // the same words again are news again
    setTimeout(() => setText(alert, words), 50);
    place.focus();
  }

  const title = h("h2", { id: "login-title", tabindex: "-1" }, t("login.title"));
  root.replaceChildren(title, h("p", { class: "lead", hook: "login-lead" }, why || t("login.lead")), form);
  (focus ? username : title).focus();
  offerIssuer(t, form, username);
}

/**
 * Puts the way by the issuer above the form, where there is one. Where passwords are for emergencies the form is closed at first.
 *
 * @param {Translator} t
 * @param {HTMLElement} form
 * @param {HTMLElement} first the form's first field
 */
async function offerIssuer(t, form, first) {
  const ways = await loginWays();
  if (!ways.ok || ways.body?.oidc !== true || !form.isConnected) return;
  const link = h("a", { class: "main button", href: "/api/agent/oidc/login", hook: "login-oidc" }, t("login.oidc"));
  form.before(link);
  if (ways.body.password === "all") return form.before(h("p", { class: "or" }, t("login.or")));
  const focused = document.activeElement === first;
  const closed = h("details", { hook: "login-emergency" }, h("summary", {}, t("login.emergency")));
  form.replaceWith(closed);
  closed.append(form);
  if (focused) link.focus();
}
