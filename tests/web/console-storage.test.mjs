// Mirrors services/gateway/web/console/storage.js: what a logout leaves.
import assert from "node:assert/strict";
import test from "node:test";

function area() {
  const kept = new Map();
  return {
    kept,
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  };
}

globalThis.localStorage = area();
globalThis.sessionStorage = area();
const { choice, choose, forgetDesk, keepDesk, keepingChoices, keptDesk } = await import("../../services/gateway/web/console/storage.js");

test("a logout that clears this site's storage keeps the choices, and nothing of anybody", async () => {
  choose("language", "fr");
  choose("sound", "off");
  choose("session", "yes");
  keepDesk("an", { drafts: ["van een burger"] });
  const answer = await keepingChoices(async () => {
    localStorage.kept.clear();
    sessionStorage.kept.clear();
    return "done";
  });
  assert.equal(answer, "done");
  assert.deepEqual([...localStorage.kept].sort(), [
    ["eloket.agent.language", "fr"],
    ["eloket.agent.sound", "off"],
  ]);
  assert.equal(sessionStorage.kept.size, 0);
});

test("choices that are still there are not written, so that another tab's newer one stays", async () => {
  choose("language", "fr");
  await keepingChoices(async () => choose("language", "de"));
  assert.equal(choice("language"), "de");
});

test("a desk is kept for its agent alone, and forgotten at a logout", () => {
  keepDesk("an", { drafts: ["half"] });
  assert.deepEqual(keptDesk("an"), { drafts: ["half"] });
  assert.equal(keptDesk("bert"), null);
  assert.equal(sessionStorage.kept.size, 0, "what another agent left is wiped");
  keepDesk("an", { drafts: ["half"] });
  forgetDesk();
  assert.equal(keptDesk("an"), null);
});
