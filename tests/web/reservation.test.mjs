// Mirrors services/gateway/web/widget/reservation.js: a slot for an open form, by a clock that the test moves.
import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { reservation } from "../../services/gateway/web/widget/reservation.js";

const settle = async () => {
  for (let n = 0; n < 10; n += 1) await turn();
};

function form() {
  let now = 1_000_000;
  let tick;
  const asked = [];
  const states = [];
  const page = {
    asked,
    states,
    number: 0,
    answer: (path) =>
      path === "/release"
        ? new Response(null, { status: 204 })
        : Response.json({ reservation: `token ${(page.number += 1)}`, expires_in: 60 }, { status: 201 }),
    paths: () => asked.map(({ path }) => path),
  };
  const env = {
    Date: { now: () => now },
    setInterval: (call) => (tick = call),
    clearInterval: () => (tick = undefined),
    fetch: async (url, request) => {
      const path = url.replace("http://here/api/reservations", "");
      asked.push({ path, ...request, body: JSON.parse(request.body) });
      return page.answer(path);
    },
  };
  const details = () => ({
    department: "premies",
    locale: "nl",
    browser: "b".repeat(22),
  });
  page.slot = reservation({
    base: "http://here",
    details,
    onChange: (state) => states.push(state),
    env,
  });
  page.pass = async (seconds, typing = false) => {
    for (let n = 0; n < seconds; n += 5) {
      now += 5_000;
      if (typing) page.slot.typing();
      tick?.();
      await settle();
    }
  };
  return page;
}

const blue = () => Response.json({ code: "button_blue" }, { status: 409 });

test("a form that is opened has a slot, renewed while somebody types, and gives it back", async () => {
  const page = form();
  page.slot.open();
  await settle();
  assert.deepEqual(page.states, ["held"]);
  assert.equal(page.slot.token(), "token 1");
  assert.deepEqual(page.asked[0].body, {
    department: "premies",
    locale: "nl",
    browser: "b".repeat(22),
  });
  await page.pass(60, true);
  assert.deepEqual(page.paths(), ["", "/renew"]);
  assert.equal(page.asked[1].body.reservation, "token 1");
  assert.equal(page.slot.token(), "token 2");
  page.slot.close();
  await settle();
  assert.deepEqual(page.asked.at(-1).body, { reservation: "token 2" });
  assert.equal(page.asked.at(-1).keepalive, true);
  assert.equal(page.slot.token(), null);
});

test("without a key for long it lapses, and the next key asks for another one", async () => {
  const page = form();
  page.slot.open();
  await settle();
  await page.pass(65);
  assert.deepEqual(page.states, ["held", "lapsed"]);
  assert.deepEqual(page.paths(), ["", "/release"]);
  assert.equal(page.slot.token(), null);
  page.slot.button("blue");
  page.slot.button("green");
  await page.pass(60);
  assert.deepEqual(page.states, ["held", "lapsed", "blue", "lapsed"]);
  page.slot.typing();
  await settle();
  assert.deepEqual(page.states.at(-1), "held");
  const keys = page.asked.filter(({ path }) => path === "").map(({ headers }) => headers["Idempotency-Key"]);
  assert.equal(new Set(keys).size, 2);
});

test("a form without a slot says so when the button is blue, and asks when it is green again", async () => {
  const page = form();
  page.answer = blue;
  page.slot.open();
  await settle();
  assert.deepEqual(page.states, ["blue"]);
  const { answer } = form();
  page.answer = answer;
  page.slot.button("green");
  await page.pass(5);
  assert.deepEqual(page.states, ["blue", "held"]);
  page.slot.button("blue"); // because of this very slot
  assert.deepEqual(page.states, ["blue", "held"]);
});

test("a server that cannot be reached holds nothing, and a blue button is told at once", async () => {
  const page = form();
  page.answer = () => Promise.reject(new TypeError("no network"));
  page.slot.open();
  await settle();
  assert.deepEqual([page.states, page.slot.state()], [[], "none"]);
  page.slot.button("blue");
  assert.deepEqual(page.states, ["blue"]);
});

test("a slot that the chat has taken is not given back, and one that comes too late is", async () => {
  const page = form();
  page.slot.open();
  await settle();
  page.slot.close(true);
  await settle();
  assert.deepEqual(page.paths(), [""]);
  page.slot.open();
  page.slot.close();
  await settle();
  assert.deepEqual(page.paths(), ["", "", "/release"]);
});
