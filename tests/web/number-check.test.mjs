// Mirrors services/gateway/web/widget/number-check.js: numbers are found by their check digits, and nothing else is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { identifyingNumbers, isCardNumber, isIban, isNationalNumber } from "../../services/gateway/web/widget/number-check.js";

// The server finds the same ones: tests/gateway/test_identifying_numbers.py reads these samples too.
const SAMPLES = JSON.parse(readFileSync(new URL("../support/identifying_numbers.json", import.meta.url), "utf-8"));
const BORN = "85073003328"; // 30 July 1985
const BORN_2000 = "00012556777"; // 25 January 2000
const BIS = "85473003317";
const IBANS = ["BE71096123456769", "NL91ABNA0417164300", "FR1420041010050500013M02606", "DE89370400440532013000"];
const CARDS = ["4111111111111111", "5500005555555559", "340000000000009", "6759649826438453"];

test("national register numbers of both centuries, and BIS numbers", () => {
  for (const number of [BORN, BORN_2000, BIS]) assert.ok(isNationalNumber(number), number);
  for (const number of [BORN, BORN_2000, BIS]) {
    for (let at = 0; at < 11; at += 1) {
      const other = number.slice(0, at) + ((Number(number[at]) + 1) % 10) + number.slice(at + 1);
      assert.ok(!isNationalNumber(other), other);
    }
  }
  for (const wrong of ["", "8507300332", "850730033288", "85073003328x", "85133003328"]) assert.ok(!isNationalNumber(wrong));
});

test("accounts and cards", () => {
  for (const account of IBANS) assert.ok(isIban(account), account);
  for (const account of IBANS) assert.ok(!isIban(account.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10))), account);
  for (const card of CARDS) assert.ok(isCardNumber(card), card);
  for (const wrong of ["4111111111111112", "0000000000000000", "1234567890123456", "411111"]) assert.ok(!isCardNumber(wrong));
});

test("they are found in a sentence however they are written", () => {
  for (const written of ["85.07.30-033.28", "85 07 30 033 28", "850730-033-28", BORN])
    assert.deepEqual(identifyingNumbers(`Mijn nummer is ${written}, dank u.`), ["national"], written);
  for (const written of ["BE71 0961 2345 6769", "be71096123456769", "BE71 0961 2345 6769 is van mij"])
    assert.deepEqual(identifyingNumbers(`Stort op ${written}`), ["iban"], written);
  assert.deepEqual(identifyingNumbers("4111 1111 1111 1111"), ["card"]);
  assert.deepEqual(identifyingNumbers(`kaart 4111-1111-1111-1111 en ${BORN} en BE71 0961 2345 6769`), ["national", "iban", "card"]);
  assert.deepEqual(identifyingNumbers(`02 ${BORN}`), ["national"]);
});

test("what only looks like one is none", () => {
  for (const text of [
    "Bel +32 2 555 01 00 of 0032 2 555 01 00",
    "+++123/4567/89012+++",
    "Dossier 2026-000123-45678",
    "ik ben geboren op 30/07/1985 om 12:00:00",
    "1111111111111111111111111111111111",
    "",
  ])
    assert.deepEqual(identifyingNumbers(text), [], text);
});

test("the page and the server find the same numbers", () => {
  for (const { text, kinds } of SAMPLES.found)
    assert.deepEqual(
      identifyingNumbers(text),
      ["national", "iban", "card"].filter((kind) => kinds.includes(kind)),
      text,
    );
  for (const text of SAMPLES.none) assert.deepEqual(identifyingNumbers(text), [], text);
  for (const { masked } of SAMPLES.found) assert.deepEqual(identifyingNumbers(masked), [], masked);
});

test("a number of a year that has not come yet is of the century before", () => {
  const base = 99_01_01_001;
  assert.ok(isNationalNumber(`${base}${97 - (base % 97)}`.padStart(11, "0")));
  assert.ok(!isNationalNumber(`${base}${97 - ((2_000_000_000 + base) % 97)}`.padStart(11, "0")));
});
