// Mirrors services/gateway/web/console/chat-state.js, notes.js, format.js and the choices of transfer-dialog.js.
import assert from "node:assert/strict";
import test from "node:test";
import * as chats from "../../services/gateway/web/console/chat-state.js";
import * as notes from "../../services/gateway/web/console/notes.js";
import { clock, size } from "../../services/gateway/web/console/format.js";
import { choices, isFree, nameOf, prospects, standing } from "../../services/gateway/web/console/transfer-dialog.js";
import * as talk from "../../services/gateway/web/shared/conversation.js";
import { consoleTexts } from "./texts.mjs";

const at = (second) => `2026-11-23T08:00:${String(second).padStart(2, "0")}Z`;
const message = (seq, from, second = seq) => ({
  type: "message",
  seq,
  id: `i${seq}`,
  from,
  text: "t",
  at: at(second),
});

function withMessages(...messages) {
  const one = chats.entry({ chat_id: "a", locale: "nl" });
  return {
    ...one,
    talk: messages.reduce((conversation, frame) => talk.receive(conversation, frame).chat, one.talk),
  };
}

test("notes stand among the messages by their time, what is unsent at the end", () => {
  let one = withMessages(message(1, "citizen", 10), message(2, "agent", 30));
  for (const [id, second] of [
    ["late", 40],
    ["between", 20],
    ["early", 5],
  ])
    one = {
      ...one,
      book: notes.stored(one.book, {
        id,
        name: "An",
        text: "n",
        at: at(second),
      }),
    };
  one = {
    ...one,
    talk: talk.post(one.talk, "m", { text: "x" }),
    book: notes.write(one.book, "n", "x"),
  };
  assert.deepEqual(
    chats.timeline(one).map((item) => item.key),
    ["note:early", "citizen:i1", "note:between", "agent:i2", "note:late", "agent:m", "note:n"],
  );
});

test("a message has the same key before and after its receipt", () => {
  const one = withMessages();
  const pending = { ...one, talk: talk.post(one.talk, "i1", { text: "t" }) };
  const stored = {
    ...one,
    talk: talk.receive(pending.talk, message(1, "agent")).chat,
  };
  assert.equal(chats.timeline(pending)[0].key, chats.timeline(stored)[0].key);
  assert.equal(chats.timeline(stored).length, 1);
});

test("only our last message that the citizen was shown says so", () => {
  let one = withMessages(message(1, "agent"), message(2, "agent"), message(3, "citizen"), message(4, "agent"));
  assert.equal(chats.lastReadSeq(one), 0);
  one = {
    ...one,
    talk: talk.receive(one.talk, { type: "read", from: "citizen", seq: 3 }).chat,
  };
  assert.equal(chats.lastReadSeq(one), 2);
});

test("the last message is that of a person, not of the system", () => {
  assert.equal(chats.lastSaid(withMessages(message(1, "citizen"), message(2, "system"))).at, at(1));
  assert.equal(chats.lastSaid(withMessages(message(1, "system"))), null);
});

test("a citizen waits since their first message after the last answer, and nobody waits in a chat that has ended", () => {
  const waits = (...messages) => chats.waitsSince(withMessages(...messages));
  assert.equal(waits(message(1, "system")), null);
  assert.equal(waits(message(1, "citizen"), message(2, "citizen"), message(3, "system")), at(1));
  assert.equal(waits(message(1, "citizen"), message(2, "agent")), null);
  assert.equal(
    waits(message(1, "citizen"), message(2, "agent"), message(3, "system"), message(4, "citizen"), message(5, "citizen")),
    at(4),
  );
  assert.equal(
    chats.waitsSince({
      ...withMessages(message(1, "citizen")),
      ended: { kind: "closed", reason: "citizen" },
    }),
    null,
  );
});

test("a chat that was taken back unseen was not accepted in time", () => {
  const over = { kind: "gone", reason: "agent_left" };
  assert.deepEqual(chats.endKey({ ended: over, seen: false }), ["gone", "not_accepted"]);
  assert.deepEqual(chats.endKey({ ended: over, seen: true }), ["gone", "agent_left"]);
  assert.deepEqual(chats.endKey({ ended: { kind: "closed", reason: "citizen" }, seen: false }), ["ended", "citizen"]);
  const closed = { kind: "closed", reason: "agent" };
  assert.deepEqual(chats.endKey({ ended: closed, closing: false }), ["ended", "agent"], "a supervisor, or another browser");
  assert.deepEqual(chats.endKey({ ended: closed, closing: true }), ["ended", "you"]);
  assert.deepEqual(chats.endKey({ ended: { kind: "closed", reason: "citizen" }, closing: true }), ["ended", "citizen"], "sooner");
});

test("a note that is told again stands once, and is the receipt of ours", () => {
  let book = notes.sent(notes.write(notes.notebook(), "n", "x"), "n");
  assert.deepEqual(notes.due(book), []);
  book = notes.stored(notes.stored(book, { id: "n", text: "x", at: at(1) }), {
    id: "n",
    text: "x",
    at: at(1),
  });
  assert.deepEqual([book.notes.length, book.pending.length], [1, 0]);
});

test("a failed note goes out again under its id, or is given up", () => {
  const failed = notes.refused(notes.write(notes.notebook(), "n", "x"), "n", "too_long");
  assert.deepEqual(notes.due(failed), []);
  assert.deepEqual(
    notes.due(notes.again(failed, "n")).map((note) => note.id),
    ["n"],
  );
  assert.deepEqual(notes.discard(failed, "n").pending, []);
});

test("what is on the way goes out again after the connection was lost", () => {
  const under = notes.sent(notes.write(notes.notebook(), "n", "x"), "n");
  assert.deepEqual(notes.due(notes.disconnected(under)).length, 1);
});

test("times are those of Brussels, with the day when it is another one", () => {
  const now = new Date("2026-11-23T20:00:00Z");
  assert.equal(clock("2026-11-23T08:14:00Z", "nl", now), "09:14");
  assert.equal(clock("2026-07-01T08:14:00Z", "en", new Date("2026-07-01T20:00:00Z")), "10:14");
  assert.match(clock("2026-11-22T23:30:00Z", "nl", now), /^00:30$/);
  assert.match(clock("2026-11-22T22:30:00Z", "nl", now), /^22 nov.* 23:30$/);
  assert.equal(clock(undefined, "nl", now), "");
});

test("sizes read in the language", () => {
  assert.equal(size(36_000, "nl"), "36 kB");
  assert.equal(size(3_400_000, "nl"), "3,4 MB");
  assert.equal(size(10, "en"), "1 kB");
  assert.deepEqual(
    [999_000, 999_001, 10_125_000].map((bytes) => size(bytes, "nl")),
    ["999 kB", "1 MB", "10,2 MB"],
  );
  assert.equal(size(3_400_000, "fr").replace(/\s/u, " "), "3,4 Mo");
});

const agent = (id, more = {}) => ({
  id,
  name: id,
  departments: [],
  state: "available",
  online: true,
  free: 1,
  ...more,
});

test("a chat can go to other departments and to colleagues who are there, the free ones first", () => {
  const all = {
    departments: [{ id: "algemeen" }, { id: "premies" }],
    agents: [
      agent("away", { online: false }),
      agent("me"),
      agent("full", { free: 0 }),
      agent("paused", { state: "paused" }),
      agent("zoe"),
      agent("bo"),
    ],
  };
  const may = choices(all, { own: "me", department: "algemeen" });
  assert.deepEqual(
    may.departments.map((one) => one.id),
    ["premies"],
  );
  assert.deepEqual(
    may.agents.map((one) => one.id),
    ["bo", "zoe", "full", "paused"],
  );
  assert.deepEqual(choices({}, { own: "me", department: "x" }), {
    departments: [],
    agents: [],
  });
});

test("how it stands with a colleague is said in words", () => {
  const t = consoleTexts("en");
  assert.deepEqual(
    [agent("a"), agent("a", { free: 0 }), agent("a", { state: "paused" }), agent("a", { online: false })].map((one) => standing(t, one)),
    ["1 place free", "In conversation", "Paused", "Not logged in"],
  );
  assert.deepEqual([agent("a"), agent("a", { free: 0 }), agent("a", { state: "paused" }), agent("a", { online: false })].map(isFree), [
    true,
    false,
    false,
    false,
  ]);
});

test("a department's name may be one text or one for each language", () => {
  assert.equal(nameOf({ id: "x", name: "Naam" }, "fr"), "Naam");
  assert.equal(nameOf({ id: "x", name: "Naam", names: { nl: "Naam", fr: "Nom" } }, "fr"), "Nom");
  assert.equal(nameOf({ id: "x" }, "fr"), "x");
});

test("a department that is closed or has nobody free says so where a chat can be transferred", () => {
  const t = consoleTexts("nl");
  const told = (reason) => prospects(t, { id: "premies", names: { nl: "Premies" }, reason });
  assert.deepEqual(["closed", "no_agents", "busy"].map(told), [
    "Gesloten: niemand neemt het gesprek nu aan",
    "Geen medewerker aanwezig: de burger wacht",
    "Alle medewerkers in gesprek: de burger wacht",
  ]);
  for (const reason of ["available", "unknown", "later", undefined]) assert.equal(told(reason), "Eerste vrije medewerker van Premies");
});
