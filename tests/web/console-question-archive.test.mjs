// Mirrors services/gateway/web/console/left-questions.js (acts), undo-bar.js and question-archive.js.
import assert from "node:assert/strict";
import test from "node:test";
import { questionArchive } from "../../services/gateway/web/console/api.js";
import { leftQuestions, refusalOf, undoRefusal, withQuestion } from "../../services/gateway/web/console/left-questions.js";
import { dated, mayUndo, wishOf } from "../../services/gateway/web/console/question-archive.js";
import { SHOWN, undoBar } from "../../services/gateway/web/console/undo-bar.js";
import { consoleTexts } from "./texts.mjs";

const refused = (status, code) => ({ ok: false, status, code });
const one = (id, minute, more = {}) => ({ chat_id: id, at: `2026-11-23T08:0${minute}:00.000Z`, claimed: null, ...more });
const by = (id, name) => ({ agent_id: id, name, at: "2026-11-23T09:00:00.000Z" });

test("each refusal of an act has its reason", () => {
  assert.equal(refusalOf({ ok: true, status: 204, code: null }, "done"), null);
  assert.equal(refusalOf(refused(409, "claimed"), "done"), "claimed");
  assert.equal(refusalOf(refused(409, "claim_changed"), "release"), "claimed");
  assert.equal(refusalOf(refused(403, "not_yours"), "release"), "claimed");
  assert.equal(refusalOf(refused(403, "not_yours"), "undo"), "not_yours");
  for (const act of ["done", "release", "undo"]) assert.equal(refusalOf(refused(409, "question_done"), act), "done");
  assert.equal(refusalOf(refused(404, "no_such_question"), "undo"), "gone");
  for (const [status, code] of [
    [503, "unavailable"],
    [0, "no_answer"],
    [405, "method_not_allowed"],
  ])
    assert.equal(refusalOf(refused(status, code), "undo"), "failed", code);
});

test("why a question was not opened again is said in words", () => {
  const t = consoleTexts("nl");
  assert.match(undoRefusal(t, "done", "Bert"), /al afgehandeld door Bert\./);
  assert.match(undoRefusal(t, "done", ""), /al afgehandeld door een collega\./);
  assert.match(undoRefusal(t, "not_yours", ""), /Alleen die collega of een supervisor/);
  assert.match(undoRefusal(t, "gone", ""), /bestaat niet meer/);
  assert.match(undoRefusal(t, "failed", ""), /Probeer het opnieuw in het archief/);
});

test("a question comes back in its place, once", () => {
  const [early, middle, late] = [one("a", 1), one("b", 2), one("c", 3)];
  assert.deepEqual(
    withQuestion([early, late], middle).map((q) => q.chat_id),
    ["a", "b", "c"],
  );
  const again = one("a", 1, { claimed: by("an", "An") });
  assert.deepEqual(withQuestion([early, late], again), [again, late]);
});

test("who did it and supervisors may undo it", () => {
  const done = { done: by("an", "An") };
  assert.equal(mayUndo(done, { id: "an" }), true);
  assert.equal(mayUndo(done, { id: "bert" }), false);
  assert.equal(mayUndo(done, { id: "bert", supervisor: false }), false);
  assert.equal(mayUndo(done, { id: "sofie", supervisor: true }), true);
});

test("a number may be typed as it was read out, and what is empty is not asked", async (t) => {
  assert.deepEqual(wishOf({ number: " 3a4c\u00a0-6d7e ", from: " 2026-11-01", until: "" }), {
    number: "3A4C6D7E",
    from: "2026-11-01",
    until: "",
  });
  const asked = t.mock.method(globalThis, "fetch", async () => Response.json({ questions: [], next: null }));
  await questionArchive(wishOf({ number: "3a4c 6d7e", until: "" }), null);
  await questionArchive({}, "5-ab");
  assert.deepEqual(
    asked.mock.calls.map((call) => call.arguments[0]),
    ["/api/questions/archive?number=3A4C6D7E", "/api/questions/archive?before=5-ab"],
  );
});

test("a moment of another year has its year", () => {
  const now = new Date("2027-01-05T12:00:00Z");
  assert.match(dated("2026-12-24T10:00:00Z", "nl", now), /24 dec.* 2026$/);
  assert.doesNotMatch(dated("2027-01-04T10:00:00Z", "nl", now), /2027/);
  assert.equal(dated("2026-12-31T23:30:00Z", "nl", now), "1 jan 00:30", "the year is that of the service's time zone, as the day is");
  assert.match(dated("2025-12-31T23:30:00Z", "nl", now), /^1 jan 00:30 2026$/);
});

/** A server with these open questions, and the answers to acts by their method and the last part of their path. */
function serving(t, listed, answers) {
  const paths = [];
  t.mock.method(globalThis, "fetch", async (path, { method }) => {
    paths.push(`${method} ${path}`);
    if (path === "/api/questions") return Response.json({ questions: listed() });
    const [status, body] = answers[`${method} ${path.split("/").at(-1).split("?")[0]}`];
    return status === 204 ? new Response(null, { status }) : Response.json(body, { status });
  });
  const before = globalThis.document;
  t.after(() => (globalThis.document = before));
  globalThis.document = { visibilityState: "hidden", addEventListener() {} };
  const heard = [];
  const left = leftQuestions({ onChange: () => {}, onNews: () => heard.push("news") });
  t.after(() => left.stop());
  return { left, paths, heard };
}

test("what was done goes from the list, and comes back without being news", async (t) => {
  let listed = [one("a", 1), one("b", 2)];
  const { left, paths, heard } = serving(t, () => listed, {
    "POST done": [204],
    "DELETE done": [200, one("a", 1, { claimed: by("an", "An") })],
  });
  await left.refresh();
  listed = [one("b", 2)];
  assert.deepEqual(await left.done("a"), { problem: null, name: "" });
  assert.deepEqual(
    left.list().map((q) => q.chat_id),
    ["b"],
  );
  listed = [one("a", 1, { claimed: by("an", "An") }), one("b", 2)];
  assert.deepEqual(await left.undo("a", "an"), { problem: null, name: "" });
  assert.deepEqual(left.list(), listed);
  assert.deepEqual(heard, []);
  assert.deepEqual(
    paths.filter((path) => path !== "GET /api/questions"),
    ["POST /api/questions/a/done?once=true", "DELETE /api/questions/a/done?of=an"],
  );
});

test("what a colleague has done goes from the list too, with their name", async (t) => {
  let listed = [one("a", 1)];
  const done = { code: "question_done", done: by("bert", "Bert") };
  const { left } = serving(t, () => listed, { "POST done": [409, done], "DELETE claim": [409, done] });
  await left.refresh();
  assert.deepEqual(await left.release("a", "bert"), { problem: "done", name: "Bert" });
  listed = [];
  assert.deepEqual(await left.done("a"), { problem: "done", name: "Bert" });
  assert.deepEqual(left.list(), []);
});

test("another claim than the one that was shown is not released", async (t) => {
  const listed = [one("a", 1, { claimed: by("bert", "Bert") })];
  const changed = { code: "claim_changed", claimed: by("cas", "Cas") };
  const { left, paths } = serving(t, () => listed, { "DELETE claim": [409, changed] });
  await left.refresh();
  assert.deepEqual(await left.release("a", "bert"), { problem: "claimed", name: "Cas" });
  assert.ok(paths.includes("DELETE /api/questions/a/claim?of=bert"));
  assert.deepEqual(left.list(), listed);
});

/** As much of a page as the bar needs: elements that can be pressed, focused and pointed at. */
function page(t) {
  const before = globalThis.document;
  t.after(() => (globalThis.document = before));
  const make = (tag) => {
    const listeners = {};
    const attributes = new Map();
    const element = {
      ...{ tag, children: [], textContent: "", hidden: false, hovered: false },
      getAttribute: (name) => attributes.get(name) ?? null,
      setAttribute: (name, value) => (attributes.set(name, value), name === "hidden" && (element.hidden = true)),
      removeAttribute: (name) => attributes.delete(name),
      addEventListener: (name, act) => (listeners[name] = act),
      append: (...nodes) => element.children.push(...nodes),
      contains: (other) => other === element || element.children.some((child) => child.contains?.(other)),
      matches: (what) => what === ":hover" && element.hovered,
      focus: () => (globalThis.document.activeElement = element),
      click: () => listeners.click(),
    };
    Object.defineProperty(element, "id", { get: () => attributes.get("id") ?? "" });
    return element;
  };
  globalThis.document = { createElement: make, activeElement: null };
}

test("the bar goes by itself, but not while a person is at it, and undoes once", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  page(t);
  const bar = undoBar(consoleTexts("nl"));
  const [words, press] = bar.element.children;
  const undone = [];
  assert.equal(bar.element.hidden, true);
  bar.show("De vraag van An is afgehandeld.", () => undone.push("a"));
  assert.deepEqual([bar.element.hidden, words.textContent], [false, "De vraag van An is afgehandeld."]);
  t.mock.timers.tick(SHOWN - 1);
  assert.equal(bar.element.hidden, false);
  t.mock.timers.tick(1);
  assert.equal(bar.element.hidden, true);
  press.click();
  assert.deepEqual(undone, [], "it is over");

  bar.show("b", () => undone.push("b"));
  press.focus();
  t.mock.timers.tick(10 * SHOWN);
  assert.equal(bar.element.hidden, false, "it has the focus");
  globalThis.document.activeElement = null;
  bar.element.hovered = true;
  t.mock.timers.tick(10 * SHOWN);
  assert.equal(bar.element.hidden, false, "the pointer is on it");
  press.click();
  press.click();
  assert.deepEqual(undone, ["b"]);
  bar.element.hovered = false;
  t.mock.timers.tick(2_000);
  assert.equal(bar.element.hidden, true);

  bar.show("c", () => undone.push("c"));
  t.mock.timers.tick(SHOWN - 1);
  bar.show("d", () => undone.push("d"));
  t.mock.timers.tick(SHOWN - 1);
  assert.equal(bar.element.hidden, false, "each has its own time");
  press.click();
  bar.hide();
  assert.deepEqual([undone, bar.element.hidden], [["b", "d"], true]);
});
