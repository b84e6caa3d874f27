/** The messages of a conversation on the screen, for citizens and agents: a live log that reads aloud what is new, and nothing twice. */
import { h, setAttribute, setText } from "./dom.js";
import { clock, size } from "./format.js";
import { keyed } from "./keyed.js";
import { linked } from "./links.js";

const ALOUD = 3; // more at once are counted, not read
const HUSH = 1_000; // ms
const NEAR = 48; // px from the end still counts as the end
const TOGETHER = 300_000; // ms between two messages of one author that stand together

/**
 * RULES: whether two messages that follow each other stand together: of the same author, on the same side, soon after each other.
 *
 * @param {ListItem | undefined} one
 * @param {ListItem} next
 */
export const together = (one, next) =>
  Boolean(one) &&
  next.from !== "system" &&
  one?.from === next.from &&
  one.own === next.own &&
  one.name === next.name &&
  one.state !== "failed" &&
  !(Date.parse(next.at ?? "") - Date.parse(one.at ?? "") > TOGETHER);

/**
 * RULES: what stands under a stored message of ours: the last one that the other was shown is "read", later ones are "sent"; earlier ones say nothing.
 *
 * @param {number} seq
 * @param {number} read the seq of the last one that was shown; 0: none
 * @returns {"read" | "sent" | undefined}
 */
export const deliveryOf = (seq, read) => (seq > read ? "sent" : seq === read ? "read" : undefined);

/**
 * `{list, draw(items, context), toEnd(), atEnd(), stop()}`: `list` is the element, `draw` shows what changed. What differs between the pages is
 * in the options.
 *
 * @param {MessageListOptions} options
 */
export function messageList({
  t,
  label,
  jump,
  file,
  words = linked,
  icon = () => null,
  failure,
  hopeless = [],
  onScroll,
  onAgain,
  onDiscard,
  announce,
}) {
  const list = h("div", { class: "log", hook: "chat-messages", role: "log", "aria-live": "polite", "aria-label": label, tabindex: 0 });
  /** @type {WeakMap<Element, DrawnItem>} */
  const shown = new WeakMap();
  let keys = new Set(); // of what is drawn
  let last = 0; // the seq
  let counted = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let hush;
  let atEnd = true;

  function toEnd() {
    list.scrollTop = list.scrollHeight;
    atEnd = true;
    setAttribute(jump, "hidden", true);
  }
  list.addEventListener("scroll", () => {
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    if (atEnd) setAttribute(jump, "hidden", true);
    onScroll?.(atEnd);
  });
  jump.addEventListener("click", () => (toEnd(), list.focus()));
  const resizing = new ResizeObserver(() => atEnd && toEnd());
  resizing.observe(list);

  // Filling in a conversation is not news: a screen reader would read all of it.
  /** @param {number} backlog */
  function quietly(backlog) {
    const old = backlog - last;
    if (last && last >= counted && old <= ALOUD) return;
    setAttribute(list, "aria-live", "off");
    if (last && backlog > counted) announce?.(old);
    counted = backlog; // it may come in pieces
    clearTimeout(hush);
    hush = setTimeout(() => setAttribute(list, "aria-live", "polite"), HUSH);
  }

  /** @param {ListItem} item @param {Attachment} attachment */
  function fileOf(item, attachment) {
    const measure = size(attachment.size, t.language);
    const { href, onOpen } = file;
    const inside = [icon("file"), h("bdi", {}, attachment.name), h("small", {}, measure)];
    const aria = { class: "file", "aria-label": t("file", { name: attachment.name, size: measure }) };
    if (href && item.stored) return h("a", { ...aria, href: href(attachment), download: attachment.name }, ...inside);
    if (href) return h("span", { class: "file" }, ...inside);
    return h("button", { ...aria, type: "button", disabled: !item.stored, onclick: () => onOpen?.(attachment) }, ...inside);
  }

  /** @param {ListItem} item @param {Attachment} attachment */
  function previewOf({ stored }, attachment) {
    const place = h("div", {});
    if (stored) file.preview?.(attachment, place)?.then(() => atEnd && toEnd());
    return place;
  }

  /** @param {ListItem} item */
  const inside = (item) =>
    item.file ? [fileOf(item, item.file), previewOf(item, item.file)] : item.from === "system" ? [item.text ?? ""] : words(item.text ?? "");

  /** @param {ListItem} item */
  function make(item) {
    const by = h("div", { class: "by" }, item.name && h("bdi", {}, item.name), item.name && h("span", { class: "sr" }, ": "));
    const bubble = h("div", { class: "bubble", dir: "auto", lang: item.lang }, ...inside(item));
    const said = h("span", { class: "said" });
    const time = h("time");
    const badge = item.badge && h("p", { class: "note-badge" }, icon("note"), item.badge);
    const node = h("div", {}, badge, by, bubble, h("div", { class: "delivery" }, said, time));
    shown.set(node, { item, looks: "", by, bubble, said, time });
    return node;
  }

  /** @param {ListItem} item @param {boolean} over */
  function delivery(item, over) {
    /** @param {string} key @param {((item: ListItem) => void) | undefined} call */
    const act = (key, call) => h("button", { class: "text small", type: "button", onclick: () => call?.(item) }, t(key));
    if (!item.state) return [];
    if (item.state === "sending") return [icon("sending"), t(item.from === "note" ? "noteSending" : "sending")];
    if (item.state !== "failed") return [item.state === "read" && icon("read"), t(item.state)];
    const again = !over && !hopeless.includes(item.code ?? "");
    return [h("span", {}, icon("failed"), failure(item)), again && act("again", onAgain), act("discard", onDiscard)];
  }

  // What stays as it is is not touched: it would be read again.
  /** @param {ListItem} item @param {HTMLElement | undefined} old @param {{follows: boolean, led: boolean, over: boolean, now: Date}} context */
  function show(item, old, { follows, led, over, now }) {
    const node = old ?? make(item);
    const kept = /** @type {DrawnItem} */ (shown.get(node));
    const { item: before, by, bubble, said, time } = kept;
    const { from, own, name, text, file: attached, stored, state = "", code, aside, at } = item;
    setAttribute(
      node,
      "class",
      ["message", from, own && "own", state, aside && "aside", follows && "follows", led && "led"].filter(Boolean).join(" "),
    );
    if (before.name !== name && by.firstChild) setText(by.firstChild, name ?? "");
    if (before.text !== text || (attached && before.stored !== stored)) bubble.replaceChildren(...inside(item));
    const looks = [state, over, code].join(" ");
    if (kept.looks !== looks) said.replaceChildren(.../** @type {(Node | string)[]} */ (delivery(item, over).filter(Boolean)));
    setAttribute(time, "datetime", at || null);
    setText(time, clock(at, t.language, now));
    Object.assign(kept, { item, looks });
    return node;
  }

  /**
   * `backlog`: up to which seq all is history; `over`: nothing can be sent any more; `empty`: what stands there without messages.
   *
   * @param {ListItem[]} items
   * @param {{backlog?: number, over?: boolean, empty?: string}} [context]
   */
  function draw(items, { backlog = 0, over = false, empty } = {}) {
    const follow = atEnd;
    const added = items.filter(({ key }) => !keys.has(key));
    if (added.some(({ stored }) => stored)) quietly(backlog);
    const joined = items.map((item, index) => together(items[index - 1], item));
    const now = new Date();
    const rows = items.map((item, index) => ({ ...item, index }));
    keyed(list, rows.length || !empty ? rows : [{ key: "empty" }], ({ index, ...item }, old) => {
      if (index === undefined) return old ?? h("p", { class: "empty" }, empty);
      const led = (joined[index + 1] ?? false) && !["read", "failed"].includes(item.state ?? "");
      return show(item, old, { follows: joined[index], led, over, now });
    });
    if (!items.length && list.firstChild) setText(list.firstChild, empty ?? "");
    keys = new Set(items.map(({ key }) => key));
    last = items.findLast(({ seq }) => seq)?.seq ?? 0;
    if (follow || added.some(({ stored }) => !stored)) toEnd();
    else if (added.some(({ own }) => !own)) setAttribute(jump, "hidden", null);
  }

  return { list, draw, toEnd, atEnd: () => atEnd, stop: () => (clearTimeout(hush), resizing.disconnect()) };
}
