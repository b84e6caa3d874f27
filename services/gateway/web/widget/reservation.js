// An agent's slot for a form that is open: asked for, renewed while somebody types, released with the form.
import { newId } from "../shared/conversation.js";
import { secondsOf } from "./start-chat.js";

const ANSWER = 8_000; // ms
const LOOK = 5_000; // ms between two looks at the clock
const TYPED = 30_000; // ms: somebody types
const EARLY = 30_000; // ms before its end that it is renewed
const AGAIN = 5_000; // ms, at least, between two questions

/**
 * The slot of one form; `onChange(state)`: "held", "lapsed" (not typed for long), "blue" (none is free), "none" (not known).
 *
 * @param {{base: string, details(): {department?: string, locale: string, browser: string}, onChange(state: string): void, env?: any}} options
 */
export function reservation({ base, details, onChange, env = globalThis }) {
  let state = "none";
  let open = false;
  let busy = false;
  let idle = false; // it has lapsed, and nobody has typed since
  let until = 0; // ms
  let typed = 0;
  let next = 0; // not asked before
  /** @type {string | undefined} */
  let colour;
  let key = newId();
  /** @type {string | null} */
  let token = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;
  const now = () => env.Date.now();

  /** @param {string} path @param {object} body @param {object} [more] */
  const send = (path, body, more) =>
    env.fetch(`${base}/api/reservations${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(path ? {} : { "Idempotency-Key": key }) },
      body: JSON.stringify(body),
      credentials: "omit",
      ...more,
    });

  /** @param {string} to */
  function change(to) {
    if (to !== "held") token = null;
    if (state === to) return;
    state = to;
    if (open) onChange(to);
  }

  // A late answer to a form that was closed meanwhile gives the slot back.
  async function ask(renew = false) {
    if (busy || !open || now() < next) return;
    busy = true;
    next = now() + AGAIN;
    const { department, locale, browser } = details();
    try {
      const body = renew ? { reservation: token, browser } : { department, locale, browser };
      const answer = await send(renew ? "/renew" : "", body, { signal: AbortSignal.timeout(ANSWER) });
      const told = await answer.json();
      if (answer.ok && typeof told.reservation === "string" && told.expires_in > 0) {
        token = told.reservation;
        until = now() + told.expires_in * 1000;
        if (open) change("held");
        else release();
      } else if (told.code === "reservation_lapsed") lapse();
      else {
        if (answer.status === 429) next = now() + secondsOf(answer) * 1000;
        if (!renew) change(told.code === "button_blue" ? "blue" : "none");
      }
    } catch {
      if (!renew) change("none"); // one that is renewed in vain lapses by the clock
    } finally {
      busy = false;
    }
  }

  // Its time is over by our clock: the server need not wait for its own.
  function lapse() {
    giveBack();
    idle = true;
    change("lapsed");
  }

  function giveBack() {
    if (token) send("/release", { reservation: token }, { keepalive: true }).catch(() => {});
    token = null;
    key = newId();
  }

  function look() {
    if (state === "blue" && colour === "green") return idle ? change("lapsed") : void ask();
    if (state !== "held") return;
    if (now() >= until) lapse();
    else if (until - now() < EARLY && now() - typed < TYPED) ask(true);
  }

  function release() {
    giveBack();
    state = "none";
  }

  return {
    /** The form is on the screen. */
    open: () => {
      if (open) return;
      open = true;
      typed = now();
      next = 0;
      idle = false;
      clock = env.setInterval(look, LOOK);
      ask();
    },
    /** Somebody types: what has lapsed is asked for again. */
    typing: () => {
      typed = now();
      idle = false;
      if (state === "lapsed" || state === "none") ask();
    },
    /** The button has this colour now. @param {string | undefined} now */
    button: (now) => {
      colour = now;
      if (colour === "blue" && state !== "held" && !busy)
        change("blue"); // ours may be what makes it blue
      else if (colour === "green") look();
    },
    token: () => token,
    state: () => state,
    /** The form is gone. `used`: a chat was started with the slot. */
    close: (used = false) => {
      open = false;
      env.clearInterval(clock);
      if (used) token = null;
      release();
    },
  };
}
