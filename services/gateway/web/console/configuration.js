/** Departments as administrators change them: what the fields of a form hold, and what is wrong with them. */
import * as api from "./api.js";
import { LANGUAGES } from "./i18n.js";

export const KINDS = ["phone", "email", "web", "visit", "post"];
export const STARTS = ["press", "form"];
export const ACCEPTS = ["by_agent", "automatic"];
export const BUSY = ["info_sheet", "queue"];
const SPAN = "[0-2]\\d:[0-5]\\d-[0-2]\\d:[0-5]\\d";
const SPANS = `${SPAN}(\\s*,\\s*${SPAN})*`;
const WEEKDAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const DAYS = `${WEEKDAY}(-${WEEKDAY})?(,${WEEKDAY}(-${WEEKDAY})?)*`;
const HOURS = new RegExp(`^${DAYS}\\s+${SPANS}(\\s*;\\s*${DAYS}\\s+${SPANS})*\\s*;?$`);
const DAY = /^(\d{4}-\d{2}-\d{2}|\d{2}-\d{2}|easter([+-]\d{1,3})?)$/i;
const ORIGIN = /^https?:\/\/[^\s/?#@\\]+$/i;
const DAY_HOURS = new RegExp(`^(\\S+)\\s+(${SPANS})$`);
export const MOST_TEXT = 400_000; // bytes of all departments as a text, as presence has it
/** Of each number the least and the most. */
export const LIMITS = Object.freeze({
  longest: { least: 0, most: 10_000 },
  patience: { least: 1, most: 86_400 },
  answer_within: { least: 1, most: 30 },
  wrap_up: { least: 0, most: 600 },
});

/** @typedef {{kind: string, value: string, note: Record<string, string> | null}} ContactWay */
/** @typedef {{id: string, names: Record<string, string>, hours: string | null, closed: string[], day_hours: Record<string, string>, contacts: ContactWay[], start: string, accept: string, busy: string, longest: number, patience: number | null, questions: boolean, answer_within: number | null, wrap_up: number, origins?: string[] | null}} DepartmentForm */
/** @typedef {{version: number, at: string, by: {id: string, name: string, role: string}, act: string, about: string | null}} Version */
/** @typedef {Version & {source: string, text: string, departments: DepartmentForm[]}} Configuration */
/** @typedef {{names: Record<string, string>, hours: string, closed: string, day_hours: string, contacts: {kind: string, value: string, note: Record<string, string>}[], start: string, accept: string, busy: string, questions: boolean, longest: string, patience: string, answer_within: string, wrap_up: string, origins: string | null}} Fields */

/** @param {string} text */
const lines = (text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/**
 * RULES: what the fields hold of a form: lists as lines, numbers as text. `origins` is null where the server is of a release that does not have them
 * in the form.
 *
 * @param {DepartmentForm} form
 * @returns {Fields}
 */
export const fieldsOf = (form) => ({
  names: Object.fromEntries(LANGUAGES.map((one) => [one, form.names[one] ?? ""])),
  hours: form.hours ?? "",
  closed: form.closed.join("\n"),
  day_hours: Object.entries(form.day_hours)
    .map(([day, hours]) => `${day} ${hours}`)
    .join("\n"),
  contacts: form.contacts.map(({ kind, value, note }) => ({
    kind,
    value,
    note: Object.fromEntries(LANGUAGES.map((one) => [one, note?.[one] ?? ""])),
  })),
  start: form.start,
  accept: form.accept,
  busy: form.busy,
  questions: form.questions,
  longest: String(form.longest),
  patience: form.patience === null ? "" : String(form.patience),
  answer_within: form.answer_within === null ? "" : String(form.answer_within),
  wrap_up: String(form.wrap_up),
  origins: form.origins ? form.origins.join("\n") : null,
});

/** The origins that are written, as a browser names them. @param {string} text */
const originsOf = (text) => lines(text).map((line) => line.replace(/\/$/, "").toLowerCase());

/** @param {Record<string, string>} texts */
const trimmed = (texts) => Object.fromEntries(LANGUAGES.map((one) => [one, texts[one].trim()]));

/**
 * RULES: the form that fields without faults hold.
 *
 * @param {Fields} fields
 */
export const formOf = (fields) => ({
  names: trimmed(fields.names),
  hours: fields.hours.trim() || null,
  closed: lines(fields.closed).map((day) => day.toLowerCase()),
  day_hours: Object.fromEntries(
    lines(fields.day_hours).map((line) => {
      const [, day, hours] = /** @type {RegExpExecArray} */ (DAY_HOURS.exec(line));
      return [day.toLowerCase(), hours.replace(/\s/g, "")];
    }),
  ),
  contacts: fields.contacts.map(({ kind, value, note }) => ({
    kind,
    value: value.trim(),
    note: Object.values(note).some((words) => words.trim()) ? trimmed(note) : null,
  })),
  start: fields.start,
  accept: fields.accept,
  busy: fields.busy,
  questions: fields.questions,
  longest: Number(fields.longest),
  patience: fields.patience.trim() ? Number(fields.patience) : null,
  answer_within: fields.answer_within.trim() ? Number(fields.answer_within) : null,
  wrap_up: Number(fields.wrap_up),
  ...(fields.origins === null ? {} : { origins: originsOf(fields.origins) }),
});

/**
 * RULES: what is wrong, as the name of a text for each field. The server looks further.
 *
 * @param {Fields} fields
 */
export function faultsOf(fields) {
  /** @type {Record<string, string>} */
  const faults = {};
  for (const one of LANGUAGES) if (!fields.names[one].trim()) faults[`names.${one}`] = "name_missing";
  const hours = fields.hours.trim();
  if (hours && hours.toLowerCase() !== "always" && !HOURS.test(hours)) faults.hours = "hours_wrong";
  if (lines(fields.closed).some((day) => !DAY.test(day))) faults.closed = "day_wrong";
  const dayHours = lines(fields.day_hours).map((line) => DAY_HOURS.exec(line));
  if (dayHours.some((found) => !found || !DAY.test(found[1]))) faults.day_hours = "day_hours_wrong";
  else if (new Set(dayHours.map((found) => found?.[1].toLowerCase())).size < dayHours.length) faults.day_hours = "day_twice";
  fields.contacts.forEach(({ value, note }, n) => {
    const missing = LANGUAGES.filter((one) => !note[one].trim());
    if (!value.trim()) faults[`contacts.${n}`] = "contact_missing";
    if (missing.length < LANGUAGES.length) for (const one of missing) faults[`contacts.${n}.note.${one}`] = "note_incomplete";
  });
  for (const [name, { least, most }] of Object.entries(LIMITS)) {
    const text = fields[/** @type {keyof typeof LIMITS} */ (name)].trim();
    const optional = name === "patience" || name === "answer_within";
    if (text === "" ? !optional : !/^\d+$/.test(text) || Number(text) < least || Number(text) > most) faults[name] = "number_wrong";
  }
  if (fields.origins !== null && originsOf(fields.origins).some((one) => !ORIGIN.test(one))) faults.origins = "origin_wrong";
  if (fields.questions && !fields.answer_within.trim()) faults.answer_within = "answer_within_missing";
  return faults;
}

/**
 * RULES: whether the fields say something else than they did.
 *
 * @param {Fields} fields
 * @param {Fields} before
 */
export const differs = (fields, before) => JSON.stringify(fields) !== JSON.stringify(before);

/** @typedef {Record<string, string | number> & {code: string}} Fault */
/** @typedef {{problem: string | null, detail: string, fault: Fault | null, name: string, body: any}} Outcome */

/**
 * RULES: the outcome of a check or a change: `problem` null, or "changed", "refused" (`fault`: what is wrong; `detail`: the same in English),
 * "gone", "not_logged", "too_large", "ended" (the session), "forbidden", "no_answer" or "failed".
 *
 * @param {Answer} answer
 * @returns {Outcome}
 */
export function outcomeOf({ ok, code, status, body }) {
  if (ok) return { problem: null, detail: "", fault: null, name: "", body };
  /** @type {Record<string, string>} */
  const problems = {
    changed: "changed",
    invalid_configuration: "refused",
    invalid: "refused",
    no_such_version: "gone",
    not_logged: "not_logged",
    no_answer: "no_answer",
  };
  const problem = problems[code ?? ""] ?? { 401: "ended", 403: "forbidden", 413: "too_large" }[status] ?? "failed";
  const place = code === "invalid" ? String(body?.errors?.[0]?.at ?? "") : "";
  if (place === "text") return { problem: "too_large", detail: "", fault: null, name: "", body: null };
  const fault = code === "invalid" ? { code: "wrong", ...(place ? { field: place.replace(/^form\./, "") } : {}) } : (body?.fault ?? null);
  return { problem, detail: body?.detail ?? "", fault, name: body?.by ?? "", body: null };
}

/** What a form calls the fields of a department: the text of each by its place in TOML, and by its place in the form. */
const LABELS = /** @type {const} */ ({
  names: "config.names",
  hours: "config.hours",
  closed_on: "config.closed",
  "calendar.closed": "config.closed",
  "calendar.hours": "config.day_hours",
  closed: "config.closed",
  day_hours: "config.day_hours",
  contacts: "config.contacts",
  "queue.longest": "config.longest",
  "queue.patience": "config.patience",
  longest: "config.longest",
  patience: "config.patience",
  answer_within: "config.answer_within",
  wrap_up: "config.wrap_up",
  origins: "config.origins",
});

/**
 * RULES: the words about a fault, in the language of the administrator; "": nothing is known of it. In a form fields are called as there, in a text
 * as in TOML.
 *
 * @param {Translator} t
 * @param {Fault | null} fault
 * @param {boolean} [inForm]
 */
export function faultWords(t, fault, inForm = false) {
  if (!fault || !t.has(`config.fault.${fault.code}`)) return "";
  const label = Object.entries(LABELS).find(([name]) => `${fault.field}.`.startsWith(`${name}.`))?.[1];
  const field = inForm && label ? t(label) : fault.field;
  const where = { department: fault.department, field };
  const words = [t(`config.fault.${fault.code}`, fault)];
  if (fault.department && field) words.unshift(t("config.place.both", where));
  else if (fault.department) words.unshift(t("config.place.department", where));
  else if (field) words.unshift(t("config.place.field", where));
  const value = String(fault.value ?? "");
  if (value && !words.some((one) => one.includes(value))) words.push(t("config.given", { value }));
  return words.join(" ");
}

/** The requests of the page, each `{problem, detail, name, body}` as `outcomeOf`. */
export const requests = {
  load: async () => outcomeOf(await api.configuration()),
  /** @param {object} wanted @param {string} of @param {number} year */
  check: async (wanted, of, year) => outcomeOf(await api.checkConfiguration({ ...wanted, of, year })),
  /** @param {object} wanted */
  store: async (wanted) => outcomeOf(await api.storeConfiguration(wanted)),
  /** @param {number | null} before */
  versions: async (before) => outcomeOf(await api.configurationVersions(before)),
  /** @param {number} version */
  version: async (version) => outcomeOf(await api.configurationVersion(version)),
};
