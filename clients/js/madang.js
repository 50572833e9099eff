/**
 * The client of Madang: start reading here.
 *
 *   Yard ─┬─ Room ─ Outbox          what a page uses; a room's place in its log, and what is not sent yet
 *         ├─ Calls                  questions to services, until they are answered
 *         ├─ Serving                a service of one's own, and the calls it works at
 *         └─ Connection ─ Flight    the life of one WebSocket; what was asked over it and not answered
 *            or SharedLine ═ Hub ─ Connection    the same, kept in a SharedWorker for all tabs
 *
 * `reconnect.js`, `refusal.js` and `key.js` are pure.
 */
import { Yard } from './madang/yard.js';

export { MadangError } from './madang/error.js';

/**
 * Connects to a server and stays connected.
 * @param {string|URL} url the address of the server, such as `https://example.com`
 * @param {object} [options] see `madang.d.ts`
 */
export function madang(url, options = {}) {
  return new Yard(url, options);
}
