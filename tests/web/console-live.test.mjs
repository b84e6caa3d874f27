// The supervisors' live page of the console: live-state.js, live.js, the words of live-view.js, and reminders.js.
import assert from "node:assert/strict";
import test from "node:test";
import {
  agentsOf,
  chatsOf,
  countOf,
  endOf,
  lateChats,
  secondsSince,
  standing,
  takeLive,
} from "../../services/gateway/web/console/live-state.js";
import { liveDepartments } from "../../services/gateway/web/console/live.js";
import { buttonWords, hoursWords } from "../../services/gateway/web/console/live-view.js";
import { overdue } from "../../services/gateway/web/console/reminders.js";
import { untilMidnight } from "../../services/gateway/web/console/format.js";
import * as desks from "../../services/gateway/web/console/desk-state.js";
import { chat as assigned, message } from "./console-samples.mjs";
import { consoleTexts } from "./texts.mjs";

const NOW = Date.parse("2026-11-23T08:10:00Z");
const chat = (id, minute, more = {}) => ({
  ...{
    chat_id: id,
    agent_id: "an",
    agent: "An",
    since: `2026-11-23T08:0${minute}:00.000Z`,
    accepted: true,
    locale: "nl",
  },
  ...{ unanswered_since: null, ...more },
});
const person = (id, state) => ({
  id,
  name: id,
  state,
  since: null,
  chats: 0,
  capacity: 2,
});
const whole = (more = {}) => ({
  type: "live",
  department: "algemeen",
  at: "2026-11-23T08:10:00.000Z",
  whole: true,
  current: true,
  remind_after: 120,
  alarm_after: 300,
  button: { colour: "green", reason: "available", opens_at: null },
  intake: null,
  hours: ["09:00-17:00"],
  waiting: { count: 0, since: null, first: [] },
  running: 2,
  staff: 3,
  agents: [person("cis", "offline"), person("bea", "paused"), person("an", "available")],
  chats: [chat("a", 1), chat("b", 0)],
  ...more,
});
const change = (more) => ({
  ...{
    type: "live",
    department: "algemeen",
    at: "2026-11-23T08:10:00.000Z",
    whole: false,
    current: true,
  },
  ...{ remind_after: 120, alarm_after: 300, ...more },
});
const after = (...frames) => frames.reduce((known, frame) => takeLive(known, frame, NOW), new Map());

test("a change alters what is known, and means nothing before a whole state", () => {
  assert.equal(after(change({ running: 7 })).size, 0);
  const one = after(
    whole(),
    change({
      running: 1,
      chats_gone: ["a"],
      chats: [chat("c", 3)],
      agents: [person("bea", "available")],
    }),
  ).get("algemeen");
  assert.deepEqual([one.running, one.staff, chatsOf(one).map((it) => it.chat_id)], [1, 3, ["b", "c"]]);
  assert.deepEqual(
    agentsOf(one).map((it) => it.id),
    ["an", "bea", "cis"],
  );
  assert.equal(countOf(one, "available"), 2);
  assert.equal(one.button.colour, "green");
  const again = after(whole(), whole({ chats: [], running: 0 })).get("algemeen");
  assert.equal(again.chats.size, 0);
  assert.equal(after(whole({ intake: {} }), change({ intake: null })).get("algemeen").intake, null);
});

test("times count by the server's clock, and a citizen who waits too long is reported", () => {
  const late = chat("a", 1, { unanswered_since: "2026-11-23T08:05:00.000Z" });
  const reminded = chat("b", 0, {
    unanswered_since: "2026-11-23T08:07:00.000Z",
  });
  const fresh = chat("c", 0, { unanswered_since: "2026-11-23T08:09:00.000Z" });
  const known = after(whole({ chats: [fresh, reminded, late, chat("d", 0)] }));
  const one = known.get("algemeen");
  assert.deepEqual(
    chatsOf(one).map((it) => [it.chat_id, standing(one, it, NOW)]),
    [
      ["a", "late"],
      ["b", "reminded"],
      ["c", "waits"],
      ["d", ""],
    ],
  );
  assert.deepEqual(
    lateChats(known, NOW).map((it) => it.chat_id),
    ["a"],
  );
  assert.equal(secondsSince(one, "2026-11-23T08:05:00.000Z", NOW), 300);
  const behind = takeLive(new Map(), whole(), NOW - 60_000).get("algemeen");
  assert.equal(secondsSince(behind, "2026-11-23T08:05:00.000Z", NOW - 60_000), 300);
  assert.equal(secondsSince(one, null, NOW), null);
  const never = after(whole({ alarm_after: 0, remind_after: 0, chats: [late] })).get("algemeen");
  assert.equal(standing(never, late, NOW), "waits");
});

test("a supervisor is notified once of each chat that becomes late", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const late = [];
  let now = NOW;
  const live = liveDepartments({
    onChange: () => {},
    onLate: (chats) => late.push(chats.map((it) => it.chat_id)),
    now: () => now,
  });
  t.after(live.stop);
  live.take(
    whole({
      chats: [chat("a", 1, { unanswered_since: "2026-11-23T08:06:00.000Z" })],
    }),
  );
  assert.deepEqual([late, live.late()], [[], 0]);
  now += 60_000;
  t.mock.timers.tick(5000);
  assert.deepEqual([late, live.late()], [[["a"]], 1]);
  t.mock.timers.tick(5000);
  live.take(change({ at: "2026-11-23T08:11:00.000Z", chats: [chat("a", 1)] }));
  assert.deepEqual([late.length, live.late()], [1, 0]);
});

test("the button and the hours in words", () => {
  const t = consoleTexts("nl");
  const words = (more) => buttonWords(t, after(whole(more)).get("algemeen"), NOW);
  assert.equal(words({}), "Groene knop: burgers kunnen een gesprek beginnen.");
  const closed = {
    colour: "blue",
    reason: "closed",
    opens_at: "2026-11-23T12:00:00.000Z",
  };
  assert.equal(words({ button: closed }), "Blauwe knop: buiten de openingsuren. Weer open om 13:00.");
  assert.match(
    words({
      button: { ...closed, reason: "of a later server", opens_at: null },
    }),
    /de stand is niet bekend/,
  );
  const intake = {
    reason: "staff",
    until: "2026-11-23T12:00:00.000Z",
    name: "Sara",
    at: "2026-11-23T08:00:00.000Z",
  };
  assert.equal(words({ intake }), "Blauwe knop: Sara sloot de instroom tot 13:00. Reden: te weinig medewerkers.");
  assert.match(words({ intake: { ...intake, reason: "of a later server" } }), /geen bijzondere reden/);
  const hours = (list) => hoursWords(t, after(whole({ hours: list })).get("algemeen"));
  assert.deepEqual(
    [hours(["09:00-12:00", "13:00-17:00"]), hours([]), hours(null)],
    ["Openingsuren vandaag: 09:00 – 12:00, 13:00 – 17:00", "Vandaag gesloten", "Altijd open"],
  );
});

test("an intake is closed for some minutes, or until the end of the day", () => {
  assert.equal(endOf("30", NOW, 0), "2026-11-23T08:40:00.000Z");
  assert.equal(untilMidnight(new Date(NOW)), (14 * 60 + 50) * 60_000);
  assert.equal(endOf("day", NOW, untilMidnight(new Date(NOW))), "2026-11-23T23:00:00.000Z");
});

test("an agent is reminded of a citizen who waits too long for their answer", () => {
  const start = desks.desk({ id: "an", name: "An", departments: [], capacity: 1, state: "available" }, null);
  const desk = (more, ...frames) =>
    frames.reduce((state, frame) => desks.take(state, frame).desk, desks.take(start, { type: "assigned", chat: assigned("x", more) }).desk);
  const seconds = (state, at) => overdue(state.chats[0], Date.parse(at));
  const opened = { event: "opened", text: "" };
  const joined = { event: "assigned", text: "" };
  const asked = [message("x", 1, "system", opened), message("x", 2), message("x", 3, "system", joined), message("x", 4)];
  const waiting = desk({ remind_after: 120, accepted: true, last_seq: 4 }, ...asked);
  assert.equal(seconds(waiting, "2026-11-23T08:02:02Z"), null);
  assert.equal(seconds(waiting, "2026-11-23T08:02:03Z"), 120); // since the agent had the chat
  assert.equal(seconds(desk({ accepted: true, last_seq: 4 }, ...asked), "2026-11-23T09:00:00Z"), null);
  assert.equal(seconds(desk({ remind_after: 120, accepted: false }, ...asked), "2026-11-23T09:00:00Z"), null);
  const answered = desk({ remind_after: 120, accepted: true }, ...asked, message("x", 5, "agent"));
  assert.equal(seconds(answered, "2026-11-23T09:00:00Z"), null);
});
