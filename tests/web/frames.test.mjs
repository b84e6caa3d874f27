// The frames that the pages send and receive, against the schemas that are made of the gateway's own types (docs/api/asyncapi.json).
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";

const WEB = new URL("../../services/gateway/web/", import.meta.url);
const PLACES = {
  folders: { citizen: "widget/", agent: "console/" },
  conversation: "shared/conversation.js",
  store: "widget/store.js",
  session: "widget/chat-session.js",
  desk: "console/desk-state.js",
  work: "console/controller.js",
  live: "console/live-state.js",
  departments: "console/own-departments.js",
};
const DOCUMENT = new URL("../../docs/api/asyncapi.json", import.meta.url);

const talk = await import(new URL(PLACES.conversation, WEB));
const desk = await import(new URL(PLACES.desk, WEB));
const { joinChat } = await import(new URL(PLACES.session, WEB));
const { createStore } = await import(new URL(PLACES.store, WEB));
const { takeLive } = await import(new URL(PLACES.live, WEB));
const { takeDepartments } = await import(new URL(PLACES.departments, WEB));
const { startWork } = await import(new URL(PLACES.work, WEB));

const { channels } = JSON.parse(readFileSync(DOCUMENT, "utf8"));

/** The schemas of one direction by the type of the frame; `action` is the gateway's: it receives what a page sends. */
function schemas(party, action) {
  const start = `${party}.${action}.`;
  const messages = Object.entries(channels[`ws.${party}`].messages).filter(([name]) => name.startsWith(start));
  return Object.fromEntries(messages.map(([name, message]) => [name.slice(start.length), message.payload]));
}

const SENT = {
  citizen: schemas("citizen", "receive"),
  agent: schemas("agent", "receive"),
};
const RECEIVED = {
  citizen: schemas("citizen", "send"),
  agent: schemas("agent", "send"),
};

// ── a checker of the part of JSON Schema that the document uses ──────────────────────────────────────────────────────

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const KINDS = {
  string: (value) => typeof value === "string",
  integer: Number.isInteger,
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  array: Array.isArray,
  object: isObject,
};
const NOTES = ["description", "default", "format"];
const CHECKS = {
  type: (value, kind) => KINDS[kind](value),
  const: (value, only) => value === only,
  enum: (value, words) => words.includes(value),
  anyOf: (value, ways) => ways.some((way) => !problems(value, way).length),
  oneOf: (value, ways) => ways.filter((way) => !problems(value, way).length).length === 1,
  minimum: (value, least) => typeof value !== "number" || value >= least,
  maximum: (value, most) => typeof value !== "number" || value <= most,
  minLength: (value, least) => typeof value !== "string" || [...value].length >= least,
  maxLength: (value, most) => typeof value !== "string" || [...value].length <= most,
  pattern: (value, text) => typeof value !== "string" || new RegExp(text, "u").test(value),
  maxProperties: (value, most) => !isObject(value) || Object.keys(value).length <= most,
  required: (value, names) => !isObject(value) || names.every((name) => Object.hasOwn(value, name)),
  propertyNames: (value, schema) => !isObject(value) || Object.keys(value).every((name) => !problems(name, schema).length),
};

/** What is wrong with this value, as texts. A member that the schema does not name is wrong too: a misspelt one is ignored by the server. */
function problems(value, schema, path = "frame") {
  const { properties = {}, additionalProperties, items, ...rules } = schema;
  const found = [];
  for (const [rule, wanted] of Object.entries(rules)) {
    if (NOTES.includes(rule)) continue;
    assert.ok(CHECKS[rule], `the checker of this test does not know ${rule}`);
    if (!CHECKS[rule](value, wanted)) found.push(`${path}: ${rule} ${JSON.stringify(wanted)}, but ${JSON.stringify(value)}`);
  }
  if (items && Array.isArray(value)) value.forEach((item, index) => found.push(...problems(item, items, `${path}[${index}]`)));
  if (!isObject(value) || schema.type !== "object") return found;
  for (const [name, item] of Object.entries(value)) {
    const inner = properties[name] ?? additionalProperties;
    found.push(...(inner ? problems(item, inner, `${path}.${name}`) : [`${path}.${name} is not in the schema`]));
  }
  return found;
}

const isRight = (frame, of) => {
  assert.ok(of[frame.type], `no such frame: ${JSON.stringify(frame)}`);
  assert.deepEqual(problems(frame, of[frame.type]), [], JSON.stringify(frame));
};

test("the checker finds what is wrong", () => {
  const right = {
    type: "message",
    id: "c0000000-0000-4000-8000-000000000001",
    text: "Dag",
  };
  assert.deepEqual(problems(right, SENT.citizen.message), []);
  const wrong = [
    { id: "x" },
    { id: undefined },
    { text: "" },
    { text: "a\0b" },
    { text: 7 },
    { text: "🏠".repeat(4001) },
    { attachment: right.id },
    { txt: "Dag" },
  ];
  for (const more of wrong) {
    const frame = JSON.parse(JSON.stringify({ ...right, ...more }));
    assert.notDeepEqual(problems(frame, SENT.citizen.message), [], JSON.stringify(frame));
  }
  assert.deepEqual(problems({ ...right, text: "🏠".repeat(4000) }, SENT.citizen.message), []);
  const offer = (to) => problems({ type: "transfer", chat_id: right.id, to }, SENT.agent.transfer);
  assert.deepEqual(offer({ agent: "an" }), []);
  assert.notDeepEqual(offer({ agent: "an", department: "algemeen" }), []);
  assert.notDeepEqual(offer({}), []);
});

// ── what the pages send ──────────────────────────────────────────────────────────────────────────────────────────────

const [CHAT, OTHER, THIRD, FILE] = [1, 2, 3, 4].map((n) => `c0000000-0000-4000-8000-00000000000${n}`);
const AT = "2026-11-23T08:00:00.000Z";
const AGENT = {
  id: "an",
  name: "An",
  departments: ["algemeen"],
  capacity: 3,
  state: "available",
  wrap_ups: [],
};
const attachment = {
  id: FILE,
  name: "a.pdf",
  size: 3,
  content_type: "application/pdf",
};
const chat = (chat_id, more = {}) => ({
  ...{
    chat_id,
    department: "algemeen",
    locale: "nl",
    name: "Ann",
    question: null,
    form: { id: null, title: "Formulier", url: null },
  },
  ...{
    opened_at: AT,
    last_seq: 0,
    accepted: false,
    accept_seconds: 30,
    transferred: false,
    returned: null,
    ...more,
  },
});
const message = (seq, more = {}) => ({
  type: "message",
  seq,
  id: `d0000000-0000-4000-8000-00000000000${seq}`,
  from: "citizen",
  name: "Ann",
  text: "Dag",
  at: AT,
  ...more,
});

const LIVE = {
  type: "live",
  department: "algemeen",
  at: AT,
  whole: true,
  current: true,
  remind_after: 120,
  alarm_after: 300,
  button: { colour: "blue", reason: "closed", opens_at: AT },
  intake: { reason: "staff", until: AT, name: "Sara", at: AT },
  hours: ["09:00-12:00"],
  waiting: {
    count: 1,
    since: AT,
    first: [{ chat_id: CHAT, since: AT, locale: "nl" }],
  },
  running: 1,
  staff: 1,
  agents: [
    {
      id: "an",
      name: "An",
      state: "paused",
      since: null,
      chats: 1,
      capacity: 2,
    },
  ],
  agents_gone: ["bert"],
  chats: [
    {
      chat_id: OTHER,
      agent_id: "an",
      agent: "An",
      since: AT,
      accepted: true,
      locale: "nl",
      unanswered_since: AT,
    },
  ],
  chats_gone: [THIRD],
};

const DEPARTMENTS = {
  type: "departments",
  at: AT,
  departments: [
    {
      department: "algemeen",
      button: { colour: "blue", reason: "closed", opens_at: AT },
      intake: { until: AT, name: null },
      hours: ["09:00-12:00"],
      waiting: { count: 1, since: AT },
    },
    { department: "premies", waiting: null },
  ],
};

/** The globals of a page with websockets that keep what is sent; `leave` is called before they are gone. */
function browser(t) {
  const sockets = [];
  const page = { sockets, leave: () => {} };
  class WebSocket {
    constructor() {
      Object.assign(this, { readyState: 0, bufferedAmount: 0, frames: [] });
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
      this.onopen({});
      this.say(...frames);
    }
    say(...frames) {
      for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
    }
  }
  const on = () => {};
  const storage = { getItem: () => null, setItem: on, removeItem: on };
  const document = {
    visibilityState: "visible",
    addEventListener: on,
    removeEventListener: on,
  };
  const fetch = () => Promise.reject(new TypeError("no network"));
  const globals = {
    WebSocket,
    localStorage: storage,
    sessionStorage: storage,
    fetch,
    document,
    location: { href: "http://here/agent" },
    addEventListener: on,
    removeEventListener: on,
  };
  const before = Object.fromEntries(Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, {
      value,
      configurable: true,
      writable: true,
    });
  t.after(() => {
    page.leave();
    for (const [name, descriptor] of Object.entries(before))
      descriptor ? Object.defineProperty(globalThis, name, descriptor) : delete globalThis[name];
  });
  return page;
}

const settle = async () => {
  for (let n = 0; n < 5; n += 1) await turn();
};

/** The literal frames that the modules of a folder hand to `send`, as lists of their members' names. */
function literals(folder) {
  const files = readdirSync(new URL(folder, WEB), { recursive: true }).filter((name) => name.endsWith(".js"));
  const found = files.flatMap((name) => [
    ...readFileSync(new URL(folder + name, WEB), "utf8").matchAll(/\bsend\(\{(\s*type: [^{}]*)\}\)/g),
  ]);
  return found.map(([, inside]) => ({
    type: /\btype: "(\w+)"/.exec(inside)?.[1],
    members: inside
      .split(",")
      .map((part) => part.split(":")[0].trim())
      .filter(Boolean),
  }));
}

/** Literals have a frame's required members, and no others than it can have. */
function areRight(frames, of) {
  for (const { type, members } of frames) {
    assert.ok(of[type], `no such frame: ${type}`);
    assert.deepEqual(
      of[type].required.filter((name) => !members.includes(name)),
      [],
      type,
    );
    assert.deepEqual(
      members.filter((name) => !of[type].properties[name]),
      [],
      type,
    );
  }
}

test("a citizen's page sends frames of the schema, and each of them", async (t) => {
  const page = browser(t);
  const { sockets } = page;
  const record = { chat_id: CHAT, token: "secret", websocket: "/ws/citizen" };
  const session = joinChat({
    base: "http://here",
    record,
    store: createStore("frames "),
    onChange: () => {},
    onUntold: () => {},
  });
  page.leave = () => session.leave();
  sockets[0].accept({ type: "welcome", chat_id: CHAT, dot: "grey", last_seq: 1 }, message(1, { from: "agent" }));
  session.typing(true);
  session.typing(false);
  session.post("Dag");
  session.attach(attachment);
  const [own, file] = sockets[0].frames.filter((frame) => frame.type === "message");
  sockets[0].say(message(2, { id: own.id }), message(3, { id: file.id }));
  session.end();
  const { frames } = sockets[0];
  for (const frame of frames) isRight(frame, SENT.citizen);
  const written = literals(PLACES.folders.citizen);
  areRight(written, SENT.citizen);
  assert.deepEqual(new Set([...frames, ...written].map((frame) => frame.type)), new Set(Object.keys(SENT.citizen)));
});

test("the console sends frames of the schema, and each of them", async (t) => {
  const page = browser(t);
  const { sockets } = page;
  const [live, departments] = [[], []];
  const work = startWork({
    agent: { ...AGENT, supervisor: true },
    onChange: () => {},
    onEffect: () => {},
    onLive: (frame) => live.push(frame),
    onDepartments: (frame) => departments.push(frame),
    look: () => ({ here: true, bottom: true }),
  });
  page.leave = () => work.stop();
  const chats = [chat(CHAT), chat(OTHER, { transferred: true }), chat(THIRD)];
  sockets[0].accept(
    {
      type: "welcome",
      agent: AGENT,
      chats,
      frames: ["active", "departments", "done", "identify", "watch"],
    },
    message(1, { chat_id: CHAT }),
    LIVE,
    DEPARTMENTS,
  );
  assert.deepEqual([...live, ...departments], JSON.parse(JSON.stringify([LIVE, DEPARTMENTS])));
  work.active();
  work.done(OTHER);
  work.select(CHAT);
  await settle();
  work.typing(CHAT, true);
  work.post(CHAT, "Dag");
  work.attach(CHAT, attachment);
  work.note(CHAT, "Intern");
  work.refuse(OTHER);
  work.setState("paused");
  work.transfer(CHAT, { agent: "bert" }, "Dringend");
  work.transfer(CHAT, { department: "premies" }, "");
  work.identify(CHAT);
  work.close(THIRD);
  await settle();
  const [own, file] = sockets[0].frames.filter((frame) => frame.type === "message");
  const note = sockets[0].frames.find((frame) => frame.type === "note");
  sockets[0].say(...[own, file].map((frame, index) => message(index + 2, { chat_id: CHAT, id: frame.id, from: "agent" })), {
    type: "note",
    chat_id: CHAT,
    id: note.id,
    agent_id: "an",
    name: "An",
    text: "Intern",
    at: AT,
  });
  work.block(CHAT, { minutes: 60, reason: "scheldt", address: false });
  await settle();
  isRight(desk.hello(work.desk()), SENT.agent);
  assert.deepEqual(Object.keys(desk.hello(work.desk()).chats), [CHAT]);
  const { frames } = sockets[0];
  for (const frame of frames) isRight(frame, SENT.agent);
  areRight(literals(PLACES.folders.agent), SENT.agent);
  assert.deepEqual(new Set(frames.map((frame) => frame.type)), new Set(Object.keys(SENT.agent)));
  assert.deepEqual(
    frames.filter((frame) => frame.type === "close").map((frame) => Boolean(frame.block)),
    [false, true],
  );
});

// ── what the pages receive ───────────────────────────────────────────────────────────────────────────────────────────

const IGNORED = { citizen: [], agent: [] }; // types of frames that a page does nothing with, on purpose
const error = (more) => ({
  type: "error",
  code: "too_long",
  message: "Too long.",
  ...more,
});
const EXAMPLES = {
  citizen: [
    { type: "welcome", chat_id: CHAT, dot: "grey", last_seq: 0 },
    { type: "status", dot: "grey", position: 2, wait: 90, agent: null },
    {
      type: "status",
      dot: "grey",
      position: null,
      wait: null,
      agent: null,
      assigned: true,
    },
    {
      type: "status",
      dot: "green",
      position: null,
      wait: null,
      agent: { name: "An" },
    },
    message(1),
    message(1, { from: "agent", text: undefined, attachment }),
    message(1, { from: "system", name: undefined, event: "opened" }),
    message(1, {
      from: "system",
      name: undefined,
      event: "identification",
      identification: { id: OTHER, step: "asked", seconds: 600 },
    }),
    { type: "typing", from: "agent", active: true },
    { type: "read", from: "agent", seq: 1 },
    { type: "sync", last_seq: 7 },
    { type: "inactive", warning: 1, closes_at: AT, seconds: 300 },
    { type: "closed", reason: "agent" },
    error({ id: OTHER }),
  ],
  agent: [
    {
      type: "welcome",
      agent: AGENT,
      chats: [chat(CHAT, { accepted: true, accept_seconds: null })],
      frames: ["active"],
    },
    { type: "assigned", chat: chat(THIRD, { returned: "refused" }) },
    { type: "unassigned", chat_id: CHAT, reason: "not_accepted" },
    message(1, { chat_id: CHAT }),
    message(1, {
      chat_id: CHAT,
      from: "system",
      name: undefined,
      event: "transferred",
      about: {
        agent_id: "bert",
        agent: "Bert",
        department: "premies",
        detail: "refused",
      },
    }),
    message(1, {
      chat_id: CHAT,
      from: "system",
      name: undefined,
      event: "identification",
      about: {},
      identification: {
        id: OTHER,
        step: "identified",
        name: "Lien De Smet",
        level: "high",
        issuer: "Toegangsbeheer",
      },
    }),
    {
      type: "note",
      chat_id: CHAT,
      id: OTHER,
      agent_id: "bert",
      name: "Bert",
      text: "Intern",
      at: AT,
    },
    { type: "typing", chat_id: CHAT, from: "citizen", active: true },
    { type: "read", chat_id: CHAT, from: "citizen", seq: 1 },
    { type: "sync", chat_id: CHAT, last_seq: 7 },
    {
      type: "inactive",
      chat_id: CHAT,
      warning: 1,
      closes_at: AT,
      seconds: 300,
    },
    { type: "closed", chat_id: CHAT, reason: "citizen" },
    { type: "citizen", chat_id: CHAT, online: false },
    { type: "state", state: "paused", reason: "accept_overdue" },
    {
      type: "state",
      state: "available",
      reason: "back",
      wrap_ups: [{ chat_id: OTHER, department: "algemeen", seconds: 90 }],
    },
    LIVE,
    DEPARTMENTS,
    error({ id: OTHER, chat_id: CHAT }),
  ],
};
const PAGES = {
  citizen: () => {
    const open = talk.post(talk.welcome(talk.conversation("citizen"), 0).chat, OTHER, { text: "Dag" });
    return {
      take: (frame) => talk.receive(open, frame),
      same: { chat: open, ask: null, added: [] },
    };
  },
  agent: () => {
    const { desk: welcomed } = desk.take(desk.desk(AGENT, null), {
      type: "welcome",
      agent: AGENT,
      chats: [chat(CHAT)],
    });
    const open = desk.update(welcomed, CHAT, (one) => ({
      ...one,
      online: true,
      talk: talk.post(talk.welcome(one.talk, 0).chat, OTHER, { text: "Dag" }),
    }));
    const own = { live: takeLive, departments: takeDepartments };
    return {
      take: (frame) => (own[frame.type] ? own[frame.type](new Map(), frame, 0) : desk.take(open, frame)),
      same: { desk: open, effects: [] },
    };
  },
};

for (const party of ["citizen", "agent"]) {
  test(`each frame that ${party === "agent" ? "the console" : "a citizen's page"} may receive changes something there, or is ignored on purpose`, () => {
    const examples = EXAMPLES[party].map((frame) => JSON.parse(JSON.stringify(frame)));
    assert.deepEqual(new Set([...examples.map((frame) => frame.type), ...IGNORED[party]]), new Set(Object.keys(RECEIVED[party])));
    for (const frame of examples) {
      isRight(frame, RECEIVED[party]);
      const { take, same } = PAGES[party]();
      if (party === "citizen" && frame.type === "welcome") {
        assert.ok(talk.receive(talk.conversation("citizen"), frame).chat.welcomed);
      } else assert.notDeepEqual(take(frame), same, JSON.stringify(frame));
    }
    const { take, same } = PAGES[party]();
    assert.deepEqual(take({ type: "of a later release", chat_id: CHAT }), same, "an unknown frame changes nothing");
  });
}
