// Mirrors services/gateway/web/widget/start-chat.js: what the page says of its form, within the limits of the server.
import assert from "node:assert/strict";
import test from "node:test";
import { detailsOf, formOf, placeOf } from "../../services/gateway/web/widget/start-chat.js";

test("the form is what the page said, cut to what the server takes, and start() comes first", (t) => {
  const before = [globalThis.location, globalThis.document];
  Object.assign(globalThis, {
    location: new URL("https://site.example/form?secret=1"),
    document: { title: "Titel \ud83d" },
  });
  t.after(() => Object.assign(globalThis, { location: before[0], document: before[1] }));
  const host = {
    getAttribute: (name) => ({ "form-id": "p-1" })[name] ?? null,
    context: { step: "Stap\udc00 3", field: "🏠".repeat(300), error: 7 },
  };
  const form = formOf(host, { error: "IBAN\0-08", unknown: "x" });
  assert.deepEqual(form, {
    id: "p-1",
    title: "Titel",
    url: "https://site.example/form",
    step: "Stap 3",
    field: "🏠".repeat(200),
    error: "IBAN-08",
  });
  assert.equal(placeOf({ step: "Stap 3", error: "IBAN-08" }), "Stap 3, IBAN-08");
  assert.equal(placeOf({}), undefined);
  assert.equal(formOf({ getAttribute: () => null, context: "text" }).step, undefined);
});

test("a name and a question that a page cut within a character are sent without the half", (t) => {
  const before = [globalThis.location, globalThis.document];
  Object.assign(globalThis, { location: new URL("https://site.example/form"), document: { title: "" } });
  t.after(() => Object.assign(globalThis, { location: before[0], document: before[1] }));
  const host = { getAttribute: () => null, frame: { lang: "nl" } };
  const store = { read: () => null, write() {} };
  const given = { name: "An 🏠".slice(0, -1), question: "Mijn 🏠 en \ude00", queue: true };
  const { name, question, queue } = detailsOf(host, store, given);
  assert.deepEqual({ name, question, queue }, { name: "An ", question: "Mijn 🏠 en ", queue: true });
});
