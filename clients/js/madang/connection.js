/**
 * The life of a WebSocket: it opens, notices when the other side is gone, and comes
 * back. Owns the socket and every timer about it.
 *
 * | state        | leaves for                                                                 |
 * |--------------|----------------------------------------------------------------------------|
 * | `connecting` | `open` on hello; `waiting`, `offline` or `closed` on a close               |
 * | `open`       | `waiting`, `offline` or `closed` on a close, on silence, on going offline  |
 * | `waiting`    | `connecting` when its time has come, or at once by `connect()`             |
 * | `offline`    | `connecting` when the browser is online again, or by `connect()`           |
 * | `closed`     | `connecting` by `connect()`                                                |
 *
 * Answers go to callbacks, not to promises: a subscription's reply and the events behind it
 * may come in one turn of the event loop, and have to be taken in that order.
 *
 * @typedef {{ state: 'connecting', attempt: number }
 *   | { state: 'open' }
 *   | { state: 'waiting', until: number, code: number }
 *   | { state: 'offline' }
 *   | { state: 'closed', why: 'left'|import('./reconnect.js').StopReason, code: number, message: string|null }} Status
 *
 * @typedef {{ type: string, [field: string]: any }} Message a command, or what the server says
 * @typedef {(error: import('./error.js').Fault|null, reply: Message|null) => void} Done
 *
 * @typedef {object} Credential
 * @property {'name'|'guest'|'token'|'renewable'} kind `guest`: a token that the server gave to a
 *   name; without it one comes in by name again. `renewable`: the application makes a new one
 * @property {Record<string, string>} query of the WebSocket's address
 *
 * @typedef {object} On
 * @property {() => Promise<Credential>} credential
 * @property {(token: string) => void} token the server gave a guest this one
 * @property {() => void} forget the guest's token is not good any more
 * @property {(status: Status) => void} status
 * @property {(hello: Message) => void} hello
 * @property {(message: Message) => void} message whatever is no reply
 * @property {(close: { code: number, reason: string }) => void} close an open connection ended
 */
import { connectionLost } from './error.js';
import { Flight } from './flight.js';
import { jitter, planAfterClose } from './reconnect.js';
import { askWhy } from './refusal.js';

const HELLO_WITHIN_MS = 15_000;
/** A sign of life is due after one heartbeat, but no sooner and no later than this. */
const PONG_WITHIN_MS = { least: 1000, most: 10_000 };
/** A connection that lasted this long was a good one: the next wait starts small again. */
const GOOD_AFTER_MS = 10_000;
/** A timer this much too late tells that the machine slept. */
const LOOK_EVERY_MS = 5000;
const SLEPT_MS = 10_000;
/** What passes by (typing, signals) is dropped while more than this waits for the network. */
const PASSING_BYTES = 65_536;
/** New credentials in a row that an application may offer. */
const RENEWALS = 3;
const SILENT = { code: 1006, reason: '' };

export class Connection {
  #base;
  #WebSocket;
  #on;
  /** @type {Status} */
  #status = { state: 'connecting', attempt: 0 };
  /** @type {WebSocket|null} */
  #socket = null;
  /** Counts openings and closings, so that an answer about an earlier one is told apart. */
  #turn = 0;
  #attempt = 0;
  #renewals = 0;
  #openSince = 0;
  #heartbeatMs = 25_000;
  #flight = new Flight((json) => this.#socket?.send(json));
  /** @type {ReturnType<typeof setTimeout>|undefined} the one thing waited for: hello, a sign of life, or the next attempt */
  #timer;
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #looking;
  /** @type {{ code: number, reason: string }|null} how an open connection has ended, until it is told */
  #untold = null;
  /** What to do when the other side says nothing any more. */
  #silent = () => {};

  /**
   * @param {{ base: URL, WebSocket: typeof globalThis.WebSocket }} options `base`: the server's address
   * @param {On} on
   */
  constructor({ base, WebSocket }, on) {
    this.#base = base;
    this.#WebSocket = WebSocket;
    this.#on = on;
  }

  get status() {
    return this.#status;
  }

  /** At once, whatever was waited for; a connection that is open or opening stays. */
  connect() {
    if (this.#socket || (this.#status.state === 'connecting' && this.#turn > 0)) return;
    this.#connect();
  }

  /** For good. */
  close() {
    clearInterval(this.#looking);
    this.#abandon();
    this.#enter({ state: 'closed', why: 'left', code: 1000, message: null });
  }

  /**
   * Sends a command; `done` is called once, with the reply or with what went wrong.
   * @param {Message} command
   * @param {Done} done
   * @param {import('./flight.js').Heard} [heard] a call's ticket and progress
   */
  ask(command, done, heard) {
    if (this.#status.state !== 'open') return done(connectionLost(), null);
    this.#flight.ask(command, done, heard);
  }

  /** Does not send what was asked with this `done`, if it is not sent yet. @param {Done} done */
  withdraw(done) {
    this.#flight.withdraw(done);
  }

  /** Sends a command that wants no answer and may be lost. @param {Message} command */
  pass(command) {
    if (this.#status.state !== 'open' || Number(this.#socket?.bufferedAmount) > PASSING_BYTES) return;
    const json = JSON.stringify(command);
    if (!this.#flight.isTooLong(json)) this.#socket?.send(json);
  }

  /** What the surroundings tell. @param {'online'|'offline'|'woke'} what */
  hint(what) {
    const { state } = this.#status;
    if (what === 'offline') {
      if (state === 'closed' || state === 'offline') return;
      this.#lost(SILENT);
      this.#enter({ state: 'offline' });
    } else if (state === 'open') this.#ping();
    else if (state === 'waiting' || state === 'offline') this.#connect();
  }

  async #connect() {
    this.#abandon();
    this.#look();
    this.#enter({ state: 'connecting', attempt: this.#attempt });
    const turn = this.#turn;
    /** @type {Credential} */
    let credential;
    try {
      credential = await this.#on.credential();
    } catch (error) {
      // The application could not make one now, as its own server is away, too.
      if (turn === this.#turn) this.#comeBackIn(this.#nextDelay(), 1006);
      return;
    }
    if (turn !== this.#turn) return;

    const url = new URL('ws', this.#base);
    url.protocol = this.#base.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = new URLSearchParams(credential.query).toString();
    const socket = new this.#WebSocket(url.href);
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (close) => (opened ? this.#ended(credential, close) : this.#neverOpened(credential, close));
    // No more is said than that there was an error; `onclose` follows and decides.
    socket.onerror = () => {};
    this.#socket = socket;
    this.#silent = () => this.#ended(credential, SILENT);
    this.#timer = setTimeout(this.#silent, HELLO_WITHIN_MS);
  }

  /** @param {string} data */
  #receive(data) {
    /** @type {Message} */
    const message = JSON.parse(data);
    this.#expectSignOfLife();
    if (message.type === 'hello') return this.#welcomed(message);
    if (message.type === 'pong' && message.id === undefined) return;
    if (!this.#flight.receive(message)) this.#on.message(message);
  }

  /** @param {Message} hello */
  #welcomed(hello) {
    this.#openSince = Date.now();
    this.#heartbeatMs = hello.heartbeat_ms || this.#heartbeatMs;
    this.#flight.limit(hello.limits);
    if (hello.token) this.#on.token(hello.token);
    this.#renewals = 0;
    this.#enter({ state: 'open' });
    this.#expectSignOfLife();
    this.#on.hello(hello);
  }

  #expectSignOfLife() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ping(), this.#heartbeatMs);
  }

  #ping() {
    const sentAt = Date.now();
    const withinMs = Math.max(PONG_WITHIN_MS.least, Math.min(PONG_WITHIN_MS.most, this.#heartbeatMs));
    this.#socket?.send('{"type":"ping"}');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // The machine slept while the answer was due: ask once more, awake.
      if (Date.now() - sentAt > withinMs + SLEPT_MS) this.#ping();
      else this.#silent();
    }, withinMs);
  }

  /** Timers stand still in a sleeping machine; one that comes late tells of it, and the connection is tried at once. */
  #look() {
    clearInterval(this.#looking);
    let last = Date.now();
    this.#looking = setInterval(() => {
      const slept = Date.now() - last > LOOK_EVERY_MS + SLEPT_MS;
      last = Date.now();
      if (slept) this.hint('woke');
    }, LOOK_EVERY_MS);
    // Node: looking alone is no reason to go on running.
    /** @type {any} */ (this.#looking).unref?.();
  }

  /** @param {Credential} credential @param {{ code: number, reason: string }} close */
  #ended(credential, close) {
    const wasGood = this.#status.state === 'open' && Date.now() - this.#openSince >= GOOD_AFTER_MS;
    if (wasGood) this.#attempt = 0;
    this.#lost(close);
    const plan = planAfterClose(close, this.#attempt, Math.random());
    this.#attempt += 1;
    if (plan.kind === 'wait') return this.#comeBackIn(plan.delayMs, close.code);
    if (plan.why === 'credential') {
      // Who came in by name has the token of this session's `hello`.
      if (credential.kind === 'guest' || credential.kind === 'name') this.#on.forget();
      if (this.#mayRenew(credential)) return this.#comeBackIn(this.#nextDelay(), close.code);
    }
    this.#stop(plan.why, close.code, close.reason || null);
  }

  /** @param {Credential} credential @param {{ code: number }} close */
  async #neverOpened(credential, { code }) {
    this.#abandon();
    const turn = this.#turn;
    const refusal = await askWhy(this.#base, new URLSearchParams(credential.query));
    if (turn !== this.#turn) return;

    const delayMs = this.#nextDelay();
    if (refusal.kind === 'unreachable') return this.#comeBackIn(delayMs, code);
    if (refusal.kind === 'busy') return this.#comeBackIn(refusal.retryAfterMs + delayMs, 1013);
    if (refusal.kind === 'unknown' && credential.kind === 'guest') {
      // The token is not known here any more: the same person comes in by name.
      this.#on.forget();
      return this.#comeBackIn(0, code);
    }
    if (refusal.kind === 'unknown' && this.#mayRenew(credential)) return this.#comeBackIn(delayMs, code);
    this.#stop('refused', code, refusal.message);
  }

  /** @param {Credential} credential */
  #mayRenew({ kind }) {
    this.#renewals += 1;
    return kind === 'renewable' && this.#renewals <= RENEWALS;
  }

  #nextDelay() {
    const delayMs = jitter(this.#attempt, Math.random());
    this.#attempt += 1;
    return delayMs;
  }

  /** @param {number} delayMs @param {number} code */
  #comeBackIn(delayMs, code) {
    if (globalThis.navigator?.onLine === false) return this.#enter({ state: 'offline' });
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    this.#enter({ state: 'waiting', until: Date.now() + delayMs, code });
  }

  /** @param {import('./reconnect.js').StopReason} why @param {number} code @param {string|null} message */
  #stop(why, code, message) {
    clearInterval(this.#looking);
    this.#enter({ state: 'closed', why, code, message });
  }

  /** @param {{ code: number, reason: string }} close */
  #lost({ code, reason }) {
    if (this.#status.state === 'open') this.#untold = { code, reason };
    this.#abandon(code === SILENT.code);
  }

  /** Let go of the socket, its timer, and the answers that can no longer come. */
  #abandon(isDead = false) {
    this.#turn += 1;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      // The handler of errors stays: `ws` throws what nobody listens to.
      socket.onopen = socket.onmessage = socket.onclose = null;
      // `ws` would wait half a minute for the answer of someone who is gone.
      if (isDead && 'terminate' in socket) /** @type {any} */ (socket).terminate();
      else socket.close(1000);
    }
    const unanswered = this.#flight.clear();
    // Behind the change of state, so that who asks again is not answered by what has just ended.
    queueMicrotask(() => unanswered.forEach((done) => done(connectionLost(), null)));
  }

  /** @param {Status} status */
  #enter(status) {
    this.#status = status;
    this.#on.status(status);
    const close = this.#untold;
    this.#untold = null;
    if (close) this.#on.close(close);
  }
}
