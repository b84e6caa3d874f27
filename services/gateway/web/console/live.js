/** The live state of a supervisor's departments while the console is open: kept current by the agent's connection; it notifies when a citizen waits too long. */
import { lateChats, takeLive } from "./live-state.js";

const LOOK = 5000; // ms between looks at who waits too long by now

/**
 * `{take(frame), known(), late(), now(), stop()}`: `late()` is how many citizens wait too long; `onChange()` after each change and while there is
 * anything to show, `onLate(chats)` gets the chats that were not late before.
 *
 * @param {{onChange(): void, onLate(chats: LiveChat[]): void, now?: () => number}} options
 */
export function liveDepartments({ onChange, onLate, now = () => Date.now() }) {
  /** @type {Map<string, LiveDepartment>} */
  let known = new Map();
  /** @type {Set<string>} */
  let noticed = new Set();
  const timer = setInterval(() => known.size && look(), LOOK);

  function look() {
    const late = lateChats(known, now());
    const news = late.filter((one) => !noticed.has(one.chat_id));
    noticed = new Set(late.map((one) => one.chat_id));
    if (news.length) onLate(news);
    onChange();
  }

  return {
    /** @param {LiveFrame} frame */
    take(frame) {
      known = takeLive(known, frame, now());
      look();
    },
    known: () => known,
    late: () => lateChats(known, now()).length,
    now,
    stop: () => clearInterval(timer),
  };
}
