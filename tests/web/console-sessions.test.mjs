// Mirrors services/gateway/web/console/sessions.js: its RULES.
import assert from "node:assert/strict";
import test from "node:test";
import { clientWords, endWords, timeWords } from "../../services/gateway/web/console/sessions.js";
import { consoleTexts } from "./texts.mjs";

const t = await consoleTexts("nl");

test("a session is named by its browser and system, as far as they are known", () => {
  assert.equal(clientWords(t, { browser: "firefox", system: "windows" }), "Firefox, Windows");
  assert.equal(clientWords(t, { browser: "samsung", system: "android" }), "Samsung Internet, Android");
  assert.equal(clientWords(t, { browser: "other", system: "linux" }), "Onbekende browser, Linux");
  assert.equal(clientWords(t, { browser: "", system: "" }), "Onbekende browser", "of an earlier release");
  assert.equal(clientWords(t, { browser: "toString", system: "__proto__" }), "Onbekende browser", "names, not members");
});

test("a time is told to the second, and in words where it is not known", () => {
  assert.match(timeWords(t, "2026-11-23T08:00:00.123Z"), /23 nov.* 2026.*09:00:00/);
  assert.equal(timeWords(t, null), "niet bekend");
});

test("what became of an end is told, also where a later server has another reason", () => {
  assert.equal(endWords(t, { ok: true, code: null }), "De sessie is beëindigd.");
  assert.equal(endWords(t, { ok: false, code: "no_such_session" }), "Deze sessie was al voorbij.");
  assert.match(endWords(t, { ok: false, code: "not_logged" }), /toegangslog/);
  assert.match(endWords(t, { ok: false, code: "something_new" }), /^Dat is niet gelukt/);
  assert.match(endWords(t, { ok: false, code: "no_answer" }), /antwoordt niet op tijd/);
});
