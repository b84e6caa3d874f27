// Mirrors services/gateway/web/console/staff.js: its RULES.
import assert from "node:assert/strict";
import test from "node:test";
import { changesOf, differs, faultsOf, fieldsOf, formOf, outcomeOf, secretOf } from "../../services/gateway/web/console/staff.js";

const AN = {
  username: "an",
  name: "An",
  role: "agent",
  departments: ["algemeen"],
  capacity: 2,
  locales: ["nl", "fr"],
  break_glass: false,
  disabled: false,
  totp: false,
  revision: 3,
  at: "2026-11-23T08:00:00Z",
  by: { name: "Bea", role: "administrator" },
};
const fields = (changes = {}) => ({ ...fieldsOf(AN), ...changes });
const OLD = { isNew: false, totp: false };

test("what the fields hold of an account is that account again", () => {
  const { name, role, departments, capacity, locales, break_glass } = AN;
  assert.deepEqual(formOf(fields()), { name, role, departments, capacity, locales, break_glass });
  assert.deepEqual(faultsOf(fields(), OLD), {});
  assert.equal(differs(fields(), AN), false);
  assert.equal(differs(fields({ capacity: "3" }), AN), true);
  assert.equal(differs(fieldsOf(null), null), false);
});

test("an officer has no departments and takes no chats, whatever the fields hold", () => {
  const made = formOf(fields({ role: "auditor", capacity: "x" }));
  assert.deepEqual([made.departments, made.capacity, made.locales.length], [[], 0, 4]);
  assert.deepEqual(faultsOf(fields({ role: "auditor", departments: [], capacity: "x", locales: [] }), OLD), {});
});

test("each fault is named at its field as the server names it", () => {
  const cases = [
    [{ name: " " }, OLD, { name: "name_wrong" }],
    [{ departments: [] }, OLD, { departments: "department_missing" }],
    [{ capacity: "0" }, OLD, { capacity: "capacity_wrong" }],
    [{ capacity: "0", role: "supervisor" }, OLD, {}],
    [{ capacity: "51" }, OLD, { capacity: "capacity_wrong" }],
    [{ capacity: "1.5" }, OLD, { capacity: "capacity_wrong" }],
    [{ locales: [] }, OLD, { locales: "locale_wrong" }],
    [{ break_glass: true }, OLD, { break_glass: "second_factor_missing" }],
    [{ break_glass: true }, { isNew: false, totp: true }, {}],
    [{ username: "An" }, { isNew: true, totp: false }, { username: "username_wrong" }],
    [{ username: "An" }, OLD, {}],
  ];
  for (const [changes, about, faults] of cases) assert.deepEqual(faultsOf(fields(changes), about), faults, JSON.stringify(changes));
});

test("a change shows each field as it was and as it is", () => {
  const entry = { before: { capacity: 1 }, after: { capacity: 2, totp: true } };
  assert.deepEqual(changesOf(entry), [
    { field: "capacity", before: 1, after: 2 },
    { field: "totp", before: undefined, after: true },
  ]);
});

test("the secret of an authenticator is written in groups", () => {
  assert.equal(secretOf("otpauth://totp/e-loket%20chat:an?secret=ABCDEFGHIJ&issuer=x"), "ABCD EFGH IJ");
});

test("a refusal says who was first, which field is wrong, or nothing in particular", () => {
  const answer = (code, body = {}) => ({ ok: false, status: 409, code, body, retryAfter: null, tag: null });
  assert.deepEqual(outcomeOf(answer("changed", { by: "Bea" })), { problem: "changed", field: null, name: "Bea", body: null });
  assert.equal(outcomeOf(answer("name_wrong", { field: "name" })).field, "name");
  assert.equal(outcomeOf(answer("no_such_account")).problem, "gone");
  assert.equal(outcomeOf(answer("toString")).problem, "failed");
  assert.equal(outcomeOf(answer("not_logged")).problem, "not_logged");
  assert.equal(outcomeOf({ ok: true, status: 200, code: null, body: { account: null } }).body.account, null);
});
