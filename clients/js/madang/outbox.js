/**
 * The messages of one room that were written here and are not settled yet. They go out one
 * at a time and in order, and each keeps its key, so that sending one again after a break
 * stores nothing twice.
 *
 * | state     | meaning                                              | leaves for                                     |
 * |-----------|------------------------------------------------------|------------------------------------------------|
 * | `waiting` | not sent, or sent with the answer lost in a break    | `sent`                                         |
 * | `sent`    | on its way, the answer is due                        | `stored`; `waiting` on a break, or when told to come later; out, when refused |
 * | `stored`  | the server has it at `seq`; its event is due         | out, when the room has come to `seq`           |
 *
 * @typedef {{ text?: string, data?: unknown, reply_to?: number, [field: string]: unknown }} Content
 *
 * @typedef {object} Unsent
 * @property {string} key
 * @property {Content} content the fields of *send*, but for `room` and `key`
 * @property {string} at when it was written, by this machine's clock
 * @property {'waiting'|'sent'|'stored'} state
 * @property {number|null} seq
 * @property {{ as: string, at: number }|null} tried the user as whom it was first sent, and when
 */
import { closed, isPassing, MadangError, passesIn } from './error.js';
import { newKey } from './key.js';

/** The server knows a key for 24 hours. */
const KEY_LASTS_MS = 23 * 3_600_000;

export class Outbox {
  #room;
  #limit;
  #keep;
  #on;
  /** @type {readonly Unsent[]} */
  #messages = [];
  /** @type {Map<string, { resolve: (stored: object) => void, reject: (error: MadangError) => void }>} */
  #promises = new Map();
  /** @type {string|null} the user as whom the connection is open */
  #as = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #later;
  /** The key of the one whose answer is due. @type {string|null} */
  #due = null;
  /** Its place, if its event came before the answer. @type {{ seq: number, at: string, key: string }|null} */
  #arrived = null;

  /**
   * @param {object} options
   * @param {string} options.room
   * @param {number} options.limit messages at most
   * @param {import('./keep.js').Keep} options.keep where they are over a reload
   * @param {object} on
   * @param {import('./connection.js').Connection['ask']} on.ask
   * @param {() => number} on.place up to where the room is shown
   * @param {() => void} on.change
   * @param {(message: Unsent, error: MadangError) => void} on.failed the server took it not, for good
   * @param {(error: unknown) => void} on.unkept
   */
  constructor({ room, limit, keep }, on) {
    this.#room = room;
    this.#limit = limit;
    this.#keep = keep;
    this.#on = on;
    keep.load((kept) => this.#restore(kept));
  }

  /** Those that the room does not show yet, in the order written. */
  get messages() {
    return this.#messages;
  }

  /**
   * @param {Content & { key?: string }} message
   * @returns {Promise<{ seq: number, at: string, key: string, duplicate?: boolean }>} of its place
   */
  add({ key = newKey(), ...content }) {
    const promise = new Promise((resolve, reject) => {
      if (this.#messages.length >= this.#limit) {
        const message = `${this.#limit} messages wait to be sent already; wait for some of them.`;
        return reject(new MadangError({ code: 'outbox_full', limit: this.#limit, message }));
      }
      this.#promises.set(key, { resolve, reject });
      const at = new Date().toISOString();
      this.#change([...this.#messages, { key, content, at, state: 'waiting', seq: null, tried: null }]);
      this.#sendNext();
    });
    // Nobody has to wait for it; a failure is an event of the room, too.
    promise.catch(() => {});
    return /** @type {any} */ (promise);
  }

  /** The connection is open, as this user. @param {string} as */
  opened(as) {
    this.#as = as;
    this.#sendNext();
  }

  /** The connection broke: whatever had no answer is to be sent again. */
  interrupted() {
    this.#as = null;
    clearTimeout(this.#later);
    this.#later = undefined;
    if (this.#arrived) this.#resolve(this.#arrived);
    this.#due = this.#arrived = null;
    if (this.#messages.some(({ state }) => state === 'sent')) {
      this.#change(this.#messages.map((one) => (one.state === 'sent' ? { ...one, state: 'waiting' } : one)));
    }
  }

  /**
   * The room came to `seq`; `own` is an own message that has just arrived. It may come before its answer,
   * and a break may take the answer away.
   * @param {number} seq @param {import('./connection.js').Message} [own]
   */
  settled(seq, own) {
    if (this.#messages.length === 0) return;
    const key = own?.key;
    if (own && key !== undefined && key === this.#due) this.#arrived = { seq: own.seq, at: own.at, key };
    const rest = this.#messages.filter((one) => one.key !== key && !(one.state === 'stored' && Number(one.seq) <= seq));
    if (rest.length !== this.#messages.length) this.#change(rest);
  }

  /** For good. What is kept waits for the next to open the room. */
  close() {
    this.interrupted();
    this.#keep.close();
    const promises = [...this.#promises.values()];
    this.#promises.clear();
    for (const { reject } of promises) reject(new MadangError(closed()));
  }

  /** @param {unknown[]} kept */
  #restore(kept) {
    const known = new Set(this.#messages.map(({ key }) => key));
    const restored = kept.filter(isKept).filter(({ key }) => !known.has(key))
      .map(({ key, content, at, tried }) => ({ key, content, at, state: /** @type {const} */ ('waiting'), seq: null, tried: tried ?? null }));
    if (restored.length === 0) return;
    // They are older than what has been written since.
    this.#change([...restored, ...this.#messages]);
    this.#sendNext();
  }

  /** One at a time, so that they stay in order whatever the answer is. @returns {void} */
  #sendNext() {
    const as = this.#as;
    if (as === null || this.#later || this.#due !== null) return;
    const next = this.#messages.find(({ state }) => state === 'waiting');
    if (!next) return;
    const { key, content, tried } = next;
    if (tried && (tried.as !== as || Date.now() - tried.at > KEY_LASTS_MS)) {
      const message = 'The message was sent before, as another user or a day ago, and no answer came. Look whether it is '
        + 'there before you send it with a new key.';
      this.#failed(key, { code: 'uncertain', message });
      return this.#sendNext();
    }
    this.#due = key;
    this.#set(key, { state: 'sent', tried: tried ?? { as, at: Date.now() } });
    this.#on.ask({ type: 'send', room: this.#room, ...content, key }, (error, reply) => {
      // Of before a break: the answer that counts is still to come.
      if (key !== this.#due || error?.code === 'connection_lost') return;
      this.#due = this.#arrived = null;
      if (reply) this.#stored(key, reply);
      else if (error) this.#refused(key, error);
    });
  }

  /** @param {string} key @param {import('./connection.js').Message} reply */
  #stored(key, { seq, at, duplicate }) {
    this.#resolve(duplicate ? { seq, at, key, duplicate } : { seq, at, key });
    this.#set(key, { state: 'stored', seq });
    this.settled(this.#on.place());
    this.#sendNext();
  }

  /** @param {{ seq: number, at: string, key: string, duplicate?: boolean }} place */
  #resolve(place) {
    this.#promises.get(place.key)?.resolve(place);
    this.#promises.delete(place.key);
  }

  /** @param {string} key @param {import('./error.js').Fault} error */
  #refused(key, error) {
    if (!isPassing(error)) {
      this.#failed(key, error);
      return this.#sendNext();
    }
    this.#set(key, { state: 'waiting' });
    clearTimeout(this.#later);
    this.#later = setTimeout(() => {
      this.#later = undefined;
      this.#sendNext();
    }, passesIn(error, Math.random()));
  }

  /** @param {string} key @param {import('./error.js').Fault} reply */
  #failed(key, reply) {
    const error = new MadangError(reply);
    const message = this.#messages.find((one) => one.key === key);
    this.#change(this.#messages.filter((one) => one.key !== key));
    this.#promises.get(key)?.reject(error);
    this.#promises.delete(key);
    if (message) this.#on.failed(message, error);
  }

  /** @param {string} key @param {Partial<Unsent>} fields */
  #set(key, fields) {
    this.#change(this.#messages.map((one) => (one.key === key ? { ...one, ...fields } : one)));
  }

  /** @param {readonly Unsent[]} messages */
  #change(messages) {
    this.#messages = messages;
    const unsettled = messages.filter(({ state }) => state !== 'stored');
    this.#keep.save(unsettled.map(({ key, content, at, tried }) => ({ key, content, at, tried })), this.#on.unkept);
    this.#on.change();
  }
}

/** Whether it is what was kept, and not whatever else stands in the storage. @param {any} one @returns {one is Unsent} */
function isKept(one) {
  return typeof one?.key === 'string' && typeof one.at === 'string' && typeof one.content === 'object' && one.content !== null;
}
