/** The questions that citizens left because nobody was free: kept up to date, shown, and taken from the list when they are dealt with. */
import * as api from "./api.js";
import { confirm } from "./dialogs.js";
import { button, el, icon, keyed } from "./dom.js";
import { overview } from "./overview.js";
import { clock } from "./times.js";

const EVERY = 60_000; // ms between two looks, while somebody can see the page

const MAIL = /^[^\s@"(),:;<>[\]\\]+@[^\s@/?&#%"(),:;<>[\]\\]+\.[^\s@/?&#%"(),:;<>[\]\\]+$/;
const PHONE = /^\+?[\d\s().\/-]{6,30}$/;

/** RULES: the address that a press on this contact opens, or null when it is neither an e-mail address nor a phone number. */
export function contactLink(contact) {
  const words = contact.trim();
  if (MAIL.test(words)) return `mailto:${words.split("@").map(encodeURIComponent).join("@")}`;
  const digits = words.replace(/^(\+.*)\(0\)/, "$1").replace(/[^\d+]/g, "");
  return PHONE.test(words) && digits.replace("+", "").length >= 6 ? `tel:${digits}` : null;
}

/** RULES: whether there is a question that was not there before; never at the first look (`before` null). */
export const hasNews = (before, now) => before !== null && now.some((one) => !before.some((old) => old.chat_id === one.chat_id));

/** Looks at once, then each minute: `{list(), at(), failed(), refresh(), done(id), stop()}`; `list()` is null until it is known. `onNews()`: one more. */
export function leftQuestions({ onChange, onNews }) {
  let list = null;
  let at = null;
  let failed = false;
  let turn = 0; // an answer that was overtaken by a later question counts no longer
  const gone = new AbortController();

  async function refresh() {
    const mine = ++turn;
    const answer = await api.questions();
    if (gone.signal.aborted || mine !== turn) return;
    failed = !answer.ok;
    if (answer.ok) {
      const now = answer.body?.questions ?? [];
      if (hasNews(list, now)) onNews();
      [list, at] = [now, new Date()];
    }
    onChange();
  }

  async function done(id) {
    const answer = await api.questionDone(id);
    const over = answer.ok || answer.status === 404; // a colleague was quicker
    if (over) list = list?.filter((one) => one.chat_id !== id) ?? null;
    await refresh();
    return over;
  }

  const late = () => !at || Date.now() - at >= EVERY;
  const look = () => document.visibilityState === "visible" && late() && refresh();
  const timer = setInterval(look, EVERY / 4);
  document.addEventListener("visibilitychange", look, { signal: gone.signal });
  refresh();
  return { list: () => list, at: () => at, failed: () => failed, refresh, done, stop: () => (gone.abort(), clearInterval(timer)) };
}

/** `{element, draw(desk), focus(), stop()}`; `departments()` names them by id, `say` speaks, `acts` as in `overview`. */
export function questionsView(t, { left, departments, say, acts }) {
  const frame = overview(t, { title: t("questions"), lead: t("questions.lead"), acts: { ...acts, refresh: left.refresh } });
  const empty = el("p", { class: "none" }, t("questions.empty"));
  const rows = el("ul", { class: "questions", "data-testid": "question-list" });
  frame.body.append(empty, rows);

  function draw(desk) {
    const list = left.list() ?? [];
    frame.draw(desk);
    frame.asOf(left.at());
    frame.tell(left.failed() ? t("overview.failed") : "");
    empty.hidden = left.list() === null || list.length > 0;
    keyed(rows, list.map((one) => ({ key: one.chat_id, one })), ({ one }, old) => {
      const named = departments().get(one.department) ?? one.department;
      return old?.dataset.named === named ? old : question(t, one, { named, done });
    });
  }

  function done(one) {
    const name = nameOf(one, t);
    confirm(t, { title: t("questions.confirm"), body: t("questions.confirm_body", { name }), yes: t("questions.done"), onYes: () => finish(one) });
  }

  async function finish(one) {
    const over = await left.done(one.chat_id);
    say(t(over ? "questions.said_done" : "questions.not_done"), !over);
    if (over && frame.element.isConnected && document.activeElement === document.body) frame.focus();
  }

  return { element: frame.element, focus: frame.focus, draw, stop() {} };
}

const nameOf = (one, t) => one.name || t("item.citizen");

function question(t, one, { named, done }) {
  const name = nameOf(one, t);
  const link = contactLink(one.contact);
  const id = `question-${one.chat_id}`;
  const contact = link ? el("a", { href: link }, el("bdi", {}, one.contact)) : el("bdi", {}, one.contact);
  return el("li", { class: "question", "data-named": named, "data-testid": "question" },
    el("h3", { id }, el("bdi", {}, name)),
    el("p", { class: "facts" }, el("span", {}, named), el("span", {}, t("questions.at"), " ", el("time", { datetime: one.at }, clock(one.at, t.language, new Date()))),
      t.has(`locale.${one.locale}`) && el("span", {}, t(`locale.${one.locale}`))),
    el("p", { class: "text", dir: "auto", lang: one.locale }, one.text),
    el("div", { class: "row" }, el("p", { class: "contact" }, t("questions.contact"), " ", contact),
      button(t("questions.done"), { symbol: "available", "data-testid": "question-done", "aria-label": t("questions.done_of", { name }), on: { click: () => done(one) } })));
}

/** What the bar's button holds: the words and how many there are. */
export function questionsLabel(t, left) {
  const count = left.list()?.length ?? 0;
  return [icon("inbox"), el("span", { class: "words" }, t("questions")), count > 0 && el("span", { class: "count", "data-testid": "question-count" }, String(count))].filter(Boolean);
}
