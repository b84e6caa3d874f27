/** Chats that have ended: found by words and filters, read in place, downloaded. */
import * as api from "./api.js";
import { entry } from "./chat-state.js";
import { desk, noted, recalled } from "./desk-state.js";
import { confirm } from "./dialogs.js";
import { button, icon } from "./dom.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { clock, day } from "./format.js";
import { known } from "./i18n.js";
import { optionsOf } from "./labels.js";
import { latest } from "./latest.js";
import { messageLog } from "./message-list.js";
import { optionName } from "./pause-dialog.js";
import { conversationOf } from "./reading.js";
import { ENDS, LANGUAGES, RATINGS, addressOf, filtersOf, requestOf } from "./past-filters.js";
import { overview } from "./side-page.js";

const TOKEN_LIFE = 9 * 24 * 3_600_000; // ms: by then each has expired, unless the operator lets citizens read for longer

/**
 * RULES: a past chat as a chat on the desk that has ended, to be read only.
 *
 * @param {PastChat} one
 * @param {{opened_at?: string, messages?: MessageFrame[], closed_at?: string | null}} said
 * @param {Note[]} written
 */
export function asRead(one, said, written) {
  const about = { chat_id: one.chat_id, department: one.department, locale: one.locale, name: one.name, question: null };
  const ended = entry({ ...about, form: one.form, last_seq: Infinity, opened_at: one.opened_at }, { ended: endOf(one) });
  const alone = { ...desk({ id: "", name: "", departments: [], capacity: 0, state: "" }, null), chats: [ended] };
  return noted(recalled(alone, ended.id, said), ended.id, written).chats[0];
}

/** @param {PastChat} one @returns {{kind: "closed" | "gone", reason: string}} */
const endOf = (one) => (one.left ? { kind: "gone", reason: "transferred" } : { kind: "closed", reason: one.ended_by ?? "other" });

/**
 * RULES: what is shown of a chat below its name, each in words.
 *
 * @param {Translator} t
 * @param {PastChat} one
 * @param {Map<string, string>} departments
 * @param {Record<string, ClosingOptions>} [closing] the lists of closing reasons and tags
 */
export function detailsOf(t, one, departments, closing) {
  const through = (one.departments.length ? one.departments : [one.department]).map((id) => departments.get(id) ?? id);
  const agents = one.agents.map(({ id, name }) => name ?? id);
  return [
    through.join(", "),
    t.has(`locale.${one.locale}`) ? t(`locale.${one.locale}`) : one.locale,
    t(one.left ? "past.left" : `past.ended.${ENDS.includes(one.ended_by ?? "") ? one.ended_by : "other"}`),
    agents.length ? t("past.with", { names: agents.join(", ") }) : t("past.with_nobody"),
    ratingOf(t, one.rating),
    one.closing_reason && t("past.closing_reason", { reason: optionName(optionsOf(closing, "reasons"), one.closing_reason, t.language) }),
    tagsOf(t, one, closing),
  ].filter(Boolean);
}

/** @param {Translator} t @param {PastChat} one @param {Record<string, ClosingOptions>} [closing] */
function tagsOf(t, { tags = [] }, closing) {
  const names = tags.map((id) => optionName(optionsOf(closing, "tags"), id, t.language));
  return names.length ? t("past.tags", { tags: names.join(", ") }) : "";
}

/** @param {Translator} t @param {PastChat["rating"]} rating */
function ratingOf(t, rating) {
  const words = [rating?.helped && t(`past.rating.${rating.helped}`), rating?.score && t("past.score", { score: rating.score })];
  return words.filter(Boolean).join(", ");
}

/** Whether a citizen's token of this chat may still open it. @param {PastChat} one */
const isRecent = ({ ended_at }) => Date.now() - Date.parse(ended_at) < TOKEN_LIFE;

/** @param {PastChat["form"]} form */
export const formName = (form) => form?.title ?? form?.id ?? form?.url ?? null;

/**
 * `{element, draw(), focus(), stop()}`; `agent` who is logged in, `names()` names departments by id, `download(id)` offers a download,
 * `acts` as in `overview`.
 *
 * @param {Translator} t
 * @param {{agent: AgentWelcomeFrame["agent"], names(): Map<string, string>, download(id: string): void, acts: {back(): void}}} options
 */
export function pastChatsView(t, { agent, names, download, acts }) {
  const supervisor = agent.supervisor === true;
  /** @type {PastChat[]} */
  let list = [];
  /** @type {string | null} */
  let next = null;
  let filters = filtersOf(location.hash, supervisor);
  /** @type {Date | null} */
  let at = null;
  /** @type {Map<PastChat, HTMLElement>} */
  const summaries = new Map(); // of each chat that is shown
  let named = names(); // with which they were drawn
  const words = h("input", { type: "search", id: "past-text", hook: "past-text", maxlength: "200", "aria-describedby": "past-hint" });
  const from = h("input", { type: "date", id: "past-from", hook: "past-from" });
  const until = h("input", { type: "date", id: "past-until", hook: "past-until" });
  const form = h("input", { type: "text", id: "past-form", hook: "past-form", maxlength: "500" });
  const department = choice("department", [
    ["", t("past.any")],
    ...agent.departments.map((id) => /** @type {[string, string]} */ ([id, id])),
  ]);
  const locale = choice("locale", [
    ["", t("past.any")],
    ...LANGUAGES.map((one) => /** @type {[string, string]} */ ([one, t(`locale.${one}`)])),
  ]);
  const ended = choice("ended", [
    ["", t("past.any")],
    ...ENDS.map((one) => /** @type {[string, string]} */ ([one, t(`past.ended.${one}`)])),
  ]);
  const own = choice("own", [
    ["", t("past.departments")],
    ["yes", t("past.mine")],
  ]);
  const who = choice("agent", [["", t("past.any")]]);
  const rating = choice("rating", [
    ["", t("past.any")],
    ...RATINGS.map((one) => /** @type {[string, string]} */ ([one, ratingWords(t, one)])),
  ]);
  const options = optionsOf(agent.closing, "tags");
  const tag = choice("tag", [
    ["", t("past.any")],
    ...options.map(({ id }) => /** @type {[string, string]} */ ([id, optionName(options, id, t.language)])),
  ]);
  /** @type {Record<string, HTMLInputElement | HTMLSelectElement>} */
  const inputs = {
    text: words,
    from,
    until,
    department,
    locale,
    ended,
    form,
    ...(options.length ? { tag } : {}),
    ...(supervisor ? { own, agent: who, rating } : {}),
  };
  const more = h(
    "details",
    { class: "past-filters", hook: "past-filters" },
    h("summary", {}, t("past.filters")),
    h(
      "div",
      { class: "report-choice" },
      ...Object.keys(inputs)
        .filter((name) => name !== "text")
        .map((name) => field(name)),
    ),
  );
  const search = h(
    "form",
    { class: "past-search", role: "search", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), choose()) },
    h(
      "div",
      { class: "past-words" },
      h("label", { class: "field" }, t("past.text"), words),
      button(t("past.search"), { type: "submit", class: "main", hook: "past-search" }),
      button(t("past.clear"), { hook: "past-clear", onclick: clear }),
    ),
    h("p", { id: "past-hint", class: "hint" }, t("past.hint")),
    more,
  );
  const frame = overview(t, {
    title: t("past"),
    lead: t(supervisor ? "past.lead_supervisor" : "past.lead"),
    extra: [search],
    acts: { ...acts, refresh: () => load() },
  });
  const state = h("p", { class: "past-state", role: "status", hook: "past-state" });
  const rows = h("ul", { class: "questions past", hook: "past-list" });
  const onward = button("", { hook: "past-more", hidden: true, onclick: () => load(true) });
  frame.body.append(state, rows, onward);

  /** @param {string} name @param {[string, string][]} options */
  function choice(name, options) {
    return h("select", { id: `past-${name}`, hook: `past-${name}` }, ...options.map(([value, said]) => h("option", { value }, said)));
  }

  /** @param {string} name */
  function field(name) {
    return h("label", { class: "field" }, t(`past.by_${name}`), inputs[name]);
  }

  /** Puts the filters of the address into the fields. */
  function fill() {
    for (const [name, input] of Object.entries(inputs)) {
      const value = filters[/** @type {keyof PastFilters} */ (name)] ?? "";
      if (input instanceof HTMLSelectElement && value && ![...input.options].some((one) => one.value === value))
        input.append(h("option", { value }, value));
      input.value = value;
    }
    more.open = Object.keys(filters).some((name) => name !== "text");
  }

  function choose() {
    const given = Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]);
    const address = addressOf(Object.fromEntries(given));
    filters = filtersOf(address, supervisor);
    history.replaceState(null, "", address);
    load();
  }

  function clear() {
    for (const input of Object.values(inputs)) input.value = "";
    choose();
    words.focus();
  }

  const asked = latest(async (current, /** @type {boolean} */ further) => {
    frame.tell("");
    frame.asOf(null);
    setText(state, t("overview.loading"));
    const answer = await api.pastChats(requestOf(filters, further ? next : null));
    if (!current()) return;
    if (answer.ok) at = new Date();
    frame.asOf(at);
    if (!answer.ok) {
      setText(state, "");
      if (!further) (rows.replaceChildren(), (onward.hidden = true)); // what is there is not what was asked for
      return frame.tell(known(t, "past.problem", answer.code));
    }
    const found = /** @type {PastChat[]} */ (answer.body?.chats ?? []);
    const before = further ? list.length : 0;
    list = further ? [...list, ...found] : found;
    next = answer.body?.next ?? null;
    if (!further) (rows.replaceChildren(), summaries.clear());
    rows.append(...found.map((one) => row(one)));
    showNext(answer.body?.searched_until ?? null);
    nameAgents(found);
    if (further) /** @type {HTMLElement | null} */ (rows.children[before]?.querySelector("h3"))?.focus();
  });

  function load(further = false) {
    if (!further) onward.hidden = true; // there is no more yet of what is searched now
    return asked.run(further);
  }

  /** @param {string | null} searched */
  function showNext(searched) {
    const said = searched ? t("past.searched_until", { time: dated(searched) }) : list.length ? "" : t("past.none");
    setText(state, [list.length ? t("past.count", { n: list.length }) : "", said].filter(Boolean).join(" "));
    onward.hidden = next === null;
    setText(/** @type {HTMLElement} */ (onward.querySelector(".words")), t(searched ? "past.search_on" : "past.more"));
  }

  /** @param {PastChat[]} found */
  function nameAgents(found) {
    for (const { id, name } of found.flatMap((one) => one.agents)) {
      const there = [...who.options].find((one) => one.value === id);
      if (there) setText(there, name ?? id);
      else who.append(h("option", { value: id }, name ?? id));
    }
  }

  /** @param {string} at */
  const dated = (at) => {
    const now = new Date();
    const here = new Date(at);
    const years = here.getFullYear() === now.getFullYear() ? "" : ` ${day(at.slice(0, 10), t.language, { year: "numeric" })}`;
    return `${clock(at, t.language, now)}${years}`;
  };

  /** @param {PastChat} one */
  const summaryOf = (one) => [
    h("span", {}, h("time", { datetime: one.ended_at }, dated(one.ended_at))),
    ...detailsOf(t, one, names(), agent.closing).map((said) => h("span", {}, h("bdi", {}, said))),
  ];

  /** @param {PastChat} one */
  function row(one) {
    const called = one.name || t("item.citizen");
    const title = formName(one.form);
    const place = h("div", { class: "read", id: `past-${one.chat_id}` });
    const reader = button(t("past.read"), {
      hook: "past-read",
      "aria-expanded": "false",
      "aria-controls": place.id,
      "aria-label": t("past.read_of", { name: called, time: dated(one.ended_at) }),
      onclick: () => read(one, place, reader),
    });
    const said = h("p", { class: "hint", role: "status", hook: "past-revoke-said" });
    const revokes = t("past.revoke_of", { name: called, time: dated(one.ended_at) });
    const about = h("p", { class: "facts" }, ...summaryOf(one));
    summaries.set(one, about);
    return h(
      "li",
      { class: "question", hook: "past-chat", "data-chat": one.chat_id },
      h("h3", { tabindex: "-1" }, h("bdi", {}, called)),
      about,
      title && h("p", {}, icon("file"), " ", t("past.form_is"), " ", h("bdi", {}, title)),
      !one.complete && h("p", { class: "hint" }, t("past.incomplete")),
      h(
        "div",
        { class: "row" },
        reader,
        button(t("download"), {
          symbol: "download",
          hook: "past-download",
          "aria-label": t("past.download_of", { name: called, time: dated(one.ended_at) }),
          onclick: () => download(one.chat_id),
        }),
        supervisor &&
          isRecent(one) &&
          button(t("past.revoke"), { hook: "past-revoke", "aria-label": revokes, onclick: () => revoke(one, revokes, said) }),
      ),
      said,
      place,
    );
  }

  /** What became of it stands beside the chat: the top of the list may be far away. @param {PastChat} one @param {string} title @param {HTMLElement} said */
  function revoke(one, title, said) {
    const onYes = async () => {
      setText(said, "");
      const answer = await api.revokeToken(one.chat_id);
      setText(said, answer.ok ? t("past.revoked") : known(t, "past.problem", answer.code));
    };
    confirm(t, { title, body: t("past.revoke_body"), yes: t("past.revoke"), onYes });
  }

  /** @param {PastChat} one @param {HTMLElement} place @param {HTMLElement} reader */
  async function read(one, place, reader) {
    const open = place.childElementCount > 0;
    setAttribute(reader, "aria-expanded", String(!open));
    setText(/** @type {HTMLElement} */ (reader.querySelector(".words")), t(open ? "past.read" : "past.shut"));
    if (open) return place.replaceChildren();
    place.replaceChildren(h("p", { role: "status" }, t("overview.loading")));
    const [said, written] = await conversationOf(t, one.chat_id);
    if (!place.isConnected || !place.childElementCount) return;
    if (!said.ok) return place.replaceChildren(h("p", { class: "alert", role: "alert" }, t("past.not_read")));
    const called = one.name || t("item.citizen");
    const log = messageLog(t, { chat: one.chat_id, name: called, agent: agent.name, own: agent.id, acts: {}, onScroll: () => {} });
    /** @type {HTMLElement} */ (log.element.firstChild).dataset.testid = "past-messages";
    place.replaceChildren(log.element);
    log.draw(asRead(one, said.body ?? {}, written.ok ? (written.body?.notes ?? []) : []), names());
  }

  function draw() {
    for (const option of department.options) if (option.value) setText(option, names().get(option.value) ?? option.value);
    if (names() === named) return;
    named = names();
    for (const [one, about] of summaries) about.replaceChildren(...summaryOf(one));
  }

  fill();
  load();
  return { element: frame.element, focus: frame.focus, draw, stop: asked.stop };
}

/** @param {Translator} t @param {string} value */
const ratingWords = (t, value) => (Number(value) ? t("past.score", { score: value }) : t(`past.rating.${value}`));
