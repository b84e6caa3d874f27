/** The agent's departments as the server's `departments` frames describe them: the rules, and the state while the console is open. */
import { secondsSince } from "./live-state.js";

const LOOK = 5000; // ms between two drawings of how long somebody waits
/** @type {OwnState} */
export const EMPTY = { button: null, intake: null, hours: undefined, waiting: null };

/**
 * RULES: the known departments after one more frame, which has of each department what changed.
 *
 * @param {Map<string, OwnDepartment>} known
 * @param {OwnDepartmentsFrame} frame
 * @param {number} now by the page's clock, in ms since the epoch
 */
export function takeDepartments(known, { at, departments }, now) {
  const next = new Map(known);
  for (const one of departments) {
    const { button, intake, hours, waiting } = { ...EMPTY, ...known.get(one.department), ...one };
    next.set(one.department, { department: one.department, button, intake, hours, waiting, ahead: Date.parse(at) - now });
  }
  return next;
}

/** RULES: no citizen can come, whoever is there. @param {OwnDepartment | undefined} one */
const isClosed = (one) => one?.button?.reason === "closed";

/**
 * RULES: the departments that have opened or closed, their intake too. Only this is said to a screen reader: the other colours come and go with
 * each chat.
 *
 * @param {Map<string, OwnDepartment>} before
 * @param {Map<string, OwnDepartment>} after
 */
export const openedOrClosed = (before, after) =>
  [...after.values()].filter(
    (one) => before.has(one.department) && (isClosed(one) !== isClosed(before.get(one.department)) || isNewIntake(before, one)),
  );

/** @param {Map<string, OwnDepartment>} before @param {OwnDepartment} one */
const isNewIntake = (before, { department, intake }) => Boolean(intake) && !before.get(department)?.intake;

/**
 * RULES: all departments in one line: how many are green and blue, how many chats wait, and which department has the longest wait.
 *
 * @param {OwnDepartment[]} list
 * @param {number} now
 */
export function summary(list, now) {
  const [green, blue] = ["green", "blue"].map((colour) => list.filter((one) => one.button?.colour === colour).length);
  const counted = list.filter((one) => one.waiting);
  /** @type {{one: OwnDepartment, seconds: number} | null} */
  let longest = null;
  for (const one of counted) {
    const seconds = secondsSince(one, one.waiting?.since ?? null, now);
    if (seconds !== null && one.waiting?.count && (!longest || seconds > longest.seconds)) longest = { one, seconds };
  }
  const waiting = counted.length ? counted.reduce((sum, one) => sum + (one.waiting?.count ?? 0), 0) : null;
  return { green, blue, waiting, longest };
}

/**
 * `{take(frame), lose(), known(), current(), now(), stop()}`: `lose()` says that the connection is lost, until the next frame nothing is
 * `current()`. `onChange()` after each change and while somebody waits, `onNews(list)` gets the departments that have opened or closed.
 *
 * @param {{onChange(): void, onNews(list: OwnDepartment[]): void, now?: () => number}} options
 */
export function ownDepartments({ onChange, onNews, now = () => Date.now() }) {
  /** @type {Map<string, OwnDepartment>} */
  let known = new Map();
  let current = false;
  const timer = setInterval(() => [...known.values()].some((one) => one.waiting?.count) && onChange(), LOOK);

  return {
    /** @param {OwnDepartmentsFrame} frame */
    take(frame) {
      const before = known;
      known = takeDepartments(known, frame, now());
      current = true;
      const news = openedOrClosed(before, known);
      if (news.length) onNews(news);
      onChange();
    },
    lose: () => void (current = false),
    known: () => known,
    current: () => current,
    now,
    stop: () => clearInterval(timer),
  };
}
