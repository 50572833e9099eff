/**
 * What a connection was asked and has not answered. The server takes so many commands at a time
 * (`in_flight`); the others wait here for their turn. A call takes its place until it is answered, which may be long,
 * so calls leave a quarter of the places to whatever is answered at once.
 *
 * | kind        | commands             | in flight at most                                 |
 * |-------------|----------------------|---------------------------------------------------|
 * | `uncounted` | `respond`            | as many as there are                              |
 * | `short`     | all others           | `in_flight`, with the calls                       |
 * | `lasting`   | `call`, `collect`    | three quarters of it                              |
 *
 * @typedef {import('./connection.js').Message} Message
 * @typedef {import('./connection.js').Done} Done
 * @typedef {(message: Message) => void} Heard what is told of a call before its answer: `ticket`, `progress`, and by the
 *   client itself `sent`, when its turn has come
 * @typedef {'uncounted'|'short'|'lasting'} Kind
 * @typedef {{ command: Message, done: Done, heard: Heard, kind: Kind }} Asked
 */

/** @type {Record<string, Kind>} */
const KINDS = { respond: 'uncounted', call: 'lasting', collect: 'lasting' };
const ANSWERS = ['ok', 'error', 'pong'];
const HEARD = ['ticket', 'progress'];

export class Flight {
  #send;
  #nextId = 1;
  #limits = { message_bytes: 65_536, in_flight: 32 };
  /** @type {Map<number, Asked>} sent, not answered */
  #asked = new Map();
  /** Of these, by kind. */
  #count = { uncounted: 0, short: 0, lasting: 0 };
  /** @type {Record<Kind, Asked[]>} not sent; the first go first */
  #queues = { uncounted: [], short: [], lasting: [] };

  /** @param {(json: string) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /** As `hello` says. @param {object} [limits] */
  limit(limits) {
    this.#limits = { ...this.#limits, ...limits };
  }

  /** @param {string} json */
  isTooLong(json) {
    return isLonger(json, this.#limits.message_bytes);
  }

  /** @param {Message} command @param {Done} done @param {Heard} [heard] */
  ask(command, done, heard = () => {}) {
    const kind = KINDS[command.type] ?? 'short';
    this.#queues[kind].push({ command, done, heard, kind });
    this.#sendQueued();
  }

  /** Takes back what still waits for its turn; what was sent is answered as ever. @param {Done} done as it was asked with */
  withdraw(done) {
    for (const queue of Object.values(this.#queues)) {
      const at = queue.findIndex((asked) => asked.done === done);
      if (at < 0) continue;
      queue.splice(at, 1);
      return done({ code: 'cancelled', message: 'It was not sent.' }, null);
    }
  }

  /** @param {Message} message @returns {boolean} whether it was about something asked */
  receive(message) {
    const asked = this.#asked.get(message.id);
    if (!asked) return false;
    if (HEARD.includes(message.type)) {
      asked.heard(message);
      return true;
    }
    if (!ANSWERS.includes(message.type)) return false;
    this.#asked.delete(message.id);
    this.#count[asked.kind] -= 1;
    if (message.type === 'error') asked.done(/** @type {any} */ (message), null);
    else asked.done(null, message);
    this.#sendQueued();
    return true;
  }

  /** Lets go of everything; gives whom to tell. @returns {Done[]} */
  clear() {
    const unanswered = [...this.#asked.values(), ...Object.values(this.#queues).flat()];
    this.#asked.clear();
    this.#count = { uncounted: 0, short: 0, lasting: 0 };
    this.#queues = { uncounted: [], short: [], lasting: [] };
    return unanswered.map(({ done }) => done);
  }

  #sendQueued() {
    for (const kind of /** @type {Kind[]} */ (Object.keys(this.#queues))) {
      while (this.#hasPlace(kind)) {
        const next = this.#queues[kind].shift();
        if (!next) break;
        this.#sendNow(next);
      }
    }
  }

  /** @param {Kind} kind */
  #hasPlace(kind) {
    const { short, lasting } = this.#count;
    const places = this.#limits.in_flight;
    if (kind === 'uncounted') return true;
    if (short + lasting >= places) return false;
    return kind === 'short' || lasting < Math.max(1, Math.floor(places * 0.75));
  }

  /** @param {Asked} asked */
  #sendNow(asked) {
    const id = this.#nextId++;
    const { json, fault } = this.#written({ ...asked.command, id });
    if (fault) return asked.done(fault, null);
    this.#asked.set(id, asked);
    this.#count[asked.kind] += 1;
    if (asked.kind === 'lasting') asked.heard({ type: 'sent' });
    this.#send(json);
  }

  /** @param {Message} command @returns {{ json: string, fault?: import('./error.js').Fault }} */
  #written(command) {
    let json = '';
    try {
      json = JSON.stringify(command);
    } catch (error) {
      return { json, fault: { code: 'bad_field', message: `It cannot be written as JSON: ${error instanceof Error ? error.message : error}` } };
    }
    const limit = this.#limits.message_bytes;
    if (!isLonger(json, limit)) return { json };
    return { json, fault: { code: 'too_long', limit, message: `The command has more than the ${limit} bytes that the server takes.` } };
  }
}

/** Whether a text has more bytes in UTF-8; it is only counted where that is in doubt. @param {string} text @param {number} bytes */
function isLonger(text, bytes) {
  return text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
