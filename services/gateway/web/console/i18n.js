/** The language of the console: chosen by address, then by choice made before, then by browser. */
import { translator } from "../shared/translator.js";

export const LANGUAGES = ["nl", "fr", "de", "en"];
const AGAIN = 1_000; // ms before the first new try, doubling, with jitter
const LONGEST = 30_000;

/**
 * A language that we have: the first of `wishes` (BCP 47 tags, may hold null) that fits, else Dutch.
 *
 * @param {(string | null)[]} wishes
 */
export function chooseLanguage(wishes) {
  for (const wish of wishes) {
    const primary = String(wish ?? "")
      .toLowerCase()
      .split("-")[0];
    if (LANGUAGES.includes(primary)) return primary;
  }
  return "nl";
}

/**
 * Load the translator of a language, tried until it comes. Some browsers keep a failure, so each try has an address of its own.
 *
 * @param {string} language
 */
export async function loadTranslator(language) {
  for (let n = 0; ; n += 1) {
    try {
      const texts = await import(`./texts/${language}.js` + (n ? `?${n}` : ""));
      return translator(texts.default, language);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST, AGAIN * 2 ** n) * (0.5 + Math.random())));
    }
  }
}

/**
 * `t` of the first key that exists: for codes from the server that a newer server may have added to, or of `ask` (`no_answer`).
 *
 * @param {Translator} t
 * @param {string} prefix
 * @param {string | null | undefined} code
 */
export function known(t, prefix, code) {
  if (code === "no_answer") return t("no_answer");
  const key = `${prefix}.${code}`;
  return t.has(key) ? t(key) : t(`${prefix}.other`);
}
