// Mirrors services/gateway/web/shared/connection.js, with a browser made of a clock that the test moves.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Connection, FINAL, LATE_HELLO } from "../../services/gateway/web/shared/connection.js";

function browser({ random = 0.5 } = {}) {
  const timers = new Map();
  const listeners = new Map();
  const sockets = [];
  let now = 1_000_000;
  let set = 0; // by how much the computer's clock was set since
  let ids = 0;
  const on = (type, call) => listeners.set(type, (listeners.get(type) ?? new Set()).add(call));
  const off = (type, call) => listeners.get(type)?.delete(call);
  class WebSocket {
    constructor(url) {
      Object.assign(this, {
        url,
        readyState: 0,
        bufferedAmount: 0,
        frames: [],
        closed: false,
      });
      sockets.push(this);
    }
    send(text) {
      this.frames.push(JSON.parse(text));
    }
    close() {
      this.closed = true;
      this.readyState = 3;
    }
    accept() {
      this.readyState = 1;
      this.onopen({});
    }
    say(frame) {
      this.onmessage({
        data: typeof frame === "string" ? frame : JSON.stringify(frame),
      });
    }
    drop(code = 1006, reason = "") {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }
  }
  const env = {
    WebSocket,
    Date: { now: () => now + set },
    Math: { random: () => random },
    setTimeout: (call, ms) => (timers.set(++ids, { call, at: now + ms }), ids),
    clearTimeout: (id) => timers.delete(id),
    addEventListener: on,
    removeEventListener: off,
    document: {
      visibilityState: "visible",
      addEventListener: on,
      removeEventListener: off,
    },
  };
  /** Lets time pass; `asleep`: no timer runs until the end of it. */
  const pass = (ms, asleep = false) => {
    const end = now + ms;
    if (asleep) now = end;
    for (;;) {
      const next = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!next) break;
      timers.delete(next[0]);
      now = Math.max(now, next[1].at);
      next[1].call();
    }
    now = end;
  };
  const fire = (type) => [...(listeners.get(type) ?? [])].forEach((call) => call({ type }));
  const heard = () => [...listeners.values()].reduce((count, calls) => count + calls.size, 0);
  return {
    env,
    sockets,
    pass,
    set: (ms) => (set += ms),
    fire,
    heard,
    timers,
    last: () => sockets.at(-1),
  };
}

function connected({ silence, ...options } = {}) {
  const page = browser(options);
  const states = [];
  const frames = [];
  let after = 0;
  const line = new Connection({
    url: "ws://here/ws/citizen",
    hello: () => ({ type: "hello", token: "t", after }),
    onFrame: (frame) => frames.push(frame),
    onState: (state, code) => states.push(code === undefined ? state : `${state} ${code}`),
    env: page.env,
    ...(silence && { silence }),
  });
  line.open();
  return { ...page, line, states, frames, seen: (seq) => (after = seq) };
}

const SYNC = { type: "sync", last_seq: 0 };

test("hello is the first frame of each socket, with what was seen last", () => {
  const it = connected();
  assert.equal(it.line.send({ type: "typing" }), false);
  it.last().accept();
  it.last().say(SYNC);
  it.seen(7);
  it.last().drop();
  it.pass(500);
  it.last().accept();
  assert.deepEqual(
    it.sockets.map((socket) => socket.frames),
    [[{ type: "hello", token: "t", after: 0 }], [{ type: "hello", token: "t", after: 7 }]],
  );
  assert.deepEqual(it.states, ["connecting", "open", "lost 1006", "open"]);
});

test("the wait doubles up to 3 s, after 30 tries it is up to 20 s, with jitter over all of it", () => {
  const waits = (random) => {
    const it = connected({ random });
    const found = [];
    for (let n = 0; n < 32; n += 1) {
      it.last().drop();
      const count = it.sockets.length;
      let waited = 0;
      while (it.sockets.length === count) {
        it.pass(10);
        waited += 10;
      }
      found.push(waited);
    }
    return found;
  };
  const long = Array(27).fill(1500);
  assert.deepEqual(waits(0.5), [250, 500, 1000, ...long, 10_000, 10_000]);
  assert.ok(waits(0).every((wait) => wait === 10));
});

test("a server that accepts and hangs up is not hammered; one that spoke is tried soon", () => {
  const it = connected({ random: 1 });
  for (const expected of [500, 1000, 2000]) {
    it.last().accept();
    it.last().drop();
    const count = it.sockets.length;
    it.pass(expected - 1);
    assert.equal(it.sockets.length, count);
    it.pass(1);
    assert.equal(it.sockets.length, count + 1);
  }
  it.last().accept();
  it.last().say(SYNC);
  it.last().drop();
  it.pass(500);
  assert.equal(it.sockets.length, 5);
});

test("after 1012 it is back within 1 s, and does not call that a loss unless the first try fails", () => {
  const it = connected({ random: 1 });
  it.last().accept();
  it.last().say(SYNC);
  it.last().drop(1012);
  it.pass(999);
  assert.equal(it.sockets.length, 1);
  it.pass(1);
  assert.equal(it.sockets.length, 2);
  it.last().accept();
  it.last().say(SYNC);
  assert.deepEqual(it.states, ["connecting", "open", "connecting 1012", "open"]);
  it.last().drop(1012);
  it.pass(1000);
  it.last().drop(1006);
  assert.deepEqual(it.states.slice(4), ["connecting 1012", "lost 1006"]);
});

test("a server that says that it cannot now, and hangs up, is given more time each time", () => {
  const it = connected({ random: 1 });
  it.last().accept();
  it.last().say(SYNC);
  it.last().drop();
  it.pass(500);
  for (const expected of [1000, 2000, 3000]) {
    it.last().accept();
    it.last().say({ type: "error", code: "unavailable" });
    it.last().drop(1012);
    const count = it.sockets.length;
    it.pass(expected - 1);
    assert.equal(it.sockets.length, count);
    it.pass(1);
    assert.equal(it.sockets.length, count + 1);
  }
});

for (const code of [4429, 4430]) {
  test(`after ${code} it waits longer than after a lost line`, () => {
    const it = connected({ random: 1 });
    it.last().accept();
    it.last().say(SYNC);
    it.last().drop(code);
    it.pass(2999);
    assert.equal(it.sockets.length, 1);
    it.pass(1);
    assert.equal(it.sockets.length, 2);
  });
}

for (const code of [1000, 4400, 4401, 4403, 4404, 4409]) {
  test(`${code} ends it; a press may open it again`, () => {
    const it = connected();
    it.last().accept();
    it.last().drop(code);
    it.pass(600_000);
    it.fire("online");
    assert.equal(it.sockets.length, 1);
    assert.equal(it.states.at(-1), `ended ${code}`);
    assert.equal(it.timers.size + it.heard(), 0);
    it.line.open();
    it.last().accept();
    assert.equal(it.states.at(-1), "open");
  });
}

test("a hello that comes too late from a page that slept ends nothing", () => {
  const it = connected();
  it.last().accept();
  it.last().drop(4401, LATE_HELLO);
  assert.equal(it.states.at(-1), "lost 1006");
  it.pass(500);
  it.last().accept();
  assert.equal(it.states.at(-1), "open");
  const gateway = readFileSync(new URL("../../services/gateway/websocket/session.py", import.meta.url), "utf8");
  assert.ok(gateway.includes(`"${LATE_HELLO}"`), "the reason is the gateway's");
});

test("silence of more than 12 s means a dead line, whenever it began", () => {
  const it = connected();
  it.last().accept();
  for (let n = 0; n < 20; n += 1) {
    it.pass(10_000 + n * 100);
    it.last().say(SYNC);
  }
  assert.equal(it.sockets.length, 1);
  const dead = it.last();
  it.pass(12_000);
  assert.equal(dead.closed, false);
  it.pass(2_000);
  assert.equal(dead.closed, true);
  assert.equal(it.states.at(-1), "lost 1006");
});

test("an agent's line is taken for dead sooner", () => {
  const it = connected({ silence: 4_800 });
  it.last().accept();
  it.last().say({ type: "welcome", last_seq: 0 });
  it.pass(4_700);
  it.last().say(SYNC);
  it.pass(4_700);
  assert.equal(it.sockets.length, 1);
  const dead = it.last();
  it.pass(1_000);
  assert.equal(dead.closed, true);
});

test("a server that takes its time for the answer to a hello is waited for: it says nothing before", () => {
  const it = connected({ silence: 4_800 });
  it.last().accept();
  it.pass(9_000);
  it.last().say({ type: "welcome", last_seq: 0 });
  it.line.sayHello();
  it.pass(9_000);
  assert.equal(it.sockets.length, 1, "the answer to another hello on the same connection");
  it.pass(2_000);
  assert.equal(it.sockets[0].closed, true, "but not for ever: back before the agent is taken for gone");
});

test("a page that slept reads what is waiting before it judges", () => {
  const it = connected();
  it.last().accept();
  it.pass(3600_000, true);
  it.last().say(SYNC);
  it.pass(4_000);
  assert.equal(it.last().closed, false);
  it.pass(3600_000, true);
  it.pass(10_000);
  assert.equal(it.sockets[0].closed, true);
});

test("a page that wakes up with a dead line finds out at once, not by a throttled timer", () => {
  const it = connected();
  it.last().accept();
  it.pass(9_000);
  it.pass(1, true);
  it.fire("visibilitychange");
  assert.equal(it.states.at(-1), "open");
  it.pass(6_000);
  assert.equal(it.states.at(-1), "lost 1006");
});

test("offline drops the line, online brings it back without a wait", () => {
  const it = connected({ random: 1 });
  it.last().accept();
  it.fire("offline");
  assert.equal(it.states.at(-1), "lost 1006");
  for (let n = 0; n < 6; n += 1) {
    it.pass(20_000);
    it.last().drop();
  }
  const count = it.sockets.length;
  it.fire("online");
  it.pass(0);
  assert.equal(it.sockets.length, count + 1);
});

test("a socket that does not open in 6 s is given up", () => {
  const it = connected();
  it.pass(6_000);
  assert.equal(it.sockets[0].closed, true);
  it.pass(250);
  assert.equal(it.sockets.length, 2);
  assert.deepEqual(it.states, ["connecting"]);
});

test("what a socket says after it was given up is not heard", () => {
  const it = connected();
  it.last().accept();
  const { onmessage, onclose } = it.last();
  it.fire("offline");
  onmessage({ data: "{}" });
  onclose({ code: 4401 });
  assert.deepEqual([it.frames, it.states.at(-1)], [[], "lost 1006"]);
});

test("hello is said again once a second at most", () => {
  const it = connected();
  it.last().accept();
  for (let n = 0; n < 10; n += 1) it.line.sayHello();
  it.pass(999);
  assert.equal(it.last().frames.length, 1);
  it.pass(5_000);
  assert.equal(it.last().frames.length, 2);
});

test("what is not a JSON object is passed over", () => {
  const it = connected();
  it.last().accept();
  for (const bad of ["{", "null", "7", '"x"']) it.last().say(bad);
  it.last().say(SYNC);
  assert.deepEqual(it.frames, [SYNC]);
});

test("a hello that could not go out is said later", () => {
  const it = connected();
  it.last().accept();
  it.last().bufferedAmount = 2 ** 21;
  it.line.sayHello();
  it.pass(3_000);
  assert.equal(it.last().frames.length, 1);
  it.last().bufferedAmount = 0;
  it.pass(1_000);
  assert.equal(it.last().frames.length, 2);
});

test("a line that does not move takes no more", () => {
  const it = connected();
  it.last().accept();
  it.last().bufferedAmount = 2 ** 21;
  assert.equal(it.line.send({ type: "typing" }), false);
});

test("close leaves no timer, no listener and no open socket", () => {
  const it = connected();
  it.last().accept();
  it.line.close();
  assert.deepEqual([it.timers.size, it.heard(), it.last().closed], [0, 0, true]);
});

test("a policy that forbids websockets by an exception is a line that is lost, tried again", () => {
  const page = browser();
  const { WebSocket } = page.env;
  const states = [];
  page.env.WebSocket = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  const line = new Connection({
    url: "ws://here",
    hello: () => ({}),
    onFrame: () => {},
    onState: (state) => states.push(state),
    env: page.env,
  });
  line.open();
  page.pass(10_000);
  page.env.WebSocket = WebSocket;
  page.pass(5_000);
  page.last().accept();
  assert.deepEqual(states, ["connecting", "open"]);
});

// ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────

function withHttp({ needed = false, random = 1, ...more } = {}) {
  const page = browser({ random });
  const states = [];
  const frames = [];
  const made = [];
  const http = {
    needed: () => needed,
    async make(hello) {
      if (http.broken) throw new TypeError("it did not load");
      const socket = {
        hello: hello(),
        readyState: 0,
        bufferedAmount: 0,
        frames: [],
        closed: false,
      };
      socket.send = (text) => socket.frames.push(JSON.parse(text));
      socket.close = () => (socket.closed = true);
      socket.open = () => ((socket.readyState = 1), socket.onopen());
      socket.say = (frame) => socket.onmessage({ data: JSON.stringify(frame) });
      socket.drop = (code = 1006, reason = "") => socket.onclose?.({ code, reason });
      made.push(socket);
      return socket;
    },
  };
  const line = new Connection({
    url: "ws://here/ws/citizen",
    http,
    hello: () => ({ type: "hello", token: "t", after: 3 }),
    onFrame: (frame) => frames.push(frame),
    onState: (state, code) => states.push(code === undefined ? state : `${state} ${code}`),
    env: page.env,
    ...more,
  });
  line.open();
  return { ...page, line, states, frames, made, http };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("two websockets that do not open, and the connection goes over HTTP, never red", async () => {
  const it = withHttp();
  it.last().drop();
  it.pass(500);
  it.last().drop();
  it.pass(0);
  await turn();
  assert.deepEqual([it.sockets.length, it.made.length], [2, 1]);
  it.made[0].open();
  it.made[0].say({ type: "welcome", last_seq: 3 });
  assert.equal(it.line.send({ type: "typing", active: true }), true);
  assert.deepEqual(it.made[0].frames, [{ type: "typing", active: true }], "the opening is the hello");
  assert.deepEqual([it.states, it.frames.length], [["connecting", "open"], 1]);
});

for (const [name, before] of [
  ["hangs", () => {}],
  ["opens and says nothing", (it) => it.last().accept()],
])
  test(`a websocket that ${name} is given up after 6 s at most`, async () => {
    const it = withHttp();
    before(it);
    it.pass(6_000);
    await turn();
    assert.deepEqual([it.sockets.length, it.made.length, it.sockets[0].closed], [1, 1, true]);
    assert.ok(!it.states.some((state) => state.startsWith("lost")));
  });

test("where HTTP was needed a short while ago it is tried first; in vain, it takes turns with a websocket", async () => {
  const it = withHttp({ needed: true });
  await turn();
  assert.deepEqual([it.sockets.length, it.made.length], [0, 1]);
  for (let n = 1; n < 5; n += 1) {
    it.made.at(-1).drop();
    it.pass(3_000);
    await turn();
    assert.equal(it.sockets.length, n);
    it.last().drop();
    it.pass(3_000);
    await turn();
    assert.equal(it.made.length, n + 1);
  }
  assert.deepEqual(it.states, ["connecting"]);
});

test("a module that does not load is a try in vain", async () => {
  const it = withHttp({ needed: true });
  it.http.broken = true;
  it.line.close();
  it.line.open();
  await turn();
  it.pass(500);
  await turn();
  assert.equal(it.sockets.length, 1);
});

test("a server that is away for a moment keeps a page with a websocket at its websocket", async () => {
  const it = withHttp();
  it.last().accept();
  it.last().say(SYNC);
  for (let n = 0; n < 5; n += 1) {
    it.last().drop();
    it.pass(3_000);
    await turn();
  }
  assert.deepEqual([it.sockets.length, it.made.length], [6, 0]);
});

test("a refusal of the server is no network that refuses", async () => {
  const it = withHttp();
  for (let n = 0; n < 6; n += 1) {
    it.last().accept();
    it.last().drop(n % 2 ? 4429 : 1012);
    it.pass(3_000);
    await turn();
  }
  assert.equal(it.made.length, 0);
});

test("where a websocket came through before, the page goes back to one after a while", async () => {
  const it = withHttp();
  it.last().accept();
  it.last().say(SYNC);
  for (let n = 0; n < 7 && !it.made.length; n += 1) {
    it.last().drop();
    it.pass(3_000);
    await turn();
  }
  it.made[0].open();
  const count = it.sockets.length;
  const alive = (ms) => {
    for (let left = ms; left > 0; left -= 5_000) {
      it.made[0].say(SYNC);
      it.pass(5_000);
    }
  };
  alive(60_000);
  assert.equal(it.sockets.length, count + 1);
  it.last().drop();
  assert.equal(it.states.at(-1), "open", "a probe in vain is no loss");
  alive(60_000);
  assert.equal(it.sockets.length, count + 2);
  it.last().accept();
  assert.deepEqual(it.states.slice(-2), ["connecting 1012", "open"]);
  assert.deepEqual(it.last().frames, [{ type: "hello", token: "t", after: 3 }]);
  assert.equal(it.made[0].closed, true);
});

test("without a way over HTTP there are websockets only", async () => {
  const it = connected();
  for (let n = 0; n < 5; n += 1) {
    it.last().drop();
    it.pass(3_000);
    await turn();
  }
  assert.equal(it.sockets.length, 6);
});

test("exactly the final close codes of the protocol are not tried again, and the list cannot be changed", () => {
  assert.deepEqual(FINAL, [1000, 4400, 4401, 4403, 4404, 4409]);
  assert.throws(() => FINAL.push(4499), TypeError);
});

test("a computer whose clock is set back still sees that nothing comes, and says hello again", () => {
  const it = connected();
  it.last().accept();
  it.last().say({ type: "welcome" });
  it.set(-3_600_000);
  it.line.sayHello();
  it.pass(1_000);
  assert.deepEqual(
    it.last().frames.map(({ type }) => type),
    ["hello", "hello"],
  );
  it.last().say({ type: "welcome" });
  it.set(-3_600_000);
  it.pass(30_000);
  assert.deepEqual(it.states.slice(0, 3), ["connecting", "open", "lost 1006"]);
});
