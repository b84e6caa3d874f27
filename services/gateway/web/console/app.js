/** The page while an agent is logged in: draws the desk and turns presses into acts. `desk-state.js` has the rules. */
import { colleagues, labelChat } from "./api.js";
import { assignmentsView } from "./assignments.js";
import { departmentBar, stateWords } from "./department-bar.js";
import { liveDepartments } from "./live.js";
import { liveView } from "./live-view.js";
import { ownDepartments } from "./own-departments.js";
import { watchAnswers } from "./reminders.js";
import { reportsView } from "./reports.js";
import { pastChatsView } from "./past-chats.js";
import { isPast } from "./past-filters.js";
import { showBar } from "./toolbar.js";
import { chooseBlock } from "./block-dialog.js";
import { drawList, nameOf } from "./chat-list.js";
import { chatView } from "./chat-view.js";
import { chooseDownload, confirm } from "./dialogs.js";
import { h } from "../shared/dom.js";
import { button } from "./dom.js";
import { find, mayOpen, mayType, nextNew, nextUnread, openChats, unread } from "./desk-state.js";
import { serverNow } from "./server-clock.js";
import { endKey, identifies, isNew, isOffer, secondsLeft } from "./chat-state.js";
import { drawNews, loudness, timeLeft, waiting } from "./new-chats.js";
import { leftQuestions, questionsView } from "./left-questions.js";
import { archiveView } from "./question-archive.js";
import { notify } from "./notifications.js";
import { known } from "./i18n.js";
import { span } from "./format.js";
import { chooseTransfer, nameOf as departmentName } from "./transfer-dialog.js";
import { uploader } from "./uploads.js";
import { startWork } from "./controller.js";
import { reading, save } from "./reading.js";
import { answersFor, cannedAnswers } from "./canned-answers.js";
import { drawWrapUps, isSaid, wrapUpLeft, wrapUpWords } from "./wrap-ups.js";
import { confirmEnd, isLabelled } from "./labels.js";
import { answersView, askBefore } from "./edit-canned-answers.js";
import { showShortcuts, watchShortcuts } from "./shortcuts.js";

const PRESENT = 30_000; // ms after a press or a key for which a person is there, focus or not
const ATTENDED = 120_000; // ms after which a page that has the focus may stand before an empty chair
const HAND = 1000; // ms after a press in which nothing is put under the pointer
const TICK = 1000;
const RING = 6000; // ms between two signals for a chat that is not accepted yet
const ACTIVE = 3000; // ms since the last key or press for which the server is told that this agent is at work
const HURRY = 10; // seconds left at which it is said once more
const LATE = 3000; // ms after its time at which the server is asked what became of it
const STORING = 3000; // ms for which the end of a chat waits until its closing reason and tags are stored
const HOURS = 60_000; // ms between two looks whether the departments are open
const AGAIN = 1000; // ms until a chat that could not come in front is looked at again
const NARROW = "(width < 56rem)";
/** @param {string} words */
const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;

/**
 * Puts the console on the page. `say(words)` speaks to a screen reader; `onLogout(open, everywhere)` was pressed, `onEnd()` the server ended the session.
 *
 * @param {StageOptions} options
 */
export function openStage({ t: first, agent, activity, limits, sound, say, page, onLogout, onPassword, onSessions, onLanguage, onEnd }) {
  let t = first;
  /** @type {any} */
  let view = null; // of the open chat
  let bar;
  /** @type {ReturnType<typeof departmentBar> | undefined} */
  let standing;
  /** @type {{name: string, view: any} | null} */
  let front = null; // the overview in the place of the chat: {name, view}
  /** @type {[ConnectionState, number?]} */
  let link = ["connecting"];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let bringing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let ticking;
  let rung = -Infinity;
  let rings = 0; // for the chats that wait to be accepted now: each is louder
  /** @type {Map<string, string>} */
  let departments = new Map();
  /** @type {Map<string, Record<string, string>>} */
  let names = new Map(); // of departments, by language
  let closed = false; // none of the agent's departments is open
  /** @type {Set<string>} */
  const labelled = new Set(); // chats whose closing reason and tags are stored
  /** @type {Map<string, ReturnType<typeof import("./labels.js").labelFields>>} */
  const fields = new Map(); // of the chats that are wrapped up
  const gone = new AbortController();
  const uploads = uploader({
    limits,
    onDone: (/** @type {string} */ id, /** @type {Attachment} */ file) => work.attach(id, file),
    announce: say,
  });
  const live = liveDepartments({ onChange: () => draw(work.desk(), ...link), onLate });
  const own = ownDepartments({ onChange: () => draw(work.desk(), ...link), onNews: onOpened });
  const work = startWork({
    agent,
    onChange: draw,
    onEffect,
    onLive: live.take,
    onDepartments: own.take,
    look,
    reading: (chat, read) => reading(t, chat, read),
  });
  const endReminders = watchAnswers({ desk: work.desk, onChange: () => draw(work.desk(), ...link), onOverdue });
  const left = leftQuestions({
    onChange: () => draw(work.desk(), ...link),
    onNews: () => (say(t("questions.new")), sound.play("message")),
  });
  const canned = cannedAnswers({ onChange: () => draw(work.desk(), ...link) });
  const acts = {
    ...work,
    /** @param {string} id */
    open: (id) => open(id, true),
    /** @param {string} id */
    accept: (id) => (work.accept(id), open(id, true)),
    /** @param {string} id */
    dismiss(id) {
      work.dismiss(id);
      show(work.desk().selected ? "chat" : "list");
      queueMicrotask(() => (page.list.querySelector("button") ?? page.chat).focus()); // after the drawing
    },
    /** @param {string} id */
    refuse: (id) => (work.refuse(id), draw(work.desk(), ...link)),
    /** @param {string} name */
    overview: (name) => (front?.name === name ? shutOverview() : openOverview(name)),
    seen: () => work.look(),
    back: () => (
      show("list"),
      /** @type {HTMLElement | null} */ (page.list.querySelector(`[data-chat="${work.desk().selected}"]`))?.focus()
    ),
    /** @param {string} id @param {File[]} files */
    upload: (id, files) => uploads.add(t, id, files),
    /** @param {string} id */
    download: (id) => chooseDownload(t, id),
    /** @param {string} id */
    close(id) {
      const options = agent.closing?.[find(work.desk(), id)?.about.department ?? ""];
      if (options) return confirmEnd(t, { options, onEnd: (label) => end(id, label), onBlock: () => acts.block(id) });
      confirm(t, {
        title: t("close.title"),
        body: t("close.body"),
        yes: t("close.yes"),
        onYes: () => work.close(id),
        other: { words: t("block.choose"), hook: "close-and-block", onPress: () => acts.block(id) },
      });
    },
    /** @param {string} id */
    block(id) {
      const one = find(work.desk(), id);
      if (one)
        chooseBlock(t, {
          name: nameOf(one, t),
          over: Boolean(one.ended),
          onBlock: (/** @type {Block} */ block) => work.block(id, block),
        });
    },
    /** @param {string} id */
    transfer(id) {
      const one = find(work.desk(), id);
      if (!one) return;
      const { about, draft } = one;
      const isOver = () => Boolean(find(work.desk(), id)?.ended ?? !find(work.desk(), id));
      chooseTransfer(t, {
        chat: id,
        department: about.department,
        own: agent.id,
        draft: draft.transfer ?? "",
        /** @param {string} words */
        onDraft: (words) => work.draft(id, { transfer: words }),
        isOver,
        onTransfer: work.transfer,
      });
    },
    /** @param {string} id */
    identify(id) {
      if (work.identify(id)) say(t("identify.sent"));
    },
    shortcuts: () => showShortcuts(t),
    logout: () => askBefore(t, canned, () => onLogout(openChats(work.desk()).length)),
    password: onPassword,
    sessions: onSessions,
    logoutEverywhere: () => askBefore(t, canned, () => onLogout(openChats(work.desk()).length, true)),
    language: onLanguage,
  };

  /** @type {Record<string, (more: {back(): void}) => any>} */
  const OVERVIEWS = {
    /** @param {{back(): void}} more */
    questions: (more) =>
      questionsView(t, { left, agent, departments: () => departments, say, acts: { ...more, archive: () => openOverview("archive") } }),
    /** @param {{back(): void}} more */
    archive: (more) =>
      archiveView(t, { left, agent, departments: () => departments, say, acts: { ...more, questions: () => openOverview("questions") } }),
    /** @param {{back(): void}} more */
    assignments: (more) => assignmentsView(t, { departments: agent.departments, names: () => departments, acts: more }),
    /** @param {{back(): void}} more */
    answers: (more) => answersView(t, { canned, own: agent.departments, names: () => departments, say, acts: more }),
    /** @param {{back(): void}} more */
    live: (more) =>
      liveView(t, {
        live,
        agent,
        names: () => departments,
        link: () => (!work.desk().welcomed ? "lost" : work.desk().frames.includes("watch") ? "ready" : "missing"),
        say,
        acts: more,
      }),
    /** @param {{back(): void}} more */
    reports: (more) => reportsView(t, { departments: agent.departments, names: () => departments, acts: more }),
    /** @param {{back(): void}} more */
    past: (more) => pastChatsView(t, { agent, names: () => departments, download: acts.download, acts: more }),
  };

  const noChat = () => say(t("keys.no_chat"), "loud");
  /** @param {(one: DeskChat) => void} act on the open chat, in sight */
  function withChat(act) {
    const one = openChats(work.desk()).find((chat) => chat.id === work.desk().selected);
    if (!one || !view) return noChat();
    if (front) shutOverview();
    show("chat");
    act(one);
  }

  /** @param {"message" | "note"} kind of what is written in the open chat */
  const write = (kind) =>
    withChat(() => {
      /** @type {HTMLElement | null} */ (page.chat.querySelector(`input[name="kind"][value="${kind}"]`))?.click();
      view.focus();
    });

  watchShortcuts({
    chat: page.chat,
    leave: () => view?.focusName(),
    signal: gone.signal,
    acts: {
      next() {
        const one = nextUnread(work.desk());
        if (one) open(one.id, true);
        else noChat();
      },
      accept() {
        const one = nextNew(work.desk());
        if (one) acts.accept(one.id);
        else noChat();
      },
      answer: () => write("message"),
      note: () => write("note"),
      answers() {
        write("message");
        /** @type {HTMLElement | null} */ (page.chat.querySelector(".answers-open:not([hidden])"))?.click();
      },
      close: () => withChat((one) => one.closing || acts.close(one.id)),
      transfer: () => withChat((one) => one.transfer || acts.transfer(one.id)),
      identify: () =>
        withChat((one) => {
          const may = identifies(one, work.desk().frames, serverNow());
          if (may === "now") acts.identify(one.id);
          else say(t(may === "asked" ? "identify.asked" : "identify.not_here"));
        }),
      search() {
        if (front?.name !== "past") openOverview("past");
        document.getElementById("past-text")?.focus();
      },
      list() {
        show("list");
        const item = page.list.querySelector('[aria-current="true"]') ?? page.list.querySelector("button");
        /** @type {HTMLElement | null} */ (item)?.focus();
      },
      wrap() {
        const first = /** @type {HTMLElement | null} */ (page.wraps.querySelector("select, input, button"));
        if (first) first.focus();
        else noChat();
      },
      pause: () => /** @type {HTMLElement | null} */ (page.tools.querySelector("button.state"))?.click(),
      help: acts.shortcuts,
    },
  });

  // A link into a chat that this agent does not have: its department may ask why it is read.
  document.addEventListener(
    "click",
    async (event) => {
      const link = /** @type {HTMLAnchorElement | null} */ (
        /** @type {Element} */ (event.target).closest('a[download][href^="/api/chats/"]')
      );
      const chat = link?.pathname.split("/")[3] ?? "";
      const one = find(work.desk(), chat);
      if (!link || (one && one.ended?.kind !== "gone")) return;
      event.preventDefault();
      if (!(await save(t, chat, link))) say(t("reading.failed"), "loud");
    },
    { signal: gone.signal },
  );

  /** @param {string} name */
  function openOverview(name) {
    front?.view.stop();
    if (name !== "past") forgetPast();
    front = { name, view: OVERVIEWS[name]({ back: () => (shutOverview(), view ? view.focus() : page.chat.focus()) }) };
    page.overview.replaceChildren(front.view.element);
    page.overview.hidden = false;
    draw(work.desk(), ...link);
    front.view.focus();
    work.look();
  }

  /** Takes the filters of past chats out of the address: they may name a citizen. */
  function forgetPast() {
    if (isPast(location.hash)) history.replaceState(null, "", location.pathname + location.search);
  }

  function shutOverview() {
    front?.view.stop();
    forgetPast();
    front = null;
    page.overview.hidden = true;
    page.overview.replaceChildren();
    draw(work.desk(), ...link);
    work.look();
  }

  /** @param {string} id @param {boolean} [focus] */
  function open(id, focus) {
    work.select(id);
    if (front) shutOverview();
    show("chat");
    draw(work.desk(), ...link);
    view?.toBottom();
    if (focus) view?.focus();
    work.look();
    canned.look();
  }

  /** @param {string} which */
  function show(which) {
    page.desk.dataset.view = which;
  }

  function here() {
    return document.visibilityState === "visible" && activity.unused() < (document.hasFocus() ? ATTENDED : PRESENT);
  }

  /** An overview, and on a narrow page the list too, hides the chat: then nobody sees it. */
  function look() {
    return { here: here() && visible(), bottom: view?.id === work.desk().selected && view.atBottom() };
  }

  function visible() {
    return !front && !(matchMedia(NARROW).matches && page.desk.dataset.view === "list");
  }

  /** @param {Desk} desk @param {ConnectionState} line @param {number} [code] */
  function draw(desk, line, code) {
    if (gone.signal.aborted) return; // an answer that came after the end: the page is the next user's
    link = [line, code];
    if (line === "ended" && code === 4401) return onEnd(desk.agent.why === "logged_out");
    bar ??= showBar(page.tools, t, { agent, sound, left, late: live.late, acts });
    bar(desk, line, front?.name ?? null);
    if (!desk.welcomed) own.lose();
    if (!standing)
      page.tools.after((standing = departmentBar(t, { own, departments: agent.departments, names: () => departments })).element);
    standing.draw(desk);
    page.desk.toggleAttribute("data-overview", Boolean(front));
    page.skip.hidden = Boolean(front);
    front?.view.draw();
    drawNew(desk);
    drawList(page.list, page.empty, t, { desk, departments, acts, now: new Date(serverNow()), closed });
    drawChat(desk);
    drawProblem(desk, line, code);
    page.title(titleOf(desk));
  }

  /**
   * What waits to be accepted: told above the page and in an open dialog, counted down, and rung again.
   *
   * @param {Desk} desk
   */
  function drawNew(desk) {
    const now = performance.now();
    const chats = waiting(desk, visible() ? desk.selected : null);
    drawNews(page.news, t, { chats, acts, overview: Boolean(front), now });
    drawWrapUps(page.wraps, t, { list: desk.wrapUps, departments, now, onDone: wrappedUp, closing, fields });
    /** @type {HTMLElement} */ (page.wraps.parentElement).hidden = !desk.wrapUps.length;
    for (const place of document.querySelectorAll("dialog .news")) drawNews(place, t, { chats, now });
    /** @type {HTMLElement} */ (page.news.parentElement).hidden = !chats.length;
    if (!desk.chats.some(isNew)) rings = 0;
    if (desk.chats.some(isNew) || desk.wrapUps.length) ticking ??= setTimeout(tick, TICK); // not put off by what is drawn meanwhile: each key draws
  }

  function tick() {
    ticking = undefined;
    const desk = work.desk();
    const now = performance.now();
    const fresh = desk.chats.filter((one) => isNew(one) && !one.refusing);
    if (fresh.length && activity.unused() < ACTIVE) work.active();
    if (fresh.length && now - rung >= RING) ring();
    for (const one of fresh.filter((chat) => secondsLeft(chat, now) === HURRY))
      say(`${t("chat.new_chat", { name: nameOf(one, t) })}. ${timeLeft(t, one, now)}`, "new");
    if (fresh.some((one) => one.acceptAt !== null && now - one.acceptAt > LATE)) work.refresh();
    for (const one of desk.wrapUps.filter((wrap) => isSaid(wrap, now)))
      say(`${wrapUpWords(t, one, departments)} ${t("wrap.left", { time: span(wrapUpLeft(one, now), t.language) })}`);
    draw(desk, ...link);
  }

  /** @param {WrapUp} one @returns {ClosingOptions | null} */
  const closing = (one) => (labelled.has(one.id) ? null : (agent.closing?.[one.department] ?? null));

  /**
   * Stores what the agent says of a chat. Returns whether it is stored; a failure is said.
   *
   * @param {string} id @param {Label} label
   */
  async function store(id, label) {
    const answer = await labelChat(id, label);
    if (answer.ok) labelled.add(id);
    else say(known(t, "label.problem", answer.code), "loud");
    return answer.ok;
  }

  /**
   * Ends a chat. What is not stored, or not soon, keeps it from nothing: it is asked again while the agent wraps the chat up.
   *
   * @param {string} id @param {Label} label
   */
  async function end(id, label) {
    if (isLabelled(label)) await Promise.race([store(id, label), new Promise((late) => setTimeout(late, STORING))]);
    work.close(id);
  }

  /** @param {string} id */
  async function wrappedUp(id) {
    const asked = fields.get(id);
    if (asked && !asked.complete()) return;
    if (asked && isLabelled(asked.value()) && !(await store(id, asked.value()))) return;
    if (work.done(id)) return;
    say(sentence(known(t, "error", "unavailable")), "loud");
  }

  function ring() {
    rung = performance.now();
    sound.play("arrived", loudness(rings++));
  }

  /** @param {Desk} desk */
  function drawChat(desk) {
    const one = find(desk, desk.selected);
    if (view && view.id !== one?.id) view = void view.stop();
    if (!one) {
      if (!page.chat.querySelector(".none")) page.chat.replaceChildren(h("p", { class: "none", id: "chat-name" }));
      /** @type {ChildNode} */ (page.chat.firstChild).textContent = t(desk.chats.length ? "chat.none" : "chat.waiting");
      return;
    }
    if (!view) {
      const { id } = one;
      view = chatView(t, one, {
        acts,
        agent: agent.name ?? t("chat.you"),
        own: agent.id,
        uploads: uploads.place(id),
        answers: () => answersOf(find(work.desk(), id) ?? one),
        look: canned.look,
      });
      page.chat.replaceChildren(view.element);
    }
    view.draw(one, departments, desk.frames);
  }

  /** @param {DeskChat} one @returns {ChatAnswers} */
  function answersOf({ id, about: { department, locale, name } }) {
    const list = canned.list();
    return {
      answers: list && answersFor(list, department, agent.departments),
      failed: canned.failed(),
      locale,
      values: {
        agent: agent.name ?? null,
        citizen: name,
        department: names.get(department)?.[locale] ?? departments.get(department) ?? null,
        chat: id,
      },
    };
  }

  /** @param {Desk} desk @param {ConnectionState} line @param {number} [code] */
  function drawProblem(desk, line, code) {
    const { words, label, act } = problemOf(desk, line, code) ?? { words: "", label: "" };
    if (page.problem.dataset.words === words) return;
    page.problem.dataset.words = words;
    page.problem.replaceChildren(...(words ? [h("span", {}, words), button(label, { class: "small", hook: "mend", onclick: act })] : []));
  }

  /**
   * What keeps new chats away, in words, with what mends it; else null.
   *
   * @param {Desk} desk
   * @param {ConnectionState} line
   * @param {number} [code]
   */
  function problemOf(desk, line, code) {
    if (line === "ended")
      return {
        words: t(code === 4409 ? "connection.other_tabs" : "connection.refused"),
        label: t("connection.retry"),
        act: () => work.reconnect(),
      };
    const why = `state.why_${desk.agent.why}`;
    return desk.agent.state === "paused" && t.has(why)
      ? { words: t(why), label: t("state.resume"), act: () => work.setState("available") }
      : null;
  }

  /** @param {Desk} desk */
  function titleOf(desk) {
    const fresh = desk.chats.find(isNew);
    const count = unread(desk);
    const what = fresh ? t("chat.new_chat", { name: nameOf(fresh, t) }) : count ? t("item.unread", { n: count }) : t("title");
    const counted = count || fresh ? `(${Math.max(count, fresh ? 1 : 0)}) ` : "";
    return `${counted}${what} – ${t("service")}`;
  }

  /** @param {Effect} effect @param {Desk} desk */
  function onEffect(effect, desk) {
    const one = find(desk, effect.id);
    const name = one ? nameOf(one, t) : "";
    if (one && effect.type === "arrived") arrived(one, name);
    else if (one && effect.type === "message") {
      if (effect.added?.some((message) => message.from === "citizen")) spoken(one, name);
    } else if (one && effect.type === "ended") say(`${name}: ${known(t, ...endKey(one))}`);
    else if (one && effect.type === "returned") say(`${t("chat.back", { name })} ${known(t, "returned", one.returned)}`, "new");
    else if (effect.type === "silent") say(`${name}: ${t("item.silent")}`);
    else if (effect.type === "state")
      say(t.has(`state.why_${effect.why}`) ? t(`state.why_${effect.why}`) : t(`state.now_${effect.state}`), "new");
    else if (effect.type === "refusal_refused") say(t("chat.refusal_refused"), "loud");
    else if (effect.type === "block_asked") say(t("block.asked", { name }), "loud");
    else if (effect.type === "block_refused") say(t("block.refused"), "loud");
    else if (effect.type === "identify_refused") say(t("identify.refused"), "loud");
    else if (effect.type === "transfer_refused") say(t("transfer.refused"), "loud");
    else if (effect.type === "wrap_began" && effect.wrap) wrapBegan(effect.wrap);
    else if (effect.type === "wrap_ended" && effect.wrap) wrapEnded(effect.wrap);
    else if (effect.type === "error") say(sentence(known(t, "error", effect.code)), "loud");
  }

  /** @param {WrapUp} one */
  function wrapBegan(one) {
    loadDepartments();
    say(`${wrapUpWords(t, one, departments)} ${t("wrap.left", { time: span(wrapUpLeft(one, performance.now()), t.language) })}`);
  }

  /** When the button that was pressed has gone, after the drawing, the focus goes to the list of chats. @param {WrapUp} one */
  function wrapEnded({ id }) {
    const asked = fields.get(id)?.value();
    fields.delete(id);
    if (asked && isLabelled(asked) && !labelled.has(id)) store(id, asked); // the time was over before "done"
    say(t("wrap.over"));
    const pressed = page.wraps.contains(document.activeElement);
    queueMicrotask(
      () => pressed && !page.wraps.contains(document.activeElement) && (page.list.querySelector("button") ?? page.chat).focus(),
    );
  }

  /** @param {DeskChat} one @param {number} seconds */
  function onOverdue(one, seconds) {
    say(t("item.waits_long_of", { name: nameOf(one, t), time: span(seconds - (seconds % 60), t.language) }), "new");
  }

  /** @param {LiveChat[]} chats */
  function onLate(chats) {
    say(t("live.late_of", { name: chats[0].agent, n: chats.length }), "new");
  }

  /** @param {OwnDepartment[]} list departments that have opened or closed */
  function onOpened(list) {
    const [{ department }] = list;
    if (list.length > 1) say(t("bar.news", { n: list.length }));
    else say(`${departments.get(department) ?? department}: ${stateWords(t, list[0], own.now())}`);
  }

  /** @param {DeskChat} one @param {string} name */
  function arrived(one, name) {
    loadDepartments();
    ring();
    const words = t(one.returned ? "chat.back" : isOffer(one) ? "chat.new_offer" : "chat.new_chat", { name });
    const left = isNew(one) && timeLeft(t, one, performance.now());
    if (!one.returned) say(left ? `${words}. ${left}` : words, "new"); // that one is told with its reason
    notify(words, one.id, () => open(one.id, true));
    bring();
  }

  /**
   * A new chat comes in front by itself when nobody is at work there. The cursor goes into its text bar only when no other chat makes way and
   * nobody was typing: else keys that were meant for one citizen would reach the next.
   */
  function bring() {
    clearTimeout(bringing);
    const next = nextNew(work.desk());
    if (!next || work.desk().selected === next.id) return;
    const [typing, dialog] = [activity.typing(), document.querySelector("dialog[open]")];
    const busy = typing || activity.unused() < HAND;
    if (front || dialog || !mayOpen(work.desk(), busy)) return void (bringing = setTimeout(bring, AGAIN));
    const free = here() && document.hasFocus() && idle();
    const write = free && mayType(work.desk(), typing);
    open(next.id, write);
    if (free && !typing && !write) view?.focusName();
  }

  /** The focus may move to a new chat: it is nowhere, or in the chat that makes way. */
  function idle() {
    const at = document.activeElement;
    return !at || at === document.body || page.chat.contains(at);
  }

  /** @param {DeskChat} one @param {string} name */
  function spoken(one, name) {
    const away = document.visibilityState !== "visible" || !document.hasFocus();
    const seen = one.id === work.desk().selected && !front;
    if (!away && seen) return;
    if (isNew(one)) return; // told as a new chat
    sound.play("message");
    if (!seen) say(t("chat.new_message", { name }));
    notify(t("chat.new_message", { name }), one.id, () => open(one.id, true));
  }

  async function loadDepartments(again = false) {
    const named = [...work.desk().chats.map((one) => one.about.department), ...agent.departments];
    const missing = named.find((one) => one && (again || !departments.has(one)));
    if (!missing) return;
    const answer = await colleagues(missing);
    if (!answer.ok || gone.signal.aborted) return;
    /** @type {{id: string, reason?: string}[]} */
    const own = (answer.body?.departments ?? []).filter((/** @type {{id: string}} */ one) => agent.departments.includes(one.id));
    closed = own.length > 0 && own.every(({ reason }) => reason === "closed");
    names = new Map((answer.body?.departments ?? []).map((/** @type {any} */ one) => [one.id, one.names ?? {}]));
    departments = new Map(
      (answer.body?.departments ?? []).map((/** @type {{id: string}} */ one) => [one.id, departmentName(one, t.language)]),
    );
    draw(work.desk(), ...link);
  }

  /** The same page in other words: nothing that was written is lost, for the drafts are in the desk. */
  function rebuild() {
    const writing = view?.writing();
    view?.stop();
    view = null;
    draw(work.desk(), ...link);
    if (writing) view?.focus();
  }

  for (const type of ["pointerdown", "keydown"])
    addEventListener(type, () => work.look(), { capture: true, passive: true, signal: gone.signal });
  for (const type of ["focus", "resize"]) addEventListener(type, () => work.look(), { signal: gone.signal });
  document.addEventListener("visibilitychange", () => work.look(), { signal: gone.signal });
  addEventListener("hashchange", () => isPast(location.hash) && openOverview("past"), { signal: gone.signal });
  addEventListener("beforeunload", (event) => (uploads.busy() || canned.changed()) && event.preventDefault(), { signal: gone.signal });
  // Who waits for a chat is told when none can come.
  const hours = setInterval(() => document.visibilityState === "visible" && !openChats(work.desk()).length && loadDepartments(true), HOURS);
  show(work.desk().selected ? "chat" : "list");
  loadDepartments();
  if (isPast(location.hash)) openOverview("past");

  return {
    /** @param {Translator} next */
    speak(next) {
      t = next;
      bar = undefined;
      standing?.element.remove();
      standing = undefined;
      departments = new Map();
      loadDepartments();
      rebuild();
      if (front) openOverview(front.name);
      page.tools.querySelector("summary")?.focus();
    },
    stop() {
      gone.abort();
      clearTimeout(bringing);
      clearTimeout(ticking);
      clearInterval(hours);
      page.news.replaceChildren();
      page.wraps.replaceChildren();
      for (const place of [page.news, page.wraps]) /** @type {HTMLElement} */ (place.parentElement).hidden = true;
      left.stop();
      live.stop();
      own.stop();
      standing?.element.remove();
      endReminders();
      canned.stop();
      front?.view.stop();
      forgetPast();
      page.overview.hidden = true;
      page.overview.replaceChildren();
      page.desk.removeAttribute("data-overview");
      uploads.stop();
      view?.stop();
      work.stop();
      page.tools.replaceChildren();
      page.chat.replaceChildren();
      page.list.replaceChildren();
      page.problem.replaceChildren();
      delete page.problem.dataset.words;
    },
  };
}
