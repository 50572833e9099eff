/** Opening a session: who it is, what it is told first, and who is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { freshRoom, refused, Server, Session } from './helpers.mjs';

describe('a session', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  it('is greeted before anything else', async () => {
    const { hello } = await Session.open(server, { query: { name: '강호동 🎤' } });
    assert.equal(hello.protocol, 1);
    assert.match(hello.session, /^[0-9A-Z]{26}$/);
    assert.match(hello.user.id, /^u_/);
    assert.deepEqual({ ...hello.user, id: '' }, { id: '', name: '강호동 🎤', guest: true });
    assert.equal(typeof hello.token, 'string');
    assert.equal(hello.heartbeat_ms, 25_000);
    assert.deepEqual(hello.limits, { message_bytes: 65_536, rooms: 256, in_flight: 32 });
  });

  it('of a token is that of the same user, whichever way the token comes', async () => {
    const first = await Session.open(server);
    const { token } = first.hello;
    const headers = { Authorization: `Bearer ${token}` };
    for (const how of [{ query: { token } }, { query: {}, options: { headers } }]) {
      const again = await Session.open(server, how);
      assert.deepEqual(again.user, first.user);
      assert.notEqual(again.hello.session, first.hello.session);
      assert.equal('token' in again.hello, false, 'it is told once');
    }
  });

  it('of the same name is that of another guest', async () => {
    const [one, other] = [await Session.open(server), await Session.open(server)];
    assert.notEqual(one.user.id, other.user.id);
  });

  it('of the admin token is that of no guest', async () => {
    const token = await server.adminToken();
    const { user } = await Session.open(server, { query: { token, name: '관리자' } });
    assert.equal(user.id, 'u_admin');
    assert.deepEqual([user.name, 'guest' in user], ['관리자', false]);
  });

  it('answers a ping, of the protocol and of WebSocket', async () => {
    const session = await Session.open(server);
    assert.deepEqual(await session.pong(), { type: 'pong' });
    session.send({ type: 'ping', id: 7 });
    assert.deepEqual(await session.next('pong'), { type: 'pong', id: 7 });
    const pong = once(session.socket, 'pong');
    session.socket.ping('안녕');
    assert.equal((await pong)[0].toString(), '안녕');
  });

  it('opened at a room is subscribed to it, and its commands mean that room', async () => {
    const room = freshRoom();
    const at = `/ws/${encodeURIComponent(room)}`;
    const session = await Session.open(server, { at });
    const subscribed = await session.next('subscribed');
    assert.deepEqual(session.all.map(({ type }) => type).slice(0, 2), ['hello', 'subscribed']);
    assert.equal(subscribed.room, room);
    assert.equal(subscribed.head, 0);
    assert.equal(subscribed.next, 1);
    assert.equal(subscribed.role, 'member');
    assert.deepEqual(subscribed.presence, { count: 1, users: [session.user] });
    for (const text of ['하나', '둘']) await session.ok('send', { text });
    assert.deepEqual((await session.events(2)).map(({ seq, text }) => [seq, text]), [[1, '하나'], [2, '둘']]);
    assert.equal((await session.ok('history')).events.length, 2);

    const later = await Session.open(server, { at, query: { name: '신동엽', since: 1 } });
    const from = await later.next('subscribed');
    assert.deepEqual([from.head, from.next, from.epoch], [2, 2, subscribed.epoch]);
    assert.deepEqual((await later.events(1)).map(({ seq }) => seq), [2]);
    const other = await Session.open(server, { at, query: { name: '유재석', last: 5, epoch: 'another' } });
    const anew = await other.next('subscribed');
    assert.deepEqual([anew.next, anew.reset], [1, true]);
    assert.deepEqual((await other.events(2)).map(({ seq }) => seq), [1, 2]);
  });

  it('is refused without a credential, and with a wrong one', async () => {
    const wrong = { headers: { Authorization: 'Bearer wrong' } };
    for (const [query, options] of [[{}, {}], [{ token: 'wrong' }, {}], [{}, wrong], [{ token: 'wrong', name: 'a' }, {}]]) {
      const { status, headers, json } = await refused(server.ws('/ws', query), options);
      assert.equal(status, 401);
      assert.match(headers['content-type'], /^application\/json/);
      assert.equal(json.type, 'error');
      assert.equal(json.code, 'unauthorized');
      assert.equal(typeof json.message, 'string');
    }
  });

  it('needs a WebSocket handshake', async () => {
    for (const at of ['/ws', '/ws/a']) {
      const { status, json } = await server.fetch(at, { query: { name: 'a' } });
      assert.ok([400, 426].includes(status), `${status}`);
      assert.equal(json.type, 'error');
    }
  });

  it('is refused under a name, or at a room, that cannot be', async () => {
    for (const [at, name] of [['/ws', '가'.repeat(41)], ['/ws', ''], ['/ws', 'a\u0007b'], ['/ws/a%20b', 'a'], [`/ws/${'a'.repeat(65)}`, 'a']]) {
      const { status, json } = await refused(server.ws(at, { name }));
      assert.equal(status, 400, at + name);
      assert.equal(json.type, 'error');
      assert.match(json.code, /^(bad_field|too_long)$/);
      assert.equal(json.field, at === '/ws' ? 'name' : 'room');
    }
  });

  it('of a foreign page is refused when it comes with a cookie', async () => {
    const foreign = { origin: 'https://elsewhere.example' };
    const url = server.ws('/ws', { name: 'a' });
    const { status, json } = await refused(url, { ...foreign, headers: { Cookie: 'a=b' } });
    assert.deepEqual([status, json.code], [403, 'forbidden']);
    await Session.open(server, { options: foreign });
  });
});

describe('a server that is full', { timeout: 300_000 }, () => {
  it('refuses one more session, and harms none that is there', async () => {
    const server = await Server.start('[limits]\nsessions = 1\n');
    try {
      const session = await Session.open(server);
      const { status, headers, json } = await refused(server.ws('/ws', { name: 'a' }));
      assert.equal(status, 503);
      assert.match(headers['retry-after'], /^[1-9]\d*$/);
      assert.equal(json.code, 'unavailable');
      assert.ok(json.retry_after_ms > 0);
      assert.equal((await session.pong()).type, 'pong');
    } finally {
      await server.remove();
    }
  });
});

describe('a heartbeat', { timeout: 300_000 }, () => {
  it('keeps who answers it and ends who does not', async () => {
    // A machine that stands still for two heartbeats has not answered either; slower ones tell the two apart.
    for (const heartbeat of [200, 1000, 5000]) if (await keepsWhoAnswers(heartbeat)) return;
    assert.fail('who answered was ended');
  });

  async function keepsWhoAnswers(heartbeat) {
    const server = await Server.start(`[times]\nheartbeat_ms = ${heartbeat}\n`);
    try {
      const [alive, silent] = await Promise.all([true, false].map((autoPong) => Session.open(server, { options: { autoPong } })));
      const ended = alive.closing.then(() => false);
      const answered = (async () => {
        for (let pings = 0; pings < 4; pings += 1) await once(alive.socket, 'ping');
        assert.equal((await alive.pong()).type, 'pong');
        return true;
      })();
      // Where it has ended, nobody asks for this any more.
      answered.catch(() => {});
      assert.equal((await silent.closed()).code, 4008);
      return await Promise.race([ended, answered]);
    } finally {
      await server.remove();
    }
  }
});
