// The frames of a websocket over HTTP, where a network lets no websocket through: loaded when it is needed.
import { newId } from "./conversation.js";

const FIRST_BYTES = 3_000; // ms; a stream of which nothing comes is kept back on the way
const FIRST_FRAME = 8_000; // ms
const NEXT_BYTES = 6_000; // ms, where a stream came through before
const POLL_ANSWER = 14_000; // ms; the server answers a poll after 8 s at the latest
const POLL_EACH = 1_000; // ms from the beginning of one poll to the next
const POST_ANSWER = 25_000; // ms; the server answers after 20 s at the latest
const POST_AGAIN = 500; // ms; doubles
const LONGEST_AGAIN = 5_000;
const POSTS_IN_VAIN = 4;
const REOPENINGS = 2; // in vain, until the connection counts as lost
const MOST_FRAMES = 32; // of one request
const MOST_LENGTH = 20_000; // of their text: at most 60 kB
const RETRY_LATER = ["rate_limited", "unavailable", "timeout"];
/** The close codes of the problems after which no new try helps. */
const CODES = /** @type {Record<string, number>} */ ({
  unauthenticated: 4401,
  forbidden: 4401,
  origin_not_allowed: 4403,
  no_such_chat: 4404,
  invalid: 4400,
  too_large: 4400,
});

/**
 * The code of a problem document, or null: another answer is not the server's.
 *
 * @param {Response} answer
 * @returns {Promise<string | null>}
 */
async function problem(answer) {
  if (!answer.headers.get("content-type")?.startsWith("application/problem+json")) return null;
  return (await answer.json().catch(() => null))?.code ?? null;
}

/**
 * Looks like a WebSocket: `onopen`, `onmessage`, `onclose`, `send`, `close`. Opening it is the hello; a hello that is sent opens the
 * stream anew. Each frame that is sent goes in a request, one request at a time; a request is repeated until it is answered.
 */
export class HttpSocket {
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number, reason: string}) => void) | null} */
  onclose = null;
  readyState = 0;

  /**
   * @param {object} options
   * @param {string} options.url The address of the chat.
   * @param {() => any} options.hello
   * @param {boolean} options.poll Whether a stream was kept back before.
   * @param {(poll: boolean) => void} options.onFirst Called with the first frame.
   * @param {typeof globalThis} [options.env]
   */
  constructor({ url, hello, poll, onFirst, env = globalThis }) {
    this.url = url;
    this.hello = hello;
    this.poll = poll;
    this.onFirst = onFirst;
    this.env = env;
    this.session = newId();
    /** @type {Record<string, string>} */
    this.known = {}; // type of a state → the id of its last frame
    /** @type {string[]} */
    this.outbox = [];
    this.posting = this.spoke = this.streamed = this.heard = this.renewed = false;
    this.ends = new AbortController();
    this.answer = new AbortController();
    this.#read();
  }

  get bufferedAmount() {
    return this.outbox.reduce((sum, text) => sum + text.length, 0);
  }

  /** @param {string} text */
  send(text) {
    const { type } = JSON.parse(text);
    if (type === "hello") {
      this.renewed = true;
      return this.answer.abort();
    }
    if (type === "message" && this.outbox.includes(text)) return; // sent again after a welcome: it is still on its way
    this.outbox.push(text);
    if (!this.posting) this.#post();
  }

  close() {
    this.readyState = 3;
    this.ends.abort();
    this.answer.abort();
  }

  /** @param {number} code @param {string} [reason] */
  #close(code, reason = "") {
    if (this.readyState === 3) return;
    this.close();
    this.onclose?.({ code, reason });
  }

  /** @param {number} ms */
  #pause(ms) {
    return new Promise((resolve) => this.env.setTimeout(resolve, ms));
  }

  /**
   * A request with the token.
   *
   * @param {string} path @param {AbortSignal} signal @param {string} [body]
   */
  #ask(path, signal, body) {
    const headers = { Authorization: `Bearer ${this.hello().token}`, ...(body && { "Content-Type": "application/json" }) };
    return this.env.fetch(`${this.url}${path}`, {
      method: body ? "POST" : "GET",
      body,
      headers,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  }

  // ── down ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  // One answer after the other: each ends by itself, or something on the way ends it.
  async #read() {
    let vain = 0;
    while (this.readyState !== 3) {
      const began = this.env.Date.now();
      const { poll } = this;
      this.heard = this.renewed = false;
      this.answer = new AbortController();
      const again = await this.#readOne().catch(() => false);
      if (again) continue; // by the other way, or for a hello
      vain = this.heard ? 0 : vain + 1;
      if (vain && (vain >= REOPENINGS || this.readyState === 0)) return this.#close(1006);
      const wait = vain ? POST_AGAIN : poll ? POLL_EACH - Math.abs(this.env.Date.now() - began) : 0;
      if (wait > 0) await this.#pause(wait);
    }
  }

  /** Whether another answer is to be opened at once, though this one has brought nothing. */
  async #readOne() {
    const { poll, answer, env, streamed } = this;
    let kept = false;
    const after = this.hello().after ?? 0;
    const known = Object.values(this.known).join(",");
    /** @param {number} ms */
    const guard = (ms) =>
      env.setTimeout(() => {
        kept = !poll && !streamed;
        answer.abort();
      }, ms);
    let timer = guard(poll ? POLL_ANSWER : streamed ? NEXT_BYTES : FIRST_BYTES);
    const started = new URLSearchParams({ after, session: this.session, ...(poll && { poll: "true", known }) });
    try {
      const got = await this.#ask(`/stream?${started}`, answer.signal);
      if (got.status !== 200 || !got.headers.get("content-type")?.startsWith("text/event-stream")) {
        const code = await problem(got);
        if (code && CODES[code]) this.#close(CODES[code]);
        return false;
      }
      const reader = /** @type {ReadableStream<Uint8Array>} */ (got.body).getReader();
      const decoder = new TextDecoder();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return false;
        if (this.readyState === 0) this.#opened();
        text += decoder.decode(value, { stream: true });
        const events = text.split("\n\n");
        text = events.pop() ?? "";
        if (!poll && !this.heard) {
          env.clearTimeout(timer);
          timer = guard(FIRST_FRAME);
        }
        for (const event of events) this.#event(event);
        if (!poll && this.heard) env.clearTimeout(timer);
      }
    } catch {
      if (kept) this.poll = true;
      return kept || this.renewed;
    } finally {
      env.clearTimeout(timer);
    }
  }

  #opened() {
    this.readyState = 1;
    this.onopen?.();
  }

  /** @param {string} event */
  #event(event) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of event.split("\n")) {
      const [, name, value] = /^(\w+): (.*)$/s.exec(line) ?? [];
      if (name) fields[name] = value;
    }
    if (fields.data === undefined || this.readyState !== 1) return;
    this.heard = true;
    this.streamed ||= !this.poll;
    if (fields.event === "close") {
      const { code, reason } = JSON.parse(fields.data);
      return this.#close(code, reason);
    }
    if (fields.id) this.known[JSON.parse(fields.data).type] = fields.id;
    this.#hear(fields.data);
  }

  /** @param {string} data */
  #hear(data) {
    if (!this.spoke) this.onFirst(this.poll);
    this.spoke = true;
    this.onmessage?.({ data });
  }

  // ── up ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  // The same frames again until they are answered: a message that was stored keeps its place.
  async #post() {
    this.posting = true;
    let vain = 0;
    let again = 0;
    while (this.outbox.length && this.readyState !== 3) {
      let count = 1;
      let length = this.outbox[0].length;
      while (count < Math.min(MOST_FRAMES, this.outbox.length) && length + this.outbox[count].length <= MOST_LENGTH)
        length += this.outbox[count++].length;
      const code = await this.#postOne(`{"frames":[${this.outbox.slice(0, count).join(",")}]}`, count).catch(() => null);
      if (code && CODES[code]) return this.#close(CODES[code]);
      if (code === "") {
        vain = again = 0;
        continue;
      }
      vain = code && RETRY_LATER.includes(code) ? 0 : vain + 1;
      if (vain >= POSTS_IN_VAIN) return this.#close(1006);
      await this.#pause(Math.min(LONGEST_AGAIN, POST_AGAIN * 2 ** again++));
    }
    this.posting = false;
  }

  /** "": they were taken; the code of a problem; or null: no answer of the server. @param {string} body @param {number} count */
  async #postOne(body, count) {
    const giveUp = new AbortController();
    const stop = () => giveUp.abort();
    const timer = this.env.setTimeout(stop, POST_ANSWER);
    this.ends.signal.addEventListener("abort", stop);
    try {
      const got = await this.#ask("/frames", giveUp.signal, body);
      if (got.status !== 200) return await problem(got);
      /** @type {{frames: ErrorFrame[]}} */
      const { frames } = await got.json();
      this.outbox.splice(0, count);
      // What came after it must not overtake it: all of it is sent again after the next hello.
      if (frames.some(({ code }) => RETRY_LATER.includes(code))) this.outbox = [];
      for (const frame of frames) this.#hear(JSON.stringify(frame));
      return "";
    } finally {
      this.env.clearTimeout(timer);
      this.ends.signal.removeEventListener("abort", stop);
    }
  }
}
