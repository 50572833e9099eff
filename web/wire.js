/**
 * The shapes that travel over the WebSocket, as far as this page uses them, and
 * the checks the page can make before it asks the server.
 *
 * @typedef {{ id: string, name: string, guest?: boolean }} User
 *
 * @typedef {object} Hello
 * @property {'hello'} type
 * @property {string} session
 * @property {User} user
 * @property {string} [token] what lets the same guest come back as the same user
 * @property {number} heartbeat_ms
 * @property {{ message_bytes: number, rooms: number, in_flight: number }} limits
 *
 * @typedef {{ type: string, id?: string|number, room?: string, seq?: number, [field: string]: any }} ServerMessage
 *
 * @typedef {object} RoomEvent one numbered entry of a room's log
 * @property {'message'|'edit'|'delete'|'react'|'member'|'room'} type
 * @property {string} room
 * @property {number} seq
 * @property {string} at RFC 3339, UTC
 * @property {User} from
 * @property {string} [text]
 * @property {any} [data]
 * @property {string} [key]
 * @property {number} [reply_to]
 * @property {number} [target]
 * @property {string} [emoji]
 * @property {boolean} [on]
 * @property {User} [user]
 * @property {string} [change]
 * @property {string} [title]
 * @property {string|boolean} [edited_at] only in `history`, as are the next two
 * @property {string|boolean} [deleted]
 * @property {any} [reactions]
 */

const LOG_EVENTS = new Set(['message', 'edit', 'delete', 'react', 'member', 'room']);

/** @param {ServerMessage} message @returns {message is ServerMessage & RoomEvent} */
export function isRoomEvent(message) {
  return LOG_EVENTS.has(message.type) && typeof message.seq === 'number';
}

/** The server's `error` reply, or an answer that can no longer come. */
export class CommandError extends Error {
  /** @param {{ code: string, message?: string, field?: string, retry_after_ms?: number }} reply */
  constructor(reply) {
    super(reply.message ?? reply.code);
    this.name = 'CommandError';
    this.code = reply.code;
    this.field = reply.field ?? null;
    this.retryAfterMs = reply.retry_after_ms ?? null;
  }
}

/** The code of a `CommandError` for a command whose connection broke first: it may or may not have been done. */
export const CONNECTION_LOST = 'connection_lost';

/** User names: 1–40 characters, no control characters. @param {string} name */
export function isUserName(name) {
  const length = [...name].length;
  return length >= 1 && length <= 40 && !/\p{Cc}/u.test(name);
}

/** Room names: 1–64 of letters of any script (with their marks), digits, `-`, `_`, `.`. @param {string} room */
export function isRoomName(room) {
  const length = [...room].length;
  return length >= 1 && length <= 64 && /^[\p{L}\p{M}\p{Nd}\-_.]+$/u.test(room);
}

/**
 * A UUID of version 7 (RFC 9562 §5.7): time-ordered, so that the server's index of keys grows at its end.
 * @param {number} now milliseconds since the epoch
 * @param {Uint8Array} random 16 random bytes; the first six give way to the time
 */
export function messageKey(now, random) {
  const bytes = Uint8Array.from(random);
  for (let i = 0, rest = now; i < 6; i += 1, rest = Math.floor(rest / 256)) bytes[5 - i] = rest % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
