/** What a supervisor does on the live page: dialogs and requests. Each act says what came of it. */
import * as api from "./api.js";
import { conversationOf } from "./reading.js";
import { confirm, show } from "./dialogs.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { newId } from "../shared/conversation.js";
import { button } from "./dom.js";
import { asRead } from "./left-questions.js";
import { known } from "./i18n.js";
import { untilMidnight } from "./format.js";
import { endOf } from "./live-state.js";
import { messageLog } from "./message-list.js";

const REASONS = ["crowded", "staff", "meeting", "technical", "other"];
const SPANS = ["15", "30", "60", "120", "day"];

/**
 * The acts on the live page; `say(words, how)` says what came of one, `names()` names departments by id.
 *
 * @param {Translator} t
 * @param {{agent: {id: string, name: string}, say(words: string, how?: "announce" | "new" | "loud"): void, names(): Map<string, string>}} options
 */
export function liveActs(t, { agent, say, names }) {
  /** @param {string} said @param {Answer} answer */
  function report(said, answer) {
    if (answer.ok) say(t(said), "loud");
    else say(known(t, "live.problem", answer.code), "loud");
    return answer.ok;
  }

  /** @param {string} title @param {string} body @param {string} yes @param {() => void} onYes */
  const ask = (title, body, yes, onYes) => confirm(t, { title, body, yes, onYes });

  return {
    /** @param {string} department */
    closeIntake: (department) => chooseClosing(t, { name: names().get(department) ?? department, department, report }),
    /** @param {string} department */
    openIntake: async (department) => report("live.said.opened", await api.openIntake(department)),
    /** @param {LiveAgent} one */
    pause: (one) =>
      ask(t("live.pause_of", { name: one.name }), t("live.pause_body"), t("live.pause"), async () =>
        report("live.said.paused", await api.pauseAgent(one.id)),
      ),
    /** @param {LiveAgent} one */
    logout: (one) =>
      ask(t("live.logout_of", { name: one.name }), t("live.logout_body"), t("live.logout"), async () =>
        report("live.said.logged_out", await api.logAgentOut(one.id)),
      ),
    /** @param {LiveChat} chat @param {LiveAgent[]} agents */
    reassign: (chat, agents) => chooseAgent(t, { chat, agents, own: agent, report }),
    /** @param {LiveChat} chat */
    revoke: (chat) =>
      ask(t("live.revoke_of", { name: chat.agent }), t("live.revoke_body"), t("live.revoke"), async () =>
        report("live.said.revoked", await api.revokeToken(chat.chat_id)),
      ),
    /** @param {LiveChat} chat @param {string} department */
    look: (chat, department) => lookInto(t, { chat, department, agent, names }),
  };
}

/**
 * @param {Translator} t
 * @param {string} name
 * @param {string} legend
 * @param {[value: string, words: string, more?: string, disabled?: boolean][]} options
 * @param {string} first
 */
function picks(t, name, legend, options, first) {
  const labels = options.map(([value, words, more, disabled]) =>
    h(
      "label",
      { class: "pick" },
      h("input", { type: "radio", name, value, checked: value === first, disabled, hook: `live-${name}-${value || "queue"}` }),
      h("span", {}, h("bdi", {}, words), more ? h("small", {}, more) : null),
    ),
  );
  return h("fieldset", {}, h("legend", {}, legend), h("div", { class: "choices" }, ...labels));
}

/**
 * @param {Translator} t
 * @param {{name: string, department: string, report(said: string, answer: Answer): boolean}} options
 */
function chooseClosing(t, { name, department, report }) {
  const alert = h("p", { class: "alert", role: "alert" });
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const go = button(t("live.close"), { type: "submit", class: "main", hook: "live-close-confirm" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("p", {}, t("live.close_lead")),
    picks(
      t,
      "reason",
      t("live.reason"),
      REASONS.map((one) => [one, t(`live.reason.${one}`)]),
      "staff",
    ),
    picks(
      t,
      "until",
      t("live.until"),
      SPANS.map((one) => [one, t(`live.for_${one}`)]),
      "30",
    ),
    alert,
    h("div", { class: "row" }, no, go),
  );
  const dialog = show(t("live.close_title", { department: name }), [form]);

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (go.getAttribute("aria-disabled")) return;
    const data = new FormData(form);
    const now = new Date();
    const wish = { reason: String(data.get("reason")), until: endOf(String(data.get("until")), now.getTime(), untilMidnight(now)) };
    setAttribute(go, "aria-disabled", "true");
    const answer = await api.closeIntake(department, wish);
    setAttribute(go, "aria-disabled", null);
    if (!answer.ok) return setText(alert, known(t, "live.problem", answer.code));
    dialog.close();
    report("live.said.closed", answer);
  }
}

/**
 * @param {Translator} t
 * @param {{chat: LiveChat, agents: LiveAgent[], own: {id: string}, report(said: string, answer: Answer): boolean}} options
 */
function chooseAgent(t, { chat, agents, own, report }) {
  const alert = h("p", { class: "alert", role: "alert" });
  const others = agents.filter((one) => one.id !== chat.agent_id && one.state !== "offline");
  /** @param {LiveAgent} one @returns {[string, string, string, boolean]} */
  const option = (one) => {
    const free = one.state === "available" && one.chats < one.capacity;
    const state = t(`live.state.${one.state}`);
    return [one.id, one.id === own.id ? t("live.myself") : one.name, `${state}, ${load(t, one)}`, !free];
  };
  const go = button(t("live.reassign"), { type: "submit", class: "main", hook: "live-reassign-confirm" });
  const form = h(
    "form",
    { novalidate: true, onsubmit: send },
    h("p", {}, t("live.reassign_lead")),
    picks(t, "to", t("live.to"), [["", t("live.to_queue"), t("live.to_queue_more")], ...others.map(option)], ""),
    alert,
    h("div", { class: "row" }, button(t("dialog.cancel"), { onclick: () => dialog.close() }), go),
  );
  const dialog = show(t("live.reassign_title", { name: chat.agent }), [form]);

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (go.getAttribute("aria-disabled")) return;
    setAttribute(go, "aria-disabled", "true");
    const answer = await api.reassign(chat.chat_id, String(new FormData(form).get("to") ?? "") || null);
    setAttribute(go, "aria-disabled", null);
    if (!answer.ok) return setText(alert, known(t, "live.problem", answer.code));
    dialog.close();
    report("live.said.reassigned", answer);
  }
}

/** @param {Translator} t @param {LiveAgent} one */
export const load = (t, { chats, capacity }) => t("live.load_of", { n: chats, all: capacity });

/**
 * The conversation to be read, as it is at the press, with an internal note for its agent. Each reading is in the access log.
 *
 * @param {Translator} t
 * @param {{chat: LiveChat, department: string, agent: {id: string, name: string}, names(): Map<string, string>}} options
 */
async function lookInto(t, { chat, department, agent, names }) {
  const place = h("div", { class: "look", hook: "live-conversation" }, h("p", { role: "status" }, t("overview.loading")));
  const alert = h("p", { class: "alert", role: "alert" });
  const done = h("p", { role: "status" });
  const note = h("textarea", { rows: "2", maxlength: "4000", dir: "auto", "aria-describedby": "live-note-hint", hook: "live-note" });
  const send = button(t("live.note_send"), { type: "submit", hook: "live-note-send" });
  let id = newId();
  const form = h(
    "form",
    { class: "whisper", novalidate: true, onsubmit: whisper },
    h("label", { class: "field" }, t("live.note", { name: chat.agent }), note),
    h("small", { id: "live-note-hint" }, t("live.note_hint")),
    alert,
    done,
    h(
      "div",
      { class: "row" },
      button(t("dialog.shut"), { onclick: () => dialog.close() }),
      button(t("overview.refresh"), { onclick: read, hook: "live-look-refresh" }),
      send,
    ),
  );
  const dialog = show(t("live.look_title", { name: chat.agent }), [place, form]);

  async function read() {
    const [said, written] = await conversationOf(t, chat.chat_id);
    if (!dialog.isConnected) return;
    if (!said.ok) return place.replaceChildren(h("p", { class: "alert", role: "alert" }, known(t, "live.problem", said.code)));
    const log = messageLog(t, {
      chat: chat.chat_id,
      name: t("item.citizen"),
      agent: chat.agent,
      own: agent.id,
      acts: {},
      onScroll: () => {},
    });
    place.replaceChildren(log.element);
    const about = { chat_id: chat.chat_id, department, locale: chat.locale, name: said.body?.name ?? null, at: chat.since };
    const one = { ...about, contact: "", text: "" };
    log.draw(asRead(one, said.body ?? {}, written.ok ? (written.body?.notes ?? []) : []), names());
    log.toBottom();
  }

  /** @param {Event} event */
  async function whisper(event) {
    event.preventDefault();
    setText(alert, "");
    setText(done, "");
    const written = note.value;
    const text = written.trim();
    if (!text) {
      setText(alert, t("live.note_missing"));
      return note.focus();
    }
    if (send.getAttribute("aria-disabled")) return;
    setAttribute(send, "aria-disabled", "true");
    const answer = await api.whisper(chat.chat_id, id, text);
    setAttribute(send, "aria-disabled", null);
    if (!answer.ok) return setText(alert, known(t, "live.problem", answer.code));
    id = newId();
    if (note.value.startsWith(written)) note.value = note.value.slice(written.length); // what was typed meanwhile stays
    setText(done, t("live.said.noted"));
  }

  await read();
}
