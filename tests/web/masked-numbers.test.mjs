// Mirrors services/gateway/web/shared/masked-numbers.js: masked numbers are found in a text, and have a name that can be read aloud.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { kindOf, maskedParts } from "../../services/gateway/web/shared/masked-numbers.js";

const SAMPLES = JSON.parse(readFileSync(new URL("../support/identifying_numbers.json", import.meta.url), "utf-8"));

/** As much of a page as an element needs. */
class Piece {
  attributes = {};
  children = [];
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
  append(...children) {
    this.children.push(...children);
  }
}
globalThis.document = { createElement: () => new Piece() };

const parts = (text) =>
  maskedParts(text, (kind, last) => `${kind}: ${last}`).map((part) =>
    typeof part === "string" ? part : [part.attributes.title, ...part.children],
  );

test("each masked form of the server has its kind", () => {
  for (const { masked, kinds } of SAMPLES.found) {
    const found = maskedParts(masked, (kind) => kind).filter((part) => typeof part !== "string");
    assert.deepEqual(
      found.map((part) => part.attributes.title),
      kinds,
      masked,
    );
  }
  assert.deepEqual(["•••••••••28", "BE••••••••••6769", "••••••••••••1111", "•••••••••0003"].map(kindOf), [
    "national",
    "iban",
    "card",
    "card",
  ]);
});

test("the text stays, and each number is named with its last digits one by one", () => {
  assert.deepEqual(parts("Ik ben •••••••••28."), ["Ik ben ", ["national: 2 8", "•••••••••28"], "."]);
  assert.deepEqual(parts("• een\n• twee"), ["• een\n• twee"]);
  const [, number] = maskedParts("a •••••••••28", () => "een naam");
  assert.deepEqual([number.attributes.role, number.attributes["aria-label"]], ["img", "een naam"]);
});
