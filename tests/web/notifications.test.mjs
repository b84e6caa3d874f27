// Mirrors services/gateway/web/widget/notifications.js: what the citizen is notified of, in one tab, and never the text of a message.
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { happened, inOneTab, marked, notifier, unseen } from "../../services/gateway/web/widget/notifications.js";
import { widgetTexts } from "./texts.mjs";

const CHAT = {
  messages: [],
  welcomed: true,
  dot: "green",
  closed: null,
  inactive: null,
};
const entry = (seq, from = "agent", event = undefined) => ({
  seq,
  from,
  event,
  text: "geheim",
  name: "An",
});
const chat = (messages, more = {}) => ({ ...CHAT, messages, ...more });
const WARNING = {
  type: "inactive",
  warning: 1,
  closes_at: "2026-11-23T13:05:00Z",
  seconds: 300,
};
const settle = async () => {
  for (let n = 0; n < 5; n += 1) await turn();
};

test("messages of the agent are news, those of the citizen and most lines of the system are not", () => {
  assert.equal(unseen(chat([entry(1, "citizen"), entry(2, "system", "opened"), entry(3, "system")]), 0, false), null);
  assert.deepEqual(unseen(chat([entry(1), entry(2, "citizen"), entry(3)]), 0, false), { key: "messageNews", n: 2 });
  assert.deepEqual(unseen(chat([entry(1), entry(2, "citizen"), entry(3)]), 1, false), { key: "messageNews", n: 1 });
  assert.equal(unseen(chat([entry(1)]), 1, false), null);
});

test("an agent who has come is news until one wrote, or left again", () => {
  const came = [entry(1, "system", "assigned")];
  assert.deepEqual(unseen(chat(came), 0, false), { key: "agentNews" });
  assert.equal(unseen(chat(came, { dot: "grey" }), 0, false), null);
  assert.deepEqual(unseen(chat([...came, entry(2)]), 0, false), {
    key: "messageNews",
    n: 1,
  });
});

test("a warning comes before messages, and the end before all, except for the citizen who ended the chat", () => {
  assert.deepEqual(unseen(chat([entry(1)], { inactive: WARNING }), 0, false), {
    key: "closingNews",
  });
  for (const closed of ["agent", "inactive", "no_agent"])
    assert.deepEqual(unseen(chat([entry(1)], { closed }), 0, false), {
      key: "endedNews",
    });
  assert.equal(unseen(chat([entry(1)], { closed: "agent" }), 0, true), null);
  assert.equal(unseen(chat([entry(1)], { closed: "citizen" }), 0, false), null);
});

test("what was there at the welcome has not happened; each warning happens by itself", () => {
  assert.deepEqual(happened(chat([entry(1), entry(2)]), 2), []);
  assert.deepEqual(happened(chat([entry(1), entry(2), entry(3), entry(4, "citizen")]), 2), ["entry 3"]);
  const [first] = happened(chat([], { inactive: WARNING }), 0);
  const [second] = happened(chat([], { inactive: { ...WARNING, warning: 2 } }), 0);
  assert.notEqual(first, second);
  assert.deepEqual(happened(chat([entry(1)], { closed: "agent" }), 0), ["ended"]);
});

test("a title is restored exactly, also one that the page changed meanwhile or made of the marked one", () => {
  const [one, two] = ["Nieuw bericht – ", "2 nieuwe berichten – "];
  const title = "  Aanvraag \n premie ";
  assert.equal(marked(title, one, [one]), one + title);
  assert.equal(marked(one + title, two, [one, two]), two + title);
  assert.equal(marked(two + title, "", [one, two]), title);
  assert.equal(marked(`• ${one}Stap 3`, one, [one, two]), `${one}• Stap 3`);
  assert.equal(marked(`• ${one}Stap 3`, "", [one, two]), "• Stap 3");
});

// The locks of one browser (https://w3c.github.io/web-locks/).
function locks(t) {
  const taken = new Set();
  const request = async (name, options, act) => {
    assert.deepEqual(options, { ifAvailable: true });
    if (taken.has(name)) return act(null);
    taken.add(name);
    await act({ name });
    taken.delete(name);
  };
  give(t, { navigator: { locks: { request } } });
  return taken;
}

function give(t, globals) {
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, {
      value,
      configurable: true,
      writable: true,
    });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
}

test("of several tabs one acts, until it has gone", async (t) => {
  const taken = locks(t);
  let release;
  const end = new Promise((done) => (release = done));
  const acted = [];
  for (const tab of ["a", "b", "c"]) inOneTab("entry 3", () => acted.push(tab), end);
  await settle();
  assert.deepEqual(acted, ["a"]);
  release();
  await settle();
  assert.equal(taken.size, 0);
});

test("a browser without locks, or that refuses them, acts once in each tab", async (t) => {
  const acted = [];
  give(t, { navigator: {} });
  inOneTab("entry 3", () => acted.push("none"), Promise.resolve());
  give(t, {
    navigator: {
      locks: {
        request: async () => Promise.reject(new DOMException("no origin", "SecurityError")),
      },
    },
  });
  inOneTab("entry 3", () => acted.push("refused"), Promise.resolve());
  await settle();
  assert.deepEqual(acted, ["none", "refused"]);
});

// A tab with the panel open or folded. What notifies is written down.
function browser(t) {
  const tabs = [];
  t.after(() => tabs.forEach(({ tell }) => tell()));
  const notes = [];
  class Notification {
    static permission = "granted";
    constructor(words, options) {
      Object.assign(this, { words, options, open: true });
      notes.push(this);
    }
    close() {
      this.open = false;
    }
  }
  const title = {
    text: "Aanvraag",
    childNodes: [],
    set textContent(text) {
      this.text = text;
    },
  };
  const listeners = new Set();
  const page = {
    hidden: false,
    head: { querySelector: () => title },
    get visibilityState() {
      return this.hidden ? "hidden" : "visible";
    },
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
  };
  const observers = [];
  class MutationObserver {
    constructor(look) {
      observers.push(look);
    }
    observe() {}
    disconnect() {}
  }
  locks(t);
  give(t, {
    window: { Notification, focus: () => {} },
    Notification,
    document: page,
    MutationObserver,
  });
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const it = {
    notes,
    title,
    page,
    tabs,
    tab(open, set = { sound: true, notify: true }) {
      const sounds = [];
      const one = { sounds, pressed: 0, record: { chat_id: "one", shown: 0 } };
      one.dialog = { open };
      one.tell = notifier({
        base: "http://here",
        record: one.record,
        session: { backlog: () => 0 },
        t: widgetTexts("nl", "settings"),
        host: { press: () => (one.pressed += 1) },
        dialog: one.dialog,
        wants: () => ({
          sound: { play: (name) => set.sound && sounds.push(name) },
          notify: set.notify,
        }),
      });
      tabs.push(one);
      return one;
    },
    async pass(ms) {
      mock.timers.tick(ms);
      await settle();
    },
    hide(hidden) {
      page.hidden = hidden;
      for (const listener of listeners) listener();
    },
  };
  return it;
}

test("a hidden page notifies once, without a word of the message, and stops when it is seen", async (t) => {
  const it = browser(t);
  const one = it.tab(true);
  one.tell(CHAT);
  it.hide(true);
  one.tell(chat([entry(1)]));
  await it.pass(1_000);
  assert.deepEqual(one.sounds, ["message"]);
  assert.equal(it.title.text, "Nieuw bericht van een medewerker – Aanvraag");
  assert.equal(it.notes.length, 1);
  assert.equal(it.notes[0].words, "Nieuw bericht van een medewerker");
  assert.ok(!JSON.stringify(it.notes).includes("geheim"));
  one.tell(chat([entry(1), entry(2, "citizen")]));
  await it.pass(1_000);
  assert.equal(one.sounds.length, 1);
  one.record.shown = 1;
  it.hide(false);
  assert.equal(it.title.text, "Aanvraag");
  assert.equal(it.notes[0].open, false);
});

test("a press on a notification opens the panel", async (t) => {
  const it = browser(t);
  const one = it.tab(false);
  one.tell(CHAT);
  it.hide(true);
  one.tell(chat([entry(1)]));
  await it.pass(1_000);
  it.notes[0].onclick();
  assert.deepEqual([one.pressed, it.notes[0].open], [1, false]);
});

test("three tabs ring once, and none does when one of them shows the message", async (t) => {
  const it = browser(t);
  const tabs = [it.tab(false), it.tab(false), it.tab(false)];
  for (const { tell } of tabs) tell(CHAT);
  for (const { tell } of tabs) tell(chat([entry(1)]));
  await it.pass(1_000);
  assert.equal(tabs.flatMap(({ sounds }) => sounds).length, 1);
  tabs[2].dialog.open = true;
  for (const { tell } of tabs) tell(chat([entry(1), entry(2)]));
  await it.pass(1_000);
  assert.equal(tabs.flatMap(({ sounds }) => sounds).length, 1);
  assert.equal(it.notes.length, 0); // a page that is on the screen shows none
});

test("what is off stays off, and a chat that had ended before says nothing", async (t) => {
  const it = browser(t);
  const one = it.tab(true, { sound: false, notify: false });
  one.tell(CHAT);
  it.hide(true);
  one.tell(chat([entry(1)], { closed: "agent" }));
  await it.pass(1_000);
  assert.deepEqual([one.sounds, it.notes.length], [[], 0]);
  assert.equal(it.title.text, "Uw chatgesprek is beëindigd – Aanvraag");
  one.tell();
  assert.equal(it.title.text, "Aanvraag");
});
