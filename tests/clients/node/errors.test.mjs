/** What is wrong is named, and ends no session; what is no message of the protocol does. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freshRoom, Server, Session } from './helpers.mjs';

describe('a mistake', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  it('in JSON is named', async () => {
    const session = await Session.open(server);
    for (const text of ['', '{', 'hello', '[]', '"send"', '1', 'null', '{"type":"ping"} {}', "{'type':'ping'}", '{"type":"ping",}']) {
      session.send(text);
      const error = await session.next('error');
      assert.deepEqual([error.code, 'id' in error], ['bad_json', false], text);
      assert.equal(typeof error.message, 'string');
    }
    await session.pong();
  });

  it('in the type is named', async () => {
    const session = await Session.open(server);
    assert.equal((await session.refusal('dance')).code, 'unknown_type');
    assert.equal((await session.refusal('Send')).code, 'unknown_type');
    for (const command of [{ id: 1 }, { type: 1, id: 1 }, { type: null, id: 1 }]) {
      session.send(command);
      const { code, field, id } = await session.next('error');
      assert.deepEqual([code, field, id], ['bad_field', 'type', 1]);
    }
    await session.pong();
  });

  it('in a field is named with the field', async () => {
    const session = await Session.open(server);
    const room = freshRoom();
    await session.ok('subscribe', { room });
    for (const [type, fields, field] of [
      ['subscribe', {}, 'room'],
      ['send', { text: 'a' }, 'room'],
      ['send', { room }, 'text'],
      ['send', { room, text: 1 }, 'text'],
      ['send', { room, text: '' }, 'text'],
      ['send', { room, text: 'a', key: '' }, 'key'],
      ['send', { room, text: 'a', key: 1 }, 'key'],
      ['send', { room, text: 'a', reply_to: 'b' }, 'reply_to'],
      ['subscribe', { room: 'a b' }, 'room'],
      ['subscribe', { room: 'a/b' }, 'room'],
      ['subscribe', { room: '🙂' }, 'room'],
      ['subscribe', { room: '' }, 'room'],
      ['subscribe', { room: 1 }, 'room'],
      ['subscribe', { room, since: -1 }, 'since'],
      ['subscribe', { room, since: '1' }, 'since'],
      ['subscribe', { room, since: 1.5 }, 'since'],
      ['subscribe', { room, last: -1 }, 'last'],
      ['history', { room, before: 'a' }, 'before'],
      ['history', { room, limit: 0 }, 'limit'],
      ['history', { room, limit: 1e9 }, 'limit'],
    ]) {
      const error = await session.refusal(type, fields);
      assert.deepEqual([error.code, error.field], ['bad_field', field], `${type} ${JSON.stringify(fields)}: ${error.message}`);
    }
    for (const id of [1.5, true, {}, '']) {
      session.send({ type: 'who', room, id });
      const error = await session.next('error');
      assert.deepEqual([error.code, error.field, 'id' in error], ['bad_field', 'id', false], JSON.stringify(id));
    }
    assert.equal((await session.ok('history', { room })).events.length, 0);
  });

  it('in a length is named with the limit', async () => {
    const session = await Session.open(server);
    const room = '방'.repeat(64);
    await session.ok('subscribe', { room });
    await session.ok('send', { room, text: 'a', key: '키'.repeat(64) });
    for (const [type, fields, field] of [
      ['subscribe', { room: '방'.repeat(65) }, 'room'],
      ['send', { room, text: 'a', key: 'k'.repeat(65) }, 'key'],
    ]) {
      const error = await session.refusal(type, fields);
      assert.deepEqual([error.code, error.field, error.limit], ['too_long', field, 64]);
    }
    session.send({ type: 'who', room, id: 'x'.repeat(65) });
    const error = await session.next('error');
    assert.deepEqual([error.code, error.field, error.limit], ['too_long', 'id', 64]);
    assert.equal((await session.ok('history', { room })).events.length, 1);
  });

  it('is not a field that nobody knows', async () => {
    const session = await Session.open(server);
    const room = freshRoom();
    await session.ok('subscribe', { room, colour: 'blue', since: null });
    await session.ok('send', { room, text: 'a', type2: [] });
    assert.equal('colour' in (await session.next('message')), false);
  });
});

describe('what is no message of the protocol', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  it('ends its own session and no other, with the code that says why', async () => {
    const other = await Session.open(server);
    for (const [expected, send] of [
      [1003, (socket) => socket.send(Buffer.from('{"type":"ping"}'), { binary: true })],
      [1007, (socket) => socket.send(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), { binary: false })],
      [1009, (socket) => socket.send('x'.repeat(65_537))],
      [1009, (socket) => ['x'.repeat(40_000), 'x'.repeat(40_000)].forEach((part, index) => socket.send(part, { fin: index === 1 }))],
    ]) {
      const session = await Session.open(server);
      send(session.socket);
      assert.equal((await session.closed()).code, expected);
    }
    await other.pong();
  });

  it('is not one of the largest size, nor one in pieces', async () => {
    const session = await Session.open(server);
    const room = freshRoom();
    await session.ok('subscribe', { room });
    const command = (text) => JSON.stringify({ type: 'send', room, text });
    const text = '가'.repeat(Math.floor((65_536 - Buffer.byteLength(command(''))) / 3));
    const padded = Buffer.from(command(text).padEnd(65_536 - 2 * text.length - (Buffer.byteLength(room) - room.length)));
    assert.equal(padded.length, 65_536);
    session.socket.send(padded, { binary: false });
    assert.equal((await session.next('message')).text, text);

    // A message may be cut anywhere, within a character too.
    const bytes = Buffer.from(command('조각난 말 🙂'));
    for (const [index, byte] of bytes.entries()) {
      session.socket.send(Buffer.from([byte]), { binary: false, fin: index === bytes.length - 1 });
    }
    assert.equal((await session.next('message')).text, '조각난 말 🙂');
  });

  it('ends a session that is closed by its client with the same code', async () => {
    for (const code of [1000, 1001, 3000, 4999]) {
      const session = await Session.open(server);
      session.socket.close(code, '안녕');
      assert.equal((await session.closed()).code, code);
    }
  });
});
