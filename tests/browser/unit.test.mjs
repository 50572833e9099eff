import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isDoubtful, changed, everyone, listed } from '../../web/people.js';
import { emptyLog, gap, messageAt, prepend, receive, subscribed, trim } from '../../web/log.js';
import { failed, fromJson, toJson, unsettled } from '../../web/unsettled.js';
import { Memory } from '../../web/memory.js';
import { timeline } from '../../web/timeline.js';
import { characters, initial, isEmojiOnly, pieces, tone, TONES } from '../../web/text.js';
import { isRoomName, isUserName } from '../../web/wire.js';
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

describe('what is not settled', () => {
  const unsent = (fields = {}) => ({ key: 'k', content: { text: '하나' }, at: at(1), state: 'waiting', seq: null, tried: null, ...fields });

  it('is the same as long as nothing changed, so that nothing is drawn anew', () => {
    const one = unsent();
    assert.equal(unsettled(one), unsettled(one));
    assert.notEqual(unsettled(one), unsettled({ ...one }));
    assert.deepEqual(unsettled(one), { key: 'k', text: '하나', at: at(1), state: { kind: 'waiting' } });
  });

  it('keeps over a reload what the server did not take, whatever stands in the storage instead', () => {
    const list = [failed(unsent(), { code: 'forbidden', message: 'no' })];
    assert.deepEqual(fromJson(toJson(list)), list);
    assert.deepEqual(list[0].state, { kind: 'failed', code: 'forbidden', message: 'no' });
    for (const nonsense of [null, '', '{', '7', '[{"key":1}]', 'null']) assert.deepEqual(fromJson(nonsense), []);
  });
});

describe('the memory', () => {
  it('lasts as long as the page, where the browser forbids it', () => {
    const memory = new Memory(() => { throw new Error('forbidden'); });
    memory.set('a', 'b');
    assert.equal(memory.get('a'), 'b');
    memory.set('a', '');
    assert.equal(memory.get('a'), null);
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
    const waiting = timeline(log, [{ key: 'k', text: '기다림', at: at(2), state: { kind: 'waiting' } }], hodong, day);
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

describe('names', () => {
  it('holds user names to 1–40 characters without control characters', () => {
    for (const name of ['강', 'a'.repeat(40), '😀'.repeat(40), 'a b']) assert.equal(isUserName(name), true, name);
    for (const name of ['', 'a'.repeat(41), 'a\nb', 'a\u0000']) assert.equal(isUserName(name), false, JSON.stringify(name));
  });

  it('holds room names to letters, digits and - _ .', () => {
    for (const room of ['lobby', '마당', 'a-b_c.d', '9', '가'.repeat(64)]) assert.equal(isRoomName(room), true, room);
    for (const room of ['', 'a b', '@me', 'a/b', 'a'.repeat(65), '😀']) assert.equal(isRoomName(room), false, room);
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
