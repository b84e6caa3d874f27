/** Accounts of the staff as administrators change them: what the fields of a form hold, what is wrong with them, and the requests. */
import { ask } from "./api.js";
import { LANGUAGES } from "./i18n.js";

export const ROLES = ["agent", "supervisor", "administrator", "auditor"];
export const MOST_CAPACITY = 50;
const USERNAME = /^[a-z0-9][a-z0-9._@-]{0,99}$/;

/** @typedef {{name: string, role: string, departments: string[], capacity: number, locales: string[], break_glass: boolean}} StaffForm */
/** @typedef {StaffForm & {username: string, disabled: boolean, totp: boolean, revision: number, at: string, by: {name: string, role: string}, removed?: boolean}} Staff */
/** @typedef {{username: string, name: string, role: string, departments: string[], capacity: string, locales: string[], break_glass: boolean}} StaffFields */
/** @typedef {{revision: number, at: string, by: {name: string, role: string}, act: string, of: number | null, before: Record<string, any>, after: Record<string, any>, undoable: boolean}} StaffEntry */
/** @typedef {{problem: string | null, field: string | null, name: string, seconds: number, body: any}} StaffOutcome */
/** @typedef {{accounts: Staff[], last: string, more: boolean, removed?: boolean}} StaffList */
/** @typedef {{id: string, names: Record<string, string>}} Department */

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
 * RULES: whether the fields say something else than they did.
 *
 * @param {StaffFields} fields
 * @param {StaffFields} before
 */
export const differs = (fields, before) => JSON.stringify(fields) !== JSON.stringify(before);

/**
 * RULES: the ids of a field in the order of the account, then what could be chosen beside them: taken away and chosen again, nothing has changed.
 * What the account has and cannot be chosen (any more) is among them, so that it can be taken away.
 *
 * @param {string[]} own
 * @param {string[]} choices
 */
export const orderOf = (own, choices) => [...new Set([...own, ...choices])];

/**
 * RULES: a list with what was found after it. `last`: the username after which the next ones come; what is there already is taken newly.
 *
 * @param {StaffList} list
 * @param {{accounts: Staff[], more: boolean}} found
 * @returns {StaffList}
 */
export function withMore({ removed = false, ...list }, { accounts, more }) {
  const fresh = new Set(accounts.map((one) => one.username));
  const kept = list.accounts.filter((one) => !fresh.has(one.username));
  return { accounts: sorted([...kept, ...accounts]), last: accounts.at(-1)?.username ?? list.last, more, removed };
}

/**
 * RULES: a list in which this account is as it was made; null: it is removed. One that was added is there, whatever was searched for; in a list of
 * removed accounts nothing is that is there (again).
 *
 * @param {StaffList} list
 * @param {string} username
 * @param {Staff | null} account
 * @returns {StaffList}
 */
export const withAccount = (list, username, account) => ({
  ...list,
  accounts: sorted([...list.accounts.filter((one) => one.username !== username), ...(account && !list.removed ? [account] : [])]),
});

// As the server does: by code units, in no language.
/** @param {Staff[]} accounts */
const sorted = (accounts) => accounts.sort((one, other) => (one.username < other.username ? -1 : 1));

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
 * RULES: the outcome of a request: `problem` null, or the name of a text; `field`: the field that is wrong; `name`: who was first; `seconds`: after
 * which it may be tried again.
 *
 * @param {Answer} answer
 * @returns {StaffOutcome}
 */
export function outcomeOf({ ok, status, code, body, retryAfter }) {
  const outcome = { problem: null, field: body?.field ?? null, name: body?.by ?? "", seconds: retryAfter ?? 0, body: null };
  if (ok) return { ...outcome, field: null, name: "", body };
  return { ...outcome, problem: problemOf(code ?? "", status, outcome) };
}

/** @param {string} code @param {number} status @param {{field: string | null, seconds: number}} more */
function problemOf(code, status, { field, seconds }) {
  if (code === "no_such_account" || code === "no_such_revision") return "gone";
  if (code === "second_factor_missing" && field === "totp") return "second_factor_needed";
  if (code === "no_answer" || PROBLEMS.includes(code)) return code;
  if (status === 401) return "ended";
  if (status === 403) return "forbidden";
  return (status === 429 || status === 503) && seconds ? "busy" : "failed";
}

/** @param {Translator} t @param {StaffOutcome} outcome */
export const problemWords = (t, { problem, name, seconds }) =>
  problem === "no_answer" ? t("no_answer") : t(`staff.problem.${problem}`, { name, n: seconds });

/** @param {Translator} t @param {Department[]} departments @param {string} id */
export const departmentName = (t, departments, id) => departments.find((one) => one.id === id)?.names[t.language] ?? id;

/**
 * RULES: the departments of an account. An officer has none: what they do is for all departments.
 *
 * @param {Translator} t
 * @param {Department[]} departments
 * @param {string[]} ids
 */
export const servedWords = (t, departments, ids) =>
  ids.length ? ids.map((id) => departmentName(t, departments, id)).join(", ") : t("staff.all_departments");

/** @param {string} path @param {object} body */
const post = async (path, body) => outcomeOf(await ask("POST", `/api/accounts${path}`, body));

/**
 * RULES: after which username a search for this one begins: what stands before it is left out, so it is on the first page.
 *
 * @param {string} username
 */
export const before = (username) => username.slice(0, -1);

/** The requests of the page. */
export const requests = {
  /** @param {string} text @param {string} after @param {boolean} [removed] */
  search: (text, after, removed = false) => post("/search", { search: text, after, ...(removed ? { removed } : {}) }),
  /** @param {string} username */
  find: (username) => post("/search", { search: username, after: before(username) }),
  /** @param {string} username @param {StaffForm} form */
  add: (username, form) => post("", { username, form }),
  /** @param {Staff} one @param {StaffForm} form */
  change: (one, form) => post("/change", { username: one.username, revision: one.revision, form }),
  /** @param {{username: string, revision: number}} one @param {string} act @param {number} [of] the revision that is undone */
  act: ({ username, revision }, act, of) => post("/act", { username, revision, act, ...(of ? { of } : {}) }),
  /** @param {string} username */
  history: (username) => post("/history", { username }),
};
