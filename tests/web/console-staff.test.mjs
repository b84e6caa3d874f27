// Mirrors services/gateway/web/console/staff.js: its RULES.
import assert from "node:assert/strict";
import test from "node:test";
import {
  before,
  changesOf,
  differs,
  faultsOf,
  fieldsOf,
  formOf,
  orderOf,
  outcomeOf,
  problemWords,
  secretOf,
  servedWords,
  withAccount,
  withMore,
} from "../../services/gateway/web/console/staff.js";
import { consoleTexts } from "./texts.mjs";

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
  assert.equal(differs(fields(), fieldsOf(AN)), false);
  assert.equal(differs(fields({ capacity: "3" }), fieldsOf(AN)), true);
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

const answer = (status, code, body = {}, retryAfter = null) => ({ ok: false, status, code, body, retryAfter, tag: null });

test("a refusal says who was first, which field is wrong, or nothing in particular", () => {
  const changed = { problem: "changed", field: null, name: "Bea", seconds: 0, body: null };
  assert.deepEqual(outcomeOf(answer(409, "changed", { by: "Bea" })), changed);
  assert.equal(outcomeOf(answer(422, "name_wrong", { field: "name" })).field, "name");
  assert.equal(outcomeOf(answer(404, "no_such_account")).problem, "gone");
  assert.equal(outcomeOf(answer(503, "not_logged")).problem, "not_logged");
  assert.equal(outcomeOf(answer(422, "toString")).problem, "failed");
  assert.equal(outcomeOf(answer(422, "second_factor_missing", { field: "break_glass" })).problem, "second_factor_missing");
  assert.equal(outcomeOf(answer(422, "second_factor_missing", { field: "totp" })).problem, "second_factor_needed");
  const good = { ok: true, status: 200, code: null, body: { account: null, field: "x", by: "x" }, retryAfter: null };
  assert.deepEqual(outcomeOf(good), { problem: null, field: null, name: "", seconds: 0, body: good.body });
});

test("who may not any more, and who has to wait, are told so", () => {
  const t = consoleTexts("nl");
  const words = (...given) => problemWords(t, outcomeOf(answer(...given)));
  assert.match(words(401, "unauthenticated"), /uw sessie is beëindigd/);
  assert.match(words(403, "forbidden"), /geen beheerder meer/);
  assert.match(words(503, "unavailable", {}, 5), /Wacht 5 seconden,/);
  assert.match(words(429, "rate_limited", {}, 1), /Wacht 1 seconde,/);
  for (const given of [
    [503, "unavailable"],
    [500, null],
    [0, null, null],
  ])
    assert.match(words(...given), /^Dat is niet gelukt\. Kijk of .* probeer het opnieuw\.$/);
  assert.match(words(409, "changed", { by: "Bea" }), /Bea heeft deze medewerker/);
});

test("an officer is there for all departments", () => {
  const t = consoleTexts("nl");
  const departments = [{ id: "algemeen", names: { nl: "Algemeen" } }];
  assert.equal(servedWords(t, departments, []), "alle diensten");
  assert.equal(servedWords(t, departments, ["algemeen", "weg"]), "Algemeen, weg");
});

test("what is taken away and chosen again is no change, and what is not there any more can be taken away", () => {
  assert.deepEqual(orderOf(["premies", "weg"], ["algemeen", "premies"]), ["premies", "weg", "algemeen"]);
  const account = { ...AN, departments: ["premies", "algemeen"] };
  const order = orderOf(account.departments, ["algemeen", "premies"]);
  assert.equal(differs({ ...fieldsOf(account), departments: order }, fieldsOf(account)), false);
});

test("a list grows by what was found, and has what was changed as it was made", () => {
  const named = (...names) => names.map((username) => ({ ...AN, username }));
  const names = (list) => list.accounts.map((one) => one.username);
  const first = withMore({ accounts: [], last: "", more: false }, { accounts: named("an", "b.e"), more: true });
  assert.deepEqual([names(first), first.last, first.more], [["an", "b.e"], "b.e", true]);
  const added = withAccount(first, "zoe", { ...AN, username: "zoe" });
  assert.deepEqual([names(added), added.last], [["an", "b.e", "zoe"], "b.e"], "others are between them");
  const second = withMore(added, {
    accounts: [
      { ...AN, username: "cas" },
      { ...AN, username: "zoe", revision: 9 },
    ],
    more: false,
  });
  assert.deepEqual([names(second), second.last, second.more], [["an", "b.e", "cas", "zoe"], "zoe", false]);
  assert.equal(second.accounts[3].revision, 9);
  const between = withMore(added, { accounts: named("cas"), more: true });
  assert.deepEqual([names(between), between.last], [["an", "b.e", "cas", "zoe"], "cas"]);
  assert.deepEqual(
    [withMore(second, { accounts: [], more: false }).last, names(withAccount(second, "an", null))],
    ["zoe", ["b.e", "cas", "zoe"]],
  );
  assert.equal(withAccount(second, "cas", { ...AN, username: "cas", revision: 4 }).accounts[2].revision, 4);
  assert.deepEqual(names(first), ["an", "b.e"], "the list before is as it was");
});

test("in a list of removed accounts is none that is there again", () => {
  const gone = { ...AN, removed: true };
  const list = withMore({ accounts: [], last: "", more: false, removed: true }, { accounts: [gone], more: false });
  assert.equal(list.removed, true);
  assert.deepEqual(withAccount(list, "an", AN).accounts, []);
  assert.deepEqual(withAccount(list, "bert", null).accounts, [gone]);
});

test("a search for one username leaves out what stands before it", () => {
  assert.equal(before("anna"), "ann");
  assert.equal(before("a"), "");
});
