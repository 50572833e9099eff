/**
 * Why something was not done: a code of the protocol (section 2), or one of the client's own:
 *
 * | code              | meaning                                                                       |
 * |-------------------|-------------------------------------------------------------------------------|
 * | `connection_lost` | the connection broke before the answer; the command may or may not be done    |
 * | `closed`          | the yard was closed, or the server asked not to come back                     |
 * | `outbox_full`     | too many messages wait to be sent                                             |
 * | `uncertain`       | sent as another user, or a day ago: sending it again might store it twice     |
 *
 * @typedef {{ code: string, message?: string, field?: string, limit?: number, retry_after_ms?: number }} Fault
 */
export class MadangError extends Error {
  /** @param {Fault} fault as it travels */
  constructor({ code, message, field, limit, retry_after_ms: retryAfterMs }) {
    super(message || code);
    this.name = 'MadangError';
    this.code = code;
    this.field = field ?? null;
    this.limit = limit ?? null;
    this.retryAfterMs = retryAfterMs ?? null;
  }
}

export const connectionLost = () => ({
  code: 'connection_lost',
  message: 'The connection broke before the answer came; whether the command was done is not known.',
});

export const closed = () => ({ code: 'closed', message: 'The connection is closed, and nothing opens it again by itself.' });

/** Errors after which the same command may be taken a little later: it was not done. */
const PASSING = new Set(['busy', 'rate_limited', 'unavailable']);
const PASSES_AFTER_MS = 1000;

/** @param {Fault} fault */
export const isPassing = ({ code }) => PASSING.has(code);

/**
 * Not before the time that the server named, and not all at the same moment.
 * @param {{ retry_after_ms?: number }} fault
 * @param {number} random in [0, 1)
 */
export function passesIn({ retry_after_ms: ms = PASSES_AFTER_MS }, random) {
  return Math.round(ms * (1 + random / 4));
}
