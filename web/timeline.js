/**
 * What the message list shows, line by line: the log and the outbox, with a line for
 * each new day, grouped by sender and minute. Pure.
 *
 * @typedef {import('./log.js').Message} Message
 * @typedef {import('./log.js').Notice} Notice
 * @typedef {import('./unsettled.js').Unsettled} Unsettled
 *
 * @typedef {{ kind: 'day', id: string, at: number }} DayRow
 * @typedef {{ kind: 'gap', id: string, from: number, to: number }} GapRow
 * @typedef {{ kind: 'notice', id: string, notice: Notice }} NoticeRow
 * @typedef {object} MessageRow
 * @property {'message'} kind
 * @property {string} id the same before and after the message is stored
 * @property {boolean} own
 * @property {boolean} head first of its group: shows the name
 * @property {boolean} tail last of its group: shows the time
 * @property {number} at milliseconds
 * @property {string} name
 * @property {string} userId
 * @property {Message|null} message null while it is in the outbox alone
 * @property {Unsettled|null} unsettled
 * @property {Message|null} repliesTo
 * @typedef {DayRow | GapRow | NoticeRow | MessageRow} Row
 */

const MINUTE_MS = 60_000;

/**
 * @param {import('./log.js').Log} log
 * @param {readonly Unsettled[]} outbox
 * @param {import('./wire.js').User|null} me
 * @param {(at: number) => string} dayOf names the local day of a time
 * @returns {Row[]}
 */
export function timeline(log, outbox, me, dayOf) {
  const bySeq = new Map(log.items.map((item) => [item.seq, item]));
  const logged = log.items.map((item) => {
    if (item.kind === 'gap') return gapRow(item);
    if (item.kind === 'notice') return noticeRow(item);
    const target = item.replyTo === null ? null : bySeq.get(item.replyTo);
    return messageRow(item, me, target?.kind === 'message' ? target : null);
  });
  return grouped(withDays([...logged, ...outbox.map((one) => unsettledRow(one, me))], dayOf));
}

/** @param {import('./log.js').Gap} gap @returns {Row} */
const gapRow = ({ from, to }) => ({ kind: 'gap', id: `gap-${from}`, from, to });

/** @param {Notice} notice @returns {Row} */
const noticeRow = (notice) => ({ kind: 'notice', id: `seq-${notice.seq}`, notice });

/** @param {Message} message @param {import('./wire.js').User|null} me @param {Message|null} repliesTo @returns {Row} */
function messageRow(message, me, repliesTo) {
  const own = message.from.id === me?.id;
  return {
    kind: 'message',
    // A key is unique among one user's messages, so only one's own name a row.
    id: own && message.key !== null ? `key-${message.key}` : `seq-${message.seq}`,
    own,
    head: true,
    tail: true,
    at: Date.parse(message.at),
    name: message.from.name,
    userId: message.from.id,
    message,
    unsettled: null,
    repliesTo,
  };
}

/** @param {Unsettled} unsettled @param {import('./wire.js').User|null} me @returns {Row} */
function unsettledRow(unsettled, me) {
  return {
    kind: 'message',
    id: `key-${unsettled.key}`,
    own: true,
    head: true,
    tail: true,
    at: Date.parse(unsettled.at),
    name: me?.name ?? '',
    userId: me?.id ?? '',
    message: null,
    unsettled,
    repliesTo: null,
  };
}

/** @param {Row[]} rows @param {(at: number) => string} dayOf @returns {Row[]} */
function withDays(rows, dayOf) {
  let today = '';
  return rows.flatMap((row) => {
    if (row.kind === 'gap' || row.kind === 'day') return [row];
    const at = row.kind === 'notice' ? Date.parse(row.notice.at) : row.at;
    const day = dayOf(at);
    if (day === today) return [row];
    today = day;
    return [/** @type {Row} */ ({ kind: 'day', id: `day-${day}-${row.id}`, at }), row];
  });
}

/** @param {Row[]} rows @returns {Row[]} */
function grouped(rows) {
  return rows.map((row, i) => {
    if (row.kind !== 'message') return row;
    return { ...row, head: !together(rows[i - 1], row), tail: !together(row, rows[i + 1]) };
  });
}

/** Whether two rows are one sender's in one minute. @param {Row|undefined} a @param {Row|undefined} b */
function together(a, b) {
  return a?.kind === 'message' && b?.kind === 'message' && a.userId === b.userId
    && Math.floor(a.at / MINUTE_MS) === Math.floor(b.at / MINUTE_MS);
}
