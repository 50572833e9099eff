/** Rooms and their logs: what is said reaches everyone once, in one order, and stays. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freshRoom, Server, Session, TIME } from './helpers.mjs';

describe('a room', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  /** Sessions that are subscribed to one fresh room. */
  const inRoom = async (...names) => {
    const room = freshRoom();
    const sessions = [];
    for (const name of names) {
      const session = await Session.open(server, { query: { name } });
      await session.ok('subscribe', { room });
      sessions.push(session);
    }
    return [room, ...sessions];
  };
  const seqs = (events) => events.map(({ seq }) => seq);
  const upTo = (last, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

  it('tells who subscribes where its log is and who is there', async () => {
    const [room, hodong] = await inRoom('강호동');
    await hodong.ok('send', { room, text: '하나' });
    const dongyup = await Session.open(server, { query: { name: '신동엽' } });
    const { presence, ...ok } = await dongyup.ok('subscribe', { room }, 7);
    assert.equal(typeof ok.epoch, 'string');
    assert.deepEqual({ ...ok, epoch: '' }, { type: 'ok', id: 7, room, epoch: '', head: 1, next: 2, role: 'member' });
    assert.equal(presence.count, 2);
    const byId = (one, other) => (one.id < other.id ? -1 : 1);
    assert.deepEqual(presence.users.sort(byId), [hodong.user, dongyup.user].sort(byId));
  });

  it('delivers a message to everyone in it, the sender too', async () => {
    const [room, hodong, dongyup] = await inRoom('강호동', '신동엽');
    const text = '밥 먹었니? 👨‍👩‍👧 \u0001 "\\" </script>';
    const { at, ...ok } = await hodong.ok('send', { room, text }, 'k');
    assert.deepEqual(ok, { type: 'ok', id: 'k', room, seq: 1 });
    assert.match(at, TIME);
    const event = { type: 'message', room, seq: 1, at, from: hodong.user, text };
    assert.deepEqual(await hodong.next('message'), event);
    assert.deepEqual(await dongyup.next('message'), event);
  });

  it('carries any JSON beside or without a text, and what a message answers', async () => {
    const [room, hodong] = await inRoom('강호동');
    const data = { 좌표: [1.5, -2e-3, 9007199254740991], nested: [[[{}]]], none: null, flag: false, '': '' };
    await hodong.ok('send', { room, data });
    await hodong.ok('send', { room, data: [1], text: '답', reply_to: 1 });
    const [first, second] = await hodong.events(2);
    assert.deepEqual([first.data, 'text' in first], [data, false]);
    assert.deepEqual([second.data, second.text, second.reply_to], [[1], '답', 1]);
  });

  it('takes a command without an id, and answers it only with an error', async () => {
    const [room, hodong] = await inRoom('강호동');
    hodong.send({ type: 'send', room, text: '조용히' });
    hodong.send({ type: 'send', room });
    assert.equal((await hodong.next('message')).text, '조용히');
    const error = await hodong.next('error');
    assert.deepEqual([error.code, 'id' in error], ['bad_field', false]);
    await hodong.pong();
    assert.equal(hodong.all.filter(({ type, id }) => type === 'ok' && !String(id).startsWith('subscribe')).length, 0);
  });

  it('echoes an id as it is, a number or a text', async () => {
    const [room, hodong] = await inRoom('강호동');
    for (const id of [0, -1, 9007199254740991, '0', '한글 id 🙂', 'x'.repeat(64)]) {
      assert.equal((await hodong.ok('who', { room }, id)).id, id);
    }
  });

  it('stores a message with one key once', async () => {
    const [room, hodong, dongyup] = await inRoom('강호동', '신동엽');
    const message = { room, key: 'k-17', text: '안녕' };
    const first = await hodong.ok('send', message);
    assert.equal('duplicate' in first, false);
    const second = await hodong.ok('send', message);
    assert.deepEqual([second.seq, second.duplicate, second.at], [first.seq, true, first.at]);
    const back = await Session.open(server, { query: { token: hodong.hello.token } });
    assert.equal((await back.ok('send', message)).duplicate, true);
    const other = await back.refusal('send', { ...message, text: '다른 말' });
    assert.equal(other.code, 'conflict');
    const elsewhere = freshRoom();
    await back.ok('subscribe', { room: elsewhere });
    assert.equal((await back.refusal('send', { ...message, room: elsewhere })).code, 'conflict');
    // A key is unique per user.
    assert.deepEqual((await dongyup.ok('send', message)).seq, 2);
    const events = await hodong.events(2);
    assert.deepEqual(events.map(({ seq, key, from }) => [seq, key, from.name]), [[1, 'k-17', '강호동'], [2, 'k-17', '신동엽']]);
    assert.equal((await hodong.ok('history', { room })).events.length, 2);
  });

  it('gives who comes back what was missed, without a hole, and goes on live', async () => {
    const [room, hodong, dongyup] = await inRoom('강호동', '신동엽');
    for (let number = 1; number <= 3; number += 1) await hodong.ok('send', { room, text: `${number}` });
    const { seq } = (await dongyup.events(2))[1];
    dongyup.socket.terminate();
    const missed = 300; // More than a room keeps in memory.
    for (let number = 4; number <= 3 + missed; number += 1) await hodong.ok('send', { room, text: `${number}` });
    const back = await Session.open(server, { query: { token: dongyup.hello.token } });
    const ok = await back.ok('subscribe', { room, since: seq });
    assert.deepEqual([ok.head, ok.next, 'gap' in ok, 'reset' in ok], [3 + missed, seq + 1, false, false]);
    await hodong.ok('send', { room, text: '마지막' });
    const last = 4 + missed;
    assert.deepEqual(seqs(await back.events(last - seq)), upTo(last, seq + 1));
    await back.pong();
    assert.equal(back.all.filter(({ type }) => type === 'message').length, last - seq);
  });

  it('keeps everything for who does not read for a while', async () => {
    const [room, hodong, dongyup] = await inRoom('강호동', '신동엽');
    dongyup.socket.pause();
    // More than the buffers of both sides hold.
    const [batch, count, text] = [25, 2000, '말'.repeat(2000)];
    for (let first = 0; first < count; first += batch) {
      await Promise.all(upTo(first + batch - 1, first).map((id) => hodong.ok('send', { room, text }, id)));
    }
    dongyup.socket.resume();
    assert.deepEqual(seqs(await dongyup.events(count)), upTo(count));
  });

  it('gives the last events, and tells who knows another log that it is another', async () => {
    const [room, hodong] = await inRoom('강호동');
    for (let number = 1; number <= 5; number += 1) await hodong.ok('send', { room, text: `${number}` });
    const session = await Session.open(server);
    const last = await session.ok('subscribe', { room, last: 2 });
    assert.equal(last.next, 4);
    assert.deepEqual(seqs(await session.events(2)), [4, 5]);
    // Subscribing again moves the place.
    const all = await session.ok('subscribe', { room, since: 0, epoch: last.epoch });
    assert.deepEqual([all.next, 'reset' in all], [1, false]);
    assert.deepEqual(seqs(await session.events(5)), [1, 2, 3, 4, 5]);
    for (const other of [{ since: 3, epoch: 'another' }, { since: 6 }]) {
      const reply = await session.ok('subscribe', { room, ...other });
      assert.deepEqual([reply.reset, reply.head, reply.next], [true, 5, 6]);
    }
    await session.pong();
    assert.equal(session.all.filter(({ type }) => type === 'message').length, 2 + 5);
    assert.equal((await session.refusal('subscribe', { room, since: 1, last: 1 })).code, 'bad_field');
  });

  it('has one order for all', async () => {
    const [room, ...sessions] = await inRoom('강호동', '신동엽', '유재석');
    const each = 30;
    const stored = await Promise.all(
      sessions.map((session) => Promise.all(Array.from({ length: each }, (_, number) => session.ok('send', { room, text: `${number}` })))),
    );
    const logs = [];
    for (const session of sessions) logs.push(await session.events(3 * each));
    assert.deepEqual(seqs(logs[0]), upTo(3 * each));
    assert.deepEqual(logs[1], logs[0]);
    assert.deepEqual(logs[2], logs[0]);
    // The commands of one session take effect in the order in which they were sent.
    for (const own of stored.map(seqs)) assert.deepEqual(own, own.toSorted((one, other) => one - other));
  });

  it('answers each of too many commands once, with ok or busy', async () => {
    const [room, hodong] = await inRoom('강호동');
    const count = 300;
    const replies = await Promise.all(Array.from({ length: count }, (_, id) => hodong.ask('send', { room, text: `${id}` }, id)));
    const stored = replies.filter(({ type }) => type === 'ok');
    for (const reply of replies) if (reply.type === 'error') assert.equal(reply.code, 'busy');
    assert.ok(stored.length >= 32);
    await hodong.pong();
    const answered = hodong.all.filter(({ id }) => Number.isInteger(id)).map(({ id }) => id);
    assert.deepEqual(answered.toSorted((one, other) => one - other), upTo(count - 1, 0));
    assert.equal((await hodong.ok('subscribe', { room })).head, stored.length);
  });

  it('can be left', async () => {
    const [room, hodong, dongyup] = await inRoom('강호동', '신동엽');
    await dongyup.ok('unsubscribe', { room });
    await hodong.ok('send', { room, text: '아직 있니?' });
    await dongyup.pong();
    assert.equal(dongyup.all.filter(({ type }) => type === 'message').length, 0);
    assert.equal((await dongyup.refusal('unsubscribe', { room })).code, 'not_subscribed');
  });

  it('is written to and read without a subscription', async () => {
    const [room, hodong] = await inRoom('강호동');
    const outside = await Session.open(server, { query: { name: '신동엽' } });
    assert.equal((await outside.ok('send', { room, text: '밖에서' })).seq, 1);
    assert.equal((await hodong.next('message')).from.name, '신동엽');
    assert.equal((await outside.ok('history', { room })).events.length, 1);
    assert.equal(outside.all.filter(({ type }) => type === 'message').length, 0);
  });

  it('that is not there is told by name', async () => {
    const session = await Session.open(server);
    for (const [type, fields] of [['send', { text: 'a' }], ['history', {}], ['who', {}]]) {
      assert.equal((await session.refusal(type, { room: freshRoom(), ...fields })).code, 'no_such_room', type);
    }
  });

  it('is read by pages, oldest first', async () => {
    const [room, hodong] = await inRoom('강호동');
    for (let number = 1; number <= 60; number += 1) await hodong.ok('send', { room, text: `${number}` });
    for (const [fields, expected, more] of [
      [{}, upTo(60, 11), true],
      [{ limit: 3 }, [58, 59, 60], true],
      [{ before: 58, limit: 3 }, [55, 56, 57], true],
      [{ before: 3, limit: 10 }, [1, 2], false],
      [{ before: 1 }, [], false],
      [{ after: 0, limit: 2 }, [1, 2], true],
      [{ after: 58, limit: 10 }, [59, 60], false],
      [{ after: 60 }, [], false],
    ]) {
      const page = await hodong.ok('history', { room, ...fields });
      assert.deepEqual([seqs(page.events), page.more], [expected, more], JSON.stringify(fields));
    }
    const [event] = (await hodong.ok('history', { room, after: 6, limit: 1 })).events;
    assert.deepEqual(event, hodong.all.find(({ type, seq }) => type === 'message' && seq === 7));
  });

  it('is the same however its name is composed', async () => {
    const composed = `${freshRoom()}-각`;
    const decomposed = composed.normalize('NFD');
    assert.notEqual(decomposed, composed);
    const hodong = await Session.open(server, { at: `/ws/${encodeURIComponent(decomposed)}` });
    assert.equal((await hodong.next('subscribed')).room, composed);
    const dongyup = await Session.open(server);
    assert.equal((await dongyup.ok('subscribe', { room: decomposed })).room, composed);
    await dongyup.ok('send', { room: composed, text: decomposed });
    const event = await hodong.next('message');
    assert.equal(event.room, composed);
    assert.equal(event.text, decomposed, 'a text stays as it was typed');
  });

  it('of a session is one of not too many', async () => {
    const few = await Server.start('[limits]\nrooms_per_session = 2\n');
    try {
      const session = await Session.open(few);
      assert.equal(session.hello.limits.rooms, 2);
      for (const room of ['a', 'b', 'a']) await session.ok('subscribe', { room });
      const error = await session.refusal('subscribe', { room: 'c' });
      assert.deepEqual([error.code, error.limit], ['too_long', 2]);
      await session.ok('unsubscribe', { room: 'a' });
      await session.ok('subscribe', { room: 'c' });
    } finally {
      await few.remove();
    }
  });
});
