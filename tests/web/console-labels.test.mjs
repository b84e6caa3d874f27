// Mirrors services/gateway/web/console/labels.js and pause-dialog.js: their RULES; and what past chats, the live page and reports make of them.
import assert from "node:assert/strict";
import test from "node:test";
import { isLabelled, optionsOf } from "../../services/gateway/web/console/labels.js";
import { optionName } from "../../services/gateway/web/console/pause-dialog.js";
import { detailsOf } from "../../services/gateway/web/console/past-chats.js";
import { addressOf, filtersOf, requestOf } from "../../services/gateway/web/console/past-filters.js";
import { stateWords } from "../../services/gateway/web/console/live-view.js";
import { labelLines } from "../../services/gateway/web/console/reports.js";
import { consoleTexts } from "./texts.mjs";

const named = (id, nl, en) => ({ id, names: { nl, en } });
const CLOSING = {
  algemeen: {
    reasons: [named("solved", "Opgelost", "Solved")],
    tags: [named("form", "Formulier", "Form")],
    required: true,
  },
  premies: {
    reasons: [],
    tags: [named("form", "Andere naam", "Other"), named("phone", "Telefoon", "Phone")],
    required: false,
  },
};
const PAST = {
  departments: [],
  department: "algemeen",
  locale: "nl",
  left: false,
  ended_by: "agent",
  agents: [],
  rating: null,
};

test("a word has its name in the agent's language, then in Dutch, then its id", () => {
  const options = [named("lunch", "Middag", "Lunch"), { id: "x", names: { nl: "Iks" } }];
  assert.equal(optionName(options, "lunch", "en"), "Lunch");
  assert.equal(optionName(options, "x", "en"), "Iks");
  assert.equal(optionName(options, "gone", "en"), "gone");
  assert.equal(optionName(undefined, "gone", "en"), "gone");
});

test("the words of several departments are there once, with the first name", () => {
  assert.deepEqual(
    optionsOf(CLOSING, "tags").map(({ id, names }) => [id, names.nl]),
    [
      ["form", "Formulier"],
      ["phone", "Telefoon"],
    ],
  );
  assert.deepEqual(optionsOf(undefined, "tags"), []);
});

test("a label says something when it has a reason or a tag", () => {
  assert.ok(!isLabelled({ reason: null, tags: [] }));
  assert.ok(isLabelled({ reason: "solved", tags: [] }));
  assert.ok(isLabelled({ reason: null, tags: ["form"] }));
});

test("a past chat tells its reason and tags, and one of an earlier release none", () => {
  const t = consoleTexts("nl");
  const facts = detailsOf(t, { ...PAST, closing_reason: "solved", tags: ["form", "old"] }, new Map(), CLOSING);
  assert.deepEqual(facts.slice(-2), ["Reden: Opgelost", "Labels: Formulier, old"]);
  assert.ok(!detailsOf(t, PAST, new Map()).some((one) => /Reden|Labels/.test(one)));
});

test("the filter by tag is in the address, and asked of the server; what is no id is left out", () => {
  assert.equal(addressOf({ tag: "form" }), "#chats?tag=form");
  assert.deepEqual(filtersOf("#chats?tag=form", false), { tag: "form" });
  assert.deepEqual(filtersOf("#chats?tag=%3Cb%3E", false), {});
  assert.equal(requestOf({ tag: "form" }).tag, "form");
});

test("the live page tells why an agent is paused", () => {
  const t = consoleTexts("en");
  const who = { state: "paused", chats: 1, pause_reason: "lunch" };
  assert.equal(stateWords(t, who, [named("lunch", "Middag", "Lunch")]), "Paused (Lunch)");
  assert.equal(stateWords(t, { ...who, pause_reason: null }, []), "Paused");
  assert.equal(stateWords(t, { state: "available", chats: 1 }), t("live.state.busy"));
});

test("reports tell reasons and tags with their part of the served chats", () => {
  const t = consoleTexts("en");
  const report = {
    total: { served: 8, tags: [{ id: "form", chats: 2 }] },
    names: { tags: { form: { nl: "Formulier", en: "Form" } } },
  };
  assert.deepEqual(labelLines(t, report, "tags"), [["Form", "2", "25%"]]);
  assert.deepEqual(labelLines(t, report, "closing_reasons"), [], "a server before 2.0 does not tell them");
  assert.equal(labelLines(t, { total: { served: 0, tags: [{ id: "form", chats: 1 }] } }, "tags")[0][2], "–");
});
