// Mirrors services/gateway/web/shared/message-list.js and what the two pages make of a conversation: widget/message-list.js, console/message-list.js.
import assert from "node:assert/strict";
import test from "node:test";

import { entry } from "../../services/gateway/web/console/chat-state.js";
import { itemsOf as agentItems } from "../../services/gateway/web/console/message-list.js";
import * as rules from "../../services/gateway/web/shared/conversation.js";
import { deliveryOf, together } from "../../services/gateway/web/shared/message-list.js";
import { itemsOf as citizenItems } from "../../services/gateway/web/widget/message-list.js";
import { consoleTexts, widgetTexts } from "./texts.mjs";

const said = (seq, from, minute, more = {}) => ({
  type: "message",
  seq,
  id: `m${seq}`,
  from,
  name: from === "agent" ? "An" : undefined,
  text: `tekst ${seq}`,
  at: `2026-11-23T08:${String(minute).padStart(2, "0")}:00Z`,
  ...more,
});
const LOG = [
  said(1, "system", 0, { event: "opened", text: "Welkom" }),
  said(2, "citizen", 1),
  said(3, "citizen", 2),
  said(4, "agent", 3),
  said(5, "agent", 20),
  said(6, "citizen", 21),
];

function talk(me, read) {
  let chat = rules.conversation(me);
  for (const frame of [
    { type: "welcome", dot: "green", last_seq: 6 },
    ...LOG,
    { type: "read", from: me === "agent" ? "citizen" : "agent", seq: read },
  ])
    chat = rules.receive(chat, frame).chat;
  return rules.post(chat, "p1", { text: "onderweg" });
}

test("messages of one author stand together when they come soon after each other", () => {
  const items = citizenItems(talk("citizen", 0), widgetTexts("nl"));
  const joined = items.map((item, index) => together(items[index - 1], item));
  assert.deepEqual(joined, [false, false, true, false, false, false, true]);
  assert.equal(together({ ...items[1], state: "failed" }, items[2]), false);
  assert.equal(together({ ...items[1], own: !items[1].own }, items[2]), false);
  assert.equal(together({ ...items[3], name: "Bert" }, { ...items[4], at: items[3].at }), false);
  assert.equal(together(items[0], { ...items[0], key: "system:2" }), false);
});

test("only the last message of ours that was read says so, and earlier ones say nothing", () => {
  assert.deepEqual([deliveryOf(2, 3), deliveryOf(3, 3), deliveryOf(6, 3), deliveryOf(1, 0)], [undefined, "read", "sent", "sent"]);
  const items = citizenItems(talk("citizen", 5), widgetTexts("nl"));
  assert.deepEqual(
    items.map(({ from, state }) => [from, state]),
    [
      ["system", undefined],
      ["citizen", undefined],
      ["citizen", "read"],
      ["agent", undefined],
      ["agent", undefined],
      ["citizen", "sent"],
      ["citizen", "sending"],
    ],
  );
});

test("a message keeps its key from the press on send to its receipt", () => {
  const t = widgetTexts("nl");
  const before = talk("citizen", 0);
  const after = rules.receive(before, said(7, "citizen", 22, { id: "p1", text: "onderweg" })).chat;
  const [one, other] = [before, after].map((chat) => citizenItems(chat, t).at(-1));
  assert.equal(one.key, other.key);
  assert.deepEqual([one.stored, other.stored], [false, true]);
});

test("an agent reads the same conversation from the other side, with notes and the citizen's language", () => {
  const t = consoleTexts("nl");
  const one = entry({
    chat_id: "c1",
    department: "algemeen",
    locale: "fr",
    name: "Lien",
    last_seq: 6,
  });
  const note = {
    id: "n1",
    name: "Bert",
    text: "bel terug",
    at: "2026-11-23T08:04:00Z",
  };
  const desk = {
    ...one,
    talk: talk("agent", 4),
    book: {
      notes: [note],
      pending: [{ id: "n2", text: "nieuw", state: "failed", code: "unavailable" }],
    },
  };
  const items = agentItems(t, desk, {
    agent: "An",
    own: "an",
    departments: new Map(),
  });
  assert.deepEqual(
    items.map(({ from, own, name, state, lang }) => [from, own, name, state, lang]),
    [
      ["system", false, "", undefined, undefined],
      ["citizen", false, "Lien", undefined, "fr"],
      ["citizen", false, "Lien", undefined, "fr"],
      ["agent", true, "An", "read", undefined],
      ["note", false, "Bert", undefined, undefined],
      ["agent", true, "An", "sent", undefined],
      ["citizen", false, "Lien", undefined, "fr"],
      ["agent", true, "An", "sending", undefined],
      ["note", false, "An", "failed", undefined],
    ],
  );
  assert.equal(items[4].badge, t("note.badge"));
  assert.equal(new Set(items.map(({ key }) => key)).size, items.length);
});
