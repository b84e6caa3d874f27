// One conversation: the dot and its words, the log, the white bar, download, the end.
import { dot, lastSeq, unread } from "../shared/conversation.js";
import { composer } from "./composer.js";
import { h, icon, rootOf, setAttribute, setText } from "../shared/dom.js";
import { messageLog } from "./message-list.js";
import { joinChat } from "./chat-session.js";

const DOWN = "M12 4v11 M7 10.5l5 5 5-5 M4 20h16";
// the dot's sign beside its colour: waiting, yes, no
const SIGNS = { grey: "M12 6v6l4 2.5", green: "M6 12.5l4 4 8-9", red: "M7 7l10 10 M17 7 7 17" };
const FORMATS = ["txt", "html", "pdf", "json"];
const DRAW = 16; // ms

/**
 * Joins and shows the chat of `record`; onGone: the server does not know it. One without an id is being started
 * (`onStart` asks again): `begun()` says that it is there, `refused(words, ways)` that there is none.
 *
 * @param {ChatViewOptions} options
 */
export function chatView({
  t,
  lang,
  base,
  store,
  record,
  announce,
  settings,
  ways,
  isOpen,
  onState,
  onUnread,
  onGone,
  onEnded,
  onUntold,
  onStart,
  onRestart,
  onDismiss,
}) {
  /** @type {Conversation} */
  let state;
  /** @type {Link} */
  let link;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<((chat?: Conversation, link?: Link) => void) | null> | null | undefined} */
  let aside;
  let untold = false;
  /** @type {[words: string, ways: Node | string] | undefined} */
  let refusal;
  /** @param {string} path @param {string} name */
  const save = async (path, name) => {
    const said = import("./files.js").then((files) => files.save({ base, record, path, name, element }));
    const [words, wrong] = await said.catch(() => /** @type {[string, boolean?]} */ ([t("saveFailed"), true]));
    tell(words, wrong);
  };
  const log = messageLog({
    t,
    lang,
    announce,
    zone: settings.timezone,
    onFile: ({ id, name }) => save(`attachments/${id}`, name),
    /** @param {string} id */
    onAgain: (id) => session.again(id),
    /** @param {string} id */
    onDiscard: (id) => (session.discard(id), bar.focus()),
    onSeen: () => seen(),
  });
  const bar = composer({ t, lang, base, record, store, settings, session: () => session, announce: tell });

  const sign = h("span", { class: "dot", hook: "chat-dot" });
  const words = h("div", { role: "status" });
  const mend = h("button", { class: "text", hidden: true, onclick: () => session.reopen() });
  const status = h("div", { class: "status" }, sign, words, mend);
  const why = h("p", { role: "status" });
  const far = h("div", { class: "notice far", hook: "chat-far", hidden: true }, why);

  /** @param {string} look @param {string} hook @param {string} key @param {() => void} onclick @param {string} [drawing] */
  const button = (look, hook, key, onclick, drawing) =>
    h("button", { class: look, hook, onclick }, drawing && icon(drawing), t.has(key) ? t(key) : key.toUpperCase());
  const end = button("tool end-chat", "chat-close", "close", () => toggle(question, end));
  const saving = button("tool", "chat-download", "download", () => toggle(formats, saving), DOWN);
  const formats = choice(
    "format",
    FORMATS.map((format) =>
      button("tool", `download-${format}`, format, () => {
        toggle(formats, saving);
        save(`transcript?format=${format}`, `chat.${format}`);
      }),
    ),
  );
  const question = choice("confirm", [
    button("danger", "confirm", "yes", () => (toggle(question, end), session.end())),
    button("tool", "confirm-no", "no", () => toggle(question, end)),
  ]);
  const notice = h("p", { class: "notice", hidden: true });
  const reason = h("p", { class: "reason", tabindex: -1 });
  const ended = h(
    "div",
    { class: "ended", hidden: true },
    reason,
    h("p", {}, t("keep")),
    h(
      "div",
      { class: "row" },
      button("primary", "chat-restart", "restart", onRestart),
      button("tool", "chat-dismiss", "dismiss", onDismiss),
    ),
  );
  const tools = h("div", { class: "row tools" }, bar.attach, saving, end);
  const showTools = () => (tools.style.visibility = record.chat_id ? "" : "hidden"); // files, downloads and an end need a chat
  showTools();
  const place = record.place && h("p", { class: "shared", hook: "chat-context" }, t("shared", { place: record.place }));
  const element = h("div", { class: "chat" }, status, place, far, ...log.parts, notice, formats, question, ended, ...bar.parts, tools);

  /** @param {string} key @param {HTMLElement[]} buttons */
  function choice(key, buttons) {
    return h(
      "div",
      { class: "choice", role: "group", "aria-label": t(key), hidden: true },
      h("p", {}, t(key)),
      h("div", { class: "row" }, ...buttons),
    );
  }

  /** @param {HTMLElement} block @param {HTMLElement} opener */
  function toggle(block, opener) {
    const show = block.hidden;
    for (const [each, by] of [
      [formats, saving],
      [question, end],
    ]) {
      setAttribute(each, "hidden", each !== block || !show);
      setAttribute(by, "aria-expanded", String(each === block && show));
    }
    // a second Enter ends nothing
    if (show) /** @type {HTMLElement} */ (block.querySelector(block === question ? ".tool" : "button")).focus();
    else if (!opener.hidden) opener.focus();
  }

  /** @param {string} text @param {boolean} [wrong] */
  function tell(text, wrong) {
    setAttribute(notice, "hidden", !wrong);
    setText(notice, wrong ? text : "");
    announce(text);
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
    const key = distance();
    const [said, others] = link.refused && refusal ? refusal : [key ? t(key) : "", ""];
    if (far.dataset.why === said) return;
    far.dataset.why = said;
    setAttribute(far, "hidden", !said);
    far.replaceChildren(why, said && (others || ways()));
    setText(why, said);
  }

  function draw() {
    timer = undefined;
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
    showTools();
    log.type(state);
    log.update(state, session.backlog());
    if (state.closed && ended.hidden) finish();
    else if (state.closed && untold && !session.untold()) setText(reason, because());
    aside ??= import("./lazy-panels.js")
      .then((module) => module.aside({ base, store, record, announce, session, element, bar }))
      .catch(() => (aside = null));
    aside?.then((tell) => tell?.(state, link));
    seen();
  }

  function because() {
    untold = session.untold();
    if (untold) return t("endUntold");
    const why = state.closed ?? "";
    const key = `end${why.slice(0, 1).toUpperCase()}${why.slice(1)}`;
    return t(t.has(key) ? key : "endInactive");
  }

  function finish() {
    const held = bar.focused() || element.contains(rootOf(element).activeElement?.closest(".choice, .end-chat") ?? null);
    bar.hide(true);
    setAttribute(end, "hidden", true);
    setAttribute(question, "hidden", true);
    setAttribute(ended, "hidden", false);
    setText(reason, because());
    if (held) reason.focus();
    else announce(reason.textContent);
    log.toEnd();
    onEnded();
  }

  function seen() {
    if (!state) return;
    const last = lastSeq(state);
    if (isOpen() && !document.hidden && log.atEnd() && last > (record.shown ?? 0)) {
      record.shown = last;
      if (store.read("chat")?.chat_id === record.chat_id) store.write("chat", { ...store.read("chat"), shown: last });
      if (!state.closed) session.send({ type: "read", seq: last });
    }
    onUnread(unread(state, record.shown ?? 0));
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
  document.addEventListener("visibilitychange", seen);

  return {
    element,
    begun: () => session.begin(),
    /** @param {string} words @param {Node | string} others */
    refused: (words, others) => {
      refusal = [words, others];
      bar.give(session.refuse());
      announce(words);
    },
    focus: () => (state?.closed ? reason.focus() : bar.focus()),
    opened: () => (log.toEnd(), seen()),
    escape: () => {
      const [block, opener] = formats.hidden ? [question, end] : [formats, saving];
      if (block.hidden) return false;
      toggle(block, opener);
      return true;
    },
    stop: () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      aside?.then((tell) => tell?.());
      log.stop();
      bar.stop();
      session.leave();
    },
  };
}
