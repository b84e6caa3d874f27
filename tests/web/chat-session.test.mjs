// Mirrors services/gateway/web/widget/chat-session.js: what becomes of a chat that no websocket reaches, and its end.
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
// What the session loads when it is needed: here it is there before, because the time of these tests is not the real one.
import "../../services/gateway/web/widget/chat-over-http.js";
import { joinChat } from "../../services/gateway/web/widget/chat-session.js";
import { createStore } from "../../services/gateway/web/widget/store.js";

const RECORD = {
  chat_id: "11111111-2222-4333-8444-555555555555",
  token: "secret",
  websocket: "/ws/citizen",
};
const said = (seq, text) => ({
  seq,
  id: `m${seq}`,
  from: "agent",
  name: "An",
  text,
  at: "2026-11-23T08:00:00Z",
});
const transcript = (more) => ({
  chat_id: RECORD.chat_id,
  department: "algemeen",
  locale: "nl",
  opened_at: "2026-11-23T08:00:00Z",
  closed_at: null,
  messages: [],
  ...more,
});
const settle = async () => {
  for (let n = 0; n < 10; n += 1) await turn();
};
const pass = async (ms) => {
  for (let left = ms; left > 0; left -= 500) {
    mock.timers.tick(Math.min(500, left));
    await settle();
  }
};

function browser(t) {
  const kept = new Map();
  const sockets = [];
  const asked = [];
  class WebSocket {
    constructor(url) {
      Object.assign(this, {
        url,
        readyState: 0,
        bufferedAmount: 0,
        frames: [],
      });
      sockets.push(this);
    }
    send(text) {
      this.frames.push(JSON.parse(text));
    }
    close() {
      this.readyState = 3;
    }
    accept(...frames) {
      this.readyState = 1;
      this.onopen?.({});
      for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
    }
    drop(code = 1006) {
      this.readyState = 3;
      this.onclose?.({ code });
    }
  }
  const page = {
    sockets,
    asked,
    kept,
    answer: () => Promise.reject(new TypeError("no network")),
    last: () => sockets.at(-1),
  };
  const localStorage = new Proxy(
    {},
    {
      ownKeys: () => [...kept.keys()],
      getOwnPropertyDescriptor: () => ({
        enumerable: true,
        configurable: true,
      }),
      get: (_, name) =>
        ({
          getItem: (key) => kept.get(key) ?? null,
          setItem: (key, value) => kept.set(key, value),
          removeItem: (key) => kept.delete(key),
        })[name],
    },
  );
  const fetch = async (url, request) => {
    asked.push(`${request.method ?? "GET"} ${url.replace("http://here", "")}`);
    return page.answer(url, request);
  };
  const on = () => {};
  const globals = {
    WebSocket,
    localStorage,
    sessionStorage: {},
    fetch,
    addEventListener: on,
    removeEventListener: on,
    document: {
      visibilityState: "visible",
      addEventListener: on,
      removeEventListener: on,
    },
  };
  const before = Object.fromEntries(Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, {
      value,
      configurable: true,
      writable: true,
    });
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_795_420_800_000 });
  t.after(() => {
    page.session?.leave();
    mock.timers.reset();
    for (const [name, descriptor] of Object.entries(before))
      descriptor ? Object.defineProperty(globalThis, name, descriptor) : delete globalThis[name];
  });
  return page;
}

function joined(t, more = {}, prepare = () => {}) {
  const page = browser(t);
  prepare(page);
  page.store = createStore("eloket-chat here ");
  page.untold = [];
  page.session = joinChat({
    base: "http://here",
    record: { ...RECORD, ...more },
    store: page.store,
    onChange: (chat, link) => Object.assign(page, { chat, link }),
    onUntold: (value) => page.untold.push(value),
  });
  return page;
}

const refusing = async (page, ms) => {
  for (let left = ms; left > 0; left -= 500) {
    if (page.last().readyState === 0) page.last().drop();
    await pass(500);
  }
};
// The next try, accepted.
const reached = async (page, ...frames) => {
  while (page.last().readyState !== 0) await pass(100);
  page.last().accept(...frames);
};
const WELCOME = [
  { type: "welcome", chat_id: RECORD.chat_id, dot: "grey", last_seq: 0 },
  { type: "status", dot: "green", position: null, agent: { name: "An" } },
];

test("no websocket for 10 s though HTTP answers: the network blocks it; what was said is shown", async (t) => {
  const it = joined(t);
  it.answer = async () => Response.json(transcript({ messages: [said(1, "Dag")] }));
  await refusing(it, 9_500);
  assert.equal(it.link?.trouble ?? null, null);
  await refusing(it, 1_000);
  assert.equal(it.link.trouble, "blocked");
  assert.deepEqual(
    it.chat.messages.map(({ text }) => text),
    ["Dag"],
  );
  await reached(it, ...WELCOME);
  assert.deepEqual([it.link.trouble, it.link.state, it.chat.dot], [null, "open", "green"]);
});

test("nothing comes through at all: the server is out of reach, and it is asked ever more rarely", async (t) => {
  const it = joined(t);
  await refusing(it, 600_000);
  assert.equal(it.link.trouble, "unreached");
  const questions = it.asked.filter((one) => one.includes("/transcript"));
  assert.ok(questions.length < 12, `${questions.length}`);
});

for (const [name, answer] of [
  ["a page", async () => new Response("<h1>Sign in")],
  ["another chat", async () => Response.json(transcript({ chat_id: "x" }))],
  ["no list", async () => Response.json(transcript({ messages: 7 }))],
  ["nonsense", async () => Response.json(transcript({ messages: [7, null, {}, { seq: 1 }] }))],
])
  test(`${name} instead of the conversation ends nothing`, async (t) => {
    const it = joined(t);
    it.answer = answer;
    await refusing(it, 60_000);
    assert.equal(it.chat.closed, null);
    assert.ok(["unreached", "blocked"].includes(it.link.trouble));
  });

test("the server ended it meanwhile: that is what the page shows, and it stops trying", async (t) => {
  const it = joined(t);
  it.answer = async () => Response.json(transcript({ closed_at: "2026-11-23T08:01:00Z" }));
  await refusing(it, 12_000);
  assert.deepEqual([it.chat.closed, it.link.state, it.link.code], ["unreached", "ended", 1000]);
  const count = it.sockets.length;
  await pass(120_000);
  assert.equal(it.sockets.length, count);
});

test("what was read over HTTP does not make it a chat that was silent", async (t) => {
  const it = joined(t, { shown: 2 });
  it.answer = async () => Response.json(transcript({ messages: [said(1, "Dag")] }));
  await refusing(it, 12_000);
  it.answer = async () =>
    Response.json(
      transcript({
        messages: [said(1, "Dag")],
        closed_at: "2026-11-23T08:01:00Z",
      }),
    );
  await refusing(it, 40_000);
  assert.equal(it.chat.closed, "unreached");
});

test("a chat that the server does not know is gone", async (t) => {
  const it = joined(t);
  it.answer = async () => Response.json({ code: "no_such_chat" }, { status: 404 });
  await refusing(it, 12_000);
  assert.deepEqual([it.link.state, it.link.code], ["ended", 4404]);
});

test("an end goes over HTTP when there is no websocket", async (t) => {
  const it = joined(t);
  it.answer = async (_, { method }) => (method === "DELETE" ? new Response(null, { status: 204 }) : new Response("", { status: 502 }));
  it.session.end();
  await settle();
  assert.deepEqual(it.asked, [`DELETE /api/chats/${RECORD.chat_id}`]);
  assert.deepEqual([it.chat.closed, it.link.state, it.untold], ["citizen", "ended", []]);
});

test("an end that nobody hears ends here after 10 s, and is told when it can be", async (t) => {
  const it = joined(t);
  it.session.end();
  await refusing(it, 9_500);
  assert.equal(it.chat.closed, null);
  await refusing(it, 1_000);
  assert.deepEqual([it.chat.closed, it.untold, it.session.untold()], ["citizen", [true], true]);
  await reached(it, ...WELCOME);
  assert.ok(it.last().frames.some(({ type }) => type === "close"));
  it.last().onmessage({
    data: JSON.stringify({ type: "closed", reason: "citizen" }),
  });
  assert.deepEqual(it.untold, [true, false]);
});

test("a reload shows an end that the server does not know yet as an end, and tells it", async (t) => {
  const it = joined(t, { untold: true }, (page) => (page.answer = async () => new Response(null, { status: 204 })));
  await settle();
  assert.deepEqual([it.chat.closed, it.untold, it.asked[0]], ["citizen", [false], `DELETE /api/chats/${RECORD.chat_id}`]);
});

test("a short outage of an established chat is none of this; what is unsent goes before the end", async (t) => {
  const it = joined(t);
  it.last().accept(...WELCOME);
  await pass(5_000);
  it.last().drop();
  it.session.post("nog iets");
  it.session.end();
  await pass(4_000);
  assert.deepEqual([it.link.trouble, it.asked, it.chat.closed], [null, [], null]);
  it.last().accept(...WELCOME);
  assert.deepEqual(
    it
      .last()
      .frames.map(({ type }) => type)
      .slice(0, 3),
    ["hello", "message", "close"],
  );
});

test("a long outage is told as one, and what the agent wrote meanwhile is read over HTTP", async (t) => {
  const it = joined(t);
  it.last().accept(...WELCOME);
  await pass(1_000);
  it.answer = async () => Response.json(transcript({ messages: [said(1, "Bent u er nog?")] }));
  it.last().drop();
  await refusing(it, 35_000);
  assert.deepEqual([it.link.trouble, it.chat.messages.length], ["long", 1]);
});

test("a connection that comes and goes without a welcome is none, however often it opens", async (t) => {
  const flapping = async (page, ms) => {
    for (let left = ms; left > 0; left -= 500) {
      if (page.last().readyState === 0) page.last().accept();
      if (page.last().readyState === 1) page.last().drop();
      await pass(500);
    }
  };
  const it = joined(t);
  await flapping(it, 12_000);
  assert.equal(it.link.trouble, "unreached");
  await reached(it, ...WELCOME);
  assert.equal(it.link.trouble, null);
  await flapping(it, 35_000);
  assert.equal(it.link.trouble, "long");
});

test("something on the way that closes as if the chat had ended does not end it", async (t) => {
  const it = joined(t);
  it.last().accept(...WELCOME);
  it.last().drop(1000);
  assert.deepEqual([it.chat.closed, it.link.state], [null, "lost"]);
  await reached(it, ...WELCOME, { type: "closed", reason: "agent" });
  it.last().drop(1000);
  assert.deepEqual([it.chat.closed, it.link.state], ["agent", "ended"]);
});

test("kept messages that are none are passed over", async (t) => {
  const good = {
    id: "a",
    text: "x",
    chat: RECORD.chat_id,
    since: 1,
    n: 0,
    state: "sending",
  };
  const it = joined(t, {}, ({ kept }) => {
    for (const [name, item] of Object.entries({
      a: good,
      b: { chat: RECORD.chat_id },
      c: { ...good, id: 7 },
      d: { ...good, text: undefined, attachment: "f", file: {} },
    }))
      kept.set(`eloket-chat here p:${name}`, JSON.stringify(item));
    kept.set("eloket-chat here p:e", "{");
  });
  it.last().accept(...WELCOME);
  assert.deepEqual(
    it.chat.pending.map(({ id }) => id),
    ["a"],
  );
});

test("a chat that is being started keeps what is posted, and sends it in order once it is there", async (t) => {
  const page = browser(t);
  const store = createStore("test ");
  const record = { chat_id: "", token: "", websocket: "" };
  let state, link;
  const session = joinChat({
    base: "http://here",
    record,
    store,
    onChange: (next, now) => ([state, link] = [next, now]),
    onUntold: () => {},
  });
  assert.deepEqual([state.dot, link.state], ["grey", "connecting"]); // there is a dot before there is a chat
  session.post("een");
  session.post("twee");
  await pass(60_000);
  assert.equal(page.sockets.length, 0);
  assert.equal(link.trouble, null);
  assert.deepEqual(
    store.waiting("").map(({ text }) => text),
    ["een", "twee"],
  );
  Object.assign(record, RECORD);
  session.begin();
  assert.deepEqual(store.waiting(""), []);
  assert.deepEqual(
    store.waiting(RECORD.chat_id).map(({ text }) => text),
    ["een", "twee"],
  );
  assert.equal(page.last().url, "ws://here/ws/citizen");
  page.last().accept({
    type: "welcome",
    chat_id: RECORD.chat_id,
    dot: "grey",
    last_seq: 0,
    name: "Lien",
    frames: ["details"],
  });
  assert.deepEqual([state.name, state.frames], ["Lien", ["details"]]);
  assert.deepEqual(
    page.last().frames.map(({ type, text }) => text ?? type),
    ["hello", "een", "twee"],
  );
  session.leave();
});

test("a chat that could not be started gives back what was posted, and the next message asks for it again", async (t) => {
  browser(t);
  const store = createStore("test ");
  let link;
  let asked = 0;
  const record = { chat_id: "", token: "", websocket: "" };
  const session = joinChat({
    base: "http://here",
    record,
    store,
    onChange: (_, now) => (link = now),
    onUntold: () => {},
    onStart: () => (asked += 1),
  });
  session.post("een");
  assert.equal(asked, 0);
  assert.deepEqual(session.refuse(), ["een"]);
  assert.deepEqual(store.waiting(""), []);
  assert.deepEqual([link.state, link.refused], ["ended", true]);
  session.post("een");
  assert.deepEqual([asked, link.state, link.refused], [1, "connecting", undefined]);
  session.refuse();
  session.reopen();
  assert.equal(asked, 2);
  session.leave();
});
