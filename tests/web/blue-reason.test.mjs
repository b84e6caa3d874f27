// Why the button is blue and until when, in few words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
globalThis.CSSStyleSheet ??= class {
  replaceSync() {}
};
const { mayWait, reason, when } = await import("../../services/gateway/web/widget/blue-reason.js");
const { translator } = await import("../../services/gateway/web/shared/translator.js");
const { readFile } = await import("node:fs/promises");

const FOLDER = new URL("../../services/gateway/web/widget/translations/reason/", import.meta.url);
/** @param {string} language */
const texts = async (language) => translator(JSON.parse(await readFile(new URL(`${language}.json`, FOLDER), "utf8")), language);
const ZONE = "Europe/Brussels";
const NOW = Date.parse("2026-11-27T17:00:00Z"); // a Friday, 18:00 in Brussels
const CLOSED = {
  colour: "blue",
  reason: "closed",
  contact: [],
  timezone: ZONE,
};

test("a closed office says when it opens, in the language of the page", async () => {
  const closed = { ...CLOSED, opens_at: "2026-11-30T08:00:00Z" };
  const said = {};
  for (const language of ["nl", "fr", "de", "en"]) said[language] = reason(await texts(language), closed, NOW);
  assert.deepEqual(said, {
    nl: "Gesloten, open maandag 9 u.",
    fr: "Fermé, ouvre lundi à 9 h",
    de: "Geschlossen bis Montag 9 Uhr",
    en: "Closed, opens Monday 9:00",
  });
});

test("today, tomorrow, a day of this week and a date have words of their own", async () => {
  const t = await texts("nl");
  const of = (at) => when(t, at, ZONE, NOW);
  assert.equal(of("2026-11-27T18:30:00Z"), "om 19.30 u.");
  assert.equal(of("2026-11-27T23:30:00Z"), "morgen 0.30 u.");
  assert.equal(of("2026-12-03T08:00:00Z"), "donderdag 9 u.");
  assert.equal(of("2026-12-04T08:00:00Z"), "4 dec 9 u.");
});

test("the day is that of the office's time zone, also where the clock changes", async () => {
  const t = await texts("nl");
  const night = Date.parse("2026-10-24T22:30:00Z"); // 00:30 on the day of the change
  assert.equal(when(t, "2026-10-25T08:00:00Z", ZONE, night), "om 9 u.");
  assert.equal(when(t, "2026-10-26T08:00:00Z", ZONE, night), "morgen 9 u.");
  assert.equal(when(t, "2026-10-25T08:00:00Z", "no zone", night), "om 9 u.");
});

test("what is over, or no time, is not told", async () => {
  const t = await texts("nl");
  for (const at of [null, undefined, "", "morgen", "2026-11-27T16:59:00Z"]) {
    assert.equal(when(t, at, ZONE, NOW), null);
    assert.equal(reason(t, { ...CLOSED, opens_at: at }, NOW), "Gesloten");
  }
});

test("other reasons", async () => {
  const t = await texts("nl");
  const said = ["busy", "no_agents", "unknown", "new_reason", undefined].map((one) => reason(t, { ...CLOSED, reason: one }, NOW));
  assert.deepEqual(said, [
    "Alle medewerkers zijn in gesprek",
    "Er is nu geen medewerker",
    "Chat niet beschikbaar",
    "Chat niet beschikbaar",
    "Chat niet beschikbaar",
  ]);
});

test("one waits for busy agents alone, where there is room", () => {
  const busy = {
    colour: "blue",
    reason: "busy",
    contact: [],
    queue: { position: null, wait: null },
  };
  assert.equal(mayWait(busy), true);
  for (const other of [{ queue: null }, { queue: undefined }, { reason: "closed" }, { colour: "green" }])
    assert.equal(mayWait({ ...busy, ...other }), false);
});
