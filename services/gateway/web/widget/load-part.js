// What a module that comes later brings along: its own texts and looks.
import { sheet } from "../shared/dom.js";
import { translator } from "../shared/translator.js";

const sheets = new Map(); // of a part

/** The common texts with those of this part, in the language around `element`; its looks are there too. */
export async function loadPart(element, part, css) {
  const { lang } = element.closest("[lang]");
  const found = await Promise.all([`./text/${lang}.js`, `./text/${part}/${lang}.js`].map((path) => import(path)));
  const [common, own] = found;
  if (!sheets.has(part)) sheets.set(part, sheet(css));
  const root = element.getRootNode();
  if (!root.adoptedStyleSheets.includes(sheets.get(part))) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheets.get(part)];
  return translator({ ...common.default, ...own.default }, lang);
}
