/** The console's requests over HTTP. Every answer is `{ok, status, code, body, retryAfter, tag}`; nothing here throws for an unhappy server. */
import { upload as send } from "../shared/upload.js";
import { learnClock } from "./server-clock.js";

const ANSWER = 40_000; // ms for a whole answer; the gateway waits at most 30 s for another service

/**
 * `ok`: the server did it; what a sign-in page or a firewall answers in its place, with whatever status, is not. `status` 0: the server could not be
 * reached, or its answer was not here within `ANSWER` (code `no_answer`: what was asked may have been done); a file may take longer. `code`: the problem document's, else null. `retryAfter` in whole seconds, else null. `tag`: the entity
 * tag of the answer, with which a later request asks whether there is another one (`known`): status 304, not `ok`, when there is not.
 *
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {string | null} [known]
 * @param {{reason?: string, file?: boolean}} [more] `reason`: why it is read. `file`: the body of a good answer is `{bytes, disposition}`, not JSON.
 */
export async function ask(method, path, body, known, { reason, file = false } = {}) {
  const signal = file ? undefined : AbortSignal.timeout(ANSWER);
  const unreached = () => ({
    ok: false,
    status: 0,
    code: signal?.aborted ? "no_answer" : null,
    body: null,
    retryAfter: null,
    tag: null,
  });
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      cache: "no-store",
      headers: {
        Accept: "application/json",
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...(known ? { "If-None-Match": known } : {}),
        ...(reason ? { "X-Reason": encodeURIComponent(reason) } : {}),
      },
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    return unreached();
  }
  learnClock(response.headers.get("Date"));
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isFinite(wait) ? wait : null;
  if (file && response.ok) {
    const bytes = await response.blob().catch(() => null);
    const disposition = response.headers.get("Content-Disposition") ?? "";
    return { ok: bytes !== null, status: response.status, code: null, body: { bytes, disposition }, retryAfter, tag: null };
  }
  const empty = response.status === 204 || response.status === 304;
  const told = empty ? null : await response.json().catch(() => null);
  if (told === null && !empty && signal?.aborted) return unreached();
  const answer = typeof told === "object" ? told : null;
  return {
    ok: response.ok && (empty || answer !== null),
    status: response.status,
    code: answer?.code ?? null,
    body: answer,
    retryAfter,
    tag: response.headers.get("ETag"),
  };
}

export const me = () => ask("GET", "/api/agent/me");
/** @param {string} username @param {string} password @param {string} [code] @param {string} [fresh] the password that replaces it */
export const login = (username, password, code, fresh) =>
  ask("POST", "/api/agent/session", { username, password, ...(code ? { code } : {}), ...(fresh ? { new: fresh } : {}) });
export const loginWays = () => ask("GET", "/api/agent/login");
export const roles = () => ask("GET", "/api/agent/oidc/choices");
/** @param {string} role */
export const chooseRole = (role) => ask("POST", "/api/agent/oidc/choice", { choice: role });
export const logout = (everywhere = false) => ask("DELETE", `/api/agent/session${everywhere ? "?everywhere=true" : ""}`);
/** @param {string} old @param {string} fresh */
export const changePassword = (old, fresh) => ask("PUT", "/api/agent/password", { old, new: fresh });
export const ownSessions = () => ask("GET", "/api/agent/sessions");
/** @param {string} id */
export const endOwnSession = (id) => ask("DELETE", `/api/agent/sessions/${encodeURIComponent(id)}`);
/** @param {string} search a part of a name; "": those of all */
export const sessions = (search) => ask("POST", "/api/sessions/search", { search });
/** @param {string} id */
export const endSession = (id) => ask("POST", "/api/sessions/end", { id });
export const settings = () => ask("GET", "/api/settings");
/** @param {string} department */
export const colleagues = (department) => ask("GET", `/api/agents?department=${encodeURIComponent(department)}`);
export const questions = () => ask("GET", "/api/questions");
/** @param {string} chat @param {string} what */
const questionUrl = (chat, what) => `/api/questions/${encodeURIComponent(chat)}/${what}`;
/** @param {string} chat */
export const questionDone = (chat) => ask("POST", questionUrl(chat, "done?once=true"));
/** @param {string} chat @param {string} of the agent who has done it, as the page shows it */
export const questionUndo = (chat, of) => ask("DELETE", questionUrl(chat, `done?of=${encodeURIComponent(of)}`));
/** @param {string} chat */
export const questionClaim = (chat) => ask("POST", questionUrl(chat, "claim"));
/** @param {string} chat @param {string} of the agent who has it, as the page shows it */
export const questionRelease = (chat, of) => ask("DELETE", questionUrl(chat, `claim?of=${encodeURIComponent(of)}`));
/** @param {Record<string, string>} wish @param {string | null} before the `next` of the page before */
export const questionArchive = (wish, before) =>
  ask("GET", `/api/questions/archive?${new URLSearchParams([...filled(wish), ...(before ? [["before", before]] : [])])}`);
/** @param {string} chat @param {string} id */
export const questionFileUrl = (chat, id) => questionUrl(chat, `attachments/${encodeURIComponent(id)}`);
/**
 * The PNG of a file of a question; null: there is none now.
 *
 * @param {string} chat @param {string} id @param {string} size small or large
 */
export const questionPreview = async (chat, id, size) => {
  const { status, body } = await ask("GET", `${questionFileUrl(chat, id)}/preview?size=${size}`, undefined, null, { file: true });
  return status === 200 ? body.bytes : null;
};
/** @param {string} chat @param {string} [reason] */
export const notes = (chat, reason) => ask("GET", `/api/chats/${encodeURIComponent(chat)}/notes`, undefined, null, { reason });
/** @param {string} chat @param {Label} label */
export const labelChat = (chat, label) => ask("PUT", `/api/agent/chats/${encodeURIComponent(chat)}/label`, label);
/** @param {string} department */
export const assignments = (department) => ask("GET", `/api/assignments?department=${encodeURIComponent(department)}&limit=100`);
/** @param {string | null} known */
export const cannedAnswers = (known) => ask("GET", "/api/agent/canned-answers", undefined, known);
/** @param {object} content */
export const addCannedAnswer = (content) => ask("POST", "/api/agent/canned-answers", content);
/** @param {string} id @param {object} content */
export const changeCannedAnswer = (id, content) => ask("PUT", `/api/agent/canned-answers/${encodeURIComponent(id)}`, content);
/** @param {string} id @param {number} revision */
export const removeCannedAnswer = (id, revision) =>
  ask("DELETE", `/api/agent/canned-answers/${encodeURIComponent(id)}?revision=${revision}`);
/** @typedef {{from: string, until: string, by: string, department: string, format?: string}} ReportWish */
/** @param {ReportWish} wish */
export const report = (wish) => ask("GET", reportUrl(wish));

/**
 * Where a report can be read; an empty department is all of the supervisor's.
 *
 * @param {ReportWish} wish
 */
export const reportUrl = ({ department, ...wish }) =>
  `/api/agent/reports?${new URLSearchParams({ ...wish, ...(department ? { department } : {}) })}`;

/** @param {string} chat @param {string} [reason] */
export const transcript = (chat, reason) => ask("GET", transcriptUrl(chat, "json"), undefined, null, { reason });

/** @param {Record<string, string>} wish */
const filled = (wish) => Object.entries(wish).filter(([, value]) => value);
/** @param {Record<string, string>} wish @param {number | null} before */
export const accessLog = (wish, before) =>
  ask("GET", `/api/access-log?${new URLSearchParams([...filled(wish), ...(before ? [["before", String(before)]] : [])])}`);
export const verifyAccessLog = () => ask("GET", "/api/access-log/verification");
/** @param {string} format @param {Record<string, string>} wish */
export const accessExportUrl = (format, wish) => `/api/access-log/export?${new URLSearchParams([["format", format], ...filled(wish)])}`;

export const configuration = () => ask("GET", "/api/configuration");
export const configurationExport = "/api/configuration/export";
/** @param {object} wanted */
export const checkConfiguration = (wanted) => ask("POST", "/api/configuration/check", wanted);
/** @param {object} wanted */
export const storeConfiguration = (wanted) => ask("POST", "/api/configuration", wanted);
/** @param {number | null} before */
export const configurationVersions = (before) => ask("GET", "/api/configuration/versions" + (before ? `?before=${before}` : ""));
/** @param {number} version */
export const configurationVersion = (version) => ask("GET", `/api/configuration/versions/${version}`);

/** @param {string} department */
const intakeUrl = (department) => `/api/agent/intakes/${encodeURIComponent(department)}`;
/** @param {string} department @param {{reason: string, until: string}} wish */
export const closeIntake = (department, wish) => ask("PUT", intakeUrl(department), wish);
/** @param {string} department */
export const openIntake = (department) => ask("DELETE", intakeUrl(department));
/** @param {string} agent */
export const pauseAgent = (agent) => ask("POST", `/api/agent/agents/${encodeURIComponent(agent)}/pause`);
/** @param {string} agent */
export const logAgentOut = (agent) => ask("POST", `/api/agent/agents/${encodeURIComponent(agent)}/log-out`);
/** @param {string} chat @param {string | null} agent null: back to the queue */
export const reassign = (chat, agent) => ask("POST", `/api/agent/chats/${encodeURIComponent(chat)}/reassign`, { agent });
/** @param {string} chat */
export const revokeToken = (chat) => ask("DELETE", `/api/agent/chats/${encodeURIComponent(chat)}/token`);
/** @param {string} chat @param {string} id @param {string} text */
export const whisper = (chat, id, text) => ask("POST", `/api/agent/chats/${encodeURIComponent(chat)}/notes`, { id, text });

/** @param {object} wanted */
export const pastChats = (wanted) => ask("POST", "/api/agent/chats/search", wanted);

/**
 * Where a conversation can be downloaded as `txt`, `html`, `pdf` or `json`, in the agent's language; the cookie lets it through.
 *
 * @param {string} chat
 * @param {string} format
 * @param {string} [language]
 */
export const transcriptUrl = (chat, format, language) =>
  `/api/chats/${encodeURIComponent(chat)}/transcript?format=${format}` + (language ? `&lang=${language}` : "");

/** @param {string} chat @param {string} id */
export const attachmentUrl = (chat, id) => `/api/chats/${encodeURIComponent(chat)}/attachments/${encodeURIComponent(id)}`;

/**
 * Uploads a file: `{done, cancel}`; `done` is a promise of `{ok, body, code, reason}`, code `cancelled` after `cancel()`.
 * `onProgress(share)` gets 0 to 1.
 *
 * @param {string} chat
 * @param {File} file
 * @param {(part: number) => void} onProgress
 */
export function upload(chat, file, onProgress) {
  const { done, cancel } = send({ url: `/api/chats/${encodeURIComponent(chat)}/attachments`, file, onProgress });
  return { done: done.then(outcome), cancel };
}

/**
 * What an upload was answered with, as `{ok, body, code, reason}`.
 *
 * @param {Uploaded} answer
 */
function outcome({ status, text, failure }) {
  if (failure) return { ok: false, body: null, code: failure === "cancelled" ? failure : "unavailable", reason: null };
  const body = parsed(text);
  return { ok: status === 201 && Boolean(body?.id), body, code: uploadCode(status, body), reason: body?.reason ?? null };
}

/** @param {string} words */
function parsed(words) {
  try {
    return JSON.parse(words);
  } catch {
    return null;
  }
}

// A proxy before the server may refuse in words of its own: then the status tells.
/** @param {number} status @param {any} body */
const uploadCode = (status, body) =>
  body?.code ??
  { 403: "forbidden", 408: "too_slow", 413: "too_large", 415: "type_not_allowed", 429: "rate_limited", 503: "unavailable" }[status] ??
  "other";
