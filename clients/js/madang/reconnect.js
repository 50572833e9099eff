/**
 * When to come back after a connection ended: values in, values out. The clock, the
 * timers and the socket are in `connection.js`.
 *
 * @typedef {{ kind: 'stop', why: StopReason } | { kind: 'wait', delayMs: number }} Plan
 * @typedef {'ended'|'fault'|'credential'|'banned'|'refused'} StopReason
 */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** What "back off" adds to the number of the attempt: the first wait is then up to 8 s. */
const BACK_OFF_ATTEMPTS = 4;

/**
 * Full jitter: a random part of a span that doubles with each attempt, so that clients
 * that were cut off together do not come back together.
 * @param {number} attempt 0 for the first
 * @param {number} random in [0, 1)
 */
export function jitter(attempt, random) {
  return Math.round(random * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16)));
}

/**
 * The reason of a close, where it is JSON with `retry_after_ms`; also a plain number of
 * milliseconds in words such as "retry_after_ms=2000".
 * @param {string} reason
 * @returns {number|null}
 */
export function retryAfterMs(reason) {
  try {
    const value = JSON.parse(reason)?.retry_after_ms;
    if (typeof value === 'number' && value >= 0) return value;
  } catch {
    const found = /retry_after_ms\D{0,3}(\d+)/.exec(reason);
    if (found) return Number(found[1]);
  }
  return null;
}

/**
 * What the protocol asks of a client after each close code (section 6).
 * @param {{ code: number, reason: string }} close
 * @param {number} attempt how many attempts failed in a row before
 * @param {number} random in [0, 1)
 * @returns {Plan}
 */
export function planAfterClose({ code, reason }, attempt, random) {
  const wait = (/** @type {number} */ delayMs) => ({ kind: /** @type {const} */ ('wait'), delayMs });
  const stop = (/** @type {StopReason} */ why) => ({ kind: /** @type {const} */ ('stop'), why });

  if (code === 1000 || code === 1001) return stop('ended');
  if (code === 1002 || code === 1003 || code === 1007 || code === 1009) return stop('fault');
  if (code === 4001) return stop('credential');
  if (code === 4003) return stop('banned');
  const within = code === 1012 || code === 1013 ? retryAfterMs(reason) : null;
  // A restart that keeps failing must not be asked for ever at the same pace.
  if (within !== null) return wait(Math.round(random * within) + (attempt && jitter(attempt, random)));
  if (code === 1012) return wait(jitter(attempt, random));
  if (code === 1013 || code === 4009 || (code >= 4100 && code <= 4199)) {
    return wait(jitter(attempt + BACK_OFF_ATTEMPTS, random));
  }
  if (code >= 4200 && code <= 4299) return wait(attempt === 0 ? 0 : jitter(attempt, random));
  if (code === 4008) return wait(jitter(attempt, random));
  if (code >= 4000 && code <= 4099) return stop('ended');
  return wait(jitter(attempt, random));
}
