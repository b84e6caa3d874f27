/** The dialog that gives a chat to another department or to a colleague. */
import { colleagues } from "./api.js";
import { h, setText } from "../shared/dom.js";
import { button, keyed } from "./dom.js";
import { show } from "./dialogs.js";

/**
 * A department's name in the language; `names` holds one for each.
 *
 * @param {{id: string, name?: string, names?: Record<string, string>}} one
 * @param {string} language
 */
export const nameOf = (one, language) => one.names?.[language] || one.name || one.id;

/**
 * Whether a chat could go to this colleague now.
 *
 * @param {Colleague} agent
 */
export const isFree = (agent) => agent.online && agent.state === "available" && agent.free > 0;

/**
 * RULES: what may be chosen: other departments, and colleagues who are logged in (not oneself), the free ones first.
 *
 * @param {{departments?: any[], agents?: any[]}} all
 * @param {{own: string, department: string}} context
 */
export function choices({ departments = [], agents = [] }, { own, department }) {
  /** @param {Colleague} agent */
  const rank = (agent) => (agent.state !== "available" ? 2 : agent.free > 0 ? 0 : 1);
  return {
    departments: departments.filter((one) => one.id !== department),
    agents: agents.filter((one) => one.id !== own && one.online).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name)),
  };
}

/**
 * How it stands with a colleague, in words.
 *
 * @param {Translator} t
 * @param {Colleague} agent
 */
export function standing(t, agent) {
  if (!agent.online) return t("transfer.away");
  if (agent.state !== "available") return t("transfer.paused");
  return agent.free > 0 ? t("transfer.free", { n: agent.free }) : t("transfer.full");
}

/**
 * How it stands with a department, in words.
 *
 * @param {Translator} t
 * @param {{id: string, name?: string, names?: Record<string, string>, reason?: string}} one
 */
export function prospects(t, one) {
  if (one.reason === "closed") return t("transfer.closed");
  if (one.reason === "no_agents") return t("transfer.no_agents");
  if (one.reason === "busy") return t("transfer.busy");
  return t("transfer.to_department", { name: nameOf(one, t.language) });
}

/**
 * `onTransfer(chat, to, note)`: `to` is `{department}` or `{agent}`, note a text or "". `draft` is the note as it was left the last time and
 * `onDraft(note)` hears of every change. `isOver()`: the chat is not the agent's any more; then nothing is transferred and the note stays.
 *
 * @param {Translator} t
 * @param {{chat: string, department: string, own: string, draft: string, onDraft(words: string): void, isOver(): boolean, onTransfer(chat: string, to: object, note: string): void}} options
 */
export function chooseTransfer(t, { chat, department, own, draft, onDraft, isOver, onTransfer }) {
  const status = h("p", { role: "status" });
  const alert = h("p", { class: "alert", role: "alert" });
  let asked = department; // whose colleagues were asked for last
  const retry = button(t("transfer.again"), { hidden: true, onclick: () => load(asked) });
  const groups = { department: group(t("transfer.departments")), agent: group(t("transfer.agents")) };
  const note = h("textarea", {
    rows: "2",
    maxlength: "4000",
    dir: "auto",
    hook: "transfer-note",
    oninput: () => onDraft(note.value),
  });
  note.value = draft;
  const go = button(t("transfer.yes"), { type: "submit", class: "main", hook: "transfer-submit" });
  const form = h(
    "form",
    { onsubmit: send },
    h("p", {}, t("transfer.lead")),
    status,
    retry,
    groups.department.box,
    groups.agent.box,
    h("label", { class: "field" }, t("transfer.note"), note),
    alert,
    h("div", { class: "row" }, button(t("dialog.cancel"), { onclick: () => dialog.close() }), go),
  );
  const dialog = show(t("transfer.title"), [form]);
  const known = { departments: new Map(), agents: new Map() };

  /** @param {string} id */
  async function load(id) {
    asked = id;
    setText(status, t("transfer.loading"));
    retry.hidden = true;
    const answer = await colleagues(id);
    if (!dialog.isConnected) return;
    retry.hidden = answer.ok;
    if (!answer.ok) return setText(status, t("transfer.failed"));
    // the server lists who can take a chat: a colleague who serves that department and is left out cannot any more
    for (const one of known.agents.values()) if (one.departments.includes(id)) known.agents.delete(one.id);
    for (const kind of /** @type {const} */ (["departments", "agents"]))
      for (const one of answer.body?.[kind] ?? []) known[kind].set(one.id, one);
    draw();
  }

  function draw() {
    const all = { departments: [...known.departments.values()], agents: [...known.agents.values()] };
    const may = choices(all, { own, department });
    fill(groups.department, "department", may.departments, {
      may: () => true,
      name: (one) => nameOf(one, t.language),
      more: (one) => prospects(t, one),
    });
    fill(groups.agent, "agent", may.agents, { may: isFree, name: (one) => one.name, more: (one) => standing(t, one) });
    setText(status, may.departments.length + may.agents.length ? "" : t("transfer.none"));
  }

  /**
   * @param {{box: HTMLElement, list: HTMLElement}} group
   * @param {string} kind
   * @param {any[]} items
   * @param {{may(one: any): boolean, name(one: any): string, more(one: any): string}} choice
   */
  function fill({ box, list }, kind, items, { may, name, more }) {
    box.hidden = items.length === 0;
    keyed(
      list,
      items.map((one) => ({ key: one.id, one })),
      ({ one }, old) => {
        const row = old ?? pick(kind, one.id, name(one));
        /** @type {HTMLInputElement} */ (row.querySelector("input")).disabled = !may(one);
        setText(/** @type {HTMLElement} */ (row.querySelector("small")), more(one));
        return row;
      },
    );
  }

  /** @param {string} kind @param {string} id @param {string} name */
  function pick(kind, id, name) {
    const onchange = () => kind === "department" && load(id);
    const radio = h("input", { type: "radio", name: "to", value: `${kind}:${id}`, onchange });
    return h("label", { class: "pick" }, radio, h("span", {}, h("bdi", {}, name), h("small")));
  }

  /** @param {Event} event */
  function send(event) {
    event.preventDefault();
    const [, kind, id] = /^(\w+):(.*)$/.exec(String(new FormData(form).get("to") ?? "")) ?? [];
    if (isOver()) return setText(alert, t("transfer.over"));
    if (!kind) {
      setText(alert, t("transfer.choose"));
      return form.querySelector("input")?.focus();
    }
    dialog.close();
    onTransfer(chat, { [kind]: id }, note.value.trim());
  }

  load(department);
}

/** @param {string} words */
function group(words) {
  const list = h("div", { class: "choices" });
  return { list, box: h("fieldset", { hidden: true }, h("legend", {}, words), list) };
}
