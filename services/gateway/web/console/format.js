/** RULES of how days, spans and numbers read in the console; times and sizes are those of both pages. */
import { localeOf, timeFormat } from "../shared/format.js";

export { clock, size, useZone } from "../shared/format.js";

/**
 * `30 nov 2026, 09:14:05`: a day and a time to the second, as a log has it.
 *
 * @param {string} at
 * @param {string} language
 */
export const moment = (at, language) =>
  timeFormat(language, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(new Date(at));

/**
 * A date in words, `wo 2 december`; empty for what is no date.
 *
 * @param {unknown} date such as `2026-12-02`
 * @param {string} language
 */
export function dayOf(date, language) {
  const at = typeof date === "string" && /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(date) : NaN;
  return Number.isNaN(at) ? "" : timeFormat(language, { weekday: "short", day: "numeric", month: "long", timeZone: "UTC" }).format(at);
}

/**
 * How long, in its two largest units: `8 sec.`, `2 min. 5 sec.`, `1 u. 3 min.` in the language's own short words.
 *
 * @param {number} seconds
 * @param {string} language
 */
export function span(seconds, language) {
  const whole = Math.max(0, Math.round(seconds));
  /** @type {[string, number][]} */
  const parts = [
    ["hour", Math.floor(whole / 3600)],
    ["minute", Math.floor(whole / 60) % 60],
    ["second", whole % 60],
  ];
  const first = parts.findIndex(([, value]) => value > 0);
  const shown = first < 0 ? parts.slice(2) : parts.slice(first, first + 2).filter(([, value]) => value > 0);
  return shown
    .map(([unit, value]) => new Intl.NumberFormat(localeOf(language), { style: "unit", unit, unitDisplay: "short" }).format(value))
    .join(" ");
}

/**
 * The day in the service's time zone, as `2026-11-30`.
 *
 * @param {Date} now
 */
export const today = (now) => timeFormat("sv-SE", {}).format(now);

/**
 * Milliseconds until the day ends in the service's time zone.
 *
 * @param {Date} now
 */
export function untilMidnight(now) {
  const [hours, minutes, seconds] = timeFormat("nl", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
    .format(now)
    .split(":")
    .map(Number);
  return (86_400 - hours * 3600 - minutes * 60 - seconds) * 1000;
}

/**
 * The day `2026-11-30` as these options say, such as `{ day: "numeric", month: "short" }`.
 *
 * @param {string} iso
 * @param {string} language
 * @param {Intl.DateTimeFormatOptions} options
 */
export const day = (iso, language, options) => timeFormat(language, { ...options, timeZone: "UTC" }).format(new Date(`${iso}T00:00:00Z`));

/**
 * `1.234` or `4,25`: a number with two decimals at most.
 *
 * @param {number} value
 * @param {string} language
 */
export const number = (value, language) => new Intl.NumberFormat(localeOf(language), { maximumFractionDigits: 2 }).format(value);
