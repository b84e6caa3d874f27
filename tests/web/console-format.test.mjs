// Mirrors services/gateway/web/console/format.js: how dates read.
import assert from "node:assert/strict";
import test from "node:test";
import { dayOf, useZone } from "../../services/gateway/web/console/format.js";

test("a date is the same day in each time zone and language", () => {
  for (const zone of ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Brussels"]) {
    useZone(zone);
    assert.equal(dayOf("2026-12-02", "nl"), "wo 2 december");
    assert.equal(dayOf("2026-12-02", "fr"), "mer. 2 décembre");
    assert.equal(dayOf("2026-12-02", "de"), "Mi., 2. Dezember");
    assert.equal(dayOf("2026-12-02", "en"), "Wed 2 December");
  }
});

test("what is no date is left out", () => {
  for (const one of [undefined, null, "", "morgen", "2026-13-45", 20261202]) assert.equal(dayOf(one, "nl"), "");
});
