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
  assert.deepEqual(names({}), ["privacy", "given"]);
  assert.deepEqual(names({ frames: ["details"] }), ["privacy", "given", "name"]);
  assert.deepEqual(names({ frames: ["details"] }, { named: true }), ["privacy", "given"]);
  assert.deepEqual(names({ frames: ["details"], name: "An" }), ["privacy", "given"]);
});

test("what the citizen may set comes with the first welcome, when the white bar is there already", () => {
  assert.deepEqual(names({ welcomed: false }), ["privacy", "given"]);
  assert.deepEqual(names({ welcomed: true }), ["privacy", "settings", "given"]);
  assert.deepEqual(names({ welcomed: true, closed: "agent" }), ["after"]);
});

test("the queue, a warning, a chat without an agent and a left question each need what shows them", () => {
  assert.deepEqual(names({ position: 1 }), ["waiting", "privacy", "given"]);
  assert.deepEqual(names({ inactive: { warning: 1 } }), ["inactive", "privacy", "given"]);
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
  const tell = aside({
    record: {},
    element: { closest: () => ((looks += 1), null) },
  });
  const parts = names({ position: 1 }).length; // each looks once in each attempt
  for (let change = 1; change <= 2; change += 1) {
    tell({ position: change, closed: null }, { state: "open" });
    // Each part's module comes in its own time: on a busy machine seconds after another one.
    for (const end = Date.now() + 60_000; looks < change * parts && Date.now() < end; ) await pass(5);
    assert.equal(looks, change * parts);
  }
  const before = looks;
  tell();
  await pass(20);
  assert.equal(looks, before);
});
