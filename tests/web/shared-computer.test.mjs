// Mirrors services/gateway/web/widget/store.js, tabs.js and shared-computer.js: where a chat is kept, which tabs find it, what its end leaves.
import assert from "node:assert/strict";
import test from "node:test";
import { giveUp, isShared, setShared, shareWithTabs } from "../../services/gateway/web/widget/shared-computer.js";
import { createStore } from "../../services/gateway/web/widget/store.js";
import { followTabs } from "../../services/gateway/web/widget/tabs.js";

const PREFIX = "eloket-chat here ";
const CHAT = { chat_id: "one", token: "secret", websocket: "/ws/citizen" };
const host = (storage = null) => ({
  chat: {},
  getAttribute: (name) => (name === "storage" ? storage : null),
});
const LOCAL = host("local");
const PENDING = { id: "m1", text: "onderweg", chat: "one", since: 1, n: 0 };

function storage(full = false) {
  const kept = new Map();
  const methods = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => {
      if (full) throw new DOMException("full", "QuotaExceededError");
      kept.set(key, value);
    },
    removeItem: (key) => kept.delete(key),
  };
  return new Proxy(kept, {
    ownKeys: () => [...kept.keys()],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
    get: (_, name) => methods[name],
  });
}

function browser(t, { full = false } = {}) {
  const listeners = [];
  const globals = {
    localStorage: storage(),
    sessionStorage: storage(full),
    addEventListener: (type, listener, options) => listeners.push([type, listener, options]),
  };
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, {
      value,
      configurable: true,
      writable: true,
    });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  return {
    ...globals,
    listeners,
    keys: (area) => Object.keys(area).map((key) => key.slice(PREFIX.length)),
  };
}

test("a chat is in local storage where the page asks for it, until the computer is a shared one; a pending message goes along", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX, LOCAL);
  for (const [name, value] of [
    ["chat", CHAT],
    ["p:m1", PENDING],
    ["draft", "half"],
    ["browser", "id"],
    ["sound", true],
  ])
    store.write(name, value);
  assert.deepEqual([isShared(PREFIX), it.keys(it.sessionStorage)], [false, []]);
  setShared(store, true);
  assert.equal(isShared(PREFIX), true);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "shared", "sound"]);
  assert.deepEqual(it.keys(it.sessionStorage).sort(), ["chat", "draft", "p:m1"]);
  assert.deepEqual([store.read("chat"), store.read("draft"), store.waiting("one")], [CHAT, "half", [PENDING]]);
  store.write("p:m2", { ...PENDING, id: "m2" });
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "shared", "sound"]);
  setShared(store, false);
  assert.deepEqual([store.read("chat"), store.waiting("one").length, it.keys(it.sessionStorage)], [CHAT, 2, []]);
});

test("the end of a chat leaves what the citizen set and the id of the browser", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX, LOCAL);
  setShared(store, true);
  it.sessionStorage.setItem(`${PREFIX}notice`, "closed");
  for (const [name, value] of [
    ["chat", CHAT],
    ["p:m1", PENDING],
    ["draft", "half"],
    ["start", {}],
    ["press", {}],
    ["notify", true],
  ])
    store.write(name, value);
  store.clear();
  assert.deepEqual(it.keys(it.sessionStorage), ["notice"]);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["notify", "shared"]);
});

test("without room for the move everything stays where it is", (t) => {
  const it = browser(t, { full: true });
  const store = createStore(PREFIX, LOCAL);
  store.write("chat", CHAT);
  setShared(store, true);
  assert.deepEqual([isShared(PREFIX), store.read("chat"), it.keys(it.sessionStorage)], [false, CHAT, []]);
});

const KEPT = [
  ["chat", CHAT],
  ["p:m1", PENDING],
  ["draft", "half"],
  ["press", { at: 1 }],
  ["start", { key: "k" }],
  ["browser", "id"],
  ["sound", true],
];

test("a chat is in session storage, and in local storage only a press that has no answer yet and what is of the browser", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX, host());
  for (const [name, value] of KEPT) store.write(name, value);
  assert.deepEqual(it.keys(it.sessionStorage).sort(), ["chat", "draft", "p:m1"]);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "press", "sound", "start"]);
  assert.deepEqual([store.read("chat"), store.read("press"), store.waiting("one")], [CHAT, { at: 1 }, [PENDING]]);
  setShared(store, true);
  assert.deepEqual(it.keys(it.sessionStorage).sort(), ["chat", "draft", "p:m1", "press", "start"]);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "shared", "sound"]);
  setShared(store, false);
  assert.deepEqual(it.keys(it.sessionStorage).sort(), ["chat", "draft", "p:m1"]);
  store.clear();
  assert.deepEqual([it.keys(it.sessionStorage), it.keys(it.localStorage).sort()], [[], ["browser", "sound"]]);
});

test("what version 1.1 has kept is moved once, and a page of that version keeps to local storage", (t) => {
  const it = browser(t);
  const former = createStore(PREFIX);
  for (const [name, value] of KEPT) former.write(name, value);
  assert.deepEqual(it.keys(it.sessionStorage), []);
  const store = createStore(PREFIX, host());
  assert.deepEqual([store.read("chat"), store.read("draft"), store.waiting("one")], [CHAT, "half", [PENDING]]);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "press", "sound", "start"]);
  assert.equal(createStore(PREFIX, { getAttribute: () => null }).local, true);
});

test("a chat of this tab stays, and another one that is kept elsewhere waits for another tab", (t) => {
  const it = browser(t);
  createStore(PREFIX, host()).write("chat", CHAT);
  const other = { ...CHAT, chat_id: "two" };
  it.localStorage.setItem(`${PREFIX}chat`, JSON.stringify(other));
  const store = createStore(PREFIX, host());
  assert.deepEqual([store.read("chat"), it.keys(it.localStorage)], [CHAT, ["chat"]]);
  store.clear();
  assert.deepEqual([store.read("chat"), it.keys(it.localStorage)], [null, ["chat"]]);
  store.settle();
  assert.deepEqual([store.read("chat"), it.keys(it.localStorage)], [other, []]);
});

// A tab: its own session storage, an element, and what the other tabs say.
function tab(t, element = host()) {
  const gone = new AbortController();
  const shown = [];
  const one = Object.assign(element, {
    gone,
    restore: () => shown.push("launcher"),
    panel: null,
  });
  t.after(() => gone.abort());
  return { one, shown };
}

// The other tabs: what they say is posted, and what is said to them is kept.
function otherTabs(t) {
  const others = new BroadcastChannel(`${PREFIX}shared`);
  t.after(() => others.close());
  const said = [];
  others.onmessage = ({ data }) => said.push(data);
  return { others, said };
}

const soon = () => new Promise((done) => setTimeout(done, 50));

async function until(condition) {
  for (const end = Date.now() + 60_000; !condition() && Date.now() < end; ) await soon();
}

test("a tab without a chat gets that of another tab, at once or when it starts", async (t) => {
  const it = browser(t);
  const { others, said: asked } = otherTabs(t);
  const { one, shown } = tab(t);
  followTabs(one, PREFIX);
  await until(() => asked.length);
  assert.deepEqual(asked, [{ ask: true }]);
  others.postMessage({ chat: CHAT });
  await until(() => shown.length);
  assert.deepEqual([shown, createStore(PREFIX, host()).read("chat")], [["launcher"], CHAT]);
  others.postMessage({ chat: { ...CHAT, chat_id: "two" } });
  await soon();
  assert.deepEqual([shown, createStore(PREFIX, host()).read("chat")], [["launcher"], CHAT]); // it has one
  assert.deepEqual(it.keys(it.localStorage), []);
  const put = [];
  one.panel = Promise.resolve({ gone: (id) => put.push(id) });
  others.postMessage({ gone: "one" });
  await until(() => put.length);
  assert.deepEqual(put, ["one"]);
});

// A channel whose messages the test gives itself, so that it sees what an exception in them becomes.
function channel(t) {
  const before = globalThis.BroadcastChannel;
  t.after(() => (globalThis.BroadcastChannel = before));
  const posted = [];
  globalThis.BroadcastChannel = class {
    postMessage = (message) => posted.push(message);
    close() {}
  };
  return posted;
}

test("where the storage is forbidden a tab neither asks nor takes, and an exception of anything else is not swallowed", (t) => {
  browser(t);
  const posted = channel(t);
  const { one, shown } = tab(t);
  followTabs(one, PREFIX);
  assert.deepEqual(posted, [{ ask: true }]);
  one.restore = () => {
    throw new RangeError("a fault of ours");
  };
  assert.throws(() => one.tabs.onmessage({ data: { chat: CHAT } }), RangeError);
  one.tabs.onmessage({ data: null }); // another script of the page
  one.tabs.onmessage({ data: "text" });

  Object.defineProperty(globalThis, "sessionStorage", {
    configurable: true,
    get: () => {
      throw new DOMException("forbidden", "SecurityError");
    },
  });
  const { one: other } = tab(t);
  followTabs(other, PREFIX);
  assert.equal(posted.length, 1);
  other.tabs.onmessage({ data: { chat: CHAT } });
  assert.deepEqual(shown, []);
});

test("a tab whose storage is full does not show a chat that it cannot keep", (t) => {
  browser(t, { full: true });
  channel(t);
  const { one, shown } = tab(t);
  followTabs(one, PREFIX);
  one.tabs.onmessage({ data: { chat: CHAT } });
  assert.deepEqual(shown, []);
});

test("a tab that keeps its chat in local storage neither asks nor takes", async (t) => {
  const it = browser(t);
  const { others, said: asked } = otherTabs(t);
  const { one, shown } = tab(t, host("local"));
  followTabs(one, PREFIX);
  others.postMessage({ chat: CHAT });
  await soon();
  assert.deepEqual([asked, shown, it.keys(it.sessionStorage)], [[], [], []]);
});

test("on a shared computer a tab gets the chat of another one, also where its page asks for local storage", async (t) => {
  const it = browser(t);
  it.localStorage.setItem(`${PREFIX}shared`, "true");
  const { others, said: asked } = otherTabs(t);
  const { one, shown } = tab(t, host("local"));
  followTabs(one, PREFIX);
  await until(() => asked.length);
  others.postMessage({ chat: CHAT });
  await until(() => shown.length);
  assert.deepEqual([asked, shown, it.keys(it.sessionStorage)], [[{ ask: true }], ["launcher"], ["chat"]]);
});

test("a tab gives its chat to one that asks, until it has ended", async (t) => {
  browser(t);
  const store = createStore(PREFIX, host());
  store.write("chat", CHAT);
  const { others, said: given } = otherTabs(t);
  const gone = new AbortController();
  t.after(() => gone.abort());
  shareWithTabs(store, CHAT, gone.signal, () => {});
  others.postMessage({ ask: true });
  await until(() => given.length > 1);
  assert.deepEqual(given, [{ chat: CHAT }, { chat: CHAT }]);
  store.write("chat", { ...CHAT, ended: 1 });
  others.postMessage({ ask: true });
  await soon();
  assert.equal(given.length, 2);
});

test("a browser that keeps nothing has no such choice", (t) => {
  browser(t);
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get: () => {
      throw new DOMException("no", "SecurityError");
    },
  });
  assert.equal(isShared(PREFIX), null);
});

test("when another tab sets or takes back the choice, this one keeps its chat", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX, LOCAL);
  const gone = new AbortController();
  t.after(() => gone.abort());
  let changes = 0;
  shareWithTabs(store, CHAT, gone.signal, () => (changes += 1));
  const [[type, follow]] = it.listeners;
  assert.equal(type, "storage");
  const set = (key, newValue) => follow({ key: PREFIX + key, newValue, storageArea: it.localStorage });
  set("chat", null);
  assert.deepEqual([changes, store.read("chat")], [0, null]); // it was dismissed
  it.localStorage.setItem(`${PREFIX}shared`, "true");
  set("shared", "true");
  assert.deepEqual([changes, it.keys(it.sessionStorage)], [1, ["chat"]]);
  it.localStorage.removeItem(`${PREFIX}shared`);
  set("shared", null);
  assert.deepEqual([changes, store.read("chat"), it.keys(it.sessionStorage)], [2, CHAT, []]);
});

test("the token of a chat is given up by a request that outlives the page, and a failure is nobody's", async (t) => {
  const asked = [];
  t.mock.method(globalThis, "fetch", async (...request) => {
    asked.push(request);
    throw new TypeError("Failed to fetch");
  });
  giveUp("https://chat.example", CHAT);
  await new Promise(setImmediate);
  assert.deepEqual(asked, [
    [
      "https://chat.example/api/chats/one/token",
      { method: "DELETE", headers: { Authorization: "Bearer secret" }, credentials: "omit", keepalive: true },
    ],
  ]);
});
