// Mirrors services/gateway/web/loket-chat/button.js, in a browser of three functions and a clock that the test moves.
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { followButton } from "../../services/gateway/web/loket-chat/button.js";

const button = (revision, colour = "green") => ({ department: "algemeen", colour, reason: "available", revision });
const settle = async () => {
  for (let n = 0; n < 10; n += 1) await Promise.resolve();
};

function browser(t) {
  const listeners = new Map();
  const target = {
    addEventListener: (type, call) => listeners.set(type, call),
    removeEventListener: (type) => listeners.delete(type),
  };
  const page = { streams: [], asked: [], answer: () => Promise.reject(new TypeError("no network")), listeners };
  class EventSource {
    constructor(url) {
      Object.assign(this, { url, open: true });
      page.streams.push(this);
    }
    addEventListener(_type, call) {
      this.tell = (value) => call({ data: JSON.stringify(value) });
    }
    close() {
      this.open = false;
    }
  }
  const fetch = (url) => {
    page.asked.push(url);
    return page.answer();
  };
  const globals = { document: { hidden: false, ...target }, EventSource, fetch, ...target };
  const before = Object.fromEntries(Object.keys(globals).map((name) => [name, globalThis[name]]));
  Object.assign(globalThis, globals);
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => {
    mock.timers.reset();
    Object.assign(globalThis, before);
  });
  return page;
}

function following(t, prepare = () => {}) {
  const page = browser(t);
  prepare(page);
  const told = [];
  const stop = followButton("http://here", "algemeen", (value) => told.push(value));
  return { ...page, page, told, stop, colours: () => told.map((value) => value.colour) };
}

const serve = (value) => (page) => (page.answer = async () => ({ ok: true, json: async () => value }));

test("asks for the department's button and listens to its changes", async (t) => {
  const it = following(t, serve(button(1)));
  await settle();
  assert.deepEqual(it.asked, ["http://here/api/button?department=algemeen"]);
  it.streams[0].tell(button(2, "blue"));
  assert.deepEqual(it.colours(), ["green", "blue"]);
});

test("an older revision is ignored, whichever way it comes", async (t) => {
  const it = following(t, serve(button(5)));
  it.streams[0].tell(button(7, "blue"));
  await settle();
  it.streams[0].tell(button(6));
  assert.deepEqual(it.colours(), ["blue"]);
});

test("whoever was never answered is blue", async (t) => {
  const it = following(t);
  await settle();
  assert.deepEqual(it.told, [{ colour: "blue", reason: "unknown" }]);
});

test("a stream that breaks is opened again after a wait, and asks meanwhile", async (t) => {
  const it = following(t, serve(button(1)));
  await settle();
  it.streams[0].onerror();
  assert.equal(it.streams[0].open, false);
  mock.timers.tick(1_000);
  assert.equal(it.streams.length, 2);
  assert.equal(it.asked.length, 2);
});

test("not heard for two minutes is blue, and green again when heard", async (t) => {
  const it = following(t, serve(button(1)));
  await settle();
  it.page.answer = () => Promise.reject(new TypeError("no network"));
  for (let n = 0; n < 8; n += 1) {
    mock.timers.tick(30_000);
    await settle();
  }
  assert.equal(it.told.at(-1).reason, "unknown");
  it.streams.at(-1).tell(button(1));
  assert.equal(it.told.at(-1).colour, "green");
});

test("a hidden page holds no connection; a visible one looks at once", async (t) => {
  const it = following(t, serve(button(1)));
  await settle();
  document.hidden = true;
  it.listeners.get("visibilitychange")();
  mock.timers.tick(600_000);
  assert.deepEqual([it.streams.length, it.streams[0].open, it.asked.length], [1, false, 1]);
  document.hidden = false;
  it.listeners.get("visibilitychange")();
  assert.deepEqual([it.streams.length, it.asked.length], [2, 2]);
});

test("stopping leaves nothing behind", async (t) => {
  const it = following(t, serve(button(1)));
  await settle();
  it.stop();
  mock.timers.tick(600_000);
  assert.deepEqual([it.streams[0].open, it.asked.length, it.listeners.size], [false, 1, 0]);
});
