// Mirrors services/gateway/web/widget/lazy-panels.js: what is loaded, when, and what becomes of a failure.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { aside } from "../../services/gateway/web/widget/lazy-panels.js";

// Modules that find no page around them fail: here the page is one function that counts who looked.
async function looks(record, ...changes) {
  let count = 0;
  const element = { closest: () => ((count += 1), null) };
  const tell = aside({ record, element });
  for (const chat of changes) {
    tell(chat, { state: "open" });
    for (const end = Date.now() + 60_000, before = count; count === before && chat?.needs && Date.now() < end; ) await pass(5);
    await pass(5);
  }
  return count;
}

test("a chat that needs nothing loads nothing, and neither does its end", async () => {
  const idle = [{ position: null, inactive: null, closed: null }, { closed: "citizen" }];
  assert.equal(await looks({}, ...idle, undefined, { position: 1, needs: true }), 1); // that of the last alone
});

test("the queue, a warning, a chat without an agent and a left question each load what shows them", async () => {
  for (const chat of [{ position: 1 }, { inactive: { warning: 1 } }, { closed: "no_agent" }])
    assert.equal(await looks({}, { ...chat, needs: true }), 1);
  assert.equal(await looks({ left: true }, { closed: "citizen", needs: true }), 1);
});

test("what could not be loaded breaks nothing and is tried again at the next change", async () => {
  assert.equal(await looks({}, { position: 2, needs: true }, { position: 1, needs: true }, undefined), 2);
});
