/** RULES of how a session of the console reads: which browser, from where, since when. */
import { moment } from "./format.js";
import { known } from "./i18n.js";

/** @typedef {{id: string, current: boolean, begun_at: string | null, used_at: string | null, expires_at: string, network: string, browser: string, system: string, agent_id?: string, name?: string}} Login */

/** @type {Record<string, string>} */
const BROWSERS = { edge: "Edge", opera: "Opera", samsung: "Samsung Internet", firefox: "Firefox", chrome: "Chrome", safari: "Safari" };
/** @type {Record<string, string>} */
const SYSTEMS = { ios: "iOS", android: "Android", windows: "Windows", macos: "macOS", chromeos: "ChromeOS", linux: "Linux" };
/** @param {Record<string, string>} names @param {string} name */
const nameOf = (names, name) => (Object.hasOwn(names, name) ? names[name] : "");

/**
 * The browser of a session, as `Firefox, Windows`.
 *
 * @param {Translator} t
 * @param {Login} one
 */
export function clientWords(t, { browser, system }) {
  const words = nameOf(BROWSERS, browser) || t("sessions.other_browser");
  return [words, nameOf(SYSTEMS, system)].filter(Boolean).join(", ");
}

/**
 * A time of a session; in words where it is not known.
 *
 * @param {Translator} t
 * @param {string | null} at
 */
export const timeWords = (t, at) => (at ? moment(at, t.language) : t("sessions.not_known"));

/**
 * What became of the end of a session, in words.
 *
 * @param {Translator} t
 * @param {Answer} answer
 */
export function endWords(t, answer) {
  if (answer.ok) return t("sessions.ended");
  return known(t, "sessions.problem", answer.code);
}
