/** Accounts of the staff as administrators change them: what the fields of a form hold, what is wrong with them, and the requests. */
import { ask } from "./api.js";
import { LANGUAGES } from "./i18n.js";

export const ROLES = ["agent", "supervisor", "administrator", "auditor"];
export const MOST_CAPACITY = 50;
const USERNAME = /^[a-z0-9][a-z0-9._@-]{0,99}$/;

/** @typedef {{name: string, role: string, departments: string[], capacity: number, locales: string[], break_glass: boolean}} StaffForm */
/** @typedef {StaffForm & {username: string, disabled: boolean, totp: boolean, revision: number, at: string, by: {name: string, role: string}}} Staff */
/** @typedef {{username: string, name: string, role: string, departments: string[], capacity: string, locales: string[], break_glass: boolean}} StaffFields */
/** @typedef {{revision: number, at: string, by: {name: string, role: string}, act: string, of: number | null, before: Record<string, any>, after: Record<string, any>, undoable: boolean}} StaffEntry */
/** @typedef {{problem: string | null, field: string | null, name: string, body: any}} StaffOutcome */

/** @param {string} role */
export const isOfficer = (role) => role === "administrator" || role === "auditor";

/**
 * RULES: what the fields hold of an account; of none: what a new one begins with.
 *
 * @param {Staff | null} one
 * @returns {StaffFields}
 */
export const fieldsOf = (one) => ({
  username: one?.username ?? "",
  name: one?.name ?? "",
  role: one?.role ?? "agent",
  departments: [...(one?.departments ?? [])],
  capacity: String(one && !isOfficer(one.role) ? one.capacity : 1),
  locales: [...(one?.locales ?? LANGUAGES)],
  break_glass: one?.break_glass ?? false,
});

/**
 * RULES: the form that fields without faults hold. What an officer does not have is left out.
 *
 * @param {StaffFields} fields
 * @returns {StaffForm}
 */
export function formOf({ name, role, departments, capacity, locales, break_glass }) {
  const shared = { name: name.trim(), role, break_glass };
  if (isOfficer(role)) return { ...shared, departments: [], capacity: 0, locales: [...LANGUAGES] };
  return { ...shared, departments, capacity: Number(capacity), locales };
}

/**
 * RULES: what is wrong, as the code that the server has for it, by field. The server looks further.
 *
 * @param {StaffFields} fields
 * @param {{isNew: boolean, totp: boolean}} about
 */
export function faultsOf(fields, { isNew, totp }) {
  /** @type {Record<string, string>} */
  const faults = {};
  if (isNew && !USERNAME.test(fields.username.trim())) faults.username = "username_wrong";
  if (!fields.name.trim()) faults.name = "name_wrong";
  if (fields.break_glass && !totp) faults.break_glass = "second_factor_missing";
  if (isOfficer(fields.role)) return faults;
  if (!fields.departments.length) faults.departments = "department_missing";
  const least = fields.role === "supervisor" ? 0 : 1;
  const capacity = fields.capacity.trim();
  if (!/^\d{1,3}$/.test(capacity) || Number(capacity) < least || Number(capacity) > MOST_CAPACITY) faults.capacity = "capacity_wrong";
  if (!fields.locales.length) faults.locales = "locale_wrong";
  return faults;
}

/**
 * RULES: whether the fields say something else than the account.
 *
 * @param {StaffFields} fields
 * @param {Staff | null} one
 */
export const differs = (fields, one) => JSON.stringify(fields) !== JSON.stringify(fieldsOf(one));

/**
 * RULES: the fields that a change of the history has changed, each as it was and as it is; undefined: there was none.
 *
 * @param {StaffEntry} entry
 * @returns {{field: string, before: any, after: any}[]}
 */
export const changesOf = ({ before, after }) =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].map((field) => ({ field, before: before[field], after: after[field] }));

/**
 * RULES: the secret in the address that an authenticator reads, in groups of four.
 *
 * @param {string} uri
 */
export const secretOf = (uri) => (new URL(uri).searchParams.get("secret") ?? "").replace(/(.{4})(?=.)/g, "$1 ");

const PROBLEMS = [
  "changed",
  "username_taken",
  "username_wrong",
  "name_wrong",
  "department_missing",
  "department_unknown",
  "capacity_wrong",
  "locale_wrong",
  "second_factor_missing",
  "own_account",
  "last_administrator",
  "cannot_undo",
  "not_logged",
];

/**
 * RULES: the outcome of a request: `problem` null, or the name of a text; `field`: the field that is wrong; `name`: who was first.
 *
 * @param {Answer} answer
 * @returns {StaffOutcome}
 */
export function outcomeOf({ ok, code, body }) {
  if (ok) return { problem: null, field: null, name: "", body };
  const gone = code === "no_such_account" || code === "no_such_revision";
  const problem = gone ? "gone" : PROBLEMS.includes(code ?? "") ? code : "failed";
  return { problem, field: body?.field ?? null, name: body?.by ?? "", body: null };
}

/** @param {string} path @param {object} body */
const post = async (path, body) => outcomeOf(await ask("POST", `/api/accounts${path}`, body));

/** The requests of the page. */
export const requests = {
  /** @param {string} text @param {string} after */
  search: (text, after) => post("/search", { search: text, after }),
  /** @param {string} username @param {StaffForm} form */
  add: (username, form) => post("", { username, form }),
  /** @param {Staff} one @param {StaffForm} form */
  change: (one, form) => post("/change", { username: one.username, revision: one.revision, form }),
  /** @param {{username: string, revision: number}} one @param {string} act @param {number} [of] the revision that is undone */
  act: ({ username, revision }, act, of) => post("/act", { username, revision, act, ...(of ? { of } : {}) }),
  /** @param {string} username */
  history: (username) => post("/history", { username }),
};
