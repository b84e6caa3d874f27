// Mirrors services/gateway/web/console/server-clock.js, and what reads the time by it.
import assert from "node:assert/strict";
import test from "node:test";

import { me } from "../../services/gateway/web/console/api.js";
import { entry } from "../../services/gateway/web/console/chat-state.js";
import { watchAnswers } from "../../services/gateway/web/console/reminders.js";
import { learnClock, serverNow } from "../../services/gateway/web/console/server-clock.js";
import * as rules from "../../services/gateway/web/shared/conversation.js";

const NINE = Date.parse("2026-11-23T09:00:00Z");
const LATER = 600_000; // ms by which the computer's clock is ahead

test("a difference of more than an answer takes is the computer's fault; a date that cannot be read changes nothing", (t) => {
  t.after(() => learnClock(new Date().toUTCString()));
  learnClock(new Date(NINE).toUTCString(), NINE + 1_900);
  assert.equal(serverNow(NINE + 5_000), NINE + 5_000);
  learnClock(new Date(NINE).toUTCString(), NINE + LATER);
  for (const date of [null, "", "soon"]) learnClock(date, NINE);
  assert.equal(serverNow(NINE + LATER + 5_000), NINE + 5_000);
});

test("each answer of the server tells its clock", async (t) => {
  const before = globalThis.fetch;
  t.after(() => ((globalThis.fetch = before), learnClock(new Date().toUTCString())));
  globalThis.fetch = async () => Response.json({}, { headers: { Date: new Date(Date.now() - LATER).toUTCString() } });
  await me();
  assert.ok(Math.abs(serverNow() - (Date.now() - LATER)) < 2_000);
});

test("an agent whose computer is ahead is not reminded before the time", (t) => {
  t.after(() => learnClock(new Date().toUTCString()));
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: NINE + LATER });
  learnClock(new Date(NINE).toUTCString());
  let chat = rules.conversation("agent");
  for (const [seq, message] of [
    { from: "system", event: "assigned", text: "", at: new Date(NINE - 30_000).toISOString() },
    { from: "citizen", id: "m", text: "Hallo?", at: new Date(NINE - 20_000).toISOString() },
  ].entries())
    chat = rules.receive(chat, { type: "message", seq: seq + 1, ...message }).chat;
  const about = { chat_id: "c", department: "d", locale: "nl", opened_at: new Date(NINE - 40_000).toISOString(), remind_after: 60 };
  const one = { ...entry({ ...about, last_seq: 2 }), seen: true, accepted: true, talk: chat };
  const told = [];
  const end = watchAnswers({ desk: () => ({ chats: [one] }), onChange() {}, onOverdue: (_, seconds) => told.push(seconds) });
  for (let n = 0; n < 7; n += 1) t.mock.timers.tick(5_000);
  assert.deepEqual(told, []);
  for (let n = 0; n < 2; n += 1) t.mock.timers.tick(5_000);
  assert.deepEqual(told, [60]);
  end();
});
