// Mirrors services/gateway/web/widget/page-events.js: what a page is told of a chat, and its session.
import assert from "node:assert/strict";
import test from "node:test";
import { followChat } from "../../services/gateway/web/widget/page-events.js";

const CHAT = {
  messages: [],
  welcomed: false,
  agent: null,
  position: null,
  closed: null,
};
const said = (seq, from = "agent") => ({
  seq,
  from,
  text: "geheim",
  at: "2026-11-23T08:00:00Z",
});

function page(t, attributes = {}, record = {}) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const asked = [];
  t.mock.method(globalThis, "fetch", async (address, options) => asked.push([address, options.credentials]));
  const told = [];
  const host = {
    emit: (name, detail) => told.push([name, detail]),
    getAttribute: (name) => attributes[name] ?? null,
    shadowRoot: { querySelector: () => null },
    panel: Promise.resolve(null),
  };
  const tell = followChat(host, { chat_id: "one", ...record });
  return {
    host,
    tell,
    told,
    asked,
    of: (name) => told.filter(([one]) => one === name).map(([, detail]) => detail),
  };
}

test("messages that were there at the welcome are not new, later ones are told once and without their text", (t) => {
  const { tell, of } = page(t);
  tell(CHAT, "grey", 0);
  tell({ ...CHAT, welcomed: true, messages: [said(1), said(2)] }, "green", 2);
  assert.deepEqual(of("message"), []);
  const more = {
    ...CHAT,
    welcomed: true,
    messages: [said(1), said(2), said(3), said(4, "system"), said(5, "citizen")],
  };
  for (let n = 0; n < 2; n += 1) tell(more, "green", 2);
  assert.deepEqual(
    of("message").map(({ from, seq }) => [from, seq]),
    [
      ["agent", 3],
      ["citizen", 5],
    ],
  );
  assert.ok(!JSON.stringify(of("message")).includes("geheim"));
});

test("the dot is told when it changes, and the end once", (t) => {
  const { host, tell, of } = page(t);
  for (const colour of ["grey", "grey", "green"]) tell({ ...CHAT, agent: colour === "green" ? { name: "An" } : null }, colour);
  assert.deepEqual(
    of("status").map(({ dot, agent }) => [dot, agent]),
    [
      ["grey", null],
      ["green", "An"],
    ],
  );
  for (let n = 0; n < 2; n += 1) tell({ ...CHAT, closed: "agent" }, "red");
  assert.equal(host.dot, "red");
  assert.deepEqual(of("ended"), [{ chat_id: "one", reason: "agent" }]);
});

test("a chat that had ended before is not told as ended again and keeps no session", (t) => {
  const { tell, of } = page(t, {}, { ended: 1 });
  tell({ ...CHAT, closed: "agent" }, "red");
  t.mock.timers.tick(600_000);
  assert.deepEqual([of("ended"), of("active")], [[], []]);
});

test("the session of the page is kept from the first moment to the end of the chat", (t) => {
  const { tell, of, asked } = page(t, { "keep-alive": "/alive" });
  tell(CHAT, "grey");
  assert.deepEqual(asked, [["/alive", "same-origin"]]);
  t.mock.timers.tick(180_000);
  assert.equal(of("active").length, 4);
  tell({ ...CHAT, closed: "citizen" }, "red");
  t.mock.timers.tick(600_000);
  assert.equal(asked.length, 4);
});

test("a page says how often, and a panel that goes away ends it", (t) => {
  const { tell, of, asked } = page(t, { "keep-alive-seconds": "10" });
  tell(CHAT, "grey");
  t.mock.timers.tick(30_000);
  assert.equal(of("active").length, 4);
  tell();
  t.mock.timers.tick(600_000);
  assert.equal(of("active").length, 4);
  assert.deepEqual(asked, []);
});

/** A panel, and the minutes that pass. */
function panelOf(t, host) {
  const panel = { asked: 0, left: [], open: false, kept: { chat_id: "one" } };
  host.shadowRoot.querySelector = (wanted) => (assert.equal(wanted, "dialog[open]"), panel.open ? {} : null);
  host.panel = Promise.resolve({ kept: () => ((panel.asked += 1), panel.kept), gone: (id) => panel.left.push(id) });
  const minutes = async (n) => {
    t.mock.timers.tick(n * 60_000);
    await new Promise(setImmediate);
  };
  return { panel, minutes };
}

test("an ended chat that the panel keeps no more leaves the page, unless it is being read", async (t) => {
  const { host, tell } = page(t);
  const { panel, minutes } = panelOf(t, host);
  tell({ ...CHAT, welcomed: true }, "red");
  await minutes(120);
  assert.equal(panel.asked, 0, "an open chat stays, however long it is");
  for (let n = 0; n < 2; n += 1) tell({ ...CHAT, welcomed: true, closed: "citizen" }, "red");
  await minutes(3);
  assert.deepEqual([panel.asked, panel.left], [3, []], "each minute, and it is kept still");
  Object.assign(panel, { kept: null, open: true });
  await minutes(1);
  assert.deepEqual(panel.left, [], "it is being read");
  panel.open = false;
  await minutes(1);
  assert.deepEqual(panel.left, ["one"]);
  tell();
  await minutes(10);
  assert.equal(panel.asked, 5, "the view is gone");
});

test("that is also so where the server cannot say that the chat has ended", async (t) => {
  const { host, tell } = page(t, {}, { ended: 1 });
  const { panel, minutes } = panelOf(t, host);
  panel.kept = null;
  tell(CHAT, "red");
  await minutes(1);
  assert.deepEqual(panel.left, ["one"]);
});
