// Mirrors services/gateway/web/console/api.js: what counts as an answer of the server.
import assert from "node:assert/strict";
import test from "node:test";
import { ask, logout, me, questions } from "../../services/gateway/web/console/api.js";

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
  assert.equal((await answered(t, null, me)).status, 0);
});
