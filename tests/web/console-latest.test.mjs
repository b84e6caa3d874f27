// Mirrors services/gateway/web/console/latest.js: one request at a time, for what was wished last.
import assert from "node:assert/strict";
import test from "node:test";
import { latest } from "../../services/gateway/web/console/latest.js";

/** Requests that are answered one by one, and whose answers are shown where they are still wanted. */
function server() {
  const [asked, shown, answers] = [[], [], []];
  const wishes = latest(async (current, wish) => {
    asked.push(wish);
    const failed = await new Promise((resolve) => answers.push(resolve));
    if (failed) throw new Error("failed");
    if (current()) shown.push(wish);
  });
  const answer = async (failed = false) => {
    answers.shift()(failed);
    await new Promise(setImmediate);
  };
  return { wishes, asked, shown, answer };
}

test("what is wished meanwhile waits, and only the last of it is asked for and shown", async () => {
  const { wishes, asked, shown, answer } = server();
  for (const wish of ["day", "week", "month"]) wishes.run(wish);
  assert.deepEqual(asked, ["day"]);
  await answer();
  assert.deepEqual([asked, shown], [["day", "month"], []]);
  await answer();
  assert.deepEqual([asked, shown], [["day", "month"], ["month"]]);
  wishes.run("day");
  await answer();
  assert.deepEqual(shown, ["month", "day"]);
});

test("after the end nothing is asked or shown", async () => {
  for (const waiting of [[], ["week"]]) {
    const { wishes, asked, shown, answer } = server();
    for (const wish of ["day", ...waiting]) wishes.run(wish);
    wishes.stop();
    await answer();
    assert.deepEqual([asked, shown], [["day"], []]);
  }
});

test("a request that fails holds up none after it", async () => {
  const { wishes, shown, answer } = server();
  const failing = wishes.run("day");
  await Promise.all([answer(true), assert.rejects(failing)]);
  wishes.run("week");
  await answer();
  assert.deepEqual(shown, ["week"]);
});

test("what waits for a request that fails is asked", async () => {
  const { wishes, asked, shown, answer } = server();
  const failing = wishes.run("day");
  wishes.run("week");
  await Promise.all([answer(true), assert.rejects(failing)]);
  assert.deepEqual(asked, ["day", "week"]);
  await answer();
  assert.deepEqual(shown, ["week"]);
});
