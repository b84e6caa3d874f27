/** The page of who logs in without being an agent: an auditor's access log, an administrator's canned answers. */
import { me } from "./api.js";
import { h } from "../shared/dom.js";
import { button } from "./dom.js";
import { languageChoice } from "./toolbar.js";

const EVERY = 60_000; // ms between two looks whether the session lives, while somebody can see the page

/**
 * Puts the page into `page.officer`. `onLogout(everywhere)` was pressed, `onEnd()` the server ended the session.
 *
 * @param {{t: Translator, who: Officer, page: {tools: HTMLElement, officer: HTMLElement, title(words: string): void}, say(words: string, how?: string): void, onLogout(everywhere: boolean): void, onLanguage(language: string): void, onEnd(): void}} options
 */
export async function openOfficer({ t: first, who, page, say, onLogout, onLanguage, onEnd }) {
  let t = first;
  let stopped = false;
  /** @type {{element: HTMLElement, focus(): void, draw(): void, stop(): void}} */
  let view;
  const timer = setInterval(async () => {
    if (document.visibilityState !== "visible") return;
    const answer = await me();
    if (!stopped && answer.status === 401) onEnd();
  }, EVERY);

  async function make() {
    if (who.role === "auditor") return (await import("./access-log.js")).accessLogView(t);
    const [{ cannedAnswers }, { answersView }] = await Promise.all([import("./canned-answers.js"), import("./edit-canned-answers.js")]);
    const manages = who.manages ?? [];
    const names = new Map(manages.map((one) => [one.id, one.names[t.language] ?? one.id]));
    const canned = cannedAnswers({ onChange: () => view?.draw() });
    const made = answersView(t, { canned, own: manages.map((one) => one.id), names: () => names, say, acts: { back: null } });
    return { ...made, stop: () => (made.stop(), canned.stop()) };
  }

  async function fill() {
    const made = await make();
    if (stopped) return made.stop();
    view?.stop();
    view = made;
    page.officer.replaceChildren(view.element);
    page.title(`${t(who.role === "auditor" ? "access" : "answers")} – ${t("title")}`);
    page.tools.replaceChildren(
      h("span", { class: "who-is-in" }, t("logged_in_as", { name: who.name })),
      languageChoice(t, "officer-language", onLanguage),
      button(t("logout"), { hook: "logout", onclick: () => onLogout(false) }),
      button(t("logout.everywhere"), { hook: "logout-everywhere", onclick: () => onLogout(true) }),
    );
    view.draw();
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
      clearInterval(timer);
      view.stop();
      page.officer.replaceChildren();
    },
  };
}
