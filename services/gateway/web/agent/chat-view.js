/** The open chat: who it is, what it is about, the conversation, and what can be done with it. */
import { nameOf } from "./chat-list.js";
import { composer } from "./composer.js";
import { attribute, button, el, icon, text } from "./dom.js";
import { endKey, isNew } from "./entry.js";
import { messageLog } from "./log.js";
import { known } from "./texts.js";
import { clock } from "./times.js";

const WIDE = "(width >= 76rem)";

/** `{id, element, draw(one), focus(), writing(), atBottom(), stop()}`; `acts`: what the buttons do, each with the chat's id. */
export function chatView(t, one, { acts, departments, agent, uploads }) {
  const id = one.id;
  const name = nameOf(one, t);
  const log = messageLog(t, { chat: id, name, agent, acts, onScroll: acts.seen });
  const write = composer(t, { chat: id, draft: one.draft, uploads, acts });
  const there = el("p", { class: "who-there" });
  const tool = (key, symbol, hook, act) => button(t(key), { symbol, "data-testid": hook, on: { click: (event) => event.currentTarget.getAttribute("aria-disabled") ?? act(id) } });
  const transfer = tool("transfer", "transfer", "chat-transfer", acts.transfer);
  const close = tool("close", "close", "chat-close", acts.close);
  const download = tool("download", "download", "chat-download", acts.download);
  const back = button(t("list.back"), { symbol: "back", id: "chat-back", on: { click: acts.back } });
  const heading = el("h2", { id: "chat-name", tabindex: "-1" }, el("bdi", {}, name));
  const typing = el("p", { class: "typing" });
  const bars = el("div", { class: "bars", role: "status" });
  const panel = el("div", { class: "panel" },
    el("div", { class: "chat-head" }, back, el("div", { class: "titles" }, heading, there), el("div", { class: "acts" }, transfer, download, close)),
    about(t, one, departments), bars, log.element, write.element);
  write.element.prepend(typing);

  function draw(now) {
    const over = Boolean(now.ended);
    const held = over && [transfer, close].concat(...write.element.elements).includes(document.activeElement);
    write.hide(over);
    transfer.hidden = close.hidden = over;
    attribute(transfer, "aria-disabled", now.transfer && "true");
    attribute(close, "aria-disabled", now.closing && "true");
    if (held) heading.focus();
    drawThere(t, there, now);
    text(typing, now.talk.typing ? t("item.typing", { name }) : "");
    drawBars(t, bars, now, acts);
    log.draw(now);
  }

  return {
    id,
    element: panel,
    draw,
    focus: () => (write.element.hidden ? heading.focus() : write.focus()),
    writing: write.focused,
    atBottom: log.atBottom,
    toBottom: log.toBottom,
    stop: write.stop,
  };
}

function drawThere(t, node, one) {
  const looks = one.ended ? "over" : String(one.online);
  if (node.dataset.online === looks) return;
  node.dataset.online = looks;
  if (one.ended) return node.replaceChildren(t(one.ended.kind === "closed" ? "item.closed" : "item.gone"));
  const [symbol, key] = one.online === null ? ["waiting", "presence_unknown"] : one.online ? ["online", "online"] : ["offline", "offline"];
  node.replaceChildren(icon(symbol), t(`item.${key}`));
}

/** What stands between the head and the messages: not accepted yet, being transferred or ended, over. */
function drawBars(t, bars, one, acts) {
  const looks = one.ended ? endKey(one).join(".") : isNew(one) ? "new" : one.closing ? "closing" : one.transfer ? "transfer" : "";
  if (bars.dataset.looks === looks) return;
  bars.dataset.looks = looks;
  const banner = (kind, words, act, hook, main) =>
    el("div", { class: `banner ${kind}` }, el("span", {}, words), act && button(t(`item.${act}`), { class: main, "data-testid": hook, on: { click: () => acts[act](one.id) } }));
  if (one.ended) bars.replaceChildren(banner("ended", known(t, ...endKey(one)), "dismiss", "dismiss", ""));
  else if (looks === "new") bars.replaceChildren(banner("fresh", t("chat.unaccepted"), "accept", "accept", "main"));
  else if (looks) bars.replaceChildren(banner("", t(looks === "closing" ? "close.asked" : "transfer.sent")));
  else bars.replaceChildren();
}

/** The citizen's question and form, as a block that folds; unfolded where there is room for it. */
function about(t, one, departments) {
  const { question, form, department, locale, opened_at } = one.about;
  const row = (key, ...value) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, ...value));
  const language = t.has(`locale.${locale}`) ? t(`locale.${locale}`) : locale;
  const wide = matchMedia(WIDE);
  const block = el("details", { class: "about", open: wide.matches }, el("summary", {}, t("chat.about")), el("dl", {},
    question && row("chat.question", el("span", { dir: "auto", lang: locale }, question)),
    form && (form.title || form.url || form.id) && row("chat.form", formLink(t, form)),
    row("chat.department", departments.get(department) ?? department ?? ""), row("chat.locale", language ?? ""), row("chat.started", clock(opened_at, t.language, new Date()))));
  wide.addEventListener("change", () => (block.open = wide.matches));
  return block;
}

/** A citizen's page can name any address: only http and https become a link, and that gets nothing of this page. */
function formLink(t, form) {
  const title = form.title || form.id || form.url;
  if (!isWeb(form.url)) return el("bdi", {}, title);
  return el("a", { href: form.url, target: "_blank", rel: "noopener noreferrer" }, el("bdi", {}, title), el("span", { class: "hidden-words" }, ` (${t("chat.form_open")})`));
}

function isWeb(url) {
  try {
    return ["http:", "https:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}
