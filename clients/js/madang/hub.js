/**
 * The other end of `SharedLine`: one connection, and the tabs that use it. Each tab has its rooms and
 * its places in them; the session has one subscription to a room for all of them, which the last to
 * subscribe moves. Tabs drop what they have had, and ask again for what they find missing.
 */
import { Connection } from './connection.js';
import { connectionLost } from './error.js';
import { Shares, unavailable } from './shares.js';

/** @typedef {import('./connection.js').Credential} Credential */
/** @typedef {import('./connection.js').Message} Message */

export class Hub {
  #Socket;
  #gone;
  #lock;
  /** @type {Set<Tab>} */
  #tabs = new Set();
  /** @type {Connection|null} while there are tabs */
  #connection = null;
  /** @type {Message|null} */
  #hello = null;
  /** @type {Shares<Tab>} */
  #shares = new Shares();
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
      case 'withdraw':
        return this.#withdraw(tab, values[0]);
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

  /** @param {Tab} tab @param {number} number @param {Message} command */
  #ask(tab, number, command) {
    const { type, room } = command;
    if (type === 'subscribe') tab.rooms.add(room);
    if (type === 'unsubscribe') {
      tab.rooms.delete(room);
      if (this.#isListened(room)) return tab.call('reply', number, null, { type: 'ok', room });
    }
    if (!this.#connection) return tab.call('reply', number, connectionLost(), null);
    /** @type {import('./connection.js').Done} */
    const done = (error, reply) => {
      tab.asked.delete(number);
      if (error?.code !== 'connection_lost') this.#answered(tab, command, reply);
      tab.call('reply', number, error, reply);
    };
    tab.asked.set(number, done);
    this.#connection.ask(this.#ofAll(tab, command), done, (message) => tab.call('heard', number, message));
  }

  /** What a tab says of its service, as all tabs say it. @param {Tab} tab @param {Message} command @returns {Message} */
  #ofAll(tab, command) {
    if (command.type === 'serve') return this.#shares.add(tab, command);
    if (command.type === 'unserve') return this.#shares.without(tab, command.service);
    return command;
  }

  /** @param {Tab} tab @param {Message} command @param {Message|null} reply `null`: it was refused */
  #answered(tab, { type, service, call }, reply) {
    if (type === 'serve' && reply) this.#resumed(tab, service, reply.resumed ?? []);
    if (type === 'unserve' || (type === 'serve' && !reply)) this.#shares.remove(tab, service);
    if (type === 'respond') this.#shares.end(call);
  }

  /** @param {Tab} tab @param {string} service @param {string[]} calls */
  #resumed(tab, service, calls) {
    if (this.#tabs.has(tab)) return this.#shares.resume(tab, service, calls);
    for (const call of calls) this.#connection?.ask(unavailable(call), () => {});
  }

  /** @param {Tab} tab @param {number} number */
  #withdraw(tab, number) {
    const done = tab.asked.get(number);
    if (done) this.#connection?.withdraw(done);
  }

  /** @param {Tab} tab */
  #detach(tab) {
    if (!this.#tabs.delete(tab)) return;
    if (this.#tabs.size === 0) {
      this.#connection?.close();
      this.#connection = null;
      this.#shares.clear();
      return;
    }
    for (const room of tab.rooms) if (!this.#isListened(room)) this.#connection?.ask({ type: 'unsubscribe', room }, () => {});
    for (const command of this.#shares.leave(tab)) this.#connection?.ask(command, () => {});
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
      // A new session: each tab subscribes and serves anew.
      for (const tab of this.#tabs) tab.rooms.clear();
      this.#shares.clear();
      this.#tell('hello', hello);
    },
    message: (message) => {
      const { type, room, call } = message;
      if (type === 'request') return this.#handOut(message);
      if (type === 'cancelled') return this.#shares.end(call)?.call('message', message);
      const isListened = room !== undefined && this.#isListened(room);
      for (const tab of this.#tabs) if (!isListened || tab.rooms.has(room)) tab.call('message', message);
    },
  };

  /** @param {Message} request */
  #handOut(request) {
    const tab = this.#shares.take(request);
    if (tab) tab.call('message', request);
    else this.#connection?.ask(unavailable(request.call), () => {});
  }

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
  /** What it has asked, by its numbers. @type {Map<number, import('./connection.js').Done>} */
  asked = new Map();

  /** @param {MessagePort} port */
  constructor(port) {
    this.#port = port;
  }

  /** @param {string} method @param {...unknown} values */
  call(method, ...values) {
    this.#port.postMessage([method, ...values]);
  }
}
