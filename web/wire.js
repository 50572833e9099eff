/**
 * The shapes that travel over the WebSocket, as far as this page uses them, and
 * the checks the page can make before it asks the server.
 *
 * @typedef {{ id: string, name: string, guest?: boolean }} User
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
