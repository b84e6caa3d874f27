// RULES of the desk for chats that go from one agent to another (desk-state.js, chat-state.js): offered, refused, come back; and a citizen's silence.
import assert from "node:assert/strict";
import test from "node:test";
import * as rules from "../../services/gateway/web/console/desk-state.js";
import { endKey, handover, isNew, isOffer, timeline } from "../../services/gateway/web/console/chat-state.js";
import * as talk from "../../services/gateway/web/shared/conversation.js";
import { after, AWAY, chat, deskOf, HERE, message } from "./console-samples.mjs";

const AGENT = {
  id: "bert",
  name: "Bert",
  departments: ["algemeen"],
  capacity: 2,
  state: "available",
};
const { welcome, start } = deskOf(AGENT);
const offer = (id) => ({
  type: "assigned",
  chat: chat(id, { transferred: true, accepted: false, last_seq: 1 }),
});
const types = (list) => list.map((one) => one.type);
const change = (state, more) => rules.update(state, "a", (one) => ({ ...one, ...more }));
const find = (state) => rules.find(state, "a");
const REFUSED = { type: "unassigned", chat_id: "a", reason: "refused" };

test("an offered chat can be looked at: nothing is told that would accept it", () => {
  let state = rules.select(start(offer("a"), message("a", 1)), "a");
  assert.ok(isOffer(find(state)));
  assert.deepEqual(rules.due(state, HERE).frames, []);
  state = rules.update(state, "a", (one) => ({
    ...one,
    talk: talk.post(one.talk, "m1", { text: "x" }),
  }));
  assert.deepEqual(rules.due(state, HERE).frames, []);
});

test("an ordinary chat that is not accepted yet is no offer", () => {
  const state = rules.select(
    start({
      type: "assigned",
      chat: chat("a", { accepted: false, transferred: false }),
    }),
    "a",
  );
  assert.ok(isNew(find(state)) && !isOffer(find(state)));
  assert.deepEqual(types(rules.due(state, HERE).frames), ["accept"]);
});

test("an offered chat that is accepted becomes a chat like any other", () => {
  const state = change(rules.select(start(offer("a"), message("a", 1)), "a"), {
    pressed: true,
    seen: true,
  });
  assert.ok(!isOffer(find(state)));
  assert.deepEqual(types(rules.due(state, HERE).frames), ["accept", "read"]);
});

test("a transferred chat that the server has accepted already is offered no more", () => {
  const state = start({
    type: "assigned",
    chat: chat("a", { transferred: true, accepted: true }),
  });
  assert.ok(!isOffer(find(state)));
});

test("a refusal is told once, and again after a reconnect until the server has taken the chat away", () => {
  let step = rules.due(change(start(offer("a")), { refusing: true }), AWAY);
  assert.deepEqual(step.frames, [{ type: "refuse", chat_id: "a" }]);
  assert.deepEqual(rules.due(step.desk, HERE).frames, []);
  const back = after(rules.disconnected(step.desk), welcome(offer("a").chat)).state;
  step = rules.due(back, HERE);
  assert.deepEqual(types(step.frames), ["refuse"]);
  assert.equal(rules.unread(after(step.desk, message("a", 1)).state), 1);
  const { state, effects } = after(step.desk, message("a", 1, "system"), message("a", 2), REFUSED);
  assert.equal(rules.unread(state), 0);
  assert.deepEqual(effects.at(-1), { type: "ended", id: "a" });
  assert.deepEqual(endKey(find(state)), ["gone", "refused"]);
  assert.deepEqual(rules.due(state, HERE).frames, []);
});

test("a refusal outlives a reload", () => {
  const kept = JSON.parse(JSON.stringify(rules.keep(change(start(offer("a")), { refusing: true }))));
  const { state } = after(rules.desk(AGENT, kept), welcome(offer("a").chat));
  assert.deepEqual(types(rules.due(state, AWAY).frames), ["refuse"]);
});

test("a refusal that comes too late leaves the chat here, and the next welcome says how it stands", () => {
  const told = rules.due(change(start(offer("a")), { refusing: true }), AWAY).desk;
  const { state, effects } = after(told, {
    type: "error",
    chat_id: "a",
    code: "unavailable",
  });
  assert.deepEqual(types(effects), ["refusal_refused", "later"]);
  assert.ok(!find(state).refusing && !find(state).ended);
  const { state: again } = after(state, welcome(chat("a", { transferred: false, accepted: true })));
  assert.ok(!isOffer(find(again)) && !isNew(find(again)));
});

test("a refused chat that is offered once more waits for a new choice", () => {
  const { state, effects } = after(change(start(offer("a")), { refusing: true }), REFUSED, offer("a"));
  assert.deepEqual(types(effects), ["ended", "arrived"]);
  assert.ok(isOffer(find(state)) && !find(state).refusing);
});

test("an offered chat that is taken back says that it was a transferred one, any other says what the server says", () => {
  const end = (state, reason) => endKey(find(after(state, { type: "unassigned", chat_id: "a", reason }).state));
  const plain = start({
    type: "assigned",
    chat: chat("a", { accepted: false }),
  });
  assert.deepEqual(end(start(offer("a")), "not_accepted"), ["gone", "unanswered"]);
  assert.deepEqual(end(change(start(offer("a")), { refusing: true }), "not_accepted"), ["gone", "refused"]); // they crossed
  assert.deepEqual(end(plain, "not_accepted"), ["gone", "not_accepted"]);
  assert.deepEqual(end(plain, "agent_left"), ["gone", "not_accepted"]);
  assert.deepEqual(end(change(plain, { seen: true }), "agent_left"), ["gone", "agent_left"]);
  assert.deepEqual(end(change(plain, { seen: true }), "transferred"), ["gone", "transferred"]);
});

test("what a colleague wrote for whoever takes it over is the last note", () => {
  const note = (id, second) => ({
    type: "note",
    chat_id: "a",
    id,
    name: "An",
    text: id,
    at: `2026-11-23T08:00:0${second}Z`,
  });
  assert.equal(handover(find(start(offer("a")))), null);
  assert.equal(handover(find(start(offer("a"), note("last", 3), note("first", 1)))).id, "last");
});

test("a chat that comes back is told once with its reason, which stands behind its assignment", () => {
  const assigned = message("a", 2, "system", { event: "assigned" });
  const there = start({ type: "assigned", chat: chat("a") }, message("a", 1, "system", { event: "assigned" }), {
    type: "unassigned",
    chat_id: "a",
    reason: "transferred",
  });
  const returned = { ...chat("a", { last_seq: 3, returned: "unanswered" }) };
  const { state, effects } = after(there, { type: "assigned", chat: returned }, assigned, message("a", 3));
  assert.deepEqual(types(effects), ["arrived", "returned", "message", "message"]);
  assert.deepEqual(
    timeline(find(state)).map((item) => [item.key, item.why]),
    [
      ["system:system1", undefined],
      ["system:system2", undefined],
      ["returned:2", "unanswered"],
      ["citizen:citizen3", undefined],
    ],
  );
  const again = after(rules.disconnected(state), welcome({ ...returned, accepted: true }));
  assert.ok(!types(again.effects).includes("returned"));
  assert.equal(timeline(find(again.state)).length, 4);
});

test("a chat that went and came back while there was no connection is told too", () => {
  const { effects } = after(
    rules.disconnected(start({ type: "assigned", chat: chat("a") })),
    welcome(chat("a", { returned: "refused", accepted: false })),
  );
  assert.ok(types(effects).includes("returned"));
});

test("why an agent is paused is known until he is available again, over a reload too", () => {
  const { state, effects } = after(
    start(),
    { type: "state", state: "paused", reason: "accept_overdue" },
    { type: "state", state: "paused" },
  );
  assert.deepEqual(effects, [{ type: "state", state: "paused", why: "accept_overdue" }]);
  const kept = JSON.parse(JSON.stringify(rules.keep(state)));
  const paused = {
    type: "welcome",
    agent: { ...AGENT, state: "paused" },
    chats: [],
  };
  assert.equal(after(rules.desk(AGENT, kept), paused).state.agent.why, "accept_overdue");
  assert.equal(after(rules.desk(AGENT, kept), welcome()).state.agent.why, null);
  assert.equal(after(state, { type: "state", state: "available" }).state.agent.why, null);
  assert.equal(after(state, { type: "state", state: "available" }, { type: "state", state: "paused" }).state.agent.why, null);
});

test("a citizen's silence is known until he writes, it is over, or the chat has ended; each warning is news once", () => {
  const silent = (warning) => ({
    type: "inactive",
    chat_id: "a",
    warning,
    closes_at: warning ? "2026-11-23T08:15:00Z" : null,
    seconds: warning ? 300 : null,
  });
  const { state, effects } = after(start({ type: "assigned", chat: chat("a") }), silent(1), silent(1), silent(2));
  assert.deepEqual(effects, [
    { type: "silent", id: "a" },
    { type: "silent", id: "a" },
  ]);
  assert.deepEqual(find(state).silent, {
    warning: 2,
    closes_at: "2026-11-23T08:15:00Z",
  });
  for (const over of [silent(0), message("a", 1), { type: "closed", chat_id: "a", reason: "inactive" }])
    assert.equal(find(after(state, over).state).silent, null);
  assert.equal(find(rules.disconnected(state)).silent, null);
  assert.notEqual(find(after(state, message("a", 1, "agent")).state).silent, null);
  assert.deepEqual(after(state, { ...silent(1), chat_id: "z" }).effects, []);
});
