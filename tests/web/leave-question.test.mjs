// Mirrors services/gateway/web/widget/leave-question.js: who can be reached, and what the server's answers mean.
import assert from "node:assert/strict";
import test from "node:test";
import { contactProblem, dayInWords, leaveQuestion } from "../../services/gateway/web/widget/leave-question.js";

test("an e-mail address or a telephone number will do", () => {
  for (const contact of [
    "lien@example.be",
    " lien.claes+loket@mail.example.be ",
    "0470 12 34 56",
    "+32 (0)2/555.01-00",
    "025550100",
    "jürgen@müller.de",
  ])
    assert.equal(contactProblem(contact), null, contact);
});

test("anything else is said to be wrong, nothing to be missing", () => {
  for (const contact of ["", "  "]) assert.equal(contactProblem(contact), "contactEmpty");
  for (const contact of ["lien", "lien@", "@example.be", "lien@example", "lien@example.", "a b@example.be", "12 34", "+", "bel 0470123456"])
    assert.equal(contactProblem(contact), "contactWrong", contact);
});

async function asked(t, answer) {
  const calls = [];
  t.mock.method(globalThis, "fetch", async (...call) => {
    calls.push(call);
    return answer();
  });
  const record = { chat_id: "c1", token: "secret" };
  return {
    told: await leaveQuestion("http://here", record, {
      contact: "lien@example.be",
      text: "Mag dat?",
    }),
    calls,
  };
}

test("the question goes out once, with the chat's token in a header", async (t) => {
  const { told, calls } = await asked(t, () => Response.json({ chat_id: "c1" }, { status: 201 }));
  assert.deepEqual(told, { receipt: { chat_id: "c1" } });
  const [[url, request]] = calls;
  assert.equal(calls.length, 1);
  assert.equal(url, "http://here/api/chats/c1/question");
  assert.equal(request.method, "POST");
  assert.equal(request.headers.Authorization, "Bearer secret");
  assert.equal(request.credentials, "omit");
  assert.deepEqual(JSON.parse(request.body), {
    contact: "lien@example.be",
    text: "Mag dat?",
  });
});

test("a refusal is its code, with the time to wait", async (t) => {
  const refuse = (status, code, headers) => () => Response.json({ code }, { status, headers });
  assert.equal((await asked(t, refuse(409, "not_waiting"))).told.code, "not_waiting");
  assert.deepEqual((await asked(t, refuse(429, "rate_limited", { "Retry-After": "7" }))).told, { code: "rate_limited", seconds: 7 });
  assert.equal((await asked(t, () => new Response("<h1>Bad gateway", { status: 502 }))).told.code, "unavailable");
  assert.equal((await asked(t, () => Promise.reject(new TypeError("no network")))).told.code, "network");
});

test("the day of the answer is said in words, in the language and without a time zone", () => {
  const said = (language, day) =>
    dayInWords(
      Object.assign(() => "", { language }),
      day,
    );
  assert.equal(said("nl", "2026-12-02"), "woensdag 2 december 2026");
  assert.equal(said("fr", "2026-12-02"), "mercredi 2 décembre 2026");
  assert.equal(said("de", "2026-12-02"), "Mittwoch, 2. Dezember 2026");
  assert.match(said("en", "2026-12-02"), /^Wednesday,? .*2.*2026$/);
});

test("what is no day is not said", () => {
  for (const day of [undefined, null, "", 20261202, "2026-13-02", "2026-12-02T00:00:00Z", "<b>", {}])
    assert.equal(
      dayInWords(
        Object.assign(() => "", { language: "nl" }),
        day,
      ),
      null,
    );
});
