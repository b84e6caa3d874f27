// Numbers that identify a person or their money, found by their length, their way of writing and their check digits.
// The server has the same rules (services/gateway/identifying_numbers.py). Nothing of it leaves the page.

const SPACES = "\\t \\u00a0\\u2000-\\u200d\\u202f\\u205f\\u2060\\u3000\\ufeff\\u00ad";
const MARKS = "./\\-\\u00b7\\u2010-\\u2015\\u2212\\uff0d\\uff0e\\uff0f";
const SEPARATOR = `[${SPACES}${MARKS}]{0,3}`;
const SEPARATED = new RegExp(`^${SEPARATOR}$`);
const JOINED = new RegExp(SEPARATOR, "y");
const PART = /[0-9A-Z]+/y;
const WORD = /[0-9A-Z]/;
const LETTER = /^[A-Z]$/;
const ACCOUNT = new RegExp(`[A-Z]{2}(?=${SEPARATOR}[0-9]{2})`, "g");
const UUID = /[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}(?![0-9A-Z])/g;
const DIALLED = new RegExp(`(?:\\+|(?:^|[^0-9])00)${SEPARATOR}$`);
const DIALLED_WITHIN = 8;
const MOBILE = /^324[5-9]\d{7}$/; // a Belgian one, without a sign before the code of the country
// After how many digits there may be separators.
const NATIONAL_GROUPS = [
  [2, 4, 6, 9],
  [3, 6, 9],
  [4, 8],
];
const CARD_GROUPS = [
  [4, 8, 12, 16],
  [4, 10],
];
const GROUPS = [...NATIONAL_GROUPS, ...CARD_GROUPS];
const [SHORTEST_CARD, LONGEST_CARD] = [13, 19];
// First digits and lengths of the cards of each brand (ISO/IEC 7812).
/** @type {[RegExp, number[]][]} */
const CARDS = [
  [/^4/, [16, 19]],
  [/^(5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^(5018|5020|5038|5893|6304|6703|6759|676[1-3])/, [13, 14, 15, 16, 17, 18, 19]],
  [/^(30[0-5]|3095|3[689])/, [14, 16, 19]],
  [/^(6011|64[4-9]|65)/, [16, 19]],
  [/^(352[89]|35[3-8])/, [16, 19]],
  [/^62/, [16, 17, 18, 19]],
];
// What follows the check digits of an IBAN in each country: so many digits (n), letters (a) or both (c).
const STRUCTURES = new Map(
  "AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n GR7n16c GT24c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD20c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c"
    .split(" ")
    .map((entry) => [entry.slice(0, 2), entry.slice(2)]),
);
const DIGIT = /\p{Nd}/u; // each script has ten in a row, of which the first is zero
/** @type {Record<string, string>} */
const CLASSES = { n: "[0-9]", a: "[A-Z]", c: "[0-9A-Z]" };

/** @param {string} structure */
const lengthOf = (structure) => 4 + (structure.match(/\d+/g) ?? []).reduce((sum, part) => sum + Number(part), 0);

/**
 * Whether 11 digits are a Belgian national register number or a BIS number (Royal Decree of 25 November 1997).
 *
 * @param {string} digits
 */
export function isNationalNumber(digits) {
  if (!/^\d{11}$/.test(digits)) return false;
  const month = Number(digits.slice(2, 4));
  if (month > 52 || month % 20 > 12) return false;
  const [base, check] = [Number(digits.slice(0, 9)), Number(digits.slice(9))];
  const born = 2000 + Number(digits.slice(0, 2)) <= new Date().getFullYear() ? [base, 2_000_000_000 + base] : [base];
  return born.some((number) => 97 - (number % 97) === check);
}

/**
 * Whether digits are a payment card number: first digits and length of a brand, with the check digit of ISO/IEC 7812-1 (Luhn).
 *
 * @param {string} digits
 */
export function isCardNumber(digits) {
  if (!CARDS.some(([first, lengths]) => lengths.includes(digits.length) && first.test(digits))) return false;
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/**
 * Whether a text without spaces is an IBAN (ISO 13616, check digits of ISO 7064 MOD 97-10).
 *
 * @param {string} account
 */
export function isIban(account) {
  const structure = STRUCTURES.get(account.slice(0, 2));
  if (!structure || account.length !== lengthOf(structure)) return false;
  const pattern = structure.replace(/(\d+)([nac])/g, (_, length, kind) => `${CLASSES[kind]}{${length}}`);
  if (!new RegExp(`^[A-Z]{2}[0-9]{2}${pattern}$`).test(account)) return false;
  let rest = 0;
  for (const character of account.slice(4) + account.slice(0, 4))
    for (const digit of String(parseInt(character, 36))) rest = (rest * 10 + Number(digit)) % 97;
  return rest === 1;
}

/**
 * The kinds of identifying numbers in a text, each once, in the order "national", "iban", "card".
 *
 * @param {string} text
 */
export function identifyingNumbers(text) {
  const plain = text
    .replace(/(?![0-9])\p{Nd}/gu, digitOf)
    .replace(/[\uff21-\uff3a\uff41-\uff5a]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/[a-z]/g, (letter) => letter.toUpperCase());
  const found = new Set();
  const taken = wordStarts(plain, UUID).map(({ index, 0: id }) => [index, index + id.length]);
  let end = 0;
  for (const { index } of wordStarts(plain, ACCOUNT)) {
    if (index < end) continue;
    const stop = accountAt(plain, index);
    if (!stop) continue;
    end = stop;
    taken.push([index, end]);
    found.add("iban");
  }
  const groups = [...plain.matchAll(/[0-9]+/g)]
    .map(({ index, 0: digits }) => ({ start: index, end: index + digits.length }))
    .filter(({ start, end }) => !taken.some(([from, to]) => start < to && end > from));
  for (let index = 0; index < groups.length; ) {
    const [kind, used] = numberAt(plain, groups, index);
    if (kind) found.add(kind);
    index += used;
  }
  return ["national", "iban", "card"].filter((kind) => found.has(kind));
}

/** @param {string} digit */
function digitOf(digit) {
  const code = /** @type {number} */ (digit.codePointAt(0));
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(code - before - 1))) before += 1;
  return `${before % 10}`;
}

/** @param {string} plain @param {RegExp} pattern */
const wordStarts = (plain, pattern) => [...plain.matchAll(pattern)].filter(({ index }) => !WORD.test(plain[index - 1] ?? ""));

/**
 * Where the IBAN ends that begins here; 0: none does.
 *
 * @param {string} plain
 * @param {number} start
 */
function accountAt(plain, start) {
  const length = lengthOf(STRUCTURES.get(plain.slice(start, start + 2)) ?? "");
  let [at, account] = [start, ""];
  while (account.length < length) {
    PART.lastIndex = at;
    const part = PART.exec(plain)?.[0] ?? "";
    if (!part || account.length + part.length > length) return 0;
    account += part;
    JOINED.lastIndex = at + part.length;
    const end = at + part.length;
    at = end + (JOINED.exec(plain)?.[0].length ?? 0);
    if (account.length === length) return isIban(account) ? end : 0;
  }
  return 0;
}

/** @param {number[]} breaks @param {number[][]} groups */
const fits = (breaks, groups) => groups.some((allowed) => breaks.every((place) => allowed.includes(place)));

/**
 * The kind of the longest number that begins with this run of digits, and how many runs it has, at least 1.
 *
 * @param {string} plain
 * @param {{start: number, end: number}[]} groups
 * @param {number} index
 * @returns {["national" | "card" | null, number]}
 */
function numberAt(plain, groups, index) {
  const { start } = groups[index];
  /** @type {["national" | "card" | null, number]} */
  let best = [null, 1];
  /** @type {number[]} */
  const breaks = [];
  let digits = plain.slice(start, Math.min(groups[index].end, start + LONGEST_CARD + 1));
  for (let last = index; digits.length <= LONGEST_CARD && fits(breaks, GROUPS); ) {
    const kind = kindOf(digits, breaks);
    if (kind) best = [kind, last - index + 1];
    last += 1;
    if (last === groups.length || !SEPARATED.test(plain.slice(groups[last - 1].end, groups[last].start))) break;
    breaks.push(digits.length);
    digits += plain.slice(groups[last].start, Math.min(groups[last].end, groups[last].start + LONGEST_CARD + 1));
  }
  const code = LETTER.test(plain[start - 1]) && LETTER.test(plain[groups[index + best[1] - 1].end]); // a part of a hash, a token
  return code || DIALLED.test(plain.slice(Math.max(0, start - DIALLED_WITHIN), start)) ? [null, 1] : best;
}

/**
 * @param {string} digits
 * @param {number[]} breaks
 */
function kindOf(digits, breaks) {
  if (digits.length === 11) {
    const mobile = MOBILE.test(digits) && fits(breaks, [[2]]);
    return fits(breaks, NATIONAL_GROUPS) && !mobile && isNationalNumber(digits) ? "national" : null;
  }
  return digits.length >= SHORTEST_CARD && fits(breaks, CARD_GROUPS) && isCardNumber(digits) ? "card" : null;
}
