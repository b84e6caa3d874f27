// One conversation as far as the first message needs it: the dot and its words, why there is no connection, the white bar. The messages,
// files, downloads and the end come right after that (chat-tools.js).
import { charactersLeft, COUNT_FROM, dot, isSubmitKey, problem } from "../shared/conversation.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";
import { joinChat } from "./chat-session.js";

// the dot's sign beside its colour: waiting, yes, no
const SIGNS = { grey: "M12 6v6l4 2.5", green: "M6 12.5l4 4 8-9", red: "M7 7l10 10 M17 7 7 17" };
const DRAW = 16; // ms
const LONGEST = 30_000; // ms between two tries to load the tools
const MANY = 2; // tries in vain, after which the citizen is told
const PLANE = "M21 3 3 10.5l7 3.5 3.5 7z M21 3 10 14";
const IDLE = 4_000; // ms
const MANY_DIGITS = /\d(\D{0,6}\d){9}/; // as many as a number has that identifies a person

/**
 * Joins and shows the chat of `record`; onGone: the server does not know it. One without an id is being started
 * (`onStart` asks again): `begun()` says that it is there, `refused(key, values, ways)` that there is none, in the text of `key`.
 *
 * @param {ChatViewOptions} options
 */
export function chatView(options) {
  const { t, base, store, record, announce, ways, onState, onGone, onUntold, onStart } = options;
  /** @type {Conversation} */
  let state;
  /** @type {Link} */
  let link;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;
  /** @type {Awaited<ReturnType<typeof import("./chat-tools.js").chatTools>> | undefined} */
  let tools;
  let gone = false;
  /** @type {[key: string, values: Record<string, unknown>, ways: Node | string] | undefined} */
  let refusal;
  const bar = composer({ t, store, session: () => session });

  const sign = h("span", { class: "dot", hook: "chat-dot" });
  const words = h("div", { role: "status" });
  const mend = h("button", { class: "text", hidden: true, onclick: () => session.reopen() });
  const status = h("div", { class: "status" }, sign, words, mend);
  const why = h("p", { role: "status" });
  const far = h("div", { class: "notice far", hook: "chat-far", hidden: true }, why);
  const log = h("div", { class: "log" }); // holds the place of the messages
  const notice = h("p", { class: "notice", hidden: true });
  const row = h("div", { class: "row tools" }); // files, downloads and an end, which need a chat
  const place = record.place && h("p", { class: "shared", hook: "chat-context" }, t("shared", { place: record.place }));
  const element = h("div", { class: "chat" }, status, place, far, log, notice, ...bar.parts, row);

  /** @param {string} text @param {boolean} [wrong] */
  function tell(text, wrong) {
    setAttribute(notice, "hidden", !wrong);
    setText(notice, wrong ? text : "");
    announce(text);
  }

  // What could not be loaded is tried again, with a query: some browsers keep a failure for as long as the page is there. The path without a
  // digest is one that every version has.
  async function loadTools(tries = 0) {
    try {
      const module = await import(tries ? `${base}/static/loket-chat/chat-tools.js?${tries}` : "./chat-tools.js");
      const made = await module.chatTools({ ...options, session, element, bar, tell, log, notice, row });
      if (gone) return made.stop();
      if (tries > MANY) tell("");
      tools = made;
      draw();
    } catch {
      if (gone) return;
      if (tries === MANY) tell(t("incomplete"), true);
      again = setTimeout(() => loadTools(tries + 1), Math.min(LONGEST, 1_000 * 2 ** tries) * (0.5 + Math.random()));
    }
  }

  /** @param {Dot} colour */
  function meaning(colour) {
    if (state.closed || link.refused) return t("red");
    if (link.state === "ended") return t(link.code === 4409 ? "elsewhere" : "broken");
    if (session.ending() && !state.welcomed) return t("ending");
    if (link.trouble && link.trouble !== "long") return t("unreached");
    if (link.state === "lost") return t("lost");
    if (colour === "green") return state.agent?.name ? t("green", state.agent) : t("greenNobody");
    return t(colour === "grey" && state.assigned ? "assigned" : colour);
  }

  // Why there is no connection, for longer than a short outage, and how else to reach the department.
  function distance() {
    if (state.closed) return state.closed === "unreached" ? "farBlocked" : null;
    if (link.state === "ended") return link.code === 4409 || link.refused ? null : "farBroken";
    return link.trouble && { blocked: "farBlocked", unreached: "farUnreached", long: "farLong" }[link.trouble];
  }

  function explain() {
    const [key, values, others] = link.refused && refusal ? refusal : [distance() ?? "", {}, ""];
    const text = tools?.t ?? t;
    const said = text.has(key) ? text(key, values) : ""; // texts that a server gives a reason for come with the tools
    if (far.dataset.why === said) return;
    far.dataset.why = said;
    setAttribute(far, "hidden", !said);
    far.replaceChildren(why, said && (others || ways()));
    setText(why, said);
    if (link.refused) announce(said);
  }

  function draw() {
    timer = undefined;
    if (!state) return;
    const colour = link.trouble && !state.closed ? "red" : dot(state, link.state);
    if (sign.dataset.dot !== colour) {
      sign.dataset.dot = colour;
      sign.replaceChildren(icon(SIGNS[colour]));
    }
    onState(state, colour, session.backlog());
    setText(words, meaning(colour));
    const stuck = link.state === "ended" && !state.closed;
    setAttribute(mend, "hidden", !stuck);
    if (stuck) setText(mend, t(link.code === 4409 ? "here" : "retry"));
    explain();
    if (tools) tools.update(state, link);
    else if (state.closed) bar.hide(!bar.focused()); // the tools give the focus another place
  }

  const session = joinChat({
    base,
    record,
    store,
    onUntold,
    onStart,
    onChange: (next, now) => {
      [state, link] = [next, now];
      if (now.state === "ended" && [4401, 4404].includes(now.code ?? 0)) return onGone();
      timer ??= setTimeout(draw, DRAW);
    },
  });
  loadTools();

  return {
    element,
    begun: () => session.begin(),
    /** @param {string} key @param {Record<string, unknown>} values @param {Node | string} others */
    refused: (key, values, others) => {
      refusal = [key, values, others];
      bar.give(session.refuse());
    },
    focus: () => (state?.closed && tools ? tools.focus() : bar.focus()),
    opened: () => tools?.opened(),
    escape: () => tools?.escape() ?? false,
    stop: () => {
      gone = true;
      clearTimeout(timer);
      clearTimeout(again);
      tools?.stop();
      bar.stop();
      session.leave();
    },
  };
}

/**
 * The form to write in.
 *
 * @param {{t: Translator, store: Store, session(): ReturnType<typeof import("./chat-session.js").joinChat>}} options
 */
export function composer({ t, store, session }) {
  const input = h("textarea", {
    id: "input",
    class: "input",
    hook: "chat-input",
    rows: 2,
    dir: "auto",
    enterkeyhint: "send",
    placeholder: t("placeholder"),
    "aria-label": t("input"),
    "aria-describedby": "hint count",
  });
  const count = h("p", { id: "count", class: "count", role: "status" });
  const send = h("button", { class: "primary", hook: "chat-send" }, icon(PLANE), t("send"));
  const form = h("form", { class: "bar" }, input, send, h("span", { id: "hint", class: "sr" }, t("hint")));
  /** @type {ReturnType<typeof import("./number-warning.js").numberWarning> | null | undefined} */
  let warning;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let idle;

  const measure = () => {
    const left = charactersLeft(input.value);
    setAttribute(input, "aria-invalid", left < 0 ? "true" : null);
    setText(count, left < 0 ? t("tooLong", { n: -left }) : left <= COUNT_FROM ? t("left", { n: left }) : "");
  };
  const post = () => {
    warning?.then(({ hide }) => hide());
    clearTimeout(idle);
    session().post(input.value);
    input.value = "";
    store.write("draft", null);
    measure();
  };
  input.value = store.read("draft") ?? "";
  measure();
  input.addEventListener("input", () => {
    measure();
    store.write("draft", input.value || null);
    session().typing(input.value !== "");
    clearTimeout(idle);
    idle = setTimeout(() => session().typing(false), IDLE);
  });
  input.addEventListener("keydown", (event) => {
    if (!isSubmitKey(event)) return;
    event.preventDefault();
    send.click(); // requestSubmit is not in Safari before 16
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    input.focus();
    if (problem(input.value)) return;
    if (!MANY_DIGITS.test(input.value)) return post();
    warning ??= import("./number-warning.js").then((module) => module.numberWarning({ form, input }));
    const text = input.value;
    warning
      .then(({ ask }) => ask(text, () => input.value === text && post()))
      .catch(() => {
        warning = null;
        post();
      });
  });

  return {
    parts: [count, form],
    focus: () => input.focus(),
    /** Puts texts before what is in the bar. @param {string[]} texts */
    give: (texts) => {
      if (!texts.length) return;
      input.value = [...texts, input.value].filter(Boolean).join("\n\n");
      store.write("draft", input.value);
      measure();
    },
    focused: () => form.contains(rootOf(form).activeElement),
    /** @param {boolean} away */
    hide: (away) => {
      if (away) warning?.then(({ hide }) => hide());
      for (const part of [count, form]) setAttribute(part, "hidden", away);
    },
    stop: () => clearTimeout(idle),
  };
}
