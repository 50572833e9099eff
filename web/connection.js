/**
 * The life of the WebSocket: it opens, notices when the other side is gone, and comes
 * back. Owns the socket and every timer about it.
 *
 * | state        | leaves for                                                                |
 * |--------------|---------------------------------------------------------------------------|
 * | `idle`       | `connecting` by `open()`                                                  |
 * | `connecting` | `open` on hello; `waiting`, `offline` or `stopped` on a close             |
 * | `open`       | `waiting`, `offline` or `stopped` on a close, on silence, on going offline |
 * | `waiting`    | `connecting` when its time has come, or at once by `reconnectNow()`       |
 * | `offline`    | `connecting` when the browser is online again, or by `reconnectNow()`     |
 * | `stopped`    | `connecting` by `reconnectNow()`                                          |
 *
 * @typedef {{ kind: 'idle' }
 *   | { kind: 'connecting', attempt: number }
 *   | { kind: 'open' }
 *   | { kind: 'waiting', until: number, code: number }
 *   | { kind: 'offline' }
 *   | { kind: 'stopped', why: import('./reconnect.js').StopReason, code: number, message: string|null }} State
 *
 * @typedef {import('./wire.js').Hello} Hello
 * @typedef {import('./wire.js').ServerMessage} ServerMessage
 */
import { CommandError, CONNECTION_LOST } from './wire.js';
import { jitter, planAfterClose } from './reconnect.js';
import { askWhy } from './refusal.js';

const HELLO_WITHIN_MS = 15_000;
const PONG_WITHIN_MS = 10_000;
/** A connection that lasted this long was a good one: the next wait starts small again. */
const GOOD_AFTER_MS = 10_000;
const SILENT = { code: 1006, reason: '' };

export class Connection {
  #identity;
  #base;
  #on;
  /** @type {State} */
  #state = { kind: 'idle' };
  /** @type {WebSocket|null} */
  #socket = null;
  /** Counts openings and closings, so that an answer about an earlier one is told apart. */
  #turn = 0;
  #attempt = 0;
  #openSince = 0;
  #heartbeatMs = 25_000;
  #nextId = 1;
  /** @type {Map<number, { resolve: (reply: ServerMessage) => void, reject: (error: CommandError) => void }>} */
  #requests = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} the one thing waited for: hello, a sign of life, or the next attempt */
  #timer;
  #listening = new AbortController();

  /**
   * @param {import('./identity.js').Identity} identity
   * @param {URL} base the page's address
   * @param {{ state(state: State): void, hello(hello: Hello): void, message(message: ServerMessage): void }} on
   */
  constructor(identity, base, on) {
    this.#identity = identity;
    this.#base = base;
    this.#on = on;
  }

  get state() {
    return this.#state;
  }

  open() {
    const { signal } = this.#listening;
    addEventListener('online', () => this.#state.kind !== 'open' && this.reconnectNow(), { signal });
    addEventListener('offline', () => this.#wentOffline(), { signal });
    document.addEventListener('visibilitychange', () => this.#woke(), { signal });
    this.#connect();
  }

  /** For good: the user leaves. */
  close() {
    this.#listening.abort();
    this.#abandon();
    this.#enter({ kind: 'idle' });
  }

  /** At once, whatever was waited for; a connection that is open or opening stays. */
  reconnectNow() {
    if (['waiting', 'offline', 'stopped'].includes(this.#state.kind)) this.#connect();
  }

  /**
   * Send a command; the reply may come after those of later commands.
   * @param {{ type: string, [field: string]: any }} command
   * @returns {Promise<ServerMessage>} rejected with a `CommandError`
   */
  request(command) {
    if (this.#state.kind !== 'open') return Promise.reject(new CommandError({ code: CONNECTION_LOST }));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      this.#socket?.send(JSON.stringify({ ...command, id }));
    });
  }

  #connect() {
    this.#abandon();
    this.#enter({ kind: 'connecting', attempt: this.#attempt });
    const url = new URL('ws', this.#base);
    url.protocol = this.#base.protocol === 'https:' ? 'wss:' : 'ws:';
    const credential = this.#identity.credential();
    url.search = credential.toString();

    const socket = new WebSocket(url);
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (close) => (opened ? this.#ended(close) : this.#neverOpened(credential, close));
    // The browser says no more than that there was an error; `onclose` follows and decides.
    socket.onerror = () => {};
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#ended(SILENT), HELLO_WITHIN_MS);
  }

  /** @param {string} data */
  #receive(data) {
    /** @type {ServerMessage} */
    const message = JSON.parse(data);
    this.#expectSignOfLife();
    if (message.type === 'hello') return this.#welcomed(/** @type {any} */ (message));
    if (message.type === 'pong') return;
    const waiting = this.#requests.get(/** @type {number} */ (message.id));
    if (waiting && (message.type === 'ok' || message.type === 'error')) {
      this.#requests.delete(/** @type {number} */ (message.id));
      if (message.type === 'ok') waiting.resolve(message);
      else waiting.reject(new CommandError(/** @type {any} */ (message)));
      return;
    }
    this.#on.message(message);
  }

  /** @param {Hello} hello */
  #welcomed(hello) {
    this.#openSince = Date.now();
    this.#heartbeatMs = hello.heartbeat_ms || this.#heartbeatMs;
    this.#identity.accepted(hello.token);
    this.#enter({ kind: 'open' });
    this.#expectSignOfLife();
    this.#on.hello(hello);
  }

  #expectSignOfLife() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ping(), this.#heartbeatMs);
  }

  #ping() {
    this.#socket?.send('{"type":"ping"}');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ended(SILENT), PONG_WITHIN_MS);
  }

  /** Timers stand still in a sleeping machine, so the connection is tried on waking. */
  #woke() {
    if (document.visibilityState !== 'visible') return;
    if (this.#state.kind === 'open') this.#ping();
    else if (this.#state.kind === 'waiting') this.reconnectNow();
  }

  #wentOffline() {
    if (this.#state.kind === 'idle' || this.#state.kind === 'stopped') return;
    this.#abandon();
    this.#enter({ kind: 'offline' });
  }

  /** @param {{ code: number, reason: string }} close */
  #ended(close) {
    const wasGood = this.#state.kind === 'open' && Date.now() - this.#openSince >= GOOD_AFTER_MS;
    if (wasGood) this.#attempt = 0;
    this.#abandon();
    const plan = planAfterClose(close, this.#attempt, Math.random());
    this.#attempt += 1;
    if (plan.kind === 'wait') return this.#comeBackIn(plan.delayMs, close.code);
    if (plan.why === 'credential') this.#identity.forget();
    this.#stop(plan.why, close.code, close.reason || null);
  }

  /**
   * @param {URLSearchParams} credential
   * @param {{ code: number }} close
   */
  async #neverOpened(credential, { code }) {
    this.#abandon();
    const turn = this.#turn;
    const refusal = await askWhy(this.#base, credential);
    if (turn !== this.#turn) return;

    const delayMs = jitter(this.#attempt, Math.random());
    this.#attempt += 1;
    if (refusal.kind === 'unreachable') return this.#comeBackIn(delayMs, code);
    if (refusal.kind === 'busy') return this.#comeBackIn(refusal.retryAfterMs + delayMs, 1013);
    if (refusal.kind === 'forbidden' || !credential.has('token')) return this.#stop('refused', code, refusal.message);
    // The token is not known here any more: the same person comes in by name, once.
    this.#identity.forget();
    this.#comeBackIn(0, code);
  }

  /** @param {number} delayMs @param {number} code */
  #comeBackIn(delayMs, code) {
    if (!navigator.onLine) return this.#enter({ kind: 'offline' });
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    this.#enter({ kind: 'waiting', until: Date.now() + delayMs, code });
  }

  /** @param {import('./reconnect.js').StopReason} why @param {number} code @param {string|null} message */
  #stop(why, code, message) {
    this.#enter({ kind: 'stopped', why, code, message });
  }

  /** Let go of the socket, its timer, and the answers that can no longer come. */
  #abandon() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close(1000);
    }
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject } of requests) reject(new CommandError({ code: CONNECTION_LOST }));
  }

  /** @param {State} state */
  #enter(state) {
    this.#state = state;
    this.#on.state(state);
  }
}
