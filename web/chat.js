/**
 * One room, as one person sees it: joins the connection, the log, the outbox and the
 * people. It owns their current values; the views read them on `change`.
 */
import { Connection } from './connection.js';
import { CONNECTION_LOST, isRoomEvent, messageKey } from './wire.js';
import * as logs from './log.js';
import * as outboxes from './outbox.js';
import * as persons from './people.js';

/** @typedef {import('./wire.js').CommandError} CommandError */
/** @typedef {import('./wire.js').ServerMessage} ServerMessage */

const FIRST_EVENTS = 50;
const OLDER_EVENTS = 50;
/** Above `KEEP_BELOW` items, all but the newest `KEEP` are let go. */
const KEEP_BELOW = 800;
const KEEP = 400;
/** Errors after which the same command may be taken a little later. */
const PASSING = new Set(['busy', 'rate_limited', 'unavailable']);
const PASSES_AFTER_MS = 1000;

export class Chat {
  #on;
  #memory;
  #connection;
  /** Events count only after the reply to the newest *subscribe*. */
  #subscribed = false;
  /** Messages up to here were there before us: they are no news. */
  #oldUpTo = 0;
  /** The place of a hole that was asked for once already. */
  #holeAt = -1;
  #asksWho = false;
  #messageBytes = 65_536;
  /** The server asked for a pause until then. */
  #notBefore = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #later;

  /** @type {import('./wire.js').User|null} */
  me = null;
  log = logs.emptyLog();
  people = persons.NOBODY;
  loadsOlder = false;

  /**
   * @param {object} options
   * @param {import('./identity.js').Identity} options.identity
   * @param {string} options.room
   * @param {URL} options.base the page's address
   * @param {import('./memory.js').Memory} options.memory for what is unsent when the page is reloaded
   * @param {object} options.on
   * @param {(state: import('./connection.js').State) => void} options.on.state
   * @param {() => void} options.on.change the log, the outbox or the people have a new value
   * @param {(message: import('./wire.js').RoomEvent) => void} options.on.news another person's message arrived
   * @param {(error: CommandError) => void} options.on.refused the room cannot be entered
   */
  constructor({ identity, room, base, memory, on }) {
    this.room = room;
    this.#on = on;
    this.#memory = memory;
    this.outboxKey = `outbox.${identity.name}.${room}`;
    this.outbox = outboxes.fromJson(memory.get(this.outboxKey));
    this.#connection = new Connection(identity, base, {
      state: (state) => this.#stateChanged(state),
      hello: (hello) => this.#welcomed(hello),
      message: (message) => this.#receive(message),
    });
  }

  open() {
    this.#connection.open();
  }

  close() {
    clearTimeout(this.#later);
    this.#connection.close();
  }

  reconnectNow() {
    this.#connection.reconnectNow();
  }

  /** @param {string} text */
  write(text) {
    const now = Date.now();
    const key = messageKey(now, crypto.getRandomValues(new Uint8Array(16)));
    this.#keep(outboxes.written(this.outbox, { key, text, at: new Date(now).toISOString() }));
    this.#sendNext();
  }

  /** @param {string} key */
  retry(key) {
    this.#keep(outboxes.retried(this.outbox, key));
    this.#sendNext();
  }

  /** @param {string} key */
  discard(key) {
    this.#keep(outboxes.discarded(this.outbox, key));
  }

  async loadOlder() {
    // First comes what *subscribe* sends.
    if (this.loadsOlder || !this.log.hasOlder || !this.#subscribed || this.log.lastSeq < this.#oldUpTo) return;
    this.loadsOlder = true;
    this.#on.change();
    const { epoch } = this.log;
    try {
      const before = this.log.firstSeq;
      const reply = await this.#connection.request({ type: 'history', room: this.room, before, limit: OLDER_EVENTS });
      if (this.log.epoch === epoch) this.log = logs.prepend(this.log, reply.events, reply.more);
    } catch {
      // Scrolling up again asks again.
    } finally {
      this.loadsOlder = false;
      this.#on.change();
    }
  }

  /** While nobody reads the old messages, they need not be kept here. */
  letGoOfOld() {
    if (this.log.items.length > KEEP_BELOW) this.log = logs.trim(this.log, KEEP);
  }

  /** @param {import('./connection.js').State} state */
  #stateChanged(state) {
    if (state.kind !== 'open') {
      this.#subscribed = false;
      this.outbox = outboxes.interrupted(this.outbox);
    }
    this.#on.state(state);
    this.#on.change();
  }

  /** @param {import('./wire.js').Hello} hello */
  #welcomed(hello) {
    this.me = hello.user;
    this.#messageBytes = hello.limits?.message_bytes ?? this.#messageBytes;
    clearTimeout(this.#later);
    this.#notBefore = 0;
    this.#subscribe();
  }

  /** @returns {Promise<void>} */
  async #subscribe() {
    this.#subscribed = false;
    const { epoch, lastSeq } = this.log;
    const place = epoch === null ? { last: FIRST_EVENTS } : { since: lastSeq, epoch };
    /** @type {ServerMessage} */
    let reply;
    try {
      reply = await this.#connection.request({ type: 'subscribe', room: this.room, ...place });
    } catch (error) {
      return this.#subscribeFailed(/** @type {CommandError} */ (error));
    }
    if (reply.reset) {
      this.log = logs.emptyLog();
      return this.#subscribe();
    }
    if (epoch === null) this.#oldUpTo = reply.head;
    this.room = reply.room ?? this.room;
    this.log = logs.subscribed(this.log, /** @type {any} */ (reply));
    this.people = persons.everyone(reply.presence);
    this.#subscribed = true;
    this.#settle();
    this.#sendNext();
  }

  /** @param {CommandError} error */
  #subscribeFailed(error) {
    // After a break, the next hello subscribes.
    if (error.code === CONNECTION_LOST) return;
    if (!PASSING.has(error.code)) return this.#on.refused(error);
    this.#pause(error, () => this.#subscribe());
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    if (!this.#subscribed || message.room !== this.room) return;
    if (isRoomEvent(message)) return this.#receiveEvent(message);
    if (message.type === 'gap') {
      this.log = logs.gap(this.log, /** @type {any} */ (message));
      this.#settle();
    } else if (message.type === 'presence') {
      this.people = persons.changed(this.people, /** @type {any} */ (message));
      if (persons.isDoubtful(this.people)) this.#askWho();
      this.#on.change();
    }
  }

  /** @param {import('./wire.js').RoomEvent} event */
  #receiveEvent(event) {
    let { outcome, log } = logs.receive(this.log, event);
    if (outcome === 'seen') return;
    if (outcome === 'hole') {
      if (this.#holeAt !== this.log.lastSeq) {
        this.#holeAt = this.log.lastSeq;
        return void this.#subscribe();
      }
      // Asked for already, and still not there: say so and go on.
      log = logs.receive(logs.gap(this.log, { from: this.log.lastSeq + 1, to: event.seq - 1 }), event).log;
    }
    this.log = log;
    const own = event.from.id === this.me?.id;
    if (event.type === 'message' && !own && event.seq > this.#oldUpTo) this.#on.news(event);
    this.#settle(own ? event.key : undefined);
  }

  /** Presence told less than it counted. */
  async #askWho() {
    if (this.#asksWho) return;
    this.#asksWho = true;
    try {
      const reply = await this.#connection.request({ type: 'who', room: this.room });
      this.people = persons.everyone(/** @type {any} */ (reply));
      this.#on.change();
    } catch {
      // The next presence event gives another occasion.
    } finally {
      this.#asksWho = false;
    }
  }

  /** One at a time, so that they stay in order whatever the answer is. @returns {Promise<void>} */
  async #sendNext() {
    const one = outboxes.nextToSend(this.outbox);
    if (!one || !this.#subscribed || Date.now() < this.#notBefore) return;
    const { key, text } = one;
    const command = { type: 'send', room: this.room, key, text };
    if (this.#isTooLong(command)) {
      this.#keep(outboxes.failed(this.outbox, key, { code: 'too_long', message: '' }));
      return this.#sendNext();
    }
    this.#keep(outboxes.started(this.outbox, key));
    try {
      const reply = await this.#connection.request(command);
      this.outbox = outboxes.stored(this.outbox, key, Number(reply.seq));
      this.#settle();
      this.#sendNext();
    } catch (error) {
      this.#sendFailed(key, /** @type {CommandError} */ (error));
    }
  }

  /** @param {string} key @param {CommandError} error */
  #sendFailed(key, error) {
    if (error.code === CONNECTION_LOST) return;
    if (PASSING.has(error.code)) {
      this.#keep(outboxes.postponed(this.outbox, key));
      return this.#pause(error, () => this.#sendNext());
    }
    this.#keep(outboxes.failed(this.outbox, key, error));
    this.#sendNext();
  }

  /** @param {CommandError} error @param {() => void} goOn */
  #pause({ retryAfterMs }, goOn) {
    const ms = retryAfterMs ?? PASSES_AFTER_MS;
    this.#notBefore = Date.now() + ms;
    clearTimeout(this.#later);
    this.#later = setTimeout(() => {
      this.#notBefore = 0;
      goOn();
    }, ms);
  }

  /** @param {object} command */
  #isTooLong(command) {
    const roomForId = 24;
    return new TextEncoder().encode(JSON.stringify(command)).length + roomForId > this.#messageBytes;
  }

  /** @param {string} [key] of an own message that has just arrived */
  #settle(key) {
    this.#keep(outboxes.settled(this.outbox, new Set(key ? [key] : []), this.log.lastSeq));
  }

  /** @param {outboxes.Outbox} outbox */
  #keep(outbox) {
    if (outbox !== this.outbox) {
      this.outbox = outbox;
      this.#memory.set(this.outboxKey, outbox.length > 0 ? outboxes.toJson(outbox) : '');
    }
    this.#on.change();
  }
}
