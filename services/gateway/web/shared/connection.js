// The only file that touches a websocket.
import { closeCode, LATE_HELLO } from "./close-codes.js";

const FIRST_DELAY = 500; // ms; doubles, full jitter
const LONG_DELAY = 3_000;
const LONGEST_DELAY = 20_000;
const MANY = 30; // tries in vain
const RESTART_JITTER = 1_000;
const SILENCE = 12_000; // the server says `sync` every 5 s
const OPENING = 6_000;
const HELLO_GAP = 1_000;
const FULL = 1 << 20; // bytes

/**
 * Keeps one websocket open until `close()` or a final close code.
 *
 * Dead after `silence` ms without a word; after a hello, until its welcome, after twice that, at most 12 s: nothing is said before.
 */
export class Connection {
  /** @param {ConnectionOptions} options */
  constructor({ url, hello, onFrame, onState = () => {}, silence = SILENCE, env = globalThis }) {
    this.url = url;
    this.hello = hello;
    this.onFrame = onFrame;
    this.onState = onState;
    this.silence = silence;
    this.env = env;
    /** @type {ConnectionState?} */
    this.state = null;
    /** @type {WebSocket?} */
    this.socket = null;
    this.tries = this.quiet = this.ticked = this.saidHello = 0;
    /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
    this.timers = {};
    this.wake = this.wake.bind(this);
  }

  /** Starts, or starts again after `ended`. */
  open() {
    if (this.state && this.state !== "ended") return;
    this.tries = 0;
    this.#listen("addEventListener");
    this.#tell("connecting");
    this.#connect();
  }

  /**
   * True when the frame was handed to an open socket; false: keep it until the next hello.
   *
   * @param {object} frame
   */
  send(frame) {
    const { socket } = this;
    if (this.state !== "open" || socket?.readyState !== 1 || socket.bufferedAmount > FULL) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  /** Says hello again, once a second at most. */
  sayHello() {
    if (this.timers.hello || this.state !== "open") return;
    const wait = Math.max(0, this.saidHello + HELLO_GAP - this.env.Date.now());
    this.#after("hello", wait, () => {
      this.saidHello = this.env.Date.now();
      this.greeted = false;
      if (!this.send(this.hello())) this.sayHello();
    });
  }

  /** Ends it, without a word to `onState`. */
  close() {
    this.#listen("removeEventListener");
    this.#drop();
    this.state = null;
  }

  /**
   * The network or the page came or went: look at once.
   *
   * @param {Event} event
   */
  wake(event) {
    if (event.type === "offline") return this.#lost(1006);
    if (event.type === "visibilitychange" && this.env.document.visibilityState !== "visible") return;
    if (this.state === "open") return event.type === "online" ? this.#again(0) : this.#tick();
    if (this.socket) return;
    this.tries = 0;
    this.#again(0);
  }

  /** @param {"addEventListener" | "removeEventListener"} verb */
  #listen(verb) {
    for (const type of ["online", "offline", "pageshow"]) this.env[verb]?.(type, this.wake);
    this.env.document?.[verb]("visibilitychange", this.wake);
  }

  /** @param {ConnectionState} state @param {number} [code] */
  #tell(state, code) {
    if (this.state === state) return;
    this.state = state;
    this.onState(state, code);
  }

  /** @param {string} name @param {number} ms @param {() => void} call */
  #after(name, ms, call) {
    this.env.clearTimeout(this.timers[name]);
    this.timers[name] = this.env.setTimeout(() => {
      this.timers[name] = undefined;
      call();
    }, ms);
  }

  #connect() {
    let socket;
    try {
      socket = this.socket = new this.env.WebSocket(this.url);
    } catch {
      return this.#lost(1006); // the page's own policy forbids it, in some browsers by an exception
    }
    /** @param {(event: any) => void} call */
    const mine = (call) => (/** @type {any} */ event) => this.socket === socket && call(event);
    socket.onopen = mine(() => this.#opened());
    socket.onmessage = mine((event) => this.#heard(event.data));
    socket.onclose = mine(({ code, reason }) => this.#lost(reason === LATE_HELLO ? 1006 : code));
    this.#after("tick", OPENING, () => this.#lost(1006));
  }

  #opened() {
    this.quiet = 0;
    this.greeted = false;
    this.ticked = this.saidHello = this.env.Date.now();
    this.#after("tick", this.silence / 6, () => this.#tick());
    this.socket?.send(JSON.stringify(this.hello()));
    this.#tell("open");
  }

  /** @param {string} data */
  #heard(data) {
    this.quiet = 0;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (!frame || typeof frame !== "object") return;
    if (frame.type !== "error") this.tries = 0; // not at open: it may hang up at once
    if (frame.type === "welcome") this.greeted = true;
    this.onFrame(frame);
  }

  // A page that slept has one more tick to read.
  #tick() {
    const now = this.env.Date.now();
    this.quiet += Math.min(now - this.ticked, (this.silence * 5) / 6);
    this.ticked = now;
    if (this.quiet > (this.greeted ? this.silence : Math.max(this.silence, Math.min(SILENCE, 2 * this.silence)))) return this.#lost(1006);
    this.#after("tick", this.silence / 6, () => this.#tick());
  }

  /** @param {number} [code] */
  #lost(code) {
    if (!this.state || this.state === "ended") return;
    this.#drop();
    if (!closeCode(code).retry) {
      this.#listen("removeEventListener");
      return this.#tell("ended", code);
    }
    if (code === 4429 || code === 4430) this.tries = Math.max(this.tries, 3);
    const restart = code === 1012 && this.tries === 0;
    const most = restart ? RESTART_JITTER : Math.min(this.tries < MANY ? LONG_DELAY : LONGEST_DELAY, FIRST_DELAY * 2 ** this.tries);
    this.tries += 1;
    if (restart && this.state === "open") this.#tell("connecting", code);
    else if (this.state !== "connecting" || this.restarting) this.#tell("lost", code);
    this.restarting = restart;
    this.#again(this.env.Math.random() * most);
  }

  /** @param {number} wait */
  #again(wait) {
    this.#drop();
    if (this.state === "open") this.#tell("lost", 1006);
    this.#after("retry", wait, () => this.#connect());
  }

  // A dead socket may take a minute to close.
  #drop() {
    for (const timer of Object.values(this.timers)) this.env.clearTimeout(timer);
    this.timers = {};
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }
}
