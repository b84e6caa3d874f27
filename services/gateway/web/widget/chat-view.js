// One conversation as far as the first message needs it: the dot and its words, why there is no connection, the white bar. The messages,
// files, downloads and the end come right after that (chat-tools.js).
import { dot } from "../shared/conversation.js";
import { composer } from "./composer.js";
import { h, icon, setAttribute, setText } from "../shared/dom.js";
import { joinChat } from "./chat-session.js";

// the dot's sign beside its colour: waiting, yes, no
const SIGNS = { grey: "M12 6v6l4 2.5", green: "M6 12.5l4 4 8-9", red: "M7 7l10 10 M17 7 7 17" };
const DRAW = 16; // ms
const LONGEST = 30_000; // ms between two tries to load the tools
const MANY = 2; // tries in vain, after which the citizen is told

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
