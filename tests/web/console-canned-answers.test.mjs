// Mirrors services/gateway/web/console/canned-answers.js: its RULES, and how the list is kept.
import assert from "node:assert/strict";
import test from "node:test";
import {
  answersFor,
  cannedAnswers,
  differs,
  draftOf,
  faultsOf,
  fill,
  queryOf,
  search,
  textIn,
} from "../../services/gateway/web/console/canned-answers.js";

const answer = (code, title = code, texts = { nl: "tekst" }, departments = ["algemeen"]) => ({
  id: code,
  code,
  title,
  texts,
  departments,
  revision: 1,
  changed_at: "2026-11-23T08:00:00Z",
  changed_by: { id: "sofie", name: "Sofie" },
});
const codes = (found) => found.map((one) => one.code);

test("a slash at the beginning asks, as far as the cursor; a slash elsewhere does not", () => {
  assert.deepEqual(
    [queryOf("/gro", 4), queryOf("/", 1), queryOf("/groet Lien", 6), queryOf("/twee woorden", 13)],
    ["gro", "", "groet", "twee woorden"],
  );
  for (const [text, cursor] of [
    ["", 0],
    ["/gro", 0],
    ["en/of", 5],
    [" /gro", 5],
    ["/gro\net", 7],
  ])
    assert.equal(queryOf(text, cursor), null, text);
});

test("answers are found by code, title and text, in that order, whatever the accents and capitals", () => {
  const list = [
    answer("aanvraag", "Uw dossier", { nl: "Zie de premie." }),
    answer("premie", "Bedrag"),
    answer("bedrag-premie", "Hoeveel"),
    answer("bewijs", "Premie: welke bewijzen", { fr: "Reçu de préférence" }),
    answer("premies-oud", "Vroeger"),
  ];
  assert.deepEqual(codes(search(list, "premie")), ["premie", "premies-oud", "bewijs", "bedrag-premie", "aanvraag"]);
  assert.deepEqual(codes(search(list, "RECU  prefer")), ["bewijs"]);
  assert.deepEqual(codes(search(list, "premie welke")), ["bewijs"]);
  assert.deepEqual(codes(search(list, "premie dak")), []);
  assert.deepEqual(codes(search(list, "")), ["aanvraag", "bedrag-premie", "bewijs", "premie", "premies-oud"]);
});

test("a chat has the answers of its department; one of a department that is not the agent's has all", () => {
  const list = [answer("a"), answer("b", "b", {}, ["premies"]), answer("c", "c", {}, ["algemeen", "premies"])];
  assert.deepEqual(codes(answersFor(list, "premies", ["algemeen", "premies"])), ["b", "c"]);
  assert.deepEqual(codes(answersFor(list, "wonen", ["algemeen", "premies"])), ["a", "b", "c"]);
  assert.deepEqual(codes(answersFor(list, "wonen", ["wonen"])), []);
});

test("the text is in the citizen's language, else in another one that is named", () => {
  const one = answer("a", "a", { fr: "Bonjour", en: "Hello" });
  assert.deepEqual(textIn(one, "en"), { language: "en", text: "Hello" });
  assert.deepEqual(textIn(one, "de"), { language: "fr", text: "Bonjour" });
  assert.deepEqual(textIn(answer("a", "a", { tr: "Merhaba" }), "nl"), {
    language: "tr",
    text: "Merhaba",
  });
  assert.deepEqual(textIn(one, "constructor"), {
    language: "fr",
    text: "Bonjour",
  });
});

test("variables are filled in once, and those that are not known leave a sentence that reads", () => {
  const values = {
    agent: "An",
    citizen: "Lien {{agent}} $&",
    department: "Premies",
    chat: "c-1",
  };
  const text = "Dag {{citizen}},\n{{ agent }} van {{department}} ({{chat}}) {{later}}";
  assert.deepEqual(fill(text, values), {
    text: "Dag Lien {{agent}} $&,\nAn van Premies (c-1) {{later}}",
    missing: [],
  });
  const unknown = { ...values, citizen: null };
  assert.deepEqual(fill("Dag {{citizen}}, welkom", unknown), {
    text: "Dag, welkom",
    missing: ["citizen"],
  });
  assert.deepEqual(fill("Hallo\n{{citizen}}, u kunt {{citizen}}!", unknown).text, "Hallo\nu kunt!");
  assert.equal(fill("{{citizen}} {{agent}}", unknown).text, "An");
});

test("a draft says what is wrong with it, field by field", () => {
  const draft = draftOf(answer("groet", "Begroeting"), ["algemeen"]);
  assert.deepEqual(faultsOf(draft), {});
  const wrong = {
    ...draft,
    code: "Een groet",
    title: " ",
    departments: [],
    texts: { nl: "{{naam}}", fr: "x".repeat(4001), de: " " },
  };
  assert.deepEqual(faultsOf(wrong), {
    code: "code_wrong",
    title: "title_missing",
    departments: "department_missing",
    "texts.nl": "variable_unknown",
    "texts.fr": "text_long",
  });
  assert.deepEqual(faultsOf({ ...draft, title: "x".repeat(101), texts: { nl: "  " } }), { title: "title_long", texts: "text_missing" });
  assert.deepEqual(faultsOf({ ...draft, code: "x".repeat(31) }), {
    code: "code_wrong",
  });
  assert.deepEqual(faultsOf({ ...draft, texts: { nl: "😀".repeat(4000), fr: "{{ agent }}" } }), {});
});

test("a draft differs when something else would be stored; departments that are gone are left out of it", () => {
  const one = answer("groet", "Begroeting", { nl: "Dag" }, ["oud", "algemeen"]);
  assert.deepEqual(draftOf(one, ["algemeen", "premies"]).departments, ["algemeen"]);
  const same = answer("groet", "Begroeting", { nl: "Dag" });
  const draft = draftOf(same, ["algemeen"]);
  assert.equal(differs({ ...draft, title: "Begroeting ", texts: { nl: "Dag", fr: "" } }, same), false);
  assert.equal(differs({ ...draft, texts: { nl: "Dag", fr: "Bonjour" } }, same), true);
  assert.deepEqual([differs(draftOf(null, ["a"]), null), differs({ ...draftOf(null, ["a"]), title: "x" }, null)], [false, true]);
});

test("the list is asked for again after a minute at the earliest, with its tag, and stays when nothing changed", async (t) => {
  const requests = [];
  const answers = [
    () => Response.json({ answers: [answer("a")] }, { headers: { ETag: '"t1"' } }),
    () => new Response(null, { status: 304, headers: { ETag: '"t1"' } }),
    () => Response.json({ code: "unavailable" }, { status: 503 }),
  ];
  const before = {
    fetch: globalThis.fetch,
    document: globalThis.document,
    addEventListener: globalThis.addEventListener,
  };
  t.after(() => Object.assign(globalThis, before));
  globalThis.document = Object.assign(new EventTarget(), {
    visibilityState: "visible",
  });
  globalThis.addEventListener = () => {};
  globalThis.fetch = async (path, { headers }) => (requests.push(headers["If-None-Match"] ?? null), answers.shift()());
  const settled = () => new Promise((done) => setTimeout(done, 5));
  const canned = cannedAnswers({ onChange() {} });
  await settled();
  canned.look();
  await settled();
  assert.deepEqual([requests, codes(canned.list())], [[null], ["a"]]);
  const now = performance.now();
  t.mock.method(performance, "now", () => now + 60_001);
  canned.look();
  canned.look();
  await settled();
  assert.deepEqual([requests, codes(canned.list()), canned.failed()], [[null, '"t1"'], ["a"], false]);
  await canned.refresh();
  assert.deepEqual([requests.length, codes(canned.list()), canned.failed()], [3, ["a"], true]);
  canned.stop();
});

test("what the server says of a change is told with what is stored", async (t) => {
  const current = answer("a");
  const before = {
    fetch: globalThis.fetch,
    document: globalThis.document,
    addEventListener: globalThis.addEventListener,
  };
  t.after(() => Object.assign(globalThis, before));
  globalThis.document = Object.assign(new EventTarget(), {
    visibilityState: "visible",
  });
  globalThis.addEventListener = () => {};
  const asked = [];
  let told;
  globalThis.fetch = async (path, { method, body }) => {
    if (method === "GET") return Response.json({ answers: [] });
    asked.push([method, path, body && JSON.parse(body)]);
    return told;
  };
  const canned = cannedAnswers({ onChange() {} });
  told = Response.json({ code: "changed", current }, { status: 409 });
  assert.deepEqual(await canned.save({ ...draftOf(current, ["algemeen"]), title: " Groet " }), { problem: "changed", current });
  const content = {
    code: "a",
    title: "Groet",
    departments: ["algemeen"],
    texts: { nl: "tekst" },
    revision: 1,
  };
  assert.deepEqual(asked.pop(), ["PUT", "/api/agent/canned-answers/a", content]);
  told = Response.json(current);
  assert.deepEqual(await canned.save(draftOf(current, ["algemeen"])), { problem: null, current });
  told = Response.json({ code: "no_such_answer" }, { status: 404 });
  assert.equal((await canned.save(draftOf(current, ["algemeen"]))).problem, "gone");
  told = new Response("<h1>Proxy</h1>", { status: 502 });
  assert.equal((await canned.save(draftOf(null, ["algemeen"]))).problem, "failed");
  assert.deepEqual(asked.pop().slice(0, 2), ["POST", "/api/agent/canned-answers"]);
  told = new Response(null, { status: 204 });
  assert.equal((await canned.remove(current)).problem, null);
  assert.deepEqual(asked.pop(), ["DELETE", "/api/agent/canned-answers/a?revision=1", undefined]);
  canned.stop();
});
