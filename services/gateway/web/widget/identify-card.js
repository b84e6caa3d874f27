// An agent asks the citizen to identify: a card below the conversation that says why, that it is voluntary, and where. Loaded with the request.
import { loadPart } from "./load-part.js";
import { h, rootOf, setAttribute, setText } from "../shared/dom.js";
import { openRequest } from "../shared/identification.js";

const LOOKS = `
.chat > .identify { position: relative; flex: 0 1 auto; min-height: 8rem; max-height: 45%; overflow-y: auto; font-size: .9375rem; }
.identify p { margin: 0 0 .4rem; }
.identify p:empty { margin: 0; }
.identify .row { position: sticky; bottom: 0; align-items: center; padding-block: .25rem; background: var(--soft); }
.identify a.primary { display: inline-block; padding: .5rem .9rem; border: 1px solid transparent; border-radius: .4rem; background: var(--press); color: #fff; font-weight: 600; text-decoration: none; }
.identify code { font-weight: 700; letter-spacing: .15em; font-size: 1.0625rem; }
.short .identify:not(.over) p:not([role]) { display: none; }
`;
const ANSWER = 8_000; // ms

/**
 * The card beside a chat; returns what is told each change. Whether there is a request is in the log, so all tabs know.
 *
 * @param {WidgetPart} options
 */
export async function identify({ base, record, element, announce, bar }) {
  const t = await loadPart(element, "identify", LOOKS);
  /** @type {Map<string, number>} */
  const ends = new Map(); // request → when it ends, in ms of `performance.now()`
  /** @type {string | undefined} */
  let request;
  /** @type {Conversation | undefined} */
  let chat;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const why = h("p", {});
  const code = h("code", { hook: "identify-code" });
  const check = h("p", { hidden: true });
  const problem = h("p", { role: "status", hook: "identify-problem" });
  const words = h("span", {});
  // The link opens a window of its own without a way back to this page, and no browser blocks it as it would a script's window.
  const pressed = { onclick: used, onauxclick: used };
  const go = h("a", { class: "primary", hook: "identify-go", target: "_blank", rel: "noopener", hidden: true, ...pressed }, words);
  const again = h("button", { class: "tool", type: "button", hook: "identify-again", onclick: () => prepare(), hidden: true }, t("retry"));
  const decline = h("button", { class: "tool", type: "button", hook: "identify-decline", onclick: refuse }, t("decline"));
  const card = h(
    "div",
    { class: "choice identify", role: "group", "aria-label": t("title"), hook: "identify-card" },
    why,
    h("p", {}, t("voluntary")),
    check,
    problem,
    h("div", { class: "row" }, go, again, decline),
  );

  const shut = h("button", { class: "tool", type: "button", hook: "identify-shut", onclick: () => takeAway(over) }, t("dismiss"));
  const over = h("div", { class: "choice identify over", hook: "identify-over" }, h("p", {}, t("over")), h("div", { class: "row" }, shut));
  /** @type {string | undefined} */
  let late; // the request whose time is over, until it is answered all the same

  /** @param {string} method */
  const ask = (method) =>
    fetch(`${base}/api/chats/${record.chat_id}/identification`, {
      method,
      credentials: "omit",
      headers: { Authorization: `Bearer ${record.token}` },
      signal: AbortSignal.timeout(ANSWER),
    });

  // A ticket opens the page once: each press of the link is followed by a new one.
  async function prepare(said = "") {
    const mine = request;
    const answer = await ask("POST").catch(() => null);
    const told = answer?.ok ? await answer.json().catch(() => null) : null;
    if (mine !== request) return;
    if (answer?.status === 404) return expire();
    const ready = [told?.url, told?.code, told?.issuer].every((one) => typeof one === "string") && told.url.startsWith("/");
    if (ready) {
      setAttribute(go, "href", base + told.url);
      words.replaceChildren(t("go"), h("span", { class: "sr" }, ` ${t("by", { issuer: told.issuer })} ${t("newTab")}`));
      setText(code, told.code);
      check.replaceChildren(t("check"), " ", code);
    }
    const focused = rootOf(card).activeElement;
    const held = focused === go || focused === again;
    setAttribute(go, "aria-disabled", null);
    setAttribute(go, "hidden", !ready);
    setAttribute(check, "hidden", !ready);
    setAttribute(again, "hidden", ready);
    setText(problem, ready ? said : t("notNow"));
    if (held) (ready ? go : again).focus();
  }

  // The link keeps its address, and so the focus, while its ticket is used up.
  /** @param {Event} event */
  function used(event) {
    if (go.hasAttribute("aria-disabled")) return event.preventDefault();
    setAttribute(go, "aria-disabled", "true");
    setText(problem, t("opened"));
    prepare(t("opened"));
  }

  async function refuse() {
    setAttribute(decline, "aria-disabled", "true");
    const answer = await ask("DELETE").catch(() => null);
    setAttribute(decline, "aria-disabled", null);
    if (!answer?.ok) setText(problem, t("notNow"));
  }

  /** @param {MessageFrame | undefined} asked */
  function show(asked) {
    if (asked?.identification?.id === request) return;
    const before = request;
    request = asked?.identification?.id;
    clearTimeout(timer);
    if (!asked || !request) return takeAway(card);
    setText(why, t("why", { name: chat?.agent?.name ?? t("agent") }));
    setText(problem, "");
    setAttribute(go, "aria-disabled", before && "true"); // its ticket is of the request before
    place(card);
    if (!before) announce(t("title"));
    prepare();
    timer = setTimeout(expire, Math.max(0, (ends.get(request) ?? 0) - performance.now()));
  }

  // The time is over, by the clock here or by the server's.
  function expire() {
    if (!request) return;
    ends.set((late = request), 0);
    announce(t("over"));
    place(over);
    draw();
  }

  /** @param {HTMLElement} box */
  function place(box) {
    if (!box.isConnected) element.querySelector(".ended")?.before(box);
  }

  /** @param {HTMLElement} box */
  function takeAway(box) {
    const held = box.contains(rootOf(box).activeElement);
    box.remove();
    if (held) bar.focus();
  }

  function draw() {
    const asked = chat && !chat.closed ? openRequest(chat.messages) : undefined;
    const { id, seconds = 0 } = asked?.identification ?? {};
    if (id && !ends.has(id)) ends.set(id, performance.now() + seconds * 1000);
    if (id !== late) takeAway(over);
    show(id && performance.now() < (ends.get(id) ?? 0) ? asked : undefined);
  }

  return (/** @type {[chat?: Conversation]} */ ...[next]) => {
    chat = next;
    draw();
  };
}
