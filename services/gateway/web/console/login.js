/** The login form. */
import { login } from "./api.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";

/**
 * Why it did not work, in words. `answer` as `api.ask` gives it.
 *
 * @param {Translator} t
 * @param {Answer} answer
 */
export function refusal(t, answer) {
  if (answer.status === 401) return t("login.bad_credentials");
  if (answer.status === 429) return t("login.rate_limited", { n: answer.retryAfter ?? 60 });
  return t(answer.status === 0 ? "login.network" : "login.unavailable");
}

/**
 * Fills `root` with the form; `why` is a text that stands above it (or ""); `onDone()` after a good login. Without `focus` the cursor stays out of
 * the fields: somebody was typing when the session ended, and the rest of it is no user name.
 *
 * @param {HTMLElement} root
 * @param {Translator} t
 * @param {string} why
 * @param {{focus: boolean, onDone(): void}} options
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
  const submit = button(t("login.submit"), { type: "submit", class: "main", hook: "login-submit" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("label", { class: "field" }, t("login.username"), username),
    h("label", { class: "field" }, t("login.password"), password),
    alert,
    submit,
  );

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    const empty = [username, password].filter((one) => !one.value);
    for (const one of [username, password]) setAttribute(one, "aria-invalid", empty.includes(one) ? "true" : null);
    if (empty.length) return refuse(t("login.missing"), empty[0]);
    setAttribute(submit, "aria-disabled", "true");
    setText(/** @type {Node} */ (submit.lastChild), t("login.busy"));
    const answer = await login(username.value, password.value);
    setAttribute(submit, "aria-disabled", null);
    setText(/** @type {Node} */ (submit.lastChild), t("login.submit"));
    if (answer.ok) return onDone();
    if (answer.status === 401) password.value = "";
    refuse(refusal(t, answer), answer.status === 401 ? password : submit);
  }

  /** @param {string} words @param {HTMLElement} place */
  function refuse(words, place) {
    alert.textContent = ""; // the same words again are news again
    setTimeout(() => setText(alert, words), 50);
    place.focus();
  }

  const title = h("h2", { id: "login-title", tabindex: "-1" }, t("login.title"));
  root.replaceChildren(title, h("p", { class: "lead" }, why || t("login.lead")), form);
  (focus ? username : title).focus();
}
