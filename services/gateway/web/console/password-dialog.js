/** The dialog in which a person changes their own password. */
import { changePassword } from "./api.js";
import { show } from "./dialogs.js";
import { SHORTEST, refusalOfPassword } from "./login.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button } from "./dom.js";

/**
 * Why it did not work, in words.
 *
 * @param {Translator} t
 * @param {Answer} answer
 */
export function refusal(t, answer) {
  if (answer.code === "bad_credentials") return t("password.wrong");
  return refusalOfPassword(t, answer, t("login.over"));
}

/**
 * `username`: whose password it is; "": not known. `say(words, how)` speaks: once it is done, and what came of it when the dialog was shut meanwhile.
 *
 * @param {Translator} t
 * @param {{username: string, say(words: string, how?: "loud"): void}} options
 */
export function askPassword(t, { username, say }) {
  const alert = h("p", { class: "alert", role: "alert", id: "password-alert" });
  /** @param {string} what @param {string} complete @param {string} [hint] */
  const field = (what, complete, hint = "") =>
    h("input", {
      type: "password",
      name: what,
      id: `password-${what}`,
      autocomplete: complete,
      required: true,
      maxlength: "500",
      "aria-describedby": `${hint} password-alert`.trim(),
      hook: `password-${what}`,
    });
  const old = field("old", "current-password");
  const fresh = field("new", "new-password", "password-hint");
  const again = field("again", "new-password");
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const go = button(t("password.change"), { type: "submit", class: "main", hook: "password-submit" });
  /** @param {HTMLElement} input @param {string} words @param {HTMLElement | null} [hint] */
  const row = (input, words, hint = null) => h("div", { class: "field" }, h("label", { for: input.id }, words), input, hint);
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    // A password manager needs to know whose password it is.
    username && h("input", { type: "text", name: "username", autocomplete: "username", value: username, hidden: true }),
    h("p", {}, t("password.lead")),
    row(old, t("password.old")),
    row(fresh, t("password.new"), h("small", { id: "password-hint" }, t("password.hint", { n: SHORTEST }))),
    row(again, t("password.again")),
    alert,
    h("div", { class: "row" }, no, go),
  );
  const dialog = show(t("password.title"), [form]);
  old.focus();
  let sending = false;

  /** `wrong`: what the person filled in is wrong. @param {HTMLElement} place @param {string} words @param {boolean} [wrong] */
  function complain(place, words, wrong = true) {
    for (const one of [old, fresh, again]) setAttribute(one, "aria-invalid", wrong && one === place ? "true" : null);
    setText(alert, words);
    place.focus();
  }

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (sending) return;
    if (!old.value) return complain(old, t("password.missing"));
    if ([...fresh.value].length < SHORTEST) return complain(fresh, t("password.too_short", { n: SHORTEST }));
    if (fresh.value !== again.value) return complain(again, t("password.differs"));
    sending = true;
    setText(alert, ""); // the same words again are news again
    setAttribute(go, "aria-disabled", "true");
    const answer = await changePassword(old.value, fresh.value);
    sending = false;
    setAttribute(go, "aria-disabled", null);
    if (!answer.ok) return refuse(answer);
    dialog.close();
    say(t("password.done"));
  }

  /** @param {Answer} answer */
  function refuse(answer) {
    const words = refusal(t, answer);
    if (!dialog.open) return say(words, "loud");
    if (answer.status === 422) complain(fresh, words);
    else if (answer.code === "bad_credentials") complain(old, words);
    else complain(go, words, false);
  }
}
