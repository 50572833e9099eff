/**
 * Who is in the room: a value made from the reply to *subscribe* and from presence
 * events. In a room of more than 200 the server tells the count alone.
 *
 * @typedef {import('./wire.js').User} User
 * @typedef {{ count: number, users: ReadonlyMap<string, User> }} People
 */

/** @type {People} */
export const NOBODY = { count: 0, users: new Map() };

/** @param {{ count: number, users?: User[] }|undefined} presence @returns {People} */
export function everyone(presence) {
  const users = presence?.users ?? [];
  return { count: presence?.count ?? users.length, users: byId(users) };
}

/**
 * @param {People} people
 * @param {{ joined?: User[], left?: User[], count?: number, reset?: boolean }} change
 * @returns {People}
 */
export function changed(people, { joined = [], left = [], count, reset = false }) {
  // One was behind and missed changes: these are all who are here.
  if (reset) return everyone({ count: count ?? joined.length, users: joined });
  // Only the count: the room has become too large for names.
  if (joined.length + left.length === 0) return { count: count ?? people.count, users: new Map() };
  const users = new Map(people.users);
  for (const user of left) users.delete(user.id);
  for (const user of joined) users.set(user.id, user);
  return { count: count ?? users.size, users };
}

/** Whether the names disagree with the count of a room small enough to be named: then ask who is there. @param {People} people */
export function isDoubtful({ count, users }) {
  return count !== users.size && count <= 200;
}

/**
 * Oneself first, then by name.
 * @param {People} people
 * @param {string|null} ownId
 * @param {string} language
 * @returns {User[]}
 */
export function listed({ users }, ownId, language) {
  const order = new Intl.Collator(language, { numeric: true });
  const own = (/** @type {User} */ user) => (user.id === ownId ? 0 : 1);
  return [...users.values()].sort((a, b) => own(a) - own(b) || order.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
}

/** @param {User[]} users @returns {Map<string, User>} */
function byId(users) {
  return new Map(users.map((user) => [user.id, user]));
}
