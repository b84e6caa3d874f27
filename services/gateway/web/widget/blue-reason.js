// Why the button is blue and until when, for the launcher; and what a press opens where the department offers more than the info sheet.
// Loaded when a button is blue.
import { sheet, wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";

const DAY = 86_400_000; // ms
const EVERY = 20_000; // ms: "tomorrow" becomes "today" at midnight
const looks = sheet(`
@media (max-width: 30rem) { .launcher.blue { gap: .4rem; padding-inline: .7rem; } .blue .words { font-size: .875em; } .blue .words small { font-size: 1em; } }
`); // a reason is longer than what else the launcher says
const WEEK = 6; // days for which the name of the day says enough

/**
 * The day of a moment in a time zone, as the days since 1970.
 *
 * @param {number} at
 * @param {string} timeZone
 */
function dayOf(at, timeZone) {
  const parts = new Intl.DateTimeFormat("en", { timeZone, year: "numeric", month: "numeric", day: "numeric" }).formatToParts(at);
  const [year, month, day] = ["year", "month", "day"].map((name) => Number(parts.find(({ type }) => type === name)?.value));
  return Date.UTC(year, month - 1, day) / DAY;
}

/**
 * A moment in few words, such as "morgen 9 u." or "maandag 13.30 u."; null when there is none that can be read.
 *
 * @param {Translator} t
 * @param {string | null | undefined} moment
 * @param {string | undefined} zone
 * @param {number} now
 */
export function when(t, moment, zone, now) {
  const at = Date.parse(moment ?? "");
  if (!Number.isFinite(at) || at <= now) return null;
  /** @param {Intl.DateTimeFormatOptions} options */
  const format = (options) => new Intl.DateTimeFormat(t.language, { ...options, timeZone });
  let timeZone = "Europe/Brussels";
  try {
    timeZone = new Intl.DateTimeFormat("en", { timeZone: zone ?? timeZone }).resolvedOptions().timeZone;
  } catch {
    // a zone that this browser does not know
  }
  const clock = new Intl.DateTimeFormat("en", { timeZone, hour: "numeric", minute: "2-digit", hourCycle: "h23" }).formatToParts(at);
  const [h, m] = ["hour", "minute"].map((name) => clock.find(({ type }) => type === name)?.value ?? "");
  const time = t(m === "00" ? "hour" : "time", { h: Number(h), m });
  const days = dayOf(at, timeZone) - dayOf(now, timeZone);
  if (days < 2) return t(days < 1 ? "today" : "tomorrow", { time });
  if (days <= WEEK) return t("on_weekday", { day: format({ weekday: "long" }).format(at), time });
  return t("on_date", { day: format({ day: "numeric", month: "short" }).format(at), time });
}

/**
 * Why a button is blue, in a few words.
 *
 * @param {Translator} t
 * @param {Button} button
 * @param {number} now
 */
export function reason(t, button, now) {
  if (button.reason !== "closed") return t(["busy", "no_agents"].includes(button.reason ?? "") ? `${button.reason}` : "unknown");
  const opens = when(t, button.opens_at, button.timezone, now);
  return opens ? t("closed_until", { when: opens }) : t("closed");
}

/**
 * Whether one can wait, although the button is blue.
 *
 * @param {Button} button
 */
export const mayWait = (button) => button.colour === "blue" && button.reason === "busy" && Boolean(button.queue);

/**
 * What `<eloket-chat>` asks while its button is blue.
 *
 * @param {ChatElement} host
 * @param {string} base
 */
export async function createReason(host, base) {
  const { lang } = host.frame;
  const t = translator((await import(`./text/reason/${lang}.js`)).default, lang);
  /** @type {Awaited<ReturnType<typeof import("./blue-panel.js").createBluePanel>> | undefined} */
  let panel;
  let tries = 0;
  wear(host.shadowRoot, looks);
  let told = "";
  const words = (/** @type {Button} */ button) => reason(t, button, Date.now());

  /** @param {Button} button */
  const offers = (button) => mayWait(button) || (button.questions === true && !button.lost);
  const timer = setInterval(() => {
    const now = host.button?.colour === "blue" ? words(host.button) : told;
    if (now !== told) host.redraw?.();
  }, EVERY);

  return {
    offers,
    /** The title and the second line of the launcher. @param {Button} button */
    words: (button) => ({ title: (told = words(button)), hint: t(offers(button) ? "offers" : "sheet") }),
    async open() {
      try {
        const module = await import(tries ? `${base}/static/loket-chat/blue-panel.js?${tries}` : "./blue-panel.js");
        panel ??= await module.createBluePanel(host, base, words);
        panel?.open();
      } catch {
        tries += 1;
        host.unfold?.(true);
      }
    },
    changed: () => panel?.changed(),
    dispose: () => {
      clearInterval(timer);
      panel?.dispose();
    },
  };
}
