/** A connection to a server that stays: what `madang()` gives. */
import { Calls } from './calls.js';
import { Connection } from './connection.js';
import { closed, connectionLost, isPassing, MadangError, passesIn } from './error.js';
import { defineHandlers, Emitter } from './events.js';
import { keepAt, KeptText } from './keep.js';
import { newKey } from './key.js';
import { Room } from './room.js';
import { handlerOf, Serving } from './serving.js';
import { canShare, SharedLine } from './shared.js';

/** @typedef {import('./connection.js').Message} Message */
/** @typedef {import('./connection.js').Status} Status */

const OUTBOX_LIMIT = 1000;

export class Yard extends Emitter {
  #base;
  #options;
  /** @type {Connection|SharedLine} */
  #line;
  /** @type {Status} */
  #status = { state: 'connecting', attempt: 0 };
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** Rooms that were left, while their last messages go out. @type {Map<string, Room>} */
  #leaving = new Map();
  /** @type {Map<string, Serving>} */
  #services = new Map();
  #calls = new Calls({
    ask: (command, done, heard) => this.#line.ask(command, done, heard),
    withdraw: (done) => this.#line.withdraw(done),
    request: (command, options) => this.request(command, options),
  });
  #guestToken;
  /** @type {Message|null} while the connection is open */
  #hello = null;
  /** @type {(() => void)[]} what waits for the connection to open, or to end for good */
  #waiting = [];
  #isClosed = false;
  #listening = new AbortController();

  /** @type {{ id: string, name: string, guest?: boolean }|null} as whom the server knows us */
  user = null;

  /** @param {string|URL} url @param {any} options */
  constructor(url, options) {
    super();
    this.#options = checked(options);
    this.#base = baseOf(url);
    this.#guestToken = new KeptText(options.guest ?? 'page', `madang.guest ${this.#base} ${options.name}`);
    // Told now: an error that came later would be an event that nobody waits for.
    const Socket = options.WebSocket ?? globalThis.WebSocket;
    if (typeof Socket !== 'function') {
      throw new MadangError({
        code: 'no_websocket',
        message: 'There is no WebSocket here (Node.js has it from version 22 on). Install the package "ws" and pass it: '
          + 'import { WebSocket } from "ws"; madang(url, { WebSocket, … })',
      });
    }
    const own = () => new Connection({ base: this.#base, WebSocket: Socket }, this.#on);
    this.#line = options.shared && canShare() ? this.#share(own) : own();
    this.#listen();
    // First may come who sets the handlers.
    queueMicrotask(() => this.#isClosed || this.#line.connect());
  }

  /** `connecting`, `open`, `waiting`, `offline` or `closed`. */
  get state() {
    return this.#status.state;
  }

  /** The state with its reasons. @returns {Status} */
  get status() {
    return this.#status;
  }

  /** Whether the connection is one for all tabs. */
  get isShared() {
    return this.#line instanceof SharedLine;
  }

  /** At once, whatever is waited for; also after the server has ended the connection. */
  connect() {
    if (this.#isClosed) throw new MadangError({ code: 'closed', message: 'This yard was closed; make a new one with madang().' });
    this.#line.connect();
  }

  /**
   * Enters a room; the same room is the same object.
   * @param {string} name
   * @param {{ last?: number, since?: number, epoch?: string }} [start]
   */
  room(name, { last, since, epoch } = {}) {
    if (this.#isClosed) throw new MadangError(closed());
    const id = name.normalize('NFC');
    const known = this.#rooms.get(id);
    if (known) return known;
    if (last !== undefined && since !== undefined) {
      throw new TypeError('A room begins with `last` or with `since`, not with both.');
    }
    const start = {
      ...(last !== undefined && { last }),
      ...(since !== undefined && { since, ...(epoch !== undefined && { epoch }) }),
    };
    const left = this.#leaving.get(id);
    const room = left ?? this.#newRoom(id);
    this.#leaving.delete(id);
    this.#rooms.set(id, room);
    room.enter(start);
    if (this.#hello && !left) room.opened(/** @type {any} */ (this.#hello));
    return room;
  }

  /**
   * Sends a command as soon as the connection is open; gives the reply.
   * @param {Message} command
   * @param {{ retry?: boolean }} [options] `retry`: again after a break, for what may be done twice
   * @returns {Promise<Message>}
   */
  request(command, { retry = false } = {}) {
    return new Promise((resolve, reject) => {
      const ask = () => {
        if (this.#isClosed || this.state === 'closed') return reject(new MadangError(closed()));
        if (!this.#hello) return void this.#waiting.push(ask);
        this.#line.ask(command, (error, reply) => {
          if (reply) resolve(reply);
          else if (retry && error?.code === 'connection_lost') ask();
          else if (retry && error && isPassing(error)) setTimeout(ask, passesIn(error, Math.random()));
          else reject(new MadangError(error ?? connectionLost()));
        });
      };
      ask();
    });
  }

  /**
   * Asks a service; gives its result, whatever breaks meanwhile.
   * @param {string} service
   * @param {string} method
   * @param {unknown} [params]
   * @param {{ timeout?: number, key?: string } & import('./calls.js').Ear} [options] `timeout` in milliseconds
   */
  call(service, method, params, { timeout, key = newKey(), ...ear } = {}) {
    if (this.#isClosed || this.state === 'closed') return Promise.reject(new MadangError(closed()));
    return this.#calls.call({ type: 'call', service, method, params, timeout_ms: timeout, key }, ear);
  }

  /**
   * The result of a call that was made earlier, as before a reload.
   * @param {string} ticket
   * @param {import('./calls.js').Ear} [options]
   */
  collect(ticket, options = {}) {
    if (this.#isClosed || this.state === 'closed') return Promise.reject(new MadangError(closed()));
    return this.#calls.collect(ticket, options);
  }

  /**
   * Serves calls of this name, also after every break.
   * @param {string} name
   * @param {any} handlers a function for each method, or one for all: `(method, params, context) => result`
   * @param {{ concurrency?: number, repeatable?: boolean }} [options]
   * @returns {Promise<Serving>} when it is served
   */
  async serve(name, handlers, options = {}) {
    const handler = handlerOf(handlers);
    if (this.#isClosed || this.state === 'closed') throw new MadangError(closed());
    const id = name.normalize('NFC');
    if (this.#services.has(id)) {
      throw new MadangError({ code: 'conflict', message: `'${id}' is served here already; stop that first.` });
    }
    const serving = new Serving({
      ask: (command, done) => this.#line.ask(command, done),
      pass: (command) => this.#line.pass(command),
      left: () => void this.#services.delete(id),
    }, id, handler, options);
    this.#services.set(id, serving);
    if (this.#hello) serving.opened();
    return serving.started;
  }

  /** My rooms, as the server knows them. */
  async rooms() {
    return (await this.request({ type: 'rooms' }, { retry: true })).rooms;
  }

  /** For good. What waits to be sent is given up, but for what is kept. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listening.abort();
    const wasOpen = this.state === 'open';
    for (const one of this.#parts()) one.closed();
    this.#rooms.clear();
    this.#line.close();
    if (wasOpen) this.emit('close', { code: 1000, reason: '' });
  }

  /** @param {string} name */
  #newRoom(name) {
    const { outbox = 'page', outboxLimit = OUTBOX_LIMIT } = this.#options;
    const keep = keepAt(outbox, `madang.outbox ${this.#base} ${this.#options.name} ${name}`);
    /** @type {Room} */
    const room = new Room({
      ask: (command, done) => this.#line.ask(command, done),
      pass: (command) => this.#line.pass(command),
      request: (command, options) => this.request(command, options),
      left: () => this.#left(name, room),
    }, name, { limit: outboxLimit, keep });
    return room;
  }

  /** @param {string} name @param {Room} room */
  #left(name, room) {
    this.#rooms.delete(name);
    if (room.outbox.length === 0) return;
    this.#leaving.set(name, room);
    room.addEventListener('outbox', () => {
      if (room.outbox.length === 0 && this.#leaving.get(name) === room) this.#leaving.delete(name);
    });
  }

  /** What the line tells. @type {import('./connection.js').On} */
  #on = {
    credential: () => this.#credential(),
    token: (token) => this.#guestToken.set(token),
    forget: () => this.#guestToken.set(null),
    status: (status) => this.#enter(status),
    hello: (hello) => this.#welcomed(hello),
    message: (message) => this.#receive(message),
    close: (close) => this.emit('close', close),
  };

  /** @returns {Promise<import('./connection.js').Credential>} */
  async #credential() {
    const { name, token } = this.#options;
    /** @type {Record<string, string>} */
    const named = name === undefined ? {} : { name };
    if (typeof token === 'function') return { kind: 'renewable', query: { token: String(await token()), ...named } };
    if (token !== undefined) return { kind: 'token', query: { token, ...named } };
    const guest = this.#guestToken.get();
    return guest === null ? { kind: 'name', query: named } : { kind: 'guest', query: { token: guest } };
  }

  /** @param {() => Connection} own */
  #share(own) {
    const { name, shared } = this.#options;
    return new SharedLine({ base: this.#base, name, worker: shared }, this.#on, () => {
      if (this.#isClosed) return;
      this.#line = own();
      this.#line.connect();
    });
  }

  /** @param {Status} status */
  #enter(status) {
    this.#status = status;
    if (status.state !== 'open') {
      const wasOpen = this.#hello !== null;
      this.#hello = null;
      if (wasOpen) for (const one of this.#parts()) one.interrupted();
    }
    this.emit('state', { data: status });
    if (status.state !== 'closed') return;
    this.#proceed();
    this.#calls.closed();
    for (const service of this.#services.values()) service.halted();
    if (status.why !== 'left') {
      const message = status.message ?? `The server ended the connection (${status.code}).`;
      this.emit('error', { error: new MadangError({ code: status.why, message }) });
    }
  }

  /** @param {Message} hello */
  #welcomed(hello) {
    this.#hello = hello;
    this.user = hello.user;
    this.emit('open', { data: hello });
    for (const one of this.#parts()) one.opened(/** @type {any} */ (hello));
    this.#proceed();
  }

  /** Whatever lives on the connection, and is told when it opens and breaks. Services come before calls, which may be to them. */
  #parts() {
    return [...this.#rooms.values(), ...this.#leaving.values(), ...this.#services.values(), this.#calls];
  }

  /** @param {Message} message */
  #receive(message) {
    this.emit('message', { data: message });
    // Progress of a call that ended meanwhile: its service will hear of the end, and nothing is wrong.
    if (message.type === 'error' && message.code === 'no_such_call') return;
    if (message.type === 'request' || message.type === 'cancelled') for (const service of this.#services.values()) service.receive(message);
    else if (message.type === 'error') this.emit('error', { error: new MadangError(/** @type {any} */ (message)) });
    else if (message.room !== undefined) this.#rooms.get(message.room)?.receive(message);
  }

  #proceed() {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const ask of waiting) ask();
  }

  /** What the browser knows of the network and of being looked at. */
  #listen() {
    const { signal } = this.#listening;
    const { document } = globalThis;
    if (!document || typeof globalThis.addEventListener !== 'function') return;
    addEventListener('online', () => this.#line.hint('online'), { signal });
    addEventListener('offline', () => this.#line.hint('offline'), { signal });
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#line.hint('woke'), { signal });
  }
}

defineHandlers(Yard, ['open', 'message', 'close', 'error', 'state']);

/** @param {any} options */
function checked(options) {
  const { name, token, outbox = 'page', guest = 'page' } = options;
  if (name === undefined && token === undefined) {
    throw new TypeError('Who is it? Give a `name` (for a guest) or a `token`: madang(url, { name: "강호동" })');
  }
  if (outbox !== 'page' && name === undefined) {
    throw new TypeError('What is kept is kept under a name, so that two users of one browser do not get each other’s: give a `name`.');
  }
  for (const [field, where] of Object.entries({ outbox, guest })) {
    if (!['page', 'tab', 'browser'].includes(where) && typeof where?.getItem !== 'function') {
      throw new TypeError(`\`${field}\` is where to keep it: "page", "tab", "browser" or a storage.`);
    }
  }
  return options;
}

/**
 * The address of the server, whose WebSocket is at `ws` below it.
 * @param {string|URL} url also `wss://…`, also with the `/ws`, also one relative to the page
 */
function baseOf(url) {
  const base = new URL(url, globalThis.location?.href);
  base.protocol = base.protocol.replace(/^ws/, 'http');
  base.search = base.hash = '';
  base.pathname = base.pathname.replace(/(\/ws)?\/*$/, '/');
  return base;
}
