// Mirrors services/gateway/web/widget/start-chat.js: only a whole 201 is a chat, and a repeat is one only of the same form.
import assert from "node:assert/strict";
import test from "node:test";
import { browserOf, press, pressNow, startChat } from "../../services/gateway/web/widget/start-chat.js";

const CHAT = {
  chat_id: "11111111-2222-4333-8444-555555555555",
  token: "secret",
  websocket: "/ws/citizen",
};
const asChat = (value) => (value?.chat_id && value.token && value.websocket ? value : null);

function memory(kept = {}) {
  return {
    kept,
    read: (name) => kept[name] ?? null,
    write: (name, value) => (value === null ? delete kept[name] : (kept[name] = value)),
  };
}

async function pressed(t, answer, store = memory(), details = { locale: "nl" }) {
  const calls = [];
  t.mock.method(globalThis, "fetch", async (...call) => {
    calls.push(call);
    return answer();
  });
  return {
    told: await startChat("http://here", store, details, asChat),
    key: calls[0][1].headers["Idempotency-Key"],
    request: calls[0][1],
    store,
  };
}

const json = (status, body, headers) => () => Response.json(body, { status, headers });
const page = (status) => () =>
  new Response("<h1>Sign in", {
    status,
    headers: { "Content-Type": "text/html" },
  });

test("a 201 with all its members is a chat, and nothing else of it is kept", async (t) => {
  const { told, request, store } = await pressed(t, json(201, { ...CHAT, more: 1 }));
  assert.deepEqual(told, { record: CHAT });
  assert.equal(request.headers["Content-Type"], "application/json");
  assert.ok(request.headers["Idempotency-Key"].length >= 22);
  assert.deepEqual(store.kept, {});
});

test("anything else that says it went well is strange, and the repeat is the same press", async (t) => {
  for (const answer of [
    page(200),
    page(201),
    json(200, CHAT),
    json(201, {}),
    json(201, null),
    json(201, { ...CHAT, token: "" }),
    json(206, CHAT),
    page(403),
  ]) {
    const first = await pressed(t, answer);
    assert.equal(first.told.code, "strange");
    assert.equal((await pressed(t, answer, first.store)).key, first.key);
  }
});

test("a page of a proxy with an error is strange, no answer is the network", async (t) => {
  assert.equal((await pressed(t, page(502))).told.code, "strange");
  assert.equal((await pressed(t, () => Promise.reject(new TypeError("no network")))).told.code, "network");
});

test("a refusal is its code, with the time to wait and a path of our own", async (t) => {
  const blue = await pressed(t, json(409, { code: "button_blue", infofiche_url: "/infofiche/x" }));
  assert.deepEqual(blue.told, {
    code: "button_blue",
    seconds: 5,
    infofiche: "/infofiche/x",
  });
  assert.equal(
    (
      await pressed(
        t,
        json(409, {
          code: "button_blue",
          infofiche_url: "https://evil.example",
        }),
      )
    ).told.infofiche,
    undefined,
  );
  for (const [header, seconds] of [
    ["7", 7],
    ["-1", 5],
    ["soon", 5],
    ["99999", 3600],
  ])
    assert.equal((await pressed(t, json(429, { code: "rate_limited" }, { "Retry-After": header }))).told.seconds, seconds);
});

test("another question has another key: the server refuses a key with another body", async (t) => {
  const first = await pressed(t, page(502));
  assert.equal((await pressed(t, page(502), first.store)).key, first.key);
  assert.notEqual((await pressed(t, page(502), first.store, { locale: "nl", question: "x" })).key, first.key);
});

test("a kept key that is none, or of another time, is not used", async (t) => {
  const { store } = await pressed(t, page(502));
  const good = store.kept.start;
  for (const start of [
    { ...good, key: "1" },
    { ...good, key: 7 },
    { ...good, at: Date.now() + 3600_000 },
    { ...good, at: Date.now() - 600_000 },
    "x",
    {},
    { key: good.key, at: Date.now() },
  ])
    assert.notEqual((await pressed(t, page(502), memory({ start }))).key, start.key ?? "");
});

test("the id of the browser is random, stays, and is made anew when it is none", () => {
  const store = memory();
  const id = browserOf(store);
  assert.match(id, /^[\w-]{22,64}$/);
  assert.equal(browserOf(store), id);
  for (const browser of ["1", 7, {}, "x".repeat(65)]) assert.notEqual(browserOf(memory({ browser })), browser);
});

const HOW = { seen: 42, reservation: "token" };

test("how a chat starts is sent with it, and does not make it another one", async (t) => {
  const store = memory();
  const calls = [];
  t.mock.method(globalThis, "fetch", async (...call) => (calls.push(call), page(502)()));
  for (const how of [undefined, HOW, { seen: 43 }]) await startChat("http://here", store, { locale: "nl" }, asChat, how);
  assert.equal(new Set(calls.map(([, request]) => request.headers["Idempotency-Key"])).size, 1);
  assert.deepEqual(JSON.parse(calls[1][1].body), { locale: "nl", ...HOW });
});

function pressed1(t, title, store, button = { colour: "green", revision: 7 }) {
  Object.assign(globalThis, {
    location: {
      origin: "https://a",
      pathname: `/${title}`,
      protocol: "https:",
    },
    document: { title },
  });
  return pressNow({ getAttribute: () => null, frame: { lang: "nl" }, button, asChat }, "http://here", store);
}

test("presses in two tabs at the same time are one request, whatever page each is on", async (t) => {
  const store = memory();
  const calls = [];
  let answer;
  t.mock.method(globalThis, "fetch", (...call) => (calls.push(call), new Promise((resolve) => (answer = resolve))));
  const first = pressed1(t, "one", store);
  const release = answer;
  const second = pressed1(t, "two", store);
  for (const resolve of [release, answer]) resolve(Response.json(CHAT, { status: 201 }));
  assert.deepEqual((await first).record, CHAT);
  assert.deepEqual((await second).record, CHAT);
  const [one, two] = calls.map(([, request]) => [request.headers["Idempotency-Key"], request.body]);
  assert.deepEqual(one, two);
  assert.equal(JSON.parse(one[1]).form.title, "one");
  assert.equal(JSON.parse(one[1]).seen, 7);
  pressed1(t, "two", store, { colour: "blue", revision: 8 });
  const [, later] = calls.at(-1);
  assert.equal(JSON.parse(later.body).form.title, "two");
  assert.equal(JSON.parse(later.body).seen, undefined);
});

test("a press before the panel asks for nothing where a chat is kept", async (t) => {
  t.mock.method(globalThis, "fetch", () => assert.fail("asked"));
  assert.equal(await press({ store: memory({ chat: CHAT }) }, "http://here", ""), null);
});
