/** The login form. */
import { login } from "./api.js";
import { attribute, button, el, text } from "./dom.js";

/** Why it did not work, in words. `answer` as `api.ask` gives it. */
export function refusal(t, answer) {
  if (answer.status === 401) return t("login.bad_credentials");
  if (answer.status === 429) return t("login.rate_limited", { n: answer.retryAfter ?? 60 });
  return t(answer.status === 0 ? "login.network" : "login.unavailable");
}

/**
 * Fills `root` with the form; `why` is a text that stands above it (or ""); `onDone()` after a good login. Without `focus` the cursor stays out of
 * the fields: somebody was typing when the session ended, and the rest of it is no user name.
 */
export function showLogin(root, t, why, { focus, onDone }) {
  const alert = el("p", { class: "alert", role: "alert", id: "login-alert" });
  const field = (name, type, complete) =>
    el("input", {
      type,
      name,
      id: `login-${name}`,
      autocomplete: complete,
      required: true,
      "aria-describedby": "login-alert",
      "data-testid": `login-${name}`,
      spellcheck: "false",
      autocapitalize: "none",
    });
  const username = field("username", "text", "username");
  const password = field("password", "password", "current-password");
  const submit = button(t("login.submit"), { type: "submit", class: "main", "data-testid": "login-submit" });
  const form = el(
    "form",
    { novalidate: true, on: { submit: send } },
    el("label", { class: "field" }, t("login.username"), username),
    el("label", { class: "field" }, t("login.password"), password),
    alert,
    submit,
  );

  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    const empty = [username, password].filter((one) => !one.value);
    for (const one of [username, password]) attribute(one, "aria-invalid", empty.includes(one) ? "true" : null);
    if (empty.length) return refuse(t("login.missing"), empty[0]);
    attribute(submit, "aria-disabled", "true");
    text(submit.lastChild, t("login.busy"));
    const answer = await login(username.value, password.value);
    attribute(submit, "aria-disabled", null);
    text(submit.lastChild, t("login.submit"));
    if (answer.ok) return onDone();
    if (answer.status === 401) password.value = "";
    refuse(refusal(t, answer), answer.status === 401 ? password : submit);
  }

  function refuse(words, place) {
    alert.textContent = ""; // the same words again are news again
    setTimeout(() => text(alert, words), 50);
    place.focus();
  }

  const title = el("h2", { id: "login-title", tabindex: "-1" }, t("login.title"));
  root.replaceChildren(title, el("p", { class: "lead" }, why || t("login.lead")), form);
  (focus ? username : title).focus();
}
