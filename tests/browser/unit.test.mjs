import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isDoubtful, changed, everyone, listed } from '../../web/people.js';
import { emptyLog, gap, messageAt, prepend, receive, subscribed, trim } from '../../web/log.js';
import * as outbox from '../../web/outbox.js';
import { jitter, planAfterClose, retryAfterMs } from '../../web/reconnect.js';
import { refusalFrom } from '../../web/refusal.js';
import { Identity } from '../../web/identity.js';
import { Memory } from '../../web/memory.js';
import { timeline } from '../../web/timeline.js';
import { characters, initial, isEmojiOnly, pieces, tone, TONES } from '../../web/text.js';
import { isRoomName, isUserName, messageKey } from '../../web/wire.js';
import { pickLanguage, words } from '../../web/i18n.js';

const hodong = { id: 'u_1', name: '강호동' };
const dongyup = { id: 'u_2', name: '신동엽' };
const at = (second) => new Date(Date.UTC(2026, 10, 22, 3, 0, second)).toISOString();
const event = (seq, fields = {}) => ({ type: 'message', room: 'lobby', seq, at: at(seq), from: hodong, text: `말 ${seq}`, ...fields });
const reply = (next, head, fields = {}) => ({ epoch: 'e1', next, head, ...fields });
const apply = (log, ...events) => events.reduce((one, next) => {
  const { outcome, log: after } = receive(one, next);
  assert.equal(outcome, 'applied');
  return after;
}, log);
const seqs = (log) => log.items.map(({ seq }) => seq);

describe('the log', () => {
  it('starts where the reply to subscribe says, and knows that there is more before', () => {
    const log = subscribed(emptyLog(), reply(8, 57));
    assert.equal(log.lastSeq, 7);
    assert.equal(log.hasOlder, true);
    assert.equal(subscribed(emptyLog(), reply(1, 0)).hasOlder, false);
  });

  it('takes each event once, whatever comes again', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 2)), event(1), event(2));
    const again = receive(log, event(2));
    assert.equal(again.outcome, 'seen');
    assert.equal(again.log, log);
    assert.deepEqual(seqs(log), [1, 2]);
  });

  it('notices a hole and takes nothing behind it', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 1)), event(1));
    const { outcome, log: after } = receive(log, event(3));
    assert.equal(outcome, 'hole');
    assert.equal(after, log);
  });

  it('goes on without a line when a resumed subscription begins at the next event', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 1)), event(1));
    const resumed = apply(subscribed(log, reply(2, 2)), event(2));
    assert.deepEqual(resumed.items.map(({ kind }) => kind), ['message', 'message']);
  });

  it('tells the gap that the reply names, and goes on behind it', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 1)), event(1));
    const resumed = apply(subscribed(log, reply(40, 41, { gap: { from: 2, to: 39 } })), event(40));
    assert.deepEqual(resumed.items[1], { kind: 'gap', seq: 2, from: 2, to: 39 });
    assert.equal(resumed.lastSeq, 40);
  });

  it('tells a gap even when the reply only starts later', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 1)), event(1));
    assert.deepEqual(subscribed(log, reply(5, 9)).items[1], { kind: 'gap', seq: 2, from: 2, to: 4 });
  });

  it('tells of a gap only what it had not', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 2)), event(1), event(2));
    assert.deepEqual(gap(log, { from: 1, to: 4 }).items[2], { kind: 'gap', seq: 3, from: 3, to: 4 });
    assert.equal(gap(log, { from: 1, to: 2 }), log);
  });

  it('puts older events before what it has, without doubles', () => {
    const log = apply(subscribed(emptyLog(), reply(5, 5)), event(5));
    const more = prepend(log, [event(3), event(4), event(5)]);
    assert.deepEqual(seqs(more), [3, 4, 5]);
    assert.equal(more.hasOlder, true);
    assert.equal(more.firstSeq, 3);
    assert.equal(prepend(more, [event(1), event(2)]).hasOlder, false);
    assert.equal(prepend(more, []).hasOlder, false, 'nothing came, so there is nothing more');
    assert.equal(prepend(more, [event(2)], false).hasOlder, false, 'the server says that it keeps no more');
  });

  it('moves its beginning even by events that show nothing, so that the same are not asked for again', () => {
    const log = subscribed(emptyLog(), reply(5, 5));
    const more = prepend(log, [event(3, { type: 'edit', target: 1 }), event(4, { type: 'edit', target: 1 })]);
    assert.deepEqual([more.firstSeq, more.items.length, more.hasOlder], [3, 0, true]);
  });

  it('folds edits, deletions and reactions into their message', () => {
    const log = apply(
      subscribed(emptyLog(), reply(1, 6)),
      event(1),
      event(2, { type: 'edit', target: 1, text: '고친 말' }),
      event(3, { type: 'react', target: 1, emoji: '👍', on: true }),
      event(4, { type: 'react', target: 1, emoji: '👍', on: true, from: dongyup }),
      event(5, { type: 'react', target: 1, emoji: '👍', on: false }),
    );
    const message = messageAt(log, 1);
    assert.equal(message.text, '고친 말');
    assert.equal(message.edited, true);
    assert.deepEqual(message.reactions, { '👍': ['u_2'] });
    const gone = messageAt(apply(log, event(6, { type: 'delete', target: 1 })), 1);
    assert.equal(gone.deleted, true);
    assert.equal(gone.text, null);
  });

  it('reads reactions in either form that history may fold them to', () => {
    const byEmoji = prepend(subscribed(emptyLog(), reply(3, 3)), [event(2, { reactions: { '🎉': ['u_1'] } })]);
    const asList = prepend(subscribed(emptyLog(), reply(3, 3)), [event(2, { reactions: [{ emoji: '🎉', users: [hodong] }] })]);
    assert.deepEqual(messageAt(byEmoji, 2).reactions, { '🎉': ['u_1'] });
    assert.deepEqual(messageAt(asList, 2).reactions, { '🎉': ['u_1'] });
  });

  it('lets go of the oldest and knows that they can come back', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 3)), event(1), event(2), event(3));
    const short = trim(log, 2);
    assert.deepEqual(seqs(short), [2, 3]);
    assert.equal(short.hasOlder, true);
    assert.equal(short.lastSeq, 3);
    assert.equal(short.firstSeq, 2);
  });
});

describe('the outbox', () => {
  const two = outbox.written(outbox.written([], { key: 'a', text: '하나', at: at(1) }), { key: 'b', text: '둘', at: at(2) });

  it('sends one at a time, in the order written', () => {
    assert.equal(outbox.nextToSend(two).key, 'a');
    const going = outbox.started(two, 'a');
    assert.equal(outbox.nextToSend(going), null);
    assert.equal(outbox.nextToSend(outbox.stored(going, 'a', 7)).key, 'b');
  });

  it('sends again with the same key what a break left unanswered', () => {
    const after = outbox.interrupted(outbox.started(two, 'a'));
    assert.equal(outbox.nextToSend(after).key, 'a');
  });

  it('drops a message when its event arrives, or when the log has passed its place', () => {
    assert.deepEqual(outbox.settled(two, new Set(['a']), 0).map(({ key }) => key), ['b']);
    const stored = outbox.stored(two, 'a', 7);
    assert.equal(outbox.settled(stored, new Set(), 6), stored);
    assert.deepEqual(outbox.settled(stored, new Set(), 7).map(({ key }) => key), ['b']);
  });

  it('keeps a refused message with its reason until it is sent again or discarded', () => {
    const refused = outbox.failed(two, 'a', { code: 'forbidden', message: 'no' });
    assert.equal(outbox.nextToSend(refused).key, 'b');
    assert.deepEqual(outbox.retried(refused, 'a').map(({ key, state }) => [key, state.kind]), [['b', 'waiting'], ['a', 'waiting']]);
    assert.deepEqual(outbox.discarded(refused, 'a').map(({ key }) => key), ['b']);
  });

  it('survives a reload, and whatever stands in the storage instead', () => {
    assert.deepEqual(outbox.fromJson(outbox.toJson(outbox.started(two, 'a'))), two);
    for (const nonsense of [null, '', '{', '7', '[{"key":1}]', 'null']) assert.deepEqual(outbox.fromJson(nonsense), []);
  });
});

describe('reconnecting', () => {
  it('waits a random part of a span that doubles, up to half a minute', () => {
    assert.equal(jitter(0, 0.5), 250);
    assert.equal(jitter(3, 0.5), 2000);
    assert.equal(jitter(400, 0.999), 29970);
    assert.equal(jitter(5, 0), 0);
  });

  it('reads retry_after_ms from JSON and from words', () => {
    assert.equal(retryAfterMs('{"retry_after_ms":2000}'), 2000);
    assert.equal(retryAfterMs('draining, retry_after_ms=1500'), 1500);
    for (const reason of ['', 'restart', '{"retry_after_ms":-1}', 'null', '3']) assert.equal(retryAfterMs(reason), null);
  });

  it('does what the protocol asks after each close code', () => {
    const plan = (code, attempt = 0, reason = '') => planAfterClose({ code, reason }, attempt, 0.5);
    for (const code of [1000, 1001, 4000, 4050, 4099]) assert.deepEqual(plan(code), { kind: 'stop', why: 'ended' }, String(code));
    for (const code of [1002, 1003, 1007, 1009]) assert.deepEqual(plan(code), { kind: 'stop', why: 'fault' }, String(code));
    assert.deepEqual(plan(4001), { kind: 'stop', why: 'credential' });
    assert.deepEqual(plan(4003), { kind: 'stop', why: 'banned' });
    assert.deepEqual(plan(1012, 0, '{"retry_after_ms":2000}'), { kind: 'wait', delayMs: 1000 });
    for (const code of [1006, 1011, 4008]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 250 }, String(code));
    for (const code of [1013, 4009, 4100, 4199]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 4000 }, String(code));
    for (const code of [4200, 4299]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 0 }, String(code));
    assert.ok(plan(4200, 3).delayMs > 0, '"now" is not for ever');
  });

  it('reads from the HTTP answer why a socket did not open', () => {
    const body = { code: 'unauthorized', message: 'who?' };
    assert.deepEqual(refusalFrom(401, null, body), { kind: 'unknown', message: 'who?' });
    assert.deepEqual(refusalFrom(400, null, { code: 'bad_field', field: 'name', message: 'name' }), { kind: 'unknown', message: 'name' });
    assert.deepEqual(refusalFrom(403, null, null), { kind: 'forbidden', message: null });
    assert.deepEqual(refusalFrom(503, '4', body), { kind: 'busy', retryAfterMs: 4000 });
    assert.deepEqual(refusalFrom(502, null, null), { kind: 'unreachable' });
    for (const status of [200, 400, 404, 500]) assert.deepEqual(refusalFrom(status, null, null), { kind: 'busy', retryAfterMs: 1000 }, String(status));
  });
});

describe('who we say we are', () => {
  const fresh = () => new Memory(() => { throw new Error('forbidden'); });

  it('is the name at first, and the token afterwards', () => {
    const identity = new Identity('강호동', fresh());
    assert.equal(identity.credential().get('name'), '강호동');
    identity.accepted('t_1');
    assert.equal(identity.credential().toString(), 'token=t_1');
    identity.forget();
    assert.equal(identity.credential().get('token'), null);
  });

  it('keeps one token per name', () => {
    const memory = fresh();
    new Identity('강호동', memory).accepted('t_1');
    assert.equal(new Identity('신동엽', memory).credential().has('token'), false);
    assert.equal(new Identity('강호동', memory).credential().get('token'), 't_1');
  });

  it('keeps its token when the server brings no new one', () => {
    const identity = new Identity('강호동', fresh());
    identity.accepted('t_1');
    identity.accepted(undefined);
    assert.equal(identity.credential().get('token'), 't_1');
  });
});

describe('the people', () => {
  const both = everyone({ count: 2, users: [hodong, dongyup] });

  it('come and go', () => {
    const one = changed(both, { joined: [], left: [dongyup], count: 1 });
    assert.deepEqual([...one.users.keys()], ['u_1']);
    assert.equal(changed(one, { joined: [dongyup], left: [], count: 2 }).users.size, 2);
  });

  it('are all told anew to someone who was behind', () => {
    const told = changed(both, { joined: [hodong], left: [], count: 1, reset: true });
    assert.deepEqual([...told.users.keys()], [hodong.id]);
    assert.equal(told.count, 1);
  });

  it('are only counted in a large room, and named again when it is small', () => {
    const large = changed(both, { count: 240 });
    assert.equal(large.users.size, 0);
    assert.equal(isDoubtful(large), false);
    assert.deepEqual(changed(both, { joined: [], left: [], count: 240 }), large);
    assert.equal(isDoubtful(changed(large, { joined: [], left: [dongyup], count: 199 })), true);
    assert.equal(isDoubtful(both), false);
  });

  it('are listed with oneself first, then by name', () => {
    const names = listed(everyone({ count: 3, users: [dongyup, { id: 'u_3', name: '유재석' }, hodong] }), 'u_3', 'ko');
    assert.deepEqual(names.map(({ name }) => name), ['유재석', '강호동', '신동엽']);
  });
});

describe('the timeline', () => {
  const day = (time) => new Date(time).toISOString().slice(0, 10);
  const rows = (...events) => timeline(apply(subscribed(emptyLog(), reply(1, 9)), ...events), [], hodong, day);
  const shape = (list) => list.map((row) => (row.kind === 'message' ? `${row.head ? '┌' : ''}${row.message?.seq ?? row.unsettled.text}${row.tail ? '┘' : ''}` : row.kind));

  it('groups by sender and minute', () => {
    const list = rows(event(1), event(2), event(3, { from: dongyup }), event(4, { at: at(59) }), event(5, { at: at(60) }));
    assert.deepEqual(shape(list), ['day', '┌1', '2┘', '┌3┘', '┌4┘', '┌5┘']);
    assert.deepEqual(list.slice(1).map(({ own }) => own), [true, true, false, true, true]);
  });

  it('separates days', () => {
    const list = rows(event(1, { at: '2026-11-21T23:59:59.000Z' }), event(2, { at: '2026-11-22T00:00:00.000Z' }));
    assert.deepEqual(shape(list), ['day', '┌1┘', 'day', '┌2┘']);
  });

  it('puts what is not stored yet at the end, under the name it keeps when it is', () => {
    const log = apply(subscribed(emptyLog(), reply(1, 1)), event(1));
    const waiting = timeline(log, outbox.written([], { key: 'k', text: '기다림', at: at(2) }), hodong, day);
    assert.deepEqual(shape(waiting), ['day', '┌1', '기다림┘']);
    const stored = timeline(apply(log, event(2, { key: 'k' })), [], hodong, day);
    assert.equal(waiting.at(-1).id, stored.at(-1).id);
  });

  it("does not take another person's key for one's own", () => {
    const [, first, second] = rows(event(1, { key: 'k' }), event(2, { key: 'k', from: dongyup }));
    assert.notEqual(first.id, second.id);
  });

  it('has a name of its own for every row', () => {
    const list = rows(event(1, { at: '2026-11-22T00:00:01Z' }), event(2, { at: '2026-11-21T00:00:00Z' }), event(3, { at: '2026-11-22T00:00:02Z' }));
    assert.equal(new Set(list.map(({ id }) => id)).size, list.length);
  });
});

describe('text', () => {
  const links = (text) => pieces(text).filter(({ href }) => href !== null).map(({ text: shown }) => shown);

  it('loses nothing in being taken apart', () => {
    for (const text of ['', 'a', 'https://a.kr', '가 https://a.kr/b?c=d#e, 나 http://b.kr.', 'https://', '<img src=x onerror=alert(1)>']) {
      assert.equal(pieces(text).map((piece) => piece.text).join(''), text);
    }
  });

  it('links http and https alone', () => {
    assert.deepEqual(links('http://a.kr https://b.kr HTTPS://C.KR'), ['http://a.kr', 'https://b.kr', 'HTTPS://C.KR']);
    for (const text of ['javascript:alert(1)', 'data:text/html,x', 'ftp://a.kr', 'file:///etc/passwd', 'https://', 'www.a.kr', 'javascript:https']) {
      assert.deepEqual(links(text), [], text);
    }
  });

  it('leaves the sentence around a link alone', () => {
    assert.deepEqual(links('(https://a.kr/b). https://a.kr/c, "https://a.kr/d"'), ['https://a.kr/b', 'https://a.kr/c', 'https://a.kr/d']);
    assert.deepEqual(links('https://ko.wikipedia.org/wiki/마당_(건축)!'), ['https://ko.wikipedia.org/wiki/마당_(건축)']);
    assert.deepEqual(links('https://madang.kr에서 만나요, https://madang.kr/마당 도'), ['https://madang.kr', 'https://madang.kr/마당']);
  });

  it('knows when there are only emoji', () => {
    for (const text of ['😀', '👨‍👩‍👧‍👦 🎉', '🇰🇷', '❤️', '1️⃣']) assert.equal(isEmojiOnly(text), true, text);
    for (const text of ['', ' ', '1', '#', '안녕 😀', '©', '😀'.repeat(20)]) assert.equal(isEmojiOnly(text), false, text);
  });

  it('takes what a reader calls a character', () => {
    assert.deepEqual(characters('강👩‍🚀'), ['강', '👩‍🚀']);
    assert.equal(initial('강호동'), '강');
    assert.equal(initial('  ada'), 'A');
    assert.equal(initial('강호동'.normalize('NFD')).normalize('NFC'), '강');
  });

  it('gives a user always the same tone', () => {
    assert.equal(tone('u_1'), tone('u_1'));
    assert.ok(tone('u_1') >= 0 && tone('u_1') < TONES);
  });
});

describe('names and keys', () => {
  it('holds user names to 1–40 characters without control characters', () => {
    for (const name of ['강', 'a'.repeat(40), '😀'.repeat(40), 'a b']) assert.equal(isUserName(name), true, name);
    for (const name of ['', 'a'.repeat(41), 'a\nb', 'a\u0000']) assert.equal(isUserName(name), false, JSON.stringify(name));
  });

  it('holds room names to letters, digits and - _ .', () => {
    for (const room of ['lobby', '마당', 'a-b_c.d', '9', '가'.repeat(64)]) assert.equal(isRoomName(room), true, room);
    for (const room of ['', 'a b', '@me', 'a/b', 'a'.repeat(65), '😀']) assert.equal(isRoomName(room), false, room);
  });

  it('makes keys that are UUIDs of version 7 and sort by time', () => {
    const random = new Uint8Array(16).fill(0xff);
    const key = messageKey(0x0123456789ab, random);
    assert.equal(key, '01234567-89ab-7fff-bfff-ffffffffffff');
    assert.ok(messageKey(1_800_000_000_000, random) < messageKey(1_800_000_000_001, new Uint8Array(16)));
  });
});

describe('the words', () => {
  it('are Korean or English, by the reader’s first language that is one of them', () => {
    assert.equal(pickLanguage(['ko-KR', 'en']), 'ko');
    assert.equal(pickLanguage(['fr', 'KO']), 'ko');
    assert.equal(pickLanguage(['en-US', 'ko']), 'en');
    assert.equal(pickLanguage(['de']), 'en');
    assert.equal(pickLanguage([]), 'en');
  });

  it('write times in the reader’s manner', () => {
    const noon = Date.UTC(2026, 10, 22, 12, 4) + new Date(Date.UTC(2026, 10, 22)).getTimezoneOffset() * 60_000;
    assert.match(words(['ko-KR']).clock(noon), /^(오후|PM) 12:04$/u);
    assert.match(words(['en-US']).clock(noon), /^12:04\sPM$/u);
    assert.equal(words(['ko-KR']).day(noon), '2026년 11월 22일 일요일');
  });
});
