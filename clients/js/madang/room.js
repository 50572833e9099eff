/**
 * One room, as one session has it: its place in the log, its events, what is to be sent there.
 *
 * | state     | meaning                                                         |
 * |-----------|-----------------------------------------------------------------|
 * | `joining` | not subscribed at the moment; it will be when there is a connection |
 * | `open`    | subscribed: its events come                                     |
 * | `refused` | the server does not let us in; `join()` asks again              |
 * | `left`    | by `leave()`, or the yard was closed                            |
 */
import { defineHandlers, Emitter } from './events.js';
import { closed, isPassing, MadangError, passesIn } from './error.js';
import { Outbox } from './outbox.js';

/** @typedef {import('./connection.js').Message} Message */

const LOG_EVENTS = new Set(['message', 'edit', 'delete', 'react', 'member', 'room']);
const PASSING_EVENTS = new Set(['presence', 'typing', 'signal', 'read']);

export class Room extends Emitter {
  #yard;
  /** @type {{ last?: number, since?: number, epoch?: string }} */
  #start = {};
  #outbox;
  /** @type {'joining'|'open'|'refused'|'left'} */
  #state = 'joining';
  /** @type {{ seq: number, epoch: string }|null} everything up to here came, or was told to be gone */
  #place = null;
  /** Counts subscriptions: events count only after the reply to the newest. */
  #turn = 0;
  /** The place of a hole that was asked for once already. */
  #holeAt = -1;
  /** @type {string|null} */
  #me = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #later;
  /** @type {(() => void)[]} what waits for the subscription, or for its end */
  #waiting = [];

  /**
   * @param {object} yard what the room needs of its yard
   * @param {import('./connection.js').Connection['ask']} yard.ask
   * @param {(command: Message) => void} yard.pass
   * @param {(command: Message, options?: { retry?: boolean }) => Promise<Message>} yard.request
   * @param {() => void} yard.left
   * @param {string} name
   * @param {{ limit: number, keep: import('./keep.js').Keep }} outbox
   */
  constructor(yard, name, outbox) {
    super();
    this.#yard = yard;
    this.name = name;
    this.#outbox = new Outbox({ room: name, ...outbox }, {
      ask: (command, done) => yard.ask(command, done),
      place: () => (this.#state === 'left' || this.#state === 'refused' ? Infinity : this.#place?.seq ?? 0),
      // Not from within the constructor: nobody listens yet.
      change: () => queueMicrotask(() => this.emit('outbox')),
      failed: (message, error) => this.emit('failed', { data: message, error }),
      unkept: (error) => this.emit('error', { error }),
    });
  }

  get state() {
    return this.#state;
  }

  /** Where one would go on: `since` and `epoch`; `null` before the first subscription. */
  get place() {
    return this.#place && { since: this.#place.seq, epoch: this.#place.epoch };
  }

  /** The messages written here that are not settled yet, oldest first. */
  get outbox() {
    return this.#outbox.messages;
  }

  /** @param {string|{ text?: string, data?: unknown, reply_to?: number, key?: string }} message */
  send(message) {
    if (this.#state === 'left') {
      const refused = Promise.reject(new MadangError({ code: 'closed', message: `The room '${this.name}' was left.` }));
      refused.catch(() => {});
      return refused;
    }
    return this.#outbox.add(typeof message === 'string' ? { text: message } : message);
  }

  /** @param {boolean} [on] */
  typing(on = true) {
    if (this.#state === 'open') this.#yard.pass({ type: 'typing', room: this.name, on });
  }

  /** @param {unknown} data */
  signal(data) {
    if (this.#state === 'open') this.#yard.pass({ type: 'signal', room: this.name, data });
  }

  /** My read mark. @param {number} [seq] the last event that came, if it is not said */
  read(seq = this.#place?.seq ?? 0) {
    const done = this.#request({ type: 'read', seq });
    done.catch(() => {});
    return done;
  }

  /** @param {{ before?: number, after?: number, limit?: number }} [page] */
  history(page = {}) {
    return this.#request({ type: 'history', ...page });
  }

  who() {
    return this.#request({ type: 'who' });
  }

  /** Asks again, after the server refused. */
  join() {
    if (this.#state !== 'refused') return;
    this.#state = 'joining';
    if (this.#me !== null) this.#subscribe();
  }

  /** No more events come from here; what was written before is still sent. */
  leave() {
    if (this.#state === 'left') return;
    this.#end();
    this.#yard.ask({ type: 'unsubscribe', room: this.name }, () => {});
    this.#outbox.settled(Infinity);
    this.#yard.left();
  }

  // What follows is the yard's to call.

  /** For the first time, or again after it was left. @param {{ last?: number, since?: number, epoch?: string }} start */
  enter(start) {
    this.#start = start;
    this.#place = null;
    this.#state = 'joining';
    if (this.#me !== null) this.#subscribe();
  }

  /** @param {{ user: { id: string } }} hello */
  opened({ user }) {
    this.#me = user.id;
    if (this.#state === 'joining') this.#subscribe();
    this.#outbox.opened(user.id);
  }

  interrupted() {
    this.#me = null;
    this.#turn += 1;
    clearTimeout(this.#later);
    if (this.#state === 'open') this.#state = 'joining';
    this.#outbox.interrupted();
  }

  closed() {
    this.#end();
    this.#outbox.close();
  }

  /** @param {Message} message whatever the server says of this room */
  receive(message) {
    if (this.#state !== 'open') return;
    if (LOG_EVENTS.has(message.type) && typeof message.seq === 'number') this.#receiveEvent(message);
    else if (message.type === 'gap') this.#skip(message.from, message.to);
    else if (PASSING_EVENTS.has(message.type)) this.emit(message.type, { data: message });
  }

  #end() {
    this.#turn += 1;
    clearTimeout(this.#later);
    this.#enter('left');
  }

  /** @param {'open'|'refused'|'left'} state */
  #enter(state) {
    this.#state = state;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** What does no harm when it is done twice. First comes the subscription, which may make the room. @param {Message} command */
  async #request(command) {
    if (this.#state === 'joining') await new Promise((go) => this.#waiting.push(() => go(undefined)));
    return this.#yard.request({ ...command, room: this.name }, { retry: true });
  }

  #subscribe() {
    this.#state = 'joining';
    const turn = (this.#turn += 1);
    const from = this.#place === null ? this.#start : { since: this.#place.seq, epoch: this.#place.epoch };
    this.#yard.ask({ type: 'subscribe', room: this.name, ...from }, (error, reply) => {
      if (turn !== this.#turn) return;
      if (reply) this.#subscribed(reply, 'since' in from);
      else if (error) this.#notSubscribed(error);
    });
  }

  /** @param {Message} reply @param {boolean} resumed */
  #subscribed(reply, resumed) {
    if (reply.reset) {
      this.#place = null;
      this.emit('reset', { epoch: reply.epoch, head: reply.head });
      // A place of another log is none, and what was to be the beginning is so again.
      const { last } = this.#start;
      this.#start = last === undefined ? {} : { last };
      if (last !== undefined) return this.#subscribe();
    }
    const before = this.#place ?? (resumed && !reply.reset ? { seq: Number(this.#start.since) } : null);
    this.#place = { seq: before?.seq ?? reply.next - 1, epoch: reply.epoch };
    this.#enter('open');
    this.emit('open', { data: reply, resumed: before !== null });
    if (reply.gap) this.#skip(reply.gap.from, reply.gap.to);
    // A handler may have left the room.
    if (this.#place.seq < reply.next - 1) this.#skip(this.#place.seq + 1, reply.next - 1);
  }

  /** @param {import('./error.js').Fault} error */
  #notSubscribed(error) {
    // After a break, the next hello subscribes.
    if (error.code === 'connection_lost') return;
    if (isPassing(error)) {
      this.#later = setTimeout(() => this.#subscribe(), passesIn(error, Math.random()));
      return;
    }
    this.#enter('refused');
    this.emit('error', { error: new MadangError(error) });
  }

  /** @param {Message} event */
  #receiveEvent(event) {
    const place = /** @type {{ seq: number, epoch: string }} */ (this.#place);
    // Had before: a subscription was moved back, by another tab of a shared connection.
    if (event.seq <= place.seq) return;
    if (event.seq > place.seq + 1) {
      if (this.#holeAt !== place.seq) {
        this.#holeAt = place.seq;
        return this.#subscribe();
      }
      // Asked for already, and still not there: it is told, and one goes on.
      this.#skip(place.seq + 1, event.seq - 1);
    }
    this.#place = { ...place, seq: event.seq };
    this.emit(event.type, { data: event });
    this.emit('event', { data: event });
    this.#outbox.settled(event.seq, event.from?.id === this.#me ? event : undefined);
  }

  /** The events from `from` to `to` are no longer kept. @param {number} from @param {number} to */
  #skip(from, to) {
    const place = /** @type {{ seq: number, epoch: string }} */ (this.#place);
    if (to <= place.seq) return;
    this.#place = { ...place, seq: to };
    this.emit('gap', { from: Math.max(from, place.seq + 1), to });
    this.#outbox.settled(to);
  }
}

defineHandlers(Room, [
  'open', 'message', 'edit', 'delete', 'react', 'member', 'room', 'event', 'gap', 'reset',
  'presence', 'typing', 'signal', 'read', 'outbox', 'failed', 'error',
]);
