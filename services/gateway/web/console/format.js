/** RULES of how times and sizes read: the service's time whatever the computer thinks, in the language of the agent. */
let zone = "Europe/Brussels";
/** @type {Record<string, string>} */
const LOCALES = { nl: "nl-BE", fr: "fr-BE", de: "de-BE", en: "en-GB" };

const formats = new Map();

/**
 * Times are shown in this zone (IANA name) from here on; one that the browser does not know changes nothing.
 *
 * @param {string} name
 */
export function useZone(name) {
  try {
    new Intl.DateTimeFormat("nl", { timeZone: name });
  } catch {
    return;
  }
  zone = name;
  formats.clear();
}

/** @param {string} language @param {Intl.DateTimeFormatOptions} options */
function format(language, options) {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(LOCALES[language] ?? language, { timeZone: zone, ...options }));
  return formats.get(key);
}

/**
 * `09:14`; with the day before it when that is not the day of `now`. Empty for what is no time.
 *
 * @param {string | Date | null | undefined} at
 * @param {string} language
 * @param {Date} now
 */
export function clock(at, language, now) {
  const time = new Date(at ?? NaN);
  if (Number.isNaN(time.getTime())) return "";
  const day = format(language, { year: "numeric", month: "2-digit", day: "2-digit" });
  const hour = format(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
  return day.format(time) === day.format(now) ? hour : `${format(language, { day: "numeric", month: "short" }).format(time)} ${hour}`;
}

/**
 * `30 nov 2026, 09:14:05`: a day and a time to the second, as a log has it.
 *
 * @param {string} at
 * @param {string} language
 */
export const moment = (at, language) =>
  format(language, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(new Date(at));

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
    .map(([unit, value]) =>
      new Intl.NumberFormat(LOCALES[language] ?? language, { style: "unit", unit, unitDisplay: "short" }).format(value),
    )
    .join(" ");
}

/**
 * `12 kB`, `3,4 MB`; MB from what would read as 1.000 kB on.
 *
 * @param {number} bytes
 * @param {string} language
 */
export function size(bytes, language) {
  const kilo = Math.max(1, Math.round(bytes / 1e3));
  const [value, unit] = kilo < 1000 ? /** @type {const} */ ([kilo, "kilobyte"]) : /** @type {const} */ ([bytes / 1e6, "megabyte"]);
  return new Intl.NumberFormat(LOCALES[language] ?? language, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: 1,
  }).format(value);
}

/**
 * The day in the service's time zone, as `2026-11-30`.
 *
 * @param {Date} now
 */
export const today = (now) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(now);

/**
 * Milliseconds until the day ends in the service's time zone.
 *
 * @param {Date} now
 */
export function untilMidnight(now) {
  const [hours, minutes, seconds] = format("nl", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
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
export const day = (iso, language, options) => format(language, { ...options, timeZone: "UTC" }).format(new Date(`${iso}T00:00:00Z`));

/**
 * `1.234` or `4,25`: a number with two decimals at most.
 *
 * @param {number} value
 * @param {string} language
 */
export const number = (value, language) => new Intl.NumberFormat(LOCALES[language] ?? language, { maximumFractionDigits: 2 }).format(value);
