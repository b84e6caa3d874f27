// Mirrors services/gateway/web/widget/queue-info.js: how an estimate is said, and how often.
import assert from "node:assert/strict";
import test from "node:test";
import { estimate, pause } from "../../services/gateway/web/widget/queue-info.js";

test("an estimate is whole minutes, rounded up, one at least; beyond an hour it is no number", () => {
  for (const [seconds, key, n] of [
    [0, "minute", 1],
    [1, "minute", 1],
    [60, "minute", 1],
    [61, "minutes", 2],
    [240, "minutes", 4],
    [3600, "minutes", 60],
    [3601, "hour", 61],
  ])
    assert.deepEqual(estimate(seconds), { key, n }, `${seconds}`);
});

test("what is not known is not said", () => {
  for (const seconds of [null, undefined, NaN, "240"]) assert.equal(estimate(seconds), null);
});

test("a new number is told at once, a mere estimate half a minute after the last one", () => {
  const told = { position: 2, wait: 240, at: 10_000 };
  assert.ok(pause(null, { position: 2, wait: 240 }, 0) > 0); // the region must be there before its words
  assert.equal(pause(told, { position: 1, wait: 120 }, 11_000), 0);
  assert.equal(pause(told, { position: 2, wait: 300 }, 11_000), 29_000);
  assert.equal(pause(told, { position: 2, wait: 300 }, 60_000), 0);
  assert.equal(pause(told, { position: null, wait: null }, 11_000), 0);
  assert.equal(pause({ ...told, wait: null }, { position: 2, wait: 300 }, 11_000), 0);
});
