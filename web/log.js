/**
 * A room's log as far as this page has it: a value. Every function takes a log and
 * gives a new one; nothing here knows of sockets, clocks or elements.
 *
 * @typedef {import('./wire.js').User} User
 * @typedef {import('./wire.js').RoomEvent} RoomEvent
 *
 * @typedef {object} Message
 * @property {'message'} kind
 * @property {number} seq
 * @property {string} at
 * @property {User} from
 * @property {string|null} text
 * @property {any} data
 * @property {string|null} key
 * @property {number|null} replyTo
 * @property {boolean} edited
 * @property {boolean} deleted
 * @property {Readonly<Record<string, string[]>>} reactions emoji → ids of the users
 *
 * @typedef {{ kind: 'notice', seq: number, at: string, event: RoomEvent }} Notice something other than a message, told in a line
 * @typedef {{ kind: 'gap', seq: number, from: number, to: number }} Gap events that nobody can get any more; `seq` is its place
 * @typedef {Message | Notice | Gap} Item
 *
 * @typedef {object} Log
 * @property {string|null} epoch which life of the room's log this is
 * @property {number} lastSeq everything up to here is had, or known to be gone
 * @property {number} firstSeq everything from here on was asked for; before it, `history` has it
 * @property {boolean} hasOlder whether `history` may have something before `firstSeq`
 * @property {readonly Item[]} items in the order of `seq`
 */

/** @returns {Log} */
export function emptyLog() {
  return { epoch: null, lastSeq: 0, firstSeq: 1, hasOlder: false, items: [] };
}

/**
 * The reply to *subscribe* arrived: the events that follow start at `next`.
 * @param {Log} log an empty one, if the subscription asked for the last N
 * @param {{ epoch?: string, head: number, next: number, gap?: { from: number, to: number } }} reply
 * @returns {Log}
 */
export function subscribed(log, reply) {
  const fresh = log.epoch === null;
  const next = { ...log, epoch: reply.epoch ?? log.epoch ?? '' };
  if (fresh) return { ...next, lastSeq: reply.next - 1, firstSeq: reply.next, hasOlder: reply.next > 1 };
  const missing = reply.gap ?? { from: log.lastSeq + 1, to: reply.next - 1 };
  return gap(next, missing);
}

/**
 * Some events are no longer kept.
 * @param {Log} log
 * @param {{ from: number, to: number }} range
 * @returns {Log}
 */
export function gap(log, { from, to }) {
  if (to <= log.lastSeq) return log;
  const start = Math.max(from, log.lastSeq + 1);
  return { ...log, lastSeq: to, items: [...log.items, { kind: 'gap', seq: start, from: start, to }] };
}

/**
 * An event arrived on the subscription.
 * @param {Log} log
 * @param {RoomEvent} event
 * @returns {{ outcome: 'applied'|'seen'|'hole', log: Log }} `seen`: had before, nothing
 *   changed. `hole`: events are missing before this one, nothing changed; ask for them.
 */
export function receive(log, event) {
  if (event.seq <= log.lastSeq) return { outcome: 'seen', log };
  if (event.seq > log.lastSeq + 1) return { outcome: 'hole', log };
  const next = { ...log, lastSeq: event.seq, items: applied(log.items, event) };
  return { outcome: 'applied', log: next };
}

/**
 * Older events arrived from `history`; messages come with their edits folded in.
 * @param {Log} log
 * @param {readonly RoomEvent[]} events oldest first
 * @param {boolean} [more] whether there are still older ones, where the server says so
 * @returns {Log}
 */
export function prepend(log, events, more) {
  const older = events.filter((event) => event.seq < log.firstSeq);
  if (older.length === 0) return { ...log, hasOlder: false };
  const items = older.reduce(applied, /** @type {readonly Item[]} */ ([]));
  const firstSeq = older[0].seq;
  return { ...log, firstSeq, items: [...items, ...log.items], hasOlder: more ?? firstSeq > 1 };
}

/** Keep the newest items only; `history` brings the others back. @param {Log} log @param {number} keep @returns {Log} */
export function trim(log, keep) {
  if (log.items.length <= keep) return log;
  const items = log.items.slice(-keep);
  return { ...log, items, firstSeq: items[0].seq, hasOlder: true };
}

/** @param {Log} log @param {number} seq @returns {Message|null} */
export function messageAt(log, seq) {
  const item = log.items.find((one) => one.seq === seq);
  return item?.kind === 'message' ? item : null;
}

/** @param {readonly Item[]} items @param {RoomEvent} event @returns {readonly Item[]} */
function applied(items, event) {
  switch (event.type) {
    case 'message':
      return [...items, messageFrom(event)];
    case 'edit':
      return changed(items, event.target, (message) => ({
        ...message,
        text: event.text ?? null,
        data: event.data ?? null,
        edited: true,
      }));
    case 'delete':
      return changed(items, event.target, (message) => ({ ...message, text: null, data: null, deleted: true }));
    case 'react':
      return changed(items, event.target, (message) => ({ ...message, reactions: reacted(message.reactions, event) }));
    default:
      return [...items, { kind: 'notice', seq: event.seq, at: event.at, event }];
  }
}

/** @param {RoomEvent} event @returns {Message} */
function messageFrom(event) {
  const deleted = Boolean(event.deleted);
  return {
    kind: 'message',
    seq: event.seq,
    at: event.at,
    from: event.from,
    text: deleted ? null : event.text ?? null,
    data: deleted ? null : event.data ?? null,
    key: event.key ?? null,
    replyTo: event.reply_to ?? null,
    edited: Boolean(event.edited_at),
    deleted,
    reactions: foldedReactions(event.reactions),
  };
}

/**
 * The target may lie before what this page has loaded: then nothing is to be done, as
 * `history` brings it with the change folded in.
 * @param {readonly Item[]} items
 * @param {number|undefined} target
 * @param {(message: Message) => Message} change
 */
function changed(items, target, change) {
  return items.map((item) => (item.seq === target && item.kind === 'message' ? change(item) : item));
}

/** @param {Message['reactions']} reactions @param {RoomEvent} event @returns {Message['reactions']} */
function reacted(reactions, event) {
  const emoji = event.emoji ?? '';
  const others = (reactions[emoji] ?? []).filter((id) => id !== event.from.id);
  const users = event.on === false ? others : [...others, event.from.id];
  const { [emoji]: _, ...rest } = reactions;
  return users.length > 0 ? { ...rest, [emoji]: users } : rest;
}

/**
 * Reactions as `history` folds them: emoji → users, or a list of `{emoji, users}`.
 * @param {any} folded
 * @returns {Message['reactions']}
 */
function foldedReactions(folded) {
  if (!folded || typeof folded !== 'object') return {};
  const pairs = Array.isArray(folded) ? folded.map((one) => [one.emoji, one.users]) : Object.entries(folded);
  const ids = (/** @type {any} */ users) => (Array.isArray(users) ? users.map((user) => user?.id ?? String(user)) : []);
  return Object.fromEntries(pairs.map(([emoji, users]) => [emoji, ids(users)]).filter(([, users]) => users.length > 0));
}
