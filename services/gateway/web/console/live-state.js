/** RULES of the supervisors' live page: what the server's `live` frames say of each department, and who waits too long. */

/**
 * The known departments after one more frame. A whole one replaces what is known; another one changes it, and means nothing before a whole one.
 *
 * @param {Map<string, LiveDepartment>} known
 * @param {LiveFrame} frame
 * @param {number} now by the page's clock, in ms since the epoch
 */
export function takeLive(known, frame, now) {
  const before = known.get(frame.department);
  if (!frame.whole && !before) return known;
  const old = frame.whole ? null : before;
  const next = {
    ...(old ?? EMPTY),
    ...Object.fromEntries(PLAIN.filter((name) => frame[name] !== undefined).map((name) => [name, frame[name]])),
    ahead: Date.parse(frame.at) - now,
    agents: merged(old?.agents, frame.agents, frame.agents_gone, (one) => one.id),
    chats: merged(old?.chats, frame.chats, frame.chats_gone, (one) => one.chat_id),
  };
  return new Map(known).set(frame.department, /** @type {LiveDepartment} */ (next));
}

const PLAIN = /** @type {const} */ ([
  "department",
  "current",
  "remind_after",
  "alarm_after",
  "button",
  "intake",
  "hours",
  "waiting",
  "running",
  "staff",
]);
const EMPTY = { button: null, intake: null, hours: null, waiting: { count: 0, since: null, first: [] }, running: 0, staff: 0 };

/**
 * @template T
 * @param {Map<string, T> | undefined} before
 * @param {T[] | undefined} changed
 * @param {string[] | undefined} gone
 * @param {(one: T) => string} key
 */
function merged(before, changed = [], gone = [], key) {
  const next = new Map(before);
  for (const one of gone) next.delete(one);
  for (const one of changed) next.set(key(one), one);
  return next;
}

/**
 * Whole seconds since then, by the server's clock; null for no time.
 *
 * @param {{ahead: number}} department
 * @param {string | null} since
 * @param {number} now
 */
export function secondsSince({ ahead }, since, now) {
  const at = Date.parse(since ?? "");
  return Number.isNaN(at) ? null : Math.max(0, Math.floor((now + ahead - at) / 1000));
}

/**
 * How a chat stands with an answer: "" when nobody waits, "waits", "reminded" (the agent was) or "late" (supervisors are told).
 *
 * @param {LiveDepartment} department
 * @param {LiveChat} chat
 * @param {number} now
 */
export function standing(department, chat, now) {
  const seconds = secondsSince(department, chat.unanswered_since, now);
  if (seconds === null) return "";
  if (department.alarm_after && seconds >= department.alarm_after) return "late";
  return department.remind_after && seconds >= department.remind_after ? "reminded" : "waits";
}

/**
 * The running chats: those whose citizen waits longest first, then as they began.
 *
 * @param {LiveDepartment} department
 */
export const chatsOf = ({ chats }) =>
  [...chats.values()].sort((a, b) => order(a.unanswered_since, b.unanswered_since) || order(a.since, b.since));

// Times of one form are in the order of their letters; no time comes last.
/** @param {string | null} a @param {string | null} b */
const order = (a, b) => ((a ?? "~") < (b ?? "~") ? -1 : Number((a ?? "~") > (b ?? "~")));

const STATES = ["available", "paused", "offline"];

/**
 * The agents: available ones first, then paused ones, then those who are not there, each by name.
 *
 * @param {LiveDepartment} department
 */
export const agentsOf = ({ agents }) =>
  [...agents.values()].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.name.localeCompare(b.name));

/**
 * How many of the agents that are listed are in this state.
 *
 * @param {LiveDepartment} department
 * @param {string} state
 */
export const countOf = ({ agents }, state) => [...agents.values()].filter((one) => one.state === state).length;

/**
 * The chats in all departments whose citizen waits so long that supervisors are told.
 *
 * @param {Map<string, LiveDepartment>} known
 * @param {number} now
 */
export const lateChats = (known, now) =>
  [...known.values()].flatMap((one) => chatsOf(one).filter((chat) => standing(one, chat, now) === "late"));

/**
 * The end of a closed intake, as the server wants it: in so many minutes, or at the end of the day of the service's time zone.
 *
 * @param {string} choice minutes, or "day"
 * @param {number} now
 * @param {number} leftOfDay ms until the end of the day
 */
export const endOf = (choice, now, leftOfDay) => new Date(now + (choice === "day" ? leftOfDay : Number(choice) * 60_000)).toISOString();
