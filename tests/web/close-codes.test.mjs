// Mirrors services/gateway/web/shared/close-codes.js: the table says what the public protocol says.
import assert from "node:assert/strict";
import test from "node:test";
import { CLOSE_CODES, closeCode } from "../../services/gateway/web/shared/close-codes.js";

const OF_THE_PROTOCOL = [4400, 4401, 4403, 4404, 4409, 4429, 4430, 1009, 1012];
const FINAL = [1000, 4400, 4401, 4403, 4404, 4409];

test("every close code of the protocol is in the table, once", () => {
  const codes = CLOSE_CODES.map((row) => row.code);
  assert.equal(new Set(codes).size, codes.length);
  for (const code of OF_THE_PROTOCOL) assert.ok(codes.includes(code), String(code));
});

test("exactly the final codes are not tried again", () => {
  assert.deepEqual(
    CLOSE_CODES.filter((row) => !row.retry).map((row) => row.code),
    FINAL,
  );
});

test("names are stable snake_case words, each for one code", () => {
  for (const { name } of CLOSE_CODES) assert.match(name, /^[a-z]+(_[a-z]+)*$/);
  assert.equal(new Set(CLOSE_CODES.map((row) => row.name)).size, CLOSE_CODES.length);
});

test("a code that is not in the table is tried again", () => {
  for (const code of [1005, 1013, 1015, 4499]) assert.equal(closeCode(code).retry, true);
  assert.equal(closeCode(4401).retry, false);
});

test("the table cannot be changed by who uses it", () => {
  assert.throws(() => CLOSE_CODES.push({}), TypeError);
  assert.throws(() => (CLOSE_CODES[0].retry = true), TypeError);
});
