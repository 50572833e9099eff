/**
 * One room, as one person sees it: joins the client, the log and the people. It owns their
 * current values; the views read them on `change`.
 */
import { madang } from '../madang.js';
import * as logs from './log.js';
import * as persons from './people.js';
import { failed, fromJson, toJson, unsettled } from './unsettled.js';

const FIRST_EVENTS = 50;
const OLDER_EVENTS = 50;
/** Above `KEEP_BELOW` items, all but the newest `KEEP` are let go. */
const KEEP_BELOW = 800;
const KEEP = 400;

export class Chat {
  #on;
  #memory;
  #yard;
  #room;
  /** Messages up to here were there before us: they are no news. */
  #oldUpTo = 0;
  #asksWho = false;
  #isClosed = false;
  /** What the server did not take. @type {readonly import('./unsettled.js').Unsettled[]} */
  #failed;

  log = logs.emptyLog();
  people = persons.NOBODY;
  loadsOlder = false;

  /**
   * @param {object} options
   * @param {string} options.name who comes in
   * @param {string} options.room
   * @param {URL} options.base the page's address
   * @param {import('./memory.js').Memory} options.memory for what was not taken when the page is reloaded
   * @param {object} options.on
   * @param {(status: import('../clients/js/madang/connection.js').Status) => void} options.on.state
   * @param {() => void} options.on.change the log, the outbox or the people have a new value
   * @param {(message: import('./wire.js').RoomEvent) => void} options.on.news another person's message arrived
   * @param {(error: Error) => void} options.on.refused the room cannot be entered
   */
  constructor({ name, room, base, memory, on }) {
    this.#on = on;
    this.#memory = memory;
    this.failedKey = `failed.${name}.${room}`;
    this.#failed = fromJson(memory.get(this.failedKey));
    this.#yard = madang(base, { name, guest: 'browser', outbox: 'tab', shared: true });
    this.#yard.onstate = ({ data }) => this.#stateChanged(data);
    this.#room = this.#yard.room(room, { last: FIRST_EVENTS });
    this.#listen(this.#room);
  }

  get room() {
    return this.#room.name;
  }

  get me() {
    return this.#yard.user;
  }

  /** What the log does not show yet. */
  get outbox() {
    return [...this.#failed, ...this.#room.outbox.map(unsettled)];
  }

  close() {
    this.#isClosed = true;
    this.#yard.close();
  }

  reconnectNow() {
    this.#yard.connect();
  }

  /** @param {string} text */
  write(text) {
    this.#room.send(text);
  }

  /** A message that was not taken goes to the end of the queue: others were stored meanwhile. @param {string} key */
  retry(key) {
    const one = this.#failed.find((other) => other.key === key);
    this.discard(key);
    if (one) this.#room.send({ text: one.text, key });
  }

  /** @param {string} key */
  discard(key) {
    this.#keepFailed(this.#failed.filter((one) => one.key !== key));
  }

  async loadOlder() {
    // First comes what was asked for on entering.
    if (this.loadsOlder || !this.log.hasOlder || this.#room.state !== 'open' || this.log.lastSeq < this.#oldUpTo) return;
    this.loadsOlder = true;
    this.#on.change();
    const { epoch, firstSeq } = this.log;
    try {
      const reply = await this.#room.history({ before: firstSeq, limit: OLDER_EVENTS });
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

  /** @param {any} room */
  #listen(room) {
    room.onopen = (/** @type {any} */ { data }) => this.#subscribed(data);
    room.onevent = (/** @type {any} */ { data }) => this.#receive(data);
    room.ongap = (/** @type {any} */ range) => this.#setLog(logs.gap(this.log, range));
    room.onreset = () => this.#setLog(logs.emptyLog());
    room.onpresence = (/** @type {any} */ { data }) => this.#presenceChanged(data);
    room.onoutbox = () => this.#on.change();
    room.onfailed = (/** @type {any} */ { data, error }) => this.#keepFailed([...this.#failed, failed(data, error)]);
    room.onerror = (/** @type {any} */ { error }) => room.state === 'refused' && this.#on.refused(error);
  }

  /** @param {import('../clients/js/madang/connection.js').Status} status */
  #stateChanged(status) {
    if (this.#isClosed) return;
    this.#on.state(status);
    this.#on.change();
  }

  /** @param {any} reply to *subscribe* */
  #subscribed(reply) {
    if (this.log.epoch === null) this.#oldUpTo = reply.head;
    this.people = persons.everyone(reply.presence);
    this.#setLog(logs.subscribed(this.log, reply));
  }

  /** @param {import('./wire.js').RoomEvent} event */
  #receive(event) {
    if (event.type === 'message' && event.from.id !== this.me?.id && event.seq > this.#oldUpTo) this.#on.news(event);
    this.#setLog(logs.receive(this.log, event).log);
  }

  /** @param {any} change */
  #presenceChanged(change) {
    this.people = persons.changed(this.people, change);
    if (persons.isDoubtful(this.people)) this.#askWho();
    this.#on.change();
  }

  /** Presence told less than it counted. */
  async #askWho() {
    if (this.#asksWho) return;
    this.#asksWho = true;
    try {
      this.people = persons.everyone(await this.#room.who());
      this.#on.change();
    } catch {
      // The next presence event gives another occasion.
    } finally {
      this.#asksWho = false;
    }
  }

  /** @param {logs.Log} log */
  #setLog(log) {
    this.log = log;
    this.#on.change();
  }

  /** @param {readonly import('./unsettled.js').Unsettled[]} list */
  #keepFailed(list) {
    this.#failed = list;
    this.#memory.set(this.failedKey, toJson(list));
    this.#on.change();
  }
}
