// The start of a chat: one chat, however often it is asked for.
import { createStore } from "./store.js";
import { newId } from "../shared/conversation.js";

const KEY_LASTS = 9 * 60_000; // ms
const KEY = /^[\w-]{22,255}$/;
const BROWSER = /^[\w-]{22,64}$/;
const ANSWER = 15_000; // ms
const LONGEST = 200; // characters of what the page says of its form
const LONGEST_TITLE = 500;

// 64 bits of a text: enough to know that the form was sent as it is now. Two hashes as FNV-1a, of UTF-16 code units.
/** @param {string} text */
function digest(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let n = 0; n < text.length; n += 1) {
    a = Math.imul(a ^ text.charCodeAt(n), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(n), 1597334677);
  }
  return `${a} ${b}`;
}

// A repeat has the key of the first attempt; another question is another chat, whose key may not be that of the first.
/** @param {Store} store @param {string} body */
function keyOf(store, body) {
  const old = store.read("start");
  const age = Date.now() - old?.at;
  const same = KEY.test(old?.key) && age >= 0 && age < KEY_LASTS && old.of === digest(body);
  return same ? old : { key: newId(), at: Date.now(), of: digest(body) };
}

/**
 * A text without half characters: a page may have cut it within one.
 *
 * @param {string | undefined} text
 */
const whole = (text) => `${text ?? ""}`.replace(/[\0\ud800-\udfff]/gu, "");

/**
 * The form that the citizen has open: what the page set, cut to what the server takes.
 *
 * @param {ChatElement} host
 * @param {EloketChatForm} [more]
 */
export function formOf(host, more) {
  const { origin, pathname } = location;
  /** @param {string} name */
  const attribute = (name) => host.getAttribute(name) ?? undefined;
  const given = { id: attribute("form-id"), title: attribute("form-title") ?? document.title, ...host.context, ...more };
  /** @param {"id" | "title" | "step" | "field" | "error"} name */
  const text = (name, most = LONGEST) => [...whole(given[name])].slice(0, most).join("").trim() || undefined;
  return {
    id: text("id"),
    title: text("title", LONGEST_TITLE),
    url: /^http/.test(origin) ? origin + pathname : undefined,
    step: text("step"),
    field: text("field"),
    error: text("error"),
  };
}

/**
 * Where in the form the citizen is, in words; undefined when the page did not say.
 *
 * @param {EloketChatForm} form
 */
export const placeOf = ({ step, field, error }) => [step, field, error].filter(Boolean).join(", ") || undefined;

/**
 * The random id of this browser, kept for one thing: that a block by an agent holds.
 *
 * @param {Store} store
 */
export function browserOf(store) {
  const kept = store.read("browser");
  const id = typeof kept === "string" && BROWSER.test(kept) ? kept : newId();
  if (id !== kept) store.write("browser", id);
  return id;
}

/**
 * Asks for one chat, however often: `{record}` or `{code, seconds, infofiche}`.
 *
 * Only a 201 with all its members is a chat (`asChat` tells). `code` is the server's, or "network" (no answer),
 * "strange" (an answer that is not the server's: a sign-in page, a firewall). `how` says how it starts, not which one.
 *
 * @param {string} base
 * @param {Store} store
 * @param {object} details
 * @param {(value: unknown) => ChatRecord | null} asChat
 * @param {{seen?: number, reservation?: string}} [how]
 * @returns {Promise<StartAnswer>}
 */
export async function startChat(base, store, details, asChat, how) {
  const start = keyOf(store, JSON.stringify(details));
  store.write("start", start);
  const body = JSON.stringify({ ...details, ...how });
  const headers = { "Content-Type": "application/json", "Idempotency-Key": start.key };
  const signal = AbortSignal.timeout(ANSWER);
  let answer, told;
  try {
    answer = await fetch(`${base}/api/chats`, { method: "POST", headers, body, credentials: "omit", signal });
    told = await answer.text();
  } catch {
    return { code: "network" };
  }
  try {
    told = JSON.parse(told);
  } catch {
    return { code: "strange" };
  }
  const record = answer.status === 201 ? asChat(told) : null;
  const code = answer.status >= 400 && typeof told?.code === "string" ? told.code : null;
  if (record || (code && answer.status < 500 && answer.status !== 429)) store.write("start", null);
  if (record) return { record: { chat_id: record.chat_id, token: record.token, websocket: record.websocket } };
  if (!code) return { code: "strange" };
  return { code, seconds: secondsOf(answer), infofiche: /^\/(?!\/)/.test(told.infofiche_url) ? told.infofiche_url : undefined };
}

/**
 * Whole seconds of a `Retry-After`; 5 when there is none that can be read.
 *
 * @param {Response} answer
 */
export const secondsOf = (answer) => Math.min(3600, Math.max(0, Math.ceil(Number(answer.headers.get("Retry-After"))))) || 5;

/**
 * What a press tells of the page and of the browser, and what is known already (`given`).
 *
 * @param {ChatElement} host
 * @param {Store} store
 * @param {EloketChatStart & {queue?: boolean}} [given]
 */
export function detailsOf(host, store, given = {}) {
  const { form: more, name, question, ...rest } = given;
  return {
    ...rest,
    name: whole(name) || undefined,
    question: whole(question) || undefined,
    department: host.getAttribute("department") ?? undefined,
    locale: host.frame.lang,
    form: formOf(host, more),
    browser: browserOf(store),
  };
}

/**
 * The revision of the button, where it is green: the press may come a moment too late.
 *
 * @param {ChatElement} host
 */
export const seenBy = ({ button }) => (button?.colour === "green" ? button.revision : undefined);

/**
 * A press that starts a chat at once. Tabs that are pressed at the same time ask for the same chat.
 *
 * @param {ChatElement} host
 * @param {string} base
 * @param {Store} store
 * @param {EloketChatStart} [given]
 */
export async function pressNow(host, base, store, given) {
  const own = detailsOf(host, store, given);
  const { at, details } = store.read("press") ?? {};
  const other = !given && Math.abs(Date.now() - at) < ANSWER && details?.department === own.department && details?.locale === own.locale;
  const same = other ? details : own;
  store.write("press", { at: other ? at : Date.now(), details: same });
  const answer = await startChat(base, store, same, (value) => host.asChat(value), { seen: seenBy(host) });
  store.write("press", null);
  return { ...answer, at: Date.now(), place: placeOf(same.form) };
}

/**
 * The same while the panel is still loading; null when the browser keeps a chat already.
 *
 * @param {ChatElement} host
 * @param {string} base
 * @param {string} prefix
 */
export async function press(host, base, prefix) {
  const store = (host.store ??= createStore(prefix, host));
  return store.read("chat") === null ? pressNow(host, base, store) : null;
}

/** The text of each refusal, by its code. @type {Record<string, string>} */
export const REFUSALS = {
  button_blue: "startBlue",
  rate_limited: "startBusy",
  unavailable: "startFailed",
  timeout: "startFailed",
  blocked: "startBlocked",
  network: "startNetwork",
  strange: "startStrange",
  invalid: "startInvalid",
  too_large: "startInvalid",
  identifying_number: "startNumbers",
};
