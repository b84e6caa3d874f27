/** RULES of what in a text is a link: an address of the web, an e-mail address, or a telephone number. */
import { h } from "./dom.js";

// Neither white space, nor quotation marks and angle brackets, nor what is invisible or turns the direction of the text.
const ADDRESS = '(?:https?:\\/\\/|www\\.)[^\\s<>"\u00ab\u00bb\u201c-\u201f\u2039\u203a\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069]+';
const MAIL = "[a-z\\d][\\w.+%-]{0,63}@(?:[a-z\\d-]{1,63}\\.)+[a-z]{2,24}";
const GAP = "[ \u00a0./-]";
// With the code of the country, or as in Belgium: a mobile number, or one of nine digits, in groups.
const CALL = `(?:\\+|00)[1-9](?:${GAP}?(?:\\(0\\)${GAP}?)?\\d){7,14}|04\\d\\d${GAP}(?:\\d\\d${GAP}?){2}\\d\\d|04\\d\\d${GAP}\\d{3}${GAP}?\\d{3}|0[2-9]${GAP}\\d{3}${GAP}?\\d\\d${GAP}?\\d\\d|0[1-9]\\d${GAP}(?:\\d\\d${GAP}?){2}\\d\\d`;
const LINK = new RegExp(`(${ADDRESS})|(${MAIL})|(${CALL})`, "giu");
const WORD = /[\p{L}\p{N}_@/.+-]/u; // what stands directly before none of them
const ENDS = ".,;:!?'\u2019\u2018*_~\u2026\u3002\u3001\uff0c\uff1b\uff1a\uff01\uff1f"; // a sentence's, not the address's
const PAIRS = new Map(["()", "[]", "{}", "\uff08\uff09", "\u3010\u3011", "\u300c\u300d"].map(([open, close]) => [close, open]));

/**
 * An address without what belongs to the sentence around it: signs at its end, and brackets that were not opened in it.
 *
 * @param {string} written
 */
function trimmed(written) {
  /** @type {Map<string, number>} */
  const count = new Map();
  for (const sign of written) count.set(sign, (count.get(sign) ?? 0) + 1);
  let end = written.length;
  for (; end; end -= 1) {
    const sign = written[end - 1];
    const open = PAIRS.get(sign);
    const alone = open !== undefined && (count.get(sign) ?? 0) > (count.get(open) ?? 0);
    if (!alone && !ENDS.includes(sign)) break;
    count.set(sign, (count.get(sign) ?? 0) - 1);
  }
  return written.slice(0, end);
}

/**
 * Where an address of the web leads; null when it is none. `host`: the host, where what is written does not begin with it.
 *
 * @param {string} written
 */
function web(written) {
  const full = /^www/i.test(written) ? `https://${written}` : written;
  try {
    const { href, host, username, password } = new URL(full);
    const shown = full.slice(full.indexOf("//") + 2).toLowerCase();
    if (!/^www\.[^.]*$/i.test(host)) return { href, host: username || password || !shown.startsWith(host) ? host : undefined };
  } catch {
    // not an address
  }
  return null;
}

/** @param {string} written @param {"web" | "mail" | "call"} kind */
function target(written, kind) {
  if (kind === "web") return web(written);
  if (kind === "mail") return { href: `mailto:${written}`, host: undefined };
  const digits = written.replace(/\(0\)|[^\d+]/g, "").replace(/^00/, "+");
  return { href: `tel:${digits}`, host: undefined };
}

/**
 * A text in parts: a string, or a link with what is written, where it leads, and the host where the writing hides it.
 *
 * @param {string} text
 * @returns {(string | {text: string, href: string, host?: string})[]}
 */
export function linkParts(text) {
  /** @type {(string | {text: string, href: string, host?: string})[]} */
  const parts = [];
  let done = 0;
  for (const found of text.matchAll(LINK)) {
    const kind = found[1] ? "web" : found[2] ? "mail" : "call";
    const before = text[found.index - 1] ?? "";
    const written = kind === "web" ? trimmed(found[0]) : found[0];
    const after = text[found.index + written.length] ?? "";
    const apart = !WORD.test(before) && (kind === "web" || !/[\p{L}\p{N}@]/u.test(after));
    const to = apart ? target(written, kind) : null;
    if (!to) continue;
    parts.push(text.slice(done, found.index), { text: written, ...to });
    done = found.index + written.length;
  }
  parts.push(text.slice(done));
  return parts.filter((part) => part !== "");
}

/**
 * A text with its links, which get nothing of this page. A host that the writing hides stands behind its link.
 *
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function linked(text) {
  /** @type {(Node | string)[]} */
  const shown = [];
  for (const part of linkParts(text)) {
    if (typeof part === "string") {
      shown.push(part);
      continue;
    }
    const { text: written, href, host } = part;
    shown.push(h("a", { href, target: /^http/.test(href) && "_blank", rel: "noopener noreferrer" }, written));
    if (host) shown.push(h("small", {}, ` (${host})`));
  }
  return shown;
}
