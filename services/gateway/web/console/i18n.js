/** The console's words: one catalogue a language, chosen by address, then by choice made before, then by browser. */
import de from "./texts/de.js";
import en from "./texts/en.js";
import fr from "./texts/fr.js";
import nl from "./texts/nl.js";

export const CATALOGUES = { nl, fr, de, en };
export const LANGUAGES = Object.keys(CATALOGUES);

/** A language that we have: the first of `wishes` (BCP 47 tags, may hold null) that fits, else Dutch. */
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
 * The function that speaks one language: `t(key, values)` fills `{names}`; with a number `n` in `values` the plural
 * form `key.one` or `key.other` is taken when the catalogue has one. `t.has(key)` tells whether there is such a text.
 */
export function speaker(language) {
  const catalogue = CATALOGUES[language];
  const plural = new Intl.PluralRules(language);
  const find = (key, values) => {
    if (typeof values.n !== "number") return catalogue[key];
    const form = plural.select(values.n) === "one" ? "one" : "other";
    return catalogue[`${key}.${form}`] ?? catalogue[key];
  };
  const t = (key, values = {}) => {
    const text = find(key, values) ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? isolate(values[name]) : whole));
  };
  t.has = (key) => key in catalogue;
  t.language = language;
  return t;
}

const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** A value that cannot turn the direction of the text around it (Unicode first-strong isolate). */
function isolate(value) {
  return RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : String(value);
}

/** `t` of the first key that exists: for codes from the server that a newer server may have added to. */
export function known(t, prefix, code) {
  const key = `${prefix}.${code}`;
  return t.has(key) ? t(key) : t(`${prefix}.other`);
}
