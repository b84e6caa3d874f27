// Mirrors services/gateway/web/console/activity.js: whether a person types, and new-chats.js: what waits.
import assert from "node:assert/strict";
import test from "node:test";
import { TYPING, watchActivity } from "../../services/gateway/web/console/activity.js";
import { entry } from "../../services/gateway/web/console/chat-state.js";
import { loudness, timeLeft, waiting } from "../../services/gateway/web/console/new-chats.js";
import { consoleTexts } from "./texts.mjs";

function page() {
  const target = new EventTarget();
  const clock = { now: 0 };
  return {
    clock,
    hear: (type) => target.dispatchEvent(new Event(type)),
    activity: watchActivity({ target, now: () => clock.now }),
  };
}

for (const type of ["keydown", "beforeinput", "paste", "drop", "compositionstart", "compositionupdate", "compositionend"]) {
  test(`${type} counts as typing for a few seconds`, () => {
    const { clock, hear, activity } = page();
    assert.equal(activity.typing(), false);
    hear(type);
    clock.now = TYPING - 1;
    assert.equal(activity.typing(), true);
    clock.now = TYPING;
    assert.equal(activity.typing(), false);
  });
}

test("the pointer is a use of the page, but no typing", () => {
  const { clock, hear, activity } = page();
  clock.now = 50_000;
  assert.equal(activity.unused(), 50_000);
  hear("pointerdown");
  assert.deepEqual([activity.unused(), activity.typing()], [0, false]);
});

test("every new chat is told but the one on the screen, with the time that is left", () => {
  const chat = (id, more = {}) =>
    entry({
      chat_id: id,
      department: "d",
      locale: "nl",
      opened_at: "2026-11-23T08:00:00Z",
      ...more,
    });
  const chats = [{ ...chat("a"), seen: true }, chat("b", { accept_at: 12_000 }), chat("c"), { ...chat("d"), refusing: true }];
  assert.deepEqual(
    waiting({ chats }, null).map((one) => one.id),
    ["b", "c"],
  );
  assert.deepEqual(
    waiting({ chats }, "b").map((one) => one.id),
    ["c"],
  );
  const t = consoleTexts("nl");
  assert.equal(timeLeft(t, chats[1], 0), "Nog 12 seconden om het aan te nemen");
  assert.equal(timeLeft(t, chats[1], 11_500), "Nog 1 seconde om het aan te nemen");
  assert.equal(timeLeft(t, chats[1], 13_000), "De tijd om het aan te nemen is om");
  assert.equal(timeLeft(t, chats[2], 0), "");
});

test("each signal for a chat that nobody accepts is louder, up to four times", () => {
  assert.deepEqual([0, 1, 2, 3, 50].map(loudness), [1, 2, 4, 4, 4]);
});
