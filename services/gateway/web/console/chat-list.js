/** The list of chats. */
import { h, setText } from "../shared/dom.js";
import { button, icon, keyed } from "./dom.js";
import { ordered } from "./desk-state.js";
import { hasFailed, isNew, isOffer, lastSaid, unread, waitsSince } from "./chat-state.js";
import { clock, span } from "./format.js";
import { overdue } from "./reminders.js";

const PREVIEW = 120; // characters

/**
 * How a chat's citizen is called.
 *
 * @param {DeskChat} one
 * @param {Translator} t
 */
export const nameOf = (one, t) => one.about.name ?? t("item.citizen");

/**
 * Draws the desk's chats into `list`; `acts`: `open(id)`, `accept(id)`, `refuse(id)`, `dismiss(id)`; `departments` names them by id;
 * `closed`: none of the agent's departments is open.
 *
 * @param {HTMLElement} list
 * @param {HTMLElement} empty
 * @param {Translator} t
 * @param {{desk: Desk, departments: Map<string, string>, acts: Acts, now: Date, closed: boolean}} options
 */
export function drawList(list, empty, t, { desk, departments, acts, now, closed }) {
  const items = ordered(desk).map((one) => ({ key: one.id, one, current: one.id === desk.selected }));
  keyed(list, items, (item, old) => {
    const looks = JSON.stringify([
      t.language,
      nameOf(item.one, t),
      ...facts(item.one, t, departments, now).map(([kind, words]) => kind + words),
      item.current,
      isNew(item.one),
      unread(item.one),
      item.one.ended,
      item.one.refusing,
    ]);
    const li = old ?? skeleton(item.one.id, acts);
    if (li.dataset.looks !== looks) fill(li, item, t, departments, now, acts);
    li.dataset.looks = looks;
    return li;
  });
  empty.hidden = items.length > 0;
  setText(empty, t(desk.agent.state === "paused" ? "list.empty.paused" : closed ? "list.empty.closed" : "list.empty.available"));
}

/** @param {string} id @param {Acts} acts */
function skeleton(id, acts) {
  const open = h("button", {
    type: "button",
    class: "item",
    hook: "chat-item",
    "data-chat": id,
    onclick: () => acts.open(id),
  });
  return h("li", {}, open, h("div", { class: "item-acts" }));
}

/**
 * @param {HTMLElement} li
 * @param {{one: DeskChat, current: boolean}} item
 * @param {Translator} t
 * @param {Map<string, string>} departments
 * @param {Date} now
 * @param {Acts} acts
 */
function fill(li, { one, current }, t, departments, now, acts) {
  const [open, row] = /** @type {HTMLElement[]} */ ([...li.children]);
  li.toggleAttribute("data-new", isNew(one));
  li.toggleAttribute("data-current", current);
  if (current) open.setAttribute("aria-current", "true");
  else open.removeAttribute("aria-current");
  const count = unread(one);
  open.dataset.unread = String(count);
  const marks = h(
    "span",
    { class: "marks" },
    h(
      "span",
      { class: "tag", title: localeName(one, t) },
      h("span", { "aria-hidden": "true" }, (one.about.locale ?? "").toUpperCase()),
      h("span", { class: "hidden-words" }, `, ${localeName(one, t)}`),
    ),
    count > 0 &&
      h(
        "span",
        { class: "count" },
        h("span", { "aria-hidden": "true" }, String(count)),
        h("span", { class: "hidden-words" }, `, ${t("item.unread", { n: count })}`),
      ),
  );
  open.replaceChildren(
    h("span", { class: "name" }, h("bdi", {}, nameOf(one, t))),
    marks,
    ...facts(one, t, departments, now).map(([kind, words, symbol]) =>
      h("span", { class: `facts ${kind}` }, h(kind === "preview" ? "bdi" : "span", {}, symbol && icon(symbol), words)),
    ),
  );
  const wanted = actsOf(one);
  const made = JSON.stringify([wanted, t.language, nameOf(one, t)]);
  if (row.dataset.acts === made) return;
  row.dataset.acts = made;
  row.replaceChildren(
    ...wanted.map((act) => {
      const press = {
        onclick: () => acts[act](one.id),
        "aria-label": t(`item.${act}_of`, { name: nameOf(one, t) }),
        hook: `chat-${act}`,
      };
      return button(t(`item.${act}`), { class: act === "accept" ? "main small" : "small", ...press });
    }),
  );
}

/** @param {DeskChat} one @returns {("accept" | "refuse" | "dismiss")[]} */
function actsOf(one) {
  if (isOffer(one)) return one.refusing ? [] : ["accept", "refuse"];
  return isNew(one) ? ["accept"] : one.ended ? ["dismiss"] : [];
}

/** @param {DeskChat} one @param {Translator} t */
const localeName = (one, t) => (t.has(`locale.${one.about.locale}`) ? t(`locale.${one.about.locale}`) : "");

/**
 * The lines under a name: `[class, words, icon]`.
 *
 * @param {DeskChat} one
 * @param {Translator} t
 * @param {Map<string, string>} departments
 * @param {Date} now
 */
function facts(one, t, departments, now) {
  /** @type {[kind: string, words: string, symbol?: import("./dom.js").IconName][]} */
  const lines = [];
  if (isNew(one)) lines.push(["wait", t(isOffer(one) ? "item.offered" : "item.new"), isOffer(one) ? "transfer" : "waiting"]);
  if (one.ended) lines.push(["", t(one.ended.kind === "closed" ? "item.closed" : "item.gone")]);
  else if (one.talk.typing) lines.push(["", t("item.typing", { name: nameOf(one, t) })]);
  else if (one.online !== null)
    lines.push([one.online ? "good" : "bad", t(one.online ? "item.online" : "item.offline"), one.online ? "online" : "offline"]);
  if (one.silent) lines.push(["", t("item.silent"), "waiting"]);
  if (hasFailed(one)) lines.push(["bad", t("item.failed"), "failed"]);
  const last = lastSaid(one);
  if (last) lines.push(["preview", preview(last, t), last.attachment ? "attach" : undefined]);
  const department = departments.get(one.about.department) ?? one.about.department;
  lines.push(["", [department, one.about.form?.title].filter(Boolean).join(" · ")]);
  const since = waitsSince(one);
  const late = overdue(one, now.getTime());
  if (late !== null) lines.push(["bad", t("item.waits_long", { time: span(late - (late % 60), t.language) }), "waiting"]);
  else if (since) lines.push(["", t("item.waits_since", { time: clock(since, t.language, now) })]);
  else if (last) lines.push(["", t("item.last", { time: clock(last.at, t.language, now) })]);
  else lines.push(["", t("item.since", { time: clock(one.about.opened_at, t.language, now) })]);
  return lines;
}

/**
 * The beginning of a message, on one line.
 *
 * @param {MessageFrame} message
 * @param {Translator} t
 */
function preview({ from, text, attachment }, t) {
  const words = (text ?? (typeof attachment === "object" ? attachment.name : "")).slice(0, PREVIEW).replace(/\s+/g, " ");
  return from === "agent" ? t("item.answer", { text: words }) : words;
}
