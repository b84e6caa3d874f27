// Files up and down, loaded at the first of them. The token goes in a header, never in an address.
import { isFile } from "../shared/conversation.js";
import { h, icon, rootOf, setText } from "../shared/dom.js";
import { STALLED, upload } from "../shared/upload.js";
import { size } from "../shared/format.js";
import { languageOf, loadPart } from "./load-part.js";

const WARNING = "M12 3 2.5 20h19z M12 10v4.5 M12 17.4v.1";
const LOOKS = `
.chat > .uploads { position: relative; flex: 0 1 auto; max-height: min(10rem, 30vh); overflow-y: auto; }
.uploads:has(.upload:not([hidden])) { min-height: 3.5rem; }
.upload { display: flex; flex-wrap: wrap; align-items: center; gap: .1rem .6rem; padding: .35rem 1rem; border-top: 1px solid var(--line); font-size: .875rem; }
.upload.wrong { border-inline-start: 4px solid var(--wrong); padding-inline-start: calc(1rem - 4px); font-size: .875rem; color: inherit; }
.upload.wrong > :is(.words, .icon) { color: var(--wrong); }
.upload.wrong > .words { flex: 1 1 100%; }
.upload > bdi { min-width: 0; overflow-wrap: anywhere; }
progress { flex: 1; min-width: 4rem; accent-color: var(--press); }
`;
const AGAIN = ["network", "rate_limited", "unavailable", "too_slow"];
const REASONS = ["empty", "password", "old_office", "heic", "macros", "active_content", "not_scannable", "not_allowed"];
/** @type {Record<string, string>} */
const NOT_SAVED = { too_long: "pdfTooLong", infected: "infectedSaved" };
const ALLOWED = ["pdf", "png", "jpeg", "gif", "webp", "text", "csv", "opendocument", "office"];
/** @type {Record<string, "attachment_bytes" | "attachment_count" | "attachment_total">} */
const LIMITS = { limit_bytes: "attachment_bytes", limit_files: "attachment_count", limit_total_bytes: "attachment_total" };

/** @param {string} text */
function object(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/**
 * What an upload was answered with: `{attachment}`, or the problem: `{code, …}` with the members that the server gave.
 *
 * @param {number} status
 * @param {string} text
 */
export function outcome(status, text) {
  const told = object(text);
  if (status === 201 && isFile(told)) return { attachment: told };
  if (status >= 400 && typeof told.code === "string") return told;
  return { code: status >= 500 ? "unavailable" : "network" }; // a page of something on the way
}

/**
 * Upload one file of this chat: `{done, cancel}`; done resolves to what `outcome` says; onProgress: 0 to 1.
 *
 * @param {{base: string, record: ChatRecord, file: File, onProgress(part: number): void}} options
 */
function send({ base, record, file, onProgress }) {
  const headers = { Authorization: `Bearer ${record.token}` };
  const { done, cancel } = upload({ url: `${base}/api/chats/${record.chat_id}/attachments`, headers, file, onProgress });
  return { done: done.then(({ status, text, failure }) => (failure ? { code: failure } : outcome(status, text))), cancel };
}

/**
 * Why a file was refused and what to do, in the words of `t`; `settings` are the limits where the problem names none.
 *
 * @param {Translator} t
 * @param {UploadProblem} problem
 * @param {string} lang
 * @param {PageSettings} settings
 */
export function because(t, problem, lang, settings) {
  const { code } = problem;
  if (code === "too_large") {
    /** @param {number} bytes */
    const measure = (bytes) => size(bytes, lang);
    /** @param {"limit_bytes" | "limit_files" | "limit_total_bytes"} name */
    const limit = (name) => ((problem[name] ?? 0) > 0 ? Number(problem[name]) : settings[LIMITS[name]]);
    return t("too_large", { file: measure(limit("limit_bytes")), files: limit("limit_files"), total: measure(limit("limit_total_bytes")) });
  }
  if (code === "type_not_allowed") {
    const reason = REASONS.find((one) => one === problem.reason) ?? "not_allowed";
    const kinds = Array.isArray(problem.allowed) && problem.allowed.length ? problem.allowed : ALLOWED;
    const names = kinds.map((kind) => (t.has(`kind_${kind}`) ? t(`kind_${kind}`) : `${kind}`));
    return t(reason, { allowed: new Intl.ListFormat(lang, { type: "conjunction" }).format(names) });
  }
  return t(t.has(code) ? code : "refused");
}

/**
 * Downloads with the chat's token; what to say: `[words, wrong]`.
 *
 * @param {{base: string, record: ChatRecord, path: string, name: string, element: HTMLElement}} options
 * @returns {Promise<[string, boolean?]>}
 */
export async function save({ base, record, path, name, element }) {
  const t = await loadPart(element, "files", LOOKS);
  const code = await download({ base, record, path, name });
  return code === "saved" ? [t("saved")] : [t(NOT_SAVED[code] ?? "saveFailed"), true];
}

// Every download of the server is one by its header; a page of something on the way is not.
/** @param {{base: string, record: ChatRecord, path: string, name: string}} options */
async function download({ base, record, path, name }) {
  const stop = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let stalled;
  const watch = () => {
    clearTimeout(stalled);
    stalled = setTimeout(() => stop.abort(), STALLED);
  };
  try {
    watch();
    const headers = { Authorization: `Bearer ${record.token}` };
    const answer = await fetch(`${base}/api/chats/${record.chat_id}/${path}`, { headers, credentials: "omit", signal: stop.signal });
    if (answer.status === 422) {
      const { code } = object(await answer.text());
      if (code in NOT_SAVED) return code;
    }
    const disposition = answer.headers.get("Content-Disposition");
    if (answer.status !== 200 || !answer.body || !/^attachment\b/i.test(disposition ?? "")) throw answer.status;
    const parts = [];
    for (const reader = answer.body.getReader(); ; watch()) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
    }
    const address = URL.createObjectURL(new Blob(parts, { type: answer.headers.get("Content-Type") ?? "" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = fileName(disposition) ?? name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    return "saved";
  } catch {
    stop.abort();
    return "network";
  } finally {
    clearTimeout(stalled);
  }
}

/**
 * The name in a Content-Disposition (RFC 6266), or null.
 *
 * @param {string | null} disposition
 */
export function fileName(disposition) {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "");
  const plain = /filename="?([^";]+)"?/i.exec(disposition ?? "");
  try {
    return encoded ? decodeURIComponent(encoded[1]) : plain ? plain[1] : null;
  } catch {
    return null;
  }
}

/**
 * The uploads of a chat, a row each in `list`: `add(file)`, `stop()`.
 *
 * @param {{base: string, record: ChatRecord, settings?: PageSettings, session: ReturnType<typeof import("./chat-session.js").joinChat>, announce(words: string): void, list: HTMLElement, focus(): void}} options
 */
export async function uploads({ base, record, settings = /** @type {PageSettings} */ ({}), session, announce, list, focus }) {
  const t = await loadPart(list, "files", LOOKS);
  const lang = languageOf(list);
  const running = new Set();
  let line = Promise.resolve(); // one at a time

  /** @param {File} file */
  function add(file) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": file.name });
    const words = h("span", { class: "words" });
    const stop = h("button", { class: "text", type: "button" }, t("cancel"));
    const row = h("div", { class: "upload" }, h("bdi", { class: "name" }, file.name), bar, words, stop);
    const task = {
      cancelled: false,
      cancel() {
        row.hidden = task.cancelled = true;
      },
    };
    stop.onclick = () => task.cancel();
    list.append(row);
    list.scrollTop = list.scrollHeight; // beside many others
    running.add(task);
    /** @param {UploadProblem} problem */
    const fail = (problem) => {
      const { code } = problem;
      const reason = because(t, problem, lang, settings);
      bar.remove();
      row.classList.add("wrong");
      row.prepend(icon(WARNING));
      setText(words, reason);
      row.scrollIntoView({ block: "nearest" });
      announce(`${file.name}: ${reason}`);
      setText(stop, t("discard"));
      const leave = () => (row.remove(), focus());
      stop.onclick = leave;
      if (AGAIN.includes(code))
        stop.before(h("button", { class: "text", type: "button", onclick: () => (leave(), add(file)) }, t("retry")));
    };
    const run = async () => {
      if (task.cancelled) return { code: "cancelled" };
      const { done, cancel } = send({
        base,
        record,
        file,
        onProgress: (part) => {
          bar.value = part;
          setText(words, `${Math.round(part * 100)} %`);
        },
      });
      task.cancel = cancel;
      const { attachment, ...problem } = await done;
      if (attachment) session.attach(attachment);
      return problem;
    };
    /** @param {Partial<UploadProblem>} problem */
    const end = (problem) => {
      const { code } = problem;
      running.delete(task);
      if (code && code !== "cancelled") return fail({ ...problem, code });
      const focused = row.contains(rootOf(row).activeElement);
      row.remove();
      if (code) announce(`${file.name}: ${t("cancelled")}`);
      if (focused) focus();
    };
    if (file.size > settings.attachment_bytes) end({ code: "too_large" });
    else if (!file.size) end({ code: "type_not_allowed", reason: "empty" });
    else line = line.then(run).then(end, () => end({ code: "network" }));
  }

  return { add, stop: () => running.forEach((task) => task.cancel()) };
}
