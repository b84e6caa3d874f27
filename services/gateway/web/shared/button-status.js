// Follows the button: its event stream, and a question over HTTP while the stream says nothing.
const QUIET = 8_000; // ms without a byte, though a comment comes each 5 s: the stream is dead, or kept back by a proxy
const LOST = 12_000; // ms in which nothing was heard in either way
const ANSWER = 4_000; // ms for one answer
const FIRST = 2_000; // ms before the first new try, doubling, with full jitter: all pages lose the server at once
const LONGEST = 15_000;
const FULL = 65_536; // characters of one event
const KINDS = ["phone", "email", "web", "visit", "post"];

/**
 * The button in an answer, its members checked; null when it is none. `contact` is always a list.
 *
 * @param {any} value
 * @returns {Button | null}
 */
export function asButton(value) {
  const known = ["green", "blue"].includes(value?.colour) && typeof value.reason === "string" && Number.isSafeInteger(value.revision);
  if (!known) return null;
  /** @type {any[]} */
  const ways = Array.isArray(value.contact) ? value.contact : [];
  const contact = ways
    .filter((way) => KINDS.includes(way?.kind) && typeof way.value === "string" && way.value)
    .map(({ kind, value: text, href }) => ({ kind, value: text, href: /^(tel:|mailto:|https?:\/\/)/.test(href) ? href : null }));
  return { ...value, infofiche_url: /^\/(?!\/)/.test(value.infofiche_url) ? value.infofiche_url : undefined, contact };
}

/**
 * Tells `onButton(button)` each change, in the order of revisions. Returns what stops it.
 *
 * After `lost` ms without a sign of the server the button is told as blue and `unknown`, with `lost: true`; after the
 * next sign it is told as it is. A hidden page holds no connection: browsers allow few to one server.
 *
 * When nothing was ever heard, `doubt` says what mistake of the page it may be: `department` (there is none of this
 * name), `origin` (the server does not answer pages of this origin).
 *
 * `first` is the body of an answer that the page has asked for before this module was there; it is rejected with a status.
 *
 * @param {string} base
 * @param {string | null | undefined} department
 * @param {(button: Button) => void} onButton
 * @param {number} [lost] ms
 * @param {Promise<unknown> | null} [first]
 */
export function followButton(base, department, onButton, lost = LOST, first = null) {
  const query = department ? `?department=${encodeURIComponent(department)}` : "";
  /** @type {Button | null} */
  let last = null; // the last button
  let over = false; // told as lost
  let [tries, misses] = [0, 0];
  let running = 0; // grows with each start: what an earlier one still hears is ignored
  /** @type {AbortController | undefined} */
  let stream;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let gone;

  /** @param {Button | null} button */
  const take = (button) => {
    // another replica may have an older revision of what this one does not know
    if (button && last && (button.revision ?? 0) < (last.revision ?? 0) && (last.reason !== "unknown" || button.reason === "unknown"))
      return;
    last = button ?? last;
    over = false;
    if (last) onButton(last);
  };
  /** @param {unknown} [why] */
  const lose = (why) => {
    over = true;
    const doubt = why === 404 ? "department" : why instanceof TypeError ? "origin" : undefined;
    onButton({ contact: [], ...last, colour: "blue", reason: "unknown", lost: true, doubt });
  };
  const arm = () => {
    const armed = Date.now();
    clearTimeout(gone);
    gone = setTimeout(() => (Date.now() - armed > lost + 3_000 ? start() : lose()), lost); // later: the computer slept
  };
  const heard = () => {
    arm();
    clearTimeout(quiet);
    quiet = setTimeout(look, QUIET * (1 + Math.random() / 8));
    misses = 0;
    if (over && last) take(null);
  };

  async function ask() {
    const answer = await fetch(`${base}/api/button${query}`, { signal: AbortSignal.timeout(ANSWER), credentials: "omit" });
    if (!answer.ok) throw answer.status;
    return answer.json();
  }

  async function look() {
    const mine = running;
    stream?.abort();
    try {
      const asked = first ?? ask();
      first = null;
      const button = asButton(await asked);
      if (!button) throw new Error("something else answered");
      if (mine !== running) return;
      take(button);
      heard();
    } catch (error) {
      if (mine !== running) return;
      if (!last && !over) lose(error);
      clearTimeout(quiet);
      quiet = setTimeout(look, FIRST + Math.random() * Math.min(LONGEST, FIRST * 2 ** misses++));
    }
  }

  async function listen() {
    const mine = running;
    const own = (stream = new AbortController());
    const began = Date.now();
    try {
      const answer = await fetch(`${base}/api/button/events${query}`, {
        signal: own.signal,
        credentials: "omit",
        cache: "no-store",
        headers: { Accept: "text/event-stream" },
      });
      if (!answer.body || !answer.ok || !/^text\/event-stream/.test(answer.headers.get("Content-Type") ?? "")) throw answer.status;
      await read(answer.body.getReader(), mine);
    } catch {
      // it is opened again below
    }
    own.abort();
    if (Date.now() - began > QUIET) tries = 0;
    if (mine === running) retry = setTimeout(listen, Math.random() * Math.min(LONGEST, FIRST * 2 ** tries++));
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {number} mine */
  async function read(reader, mine) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || mine !== running) return;
      text += decoder.decode(value, { stream: true });
      if (text.length > FULL) return;
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const data = /^event: button$/m.test(event) && /^data: (.*)$/m.exec(event);
        const button = data && asButton(JSON.parse(data[1]));
        if (button) take(button);
      }
      heard();
    }
  }

  const halt = () => {
    running += 1;
    stream?.abort();
    for (const timer of [retry, quiet, gone]) clearTimeout(timer);
  };
  /** @param {any} [event] */
  const start = (event) => {
    if (event?.type === "pageshow" && !event.persisted) return;
    halt();
    if (document.hidden) return (first = null); // by then it is old
    tries = misses = 0;
    arm();
    look();
    listen();
  };
  /** @type {[EventTarget, string][]} */
  const events = [
    [document, "visibilitychange"],
    [globalThis, "online"],
    [globalThis, "pageshow"],
  ];
  for (const [target, type] of events) target.addEventListener(type, start);
  start();
  return () => {
    halt();
    for (const [target, type] of events) target.removeEventListener(type, start);
  };
}
