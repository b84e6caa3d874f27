// Mirrors services/gateway/web/console/desk-state.js: what frames change, and what the server is to hear.
import assert from "node:assert/strict";
import test from "node:test";
import * as rules from "../../services/gateway/web/console/desk-state.js";
import { isNew, keep as keepEntry, secondsLeft, unread, unsent } from "../../services/gateway/web/console/chat-state.js";
import * as talk from "../../services/gateway/web/shared/conversation.js";
import { isSaid, wrapUpLeft } from "../../services/gateway/web/console/wrap-ups.js";
import * as notes from "../../services/gateway/web/console/notes.js";
import { after, AWAY, chat, deskOf, HERE, message } from "./console-samples.mjs";

const AGENT = {
  id: "an",
  name: "An",
  departments: ["algemeen"],
  capacity: 2,
  state: "available",
};
const { welcome, start } = deskOf(AGENT);
const types = (frames) => frames.map((frame) => frame.type);

test("the state of the agent is what the server says, and a change is news once", () => {
  const { state, effects } = after(
    rules.desk(AGENT, null),
    welcome(),
    { type: "state", state: "paused" },
    { type: "state", state: "paused" },
  );
  assert.equal(state.agent.state, "paused");
  assert.deepEqual(effects, [
    { type: "state", state: "available", why: null },
    { type: "state", state: "paused", why: null },
  ]);
});

test("an assigned chat arrives once, however often it is told", () => {
  const { state, effects } = after(
    rules.desk(AGENT, null),
    welcome(),
    { type: "assigned", chat: chat("a") },
    { type: "assigned", chat: chat("a") },
    welcome(chat("a")),
  );
  assert.equal(state.chats.length, 1);
  assert.equal(effects.filter((effect) => effect.type === "arrived").length, 1);
});

test("nobody there: a new chat is neither accepted nor read; then somebody looks at it", () => {
  let state = rules.select(start({ type: "assigned", chat: chat("a", { last_seq: 1 }) }, message("a", 1)), "a");
  assert.deepEqual(rules.due(state, AWAY).frames, []);
  assert.ok(isNew(rules.find(state, "a")));
  const step = rules.due(state, HERE);
  assert.deepEqual(step.frames, [
    { type: "accept", chat_id: "a" },
    { type: "read", seq: 1, chat_id: "a" },
  ]);
  state = step.desk;
  assert.ok(!isNew(rules.find(state, "a")));
  assert.deepEqual(rules.due(state, HERE).frames, []);
});

test("a chat behind another one is accepted by a press only", () => {
  const two = rules.select(start({ type: "assigned", chat: chat("a") }, { type: "assigned", chat: chat("b") }), "a");
  assert.deepEqual(rules.due(two, HERE).frames, [{ type: "accept", chat_id: "a" }]);
  const pressed = rules.update(two, "b", (one) => ({
    ...one,
    pressed: true,
    seen: true,
  }));
  assert.deepEqual(rules.due(pressed, AWAY).frames, [{ type: "accept", chat_id: "b" }]);
});

test("a chat that was accepted in another tab is new here no more; an acceptance of an earlier turn says nothing", () => {
  const accepted = (seq, agent_id) =>
    message("a", seq, "system", {
      event: "assigned",
      about: { agent_id, agent: "An" },
    });
  const fresh = (...frames) =>
    isNew(
      rules.find(
        start(
          {
            type: "assigned",
            chat: chat("a", { last_seq: 2, transferred: true }),
          },
          message("a", 1),
          ...frames,
        ),
        "a",
      ),
    );
  assert.ok(fresh(accepted(2, "an")), "of an earlier turn");
  assert.ok(fresh(message("a", 2), accepted(3, "bert")), "a colleague's");
  assert.ok(!fresh(message("a", 2), accepted(3, "an")));
});

test("a press on accept without a connection is told after the next welcome", () => {
  let state = rules.disconnected(start({ type: "assigned", chat: chat("a") }));
  state = rules.update(state, "a", (one) => ({
    ...one,
    pressed: true,
    seen: true,
  }));
  assert.deepEqual(rules.due(state, HERE).frames, []);
  assert.deepEqual(rules.due(after(state, welcome(chat("a"))).state, AWAY).frames, [{ type: "accept", chat_id: "a" }]);
});

test("what is not at the end of the screen is not read", () => {
  const state = rules.select(start({ type: "assigned", chat: chat("a") }, message("a", 1)), "a");
  assert.deepEqual(types(rules.due(state, { here: true, bottom: false }).frames), ["accept"]);
  assert.equal(rules.unread(rules.due(state, { here: true, bottom: false }).desk), 1);
});

test("unread counts the citizen's messages alone, over all chats", () => {
  const state = start(
    { type: "assigned", chat: chat("a") },
    { type: "assigned", chat: chat("b") },
    message("a", 1, "system"),
    message("a", 2),
    message("a", 3, "agent"),
    message("b", 1),
    message("b", 2),
  );
  assert.equal(unread(rules.find(state, "a")), 1);
  assert.equal(rules.unread(state), 3);
  const read = after(state, {
    type: "read",
    chat_id: "b",
    from: "agent",
    seq: 1,
  }).state;
  assert.equal(rules.unread(read), 2); // read in another tab
});

test("the list: unseen first, then open, then ended, each as they came", () => {
  let state = start(...["a", "b", "c", "d"].map((id) => ({ type: "assigned", chat: chat(id) })));
  for (const id of ["a", "b", "d"]) state = rules.update(state, id, (one) => ({ ...one, seen: true }));
  state = after(state, {
    type: "closed",
    chat_id: "a",
    reason: "citizen",
  }).state;
  assert.deepEqual(
    rules.ordered(state).map((one) => one.id),
    ["c", "b", "d", "a"],
  );
});

test("unread chats come before the others, the one whose citizen waits longest first, and are the next ones", () => {
  const asked = (id, seq, minute) => ({
    ...message(id, seq),
    at: `2026-11-23T09:0${minute}:00Z`,
  });
  let state = start(...["a", "b", "c", "d"].map((id) => ({ type: "assigned", chat: chat(id) })));
  for (const id of ["a", "b", "c", "d"]) state = rules.update(state, id, (one) => ({ ...one, seen: true }));
  state = after(rules.select(state, "b"), asked("d", 1, 2), asked("b", 1, 5), asked("b", 2, 9)).state;
  const order = (now) => rules.ordered(now).map((one) => one.id);
  assert.deepEqual(order(state), ["d", "b", "a", "c"]);
  assert.equal(rules.nextUnread(state)?.id, "d");
  assert.equal(rules.nextUnread(rules.select(state, "d"))?.id, "b", "not the one that is in front");
  state = after(state, {
    type: "read",
    chat_id: "d",
    from: "agent",
    seq: 1,
  }).state;
  assert.deepEqual(order(state), ["b", "a", "c", "d"]);
  assert.equal(rules.nextUnread(state), undefined, "b is in front, and the others are read");
  const fresh = after(state, { type: "assigned", chat: chat("e") }).state;
  assert.deepEqual([order(fresh)[0], rules.nextUnread(fresh)?.id], ["e", "e"]);
});

test("hello names what this page has of the open chats", () => {
  const state = start(
    { type: "assigned", chat: chat("a") },
    { type: "assigned", chat: chat("b") },
    { type: "assigned", chat: chat("c") },
    message("a", 1),
    message("a", 2),
    message("c", 1),
    { type: "closed", chat_id: "c" },
  );
  assert.deepEqual(rules.hello(state), { type: "hello", chats: { a: 2 } });
});

test("hello names at most a hundred chats", () => {
  const ids = Array.from({ length: 120 }, (_, index) => `c${index}`);
  const state = start(...ids.flatMap((id) => [{ type: "assigned", chat: chat(id) }, message(id, 1)]));
  assert.equal(Object.keys(rules.hello(state).chats).length, 100);
});

test("a message goes out once, again after a reconnect under the same id, and not after its receipt", () => {
  let state = start({ type: "assigned", chat: chat("a") });
  state = rules.update(state, "a", (one) => ({
    ...one,
    talk: talk.post(one.talk, "m1", { text: "hi" }),
  }));
  const first = rules.due(state, AWAY);
  assert.deepEqual(first.frames, [{ type: "message", id: "m1", text: "hi", chat_id: "a" }]);
  assert.deepEqual(rules.due(first.desk, AWAY).frames, []);
  const back = after(rules.disconnected(first.desk), welcome(chat("a"))).state;
  assert.deepEqual(rules.due(back, AWAY).frames, first.frames);
  const stored = after(back, message("a", 1, "agent", { id: "m1", text: "hi" })).state;
  assert.deepEqual(rules.due(stored, AWAY).frames, []);
});

test("the end of a chat waits behind what was written, and is told again after a reconnect", () => {
  let state = start({ type: "assigned", chat: chat("a") });
  state = rules.update(state, "a", (one) => ({
    ...one,
    closing: true,
    talk: talk.post(one.talk, "m1", { text: "dag" }),
  }));
  const step = rules.due(state, AWAY);
  assert.deepEqual(types(step.frames), ["message", "close"]);
  assert.deepEqual(rules.due(step.desk, AWAY).frames, []);
  assert.deepEqual(types(rules.due(after(rules.disconnected(step.desk), welcome(chat("a"))).state, AWAY).frames), ["message", "close"]);
});

test("a refused line holds the end of the chat back until the next welcome", () => {
  let state = start({ type: "assigned", chat: chat("a") });
  state = rules.update(state, "a", (one) => ({
    ...one,
    talk: talk.post(one.talk, "m1", { text: "dag" }),
  }));
  state = rules.due(state, AWAY).desk;
  const { state: refused, effects } = after(state, {
    type: "error",
    chat_id: "a",
    code: "unavailable",
    id: "m1",
  });
  assert.deepEqual(effects, [{ type: "later" }]);
  const closing = rules.update(refused, "a", (one) => ({
    ...one,
    closing: true,
  }));
  assert.deepEqual(rules.due(closing, AWAY).frames, []);
  assert.deepEqual(types(rules.due(after(closing, welcome(chat("a"))).state, AWAY).frames), ["message", "close"]);
});

test("what was not sent when a chat ends has failed, and is still there", () => {
  for (const [frame, code] of [
    [{ type: "closed", chat_id: "a", reason: "citizen" }, "chat_closed"],
    [{ type: "unassigned", chat_id: "a", reason: "transferred" }, "not_yours"],
  ]) {
    let state = start({ type: "assigned", chat: chat("a") });
    state = rules.update(state, "a", (one) => ({
      ...one,
      talk: talk.post(one.talk, "m1", { text: "hi" }),
      book: notes.write(one.book, "n1", "nota"),
    }));
    const { state: over, effects } = after(state, frame);
    const one = rules.find(over, "a");
    assert.deepEqual([one.talk.pending[0].state, one.talk.pending[0].code, one.book.pending[0].code], ["failed", code, code]);
    assert.deepEqual(effects, [{ type: "ended", id: "a" }]);
    assert.deepEqual(rules.due(over, HERE).frames, []);
  }
});

test("after its end a chat is not taken away a second time", () => {
  const { state, effects } = after(
    start({ type: "assigned", chat: chat("a") }),
    { type: "closed", chat_id: "a", reason: "agent" },
    { type: "unassigned", chat_id: "a", reason: "closed" },
  );
  assert.deepEqual(rules.find(state, "a").ended, {
    kind: "closed",
    reason: "agent",
  });
  assert.equal(effects.length, 1);
});

test("a chat that comes back to this agent is new again", () => {
  let state = start({ type: "assigned", chat: chat("a") });
  state = rules.update(state, "a", (one) => ({ ...one, seen: true }));
  const { state: back, effects } = after(
    state,
    { type: "unassigned", chat_id: "a", reason: "transferred" },
    { type: "assigned", chat: chat("a") },
  );
  assert.ok(isNew(rules.find(back, "a")));
  assert.deepEqual(types(effects), ["ended", "arrived"]);
});

test("a chat that the server has accepted already is not new", () => {
  assert.ok(!isNew(rules.find(start({ type: "assigned", chat: chat("a", { accepted: true }) }), "a")));
});

test("what crossed the end of a chat is no news, unless somebody wrote it", () => {
  for (const code of ["chat_closed", "not_yours"]) {
    const state = start({ type: "assigned", chat: chat("a") });
    assert.deepEqual(after(state, { type: "error", chat_id: "a", code }).effects, []);
    const written = rules.update(state, "a", (one) => ({
      ...one,
      talk: talk.post(one.talk, "m1", { text: "x" }),
    }));
    const { state: refused } = after(written, {
      type: "error",
      chat_id: "a",
      code,
      id: "m1",
    });
    assert.equal(rules.find(refused, "a").talk.pending[0].state, "failed");
  }
});

test("an accept that the server did not hear is told again, on the same connection only", () => {
  let state = rules.select(start({ type: "assigned", chat: chat("a", { accepted: false }) }), "a");
  state = rules.due(state, HERE).desk;
  const { state: refused, effects } = after(state, {
    type: "error",
    code: "unavailable",
  });
  assert.deepEqual(types(effects), ["error", "later"]);
  const again = after(refused, welcome(chat("a", { accepted: false }))).state;
  assert.deepEqual(types(rules.due(again, AWAY).frames), ["accept"]);
  const lost = after(rules.disconnected(state), welcome(chat("a", { accepted: false }))).state;
  assert.deepEqual(rules.due(lost, AWAY).frames, []);
  assert.ok(isNew(rules.find(lost, "a")));
});

test("an open chat that a welcome does not name is gone, and somebody asks why", () => {
  const { state, effects } = after(start({ type: "assigned", chat: chat("a") }), welcome());
  assert.equal(rules.find(state, "a").ended.kind, "gone");
  assert.deepEqual(effects, [{ type: "missing", id: "a" }]);
  const recalled = rules.recalled(state, "a", {
    closed_at: "2026-11-23T09:00:00Z",
    messages: [message("a", 1), message("a", 2, "system")],
  });
  assert.deepEqual(rules.find(recalled, "a").ended, {
    kind: "closed",
    reason: "away",
  });
  assert.equal(rules.find(recalled, "a").talk.messages.length, 2);
  assert.equal(rules.unread(recalled), 0);
});

test("a refused transfer leaves the conversation alone", () => {
  const state = rules.update(start({ type: "assigned", chat: chat("a") }), "a", (one) => ({
    ...one,
    transfer: true,
    talk: talk.post(one.talk, "m1", { text: "x" }),
  }));
  const { state: refused, effects } = after(state, {
    type: "error",
    chat_id: "a",
    code: "unavailable",
  });
  assert.deepEqual(effects, [{ type: "transfer_refused", id: "a" }]);
  assert.equal(rules.find(refused, "a").transfer, false);
  assert.deepEqual(types(rules.due(refused, AWAY).frames), ["message"]);
});

test("a refused note fails or waits; it never stops the messages", () => {
  let state = rules.update(start({ type: "assigned", chat: chat("a") }), "a", (one) => ({
    ...one,
    book: notes.write(one.book, "n1", "nota"),
  }));
  state = rules.due(state, AWAY).desk;
  const invalid = after(state, {
    type: "error",
    chat_id: "a",
    code: "invalid",
    id: "n1",
  });
  assert.equal(rules.find(invalid.state, "a").book.pending[0].state, "failed");
  const later = after(state, {
    type: "error",
    chat_id: "a",
    code: "rate_limited",
    id: "n1",
  });
  assert.deepEqual(later.effects, [{ type: "later" }]);
  assert.deepEqual(types(rules.due(later.state, AWAY).frames), ["note"]);
});

test("a hole makes it say hello again", () => {
  assert.deepEqual(after(start({ type: "assigned", chat: chat("a") }), message("a", 2)).effects.at(-1), { type: "hello" });
  assert.deepEqual(
    after(start({ type: "assigned", chat: chat("a") }), {
      type: "sync",
      chat_id: "a",
      last_seq: 4,
    }).effects.at(-1),
    {
      type: "hello",
    },
  );
});

test("a reload keeps drafts, unsent texts and notes, what was read and what has ended", () => {
  let state = rules.select(
    start({ type: "assigned", chat: chat("a", { name: "An", question: "?" }) }, { type: "assigned", chat: chat("b") }),
    "a",
  );
  state = rules.update(state, "a", (one) => ({
    ...one,
    draft: { text: "half", note: "nota", kind: "note" },
    shown: 3,
    closing: true,
    talk: talk.post(one.talk, "m1", {
      attachment: "f1",
      file: { id: "f1", name: "x.pdf", size: 3 },
    }),
    book: notes.write(one.book, "n1", "n"),
  }));
  state = after(rules.due(state, AWAY).desk, {
    type: "closed",
    chat_id: "b",
    reason: "inactive",
  }).state;
  const kept = JSON.parse(JSON.stringify(rules.keep(state)));
  const again = rules.desk(AGENT, kept);
  assert.equal(again.selected, "a");
  const [a, b] = again.chats;
  assert.deepEqual([a.draft, a.shown, a.closing, a.about.name], [{ text: "half", note: "nota", kind: "note" }, 3, true, "An"]);
  assert.deepEqual(b.ended, { kind: "closed", reason: "inactive" });
  const { frames } = rules.due(after(again, welcome(chat("a"))).state, AWAY);
  assert.deepEqual(types(frames), ["message", "note", "close"]);
  assert.deepEqual([frames[0].id, frames[0].attachment, frames[1].id], ["m1", "f1", "n1"]);
});

test("nothing that was said is kept in the browser", () => {
  const state = start({ type: "assigned", chat: chat("a") }, message("a", 1, "citizen", { text: "geheim" }), {
    type: "note",
    chat_id: "a",
    id: "n",
    name: "An",
    text: "geheim",
    at: "2026",
  });
  assert.ok(!JSON.stringify(rules.keep(state)).includes("geheim"));
  assert.equal(keepEntry(state.chats[0]).shown, 0);
});

test("a chat comes in front by itself only when nothing is in work there", () => {
  const one = start({ type: "assigned", chat: chat("a") });
  assert.ok(rules.mayOpen(one));
  assert.ok(!rules.mayOpen(rules.select(one, "a")));
  assert.ok(rules.mayOpen(after(rules.select(one, "a"), { type: "closed", chat_id: "a" }).state));
});

test("only an ended chat can be taken from the list, and an open one takes its place in front", () => {
  const two = rules.select(start({ type: "assigned", chat: chat("a") }, { type: "assigned", chat: chat("b") }), "a");
  assert.equal(rules.dismiss(two, "a").chats.length, 2);
  const ended = rules.dismiss(after(two, { type: "closed", chat_id: "a" }).state, "a");
  assert.deepEqual([ended.chats.length, ended.selected], [1, "b"]);
});

test("frames of unknown chats and unknown frames change nothing", () => {
  const state = start({ type: "assigned", chat: chat("a") });
  for (const frame of [
    message("z", 1),
    { type: "novelty" },
    { type: "closed", chat_id: "z" },
    { type: "note", chat_id: "z", id: "n" },
    { type: "citizen", chat_id: "z", online: true },
  ])
    assert.deepEqual(after(state, frame).state, state);
});

const typed = (draft) => (one) => ({
  ...one,
  draft: { ...one.draft, ...draft },
});

test("a new chat comes in front by itself only where nobody is at work", () => {
  const none = start({ type: "assigned", chat: chat("b") });
  assert.ok(rules.mayOpen(none, true) && rules.mayOpen(none, false));
  const open = rules.select(start({ type: "assigned", chat: chat("a") }, { type: "assigned", chat: chat("b") }), "a");
  assert.ok(!rules.mayOpen(open, false));
  for (const end of [
    { type: "closed", chat_id: "a", reason: "citizen" },
    { type: "unassigned", chat_id: "a", reason: "transferred" },
    { type: "closed", chat_id: "a", reason: "inactive" },
  ]) {
    const ended = after(open, end).state;
    assert.ok(rules.mayOpen(ended, false), end.type);
    assert.ok(!rules.mayOpen(ended, true), "keys were pressed just now");
    assert.ok(!rules.mayOpen(rules.update(ended, "a", typed({ text: "Uw dossier" })), false), "a message is half written");
    assert.ok(!rules.mayOpen(rules.update(ended, "a", typed({ note: "let op" })), false), "a note is half written");
  }
  const gone = after(open, welcome(chat("b"))).state; // it ended while there was no connection
  assert.ok(!rules.mayOpen(rules.update(gone, "a", typed({ text: "Uw dossier" })), false));
});

test("the cursor goes into a new chat by itself only when no other chat made way and nothing is half written", () => {
  const none = start({ type: "assigned", chat: chat("b") });
  assert.ok(rules.mayType(none, false));
  assert.ok(!rules.mayType(none, true));
  assert.ok(!rules.mayType(rules.update(none, "b", typed({ text: "x" })), false));
  const ended = rules.select(after(none, { type: "closed", chat_id: "b", reason: "citizen" }).state, "b");
  assert.ok(!rules.mayType(ended, false));
});

test("what is added to an ended chat has failed at once and is not sent when another one is", () => {
  let state = after(start({ type: "assigned", chat: chat("a") }), {
    type: "closed",
    chat_id: "a",
    reason: "citizen",
  }).state;
  state = rules.update(state, "a", (one) => unsent({ ...one, talk: talk.post(one.talk, "late", { text: "te laat" }) }));
  assert.deepEqual(
    rules.find(state, "a").talk.pending.map((item) => [item.state, item.code]),
    [["failed", "chat_closed"]],
  );
  assert.deepEqual(rules.due(state, HERE).frames, []);
});

test("the notes that the server keeps stand in an ended chat, each once", () => {
  const note = {
    id: "n1",
    agent_id: "bert",
    name: "Bert",
    text: "identiteit nagekeken",
    at: "2026-11-23T08:00:05Z",
  };
  let state = after(
    start({ type: "assigned", chat: chat("a") }),
    { type: "note", chat_id: "a", ...note },
    { type: "closed", chat_id: "a", reason: "agent" },
  ).state;
  state = rules.desk(AGENT, JSON.parse(JSON.stringify(rules.keep(state))));
  assert.deepEqual(rules.find(state, "a").book.notes, []);
  state = rules.noted(rules.noted(state, "a", [note]), "a", [note]);
  assert.deepEqual(
    rules.find(state, "a").book.notes.map((one) => one.text),
    ["identiteit nagekeken"],
  );
});

test("frames beyond version 1 are those that the last welcome named", () => {
  assert.deepEqual(start().frames, []);
  const state = after(rules.desk(AGENT, null), {
    ...welcome(),
    frames: ["active"],
  }).state;
  assert.deepEqual(state.frames, ["active"]);
  assert.deepEqual(after(state, welcome()).state.frames, []); // another gateway, of an earlier release
});

test("the time to accept is counted from what the server said last", () => {
  const state = start({
    type: "assigned",
    chat: chat("a", { accept_at: 30_000 }),
  });
  assert.deepEqual(
    [0, 29_001, 31_000].map((now) => secondsLeft(rules.find(state, "a"), now)),
    [30, 1, 0],
  );
  const again = after(state, welcome(chat("a", { accept_at: 90_000 }))).state;
  assert.equal(secondsLeft(rules.find(again, "a"), 60_000), 30);
  assert.equal(secondsLeft(rules.find(start({ type: "assigned", chat: chat("b") }), "b"), 0), null);
});

test("ending with a block is one frame, told again after a reconnect, and kept over a reload", () => {
  const block = { minutes: 60, reason: "bedreiging", address: true };
  let state = start({ type: "assigned", chat: chat("a") });
  state = rules.update(state, "a", (one) => ({ ...one, closing: true, block }));
  const frame = { type: "close", chat_id: "a", block };
  assert.deepEqual(rules.due(state, AWAY).frames, [frame]);
  assert.deepEqual(rules.due(after(rules.disconnected(state), welcome(chat("a"))).state, AWAY).frames, [frame]);
  const again = rules.desk(AGENT, JSON.parse(JSON.stringify(rules.keep(state))));
  assert.deepEqual(rules.due(after(again, welcome(chat("a"))).state, AWAY).frames, [frame]);
});

test("a block that is refused after the end is told", () => {
  let state = after(start({ type: "assigned", chat: chat("a") }), {
    type: "closed",
    chat_id: "a",
    reason: "citizen",
  }).state;
  state = rules.update(state, "a", (one) => ({ ...one, blocking: true }));
  const { effects } = after(state, {
    type: "error",
    code: "not_yours",
    chat_id: "a",
  });
  assert.deepEqual(effects, [{ type: "block_refused", id: "a" }]);
});

test("the wrap-ups of the agent are what the server says, each begins and ends once, and keeps the citizen's name", () => {
  const listed = (...list) => ({
    type: "state",
    state: "available",
    wrap_ups: list,
  });
  const [first, second] = ["a", "b"].map((id) => ({
    chat_id: id,
    department: "algemeen",
    seconds: 120,
    until: 5000,
  }));
  const busy = start({ type: "assigned", chat: chat("a", { name: "Piet" }) });
  const { state, effects } = after(busy, { type: "closed", chat_id: "a", reason: "agent" }, listed(first), listed(first, second));
  assert.deepEqual(state.wrapUps, [
    { id: "a", department: "algemeen", name: "Piet", until: 5000 },
    { id: "b", department: "algemeen", name: null, until: 5000 },
  ]);
  const news = (list) => list.filter(({ type }) => type.startsWith("wrap_")).map(({ type, wrap }) => [type, wrap.id]);
  assert.deepEqual(news(effects), [
    ["wrap_began", "a"],
    ["wrap_began", "b"],
  ]);
  const dismissed = rules.dismiss(state, "a");
  const later = after(dismissed, { type: "state", state: "paused" }, listed(first), { ...welcome(), agent: { ...AGENT, wrap_ups: [] } });
  assert.deepEqual(news(later.effects), [
    ["wrap_ended", "b"],
    ["wrap_ended", "a"],
  ]);
  assert.deepEqual(later.state.wrapUps, []);
  assert.equal(after(dismissed, listed(first)).state.wrapUps[0].name, "Piet", "the chat is not on the desk any more");
  assert.ok(!("wrap_ups" in later.state.agent));
});

test("the time left of a wrap-up is in whole seconds, never below none, and said once near its end", () => {
  const one = { id: "a", department: "algemeen", name: null, until: 20_000 };
  assert.equal(wrapUpLeft(one, 0), 20);
  assert.equal(wrapUpLeft(one, 19_001), 1);
  assert.equal(wrapUpLeft(one, 21_000), 0);
  const seconds = Array.from({ length: 21 }, (_, second) => second * 1000 + 300);
  assert.equal(seconds.filter((now) => isSaid(one, now)).length, 1);
});
