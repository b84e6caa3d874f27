// Mirrors services/gateway/web/console/past-filters.js, and the RULES of past-chats.js and earlier-chats.js.
import assert from "node:assert/strict";
import test from "node:test";
import { formOf } from "../../services/gateway/web/console/earlier-chats.js";
import { asRead, detailsOf, formName } from "../../services/gateway/web/console/past-chats.js";
import { addressOf, filtersOf, isPast, requestOf } from "../../services/gateway/web/console/past-filters.js";
import { consoleTexts } from "./texts.mjs";

const ALL = {
  text: "één & twee",
  own: "yes",
  department: "algemeen",
  from: "2026-11-01",
  until: "2026-11-30",
  agent: "an",
  form: "https://www.voorbeeld.be/a?b#c",
  locale: "fr",
  rating: "partly",
  ended: "inactive",
};
const CHAT = {
  chat_id: "c",
  department: "algemeen",
  departments: ["algemeen", "premies"],
  locale: "fr",
  opened_at: "2026-11-22T15:00:00.000Z",
  ended_at: "2026-11-22T15:10:00.000Z",
  name: "Zoë",
  form: { title: "Parkeerkaart" },
  agents: [
    { id: "an", name: "An" },
    { id: "bert", name: null },
  ],
  ended_by: "citizen",
  rating: { helped: "yes", score: 4 },
  left: false,
  complete: true,
};
const NAMES = new Map([["algemeen", "Algemeen loket"]]);

test("filters go into the address and come back", () => {
  assert.deepEqual(filtersOf(addressOf(ALL), true), ALL);
  assert.equal(addressOf({}), "#chats");
  assert.deepEqual(filtersOf("#chats", true), {});
  assert.deepEqual(filtersOf("", true), {});
});

test("an agent has no filters of supervisors", () => {
  const { own, agent, rating, ...rest } = ALL;
  assert.ok(own && agent && rating);
  assert.deepEqual(filtersOf(addressOf(ALL), false), rest);
});

test("what does not fit is left out", () => {
  for (const wrong of ["from=1-2-2026", "own=no", "locale=xx", "rating=6", "ended=x", `text=${"x".repeat(201)}`, "text=%20", "other=1"])
    assert.deepEqual(filtersOf(`#chats?${wrong}`, true), {}, wrong);
});

test("only its own address is that of past chats", () => {
  assert.deepEqual(["#chats", "#chats?text=a", "#chatsx", "#chat", "", "#x#chats"].map(isPast), [true, true, false, false, false, false]);
});

test("the server is asked with its own names", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(requestOf(ALL, "x"))), {
    text: ALL.text,
    own: true,
    department: "algemeen",
    from: ALL.from,
    until: ALL.until,
    agent: "an",
    form: ALL.form,
    locale: "fr",
    helped: "partly",
    ended_by: "inactive",
    before: "x",
  });
  assert.deepEqual(JSON.parse(JSON.stringify(requestOf({ rating: "4" }))), {
    score: 4,
  });
  assert.deepEqual(JSON.parse(JSON.stringify(requestOf({}))), {});
});

test("the details of a chat are shown in words", () => {
  const t = consoleTexts("nl");
  assert.deepEqual(detailsOf(t, CHAT, NAMES), [
    "Algemeen loket, premies",
    "Frans",
    "Beëindigd door de burger",
    "Met An, bert",
    "Geholpen, Score 4",
  ]);
  const left = {
    ...CHAT,
    departments: [],
    agents: [],
    rating: null,
    left: true,
    ended_by: null,
    locale: "xx",
  };
  assert.deepEqual(detailsOf(t, left, NAMES), ["Algemeen loket", "xx", "U hebt dit gesprek doorgegeven", "Zonder medewerker"]);
  assert.equal(detailsOf(t, { ...CHAT, ended_by: "new" }, NAMES)[2], "Afgelopen");
  assert.deepEqual([formName(CHAT.form), formName({ id: "p" }), formName({ url: "u" }), formName(null)], ["Parkeerkaart", "p", "u", null]);
});

test("a form is found by its number, its address or its name", () => {
  assert.deepEqual([{ id: "p", title: "t", url: "u" }, { title: "t", url: "u" }, { title: "t" }, {}, null].map(formOf), [
    "p",
    "u",
    "t",
    null,
    null,
  ]);
});

test("a past chat reads as one that has ended, with its notes", () => {
  const said = {
    opened_at: CHAT.opened_at,
    messages: [{ seq: 1, id: "m", from: "citizen", text: "Dag", at: CHAT.opened_at }],
  };
  const note = {
    id: "n",
    agent_id: "an",
    name: "An",
    text: "Nota",
    at: CHAT.opened_at,
  };
  const one = asRead(CHAT, said, [note]);
  assert.deepEqual([one.id, one.about.name, one.ended], ["c", "Zoë", { kind: "closed", reason: "citizen" }]);
  assert.equal(one.talk.messages.length, 1);
  assert.equal(one.book.notes.length, 1);
  assert.equal(asRead({ ...CHAT, left: true }, said, []).ended.kind, "gone");
});
