/** The bar at the top: connection, available or paused, and the menu with language, sound, notifications and leaving. */
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, icon } from "./dom.js";
import { questionsLabel } from "./left-questions.js";
import { notifyState } from "./notifications.js";
import { LANGUAGES } from "./i18n.js";
import { choosePause, optionName } from "./pause-dialog.js";

/** @type {Record<string, string>} */
const OWN_NAMES = { nl: "Nederlands", fr: "Français", de: "Deutsch", en: "English" };
/** @type {Record<ConnectionState, import("./dom.js").IconName>} */
const LINK_ICONS = { open: "online", connecting: "waiting", lost: "offline", ended: "offline" };

/**
 * The choice of language, as a labelled list; `onLanguage(language)`.
 *
 * @param {Translator} t
 * @param {string} id
 * @param {(language: string) => void} onLanguage
 */
export function languageChoice(t, id, onLanguage) {
  const select = h(
    "select",
    { id, onchange: () => onLanguage(select.value) },
    ...LANGUAGES.map((one) => h("option", { value: one, lang: one, selected: one === t.language }, OWN_NAMES[one])),
  );
  return h("label", { class: "field" }, t("language"), select);
}

/**
 * Fills `root`; returns `render(desk, link, shown)`, `shown` the overview in front or null. `acts`: `setState(word)`, `overview(name)`, `logout()`,
 * `language(one)`; `sound` as `chime()` makes it, `left` as `leftQuestions()`, `late()` how many citizens wait too long for an answer, for supervisors.
 *
 * @param {HTMLElement} root
 * @param {Translator} t
 * @param {{agent: AgentWelcomeFrame["agent"], sound: ReturnType<typeof import("./notifications.js").chime>, left: ReturnType<typeof import("./left-questions.js").leftQuestions>, late(): number, acts: Acts}} options
 */
export function showBar(root, t, { agent, sound, left, late, acts }) {
  const linkWords = h("span");
  const link = h("span", { class: "link", role: "status" }, linkWords);
  const now = h("strong");
  const next = h("span", { class: "next" });
  const state = h("button", { type: "button", class: "state", hook: "agent-state", onclick: toggle }, now, next);
  /** @param {string} name @param {...Node} words */
  const opener = (name, ...words) =>
    h(
      "button",
      {
        type: "button",
        class: "opener",
        "aria-expanded": "false",
        "aria-controls": "overview",
        title: t(name),
        hook: `open-${name}`,
        onclick: () => acts.overview(name),
      },
      ...words,
    );
  /** @type {{questions: HTMLElement, past: HTMLElement, live?: HTMLElement, assignments?: HTMLElement, answers?: HTMLElement, reports?: HTMLElement}} */
  const openers = { questions: opener("questions"), past: opener("past", icon("past"), h("span", { class: "words" }, t("past"))) };
  const lateMark = h("span", { class: "count late", hook: "live-late", hidden: true });
  if (agent.supervisor) openers.live = opener("live", icon("live"), h("span", { class: "words" }, t("live")), lateMark);
  if (agent.supervisor) openers.assignments = opener("assignments", icon("table"), h("span", { class: "words" }, t("assignments")));
  if (agent.supervisor) openers.answers = opener("answers", icon("canned"), h("span", { class: "words" }, t("answers")));
  if (agent.supervisor) openers.reports = opener("reports", icon("chart"), h("span", { class: "words" }, t("reports")));
  root.replaceChildren(
    link,
    state,
    h("div", { class: "openers" }, ...Object.values(openers)),
    menu(t, { name: agent.name ?? agent.id, sound, acts }),
  );

  function toggle() {
    const reasons = agent.pause_reasons ?? [];
    if (state.getAttribute("aria-disabled")) return;
    if (state.dataset.state !== "available") acts.setState("available");
    else if (reasons.length) choosePause(t, { reasons, onPause: (reason) => acts.setState("paused", reason) });
    else acts.setState("paused");
  }

  return (/** @type {Desk} */ desk, /** @type {ConnectionState} */ line, /** @type {string | null} */ shown) => {
    for (const [one, node] of Object.entries(openers)) setAttribute(node, "aria-expanded", String(one === shown));
    const count = String(left.list()?.length ?? "");
    if (openers.questions.dataset.count !== count) openers.questions.replaceChildren(...questionsLabel(t, left));
    openers.questions.dataset.count = count;
    const waiting = late();
    lateMark.hidden = !waiting;
    if (lateMark.dataset.count !== String(waiting))
      lateMark.replaceChildren(
        h("span", { "aria-hidden": "true" }, String(waiting)),
        h("span", { class: "hidden-words" }, `, ${t("live.late_count", { n: waiting })}`),
      );
    lateMark.dataset.count = String(waiting);
    if (link.dataset.link !== line) {
      link.dataset.link = line;
      link.firstChild?.replaceWith(icon(LINK_ICONS[line]));
      if (link.children.length < 2) link.append(linkWords);
      setText(linkWords, t(`connection.${{ open: "online", connecting: "connecting", lost: "offline", ended: "stopped" }[line]}`));
    }
    const word = desk.agent.state ?? "unknown";
    setAttribute(state, "aria-disabled", desk.welcomed ? null : "true");
    const why = word === "paused" ? (desk.agent.pause_reason ?? "") : "";
    if (state.dataset.state === word && state.dataset.reason === why) return;
    Object.assign(state.dataset, { state: word, reason: why });
    const words = why ? t("state.paused_for", { reason: optionName(agent.pause_reasons, why, t.language) }) : t(`state.${word}`);
    now.replaceChildren(icon(word === "available" || word === "paused" ? word : "waiting"), words);
    next.hidden = word === "unknown";
    setText(next, word === "available" ? t("state.pause") : t("state.resume"));
  };
}

/** @param {Translator} t @param {{name: string, sound: ReturnType<typeof import("./notifications.js").chime>, acts: Acts}} options */
function menu(t, { name, sound, acts }) {
  const blocked = h("p", { class: "hint" }, t("sound.blocked"));
  const box = h("input", {
    type: "checkbox",
    role: "switch",
    checked: sound.on,
    onchange: () => (sound.set(box.checked), sound.play("message")),
  });
  const sheet = h(
    "div",
    { class: "sheet" },
    h("p", {}, t("logged_in_as", { name })),
    languageChoice(t, "menu-language", acts.language),
    h("label", { class: "switch" }, box, t("sound")),
    blocked,
    notifications(t),
    acts.password && button(t("password.change"), { hook: "change-password", onclick: acts.password }),
    button(t("sessions.own"), { hook: "own-sessions", onclick: acts.sessions }),
    button(t("keys.title"), { hook: "open-shortcuts", onclick: acts.shortcuts }),
    button(t("logout"), { hook: "logout", onclick: acts.logout }),
    button(t("logout.everywhere"), { hook: "logout-everywhere", onclick: acts.logoutEverywhere }),
  );
  const details = h("details", { class: "menu" }, h("summary", {}, icon("menu"), h("span", { class: "words" }, t("menu"))), sheet);
  details.addEventListener("toggle", () => (blocked.hidden = sound.ready() || !sound.on));
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    /** @type {HTMLElement} */ (details.firstChild).focus();
  });
  details.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !details.contains(/** @type {Node} */ (event.relatedTarget))) details.open = false;
  });
  return details;
}

// Asked for on a press only; said in words when there is nothing to ask any more.
/** @param {Translator} t @returns {HTMLElement | null} */
function notifications(t) {
  const state = notifyState();
  if (state === "missing") return null;
  if (state === "granted") return h("p", {}, t("notify.on"));
  if (state === "denied") return h("p", {}, t("notify.denied"));
  const ask = button(t("notify.ask"), {
    onclick: () => Notification.requestPermission().then(() => ask.replaceWith(notifications(t) ?? "")),
  });
  return ask;
}
