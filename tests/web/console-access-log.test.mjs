// Mirrors services/gateway/web/console/access-log.js: its RULES; and the reason that is asked for (reading.js).
import assert from "node:assert/strict";
import test from "node:test";
import { ACTS, addressOf, flawWords, verdict, wishOf } from "../../services/gateway/web/console/access-log.js";
import { accessExportUrl } from "../../services/gateway/web/console/api.js";
import { forgetReasons, reading } from "../../services/gateway/web/console/reading.js";
import { moment } from "../../services/gateway/web/console/format.js";
import { consoleTexts } from "./texts.mjs";

const NOTHING = { person: "", chat: "", act: "", from: "", until: "" };

test("the filters and the page stand in the address, and the language stays there", () => {
  const wish = { ...NOTHING, person: "An Peeters", from: "2026-11-01" };
  const address = addressOf("https://loket.example/agent?lang=fr&act=file_read&before=3", wish, 120);
  assert.equal(address, "https://loket.example/agent?lang=fr&before=120&person=An+Peeters&from=2026-11-01");
  assert.deepEqual(wishOf(new URL(address).search), { wish, before: 120 });
  assert.equal(addressOf(address, NOTHING, null), "https://loket.example/agent?lang=fr");
});

test("what is wrong with the log is said in the language of the auditor", () => {
  assert.equal(flawWords(consoleTexts("nl"), { code: "missing", first: 3, last: 5 }), "Regels 3 tot en met 5 ontbreken.");
  assert.equal(flawWords(consoleTexts("fr"), { code: "altered", first: 2, last: 2 }), "La ligne 2 a été modifiée.");
  assert.equal(flawWords(consoleTexts("nl"), { code: "of_later", first: 1, last: 1 }), "");
  assert.equal(flawWords(consoleTexts("nl"), undefined), "");
});

test("an address that says something else asks for nothing", () => {
  for (const before of ["x", "-1", "0", "1e99", ""])
    assert.deepEqual(wishOf(`?before=${before}`), {
      wish: NOTHING,
      before: null,
    });
  assert.equal(wishOf(`?person=${"x".repeat(1000)}`).wish.person.length, 100);
});

test("the result of a verification says of what it is", () => {
  const t = consoleTexts("en");
  const found = { intact: true, first: 1, last: 1234, complete: true };
  assert.equal(verdict(t, found), "The log is intact: entries 1 to 1,234 were verified.");
  assert.match(verdict(t, { ...found, complete: false }), /verified\. Whoever runs the system/);
  assert.match(verdict(t, { ...found, intact: false }), /^The log is NOT intact/);
});

test("each act has words in each language", () => {
  for (const language of ["nl", "fr", "de", "en"]) for (const act of ACTS) assert.ok(consoleTexts(language).has(`access.act.${act}`), act);
});

test("an export asks for what is filled in", () => {
  assert.equal(accessExportUrl("csv", { ...NOTHING, act: "file_read" }), "/api/access-log/export?format=csv&act=file_read");
});

test("a time of the log is read to the second", () => {
  assert.equal(moment("2026-11-23T08:00:05.123Z", "en"), "23 Nov 2026, 09:00:05");
});

test("what needs no reason is read at once, and another refusal is not asked about", async () => {
  forgetReasons();
  const seen = [];
  for (const answer of [
    { status: 200, code: null },
    { status: 403, code: "forbidden" },
    { status: 428, code: "other" },
  ]) {
    const read = async (reason) => (seen.push(reason), answer);
    assert.equal(await reading(consoleTexts("nl"), "c", read), answer);
  }
  assert.deepEqual(seen, [undefined, undefined, undefined]);
});
