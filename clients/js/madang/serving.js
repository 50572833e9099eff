/**
 * One service, as one session serves it: the calls handed out to it, and their answers until the server has them.
 *
 * | state      | meaning                                                     | leaves for                                       |
 * |------------|-------------------------------------------------------------|--------------------------------------------------|
 * | `starting` | not served at the moment; it will be when there is a connection | `open`, `refused`                            |
 * | `open`     | served: calls are handed out                                | `starting` on a break, `stopping` by `stop()`    |
 * | `stopping` | no more calls; those handed out are still answered          | `stopped`                                        |
 * | `refused`  | the server does not let us serve                            |                                                  |
 * | `stopped`  | by `stop()`, or the yard was closed                         |                                                  |
 *
 * @typedef {import('./connection.js').Message} Message
 * @typedef {import('./error.js').Fault} Fault
 * @typedef {{ result: unknown } | { error: { code: string, message: string } }} Answer
 * @typedef {{ control: AbortController, answer: Answer|null }} Work
 * @typedef {object} Context of one call
 * @property {string} call
 * @property {object} from
 * @property {boolean} again
 * @property {number} timeoutMs
 * @property {AbortSignal} signal
 * @property {(data: unknown) => void} progress
 * @typedef {(method: string, params: unknown, context: Context) => unknown} Handler
 */
import { closed, isPassing, MadangError, passesIn } from './error.js';
import { defineHandlers, Emitter } from './events.js';

const CODE = /^[a-z0-9_]{1,64}$/;
/** What the server takes of an error's message, in characters. */
const MESSAGE_LENGTH = 1000;

export class Serving extends Emitter {
  #yard;
  #handler;
  #options;
  /** @type {'starting'|'open'|'stopping'|'refused'|'stopped'} */
  #state = 'starting';
  /** Whether there is a connection on which it may be served. */
  #isConnected = false;
  /** Whether calls may be handed out on this connection: from the asking on. */
  #mayBeServed = false;
  #wasOpen = false;
  /** Counts connections: answers of earlier ones count no more. */
  #turn = 0;
  /** By the call's id; those whose answer the server has not acknowledged are among them. @type {Map<string, Work>} */
  #works = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #later;
  #started = settling();
  #stopped = settling();

  /**
   * @param {object} yard what the service needs of its yard
   * @param {import('./connection.js').Connection['ask']} yard.ask
   * @param {(command: Message) => void} yard.pass
   * @param {() => void} yard.left it is served no more
   * @param {string} name
   * @param {Handler} handler
   * @param {{ concurrency?: number, repeatable?: boolean }} options
   */
  constructor(yard, name, handler, options) {
    super();
    this.#yard = yard;
    this.name = name;
    this.#handler = handler;
    this.#options = options;
  }

  get state() {
    return this.#state;
  }

  /** The calls that are not answered yet, or whose answer the server may not have. */
  get unanswered() {
    return this.#works.size;
  }

  /** Takes no more calls; resolves when those handed out are answered. @returns {Promise<void>} */
  stop() {
    const before = this.#state;
    if (before === 'starting' || before === 'open') {
      this.#state = 'stopping';
      this.#started.reject(new MadangError({ code: 'closed', message: `The service '${this.name}' was stopped.` }));
      if (before === 'open') this.#unserve();
      this.#endIfDone();
    }
    return this.#stopped.promise;
  }

  // What follows is the yard's to call.

  /** Resolves when it is served for the first time. @returns {Promise<Serving>} */
  get started() {
    return this.#started.promise;
  }

  opened() {
    this.#isConnected = true;
    this.#serve();
  }

  interrupted() {
    this.#turn += 1;
    this.#isConnected = this.#mayBeServed = false;
    clearTimeout(this.#later);
    if (this.#state === 'open') this.#state = 'starting';
    this.#endIfDone();
  }

  /** Nothing opens the connection again by itself. Who has served it goes on if it is opened by hand. */
  halted() {
    if (this.#state === 'stopping' || !this.#wasOpen) this.closed();
  }

  /** For good. */
  closed() {
    this.interrupted();
    this.#leave('stopped', new MadangError(closed()));
  }

  /** @param {Message} message a request, or that one is not wanted any more */
  receive(message) {
    const { type, call, service } = message;
    if (type === 'request' && service === this.name) this.#take(message);
    if (type === 'cancelled') this.#drop(call, 'The answer is not wanted any more.');
  }

  #serve() {
    const turn = this.#turn;
    const { concurrency, repeatable } = this.#options;
    const resume = [...this.#works.keys()];
    // To be stopped and to go on with what was handed out, it is served once more, for a moment.
    const places = this.#state === 'stopping' ? 1 : concurrency;
    const command = { type: 'serve', service: this.name, concurrency: places, repeatable, ...(resume.length > 0 && { resume }) };
    this.#mayBeServed = true;
    this.#yard.ask(command, (error, reply) => {
      if (turn !== this.#turn) return;
      if (reply) this.#served(reply, resume);
      else if (error) this.#notServed(error);
    });
  }

  /** @param {Message} reply @param {string[]} resume the calls that were worked at */
  #served(reply, resume) {
    const wanted = new Set(reply.resumed);
    for (const call of resume) {
      const work = this.#works.get(call);
      if (!wanted.has(call)) this.#drop(call, 'While the connection was broken the call ended, or was given to another.');
      else if (work?.answer) this.#respond(call, work);
    }
    if (this.#state === 'stopping') return this.#unserve();
    this.#state = 'open';
    this.#wasOpen = true;
    this.#started.resolve(this);
    this.emit('open', { data: reply });
  }

  /** @param {Fault} error */
  #notServed(error) {
    // After a break, the next hello serves.
    if (error.code === 'connection_lost') return;
    this.#mayBeServed = false;
    this.#endIfDone();
    if (this.#state === 'stopped') return;
    if (isPassing(error)) {
      this.#later = setTimeout(() => this.#serve(), passesIn(error, Math.random()));
      return;
    }
    const fault = new MadangError(error);
    this.#leave('refused', fault);
    // The first time it is told by the promise.
    if (this.#wasOpen) this.emit('error', { error: fault });
  }

  #unserve() {
    const turn = this.#turn;
    this.#yard.ask({ type: 'unserve', service: this.name }, (error) => {
      if (turn !== this.#turn || error?.code === 'connection_lost') return;
      if (error && isPassing(error)) {
        this.#later = setTimeout(() => this.#unserve(), passesIn(error, Math.random()));
        return;
      }
      this.#mayBeServed = false;
      this.#endIfDone();
    });
  }

  /** @param {Message} request */
  async #take({ call, method, params = null, from, again = false, timeout_ms: timeoutMs }) {
    this.#drop(call, 'The call was handed out again.');
    const control = new AbortController();
    /** @type {Work} */
    const work = { control, answer: null };
    this.#works.set(call, work);
    const isWanted = () => this.#works.get(call) === work && !work.answer;
    const progress = (/** @type {unknown} */ data) => {
      if (isWanted() && this.#isConnected) this.#yard.pass({ type: 'progress', call, data: data ?? null });
    };
    /** @type {Answer} */
    let answer;
    try {
      const result = await this.#handler(method, params, { call, from, again, timeoutMs, signal: control.signal, progress });
      answer = { result: result ?? null };
    } catch (error) {
      answer = { error: answerFrom(error) };
      if (isWanted() && answer.error.code === 'failed') this.emit('failed', { error, call, method });
    }
    if (!isWanted()) return;
    work.answer = answer;
    this.#respond(call, work);
  }

  /** @param {string} call @param {Work} work that has its answer */
  #respond(call, work) {
    // In a break: the server is asked first whether it still wants it.
    if (!this.#isConnected) return;
    const turn = this.#turn;
    this.#yard.ask({ type: 'respond', call, ...work.answer }, (error) => {
      if (turn !== this.#turn || this.#works.get(call) !== work || error?.code === 'connection_lost') return;
      if (error && isPassing(error)) return void setTimeout(() => turn === this.#turn && this.#respond(call, work), passesIn(error, Math.random()));
      if (error && work.answer && 'result' in work.answer && error.code !== 'no_such_call') {
        // A result that cannot be told: too long, too deep, or no JSON. The caller learns that much.
        work.answer = { error: { code: 'failed', message: told(`The result cannot be told: ${error.message ?? error.code}`) } };
        this.emit('failed', { error: new MadangError(error), call });
        return this.#respond(call, work);
      }
      this.#works.delete(call);
      this.#endIfDone();
    });
  }

  /** @param {string} call @param {string} message why */
  #drop(call, message) {
    const work = this.#works.get(call);
    if (!work) return;
    this.#works.delete(call);
    work.control.abort(new MadangError({ code: 'cancelled', message }));
    this.#endIfDone();
  }

  #endIfDone() {
    if (this.#state === 'stopping' && !this.#mayBeServed && this.#works.size === 0) this.#leave('stopped');
  }

  /** @param {'refused'|'stopped'} state @param {MadangError} [error] */
  #leave(state, error) {
    if (this.#state === 'refused' || this.#state === 'stopped') return;
    this.#state = state;
    clearTimeout(this.#later);
    for (const call of this.#works.keys()) this.#drop(call, error?.message ?? '');
    if (error) {
      this.#started.reject(error);
      this.#stopped.reject(error);
    } else this.#stopped.resolve(undefined);
    this.#yard.left();
  }
}

defineHandlers(Serving, ['open', 'failed', 'error']);

/**
 * What handles the calls: a function for all methods, or an object with one for each. Only its own: callers name
 * methods, and every object has inherited some.
 * @param {any} handlers
 * @returns {Handler}
 */
export function handlerOf(handlers) {
  if (typeof handlers === 'function') return handlers;
  if (typeof handlers !== 'object' || handlers === null) {
    throw new TypeError('A service is an object with a function for each method, or a function: yard.serve("cafe", { order: (params) => … })');
  }
  return (method, params, context) => {
    if (Object.hasOwn(handlers, method) && typeof handlers[method] === 'function') return handlers[method](params, context);
    throw new MadangError({ code: 'no_such_method', message: `There is no method '${method}'.` });
  };
}

/**
 * What the caller is told of an exception: its own code, where it has one of the protocol's form, and its message; no
 * more of what it may hold.
 * @param {any} error
 */
export function answerFrom(error) {
  const code = typeof error?.code === 'string' && CODE.test(error.code) ? error.code : 'failed';
  const message = error instanceof Error && error.message ? error.message : 'The service could not do it.';
  return { code, message: told(message) };
}

/** As much of a text as the server takes, in characters; halves of one are none. @param {string} text */
const told = (text) => [...text].slice(0, MESSAGE_LENGTH).join('').replace(/\p{Surrogate}/gu, '\ufffd');

/** A promise that is settled from outside, the first time counts. Nobody has to wait for it. */
function settling() {
  /** @type {(value: any) => void} */
  let resolve = () => {};
  /** @type {(error: unknown) => void} */
  let reject = () => {};
  const promise = new Promise((...settle) => {
    [resolve, reject] = settle;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
