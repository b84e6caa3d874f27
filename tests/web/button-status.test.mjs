// Mirrors services/gateway/web/shared/button-status.js, in a browser whose clock and server the test moves.
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { asButton, followButton } from "../../services/gateway/web/shared/button-status.js";

const button = (revision, colour = "green", more = {}) => ({
  department: "algemeen",
  colour,
  reason: colour === "green" ? "available" : "closed",
  infofiche_url: "/infofiche/algemeen",
  revision,
  ...more,
});
const away = () => Promise.reject(new TypeError("no network"));
const hung = (_url, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
const settle = async () => {
  for (let n = 0; n < 20; n += 1) await turn();
};
const pass = async (ms) => {
  for (let left = ms; left > 0; left -= 500) {
    mock.timers.tick(Math.min(500, left));
    await settle();
  }
};

function browser(t) {
  const listeners = new Map();
  const target = {
    addEventListener: (type, call) => listeners.set(type, call),
    removeEventListener: (type) => listeners.delete(type),
  };
  const page = {
    streams: [],
    asked: [],
    answer: away,
    events: null,
    listeners,
  };
  const open = (_url, { signal }) => {
    const stream = { open: true };
    const body = new ReadableStream({
      start: (controller) => Object.assign(stream, { controller }),
    });
    stream.write = (text) => stream.controller.enqueue(new TextEncoder().encode(text));
    stream.tell = (value) => stream.write(`event: button\nid: ${value.revision}\ndata: ${JSON.stringify(value)}\n\n`);
    stream.end = () => stream.controller.close();
    signal.addEventListener("abort", () => {
      stream.open = false;
      try {
        stream.controller.error(signal.reason);
      } catch {
        // it has ended
      }
    });
    page.streams.push(stream);
    return new Response(body, {
      headers: { "Content-Type": "text/event-stream; charset=utf-8" },
    });
  };
  page.events = open;
  const fetch = async (url, options) => {
    page.asked.push(url);
    return url.includes("/events") ? page.events(url, options) : page.answer(url, options);
  };
  const globals = { document: { hidden: false, ...target }, fetch, ...target };
  const before = Object.fromEntries(Object.keys(globals).map((name) => [name, globalThis[name]]));
  const timeout = AbortSignal.timeout;
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException("", "TimeoutError")), ms);
    return controller.signal;
  };
  Object.assign(globalThis, globals);
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_795_420_800_000 });
  t.after(() => {
    page.stop?.();
    mock.timers.reset();
    AbortSignal.timeout = timeout;
    Object.assign(globalThis, before);
  });
  return page;
}

async function following(t, prepare = () => {}, ...more) {
  const page = browser(t);
  prepare(page);
  page.told = [];
  page.stop = followButton("http://here", "algemeen", (value) => page.told.push(value), ...more);
  page.shown = () => page.told.at(-1);
  page.looks = () => page.asked.filter((url) => !url.includes("/events")).length;
  await settle();
  return page;
}

const serve = (value) => (page) => (page.answer = async () => Response.json(value));
const html =
  (status = 200) =>
  async () =>
    new Response("<h1>Sign in", {
      status,
      headers: { "Content-Type": "text/html" },
    });

test("asks for the department's button and listens to its changes", async (t) => {
  const it = await following(t, serve(button(1)));
  assert.deepEqual(it.asked, ["http://here/api/button?department=algemeen", "http://here/api/button/events?department=algemeen"]);
  it.streams[0].tell(button(2, "blue"));
  await settle();
  assert.deepEqual(
    it.told.map(({ colour }) => colour),
    ["green", "blue"],
  );
});

test("an event that comes in pieces is heard when it is whole", async (t) => {
  const it = await following(t, serve(button(1)));
  for (const piece of ["event: button\nid: 2\nda", 'ta: {"colour":"blue","reason":"clo', 'sed","revision":2}\n', "\n: still here\n\n"])
    it.streams[0].write(piece);
  await settle();
  assert.equal(it.shown().reason, "closed");
});

test("an older revision is ignored, whichever way it comes", async (t) => {
  let answer;
  const it = await following(t, (page) => (page.answer = () => new Promise((resolve) => (answer = resolve))));
  it.streams[0].tell(button(7, "blue"));
  await settle();
  answer(Response.json(button(5)));
  it.streams[0].tell(button(6));
  await settle();
  assert.equal(it.shown().colour, "blue");
});

test("a replica that knows the button is believed after one that does not, whatever their revisions", async (t) => {
  const it = await following(t, serve(button(9, "blue", { reason: "unknown" })));
  it.streams[0].tell(button(5));
  await settle();
  assert.equal(it.shown().colour, "green");
  it.streams[0].tell(button(4, "blue", { reason: "unknown" }));
  await settle();
  assert.equal(it.shown().colour, "green");
});

test("whoever was never answered is blue at once", async (t) => {
  const it = await following(t, (page) => (page.events = away));
  assert.deepEqual(
    it.told.map(({ colour, reason, lost }) => [colour, reason, lost]),
    [["blue", "unknown", true]],
  );
  assert.deepEqual(it.shown().contact, [], "who draws it finds a list, though nothing was ever told");
});

for (const [doubt, answer] of [
  ["origin", away],
  ["department", () => Response.json({ code: "unknown_department" }, { status: 404 })],
  [undefined, html(502)],
])
  test(`a mistake of the page is suspected while nothing was ever heard: ${doubt}`, async (t) => {
    const it = await following(t, (page) => Object.assign(page, { answer, events: away }));
    assert.equal(it.shown().doubt, doubt);
  });

for (const [what, gone] of [
  ["is gone", away],
  ["does not answer", hung],
  ["is a sign-in page", html()],
  ["is a broken proxy", html(502)],
])
  test(`a server that ${what} is unknown within 15 s, with the contact ways of before; it comes back by itself`, async (t) => {
    const contact = [{ kind: "phone", value: "02 555", href: "tel:02555" }];
    const it = await following(t, serve(button(1, "green", { contact })));
    it.streams[0].tell(button(1, "green", { contact }));
    await pass(7_000);
    const [answer, events] = [it.answer, it.events];
    [it.answer, it.events] = [gone, gone];
    if (gone !== hung) it.streams.at(-1).end(); // a half-open connection says nothing
    await pass(15_000);
    assert.deepEqual([it.shown().colour, it.shown().reason, it.shown().lost], ["blue", "unknown", true]);
    assert.deepEqual(it.shown().contact, contact);
    await pass(120_000);
    [it.answer, it.events] = [answer, events];
    await pass(17_000 + 4_000);
    assert.equal(it.shown().colour, "green");
    assert.ok(!it.shown().lost);
  });

test("a restart of seconds is not seen", async (t) => {
  const it = await following(t, serve(button(1)));
  const [answer, events] = [it.answer, it.events];
  [it.answer, it.events] = [away, away];
  it.streams[0].end();
  await pass(4_000);
  [it.answer, it.events] = [answer, events];
  await pass(60_000);
  assert.ok(it.told.every(({ colour }) => colour === "green"));
});

test("a stream that only a comment keeps alive is not asked about", async (t) => {
  const it = await following(t, serve(button(1)));
  const looks = it.looks();
  for (let n = 0; n < 60; n += 1) {
    await pass(5_000);
    it.streams.at(-1).write(": still here\n\n");
    await settle();
  }
  assert.deepEqual([it.streams.length, it.looks() - looks], [1, 0]);
  assert.equal(it.told.length, 1);
});

test("a proxy that keeps the stream back costs a question each 8 s, and hides no change", async (t) => {
  const it = await following(t, (page) => {
    serve(button(1))(page);
    page.events = hung;
  });
  await pass(60_000);
  assert.ok(it.told.every(({ colour }) => colour === "green"));
  assert.ok(it.looks() <= 9, `${it.looks()}`);
  it.answer = async () => Response.json(button(2, "blue"));
  await pass(9_000);
  assert.equal(it.shown().colour, "blue");
  it.answer = hung;
  await pass(15_000);
  assert.equal(it.shown().reason, "unknown");
});

test("new tries are spread and grow rarer, also where streams end at once", async (t) => {
  const it = await following(t, (page) => {
    serve(button(1))(page);
    const open = page.events;
    page.events = (...call) => {
      const answer = open(...call);
      page.streams.at(-1).tell(button(1));
      page.streams.at(-1).end();
      return answer;
    };
  });
  await pass(300_000);
  assert.ok(it.streams.length < 70, `${it.streams.length}`);
  assert.equal(it.shown().colour, "green");
});

test("a computer that slept asks before it judges", async (t) => {
  const it = await following(t, serve(button(1)));
  const told = it.told.length;
  mock.timers.setTime(Date.now() + 3_600_000);
  await settle();
  assert.ok(it.told.slice(told).every(({ colour }) => colour === "green"));
  assert.equal(it.shown().colour, "green");
});

test("what the page has asked before is not asked again, and is lost as an answer of its own would be", async (t) => {
  const page = browser(t);
  const told = [];
  const follow = (first) => followButton("http://here", "algemeen", (shown) => told.push(shown), undefined, first);
  const stop = follow(Promise.resolve(button(3)));
  await settle();
  assert.deepEqual([told.at(-1).colour, told.at(-1).contact, told.at(-1).lost], ["green", [], undefined]);
  assert.equal(page.asked.filter((url) => !url.includes("/events")).length, 0);
  await pass(10_000);
  assert.ok(
    page.asked.some((url) => !url.includes("/events")),
    "later it asks by itself",
  );
  stop();
  for (const [why, doubt] of [
    [404, "department"],
    [new TypeError("another origin"), "origin"],
    [503, undefined],
  ]) {
    const end = follow(Promise.reject(why));
    await settle();
    assert.deepEqual([told.at(-1).colour, told.at(-1).lost, told.at(-1).doubt], ["blue", true, doubt]);
    end();
  }
});

test("a hidden page holds no connection; a visible one looks at once", async (t) => {
  const it = await following(t, serve(button(1)));
  document.hidden = true;
  it.listeners.get("visibilitychange")();
  await pass(60_000);
  assert.deepEqual([it.streams.length, it.streams[0].open, it.looks()], [1, false, 1]);
  document.hidden = false;
  it.listeners.get("visibilitychange")();
  await settle();
  assert.deepEqual([it.streams.length, it.looks()], [2, 2]);
});

test("what was asked before the page was hidden is not believed when it is looked at again", async (t) => {
  const page = browser(t);
  serve(button(4, "blue"))(page);
  document.hidden = true;
  const told = [];
  page.stop = followButton("http://here", "algemeen", (shown) => told.push(shown.colour), undefined, Promise.resolve(button(3)));
  await pass(60_000);
  document.hidden = false;
  page.listeners.get("visibilitychange")();
  await settle();
  assert.deepEqual(told, ["blue"]);
});

test("stopping leaves nothing behind", async (t) => {
  const it = await following(t, serve(button(1)));
  it.stop();
  await pass(60_000);
  assert.deepEqual([it.streams[0].open, it.looks(), it.listeners.size], [false, 1, 0]);
});

test("an answer is a button only with all that makes one, and its ways lead nowhere else", () => {
  for (const bad of [
    null,
    7,
    "green",
    [],
    {},
    { colour: "red", reason: "x", revision: 1 },
    { colour: "green", revision: 1 },
    button("1"),
    button(undefined),
  ])
    assert.equal(asButton(bad), null);
  const contact = [
    { kind: "phone", value: "02 5", href: "tel:025" },
    { kind: "web", value: "x", href: "javascript:alert(1)" },
    { kind: "fax", value: "1" },
    null,
    { kind: "email" },
  ];
  assert.deepEqual(asButton(button(1, "green", { contact })).contact, [
    { kind: "phone", value: "02 5", href: "tel:025" },
    { kind: "web", value: "x", href: null },
  ]);
  assert.deepEqual(asButton(button(1, "green", { contact: "x" })).contact, []);
  assert.equal(asButton(button(1, "green", { infofiche_url: "//evil.example" })).infofiche_url, undefined);
});
