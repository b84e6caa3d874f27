// Mirrors services/gateway/web/console/api.js: what counts as an answer of the server.
import assert from "node:assert/strict";
import test from "node:test";
import { ask, logout, me, questions } from "../../services/gateway/web/console/api.js";
import { outcomeOf as configurationOutcome } from "../../services/gateway/web/console/configuration.js";
import { known } from "../../services/gateway/web/console/i18n.js";
import { unansweredWords } from "../../services/gateway/web/console/login.js";
import { problemWords, outcomeOf as staffOutcome } from "../../services/gateway/web/console/staff.js";
import { consoleTexts } from "./texts.mjs";

const answered = async (t, response, request) => {
  const before = globalThis.fetch;
  t.after(() => (globalThis.fetch = before));
  globalThis.fetch = response instanceof Response ? async () => response : () => Promise.reject(new TypeError("no network"));
  return request();
};
const page = (status) =>
  new Response("<h1>Sign in</h1>", {
    status,
    headers: { "Content-Type": "text/html" },
  });

for (const [what, request] of [
  ["who is logged in", me],
  ["the list of questions", questions],
  ["logging out", logout],
])
  test(`a sign-in page in the place of ${what} is no success`, async (t) => {
    const answer = await answered(t, page(200), request);
    assert.deepEqual([answer.ok, answer.status, answer.body], [false, 200, null]);
  });

test("JSON that is no object is no answer of the server either", async (t) => {
  for (const told of ["ok", 1, null]) assert.equal((await answered(t, Response.json(told), me)).ok, false);
});

test("an empty answer, an object and a problem are told as they are", async (t) => {
  assert.equal((await answered(t, new Response(null, { status: 204 }), logout)).ok, true);
  const { ok, body } = await answered(t, Response.json({ id: "an" }), me);
  assert.deepEqual([ok, body], [true, { id: "an" }]);
  const problem = Response.json({ code: "rate_limited" }, { status: 429, headers: { "Retry-After": "7" } });
  const refused = await answered(t, problem, () => ask("POST", "/api/agent/session", {}));
  assert.deepEqual([refused.ok, refused.status, refused.code, refused.retryAfter], [false, 429, "rate_limited", 7]);
  assert.deepEqual((({ status, code }) => [status, code])(await answered(t, null, me)), [0, null]);
});

test("an answer that does not come is given up, at its beginning or in its body; a file may take longer", async (t) => {
  const before = globalThis.fetch;
  t.after(() => (globalThis.fetch = before));
  const waits = [];
  t.mock.method(AbortSignal, "timeout", (ms) => {
    waits.push(ms);
    const late = new AbortController();
    setTimeout(() => late.abort(new DOMException("too late", "TimeoutError")), 10);
    return late.signal;
  });
  const never = (signal) => new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason)));
  globalThis.fetch = (_, { signal }) => never(signal);
  assert.deepEqual((({ ok, status, code }) => [ok, status, code])(await me()), [false, 0, "no_answer"]);
  globalThis.fetch = async (_, { signal }) => Object.assign(Response.json({}), { json: () => never(signal) });
  assert.deepEqual((({ ok, status, code }) => [ok, status, code])(await questions()), [false, 0, "no_answer"]);
  assert.ok(waits.every((ms) => ms >= 30_000 && ms <= 60_000) && waits.length === 2);
  globalThis.fetch = async (_, { signal }) => (assert.equal(signal, undefined), new Response("x"));
  assert.equal((await ask("GET", "/file", undefined, null, { file: true })).ok, true);
  assert.equal(waits.length, 2);
});

test("that no answer came is said in the four languages", () => {
  for (const language of ["nl", "fr", "de", "en"]) {
    const t = consoleTexts(language);
    const late = { ok: false, status: 0, code: "no_answer", body: null, retryAfter: null, tag: null };
    assert.ok(t.has("no_answer") && t.has("login.no_answer"));
    assert.equal(known(t, "live.problem", late.code), t("no_answer"));
    assert.equal(problemWords(t, staffOutcome(late)), t("no_answer"));
    assert.equal(configurationOutcome(late).problem, "no_answer");
    assert.equal(unansweredWords(t, late), t("login.no_answer"));
    assert.equal(unansweredWords(t, { ...late, code: null }), t("login.network"));
  }
});
