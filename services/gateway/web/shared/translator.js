// Texts by their keys. The server makes a module of each catalogue (docs/texts.md), in which a plural form is `key.one` or `key.other`.

const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * Return a value that cannot turn the direction of the text around it (Unicode first-strong isolate).
 *
 * @param {unknown} value
 */
function isolate(value) {
  return RIGHT_TO_LEFT.test(String(value)) ? `\u2068${value}\u2069` : String(value);
}

/**
 * Return the translator of these texts.
 *
 * `t(key, values)` is a text with its placeholders filled in, in the plural form of the number `n` in `values` where the text has plural
 * forms. A key that is absent reads as itself. `t.has(key)` tells whether there is such a text.
 *
 * @param {Record<string, string>} texts
 * @param {string} language a BCP 47 tag
 * @returns {Translator}
 */
export function translator(texts, language = "nl") {
  const plural = new Intl.PluralRules(language);
  /** @type {Translator} */
  const t = (key, values = {}) => {
    const form = typeof values.n === "number" ? (texts[`${key}.${plural.select(values.n)}`] ?? texts[`${key}.other`]) : undefined;
    return (form ?? texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? isolate(values[name]) : whole));
  };
  t.has = (key) => Object.hasOwn(texts, key ?? "");
  t.language = language;
  return t;
}
