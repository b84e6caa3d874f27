// Mirrors services/gateway/web/widget/start-chat.js: what the page says of its form, within the limits of the server.
import assert from "node:assert/strict";
import test from "node:test";
import { formOf, placeOf } from "../../services/gateway/web/widget/start-chat.js";

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
