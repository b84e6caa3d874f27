// The texts of the pages for tests, from the catalogues that the server makes modules of (`as_module` of http/pages/static_files.py).
import { readFileSync } from "node:fs";
import { translator } from "../../services/gateway/web/shared/translator.js";

const WEB = new URL("../../services/gateway/web/", import.meta.url);

/** The texts of a language as its module has them: the plural forms are texts of their own. */
export function texts(folder, language) {
  const catalogue = JSON.parse(readFileSync(new URL(`${folder}/${language}.json`, WEB), "utf8"));
  const flat = ([key, text]) =>
    typeof text === "string" ? [[key, text]] : Object.entries(text).map(([form, words]) => [`${key}.${form}`, words]);
  return Object.fromEntries(Object.entries(catalogue).flatMap(flat));
}

/** The translator of the console. */
export const consoleTexts = (language) => translator(texts("console/translations", language), language);

/** The translator of the widget, with the texts of these parts. */
export const widgetTexts = (language, ...parts) =>
  translator(Object.assign({}, ...["panel", ...parts].map((part) => texts(`widget/translations/${part}`, language))), language);
