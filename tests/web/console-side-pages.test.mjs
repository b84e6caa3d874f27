// Mirrors services/gateway/web/console/left-questions.js and assignments.js: their RULES.
import assert from "node:assert/strict";
import test from "node:test";
import { figuresOf, reasonOf } from "../../services/gateway/web/console/assignments.js";
import { asRead, contactLink, hasNews, holderOf } from "../../services/gateway/web/console/left-questions.js";
import { span } from "../../services/gateway/web/console/format.js";
import { consoleTexts } from "./texts.mjs";

test("an e-mail address and a phone number become links that open nothing else", () => {
  assert.equal(contactLink(" an.peeters@example.be "), "mailto:an.peeters@example.be");
  assert.equal(contactLink("an+x&y=z@example.be"), "mailto:an%2Bx%26y%3Dz@example.be");
  assert.equal(contactLink("0470 12 34 56"), "tel:0470123456");
  assert.equal(contactLink("+32 (0)470/12.34.56"), "tel:+32470123456");
  assert.equal(contactLink("(02) 555 01 00"), "tel:025550100");
});

test("what is neither an address nor a number is no link", () => {
  const texts = [
    "",
    "bel mij",
    "javascript:alert(1)",
    "an@example.be?bcc=b@example.be",
    "an@example.be,b@example.be",
    "an@localhost",
    "an @example.be",
    "12345",
    "0470123456 na 17 uur",
    "+",
    "1+2+3+4",
  ];
  for (const words of texts) assert.equal(contactLink(words), null, words);
});

test("a question is news when it was not there before, but never at the first look", () => {
  const list = (...ids) => ids.map((id) => ({ chat_id: id }));
  assert.equal(hasNews(null, list("a")), false);
  assert.equal(hasNews(list("a"), list("a")), false);
  assert.equal(hasNews(list("a", "b"), list("b")), false);
  assert.equal(hasNews(list("a"), list("b")), true);
  const [again] = list("b").map((one) => ({ ...one, undone_at: "2026-11-23T09:00:00.000Z" }));
  assert.equal(hasNews(list("a"), [...list("a"), again]), false, "a colleague has opened it again");
  assert.equal(hasNews(list("a"), [...list("c"), again]), true);
});

test("why an agent got a chat is said in words, with the figures", () => {
  const t = consoleTexts("nl");
  const choice = {
    rule: "fewest_chats",
    candidates: 3,
    speaks: true,
    chats: 1,
    idle_for: 125.4,
  };
  assert.equal(reasonOf(t, choice), "had de minste gesprekken");
  assert.deepEqual(figuresOf(t, choice), ["3 kandidaten", "had 1 gesprek", "2 min 5 sec vrij", "spreekt de taal van de burger"]);
  assert.equal(reasonOf(t, { ...choice, rule: "a_newer_rule" }), "de reden is niet bewaard");
  assert.deepEqual([reasonOf(t, null), figuresOf(t, null)], ["de reden is niet bewaard", []]);
});

test("a span of time reads in its two largest units", () => {
  assert.deepEqual(
    [0, 0.4, 59, 60, 61, 3600, 3725, -1].map((one) => span(one, "en")),
    ["0 secs", "0 secs", "59 secs", "1 min", "1 min 1 sec", "1 hr", "1 hr 2 mins", "0 secs"],
  );
  assert.equal(span(61, "nl"), "1 min 1 sec");
});

test("a question is dealt with by nobody, by this agent or by a colleague", () => {
  assert.equal(holderOf({ claimed: null }, "an"), "nobody");
  assert.equal(holderOf({}, "an"), "nobody"); // of a server that knows no claims
  assert.equal(holderOf({ claimed: { agent_id: "an" } }, "an"), "me");
  assert.equal(holderOf({ claimed: { agent_id: "bert" } }, "an"), "colleague");
});

test("the conversation of a question is one that has ended, with what was said and noted", () => {
  const said = {
    opened_at: "2026-11-23T08:00:00Z",
    closed_at: "2026-11-23T08:09:00Z",
    messages: [
      {
        seq: 1,
        id: "m1",
        from: "citizen",
        text: "Waar?",
        at: "2026-11-23T08:00:01Z",
      },
    ],
  };
  const note = {
    id: "n1",
    agent_id: "b",
    name: "Bert",
    text: "gebeld",
    at: "2026-11-23T08:05:00Z",
  };
  const one = asRead(
    {
      chat_id: "c",
      department: "d",
      locale: "fr",
      name: "Lien",
      at: "2026-11-23T08:09:00Z",
    },
    said,
    [note],
  );
  assert.deepEqual(
    [one.talk.messages.map((message) => message.text), one.book.notes.map((written) => written.text), one.about.locale, one.ended.kind],
    [["Waar?"], ["gebeld"], "fr", "closed"],
  );
});
