// Numbers that identify a person or their money, found in a text by their check digits. Nothing of it leaves the page.

const DIGITS = /\d(?:[ .\-/]?\d){10,}/g;
const ACCOUNTS = /[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}/g;
// The lengths of IBANs of the SEPA countries (ISO 13616 registry).
const LENGTHS = new Map(
  "AD24 AT20 BE16 BG22 CH21 CY28 CZ24 DE22 DK18 EE20 ES24 FI18 FR27 GB22 GI23 GR27 HR21 HU28 IE22 IS26 IT27 LI21 LT20 LU20 LV21 MC27 MT31 NL18 NO15 PL28 PT25 RO24 SE24 SI19 SK24 SM27 VA22"
    .split(" ")
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);

/**
 * Whether 11 digits are a Belgian national register number or a BIS number (Royal Decree of 25 November 1997).
 *
 * @param {string} digits
 */
export function isNationalNumber(digits) {
  if (!/^\d{11}$/.test(digits)) return false;
  const month = Number(digits.slice(2, 4)) % 20;
  if (Number(digits.slice(2, 4)) > 52 || month > 12 || Number(digits.slice(4, 6)) > 31) return false;
  const [base, check] = [Number(digits.slice(0, 9)), Number(digits.slice(9))];
  return [base, 2_000_000_000 + base].some((number) => 97 - (number % 97) === check);
}

/**
 * Whether digits are a payment card number: 13 to 19 of a known first digit, with the check digit of ISO/IEC 7812-1 (Luhn).
 *
 * @param {string} digits
 */
export function isCardNumber(digits) {
  if (!/^[2-6]\d{12,18}$/.test(digits)) return false;
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/**
 * Whether a text without spaces is an IBAN of a SEPA country (ISO 13616, check digits of ISO 7064 MOD 97-10).
 *
 * @param {string} account
 */
export function isIban(account) {
  if (account.length !== LENGTHS.get(account.slice(0, 2))) return false;
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
  const found = new Set();
  for (const [run] of text.matchAll(DIGITS))
    for (const part of [run, ...run.split(" ")]) {
      const digits = part.replace(/\D/g, "");
      if (isNationalNumber(digits)) found.add("national");
      else if (isCardNumber(digits)) found.add("card");
    }
  for (const [run] of text.toUpperCase().matchAll(ACCOUNTS)) {
    const account = run.replaceAll(" ", "");
    if (isIban(account.slice(0, LENGTHS.get(account.slice(0, 2)) ?? 0))) found.add("iban");
  }
  return ["national", "iban", "card"].filter((kind) => found.has(kind));
}
