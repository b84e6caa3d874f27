// What the panel of a blue button says of the queue, and what it makes of the server's answers to a question.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

globalThis.CSSStyleSheet ??= class {
  replaceSync() {}
};
const { ask, placeInWords, spaced } = await import("../../services/gateway/web/widget/blue-panel.js");
const { translator } = await import("../../services/gateway/web/shared/translator.js");
const catalogue = new URL("../../services/gateway/web/widget/translations/blue/nl.json", import.meta.url);
const t = translator(JSON.parse(await readFile(catalogue, "utf8")), "nl");

/** @param {number} status @param {unknown} body */
function answering(status, body) {
  const calls = [];
  globalThis.fetch = async (url, options) => {
    calls.push([url, options]);
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers: { "Retry-After": "7" } });
  };
  return calls;
}

test("the place and the estimate, as far as they are known", () => {
  const said = [null, { position: null, wait: 60 }, { position: 1, wait: null }, { position: 2, wait: 60 }].map((one) =>
    placeInWords(t, one),
  );
  assert.deepEqual(said, ["", "", "Plaats 1 in de wachtrij", "Plaats 2, ongeveer 1 minuut"]);
  assert.equal(placeInWords(t, { position: 3, wait: 350 }), "Plaats 3, ongeveer 6 minuten");
  assert.equal(placeInWords(t, { position: 9, wait: 3_700 }), "Plaats 9, meer dan een uur");
});

test("a number is read out in two groups", () => {
  assert.equal(spaced("JJ39CWQ7"), "JJ39\u00a0CWQ7");
  assert.equal(spaced("JJ39"), "JJ39");
});

test("a question is sent with its key, without cookies", async () => {
  const calls = answering(201, {
    question_id: "1",
    number: "JJ39CWQ7",
    token: "t",
    answer_within: 2,
  });
  const { receipt } = await ask("https://chat.be", "key", { text: "Wanneer?" });
  assert.equal(receipt.number, "JJ39CWQ7");
  const [[url, options]] = calls;
  assert.deepEqual([url, options.method, options.credentials], ["https://chat.be/api/questions", "POST", "omit"]);
  assert.equal(options.headers["Idempotency-Key"], "key");
  assert.equal(options.body, '{"text":"Wanneer?"}');
});

test("only a whole receipt is one", async () => {
  for (const [status, body, code] of [
    [201, { question_id: "1" }, "unavailable"],
    [200, "<html>", "unavailable"],
    [429, { code: "rate_limited" }, "rate_limited"],
    [502, "bad gateway", "unavailable"],
  ]) {
    answering(status, body);
    assert.equal((await ask("", "key", {})).code, code);
  }
  answering(429, { code: "rate_limited" });
  assert.equal((await ask("", "key", {})).seconds, 7);
  globalThis.fetch = async () => {
    throw new TypeError("network");
  };
  assert.deepEqual(await ask("", "key", {}), { code: "network" });
});
