// Mirrors services/gateway/web/console/uploads.js: the order of files, and why one is refused.
import assert from "node:assert/strict";
import test from "node:test";
import { clock, useZone } from "../../services/gateway/web/console/format.js";
import { limitsOf, refusalOf } from "../../services/gateway/web/console/uploads.js";
import { LANGUAGES } from "../../services/gateway/web/console/i18n.js";
import { consoleTexts } from "./texts.mjs";

const REASONS = ["empty", "password", "old_office", "heic", "macros", "active_content", "not_scannable", "not_allowed"];

test("each reason of the protocol has words of its own in each language", () => {
  for (const language of LANGUAGES) {
    const t = consoleTexts(language);
    assert.ok(REASONS.every((reason) => t.has(`attach.${reason}`)));
    const words = REASONS.map((reason) => t(`attach.${reason}`));
    assert.equal(new Set(words).size, REASONS.length);
  }
});

test("the reason tells, else the code; what is not known yet gets the general words", () => {
  const t = consoleTexts("nl");
  assert.equal(refusalOf(t, { code: "type_not_allowed", reason: "heic" }), "heic");
  assert.equal(refusalOf(t, { code: "type_not_allowed", reason: "haunted" }), "type_not_allowed");
  assert.equal(refusalOf(t, { code: "too_slow", reason: null }), "too_slow");
  assert.equal(refusalOf(t, { code: "haunted", reason: null }), "other");
});

test("what files may weigh and the time zone are what the server says, else the defaults", () => {
  assert.deepEqual(limitsOf({ attachment_bytes: 5, attachment_count: 2, attachment_total: 9 }), { bytes: 5, count: 2, total: 9 });
  assert.deepEqual(limitsOf(null), {
    bytes: 10_485_760,
    count: 20,
    total: 52_428_800,
  });
  const noon = "2026-11-23T12:00:00Z";
  assert.equal(clock(noon, "nl", new Date(noon)), "13:00");
  useZone("America/New_York");
  assert.equal(clock(noon, "nl", new Date(noon)), "07:00");
  useZone("Nowhere/Atlantis");
  assert.equal(clock(noon, "nl", new Date(noon)), "07:00");
  useZone("Europe/Brussels");
});
