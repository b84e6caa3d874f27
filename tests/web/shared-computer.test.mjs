// Mirrors services/gateway/web/widget/shared-computer.js and store.js: where a chat is kept, and what its end leaves.
import assert from "node:assert/strict";
import test from "node:test";
import { isShared, setShared, shareWithTabs } from "../../services/gateway/web/widget/shared-computer.js";
import { createStore } from "../../services/gateway/web/widget/store.js";

const PREFIX = "eloket-chat here ";
const CHAT = { chat_id: "one", token: "secret", websocket: "/ws/citizen" };
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
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  return { ...globals, listeners, keys: (area) => Object.keys(area).map((key) => key.slice(PREFIX.length)) };
}

test("a chat is in local storage, until the computer is a shared one; a pending message goes along", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX);
  for (const [name, value] of [
    ["chat", CHAT],
    ["p:m1", PENDING],
    ["draft", "half"],
    ["browser", "id"],
    ["sound", true],
  ])
    store.write(name, value);
  assert.deepEqual([isShared(PREFIX), it.keys(it.sessionStorage)], [false, []]);
  setShared(PREFIX, true);
  assert.equal(isShared(PREFIX), true);
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "shared", "sound"]);
  assert.deepEqual(it.keys(it.sessionStorage).sort(), ["chat", "draft", "p:m1"]);
  assert.deepEqual([store.read("chat"), store.read("draft"), store.waiting("one")], [CHAT, "half", [PENDING]]);
  store.write("p:m2", { ...PENDING, id: "m2" });
  assert.deepEqual(it.keys(it.localStorage).sort(), ["browser", "shared", "sound"]);
  setShared(PREFIX, false);
  assert.deepEqual([store.read("chat"), store.waiting("one").length, it.keys(it.sessionStorage)], [CHAT, 2, []]);
});

test("the end of a chat leaves what the citizen set and the id of the browser", (t) => {
  const it = browser(t);
  const store = createStore(PREFIX);
  setShared(PREFIX, true);
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
  const store = createStore(PREFIX);
  store.write("chat", CHAT);
  setShared(PREFIX, true);
  assert.deepEqual([isShared(PREFIX), store.read("chat"), it.keys(it.sessionStorage)], [false, CHAT, []]);
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
  const store = createStore(PREFIX);
  const gone = new AbortController();
  t.after(() => gone.abort());
  let changes = 0;
  shareWithTabs(store, CHAT, PREFIX, gone.signal, () => (changes += 1));
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
