/** The open chat: who it is, what it is about, the conversation, and what can be done with it. */
import { nameOf } from "./chat-list.js";
import { composer } from "./composer.js";
import { h, setAttribute, setText } from "../shared/dom.js";
import { button, icon } from "./dom.js";
import { takeGivenFiles } from "../shared/given-files.js";
import { endKey, handover, identifies, identifiesNoMore, isNew, isOffer } from "./chat-state.js";
import { identity } from "../shared/identification.js";
import { messageLog } from "./message-list.js";
import { timeLeft } from "./new-chats.js";
import { known } from "./i18n.js";
import { clock } from "./format.js";
import { earlierChats } from "./earlier-chats.js";
import { serverNow } from "./server-clock.js";

const WIDE = "(width >= 76rem)";

/**
 * `{id, element, draw(one, departments, frames), focus(), focusName(), writing(), atBottom(), toBottom(), stop()}`; `acts`: what the buttons do, each
 * with the chat's id. `focus()` goes into the text bar where the agent may write, else to the name.
 *
 * @param {Translator} t
 * @param {DeskChat} one
 * @param {{acts: Acts, agent: string, own: string, uploads: Node, answers(): ChatAnswers, look(): void}} options
 */
export function chatView(t, one, { acts, agent, own, uploads, answers, look }) {
  const id = one.id;
  const gone = new AbortController();
  let name = nameOf(one, t);
  const log = messageLog(t, { chat: id, name, agent, own, acts, onScroll: acts.seen });
  const write = composer(t, { chat: id, locale: one.about.locale, draft: one.draft, uploads, acts, answers, look });
  const there = h("p", { class: "who-there" });
  /** @param {string} key @param {"transfer" | "close" | "download" | "identify"} symbol @param {string} hook @param {(id: string) => void} act */
  const tool = (key, symbol, hook, act) =>
    button(t(key), {
      symbol,
      hook,
      onclick: (/** @type {any} */ event) => event.currentTarget.getAttribute("aria-disabled") ?? act(id),
    });
  const transfer = tool("transfer", "transfer", "chat-transfer", acts.transfer);
  const identify = tool("identify", "identify", "chat-identify", acts.identify);
  const close = tool("close", "close", "chat-close", acts.close);
  const download = tool("download", "download", "chat-download", acts.download);
  const back = button(t("list.back"), { symbol: "back", id: "chat-back", onclick: acts.back });
  const called = h("bdi", {}, name);
  const heading = h("h2", { id: "chat-name", tabindex: "-1" }, called);
  const verified = h("p", { class: "verified", hook: "citizen-identity", hidden: true });
  const late = h("p", { class: "late", role: "status", hook: "identify-late" });
  const typing = h("p", { class: "typing" });
  const department = h("span");
  const silent = h("p", { class: "silent", hook: "citizen-silent" });
  const bars = h("div", { class: "bars", role: "status" });
  const panel = h(
    "div",
    { class: "panel" },
    h(
      "div",
      { class: "chat-head" },
      back,
      h("div", { class: "titles" }, heading, there),
      h("div", { class: "acts" }, identify, transfer, download, close),
      verified,
      late,
    ),
    about(t, one, department, gone.signal),
    bars,
    log.element,
    write.element,
  );
  write.element.prepend(silent, typing);
  takeGivenFiles(panel, { allowed: write.takes, onFiles: write.add });
  let offered = false;
  let ended = false;

  /** @param {DeskChat} now @param {Map<string, string>} departments @param {string[]} [frames] beyond version 1 that the server takes */
  function draw(now, departments, frames = []) {
    const over = (ended = Boolean(now.ended));
    setText(called, (name = nameOf(now, t)));
    offered = isOffer(now);
    const held = panel.contains(document.activeElement);
    write.end(over);
    transfer.hidden = close.hidden = over;
    setAttribute(transfer, "aria-disabled", now.transfer && "true");
    setAttribute(close, "aria-disabled", now.closing && "true");
    const may = identifies(now, frames, serverNow());
    setAttribute(identify, "hidden", may === "no");
    setAttribute(identify, "aria-disabled", may === "asked" && "true");
    setText(/** @type {Element} */ (identify.querySelector(".words")), t(may === "asked" ? "identify.asked" : "identify"));
    setText(late, identifiesNoMore(now, frames, serverNow()) ? t("identify.late") : "");
    drawIdentity(t, verified, now);
    drawThere(t, there, now);
    setText(department, departments.get(now.about.department) ?? now.about.department ?? "");
    setText(typing, now.talk.typing ? t("item.typing", { name }) : "");
    setText(silent, now.silent ? t("chat.silent", { time: clock(now.silent.closes_at, t.language, new Date()) }) : "");
    drawBars(t, bars, now, acts);
    const left = bars.querySelector(".left");
    if (left) setText(left, timeLeft(t, now, performance.now()));
    log.draw(now, departments);
    write.redraw();
    if (held && (!panel.contains(document.activeElement) || !document.activeElement?.getClientRects().length)) heading.focus();
  }

  return {
    id,
    element: panel,
    draw,
    focus: () => (ended || offered ? heading.focus() : write.focus()),
    focusName: () => heading.focus(),
    writing: write.focused,
    atBottom: log.atBottom,
    toBottom: log.toBottom,
    stop: () => (gone.abort(), write.stop(), log.stop()),
  };
}

/**
 * Who the citizen is by the words of the citizens' issuer, apart from the name that a citizen can type.
 *
 * @param {Translator} t
 * @param {HTMLElement} node
 * @param {DeskChat} one
 */
function drawIdentity(t, node, one) {
  const who = identity(one.talk.messages);
  const looks = JSON.stringify(who ?? null);
  if (node.dataset.who === looks) return;
  node.dataset.who = looks;
  setAttribute(node, "hidden", !who);
  if (!who) return;
  const level = known(t, "level", who.level);
  node.replaceChildren(
    icon("identify"),
    h(
      "span",
      {},
      t("identity"),
      " ",
      h("bdi", {}, h("strong", {}, who.name ?? "")),
      " ",
      h("span", {}, t("identity.by", { issuer: who.issuer ?? "", level })),
    ),
  );
}

/** @param {Translator} t @param {HTMLElement} node @param {DeskChat} one */
function drawThere(t, node, one) {
  const looks = one.ended ? "over" : String(one.online);
  if (node.dataset.online === looks) return;
  node.dataset.online = looks;
  if (one.ended) return node.replaceChildren(t(one.ended.kind === "closed" ? "item.closed" : "item.gone"));
  /** @type {[import("./dom.js").IconName, string]} */
  const [symbol, key] = one.online === null ? ["waiting", "presence_unknown"] : one.online ? ["online", "online"] : ["offline", "offline"];
  node.replaceChildren(icon(symbol), t(`item.${key}`));
}

/**
 * What stands between the head and the messages: not accepted yet, offered, being transferred or ended, over.
 *
 * @param {Translator} t
 * @param {HTMLElement} bars
 * @param {DeskChat} one
 * @param {Acts} acts
 */
function drawBars(t, bars, one, acts) {
  const looks = looksOf(one);
  const note = looks === "offer" ? handover(one) : null;
  const key = `${looks} ${note?.id ?? ""}`;
  if (bars.dataset.looks === key) return;
  bars.dataset.looks = key;
  /** @param {string} kind @param {string | (Node | null)[]} words @param {...("accept" | "refuse" | "dismiss" | "block")} doable */
  const banner = (kind, words, ...doable) =>
    h(
      "div",
      { class: `banner ${kind}` },
      h("div", { class: "words" }, ...[words].flat(), " ", kind.startsWith("fresh") && h("strong", { class: "left", role: "timer" })),
      doable.length > 0 &&
        h(
          "div",
          { class: "row" },
          ...doable.map((act) =>
            button(t(`item.${act}`), { class: act === "accept" ? "main" : "", hook: act, onclick: () => acts[act](one.id) }),
          ),
        ),
    );
  if (one.ended)
    bars.replaceChildren(
      banner("ended", known(t, ...endKey(one)), "dismiss", .../** @type {"block"[]} */ (one.ended.kind === "closed" ? ["block"] : [])),
    );
  else if (looks === "offer") bars.replaceChildren(banner("fresh offer", offer(t, note), "accept", "refuse"));
  else if (looks === "new")
    bars.replaceChildren(banner("fresh", one.returned ? known(t, "returned", one.returned) : t("chat.unaccepted"), "accept"));
  else if (looks)
    bars.replaceChildren(
      banner(
        "",
        t(looks === "closing" ? (one.block ? "block.closing" : "close.asked") : looks === "refusing" ? "chat.refusing" : "transfer.sent"),
      ),
    );
  else bars.replaceChildren();
}

/** @param {DeskChat} one */
function looksOf(one) {
  if (one.ended) return endKey(one).join(".");
  if (isOffer(one)) return one.refusing ? "refusing" : "offer";
  if (isNew(one)) return "new";
  return one.closing ? "closing" : one.transfer ? "transfer" : "";
}

/**
 * What is known of who gives it: the note. The whole of it stands among the messages.
 *
 * @param {Translator} t
 * @param {Note | null} note
 */
function offer(t, note) {
  return [
    h("p", {}, t("chat.offered")),
    note &&
      h(
        "p",
        { class: "handover" },
        h("strong", {}, t("chat.offered_note", { name: note.name })),
        " ",
        h("span", { dir: "auto" }, note.text),
      ),
  ].filter(Boolean);
}

/**
 * The citizen's question and form, as a block that folds; unfolded where there is room for it.
 *
 * @param {Translator} t
 * @param {DeskChat} one
 * @param {Node} department
 * @param {AbortSignal} signal of the end of the view
 */
function about(t, one, department, signal) {
  const { question, form, locale, opened_at } = one.about;
  /** @param {string} key @param {...Node | string} value */
  const row = (key, ...value) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, ...value));
  const language = t.has(`locale.${locale}`) ? t(`locale.${locale}`) : locale;
  const wide = matchMedia(WIDE);
  const block = h(
    "details",
    { class: "about", open: wide.matches },
    h("summary", {}, t("chat.about")),
    h(
      "dl",
      {},
      question && row("chat.question", h("span", { dir: "auto", lang: locale }, question)),
      form && (form.title || form.url || form.id) && row("chat.form", formLink(t, form)),
      form?.step && row("chat.step", h("bdi", {}, form.step)),
      form?.field && row("chat.field", h("bdi", {}, form.field)),
      form?.error && row("chat.error", h("bdi", {}, form.error)),
      row("chat.department", department),
      row("chat.locale", language ?? ""),
      row("chat.started", clock(opened_at, t.language, new Date())),
    ),
    earlierChats(t, { chat_id: one.id, form }) ?? "",
  );
  wide.addEventListener("change", () => (block.open = wide.matches), { signal });
  return block;
}

/**
 * A citizen's page can name any address: only http and https become a link, which gets nothing of this page and tells its host.
 *
 * @param {Translator} t
 * @param {{id?: string, title?: string, url?: string}} form
 */
function formLink(t, form) {
  const title = form.title || form.id || form.url;
  if (!isWeb(form.url)) return h("bdi", {}, title);
  return h(
    "a",
    { href: form.url, target: "_blank", rel: "noopener noreferrer" },
    h("bdi", {}, title),
    h("small", {}, ` (${new URL(form.url ?? "").host})`),
    h("span", { class: "hidden-words" }, ` (${t("chat.form_open")})`),
  );
}

/** @param {string | undefined} url */
function isWeb(url) {
  try {
    return ["http:", "https:"].includes(new URL(url ?? "").protocol);
  } catch {
    return false;
  }
}
