/** The page of who logs in without being an agent: an auditor's access log, an administrator's canned answers, departments, staff and sessions. */
import { me } from "./api.js";
import { h } from "../shared/dom.js";
import { button } from "./dom.js";
import { languageChoice } from "./toolbar.js";

const EVERY = 60_000; // ms between two looks whether the session lives, while the page is visible
const SUBJECTS = ["answers", "config", "staff", "sessions"]; // of an administrator

/**
 * Puts the page into `page.officer`. `onLogout(everywhere)`, `onPassword()` and `onSessions()` were pressed, `onEnd()` the server ended the session.
 *
 * @param {{t: Translator, who: Officer, page: {tools: HTMLElement, officer: HTMLElement, title(words: string): void}, say(words: string, how?: string): void, onLogout(everywhere: boolean): void, onPassword(): void, onSessions(): void, onLanguage(language: string): void, onEnd(): void}} options
 */
export async function openOfficer({ t: first, who, page, say, onLogout, onPassword, onSessions, onLanguage, onEnd }) {
  let t = first;
  let stopped = false;
  let subject = SUBJECTS[0]; // the one that is shown
  let wished = subject;
  let turn = 0; // counts what is made
  /** @type {{element: HTMLElement, focus(): void, draw(): void, stop(): void, changed?(): boolean, leave?(go: () => void): void}} */
  let view;
  const gone = new AbortController();
  addEventListener("beforeunload", (event) => view?.changed?.() && event.preventDefault(), { signal: gone.signal });
  const timer = setInterval(async () => {
    if (document.visibilityState !== "visible") return;
    const answer = await me();
    if (!stopped && answer.status === 401) onEnd();
  }, EVERY);

  const isOpen = () => !stopped;

  async function make() {
    if (who.role === "auditor") return (await import("./access-log.js")).accessLogView(t);
    if (wished === "config") return (await import("./configuration-view.js")).configurationView(t, { say, isOpen });
    if (wished === "staff") return (await import("./staff-view.js")).staffView(t, { say, isOpen });
    if (wished === "sessions") return (await import("./sessions-view.js")).sessionsView(t, { say, isOpen });
    const [{ cannedAnswers }, { answersView }] = await Promise.all([import("./canned-answers.js"), import("./edit-canned-answers.js")]);
    const manages = who.manages ?? [];
    const names = new Map(manages.map((one) => [one.id, one.names[t.language] ?? one.id]));
    const canned = cannedAnswers({ onChange: () => view?.draw() });
    const made = answersView(t, { canned, own: manages.map((one) => one.id), names: () => names, say, acts: { back: null } });
    return { ...made, stop: () => (made.stop(), canned.stop()) };
  }

  /** The subjects of an administrator, of which one is shown. */
  function subjects() {
    const choice = SUBJECTS.map((one) =>
      button(t(one), { hook: `subject-${one}`, "aria-current": one === subject ? "page" : null, onclick: () => choose(one) }),
    );
    return h("nav", { class: "subjects", "aria-label": t("subjects") }, ...choice);
  }

  /** @param {string} one */
  function choose(one) {
    if (one === wished) return;
    leave(async () => {
      wished = one;
      if (await fill()) view.focus();
    });
  }

  /** Asks first where something was changed. @param {() => void} go */
  function leave(go) {
    if (view.leave) view.leave(go);
    else go();
  }

  /** @param {string} language */
  function chooseLanguage(language) {
    if (!view.changed?.()) return onLanguage(language);
    /** @type {HTMLSelectElement} */ (document.getElementById("officer-language")).value = t.language; // until it is so
    leave(() => onLanguage(language));
  }

  /** Shows what was wished last; whether it is still that. A subject that could not be loaded may be wished again. */
  async function fill() {
    const mine = ++turn;
    const made = await make().catch((error) => {
      if (mine === turn) wished = subject;
      throw error;
    });
    if (stopped || mine !== turn) {
      made.stop();
      return false;
    }
    view?.stop();
    view = made;
    subject = wished;
    page.officer.replaceChildren(...(who.role === "auditor" ? [] : [subjects()]), view.element);
    page.title(`${t(who.role === "auditor" ? "access" : subject)} – ${t("title")}`);
    page.tools.replaceChildren(
      h("span", { class: "who-is-in" }, t("logged_in_as", { name: who.name })),
      languageChoice(t, "officer-language", chooseLanguage),
      who.password ? button(t("password.change"), { hook: "change-password", onclick: onPassword }) : "",
      button(t("sessions.own"), { hook: "own-sessions", onclick: onSessions }),
      button(t("logout"), { hook: "logout", onclick: () => leave(() => onLogout(false)) }),
      button(t("logout.everywhere"), { hook: "logout-everywhere", onclick: () => leave(() => onLogout(true)) }),
    );
    view.draw();
    return true;
  }

  await fill();
  return {
    focus: () => view.focus(),
    /** @param {Translator} texts */
    async speak(texts) {
      t = texts;
      await fill();
      document.getElementById("officer-language")?.focus();
    },
    stop() {
      stopped = true;
      gone.abort();
      clearInterval(timer);
      view.stop();
      page.officer.replaceChildren();
    },
  };
}
