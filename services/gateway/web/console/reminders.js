/** Reminders of citizens who wait long for the agent's answer: in the list of chats, and said once. */
import { openChats } from "./desk-state.js";
import { isNew, waitsSince } from "./chat-state.js";
import { serverNow } from "./server-clock.js";

const LOOK = 5000; // ms between two looks

/**
 * RULES: whole seconds for which the citizen of this chat has waited for an answer, when that is too long; else null.
 *
 * @param {DeskChat} one
 * @param {number} now by the server's clock, in ms since the epoch
 */
export function overdue(one, now) {
  const since = Date.parse(waitsSince(one) ?? "");
  if (!one.about.remind_after || isNew(one) || Number.isNaN(since)) return null;
  // What was asked before this agent had the chat was not theirs to answer.
  const assigned = Date.parse(one.talk.messages.findLast((message) => message.event === "assigned")?.at ?? "");
  const seconds = Math.floor((now - (Number.isNaN(assigned) ? since : Math.max(since, assigned))) / 1000);
  return seconds >= one.about.remind_after ? seconds : null;
}

/**
 * Looks at the desk now and then: `onOverdue(chat, seconds)` once for each wait that has become too long, `onChange()` while there is any. Returns
 * what ends it.
 *
 * @param {{desk(): Desk, onChange(): void, onOverdue(one: DeskChat, seconds: number): void}} options
 */
export function watchAnswers({ desk, onChange, onOverdue }) {
  /** @type {Map<string, string | null>} */
  let reminded = new Map();
  const timer = setInterval(() => {
    const late = openChats(desk()).flatMap((one) => {
      const seconds = overdue(one, serverNow());
      return seconds === null ? [] : [{ one, seconds }];
    });
    for (const { one, seconds } of late) if (reminded.get(one.id) !== waitsSince(one)) onOverdue(one, seconds);
    if (late.length || reminded.size) onChange();
    reminded = new Map(late.map(({ one }) => [one.id, waitsSince(one)]));
  }, LOOK);
  return () => clearInterval(timer);
}
