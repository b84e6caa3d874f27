// Mirrors services/gateway/web/console/shortcuts.js: its RULES.
import assert from "node:assert/strict";
import test from "node:test";
import { SHORTCUTS, shortcutOf } from "../../services/gateway/web/console/shortcuts.js";

const NOTHING = {
  code: "",
  altKey: false,
  shiftKey: false,
  ctrlKey: false,
  metaKey: false,
  isComposing: false,
  repeat: false,
};
const IDLE = { typing: false, single: true };
const pressed = (key, more = {}, state = IDLE) => shortcutOf({ ...NOTHING, key, ...more }, state);
const BOTH = { altKey: true, shiftKey: true };

test("each key has one shortcut, and no letter that a browser uses with Alt and Shift", () => {
  const keys = SHORTCUTS.map(([, key]) => key);
  assert.equal(new Set(keys).size, keys.length);
  for (const key of ["a", "b", "i", "t"]) assert.ok(!keys.includes(key), key);
});

test("one key works while nobody types and while it is on", () => {
  for (const [name, key] of SHORTCUTS) assert.equal(pressed(key), name);
  assert.equal(pressed("?", { shiftKey: true }), "help");
  assert.equal(pressed("n", {}, { typing: true, single: true }), null);
  assert.equal(pressed("?", { shiftKey: true }, { typing: true, single: true }), null);
  assert.equal(pressed("n", {}, { typing: false, single: false }), null);
  assert.equal(pressed("N", { shiftKey: true }), null, "capitals are for screen readers");
});

test("with Alt and Shift it works in the text bar too, and switched off", () => {
  for (const state of [IDLE, { typing: true, single: false }]) {
    for (const [name, key] of SHORTCUTS) assert.equal(pressed(key.toUpperCase(), BOTH, state), name);
    assert.equal(pressed("\u02dc", { ...BOTH, code: "KeyN" }, state), "next", "macOS gives another character");
    assert.equal(pressed("\u02dc", { ...BOTH, code: "Digit1" }, state), null);
  }
});

test("what belongs to the browser, to an input method or to a key that is held down is none", () => {
  assert.equal(pressed("n", { altKey: true }), null);
  for (const more of [{ ctrlKey: true }, { metaKey: true }, { isComposing: true }, { repeat: true }]) {
    assert.equal(pressed("n", more), null);
    assert.equal(pressed("N", { ...BOTH, ...more }), null);
  }
  for (const key of ["Escape", "Enter", "Tab", " ", "/", "1", "é"]) assert.equal(pressed(key), null, key);
});
