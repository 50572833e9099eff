/** One line of the message list as an element. */
import { avatar, element, linked } from './dom.js';
import { isEmojiOnly } from './text.js';

/**
 * @typedef {import('./timeline.js').Row} Row
 * @typedef {import('./timeline.js').MessageRow} MessageRow
 * @typedef {import('./i18n.js').Words} Words
 * @typedef {{ retry(key: string): void, discard(key: string): void }} Actions
 */

const SHORT_DATA = 48;

/**
 * Fill `<li>` anew; the element itself stays, so that a message that settles is not
 * announced a second time.
 * @param {HTMLElement} li
 * @param {Row} row
 * @param {Words} words
 * @param {Actions} actions
 */
export function fillRow(li, row, words, actions) {
  const fresh = li.classList.contains('fresh');
  switch (row.kind) {
    case 'day':
      li.className = 'day';
      li.replaceChildren(time(row.at, words.day(row.at), words));
      break;
    case 'gap':
      li.className = 'notice gap';
      li.textContent = words.t('log.gap', row.from, row.to);
      break;
    case 'notice':
      li.className = 'notice';
      li.textContent = noticeText(row.notice.event, words);
      break;
    case 'message':
      fillMessage(li, row, words, actions);
  }
  li.classList.toggle('fresh', fresh);
}

/** @param {HTMLElement} li @param {MessageRow} row @param {Words} words @param {Actions} actions */
function fillMessage(li, row, words, actions) {
  const state = row.unsettled?.state.kind ?? null;
  const pending = state === 'waiting' || state === 'sent';
  const flags = { own: row.own, head: row.head, tail: row.tail, pending, failed: state === 'failed' };
  li.className = ['message', ...Object.entries(flags).flatMap(([name, on]) => (on ? [name] : []))].join(' ');

  const name = element('span', { class: row.head && !row.own ? 'sender' : 'unseen' }, row.name);
  const meta = element('span', { class: 'meta' }, pending ? clockFace(words) : null, time(row.at, words.clock(row.at), words));
  const line = element('div', { class: 'line' }, bubble(row, words), meta);
  const body = element('div', { class: 'body' }, name, line, reactions(row), failure(row, words, actions));
  const face = row.own ? null : avatar({ id: row.userId, name: row.name });
  li.replaceChildren(...(face ? [face, body] : [body]));
}

/** @param {MessageRow} row @param {Words} words */
function bubble({ message, unsettled, repliesTo }, words) {
  if (message?.deleted) return element('div', { class: 'bubble deleted' }, words.t('message.deleted'));
  const text = message ? message.text : unsettled?.text ?? '';
  const large = text !== null && repliesTo === null && isEmojiOnly(text);
  return element(
    'div',
    { class: large ? 'bubble large' : 'bubble' },
    repliesTo && element('blockquote', { class: 'quote' }, element('b', {}, repliesTo.from.name), ' ', firstLine(repliesTo, words)),
    text === null ? null : element('span', { class: 'text', dir: 'auto' }, ...linked(text)),
    message?.data === null || message?.data === undefined ? null : dataBlock(message.data),
    message?.edited ? element('span', { class: 'edited' }, words.t('message.edited')) : null,
  );
}

/** Data that fits on a line stays on one. @param {any} data */
function dataBlock(data) {
  const line = JSON.stringify(data);
  const text = line.length <= SHORT_DATA ? line : JSON.stringify(data, null, 2);
  return element('pre', { class: 'data' }, element('code', {}, text));
}

/** @param {import('./log.js').Message} message @param {Words} words */
function firstLine(message, words) {
  if (message.deleted) return words.t('message.deleted');
  return (message.text ?? JSON.stringify(message.data)).split('\n', 1)[0];
}

/** @param {MessageRow} row */
function reactions({ message }) {
  const all = Object.entries(message?.reactions ?? {});
  if (all.length === 0) return null;
  return element('div', { class: 'reactions' }, ...all.map(([emoji, users]) => element('span', {}, `${emoji} ${users.length}`)));
}

/** @param {MessageRow} row @param {Words} words @param {Actions} actions */
function failure({ unsettled }, words, actions) {
  if (unsettled?.state.kind !== 'failed') return null;
  const { key, state } = unsettled;
  const why = state.code === 'too_long' ? words.t('message.tooLong') : state.message;
  const retry = element('button', { type: 'button', class: 'link-button', click: () => actions.retry(key) }, words.t('message.retry'));
  const discard = element('button', { type: 'button', class: 'link-button', click: () => actions.discard(key) }, words.t('message.discard'));
  return element('div', { class: 'failure', role: 'alert' }, words.t('message.failed', why), ' ', retry, discard);
}

/** @param {Words} words */
function clockFace(words) {
  return element('span', { class: 'clock', role: 'img', 'aria-label': words.t('message.pending'), title: words.t('message.pending') });
}

/** @param {number} at @param {string} shown @param {Words} words */
function time(at, shown, words) {
  return element('time', { datetime: new Date(at).toISOString(), title: words.full(at) }, shown);
}

/** @param {import('./wire.js').RoomEvent} event @param {Words} words */
function noticeText(event, { t }) {
  if (event.type === 'room') return event.title ? t('notice.title', event.title) : t('notice.room');
  const key = /** @type {import('./i18n.js').Key} */ (`notice.${event.change}`);
  return t(key, event.user?.name ?? event.from.name);
}
