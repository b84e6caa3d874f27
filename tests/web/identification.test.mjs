// Who the citizen is, as the log tells it: services/gateway/web/shared/identification.js, and what the console makes of it.
import assert from "node:assert/strict";
import test from "node:test";

import { identifies, identifiesNoMore, entry } from "../../services/gateway/web/console/chat-state.js";
import { systemWords } from "../../services/gateway/web/console/system-messages.js";
import { identity, openRequest } from "../../services/gateway/web/shared/identification.js";
import { receive } from "../../services/gateway/web/shared/conversation.js";
import { consoleTexts } from "./texts.mjs";

const AT = "2026-11-23T08:00:00.000Z";
const NOW = Date.parse(AT);
const step = (seq, id, word, more = {}, from = "system") => ({
  type: "message",
  seq,
  id: `entry-${seq}`,
  from,
  text: "woorden voor de burger",
  event: "identification",
  at: AT,
  identification: { id, step: word, ...more },
});
const LIEN = { name: "Lien De Smet", level: "high", issuer: "Toegangsbeheer" };

test("a request is open until its own answer", () => {
  assert.equal(openRequest([]), undefined);
  const first = step(2, "a", "asked");
  assert.equal(openRequest([first]), first);
  assert.equal(openRequest([first, step(3, "b", "declined")]), first, "the answer to another one");
  for (const answer of ["declined", "failed", "identified"]) assert.equal(openRequest([first, step(3, "a", answer)]), undefined);
  const second = step(4, "b", "asked");
  assert.equal(openRequest([first, step(3, "a", "failed"), second]), second);
});

test("only the system says who the citizen is", () => {
  const forged = step(2, "a", "identified", LIEN, "citizen");
  assert.equal(identity([forged]), undefined);
  assert.equal(openRequest([step(1, "a", "asked", {}, "citizen")]), undefined);
  assert.deepEqual(identity([step(2, "a", "identified", LIEN)]), { id: "a", step: "identified", ...LIEN });
  assert.equal(identity([step(2, "a", "identified")]), undefined, "what it said was erased");
  const later = step(5, "b", "identified", { ...LIEN, name: "Lien Desmet" });
  assert.equal(identity([step(2, "a", "identified", LIEN), step(4, "b", "failed"), later]).name, "Lien Desmet");
});

test("an agent may ask again once a request is answered, over, or was lost", () => {
  const chat = { chat_id: "c", department: "algemeen", locale: "nl", name: null, question: null, form: null, opened_at: AT, last_seq: 0 };
  const frames = ["identify"];
  const one = { ...entry({ ...chat, identify: true, accepted: true }), seen: true };
  const received = (desk, message) => ({ ...desk, talk: receive(desk.talk, message).chat });
  assert.equal(identifies({ ...entry(chat), seen: true }, frames, NOW), "no", "this department does not want it");
  assert.equal(identifies(one, [], NOW), "no", "an earlier gateway");
  assert.equal(identifies({ ...one, ended: { kind: "closed", reason: "citizen" } }, frames, NOW), "no");
  assert.equal(identifies(one, frames, NOW), "now");
  const sent = { ...one, asking: { id: "a", at: NOW } };
  assert.equal(identifies(sent, frames, NOW + 1), "asked");
  assert.equal(identifies(sent, frames, NOW + 20_000), "now", "it came to nothing");
  const asked = received(sent, step(1, "a", "asked"));
  assert.equal(identifies(asked, frames, NOW + 599_000), "asked");
  assert.equal(identifies(asked, frames, NOW + 600_000), "now");
  const declined = received(asked, step(2, "a", "declined"));
  assert.equal(identifies(declined, frames, NOW + 1), "now");
  const late = (chat, now) => identifiesNoMore(chat, frames, now);
  assert.deepEqual([late(asked, NOW + 599_000), late(asked, NOW + 600_000)], [false, true]);
  assert.equal(late(one, NOW), false, "nobody has asked");
  assert.equal(late(declined, NOW + 600_000), false, "it has its answer");
  assert.equal(late({ ...asked, asking: { id: "b", at: NOW + 600_000 } }, NOW + 600_001), false, "it is asked again");
  assert.equal(late({ ...asked, ended: { kind: "closed", reason: "citizen" } }, NOW + 600_000), false);
});

test("the console says it in the agent's language, and where it knows no words, what the citizen read", async () => {
  const t = await consoleTexts("nl");
  const context = { own: "agent-an", name: "burger", departments: new Map() };
  const words = (message) => systemWords(t, message, context);
  assert.equal(
    words({ ...step(1, "a", "asked"), about: { agent_id: "agent-an", agent: "An" } }),
    "U hebt de burger gevraagd om zich te identificeren.",
  );
  assert.equal(
    words({ ...step(1, "a", "asked"), about: { agent_id: "b", agent: "Bert" } }),
    "Bert heeft de burger gevraagd om zich te identificeren.",
  );
  assert.equal(
    words(step(2, "a", "identified", LIEN)),
    "De burger heeft zich geïdentificeerd via Toegangsbeheer als Lien De Smet. Betrouwbaarheidsniveau: hoog.",
  );
  const read = "De burger las: “woorden voor de burger”";
  assert.equal(words(step(2, "a", "identified")), read);
  assert.equal(words(step(2, "a", "later_step")), read);
  assert.equal(words({ ...step(2, "a", "asked"), identification: undefined }), read, "from a transcript");
});

test("the page after it closes its window after 20 seconds, and not when a key was pressed", async () => {
  const target = new EventTarget();
  const { setTimeout: timeout, clearTimeout: clear, addEventListener } = globalThis;
  const timers = [];
  let closed = 0;
  Object.assign(globalThis, {
    window: { close: () => (closed += 1) },
    addEventListener: target.addEventListener.bind(target),
    setTimeout: (call, ms) => timers.push({ call, ms }),
    clearTimeout: (timer) => timers.splice(timer - 1, 1),
  });
  await import("../../services/gateway/web/identify/close.js");
  Object.assign(globalThis, { setTimeout: timeout, addEventListener });
  const [{ call, ms }] = timers;
  call();
  assert.deepEqual([closed, ms], [1, 20_000]);
  target.dispatchEvent(new Event("keydown"));
  assert.deepEqual(timers, []);
  globalThis.clearTimeout = clear;
});
