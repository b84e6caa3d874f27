// Mirrors services/gateway/web/widget/lazy-panels.js: what is loaded, when, and what becomes of a failure.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pass } from "node:timers/promises";
import { aside, partsOf } from "../../services/gateway/web/widget/lazy-panels.js";
// What it loads in these tests is there before, because the last one waits for failures and not for modules.
import "../../services/gateway/web/widget/privacy-notice.js";
import "../../services/gateway/web/widget/queue-info.js";

const names = (chat, record = {}) => partsOf({ position: null, inactive: null, closed: null, ...chat }, record).map(({ name }) => name);

test("an open chat has the privacy notice, and one that needs a name asks for it", () => {
  assert.deepEqual(names({}), ["privacy"]);
  assert.deepEqual(names({ frames: ["details"] }), ["privacy", "name"]);
  assert.deepEqual(names({ frames: ["details"] }, { named: true }), ["privacy"]);
  assert.deepEqual(names({ frames: ["details"], name: "An" }), ["privacy"]);
});

test("what the citizen may set comes with the first welcome, when the white bar is there already", () => {
  assert.deepEqual(names({ welcomed: false }), ["privacy"]);
  assert.deepEqual(names({ welcomed: true }), ["privacy", "settings"]);
  assert.deepEqual(names({ welcomed: true, closed: "agent" }), ["after"]);
});

test("the queue, a warning, a chat without an agent and a left question each need what shows them", () => {
  assert.deepEqual(names({ position: 1 }), ["waiting", "privacy"]);
  assert.deepEqual(names({ inactive: { warning: 1 } }), ["inactive", "privacy"]);
  assert.deepEqual(names({ closed: "no_agent" }), ["waiting", "after"]);
  assert.deepEqual(names({ closed: "citizen" }, { left: true }), ["waiting", "after"]);
});

test("an end is rated only when the server knows it", () => {
  assert.deepEqual(names({ closed: "agent" }), ["after"]);
  assert.deepEqual(names({ closed: "citizen" }, { untold: true }), []);
  assert.deepEqual(names({ closed: "unreached" }), []);
});

test("what could not be loaded breaks nothing and is tried again at the next change", async () => {
  let looks = 0; // modules that find no page around them fail: here the page is one function that counts who looked
  const tell = aside({ record: {}, element: { closest: () => ((looks += 1), null) } });
  for (let change = 1; change <= 2; change += 1) {
    const before = looks;
    tell({ position: change, closed: null }, { state: "open" });
    for (const end = Date.now() + 60_000; looks === before && Date.now() < end; ) await pass(5);
    assert.ok(looks > before);
    await pass(5);
  }
  const before = looks;
  tell();
  await pass(20);
  assert.equal(looks, before);
});
