// Mirrors services/gateway/web/agent/uploads.js: the order of files, and why one is refused.
import assert from "node:assert/strict";
import test from "node:test";
import { CATALOGUES, speaker } from "../../services/gateway/web/agent/texts.js";
import { refusalOf } from "../../services/gateway/web/agent/uploads.js";

const REASONS = ["empty", "password", "old_office", "heic", "macros", "active_content", "not_allowed"];

test("each reason of the protocol has words of its own in each language", () => {
  for (const catalogue of Object.values(CATALOGUES)) {
    const words = REASONS.map((reason) => catalogue[`attach.${reason}`]);
    assert.ok(words.every(Boolean));
    assert.equal(new Set(words).size, REASONS.length);
  }
});

test("the reason tells, else the code; what is not known yet gets the general words", () => {
  const t = speaker("nl");
  assert.equal(refusalOf(t, { code: "type_not_allowed", reason: "heic" }), "heic");
  assert.equal(refusalOf(t, { code: "type_not_allowed", reason: "haunted" }), "type_not_allowed");
  assert.equal(refusalOf(t, { code: "too_slow", reason: null }), "too_slow");
  assert.equal(refusalOf(t, { code: "haunted", reason: null }), "other");
});
