/**
 * A tab's end of the connection that all tabs share. The other end is the `Hub` in a
 * SharedWorker; they call each other's methods by messages `[method, ...arguments]`.
 *
 * Neither sees the other end: a port has no closing event. So each holds a Web Lock as long as it
 * is there, and asks for the other's: whoever gets it knows that the other is gone.
 */
import { connectionLost } from './error.js';
import { newKey } from './key.js';

/** Tabs of different versions do not share. */
const VERSION = '0.1.0';
const ANSWERS_WITHIN_MS = 5000;

/**
 * Browsers of today have both, on pages that came by https or from this machine; but Chrome on
 * Android has no SharedWorker.
 */
export const canShare = () => typeof globalThis.SharedWorker === 'function' && Boolean(globalThis.navigator?.locks);

export class SharedLine {
  #options;
  #on;
  #fallBack;
  /** @type {MessagePort|null} */
  #port = null;
  /** @type {Map<number, { done: import('./connection.js').Done, heard?: import('./flight.js').Heard }>} */
  #asked = new Map();
  #nextNumber = 1;
  #answered = false;
  /** The worker's name, by which the tabs find the same one. */
  #name;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #late;
  #holding = new AbortController();
  /** @type {() => void} */
  #release = () => {};

  /**
   * @param {{ base: URL, name?: string, worker: true|string|URL }} options
   * @param {import('./connection.js').On} on
   * @param {() => void} fallBack there is no worker to be had
   */
  constructor(options, on, fallBack) {
    this.#options = options;
    this.#name = `madang ${VERSION} ${options.base} ${options.name ?? ''}`;
    this.#on = on;
    this.#fallBack = fallBack;
  }

  connect() {
    if (this.#port) return this.#call('connect');
    this.#start();
  }

  close() {
    this.#call('detach');
    this.#end();
    this.#on.status({ state: 'closed', why: 'left', code: 1000, message: null });
  }

  /** @type {import('./connection.js').Connection['ask']} */
  ask(command, done, heard) {
    if (!this.#port) return done(connectionLost(), null);
    const number = this.#nextNumber++;
    this.#asked.set(number, { done, heard });
    try {
      this.#call('ask', number, command);
    } catch (error) {
      // A function, say, can go to no other thread.
      this.#asked.delete(number);
      done({ code: 'bad_field', message: `It cannot be written as JSON: ${error instanceof Error ? error.message : error}` }, null);
    }
  }

  /** @type {import('./connection.js').Connection['withdraw']} */
  withdraw(done) {
    for (const [number, asked] of this.#asked) if (asked.done === done) this.#call('withdraw', number);
  }

  /** @param {import('./connection.js').Message} command */
  pass(command) {
    this.#call('pass', command);
  }

  /** @param {string} what */
  hint(what) {
    this.#call('hint', what);
  }

  #start() {
    const { base, worker: source } = this.#options;
    const options = { type: /** @type {const} */ ('module'), name: this.#name };
    /** @type {SharedWorker} */
    let worker;
    try {
      worker = source === true
        ? new SharedWorker(new URL('./worker.js', import.meta.url), options)
        : new SharedWorker(source, options);
    } catch {
      // From another origin, or forbidden by the page's policy.
      return this.#giveUp();
    }
    worker.onerror = () => this.#answered || this.#giveUp();
    this.#late = setTimeout(() => this.#giveUp(), ANSWERS_WITHIN_MS);
    const { port } = worker;
    this.#port = port;
    port.onmessage = ({ data: [method, ...values] }) => this.#port === port && this.#answer(method, values);
    const lock = `madang.tab ${newKey()}`;
    navigator.locks.request(lock, { signal: this.#holding.signal }, () => {
      this.#call('attach', { base: base.href, lock });
      return new Promise((release) => {
        this.#release = () => release(undefined);
      });
    }).catch(() => {});
  }

  /** @param {string} method @param {any[]} values */
  #answer(method, values) {
    this.#answered = true;
    clearTimeout(this.#late);
    if (method === 'attached') return this.#watch(values[0]);
    if (method === 'credential') {
      const [number] = values;
      const give = (/** @type {unknown} */ credential) => this.#call('credential', number, credential);
      return void this.#on.credential().then(give, () => give(null));
    }
    if (method === 'heard') return this.#asked.get(values[0])?.heard?.(values[1]);
    if (method !== 'reply') return void (/** @type {any} */ (this.#on)[method](...values));
    const [number, error, reply] = values;
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    asked?.done(error, reply);
  }

  /** Learns when the worker has died, as browsers end one that takes too much. @param {string} lock */
  #watch(lock) {
    const { signal } = this.#holding;
    navigator.locks.request(lock, { signal }, () => {
      this.#end();
      this.#on.status({ state: 'connecting', attempt: 1 });
      // Under its name a browser may still find the dead one; its other tabs name the next one alike.
      this.#name += ` after ${lock}`;
      this.#start();
    }).catch(() => {});
  }

  #giveUp() {
    this.#call('detach');
    this.#end();
    this.#fallBack();
  }

  #end() {
    clearTimeout(this.#late);
    this.#holding.abort();
    this.#holding = new AbortController();
    this.#release();
    this.#port = null;
    this.#answered = false;
    const unanswered = [...this.#asked.values()];
    this.#asked.clear();
    queueMicrotask(() => unanswered.forEach(({ done }) => done(connectionLost(), null)));
  }

  /** @param {string} method @param {...unknown} values */
  #call(method, ...values) {
    this.#port?.postMessage([method, ...values]);
  }
}
