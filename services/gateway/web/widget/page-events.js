// What the page around the widget is told of a chat, and what keeps its own session while a chat is open.
const ALIVE = 60; // seconds between two signs for the page's own session
const LOOK = 60_000; // ms between two looks whether an ended chat is to leave the page

/**
 * Gives the page the events of one chat. Returns what is told each change of it, and without a chat its end.
 *
 * Once the chat has ended the panel is asked each minute whether it is kept still. If not it leaves the page too; one that is being read leaves
 * the page when the panel is closed.
 *
 * While the chat is open the page gets `eloket-chat-active` at once and each minute, and the address in the attribute
 * `keep-alive` is requested, so that the page's own session does not end meanwhile.
 *
 * @param {ChatElement} host
 * @param {ChatRecord} record
 */
export function followChat(host, record) {
  let over = Boolean(record.ended);
  let told = -1; // the last seq that the page knows
  let looks = "";
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let aging;
  const age = async () => {
    const { panel, shadowRoot } = /** @type {any} */ (host);
    const one = await panel;
    if (one && !one.kept() && !shadowRoot.querySelector("dialog[open]")) one.gone(record.chat_id);
  };

  function alive() {
    host.emit?.("active", { chat_id: record.chat_id });
    const address = host.getAttribute("keep-alive");
    if (address) fetch(address, { credentials: "same-origin", cache: "no-store" }).catch(() => {});
  }

  /** @param {Conversation} [chat] @param {Dot} [colour] @param {number} [backlog] */
  return (chat, colour, backlog = 0) => {
    if (!chat || chat.closed) timer = void clearInterval(timer);
    if (!chat) return void clearInterval(aging);
    if (chat.closed || record.ended) aging ??= setInterval(age, LOOK);
    if (!chat.closed && timer === undefined) {
      alive();
      timer = setInterval(alive, 1000 * Math.max(1, Number(host.getAttribute("keep-alive-seconds")) || ALIVE));
    }
    const status = { dot: colour ?? null, agent: chat.agent?.name ?? null, position: chat.position };
    if (looks !== JSON.stringify(status)) {
      looks = JSON.stringify(status);
      host.dot = status.dot;
      host.emit?.("status", status);
    }
    if (told < 0 && chat.welcomed) told = backlog;
    for (const { seq, from, at, attachment } of told < 0 ? [] : chat.messages) {
      if (seq <= told) continue;
      told = seq;
      if (from !== "system") host.emit?.("message", { from, seq, at, attachment: attachment !== undefined });
    }
    if (chat.closed && !over) {
      over = true;
      host.emit?.("ended", { chat_id: record.chat_id, reason: chat.closed });
    }
  };
}
