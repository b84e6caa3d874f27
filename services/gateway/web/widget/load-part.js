// What a module that comes later brings along: its own texts and looks.
import { rootOf } from "../shared/dom.js";
import { sheet, wear } from "../shared/style-sheets.js";
import { translator } from "../shared/translator.js";

/** @type {Map<string, ReturnType<typeof sheet>>} */
const sheets = new Map(); // of a part

/**
 * The language around an element.
 *
 * @param {Element} element
 */
export const languageOf = (element) => /** @type {HTMLElement | null} */ (element.closest("[lang]"))?.lang ?? "nl";

/**
 * The common texts with those of this part, in the language around `element`; its looks are there too.
 *
 * @param {HTMLElement} element
 * @param {string} part
 * @param {string} css
 */
export async function loadPart(element, part, css) {
  const lang = languageOf(element);
  const found = await Promise.all([`./text/${lang}.js`, `./text/${part}/${lang}.js`].map((path) => import(path)));
  const [common, own] = found;
  const looks = sheets.get(part) ?? sheet(css);
  sheets.set(part, looks);
  wear(rootOf(element), looks);
  return translator({ ...common.default, ...own.default }, lang);
}
