/** The client when the network or the server fails in one way at a time. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { closeAll, freshRoom, join, Network, next, record, Server, storage, until } from './helpers.mjs';

describe('a yard in trouble', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  /** @type {Network} */
  let network;
  before(async () => {
    server = await Server.start('[times]\nheartbeat_ms = 1000\npresence_grace_ms = 1000\n');
    network = await Network.before(server);
  });
  after(async () => {
    await network?.remove();
    await server?.remove();
  });
  afterEach(closeAll);

  it('comes back after a cut, as the same guest, and hears what it missed', async () => {
    const name = freshRoom();
    const yard = join(network.url);
    const room = yard.room(name);
    const told = record(room);
    await next(room, 'open');
    const { id } = yard.user;
    await room.send('하나');
    network.goDown();
    await until(yard, ['state'], () => yard.state === 'waiting');
    await join(server.url, { name: '신동엽' }).room(name).send('끊긴 사이에');
    network.isDown = false;
    const { resumed } = await next(room, 'open');
    await room.send('셋');
    assert.equal(resumed, true);
    assert.equal(yard.user.id, id);
    assert.deepEqual(told, { seqs: [1, 2, 3], texts: ['하나', '끊긴 사이에', '셋'], gaps: [], resets: 0 });
  });

  it('sends once and in order what was written in a break', async () => {
    const yard = join(network.url);
    const room = yard.room(freshRoom());
    await next(room, 'open');
    network.goDown();
    await until(yard, ['state'], () => yard.state === 'waiting');
    const texts = Array.from({ length: 20 }, (_, i) => `말 ${i}`);
    const sent = texts.map((text) => room.send(text));
    assert.equal(room.outbox.length, 20);
    network.isDown = false;
    yard.connect();
    const places = await Promise.all(sent);
    assert.deepEqual(places.map(({ seq }) => seq), texts.map((_, i) => i + 1));
    assert.deepEqual((await server.log(room.name)).map(({ text }) => text), texts);
  });

  it('stores once a message whose answer was lost', async () => {
    const yard = join(network.url);
    const room = yard.room(freshRoom());
    await next(room, 'open');
    // The message gets through, its answer does not.
    const { down } = network;
    network.down = () => 60_000;
    const sent = room.send('한 번만');
    const other = join(server.url, { name: '신동엽' }).room(room.name);
    while ((await other.history()).events.length === 0);
    network.down = down;
    network.cut();
    const stored = await sent;
    assert.deepEqual([stored.seq, stored.duplicate], [1, true]);
    assert.equal((await server.log(room.name)).length, 1);
  });

  it('notices a network that says nothing any more, and comes back', async () => {
    const yard = join(network.url);
    const room = yard.room(freshRoom());
    const told = record(room);
    await next(room, 'open');
    network.stall();
    const sent = room.send('들리나요');
    const { code } = await next(yard, 'close');
    assert.equal(code, 1006);
    assert.equal((await sent).seq, 1);
    await until(room, ['event'], () => told.texts.length === 1);
  });

  it('does not lose itself in a server that was killed and restarted', async () => {
    const yard = join(network.url);
    const room = yard.room(freshRoom());
    const told = record(room);
    await room.send('하나');
    const sent = room.send('둘');
    await server.end('SIGKILL');
    const later = room.send('셋');
    await server.again();
    await Promise.all([sent, later]);
    await until(room, ['event'], () => told.texts.length === 3);
    assert.deepEqual([told.texts, told.resets], [['하나', '둘', '셋'], 0]);
    assert.deepEqual((await server.log(room.name)).map(({ text }) => text), ['하나', '둘', '셋']);
  });

  it('is told a gentle end, and comes back within the time named', async () => {
    const yard = join(network.url);
    await next(yard, 'open');
    const closed = next(yard, 'close');
    await server.end('SIGTERM');
    assert.equal((await closed).code, 1012);
    await server.again();
    await next(yard, 'open');
  });

  it('tells a reset when the server has lost its data, and goes on as someone new', async () => {
    const guest = storage();
    const yard = join(network.url, { guest });
    const room = yard.room(freshRoom(), { last: 10 });
    const told = record(room);
    await next(room, 'open');
    await room.send('사라질 말');
    const { id } = yard.user;
    await server.end('SIGKILL');
    await server.forget();
    await server.again();
    await next(room, 'reset');
    await room.send('새로 하는 말');
    await until(room, ['event'], () => told.texts.length === 2);
    assert.notEqual(yard.user.id, id);
    assert.deepEqual(told, { seqs: [1, 1], texts: ['사라질 말', '새로 하는 말'], gaps: [], resets: 1 });
  });

  it('does not send as someone else what it may have sent already', async () => {
    const yard = join(network.url);
    const room = yard.room(freshRoom());
    await next(room, 'open');
    const { down } = network;
    network.down = () => 60_000;
    const sent = room.send('갔을까');
    const other = join(server.url, { name: '신동엽' }).room(room.name);
    while ((await other.history()).events.length === 0);
    // Nor does the answer come through that the server has not sent yet.
    network.goDown();
    network.down = down;
    await server.end('SIGKILL');
    await server.forget();
    await server.again();
    network.isDown = false;
    await assert.rejects(sent, { code: 'uncertain' });
    await room.send('다음 말');
    assert.deepEqual((await server.log(room.name)).map(({ text }) => text), ['다음 말']);
  });
});

describe('a machine that sleeps', { timeout: 60_000 }, () => {
  afterEach(closeAll);

  it('is told by its timers, and the connection is tried at once', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const asked = new Promise((resolve) => {
      server.on('connection', (socket) => {
        socket.send(JSON.stringify({ type: 'hello', session: 's', user: { id: 'u', name: 'n' }, heartbeat_ms: 3_600_000, limits: {} }));
        socket.on('message', (data) => resolve(JSON.parse(data.toString()).type));
      });
    });
    await next(join(`http://127.0.0.1:${server.address().port}`), 'open');
    // A clock that jumps is what a sleep looks like from here.
    const { now } = Date;
    Date.now = () => now() + 3_600_000;
    try {
      assert.equal(await asked, 'ping');
    } finally {
      Date.now = now;
      server.close();
    }
  });
});
