/** The agent console: who is there? Then the login form or the desk. */
import { watchActivity } from "./activity.js";
import { logout, me, settings } from "./api.js";
import { languageChoice } from "./toolbar.js";
import { confirm } from "./dialogs.js";
import { h, setText } from "../shared/dom.js";
import { choice, choose, forgetDesk, keepingChoices, maybeLoggedIn } from "./storage.js";
import { outcomeWords, showLogin, unansweredWords } from "./login.js";
import { chime } from "./notifications.js";
import { openStage } from "./app.js";
import { forgetReasons } from "./reading.js";
import { chooseLanguage, loadTranslator } from "./i18n.js";
import { useZone } from "./format.js";
import { limitsOf } from "./uploads.js";

const AGAIN = 3000; // ms between questions who is there, while the server cannot be reached
/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id)); // index.html has it
const page = {
  tools: at("tools"),
  login: at("login"),
  desk: at("desk"),
  list: at("chat-list"),
  empty: at("chats-empty"),
  chat: at("chat"),
  overview: at("overview"),
  officer: at("officer"),
  problem: at("problem"),
  news: at("news-list"),
  wraps: at("wrap-ups-list"),
  loading: at("loading"),
  skip: at("skip"),
  /** @param {string} words */
  title: (words) => document.title !== words && (document.title = words),
};
const activity = watchActivity();
const sound = chime();
let language = chooseLanguage([new URLSearchParams(location.search).get("lang"), choice("language"), ...navigator.languages]);
let t = await loadTranslator(language);
/** @type {ReturnType<typeof import("./app.js").openStage> | Awaited<ReturnType<typeof import("./officer.js").openOfficer>> | null} */
let stage = null;
let why = "";
let outcome = takeOutcome();
let leaving = false;
let username = ""; // with which this person logged in on this page; "": not known

const SAID = 12_000; // ms that something said stays on the page

/**
 * Speaks to a screen reader. `how`: "announce"; "new" for what has a time limit or stops the work, in a place of its own, so that nothing takes
 * its turn; "loud" shows it on the page for a while too. What is said stands beside what was said just before.
 *
 * @param {string} words
 * @param {"announce" | "new" | "loud"} [how]
 */
function say(words, how = "announce") {
  const line = h("p", {}, words);
  const place = at({ announce: "announce", new: "announce-new", loud: "alarm" }[how]);
  if (how === "loud") place.replaceChildren();
  setTimeout(() => place.append(line), 50);
  setTimeout(() => line.remove(), SAID);
}

function fillWords() {
  document.documentElement.lang = t.language;
  for (const node of document.querySelectorAll("[data-text]")) setText(node, t(node.getAttribute("data-text") ?? ""));
}

/** @param {string} chosen */
async function setLanguage(chosen) {
  language = chosen;
  choose("language", language);
  const texts = await loadTranslator(chosen);
  if (chosen !== language) return;
  t = texts;
  const url = new URL(location.href);
  url.searchParams.set("lang", language);
  history.replaceState(null, "", url);
  fillWords();
  if (stage) stage.speak(t);
  else (askLogin(), at("login-language")?.focus());
}

/** @param {string} which */
function view(which) {
  for (const one of /** @type {const} */ (["login", "desk", "officer", "loading", "skip"]))
    page[one].hidden = one !== which && !(one === "skip" && which === "desk");
}

/** What a login at the issuer came back with. It stands in the address once: a reload says nothing old. */
function takeOutcome() {
  const url = new URL(location.href);
  const found = url.searchParams.get("login") ?? "";
  url.searchParams.delete("login");
  if (found) history.replaceState(null, "", url);
  return found;
}

/** @param {string} [name] the username */
function onLogin(name = "") {
  username = name;
  outcome = "";
  choose("session", "yes");
  start();
}

async function askRole() {
  view("login");
  page.title(`${t("login.role_title")} – ${t("title")}`);
  page.tools.replaceChildren(languageChoice(t, "login-language", setLanguage));
  const { showRoles } = await import("./role-choice.js");
  showRoles(page.login, t, { onDone: onLogin, onLost: (code) => ((outcome = code), askLogin()) });
}

function askLogin() {
  if (outcome === "choose") return askRole();
  view("login");
  page.title(`${t("login.title")} – ${t("title")}`);
  page.tools.replaceChildren(languageChoice(t, "login-language", setLanguage));
  showLogin(page.login, t, outcomeWords(t, outcome) || (why && t(why)), {
    focus: !activity.typing() || why === "login.left",
    onDone: onLogin,
  });
}

/**
 * Ends the desk; `reason` is the name of the text that the form shows.
 *
 * @param {string} reason
 */
function leave(reason) {
  document.querySelectorAll("dialog").forEach((dialog) => dialog.remove());
  stage?.stop();
  stage = null;
  forgetReasons();
  why = reason;
  askLogin();
}

// Our own logging out closes the websocket too: that is no second reason to ask for a login, over what is typed by then.
async function signOut(everywhere = false) {
  leaving = true;
  const answer = await keepingChoices(() => logout(everywhere));
  leaving = false;
  if (!answer.ok && answer.status !== 401) return say(t("logout.failed"), "loud");
  choose("session", "");
  leave("login.left");
  forgetDesk();
}

/** @param {number} open */
function onLogout(open, everywhere = false) {
  if (everywhere)
    return confirm(t, {
      title: t("logout.everywhere_title"),
      body: t("logout.everywhere_body"),
      yes: t("logout.everywhere"),
      onYes: () => signOut(true),
    });
  if (!open) return signOut();
  confirm(t, { title: t("logout.title"), body: t("logout.body", { n: open }), yes: t("logout.yes"), onYes: () => signOut() });
}

async function onPassword() {
  const { askPassword } = await import("./password-dialog.js");
  askPassword(t, { username, say });
}

async function onSessions() {
  const { showSessions } = await import("./sessions-dialog.js");
  showSessions(t);
}

/** Nobody who never logged in here is asked for: a refusal is an error in the browser's log. */
async function start() {
  if (outcome === "ok") return onLogin();
  if (!maybeLoggedIn()) return askLogin();
  const [answer, told] = await Promise.all([me(), settings()]);
  if (answer.status === 401 || answer.status === 403) return (choose("session", ""), askLogin());
  const agent = answer.body?.agent ?? answer.body;
  if (!answer.ok || typeof agent.id !== "string") {
    setText(page.loading, unansweredWords(t, answer));
    view("loading");
    return setTimeout(start, AGAIN);
  }
  setText(page.loading, t("login.loading"));
  if (told.ok && told.body?.timezone) useZone(told.body.timezone);
  why = "";
  page.tools.replaceChildren();
  if (agent.role === "auditor" || agent.role === "administrator") return startOfficer(agent);
  view("desk");
  stage = openStage({
    t,
    agent,
    activity,
    limits: limitsOf(told.body),
    sound,
    say,
    page,
    onLogout,
    onPassword: agent.password ? onPassword : null,
    onSessions,
    onLanguage: setLanguage,
    onEnd: (bySupervisor) => leaving || leave(bySupervisor ? "login.by_supervisor" : "login.ended"),
  });
}

/** @param {Officer} who */
async function startOfficer(who) {
  view("officer");
  const { openOfficer } = await import("./officer.js");
  const officer = await openOfficer({
    t,
    who,
    page,
    say,
    onLogout: (everywhere) => onLogout(0, everywhere),
    onPassword,
    onSessions,
    onLanguage: setLanguage,
    onEnd: () => leaving || leave("login.over"), // nothing of theirs is kept
  });
  stage = officer;
  officer.focus();
}

for (const type of ["error", "unhandledrejection"]) addEventListener(type, () => say(t("error.script"), "loud"));
fillWords();
view("loading");
start();
