/**
 * The messages written here that the room's log does not show yet: a value. They go
 * out one at a time and in order, and each keeps its key, so that sending one again
 * after a break stores nothing twice.
 *
 * | state     | meaning                                            | leaves by                         |
 * |-----------|----------------------------------------------------|-----------------------------------|
 * | `waiting` | not sent, or sent with the answer lost in a break  | `started`                         |
 * | `sent`    | on its way, the answer is due                      | `stored`, `failed`, `postponed`   |
 * | `stored`  | the server has it as `seq`; its event is due       | `settled`                         |
 * | `failed`  | the server said no                                 | `retried`, `discarded`            |
 *
 * @typedef {object} Unsettled
 * @property {string} key
 * @property {string} text
 * @property {string} at when it was written, by this machine's clock
 * @property {{ kind: 'waiting' } | { kind: 'sent' } | { kind: 'stored', seq: number } | { kind: 'failed', code: string, message: string }} state
 *
 * @typedef {readonly Unsettled[]} Outbox
 */

/** @param {Outbox} outbox @param {{ key: string, text: string, at: string }} message @returns {Outbox} */
export function written(outbox, { key, text, at }) {
  return [...outbox, { key, text, at, state: { kind: 'waiting' } }];
}

/** The one to send now, if none is on its way. @param {Outbox} outbox @returns {Unsettled|null} */
export function nextToSend(outbox) {
  if (outbox.some((one) => one.state.kind === 'sent')) return null;
  return outbox.find((one) => one.state.kind === 'waiting') ?? null;
}

/** @param {Outbox} outbox @param {string} key */
export const started = (outbox, key) => withState(outbox, key, { kind: 'sent' });

/** The server cannot take it now, or the answer was lost. @param {Outbox} outbox @param {string} key */
export const postponed = (outbox, key) => withState(outbox, key, { kind: 'waiting' });

/** @param {Outbox} outbox @param {string} key @param {number} seq */
export const stored = (outbox, key, seq) => withState(outbox, key, { kind: 'stored', seq });

/** @param {Outbox} outbox @param {string} key @param {{ code: string, message: string }} error */
export const failed = (outbox, key, { code, message }) => withState(outbox, key, { kind: 'failed', code, message });

/** A message that failed goes to the end of the queue: others were stored meanwhile. @param {Outbox} outbox @param {string} key @returns {Outbox} */
export function retried(outbox, key) {
  const one = outbox.find((other) => other.key === key);
  return one ? written(discarded(outbox, key), one) : outbox;
}

/** @param {Outbox} outbox @param {string} key @returns {Outbox} */
export const discarded = (outbox, key) => outbox.filter((one) => one.key !== key);

/** The connection broke: whatever had no answer is to be sent again. @param {Outbox} outbox @returns {Outbox} */
export function interrupted(outbox) {
  return outbox.map((one) => (one.state.kind === 'sent' ? { ...one, state: { kind: 'waiting' } } : one));
}

/**
 * Drop what the log has reached: by its key, or because the log is past its place.
 * @param {Outbox} outbox
 * @param {ReadonlySet<string>} keys of own events that arrived
 * @param {number} lastSeq
 * @returns {Outbox}
 */
export function settled(outbox, keys, lastSeq) {
  const remaining = outbox.filter((one) => !keys.has(one.key) && !(one.state.kind === 'stored' && one.state.seq <= lastSeq));
  return remaining.length === outbox.length ? outbox : remaining;
}

/** What survives a reload of the page. @param {Outbox} outbox */
export function toJson(outbox) {
  return JSON.stringify(outbox.map(({ key, text, at }) => ({ key, text, at })));
}

/** @param {string|null} json @returns {Outbox} */
export function fromJson(json) {
  try {
    const list = JSON.parse(json ?? '[]');
    const whole = (/** @type {any} */ one) => [one?.key, one?.text, one?.at].every((field) => typeof field === 'string');
    return list.filter(whole).reduce(written, /** @type {Outbox} */ ([]));
  } catch {
    return [];
  }
}

/** @param {Outbox} outbox @param {string} key @param {Unsettled['state']} state @returns {Outbox} */
function withState(outbox, key, state) {
  return outbox.map((one) => (one.key === key ? { ...one, state } : one));
}
