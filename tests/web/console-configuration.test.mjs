// Mirrors services/gateway/web/console/configuration.js and configuration-preview.js: their RULES.
import assert from "node:assert/strict";
import test from "node:test";
import { buttonRows, dayRows } from "../../services/gateway/web/console/configuration-preview.js";
import { differs, faultsOf, faultWords, fieldsOf, formOf, outcomeOf } from "../../services/gateway/web/console/configuration.js";
import { consoleTexts, texts } from "./texts.mjs";

const four = (words) => ({ nl: words, fr: words, de: words, en: words });
const FORM = {
  id: "algemeen",
  names: four("Algemeen"),
  hours: "Mon-Fri 09:00-12:00,13:00-17:00; Sat 10:00-12:00",
  closed: ["2027-05-07", "12-26", "easter+1"],
  day_hours: { "12-24": "09:00-12:00" },
  contacts: [
    { kind: "phone", value: "1", note: four("x") },
    { kind: "web", value: "https://x.example", note: null },
  ],
  start: "press",
  accept: "by_agent",
  busy: "queue",
  longest: 20,
  patience: null,
  questions: true,
  answer_within: 2,
  wrap_up: 30,
  origins: ["https://www.example.be", "https://x.example:8443"],
};
const fields = (changes = {}) => ({ ...fieldsOf(FORM), ...changes });

test("what the fields hold of a form is that form again", () => {
  const { id, ...rest } = FORM;
  assert.equal(id, "algemeen");
  assert.deepEqual(formOf(fields()), rest);
  assert.deepEqual(faultsOf(fields()), {});
  assert.equal(differs(fields(), fieldsOf(FORM)), false);
  assert.equal(differs(fields({ wrap_up: "31" }), fieldsOf(FORM)), true);
});

test("spaces and empty lines do not count, and an empty field is what applies to all", () => {
  const made = formOf(
    fields({ hours: "  ", closed: " 12-27 \n\n Easter \n", day_hours: "12-31  09:00-10:00, 11:00-12:00\n", patience: " " }),
  );
  assert.deepEqual([made.hours, made.closed, made.patience], [null, ["12-27", "easter"], null]);
  assert.deepEqual(made.day_hours, { "12-31": "09:00-10:00,11:00-12:00" });
});

test("origins are as a browser names them, and are not sent where the server does not have them", () => {
  const made = formOf(fields({ origins: " HTTPS://Www.Example.be/ \n\nhttp://localhost:8000" }));
  assert.deepEqual(made.origins, ["https://www.example.be", "http://localhost:8000"]);
  assert.deepEqual(formOf(fields({ origins: "" })).origins, []);
  for (const known of [undefined, null]) {
    const { origins } = fieldsOf({ ...FORM, origins: known });
    assert.equal(origins, null);
    assert.equal("origins" in formOf(fields({ origins })), false);
    assert.deepEqual(faultsOf(fields({ origins })), {});
  }
});

test("each fault is named at its field", () => {
  const cases = [
    [{ names: { ...four("A"), fr: " " } }, { "names.fr": "name_missing" }],
    [{ hours: "maandag 9-17" }, { hours: "hours_wrong" }],
    [{ hours: "Mon 09:00" }, { hours: "hours_wrong" }],
    [{ closed: "7 mei" }, { closed: "day_wrong" }],
    [{ origins: "www.example.be" }, { origins: "origin_wrong" }],
    [{ origins: "https://www.example.be\nhttps://www.example.be/pad" }, { origins: "origin_wrong" }],
    [{ origins: "" }, {}],
    [{ day_hours: "12-24" }, { day_hours: "day_hours_wrong" }],
    [{ day_hours: "12-24 09:00-12:00\n12-31 09:00-12:00" }, {}],
    [{ day_hours: "Easter+1 09:00-12:00\n12-31 09:00-12:00\neaster+1 13:00-17:00" }, { day_hours: "day_twice" }],
    [{ contacts: [{ kind: "phone", value: " ", note: four("") }] }, { "contacts.0": "contact_missing" }],
    [
      { contacts: [{ kind: "phone", value: "1", note: { ...four(""), nl: "x" } }] },
      { "contacts.0.note.fr": "note_incomplete", "contacts.0.note.de": "note_incomplete", "contacts.0.note.en": "note_incomplete" },
    ],
    [{ longest: "" }, { longest: "number_wrong" }],
    [{ longest: "1.5" }, { longest: "number_wrong" }],
    [{ wrap_up: "601" }, { wrap_up: "number_wrong" }],
    [{ patience: "0" }, { patience: "number_wrong" }],
    [{ answer_within: "" }, { answer_within: "answer_within_missing" }],
    [{ questions: false, answer_within: "" }, {}],
    [{ hours: "always" }, {}],
    [{ hours: " Always " }, {}],
  ];
  for (const [changes, faults] of cases) assert.deepEqual(faultsOf(fields(changes)), faults, JSON.stringify(changes));
});

test("an answer says whether another administrator was first, or what is wrong", () => {
  const answer = (status, code, body = {}) => ({ ok: status === 200, status, code, body, retryAfter: null, tag: null });
  const problems = [
    [answer(200, null, { version: 2 }), null],
    [answer(409, "changed", { by: "Bert" }), "changed"],
    [answer(422, "invalid_configuration", { detail: "x" }), "refused"],
    [answer(422, "invalid", { detail: "x" }), "refused"],
    [answer(404, "no_such_version"), "gone"],
    [answer(413, "too_large"), "too_large"],
    [answer(503, "not_logged"), "not_logged"],
    [answer(401, "unauthenticated"), "ended"],
    [answer(403, "forbidden"), "forbidden"],
    [answer(0, null, null), "failed"],
  ];
  for (const [given, problem] of problems) assert.equal(outcomeOf(given).problem, problem);
  assert.equal(outcomeOf(problems[1][0]).name, "Bert");
  assert.equal(outcomeOf(problems[2][0]).detail, "x");
});

test("a refusal is said in the language of the administrator, with its place and what is there", () => {
  const nl = consoleTexts("nl");
  const hours = { code: "hours_day", department: "premies", field: "hours", value: "Maandag" };
  assert.equal(
    faultWords(nl, hours),
    "Dienst “premies”, “hours”: “Maandag” is geen dag. Schrijf een dag zoals Mon, of dagen zoals Mon-Fri.",
  );
  assert.match(faultWords(nl, hours, true), /^Dienst “premies”, “Uren van de week”: /, "a form calls the field as there");
  assert.match(
    faultWords(nl, { code: "number", department: "a", field: "queue.longest", value: "veel" }, true),
    /“Langste wachtrij”.*“veel”/,
  );
  assert.match(
    faultWords(nl, { code: "day", field: "calendar.closed.0", value: "ooit" }, true),
    /^“Extra sluitingsdagen”: “ooit” is geen dag/,
  );
  assert.equal(faultWords(nl, { code: "toml_end" }), nl("config.fault.toml_end"));
  assert.match(faultWords(nl, { code: "needs_queue", department: "a", value: "a" }), /^Dienst “a”: burgers mogen wachten/i);
});

test("every code has words in the four languages with all that they name, and an unknown one leaves the English detail", () => {
  const values = { value: "v", name: "n", line: 1, most: 2, least: 3, size: 4, days: 5, expected: "e", regions: "r" };
  for (const language of ["nl", "fr", "de", "en"]) {
    const t = consoleTexts(language);
    const codes = Object.keys(texts("console/translations", language)).filter((key) => key.startsWith("config.fault."));
    assert.ok(codes.length > 50);
    for (const key of codes) {
      const said = faultWords(t, { code: key.slice("config.fault.".length), department: "d", field: "f", ...values });
      assert.doesNotMatch(said, /[{]\w+[}]/, `${language} ${key}`);
    }
    assert.equal(faultWords(t, { code: "of_later" }), "");
    assert.equal(faultWords(t, null), "");
  }
});

test("a request that the server does not take is said by its place", () => {
  const refused = (at) => outcomeOf({ ok: false, status: 422, code: "invalid", body: { errors: [{ at, problem: "x" }] } });
  assert.deepEqual(refused("form.wrap_up").fault, { code: "wrong", field: "wrap_up" });
  assert.match(faultWords(consoleTexts("nl"), refused("form.wrap_up").fault, true), /^“Tijd om af te ronden”: Deze waarde mag niet/);
  assert.equal(refused("text").problem, "too_large");
});

test("a preview has a row for each button and each day", () => {
  const t = Object.assign((key, values) => [key, ...Object.values(values ?? {}).slice(0, 2)].join(" "), { language: "nl" });
  const button = { department: "a", names: four("A"), colour: "blue", reason: "closed", opens_at: "2026-11-24T08:00:00Z" };
  assert.deepEqual(buttonRows(t, [button, { ...button, opens_at: null }]), [
    ["A", "config.button config.colour.blue config.reason.closed config.opens 24 nov 2026, 09:00:00"],
    ["A", "config.button config.colour.blue config.reason.closed"],
  ]);
  const days = [
    { day: "2027-01-01", hours: [], holiday: "Nieuwjaar", bridge: false },
    { day: "2027-05-07", hours: [], holiday: null, bridge: true },
    { day: "2027-12-24", hours: ["09:00-12:00"], holiday: null, bridge: false },
  ];
  assert.deepEqual(
    dayRows(t, days).map(([, words]) => words),
    ["config.closed_day (Nieuwjaar)", "config.bridge", "09:00-12:00"],
  );
  assert.equal(dayRows(t, days)[0][0], "vrijdag 1 januari");
});
