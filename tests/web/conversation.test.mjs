// Mirrors services/gateway/web/shared/conversation.js.
import assert from "node:assert/strict";
import test from "node:test";
import * as rules from "../../services/gateway/web/shared/conversation.js";

const agentSays = (seq, text = `m${seq}`) => ({
  type: "message",
  seq,
  id: `a${seq}`,
  from: "agent",
  name: "Bert",
  text,
  at: "2026-11-23T08:00:00Z",
});
const receipt = (seq, id) => ({
  type: "message",
  seq,
  id,
  from: "citizen",
  name: "An",
  text: id,
  at: "2026-11-23T08:00:00Z",
});
const hear = (chat, ...frames) => frames.reduce((now, frame) => rules.receive(now, frame).chat, chat);
const welcomed = (pending) =>
  hear(rules.conversation("citizen", pending), {
    type: "welcome",
    chat_id: "c",
    dot: "grey",
    last_seq: 0,
  });
const ids = (items) => items.map((item) => item.id);
const seqs = (chat) => chat.messages.map((message) => message.seq);

test("messages stand in the order of seq; what is known is ignored", () => {
  const chat = hear(welcomed(), agentSays(1), agentSays(2), agentSays(1), agentSays(2, "other"));
  assert.deepEqual(
    chat.messages.map((message) => message.text),
    ["m1", "m2"],
  );
  assert.equal(rules.lastSeq(chat), 2);
});

test("a hole asks for hello with what stands before it, and closes when the missing one comes", () => {
  const ahead = rules.receive(hear(welcomed(), agentSays(1)), agentSays(3));
  assert.equal(ahead.ask, "hello");
  assert.deepEqual(ahead.added, []);
  assert.equal(rules.lastSeq(ahead.chat), 1);
  const filled = rules.receive(ahead.chat, agentSays(2));
  assert.equal(filled.ask, null);
  assert.deepEqual(
    filled.added.map((message) => message.seq),
    [2, 3],
  );
});

test("what is kept beyond a hole is bounded, and comes again by hello", () => {
  let chat = welcomed();
  for (let seq = 200; seq > 1; seq -= 1) chat = hear(chat, agentSays(seq));
  assert.ok(chat.ahead.length <= 64);
  for (let seq = 1; seq <= 200; seq += 1) chat = hear(chat, agentSays(seq));
  assert.equal(rules.lastSeq(chat), 200);
});

test("a message without a proper seq changes nothing", () => {
  for (const seq of [undefined, 0, -1, 1.5, "2", NaN]) assert.deepEqual(seqs(hear(welcomed(), { ...agentSays(1), seq })), []);
});

test("a lost last frame is found by sync", () => {
  const chat = hear(welcomed(), agentSays(1));
  assert.equal(rules.receive(chat, { type: "sync", last_seq: 2 }).ask, "hello");
  assert.equal(rules.receive(chat, { type: "sync", last_seq: 1 }).ask, null);
});

test("a receipt is matched by id, also when its seq is known already", () => {
  let chat = rules.post(rules.post(welcomed(), "x", { text: "x" }), "y", {
    text: "y",
  });
  chat = hear(chat, receipt(1, "x"));
  assert.deepEqual(ids(chat.pending), ["y"]);
  chat = hear(
    {
      ...chat,
      pending: [...chat.pending, { id: "x", text: "x", state: "sending", wire: true }],
    },
    receipt(1, "x"),
  );
  assert.deepEqual(ids(chat.pending), ["y"]);
});

test("an id of the other party is no receipt", () => {
  const chat = rules.post(welcomed(), "a1", { text: "x" });
  assert.deepEqual(ids(hear(chat, agentSays(1)).pending), ["a1"]);
});

test("our own message beyond a hole stays pending until it is shown", () => {
  const chat = hear(rules.post(welcomed(), "x", { text: "x" }), receipt(2, "x"));
  assert.deepEqual(ids(chat.pending), ["x"]);
  assert.deepEqual(hear(chat, agentSays(1)).pending, []);
});

test("at most 32 are under way; receipts make room, in order", () => {
  let chat = welcomed();
  for (let n = 0; n < 40; n += 1) chat = rules.post(chat, `p${n}`, { text: `p${n}` });
  const first = rules.due(chat);
  assert.equal(first.length, 32);
  chat = rules.sent(chat, ids(first));
  assert.deepEqual(rules.due(chat), []);
  chat = hear(chat, receipt(1, "p0"), receipt(2, "p1"));
  assert.deepEqual(ids(rules.due(chat)), ["p32", "p33"]);
});

test("nothing goes out before welcome; after a reconnect the same ids go out in the same order", () => {
  let chat = rules.post(rules.post(rules.conversation("citizen"), "x", { text: "x" }), "y", { attachment: "f", file: { name: "f.pdf" } });
  assert.deepEqual(rules.due(chat), []);
  chat = hear(chat, { type: "welcome", last_seq: 0 });
  assert.deepEqual(rules.due(chat), [
    { type: "message", id: "x", text: "x" },
    { type: "message", id: "y", attachment: "f" },
  ]);
  chat = rules.disconnected(rules.sent(chat, ["x", "y"]));
  assert.deepEqual(rules.due(chat), []);
  assert.deepEqual(ids(rules.due(hear(chat, { type: "welcome", last_seq: 0 }))), ["x", "y"]);
});

test("pending messages of an earlier page go out first", () => {
  const chat = rules.post(welcomed([{ id: "old", text: "old" }]), "new", {
    text: "new",
  });
  assert.deepEqual(ids(rules.due(chat)), ["old", "new"]);
});

for (const code of ["rate_limited", "unavailable"]) {
  test(`after ${code} the refused one and all later wait for the next welcome, then go from the refused on`, () => {
    let chat = welcomed();
    for (const id of ["x", "y", "z"]) chat = rules.post(chat, id, { text: id });
    chat = rules.sent(chat, ["x", "y", "z"]);
    const refused = rules.receive(chat, { type: "error", code, id: "y" });
    assert.equal(refused.ask, "later");
    assert.ok(refused.chat.pending.every((item) => item.state === "sending"));
    assert.deepEqual(rules.due(rules.post(refused.chat, "late", { text: "late" })), []);
    assert.deepEqual(ids(rules.due(hear(refused.chat, { type: "welcome", last_seq: 0 }))), ["y", "z"]);
  });
}

for (const code of ["invalid", "too_long", "unknown_attachment", "chat_closed", "not_yours"]) {
  test(`${code} fails that message alone`, () => {
    const chat = rules.sent(
      rules.post(rules.post(welcomed(), "x", { text: "x" }), "y", {
        text: "y",
      }),
      ["x", "y"],
    );
    const { chat: next, ask } = rules.receive(chat, {
      type: "error",
      code,
      id: "x",
    });
    assert.equal(ask, null);
    assert.deepEqual(
      next.pending.map((item) => [item.id, item.state, item.code]),
      [
        ["x", "failed", code],
        ["y", "sending", undefined],
      ],
    );
  });
}

test("a failed message is sent again under its id, at the end of the line, or given up", () => {
  let chat = rules.sent(rules.post(rules.post(welcomed(), "x", { text: "x" }), "y", { text: "y" }), ["x", "y"]);
  chat = hear(chat, { type: "error", code: "invalid", id: "x" });
  const again = rules.again(chat, "x");
  assert.deepEqual(ids(again.pending), ["y", "x"]);
  assert.deepEqual(ids(rules.due(again)), ["x"]);
  assert.deepEqual(ids(rules.discard(chat, "x").pending), ["y"]);
});

test("a server that knows less than we do is right: its history replaces ours, what had no receipt stays", () => {
  const chat = rules.post(hear(welcomed(), agentSays(1), agentSays(2), agentSays(3)), "x", { text: "x" });
  const { chat: next, ask } = rules.receive(rules.disconnected(chat), {
    type: "welcome",
    last_seq: 1,
  });
  assert.equal(ask, "hello");
  assert.equal(rules.lastSeq(next), 0);
  assert.deepEqual(ids(next.pending), ["x"]);
});

test("the end fails what was not stored and stops the sending", () => {
  const chat = hear(rules.post(welcomed(), "x", { text: "x" }), {
    type: "closed",
    reason: "agent",
  });
  assert.equal(chat.closed, "agent");
  assert.equal(chat.pending[0].code, "chat_closed");
  assert.deepEqual(rules.due(rules.post(chat, "y", { text: "y" })), []);
});

test("the dot tells the truth about the connection too", () => {
  const green = hear(welcomed(), {
    type: "status",
    dot: "green",
    position: null,
    agent: { name: "Bert" },
  });
  assert.equal(rules.dot(rules.conversation("citizen"), "connecting"), "grey");
  assert.equal(rules.dot(green, "open"), "green");
  assert.equal(rules.dot(rules.disconnected(green), "lost"), "red");
  assert.equal(rules.dot(rules.disconnected(green), "open"), "grey");
  assert.equal(rules.dot(hear(green, { type: "closed", reason: "citizen" }), "open"), "red");
});

test("status, typing and read of the other party", () => {
  let chat = hear(
    welcomed(),
    { type: "status", dot: "grey", position: 2, agent: null },
    { type: "typing", from: "agent", active: true },
    { type: "read", from: "agent", seq: 4 },
    { type: "read", from: "agent", seq: 2 },
  );
  assert.deepEqual([chat.position, chat.typing, chat.read], [2, true, 4]);
  assert.equal(hear(chat, agentSays(1)).typing, false);
  chat = hear(chat, { type: "typing", from: "citizen", active: false }, { type: "read", from: "citizen", seq: 9 });
  assert.deepEqual([chat.typing, chat.read], [true, 4]);
  assert.equal(rules.quiet(chat).typing, false);
});

test("after a hole nothing is sent until the welcome: hello makes the server forget what it refused", () => {
  const ahead = rules.receive(rules.post(welcomed(), "x", { text: "x" }), agentSays(2));
  assert.equal(ahead.ask, "hello");
  assert.deepEqual(rules.due(ahead.chat), []);
  assert.deepEqual(ids(rules.due(hear(ahead.chat, { type: "welcome", last_seq: 2 }))), ["x"]);
});

test("one hello at a time", () => {
  const heard = rules.receive(welcomed(), {
    type: "error",
    code: "rate_limited",
  });
  assert.equal(heard.ask, "later");
  assert.equal(rules.receive(heard.chat, { type: "error", code: "unavailable" }).ask, null);
  assert.equal(rules.receive(heard.chat, agentSays(2)).ask, null);
  assert.equal(rules.receive(hear(heard.chat, { type: "welcome", last_seq: 3 }), agentSays(3)).ask, "hello");
});

test("unread counts what the agent said after what was shown", () => {
  const chat = hear(welcomed(), agentSays(1), receipt(2, "x"), agentSays(3), agentSays(4));
  assert.equal(rules.unread(chat, 1), 2);
});

test("of the system's lines, that an agent has come and the end are unread", () => {
  const lines = ["opened", "assigned", "agent_left", "transferred", "closed", undefined];
  const chat = hear(
    welcomed(),
    ...lines.map((event, n) => ({
      ...agentSays(n + 1),
      from: "system",
      event,
    })),
  );
  assert.deepEqual(
    lines.map((_, n) => rules.unread(chat, n)),
    [2, 2, 1, 1, 1, 0],
  );
});

test("a text is 1 to 4,000 code points", () => {
  assert.equal(rules.problem(" \n"), "empty");
  assert.equal(rules.problem("😀".repeat(4000)), null);
  assert.equal(rules.problem("😀".repeat(4001)), "too_long");
});

test("unknown frames change nothing, and no state is changed in place", () => {
  const chat = Object.freeze(welcomed());
  Object.freeze(chat.messages);
  Object.freeze(chat.pending);
  Object.freeze(chat.ahead);
  assert.equal(rules.receive(chat, { type: "new_kind" }).chat, chat);
  hear(chat, agentSays(2), agentSays(1), {
    type: "error",
    code: "unavailable",
  });
  assert.deepEqual(seqs(chat), []);
});

// A server and a client over a line that loses, doubles and reorders frames, refuses, and breaks.
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function journey(seed) {
  const chance = random(seed);
  const log = []; // what the server stored
  const posted = [];
  let chat = rules.conversation("citizen");
  let up = []; // frames on the way to the server
  let down = []; // and to the client
  let refused = null; // the id from which on the server refuses
  const ask = () => up.push({ type: "hello", after: rules.lastSeq(chat) });
  const connect = () => {
    [up, down] = [up.slice(0, Math.floor(chance() * (up.length + 1))), []];
    up.forEach(serve); // some arrived before the line broke, their answers did not
    [up, down] = [[], []];
    chat = rules.disconnected(chat);
    ask();
  };
  const serve = (frame) => {
    if (frame.type === "hello") {
      refused = null;
      return down.push({ type: "welcome", last_seq: log.length }, ...log.slice(frame.after));
    }
    const known = log.find((one) => one.id === frame.id);
    if (!known && (refused === null ? chance() < 0.1 : frame.id !== refused)) {
      refused ??= frame.id;
      return down.push({
        type: "error",
        code: chance() < 0.5 ? "unavailable" : "rate_limited",
        id: frame.id,
      });
    }
    refused = null;
    if (!known) log.push(receipt(log.length + 1, frame.id));
    return down.push(known ?? log.at(-1));
  };
  const read = (frame) => {
    const heard = rules.receive(chat, frame);
    chat = heard.chat;
    if (heard.ask) ask();
    flush();
  };
  const flush = () => {
    const due = rules.due(chat);
    chat = rules.sent(chat, ids(due));
    up.push(...due);
  };
  // only messages are lost, doubled and reordered on the way through the servers; a socket keeps its order
  const spoil = (how) => {
    const places = down.flatMap((frame, place) => (frame.type === "message" ? [place] : []));
    if (!places.length) return;
    const [one, other] = [0, 0].map(() => places[Math.floor(chance() * places.length)]);
    if (how === "lose") down.splice(one, 1);
    else if (how === "double") down.push(down[one]);
    else [down[one], down[other]] = [down[other], down[one]];
  };
  const move = () => (chance() < 0.5 && up.length ? serve(up.shift()) : read(down.shift() ?? { type: "sync", last_seq: log.length }));
  const wild = () => {
    const pick = chance();
    if (pick < 0.2) {
      posted.push(`p${posted.length}`);
      chat = rules.post(chat, posted.at(-1), { text: posted.at(-1) });
      flush();
    } else if (pick < 0.28) {
      log.push(agentSays(log.length + 1));
      down.push(log.at(-1));
    } else if (pick < 0.31) connect();
    else if (pick < 0.43) spoil(["lose", "double", "swap"][Math.floor(chance() * 3)]);
    else move();
  };
  connect();
  for (let n = 0; n < 300; n += 1) wild();
  for (let n = 0; n < 5000 && (chat.pending.length || rules.lastSeq(chat) < log.length || up.length || down.length); n += 1) move();
  return { chat, log, posted };
}

test("whatever is lost, doubled, reordered, refused or cut, both end with the same messages, each once, in order of sending", () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const { chat, log, posted } = journey(seed);
    assert.deepEqual(chat.messages, log, `seed ${seed}`);
    assert.deepEqual(chat.pending, [], `seed ${seed}`);
    assert.deepEqual(
      log.filter((one) => one.from === "citizen").map((one) => one.id),
      posted,
      `seed ${seed}`,
    );
  }
});

const inLine = (wait) => ({
  type: "status",
  dot: "grey",
  position: 2,
  agent: null,
  ...(wait === undefined ? {} : { wait }),
});
const withAgent = {
  type: "status",
  dot: "green",
  position: null,
  agent: { name: "An" },
  wait: null,
};
const silent = (warning) => ({
  type: "inactive",
  warning,
  closes_at: warning ? "2026-11-23T08:05:00Z" : null,
  seconds: warning ? 300 : null,
});

test("the wait is the server's estimate; an older server, or one that does not know, says none", () => {
  assert.equal(welcomed().wait, null);
  assert.equal(hear(welcomed(), inLine(240)).wait, 240);
  assert.equal(hear(welcomed(), inLine(240), inLine()).wait, null);
  assert.equal(hear(welcomed(), inLine(null)).wait, null);
  assert.equal(hear(welcomed(), inLine(240), withAgent).wait, null);
});

test("a warning stands until the server takes it back, the agent leaves, the chat ends or the connection is lost", () => {
  const warned = hear(welcomed(), withAgent, silent(1));
  assert.equal(warned.inactive.seconds, 300);
  assert.equal(hear(warned, silent(2)).inactive.warning, 2);
  assert.equal(hear(warned, withAgent, agentSays(1)).inactive.warning, 1);
  assert.equal(hear(warned, { type: "welcome", last_seq: 0 }).inactive.warning, 1); // a second hello is not warned again
  assert.equal(hear(warned, silent(0)).inactive, null);
  assert.equal(hear(warned, inLine(60)).inactive, null);
  assert.equal(hear(warned, { type: "closed", reason: "inactive" }).inactive, null);
  assert.equal(rules.disconnected(warned).inactive, null);
});

test("a frame with members of another kind changes nothing wrongly and leaves no hole", () => {
  const strange = [
    { type: "status", dot: "purple" },
    { type: "status" },
    { type: "read", from: "agent", seq: "9" },
    { type: "sync", last_seq: "9" },
    { type: "inactive", warning: 1, closes_at: "soon", seconds: 300 },
    { type: "error" },
    { type: 7 },
  ];
  const chat = hear(welcomed(), ...strange);
  assert.deepEqual([chat.dot, chat.read, chat.inactive, chat.closed], ["grey", 0, null, null]);
  const status = hear(chat, {
    type: "status",
    dot: "grey",
    position: "2",
    agent: "An",
    wait: "9",
  });
  assert.deepEqual([status.position, status.agent, status.wait], [null, null, null]);
  const shown = hear(
    chat,
    { type: "message", seq: 1 },
    {
      type: "message",
      seq: 2,
      id: "x",
      from: "robot",
      name: {},
      text: 7,
      attachment: { name: "a" },
      at: "once",
    },
  ).messages;
  assert.deepEqual(
    shown.map(({ from, name, text, attachment, at }) => [from, name, text, attachment, at]),
    [
      ["system", undefined, "", undefined, null],
      ["system", undefined, "", undefined, null],
    ],
  );
  assert.equal(hear(chat, { type: "closed", reason: 7 }).closed, "inactive");
});

test("an agent who has the chat on the screen is told apart from a queue, until green", () => {
  const chat = hear(welcomed(), {
    type: "status",
    dot: "grey",
    position: null,
    agent: null,
    assigned: true,
  });
  assert.equal(chat.assigned, true);
  assert.equal(hear(chat, { type: "status", dot: "grey", position: 1 }).assigned, false);
  assert.equal(
    hear(chat, {
      type: "status",
      dot: "green",
      agent: { name: "An" },
      assigned: true,
    }).assigned,
    false,
  );
});
