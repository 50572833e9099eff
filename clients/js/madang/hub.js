/**
 * The other end of `SharedLine`: one connection, and the tabs that use it. Each tab has its rooms and
 * its places in them; the session has one subscription to a room for all of them, which the last to
 * subscribe moves. Tabs drop what they have had, and ask again for what they find missing.
 */
import { Connection } from './connection.js';
import { connectionLost } from './error.js';

/** @typedef {import('./connection.js').Credential} Credential */

export class Hub {
  #Socket;
  #gone;
  #lock;
  /** @type {Set<Tab>} */
  #tabs = new Set();
  /** @type {Connection|null} while there are tabs */
  #connection = null;
  /** @type {import('./connection.js').Message|null} */
  #hello = null;
  #nextNumber = 1;
  /** @type {Map<number, (credential: Credential|null) => void>} */
  #wanted = new Map();

  /**
   * @param {object} options
   * @param {typeof globalThis.WebSocket} options.WebSocket
   * @param {string} options.lock held as long as this hub is there
   * @param {(lock: string, then: () => void) => void} options.gone calls back when nobody holds the lock any more
   */
  constructor({ WebSocket, lock, gone }) {
    this.#Socket = WebSocket;
    this.#lock = lock;
    this.#gone = gone;
  }

  /** @param {MessagePort} port */
  welcome(port) {
    const tab = new Tab(port);
    port.onmessage = ({ data: [method, ...values] }) => {
      if (method === 'attach') this.#attach(tab, values[0]);
      else if (this.#tabs.has(tab)) this.#do(tab, method, values);
    };
  }

  /** @param {Tab} tab @param {{ base: string, lock: string }} options */
  #attach(tab, { base, lock }) {
    this.#tabs.add(tab);
    this.#gone(lock, () => this.#detach(tab));
    tab.call('attached', this.#lock);
    if (!this.#connection) {
      this.#connection = new Connection({ base: new URL(base), WebSocket: this.#Socket }, this.#on);
      return this.#connection.connect();
    }
    for (const number of this.#wanted.keys()) tab.call('credential', number);
    const { status } = this.#connection;
    tab.call('status', status);
    if (status.state === 'open') tab.call('hello', this.#hello);
    else if (status.state === 'closed') this.#connection.connect();
  }

  /** @param {Tab} tab @param {string} method @param {any[]} values */
  #do(tab, method, values) {
    switch (method) {
      case 'ask':
        return this.#ask(tab, values[0], values[1]);
      case 'pass':
        return this.#connection?.pass(values[0]);
      case 'connect':
        return this.#connection?.connect();
      case 'hint':
        return this.#connection?.hint(values[0]);
      case 'detach':
        return this.#detach(tab);
      case 'credential':
        return this.#wanted.get(values[0])?.(values[1]);
    }
  }

  /** @param {Tab} tab @param {number} number @param {import('./connection.js').Message} command */
  #ask(tab, number, command) {
    const { type, room } = command;
    if (type === 'subscribe') tab.rooms.add(room);
    if (type === 'unsubscribe') {
      tab.rooms.delete(room);
      if (this.#isListened(room)) return tab.call('reply', number, null, { type: 'ok', room });
    }
    if (!this.#connection) return tab.call('reply', number, connectionLost(), null);
    this.#connection.ask(command, (error, reply) => tab.call('reply', number, error, reply));
  }

  /** @param {Tab} tab */
  #detach(tab) {
    if (!this.#tabs.delete(tab)) return;
    if (this.#tabs.size === 0) {
      this.#connection?.close();
      this.#connection = null;
      return;
    }
    for (const room of tab.rooms) if (!this.#isListened(room)) this.#connection?.ask({ type: 'unsubscribe', room }, () => {});
  }

  /** @param {string} room */
  #isListened(room) {
    return [...this.#tabs].some((tab) => tab.rooms.has(room));
  }

  /** @type {import('./connection.js').On} */
  #on = {
    credential: () => this.#credential(),
    token: (token) => this.#tell('token', token),
    forget: () => this.#tell('forget'),
    status: (status) => this.#tell('status', status),
    close: (close) => this.#tell('close', close),
    hello: (hello) => {
      this.#hello = hello;
      // A new session: each tab subscribes anew.
      for (const tab of this.#tabs) tab.rooms.clear();
      this.#tell('hello', hello);
    },
    message: (message) => {
      const { room } = message;
      const isListened = room !== undefined && this.#isListened(room);
      for (const tab of this.#tabs) if (!isListened || tab.rooms.has(room)) tab.call('message', message);
    },
  };

  /** Asks all tabs, as one may be frozen, and takes the first answer. @returns {Promise<Credential>} */
  #credential() {
    const number = this.#nextNumber++;
    return new Promise((resolve, reject) => {
      this.#wanted.set(number, (credential) => {
        this.#wanted.delete(number);
        if (credential) resolve(credential);
        else reject(new Error('There is no credential at the moment.'));
      });
      this.#tell('credential', number);
    });
  }

  /** @param {string} method @param {...unknown} values */
  #tell(method, ...values) {
    for (const tab of this.#tabs) tab.call(method, ...values);
  }
}

class Tab {
  #port;
  /** Those to which it is subscribed. @type {Set<string>} */
  rooms = new Set();

  /** @param {MessagePort} port */
  constructor(port) {
    this.#port = port;
  }

  /** @param {string} method @param {...unknown} values */
  call(method, ...values) {
    this.#port.postMessage([method, ...values]);
  }
}
