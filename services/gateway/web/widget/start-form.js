// The first press: a form that demands nothing, and one chat however often it is sent.
import { h, setAttribute, setText } from "../shared/dom.js";
import { newId } from "../shared/new-message.js";

const KEY_LASTS = 9 * 60_000; // ms
const KEY = /^[\w-]{22,255}$/;
const BROWSER = /^[\w-]{22,64}$/;
const ANSWER = 15_000; // ms

// 53 bits of a text: enough to know that the form was sent as it is now (cyrb53, public domain).
/** @param {string} text */
function digest(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let n = 0; n < text.length; n += 1) {
    a = Math.imul(a ^ text.charCodeAt(n), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(n), 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
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
 * "strange" (an answer that is not the server's: a sign-in page, a firewall).
 *
 * @param {string} base
 * @param {Store} store
 * @param {object} details
 * @param {(value: unknown) => ChatRecord | null} asChat
 */
export async function startChat(base, store, details, asChat) {
  const body = JSON.stringify(details);
  const start = keyOf(store, body);
  store.write("start", start);
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

/** @type {Record<string, string>} */
const REFUSALS = {
  button_blue: "startBlue",
  rate_limited: "startBusy",
  unavailable: "startFailed",
  timeout: "startFailed",
  blocked: "startBlocked",
  network: "startNetwork",
  strange: "startStrange",
  invalid: "startInvalid",
  too_large: "startInvalid",
};

/**
 * The form; `onStart({name, question})` resolves to what `startChat` says, `ways(path)` are how else to reach the department.
 *
 * @param {{t: Translator, onStart(given: EloketChatStart): Promise<StartAnswer>, ways(path?: string): Node | string}} options
 */
export function startForm({ t, onStart, ways }) {
  const name = h("input", { id: "name", name: "name", maxlength: 100, autocomplete: "name", dir: "auto" });
  const question = h("textarea", { id: "question", name: "question", rows: 4, maxlength: 4000, dir: "auto" });
  const submit = h("button", { class: "primary", hook: "start-submit" }, t("start"));
  const notice = h("div", { class: "notice", role: "alert", hidden: true });
  const form = h(
    "form",
    { class: "start", novalidate: true },
    h("p", {}, t("intro")),
    notice,
    h("label", { for: "name" }, t("name")),
    name,
    h("label", { for: "question" }, t("question")),
    question,
    submit,
  );

  /** @param {string} text @param {Node | string | null} [more] */
  const tell = (text, more) => {
    setAttribute(notice, "hidden", !text);
    notice.replaceChildren(h("p", {}, text), ...(more ? [more] : []));
  };
  /** @param {EloketChatStart} given @returns {Promise<StartAnswer>} */
  const send = async (given) => {
    if (submit.getAttribute("aria-disabled")) return { code: "starting" };
    setAttribute(submit, "aria-disabled", "true");
    setText(submit, t("starting"));
    tell("");
    const answer = await onStart(given).catch(() => /** @type {StartAnswer} */ ({ code: "unavailable" }));
    const { code, seconds, infofiche } = answer;
    setAttribute(submit, "aria-disabled", null);
    setText(submit, t("start"));
    if (!code) return answer;
    const own = ["rate_limited", "invalid", "too_large"].includes(code); // the citizen can do something about it here
    tell(t(REFUSALS[code] ?? "startRefused", { n: seconds ?? 5 }), own ? null : ways(infofiche));
    return answer;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ name: name.value.trim() || undefined, question: question.value.trim() ? question.value : undefined });
  });
  return {
    form,
    tell,
    /** @param {EloketChatStart} given */
    send: (given) => {
      name.value = given.name ?? "";
      question.value = given.question ?? "";
      return send(given);
    },
  };
}
