/** The questions that citizens left because nobody was free: kept up to date, shown, taken from the list when they are dealt with, and back. */
import * as api from "./api.js";
import { desk, noted, recalled } from "./desk-state.js";
import { confirm, newsPlace } from "./dialogs.js";
import { h, setText } from "../shared/dom.js";
import { button, icon, keyed } from "./dom.js";
import { entry } from "./chat-state.js";
import { messageLog } from "./message-list.js";
import { conversationOf } from "./reading.js";
import { hasPreview, previews } from "../shared/previews.js";
import { overview } from "./side-page.js";
import { undoBar } from "./undo-bar.js";
import { clock, dayOf, size } from "./format.js";

const EVERY = 60_000; // ms between two looks, while somebody can see the page

const MAIL = /^[^\s@"(),:;<>[\]\\]+@[^\s@/?&#%"(),:;<>[\]\\]+\.[^\s@/?&#%"(),:;<>[\]\\]+$/;
const PHONE = /^\+?[\d\s()./-]{6,30}$/;

/**
 * RULES: the address that a press on this contact opens, or null when it is neither an e-mail address nor a phone number.
 *
 * @param {string} contact
 */
export function contactLink(contact) {
  const words = contact.trim();
  if (MAIL.test(words)) return `mailto:${words.split("@").map(encodeURIComponent).join("@")}`;
  const digits = words.replace(/^(\+.*)\(0\)/, "$1").replace(/[^\d+]/g, "");
  return PHONE.test(words) && digits.replace("+", "").length >= 6 ? `tel:${digits}` : null;
}

/**
 * RULES: whether a citizen left a question that was not there before; never at the first look (`before` null). One that an agent has opened again
 * is no news: nothing came from a citizen.
 *
 * @param {{chat_id: string}[] | null} before
 * @param {{chat_id: string, undone_at?: string | null}[]} now
 */
export const hasNews = (before, now) =>
  before !== null && now.some((one) => !one.undone_at && !before.some((old) => old.chat_id === one.chat_id));

/**
 * RULES: who deals with a question: "nobody", "me" or "colleague".
 *
 * @param {LeftQuestion} one
 * @param {string} own
 */
export const holderOf = (one, own) => (!one.claimed ? "nobody" : one.claimed.agent_id === own ? "me" : "colleague");

/**
 * RULES: why an act on a question was refused, null: it was done. "claimed": a colleague deals with it; "done": a colleague has dealt with it;
 * "not_yours": only they or a supervisor may; "gone": there is no such question any more; else "failed".
 *
 * @param {{ok: boolean, status: number, code: string | null}} answer
 * @param {"done" | "claim" | "release" | "undo"} act
 */
export function refusalOf({ ok, status, code }, act) {
  if (ok) return null;
  if (code === "question_done") return "done";
  if (code === "claimed" || code === "claim_changed") return "claimed";
  if (code === "not_yours") return act === "undo" ? "not_yours" : "claimed";
  return status === 404 ? "gone" : "failed";
}

/**
 * RULES: the list with this question in its place, the oldest first.
 *
 * @param {LeftQuestion[]} list
 * @param {LeftQuestion} one
 */
export const withQuestion = (list, one) =>
  [...list.filter((other) => other.chat_id !== one.chat_id), one].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));

/**
 * Looks at once, then each minute: `{list(), at(), failed(), refresh(), done(id), claim(id), release(id, of), undo(id, of), stop()}`; `list()` is
 * null until it is known. `onNews()`: one more. The acts resolve to `{problem, name}`: null or a word of `refusalOf`, and the colleague's name.
 *
 * @param {{onChange(): void, onNews(): void}} options
 */
export function leftQuestions({ onChange, onNews }) {
  /** @type {LeftQuestion[] | null} */
  let list = null;
  /** @type {Date | null} */
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

  /**
   * Asks for an act, changes the list by what came of it, and reads the list again.
   *
   * @param {"done" | "claim" | "release" | "undo"} name
   * @param {Promise<Answer>} request
   * @param {(list: LeftQuestion[], problem: string | null, body: any) => LeftQuestion[]} change
   */
  async function act(name, request, change) {
    const answer = await request;
    const problem = refusalOf(answer, name);
    if (problem !== "failed") turn += 1; // a list that was asked for before does not know it yet
    if (list) list = change(list, problem, answer.body ?? {});
    await refresh();
    const { done, claimed } = problem === null ? {} : (answer.body ?? {});
    return { problem, name: done?.name ?? claimed?.name ?? "" };
  }

  /** @param {string} id */
  const done = (id) =>
    act("done", api.questionDone(id), (list, problem) =>
      [null, "gone", "done"].includes(problem) ? list.filter((one) => one.chat_id !== id) : list,
    );

  /** @param {string} id */
  const claim = (id) =>
    act("claim", api.questionClaim(id), (list, problem, { claimed }) =>
      claimed && (problem === null || problem === "claimed") ? list.map((one) => (one.chat_id === id ? { ...one, claimed } : one)) : list,
    );

  /** @param {string} id @param {string} of whose claim it is */
  const release = (id, of) =>
    act("release", api.questionRelease(id, of), (list, problem) =>
      problem === null ? list.map((one) => (one.chat_id === id ? { ...one, claimed: null } : one)) : list,
    );

  /** @param {string} id @param {string} of who has done it */
  const undo = (id, of) =>
    act("undo", api.questionUndo(id, of), (list, problem, body) =>
      problem === null && body.chat_id === id ? withQuestion(list, body) : list,
    );

  const late = () => !at || Date.now() - at.getTime() >= EVERY;
  const look = () => document.visibilityState === "visible" && late() && refresh();
  const timer = setInterval(look, EVERY / 4);
  document.addEventListener("visibilitychange", look, { signal: gone.signal });
  refresh();
  return {
    list: () => list,
    at: () => at,
    failed: () => failed,
    refresh,
    done,
    claim,
    release,
    undo,
    stop: () => (gone.abort(), clearInterval(timer)),
  };
}

/**
 * `{element, draw(), focus(), stop()}`; `agent` who is logged in; `departments()` names departments by id, `say` speaks, `acts` as in `overview`,
 * and `archive()`. Who deals with a question reads its conversation, with files and notes; nobody else does.
 *
 * @param {Translator} t
 * @param {{left: ReturnType<typeof import("./left-questions.js").leftQuestions>, agent: AgentWelcomeFrame["agent"], departments(): Map<string, string>, say(words: string, how?: string): void, acts: {back(): void, archive(): void}}} options
 */
export function questionsView(t, { left, agent, departments, say, acts }) {
  const frame = overview(t, {
    title: t("questions"),
    lead: t("questions.lead"),
    extra: [button(t("archive.open"), { symbol: "past", hook: "open-archive", onclick: acts.archive })],
    acts: { back: acts.back, refresh: left.refresh },
  });
  const empty = h("p", { class: "none" }, t("questions.empty"));
  const rows = h("ul", { class: "questions", hook: "question-list" });
  const bar = undoBar(t);
  /** @type {Set<string>} */
  const claiming = new Set(); // what has no answer yet
  frame.body.append(bar.element, empty, rows);

  /** @type {Map<string, string>} */
  const questionOf = new Map(); // of each file
  const preview = previews({
    t: (key, values) => t(`attach.${key}`, values),
    ask: (file, size) => api.questionPreview(questionOf.get(file.id) ?? "", file.id, size),
    save: (file) => h("a", { href: api.questionFileUrl(questionOf.get(file.id) ?? "", file.id), download: file.name }).click(),
    within: () => document.body,
    news: newsPlace,
  });

  /**
   * A file of a question: for who may read it a link, else its name. Who deals with the question sees a small picture where there is one; the
   * server logs that as a reading of the file, so a supervisor who looks at the list asks for none.
   *
   * @param {LeftQuestion} one @param {Attachment} file @param {string} holder
   */
  function fileOf(one, file, holder) {
    const name = h("bdi", {}, file.name);
    const weight = h("small", {}, `(${size(file.size, t.language)})`);
    if (holder !== "me" && !agent.supervisor) return h("li", {}, name, " ", weight);
    questionOf.set(file.id, one.chat_id);
    const place = h("div", {});
    if (holder === "me" && hasPreview(file)) void preview(file, place);
    return h("li", {}, h("a", { href: api.questionFileUrl(one.chat_id, file.id), download: true }, name), " ", weight, place);
  }

  function draw() {
    const list = left.list() ?? [];
    frame.asOf(left.at());
    frame.tell(left.failed() ? t("overview.failed") : "");
    empty.hidden = left.list() === null || list.length > 0;
    keyed(
      rows,
      list.map((one) => ({ key: one.chat_id, one })),
      ({ one }, old) => {
        const node = old ?? question(t, one);
        update(node, one);
        return node;
      },
    );
  }

  /** @param {HTMLElement} node @param {LeftQuestion} one */
  function update(node, one) {
    const holder = holderOf(one, agent.id);
    setText(/** @type {HTMLElement} */ (node.querySelector(".department")), departments().get(one.department) ?? one.department);
    const looks = `${holder} ${one.claimed?.agent_id ?? ""} ${one.claimed?.name ?? ""}`;
    if (node.dataset.looks === looks) return;
    node.dataset.looks = looks;
    const [who, doable, read, files] = [".who", ".doable", ".read", ".files"].map(
      (part) => /** @type {HTMLElement} */ (node.querySelector(part)),
    );
    const held = doable.contains(document.activeElement);
    setText(
      who,
      holder === "colleague"
        ? t("questions.claimed_by", { name: one.claimed?.name, time: clock(one.claimed?.at, t.language, new Date()) })
        : holder === "me"
          ? t(one.source === "button" ? "questions.held_by_you" : "questions.claimed_by_you")
          : "",
    );
    files.replaceChildren(...(one.files ?? []).map((file) => fileOf(one, file, holder)));
    doable.replaceChildren(...actsOf(one, holder).map((name) => act(name, one)));
    if (held) doable.querySelector("button")?.focus();
    if (holder !== "me") read.replaceChildren();
  }

  /** @param {LeftQuestion} one @param {string} holder */
  function actsOf(one, holder) {
    if (holder === "me") return one.source === "button" ? ["done", "release"] : ["done", "read", "release"];
    if (holder === "nobody") return "claimed" in one ? ["claim", "done"] : ["done"]; // a server of an earlier release knows no claims
    return agent.supervisor ? ["release"] : [];
  }

  /** @param {string} name @param {LeftQuestion} one */
  function act(name, one) {
    const main = name === "claim";
    const press = { claim: () => claim(one), done: () => done(one), release: () => release(one), read: () => read(one) }[name];
    return button(t(`questions.${name}`), {
      symbol: name === "done" ? "available" : undefined,
      class: main ? "main" : "",
      hook: `question-${name}`,
      "aria-label": t(`questions.${name}_of`, { name: nameOf(one, t) }),
      onclick: press,
    });
  }

  /** @param {LeftQuestion} one */
  async function claim(one) {
    if (claiming.has(one.chat_id)) return; // a second press would close the conversation again
    claiming.add(one.chat_id);
    const { problem, name } = await left.claim(one.chat_id);
    claiming.delete(one.chat_id);
    keepFocus(one);
    if (problem === null) return (say(t("questions.said_claimed")), one.source !== "button" && read(one));
    if (problem === "claimed") return say(t("questions.not_claimed", { name: name || t("said.colleague") }), "loud");
    say(t(problem === "gone" ? "questions.gone" : "questions.failed"), problem === "gone" ? "announce" : "loud");
  }

  /** @param {LeftQuestion} one as it was shown: another claim than this one is not released */
  function release(one) {
    const { agent_id: of, name } = one.claimed ?? { agent_id: agent.id, name: "" };
    if (of === agent.id) return letGo(one, of);
    confirm(t, {
      title: t("questions.release_confirm"),
      body: t("questions.release_body", { name, citizen: nameOf(one, t) }),
      yes: t("questions.release"),
      onYes: () => letGo(one, of),
    });
  }

  /** @param {LeftQuestion} one @param {string} of */
  async function letGo(one, of) {
    const { problem, name } = await left.release(one.chat_id, of);
    keepFocus(one);
    if (problem === null) return say(t("questions.said_released"));
    say(refusal(problem, name, true), "loud");
  }

  /** @param {string} problem @param {string} name of the colleague @param {boolean} [releasing] */
  function refusal(problem, name, releasing = false) {
    const values = { name: name || t("said.colleague") };
    if (problem === "done") return t("questions.done_by", values);
    if (problem === "claimed") return t(releasing ? "questions.not_released" : "questions.not_claimed", values);
    return t(problem === "gone" ? "questions.gone" : "questions.failed");
  }

  /** @param {LeftQuestion} one */
  function done(one) {
    const name = nameOf(one, t);
    confirm(t, {
      title: t("questions.confirm"),
      body: t("questions.confirm_body", { name }),
      yes: t("questions.done"),
      onYes: () => finish(one),
    });
  }

  /** What can be undone is offered where the question was, and has the focus: the button that was pressed is gone. @param {LeftQuestion} one */
  async function finish(one) {
    const { problem, name } = await left.done(one.chat_id);
    if (problem === null) {
      say(t("questions.said_done"));
      bar.show(t("questions.done_now", { name: nameOf(one, t) }), () => undo(one));
    } else {
      const words = problem === "failed" ? t("questions.not_done") : refusal(problem, name);
      say(words, problem === "gone" ? "announce" : "loud");
    }
    if (isFocusLost()) (problem === null ? bar : frame).focus();
  }

  /** @param {LeftQuestion} one */
  async function undo(one) {
    const { problem, name } = await left.undo(one.chat_id, agent.id);
    if (problem === null) say(t("questions.said_undone"));
    else say(undoRefusal(t, problem, name), "loud");
    const had = bar.element.contains(document.activeElement);
    bar.hide();
    keepFocus(one, had);
  }

  const isFocusLost = () => frame.element.isConnected && document.activeElement === document.body;

  /** After an act whose button is gone the focus goes to the question, or to the page's title. @param {LeftQuestion} one */
  function keepFocus(one, lost = isFocusLost()) {
    const row = /** @type {HTMLElement | null} */ (rows.querySelector(`[data-key="${CSS.escape(one.chat_id)}"] h3`));
    if (lost || isFocusLost()) (row ?? frame).focus();
  }

  /** @param {LeftQuestion} one */
  async function read(one) {
    const place = /** @type {HTMLElement | null} */ (rows.querySelector(`[data-key="${CSS.escape(one.chat_id)}"] .read`));
    if (place) await readInto(t, place, one, agent, departments());
  }

  return { element: frame.element, focus: frame.focus, draw, stop: bar.stop };
}

/**
 * Why a question could not be opened again, in words.
 *
 * @param {Translator} t @param {string} problem @param {string} name
 */
export function undoRefusal(t, problem, name) {
  if (problem === "done") return t("questions.done_by", { name: name || t("said.colleague") });
  return t(problem === "not_yours" || problem === "gone" ? `questions.undo_${problem}` : "questions.not_undone");
}

/**
 * Shows the conversation of a question in this place, or takes it away.
 *
 * @param {Translator} t
 * @param {HTMLElement} place
 * @param {LeftQuestion} one
 * @param {AgentWelcomeFrame["agent"]} agent
 * @param {Map<string, string>} departments
 */
export async function readInto(t, place, one, agent, departments) {
  if (place.childElementCount) return place.replaceChildren();
  place.replaceChildren(h("p", { role: "status" }, t("overview.loading")));
  const [said, written] = await conversationOf(t, one.chat_id);
  if (!place.isConnected || !place.childElementCount) return;
  if (!said.ok) return place.replaceChildren(h("p", { class: "alert", role: "alert" }, t("questions.not_read")));
  const log = messageLog(t, { chat: one.chat_id, name: nameOf(one, t), agent: agent.name, own: agent.id, acts: {}, onScroll: () => {} });
  /** @type {HTMLElement} */ (log.element.firstChild).dataset.testid = "question-messages";
  place.replaceChildren(log.element);
  log.draw(asRead(one, said.body ?? {}, written.ok ? (written.body?.notes ?? []) : []), departments);
}

/**
 * RULES: the conversation of a question as a chat that has ended, to be read only.
 *
 * @param {LeftQuestion} one
 * @param {{opened_at?: string, messages?: MessageFrame[], closed_at?: string | null}} said
 * @param {Note[]} written
 */
export function asRead(one, said, written) {
  const ended = entry(
    { question: null, form: null, last_seq: Infinity, ...one, opened_at: said.opened_at ?? one.at },
    { ended: { kind: "closed", reason: "no_agent" } },
  );
  const [chat] = noted(
    recalled({ ...desk({ id: "", name: "", departments: [], capacity: 0, state: "" }, null), chats: [ended] }, ended.id, said),
    ended.id,
    written,
  ).chats;
  return chat;
}

/** @param {LeftQuestion} one @param {Translator} t */
export const nameOf = (one, t) => one.name || t("item.citizen");

/**
 * A number in two groups, as a citizen reads it out.
 *
 * @param {string} number
 */
const spaced = (number) => number.replace(/^(.{4})(.{4})$/, "$1\u00a0$2");

/**
 * The row of a question, with empty places for its department, its files, who deals with it, the acts and its conversation.
 *
 * @param {Translator} t @param {LeftQuestion} one
 */
export function question(t, one) {
  const link = contactLink(one.contact);
  const day = dayOf(one.answer_by, t.language);
  const contact = link ? h("a", { href: link }, h("bdi", {}, one.contact)) : h("bdi", {}, one.contact);
  return h(
    "li",
    { class: "question", hook: "question" },
    h("h3", { tabindex: "-1" }, h("bdi", {}, nameOf(one, t))),
    h(
      "p",
      { class: "facts" },
      h("span", { class: "department" }),
      h("span", {}, t("questions.at"), " ", h("time", { datetime: one.at }, clock(one.at, t.language, new Date()))),
      t.has(`locale.${one.locale}`) && h("span", {}, t(`locale.${one.locale}`)),
      one.number && h("span", { hook: "question-number" }, t("questions.number", { number: spaced(one.number) })),
      day && h("span", { hook: "question-answer-by" }, t("questions.answer_by", { day })),
      one.source === "button" && one.form?.title && h("span", {}, t("questions.form", { title: one.form.title })),
    ),
    h("p", { class: "text", dir: "auto", lang: one.locale }, one.text),
    h("p", { class: "contact" }, t("questions.contact"), " ", contact),
    h("ul", { class: "files", hook: "question-attachments" }),
    h("p", { class: "who", hook: "question-holder" }),
    h("div", { class: "row doable" }),
    h("div", { class: "read" }),
  );
}

/**
 * What the bar's button holds: the words and how many there are.
 *
 * @param {Translator} t
 * @param {ReturnType<typeof import("./left-questions.js").leftQuestions>} left
 */
export function questionsLabel(t, left) {
  const count = left.list()?.length ?? 0;
  return /** @type {Node[]} */ (
    [
      icon("inbox"),
      h("span", { class: "words" }, t("questions")),
      count > 0 && h("span", { class: "count", hook: "question-count" }, String(count)),
    ].filter(Boolean)
  );
}
