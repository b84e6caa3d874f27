// Mirrors services/gateway/web/shared/conversation.js: ids, what is left to write, and the key that sends.
import assert from "node:assert/strict";
import test from "node:test";
import { charactersLeft, isSubmitKey, newId } from "../../services/gateway/web/shared/conversation.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("an id is a random UUID, also on plain http, where the browser makes none", (t) => {
  const ids = [newId(), newId()];
  Object.defineProperty(crypto, "randomUUID", {
    value: undefined,
    configurable: true,
  });
  t.after(() => delete crypto.randomUUID);
  ids.push(newId(), newId());
  for (const id of ids) assert.match(id, UUID);
  assert.equal(new Set(ids).size, ids.length);
});

test("characters are counted as Unicode code points, below zero when there are too many", () => {
  assert.equal(charactersLeft(""), 4000);
  assert.equal(charactersLeft("👋🏽a"), 3997);
  assert.equal(charactersLeft("a".repeat(4001)), -1);
});

test("Enter sends, but not with Shift, and not where it ends a composition", () => {
  assert.ok(isSubmitKey({ key: "Enter", keyCode: 13 }));
  const others = [
    { key: "a", keyCode: 65 },
    { key: "Enter", keyCode: 13, shiftKey: true },
    { key: "Enter", keyCode: 13, isComposing: true },
    { key: "Enter", keyCode: 229 }, // Safari, after the composition
  ];
  for (const press of others) assert.ok(!isSubmitKey(press));
});
