/** The same rooms over HTTP, and the register of sessions. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freshRoom, Server, Session, TIME } from './helpers.mjs';

describe('over HTTP', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  const inRoom = async () => {
    const room = freshRoom();
    const session = await Session.open(server);
    await session.ok('subscribe', { room });
    return [room, session, `/api/rooms/${encodeURIComponent(room)}`];
  };
  const post = (at, body, options) =>
    server.fetch(at, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...options });

  it('rooms are listed', async () => {
    const [room, session] = await inRoom();
    await session.ok('send', { room, text: 'a' });
    const { status, json } = await server.fetch('/api/rooms');
    assert.equal(status, 200);
    const listed = json.rooms.find((one) => one.room === room);
    assert.equal(listed.head, 1);
  });

  it('a message is said, stored and delivered', async () => {
    const [room, session, at] = await inRoom();
    const body = { text: '공지 📢', data: { n: 1 }, key: 'post-1' };
    const said = await post(`${at}/messages`, body, { token: session.hello.token });
    assert.equal(said.status, 201);
    assert.deepEqual({ ...said.json, at: '' }, { room, seq: 1, at: '' });
    assert.match(said.json.at, TIME);
    const event = await session.next('message');
    assert.deepEqual(event, { type: 'message', room, ...said.json, from: session.user, ...body });

    const again = await post(`${at}/messages`, body, { token: session.hello.token });
    assert.deepEqual([again.status, again.json.seq, again.json.duplicate], [200, 1, true]);
    const other = await post(`${at}/messages`, { ...body, text: '다른' }, { token: session.hello.token });
    assert.deepEqual([other.status, other.json.code], [409, 'conflict']);

    for (const [body, options] of [[{ text: '손님' }, { query: { name: '손님' } }], [{ text: '손님', name: '손님' }, {}]]) {
      assert.equal((await post(`${at}/messages`, body, options)).status, 201);
      const { from } = await session.next('message');
      assert.deepEqual([from.name, from.guest], ['손님', true]);
    }
  });

  it('messages are read by pages, as they were delivered', async () => {
    const [room, session, at] = await inRoom();
    for (const text of ['하나', '둘', '셋', '넷']) await session.ok('send', { room, text });
    const events = await session.events(4);
    const page = async (query) => (await server.fetch(`${at}/messages`, { query })).json.events;
    assert.deepEqual(await page(), events);
    assert.deepEqual(await page({ before: 4, limit: 2 }), events.slice(1, 3));
    assert.deepEqual(await page({ after: 2 }), events.slice(2));
  });

  it('a room is found by its name in either form', async () => {
    const [room, session] = await inRoom();
    await session.ok('send', { room, text: 'a' });
    const { status, json } = await server.fetch(`/api/rooms/${encodeURIComponent(room.normalize('NFD'))}/messages`);
    assert.equal(status, 200);
    assert.equal(json.events.length, 1);
  });

  it('presence is told', async () => {
    const [, session, at] = await inRoom();
    const { status, json } = await server.fetch(`${at}/presence`);
    assert.equal(status, 200);
    assert.equal(json.count, 1);
    const [{ since, ...user }] = json.users;
    assert.deepEqual(user, { ...session.user, sessions: 1 });
    assert.match(since, TIME);
  });

  it('sessions are told to who has the admin token alone', async () => {
    const [room, session] = await inRoom();
    for (const token of [undefined, 'wrong', session.hello.token]) {
      const { status, json } = await server.fetch('/api/sessions', { token });
      assert.equal(status, 401);
      assert.deepEqual([json.type, json.code], ['error', 'unauthorized']);
    }
    const token = await server.adminToken();
    const found = async () => {
      const { status, json } = await server.fetch('/api/sessions', { token, query: { limit: 1000 } });
      assert.equal(status, 200);
      return json.sessions.find((one) => one.session === session.hello.session);
    };
    const open = await found();
    assert.deepEqual([open.state, open.user, open.address, open.rooms], ['open', session.user, '127.0.0.1', [room]]);
    assert.match(open.connected_at, TIME);

    await session.leave();
    // Someone else sees presence end only when the session's end is stored.
    const witness = await Session.open(server);
    let who;
    do who = await witness.ok('who', { room });
    while (who.count > 0);
    const closed = await found();
    assert.deepEqual([closed.state, closed.close_code], ['closed', 1000]);
    assert.match(closed.closed_at, TIME);
  });

  it('a mistake is told in JSON', async () => {
    const [, session, at] = await inRoom();
    const { token } = session.hello;
    const messages = `${at}/messages`;
    for (const [status, code, request] of [
      [404, 'no_such_room', server.fetch(`/api/rooms/${freshRoom()}/messages`)],
      [404, 'no_such_room', server.fetch(`/api/rooms/${freshRoom()}/presence`)],
      [404, 'no_such_room', post(`/api/rooms/${freshRoom()}/messages`, { text: 'a' }, { token })],
      [400, 'bad_field', server.fetch('/api/rooms/a%20b/messages')],
      [400, 'bad_field', server.fetch(messages, { query: { limit: 0 } })],
      [400, 'bad_field', server.fetch(messages, { query: { before: 'a' } })],
      [400, 'bad_json', post(messages, '{', { token })],
      [400, 'bad_field', post(messages, {}, { token })],
      [401, 'unauthorized', post(messages, { text: 'a' })],
      [401, 'unauthorized', post(messages, { text: 'a' }, { token: 'wrong' })],
      [413, 'too_long', post(messages, { text: 'a'.repeat(65_536) }, { token })],
      [404, undefined, server.fetch('/api/nothing')],
      [405, undefined, server.fetch(messages, { method: 'DELETE' })],
    ]) {
      const answer = await request;
      assert.equal(answer.status, status, JSON.stringify(answer.json));
      assert.equal(answer.json.type, 'error');
      if (code) assert.equal(answer.json.code, code);
      assert.equal(typeof answer.json.message, 'string');
    }
  });

  it('all of this is described', async () => {
    const { status, json } = await server.fetch('/api/openapi.json');
    assert.equal(status, 200);
    assert.match(json.openapi, /^3\./);
    const described = Object.entries(json.paths).flatMap(([at, methods]) => Object.keys(methods).map((method) => `${method} ${at}`));
    for (const operation of [
      'get /api/rooms',
      'get /api/rooms/{room}/messages',
      'post /api/rooms/{room}/messages',
      'get /api/rooms/{room}/presence',
      'get /api/sessions',
    ]) {
      assert.ok(described.includes(operation), `${operation} in ${described}`);
    }
  });
});
