/** RULES of how times and sizes read: in the service's time zone whatever the computer thinks, in the reader's language as in Belgium. */
let zone = "Europe/Brussels";
/** @type {Record<string, string>} */
const LOCALES = { nl: "nl-BE", fr: "fr-BE", de: "de-BE", en: "en-GB" };
const formats = new Map();

/**
 * The tag (BCP 47) by which numbers and dates of a language are written.
 *
 * @param {string} language
 */
export const localeOf = (language) => LOCALES[language] ?? language;

/**
 * Times are shown in this zone (IANA name) from here on; one that the browser does not know changes nothing. Return the zone in use.
 *
 * @param {string} name
 */
export function useZone(name) {
  try {
    zone = new Intl.DateTimeFormat("nl", { timeZone: name }).resolvedOptions().timeZone;
    formats.clear();
  } catch {
    // it stays as it was
  }
  return zone;
}

/**
 * The format of times in the service's zone; `options` may name another one.
 *
 * @param {string} language
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {Intl.DateTimeFormat}
 */
export function timeFormat(language, options) {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(localeOf(language), { timeZone: zone, ...options }));
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
  const day = timeFormat(language, { year: "numeric", month: "2-digit", day: "2-digit" });
  const hour = timeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time);
  return day.format(time) === day.format(now) ? hour : `${timeFormat(language, { day: "numeric", month: "short" }).format(time)} ${hour}`;
}

/**
 * `12 kB`, from 1,000 kB on `3,4 MB`: in powers of 1,000, rounded up, so that a limit never reads as more than it is.
 *
 * @param {number} bytes
 * @param {string} language
 */
export function size(bytes, language) {
  const [value, unit] = bytes > 999_000 ? [Math.ceil(bytes / 1e5) / 10, "megabyte"] : [Math.max(1, Math.ceil(bytes / 1e3)), "kilobyte"];
  return new Intl.NumberFormat(localeOf(language), { style: "unit", unit, maximumFractionDigits: 1 }).format(value);
}
