// One connection to the server: a websocket, or HTTP (`http-socket.js`) where no websocket comes through.

const FIRST_DELAY = 500; // ms; doubles, full jitter
const LONG_DELAY = 3_000;
const LONGEST_DELAY = 20_000;
const MANY = 30; // tries in vain
const RESTART_JITTER = 1_000;
const SILENCE = 12_000; // the server says `sync` every 5 s
const OPENING = 5_000;
const HELLO_GAP = 1_000;
const FULL = 1 << 20; // bytes
const VAIN = 2; // websockets in vain, until HTTP is tried
const PROVEN_VAIN = 6; // where one came through before: the server may just be away,
const OURS = /^(1012|44..)$/; // close codes that only the server sends
const BACK = 30_000; // ms, to twice as long, and a websocket is tried again
const LASTS = 600_000; // ms for which the browser's session remembers that it needs HTTP; then a websocket is tried first again

// The protocol's close codes after which nothing is tried again: ended, bad_frame, unauthenticated, origin_not_allowed, no_such_chat,
// too_many_connections. All others are the network's, or say "later" (1012 restart, 4429 too_many_frames, 4430 too_slow).
export const FINAL = Object.freeze([1000, 4400, 4401, 4403, 4404, 4409]);
/** The reason with which 4401 says that the hello came too late, not that the token is bad: a page that slept may try again. */
export const LATE_HELLO = "no hello in time";

/**
 * Keeps one websocket open until `close()` or a final close code.
 *
 * Dead after `silence` ms without a word; after a hello, until its welcome, after twice that, at most 12 s: nothing is said before.
 */
export class Connection {
  /** @param {ConnectionOptions} options */
  constructor({ url, http, hello, onFrame, onState = () => {}, silence = SILENCE, env = globalThis }) {
    this.url = url;
    this.http = http;
    this.hello = hello;
    this.onFrame = onFrame;
    this.onState = onState;
    this.silence = silence;
    this.env = env;
    /** @type {ConnectionState?} */
    this.state = null;
    /** @type {WebSocket | import("./http-socket.js").HttpSocket | null} */
    this.socket = null;
    this.vain = 0; // websockets that said nothing, since one did
    this.overHttp = this.heard = this.proven = false;
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
    const wait = HELLO_GAP - Math.abs(this.env.Date.now() - this.saidHello); // the clock of a computer may be set back
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

  // HTTP and a websocket take turns as long as nothing comes through.
  #needsHttp() {
    if (!this.http || (this.overHttp && !this.heard)) return false;
    return this.vain >= (this.proven ? PROVEN_VAIN : VAIN) || this.http.needed();
  }

  async #connect() {
    this.overHttp = this.#needsHttp();
    this.heard = false;
    this.#after("tick", OPENING, () => this.#lost(1006, VAIN));
    const { tick } = this.timers;
    try {
      const made = this.overHttp && (await this.http?.make(this.hello));
      if (this.timers.tick !== tick) return; // given up meanwhile
      this.#use(made || new this.env.WebSocket(this.url));
    } catch {
      // the page's own policy forbids it, in some browsers by an exception; or the module did not come
      return this.timers.tick === tick && this.#lost(1006);
    }
    if (this.overHttp) this.#after("tick", 2 * OPENING, () => this.#lost(1006)); // it may have to try a second way
  }

  /** @param {NonNullable<Connection["socket"]>} socket */
  #use(socket) {
    this.socket = socket;
    /** @param {(event: any) => void} call */
    const mine = (call) => (/** @type {any} */ event) => this.socket === socket && call(event);
    socket.onopen = mine(() => this.#opened());
    socket.onmessage = mine((event) => this.#heard(event.data));
    socket.onclose = mine(({ code, reason }) => this.#lost(reason === LATE_HELLO ? 1006 : code));
  }

  // Where a websocket came through before, the way over HTTP bridges an outage.
  #goBack() {
    const { socket } = this;
    this.#after("back", BACK * (1 + this.env.Math.random()), () => this.#goBack());
    const made = new this.env.WebSocket(this.url);
    made.onopen = () => {
      if (this.socket !== socket || this.state !== "open") return made.close();
      this.#drop();
      this.overHttp = this.heard = false;
      this.#tell("connecting", 1012); // what is under way goes out again
      this.#use(made);
      this.#opened();
    };
  }

  #opened() {
    this.quiet = 0;
    this.greeted = false;
    this.ticked = this.saidHello = this.env.Date.now();
    this.#after("tick", this.silence / 6, () => this.#tick());
    if (!this.overHttp) this.socket?.send(JSON.stringify(this.hello()));
    else if (this.proven) this.#after("back", BACK * (1 + this.env.Math.random()), () => this.#goBack());
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
    this.heard = true;
    if (!this.overHttp) {
      this.vain = 0;
      this.proven = true;
    }
    if (frame.type === "welcome") this.greeted = true;
    this.onFrame(frame);
  }

  // A page that slept has one more tick to read.
  #tick() {
    const now = this.env.Date.now();
    this.quiet += Math.min(Math.abs(now - this.ticked), (this.silence * 5) / 6);
    this.ticked = now;
    if (this.http && !(this.overHttp || this.heard || this.proven) && this.quiet > OPENING) return this.#lost(1006, VAIN);
    if (this.quiet > (this.greeted ? this.silence : Math.max(this.silence, Math.min(SILENCE, 2 * this.silence)))) return this.#lost(1006);
    this.#after("tick", this.silence / 6, () => this.#tick());
  }

  /** @param {number} [code] @param {number} [vain] how many tries it counts for, when nothing came */
  #lost(code, vain = 1) {
    if (!this.state || this.state === "ended") return;
    if (!this.overHttp && !this.heard) this.vain = OURS.test(`${code}`) ? 0 : this.vain + vain;
    this.#drop();
    if (FINAL.includes(code ?? 0)) {
      this.#listen("removeEventListener");
      return this.#tell("ended", code);
    }
    if (code === 4429 || code === 4430) this.tries = Math.max(this.tries, 3);
    const restart = code === 1012 && this.tries === 0;
    const most = restart ? RESTART_JITTER : Math.min(this.tries < MANY ? LONG_DELAY : LONGEST_DELAY, FIRST_DELAY * 2 ** this.tries);
    this.tries += 1;
    const first = this.http && !this.heard && !this.proven; // not a loss: there was nothing yet
    if ((restart || first) && this.state === "open") this.#tell("connecting", code);
    else if (this.state !== "connecting" || this.restarting) this.#tell("lost", code);
    this.restarting = restart;
    this.#again(this.vain === VAIN && this.#needsHttp() ? 0 : this.env.Math.random() * most);
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

/**
 * The way of a chat over HTTP; `url` is the address of the chat.
 *
 * @param {string} url
 * @param {Storage} [storage]
 * @returns {HttpWay}
 */
export function httpWay(url, storage) {
  const name = `eloket-chat ${new URL(url).host} http`;
  /** @type {{until: number, poll: boolean}} */
  let memory = { until: 0, poll: false };
  try {
    storage ??= sessionStorage;
    memory = { ...memory, ...JSON.parse(storage.getItem(name) ?? "{}") };
  } catch {
    // nothing is kept here
  }
  let tries = 0;
  return {
    needed: () => memory.until > Date.now(),
    async make(hello) {
      // some browsers keep a failure for as long as the page is there
      const path = "./http-socket.js" + (tries++ ? `?${tries}` : "");
      /** @type {typeof import("./http-socket.js")} */
      const { HttpSocket } = await import(path);
      tries = 0;
      return new HttpSocket({
        url,
        hello,
        poll: memory.poll && memory.until > Date.now(),
        onFirst(poll) {
          memory = { until: Date.now() + LASTS, poll };
          try {
            storage?.setItem(name, JSON.stringify(memory));
          } catch {
            // then for this page alone
          }
        },
      });
    },
  };
}
