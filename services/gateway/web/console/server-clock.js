/** The server's clock, as its answers tell it: the times of messages are the server's, and a computer's own clock may be wrong. */

const EXACT = 2_000; // ms: a `Date` has whole seconds, and an answer takes time
let ahead = 0; // ms by which the server's clock is ahead of the page's

/**
 * Takes the `Date` of an answer that has just come (RFC 9110, section 6.6.1); one that is absent or wrong changes nothing.
 *
 * @param {string | null} date
 * @param {number} [now] by the page's clock, in ms since the epoch
 */
export function learnClock(date, now = Date.now()) {
  const told = Date.parse(date ?? "");
  if (!Number.isNaN(told)) ahead = Math.abs(told - now) < EXACT ? 0 : told - now;
}

/**
 * The time by the server's clock, in ms since the epoch.
 *
 * @param {number} [now] by the page's clock
 */
export const serverNow = (now = Date.now()) => now + ahead;
