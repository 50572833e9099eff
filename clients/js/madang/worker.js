/** The SharedWorker: one hub for all tabs that ask for the same server under the same name. */
import { Hub } from './hub.js';
import { newKey } from './key.js';

const lock = `madang.hub ${newKey()}`;
const hub = new Hub({
  WebSocket,
  lock,
  gone: (name, then) => void navigator.locks.request(name, then),
});
// Nobody is welcome before the lock is held: who asked for it first would take the hub for dead.
const held = new Promise((holds) => {
  navigator.locks.request(lock, () => {
    holds(undefined);
    return new Promise(() => {});
  });
});
/** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => void held.then(() => hub.welcome(port));
