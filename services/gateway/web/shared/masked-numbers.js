// Identifying numbers that the server has masked (services/gateway/identifying_numbers.py): a bullet for each character but the last.
import { h } from "./dom.js";

const MASKED = /(\b[A-Z]{2}•{9,28}[0-9A-Z]{4}|•{9}[0-9]{2}(?![0-9])|•{9,15}[0-9]{4})/;
const NATIONAL_LENGTH = 11;

/**
 * What kind of number a masked form stands for.
 *
 * @param {string} form
 * @returns {"national" | "iban" | "card"}
 */
export const kindOf = (form) => (form.startsWith("•") ? (form.length === NATIONAL_LENGTH ? "national" : "card") : "iban");

/**
 * A text in parts: each masked number is an element with a name, because bullets say nothing to a screen reader.
 *
 * @param {string} text
 * @param {(kind: "national" | "iban" | "card", last: string) => string} nameOf
 * @returns {(Node | string)[]}
 */
export function maskedParts(text, nameOf) {
  return text.split(MASKED).map((part, index) => {
    if (index % 2 === 0) return part;
    const name = nameOf(kindOf(part), [...part.replace(/.*•/, "")].join(" "));
    return h("span", { class: "masked", role: "img", "aria-label": name, title: name, hook: "masked-number" }, part);
  });
}
