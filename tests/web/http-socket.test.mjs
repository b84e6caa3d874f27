// Mirrors services/gateway/web/shared/http-socket.js and httpWay of connection.js: frames over HTTP, with a server made of promises.
import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { HttpSocket } from "../../services/gateway/web/shared/http-socket.js";
import { httpWay } from "../../services/gateway/web/shared/connection.js";

const URL_OF_CHAT = "http://here/api/chats/c";
const settle = async () => {
  for (let n = 0; n < 20; n += 1) await turn();
};

/** A browser with a clock that the test moves, and a server whose answers the test gives. */
function browser() {
  const timers = new Map();
  const asked = [];
  let now = 1_000_000;
  let set = 0; // by how much the computer's clock was set since
  let ids = 0;
  const env = {
    Date: { now: () => now + set },
    setTimeout: (call, ms) => (timers.set(++ids, { call, at: now + ms }), ids),
    clearTimeout: (id) => timers.delete(id),
    fetch: (url, request) =>
      new Promise((resolve, reject) => {
        const one = {
          url: url.replace(URL_OF_CHAT, ""),
          request,
          reject,
          resolve,
        };
        one.body = request.body && JSON.parse(request.body).frames;
        asked.push(one);
        request.signal.addEventListener("abort", () => {
          reject(new DOMException("aborted", "AbortError"));
          try {
            one.stream?.error(new DOMException("aborted", "AbortError"));
          } catch {
            // it had ended
          }
        });
      }),
  };
  const pass = async (ms) => {
    await settle();
    const end = now + ms;
    for (;;) {
      const next = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!next) break;
      timers.delete(next[0]);
      now = Math.max(now, next[1].at);
      next[1].call();
      await settle();
    }
    now = end;
    await settle();
  };
  const of = (path) => asked.filter(({ url }) => url.startsWith(path));
  return {
    env,
    pass,
    set: (ms) => (set += ms),
    asked,
    streams: () => of("/stream"),
    posts: () => of("/frames"),
  };
}

const encoder = new TextEncoder();
/** The stream begins; `.say(text)`, `.end()`, `.cut()`. */
async function begin(one, type = "text/event-stream; charset=utf-8") {
  const body = new ReadableStream({
    start: (controller) => (one.stream = controller),
  });
  one.resolve(new Response(body, { headers: { "Content-Type": type } }));
  one.say = async (text) => (one.stream.enqueue(encoder.encode(text)), settle());
  one.end = async () => (one.stream.close(), settle());
  one.cut = async () => (one.stream.error(new TypeError("network error")), settle());
  await settle();
  return one;
}
const data = (frame) => `data: ${JSON.stringify(frame)}\n\n`;
const PADDING = `:${" ".repeat(100)}\n\n`;
const WELCOME = { type: "welcome", last_seq: 0 };
const problem = (status, code) =>
  new Response(JSON.stringify({ code }), {
    status,
    headers: { "Content-Type": "application/problem+json" },
  });

async function opened({ poll = false, start = true } = {}) {
  const page = browser();
  const it = {
    ...page,
    frames: [],
    closes: [],
    opens: 0,
    firsts: [],
    after: 0,
  };
  it.socket = new HttpSocket({
    url: URL_OF_CHAT,
    hello: () => ({ type: "hello", token: "secret", after: it.after }),
    poll,
    onFirst: (way) => it.firsts.push(way),
    env: page.env,
  });
  it.socket.onopen = () => (it.opens += 1);
  it.socket.onmessage = ({ data: text }) => it.frames.push(JSON.parse(text));
  it.socket.onclose = ({ code, reason }) => it.closes.push([code, reason]);
  await settle();
  if (start) {
    await begin(it.streams()[0]);
    await it.streams()[0].say(PADDING + data(WELCOME));
  }
  return it;
}
const query = (one) => new URLSearchParams(one.url.split("?")[1]);

test("opening the stream is the hello; the token is in a header alone", async () => {
  const it = await opened();
  const [{ url, request }] = it.streams();
  assert.equal(query({ url }).get("after"), "0");
  assert.ok(!url.includes("secret"));
  assert.equal(request.headers.Authorization, "Bearer secret");
  assert.equal(request.credentials, "omit");
  assert.deepEqual([it.opens, it.frames, it.firsts], [1, [WELCOME], [false]]);
});

test("frames come whole, however they are cut into pieces", async () => {
  const it = await opened();
  const frame = { type: "message", seq: 1, text: "regel\u2028twee \u{1f600}" };
  const bytes = encoder.encode(data(frame) + data({ type: "sync", last_seq: 1 }));
  for (const byte of bytes) it.streams()[0].stream.enqueue(Uint8Array.of(byte));
  await settle();
  assert.deepEqual(it.frames.slice(1), [frame, { type: "sync", last_seq: 1 }]);
});

for (const how of ["end", "cut"])
  test(`a stream that the server or a proxy ends (${how}) is opened again at once from the last seq`, async () => {
    const it = await opened();
    it.after = 7;
    await it.streams()[0].say('data: {"type":"half');
    await it.streams()[0][how]();
    await it.pass(0);
    assert.equal(it.streams().length, 2);
    assert.equal(query(it.streams()[1]).get("after"), "7");
    assert.equal(query(it.streams()[1]).get("session"), query(it.streams()[0]).get("session"));
    await begin(it.streams()[1]);
    await it.streams()[1].say(data(WELCOME));
    assert.deepEqual([it.closes, it.opens, it.frames.length], [[], 1, 2]);
  });

test("a stream that cannot be opened again is a lost connection after the second try", async () => {
  const it = await opened();
  await it.streams()[0].cut();
  it.streams()[1].reject(new TypeError("refused"));
  await it.pass(499);
  assert.deepEqual(it.closes, []);
  await it.pass(1);
  it.streams()[2].resolve(new Response("<h1>Bad gateway", { status: 502 }));
  await it.pass(0);
  assert.deepEqual([it.closes, it.socket.readyState], [[[1006, ""]], 3]);
});

for (const [name, first] of [
  ["no head", async () => {}],
  ["a head and nothing more", (one) => begin(one)],
])
  test(`a stream of which ${name} comes in 3 s is held back: it polls`, async () => {
    const it = await opened({ start: false });
    await first(it.streams()[0]);
    await it.pass(2_999);
    assert.equal(it.streams().length, 1);
    await it.pass(1);
    assert.equal(it.streams().length, 2);
    assert.equal(query(it.streams()[1]).get("poll"), "true");
    await begin(it.streams()[1]);
    await it.streams()[1].say(PADDING + data(WELCOME) + `id: 5f\n${data({ type: "status", dot: "grey" })}`);
    await it.streams()[1].end();
    assert.deepEqual([it.opens, it.frames.length, it.firsts, it.closes], [1, 2, [true], []]);
  });

test("polls follow each other, once a second at most, and name the states that are known", async () => {
  const it = await opened({ poll: true, start: false });
  await begin(it.streams()[0]);
  await it
    .streams()[0]
    .say(`${data(WELCOME)}id: 5f\n${data({ type: "status" })}id: 77\n${data({ type: "read" })}id: 60\n${data({ type: "status" })}`);
  await it.streams()[0].end();
  await it.pass(999);
  assert.equal(it.streams().length, 1);
  await it.pass(1);
  assert.deepEqual(query(it.streams()[1]).get("known").split(",").sort(), ["60", "77"]);
  await it.pass(8_000);
  await begin(it.streams()[1]);
  await it.streams()[1].say(data(WELCOME));
  await it.streams()[1].end();
  assert.equal(it.streams().length, 3, "one that took its time is followed at once");
});

test("a computer whose clock is set back polls on", async () => {
  const it = await opened({ poll: true, start: false });
  await begin(it.streams()[0]);
  it.set(-3_600_000);
  await it.streams()[0].say(PADDING + data(WELCOME));
  await it.streams()[0].end();
  await it.pass(1_000);
  assert.equal(it.streams().length, 2);
});

test("a stream that came through once is not taken for one that is held back", async () => {
  const it = await opened();
  await it.streams()[0].cut();
  await it.pass(6_000);
  await it.pass(500);
  assert.equal(query(it.streams().at(-1)).get("poll"), null);
});

test("what the server closes with is the close of the connection", async () => {
  const it = await opened();
  await it.streams()[0].say('event: close\ndata: {"code":1012,"reason":"restart"}\n\n');
  assert.deepEqual(it.closes, [[1012, "restart"]]);
  await it.pass(60_000);
  assert.equal(it.streams().length, 1);
});

for (const [status, code, close] of [
  [401, "unauthenticated", 4401],
  [403, "forbidden", 4401],
  [403, "origin_not_allowed", 4403],
  [429, "rate_limited", 1006],
  [404, "not_found", 1006],
])
  test(`the problem ${code} is ${close}`, async () => {
    const it = await opened({ start: false });
    it.streams()[0].resolve(problem(status, code));
    await settle();
    assert.deepEqual(it.closes, [[close, ""]]);
  });

test("a page of the network instead of the stream is no connection, and ends nothing", async () => {
  for (const answer of [new Response("<h1>Sign in"), new Response("<h1>Forbidden", { status: 403 })]) {
    const it = await opened({ start: false });
    it.streams()[0].resolve(answer);
    await settle();
    assert.deepEqual([it.closes, it.opens], [[[1006, ""]], 0]);
  }
});

test("frames go one request at a time, in order, together when they wait", async () => {
  const it = await opened();
  for (let id = 1; id <= 40; id += 1) it.socket.send(JSON.stringify({ type: "message", id }));
  await settle();
  assert.deepEqual(
    it.posts().map(({ body }) => body.map(({ id }) => id)),
    [[1]],
  );
  for (let n = 0; n < 3; n += 1) {
    it.posts()[n].resolve(Response.json({ frames: [] }));
    await settle();
  }
  assert.deepEqual(
    it.posts().map(({ body }) => body.length),
    [1, 32, 7],
  );
  assert.deepEqual(
    it.posts().flatMap(({ body }) => body.map(({ id }) => id)),
    Array.from({ length: 40 }, (_, n) => n + 1),
  );
  assert.equal(it.socket.bufferedAmount, 0);
});

test("a request is not larger than the server takes", async () => {
  const it = await opened();
  for (let id = 0; id < 12; id += 1) it.socket.send(JSON.stringify({ type: "message", id, text: "€".repeat(4_000) }));
  for (let n = 0; n < 12 && it.socket.bufferedAmount; n += 1) {
    await settle();
    it.posts()
      .at(-1)
      .resolve(Response.json({ frames: [] }));
    await settle();
  }
  assert.ok(it.posts().every(({ request }) => Buffer.byteLength(request.body) <= 65_536));
  assert.equal(it.posts().flatMap(({ body }) => body).length, 12);
});

test("a request without an answer, or that is refused for now, is sent again as it was", async () => {
  const it = await opened();
  it.socket.send(JSON.stringify({ type: "message", id: 1 }));
  await settle();
  it.socket.send(JSON.stringify({ type: "message", id: 2 }));
  it.posts()[0].reject(new TypeError("network error"));
  await it.pass(500);
  it.posts()[1].resolve(problem(503, "unavailable"));
  await it.pass(1_000);
  it.posts()[2].resolve(problem(429, "rate_limited"));
  await it.pass(2_000);
  assert.deepEqual([...new Set(it.posts().map(({ body }) => JSON.stringify(body.slice(0, 1))))], ['[{"type":"message","id":1}]']);
  it.posts()[3].resolve(Response.json({ frames: [] }));
  await settle();
  assert.deepEqual([it.closes, it.socket.bufferedAmount], [[], 0]);
});

test("what follows a message that was refused for now does not overtake it", async () => {
  const it = await opened();
  it.socket.send(JSON.stringify({ type: "message", id: 1 }));
  it.socket.send(JSON.stringify({ type: "message", id: 2 }));
  await settle();
  const refusal = { type: "error", code: "rate_limited", id: 1 };
  it.posts()[0].resolve(Response.json({ frames: [refusal] }));
  await settle();
  assert.deepEqual([it.posts().length, it.frames.at(-1)], [1, refusal]);
  it.after = 4;
  it.socket.send(JSON.stringify({ type: "hello", token: "secret", after: 4 }));
  await settle();
  assert.equal(query(it.streams()[1]).get("after"), "4");
  it.socket.send(JSON.stringify({ type: "message", id: 1 }));
  await settle();
  assert.equal(it.posts().length, 2);
});

test("a message that is sent again while it is on its way is there once, and states are not", async () => {
  const it = await opened();
  for (const id of [1, 2, 1, 2, 3]) it.socket.send(JSON.stringify({ type: "message", id }));
  for (const active of [true, false, true]) it.socket.send(JSON.stringify({ type: "typing", active }));
  await settle();
  for (let n = 0; n < 2; n += 1) {
    it.posts()[n].resolve(Response.json({ frames: [] }));
    await settle();
  }
  const sent = it.posts().flatMap(({ body }) => body.map(({ id, active }) => id ?? active));
  assert.deepEqual(sent, [1, 2, 3, true, false, true]);
  it.socket.send(JSON.stringify({ type: "message", id: 1 }));
  await settle();
  assert.equal(it.posts().length, 3);
});

test("a network that lets the stream through and no request is a lost connection", async () => {
  const it = await opened();
  it.socket.send(JSON.stringify({ type: "typing", active: true }));
  for (let n = 0; n < 4; n += 1) {
    await settle();
    it.posts()
      .at(-1)
      .resolve(new Response("<h1>Forbidden", { status: 403 }));
    await it.pass(5_000);
  }
  assert.deepEqual(it.closes, [[1006, ""]]);
});

test("close aborts everything, without a word", async () => {
  const it = await opened();
  it.socket.send(JSON.stringify({ type: "typing", active: true }));
  await settle();
  it.socket.close();
  await settle();
  assert.ok(it.asked.every(({ request }) => request.signal.aborted));
  await it.pass(60_000);
  assert.deepEqual([it.asked.length, it.closes], [2, []]);
});

test("that HTTP was needed, and how, is remembered for the session of the browser and a while", async (t) => {
  const kept = new Map();
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
  };
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const { fetch } = globalThis;
  globalThis.fetch = () => new Promise(() => {});
  t.after(() => (globalThis.fetch = fetch));
  const way = httpWay(URL_OF_CHAT, storage);
  assert.equal(way.needed(), false);
  const socket = await way.make(() => ({ token: "t", after: 0 }));
  assert.deepEqual([socket.poll, way.needed()], [false, false], "only what has worked is remembered");
  socket.onFirst(true);
  socket.close();
  const later = httpWay(URL_OF_CHAT, storage);
  assert.equal(later.needed(), true);
  const again = await later.make(() => ({ token: "t", after: 0 }));
  assert.equal(again.poll, true);
  again.close();
  assert.equal(httpWay("http://elsewhere/api/chats/c", storage).needed(), false);
  t.mock.timers.tick(600_001);
  assert.equal(httpWay(URL_OF_CHAT, storage).needed(), false);
  kept.set([...kept.keys()][0], "{");
  assert.equal(httpWay(URL_OF_CHAT, storage).needed(), false);
});
