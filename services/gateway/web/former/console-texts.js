// What pages of version 1.1 import from /static/agent/texts.js.
import { translator } from "../shared/translator.js";
import de from "./texts/de.js";
import en from "./texts/en.js";
import fr from "./texts/fr.js";
import nl from "./texts/nl.js";

export { chooseLanguage, known, LANGUAGES } from "./i18n.js";
export const CATALOGUES = { nl, fr, de, en };
export const speaker = (language) => translator(CATALOGUES[language], language);
