// Mirrors services/gateway/web/widget/inactivity-warning.js: the words of a warning.
import assert from "node:assert/strict";
import test from "node:test";
import { warning } from "../../services/gateway/web/widget/inactivity-warning.js";

const clock = (at) => at.toISOString().slice(11, 16);
const said = (seconds) => warning({ warning: 1, closes_at: "2026-11-23T13:05:00Z", seconds }, clock);

test("the time that is left is said in whole minutes, rounded up, with the time of the end", () => {
  assert.deepEqual(said(300), { key: "closesMinutes", n: 5, time: "13:05" });
  assert.deepEqual(said(241), { key: "closesMinutes", n: 5, time: "13:05" });
  assert.deepEqual(said(120), { key: "closesMinutes", n: 2, time: "13:05" });
});

test("the last minute has words of its own", () => {
  for (const seconds of [60, 20, 0.4, 0]) assert.equal(said(seconds).key, "closesMinute");
});
