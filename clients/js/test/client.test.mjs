/** The client with the real server, when all goes well, and when something is refused. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { once } from 'node:events';
import { madang, MadangError } from '../madang.js';
import { closeAll, freshRoom, join, next, record, Server, storage, until } from './helpers.mjs';

describe('a yard', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());
  afterEach(closeAll);

  it('opens, tells its states, and knows who it is', async () => {
    const yard = join(server.url);
    const states = [];
    yard.onstate = ({ data }) => states.push(data.state);
    assert.equal(yard.state, 'connecting');
    const { data } = await next(yard, 'open');
    assert.equal(data.type, 'hello');
    assert.equal(yard.state, 'open');
    assert.deepEqual([yard.user.name, yard.user.guest], ['강호동', true]);
    yard.close();
    assert.deepEqual(states, ['connecting', 'open', 'closed']);
    assert.deepEqual(yard.status, { state: 'closed', why: 'left', code: 1000, message: null });
    assert.throws(() => yard.connect(), { code: 'closed' });
  });

  it('takes any form of the address', async () => {
    for (const url of [server.url, server.url.slice(0, -1), server.url.replace('http', 'ws'), `${server.url}ws`, new URL(server.url)]) {
      await next(join(url), 'open');
    }
  });

  it('has events in the habit of WebSocket', async () => {
    const yard = join(server.url);
    const calls = [];
    const listener = () => calls.push('listener');
    yard.onopen = () => calls.push('not this one');
    yard.onopen = () => calls.push('onopen');
    yard.addEventListener('open', listener);
    yard.onmessage = ({ data }) => calls.push(data.type);
    yard.onclose = ({ code }) => calls.push(code);
    await next(yard, 'open');
    const room = yard.room(freshRoom());
    await next(room, 'open');
    await room.send('안녕');
    yard.close();
    yard.removeEventListener('open', listener);
    assert.deepEqual(calls, ['onopen', 'listener', 'message', 1000]);
    assert.equal(typeof yard.onopen, 'function');
    yard.onopen = null;
    assert.equal(yard.onopen, null);
  });

  it('gives the place of a stored message, and shows it to everyone in the room', async () => {
    const name = freshRoom();
    const [hodong, dongyup] = [join(server.url), join(server.url, { name: '신동엽' })];
    const [mine, theirs] = [hodong.room(name), dongyup.room(name)];
    await Promise.all([next(mine, 'open'), next(theirs, 'open')]);
    const arrived = next(theirs, 'message');
    const stored = await mine.send('밥 먹었니?');
    assert.equal(stored.seq, 1);
    assert.ok(Date.parse(stored.at) > 0);
    assert.equal('duplicate' in stored, false);
    const { data } = await arrived;
    assert.deepEqual([data.text, data.from.name, data.key], ['밥 먹었니?', '강호동', stored.key]);

    const answer = next(mine, 'message');
    await theirs.send({ text: '네', data: { with: ['kimchi'] }, reply_to: 1 });
    const reply = (await answer).data;
    assert.deepEqual([reply.text, reply.data, reply.reply_to], ['네', { with: ['kimchi'] }, 1]);
    assert.deepEqual(mine.place.since, 2);
  });

  it('stores a message of one key once', async () => {
    const room = join(server.url).room(freshRoom());
    const first = await room.send({ text: '한 번', key: 'k-1' });
    const again = await room.send({ text: '한 번', key: 'k-1' });
    assert.deepEqual([again.seq, again.duplicate], [first.seq, true]);
    await assert.rejects(room.send({ text: '다른 말', key: 'k-1' }), { code: 'conflict' });
    assert.equal((await server.log(room.name)).length, 1);
  });

  it('sends in the order written, without being waited for', async () => {
    const room = join(server.url).room(freshRoom());
    const texts = Array.from({ length: 100 }, (_, i) => `말 ${i}`);
    await Promise.all(texts.map((text) => room.send(text)));
    assert.deepEqual((await server.log(room.name)).map(({ text }) => text), texts);
    await until(room, ['outbox'], () => room.outbox.length === 0);
  });

  it('begins with the last ones, or after a place', async () => {
    const name = freshRoom();
    const writer = join(server.url).room(name);
    for (let i = 1; i <= 5; i += 1) await writer.send(`말 ${i}`);
    const last = join(server.url, { name: '둘' }).room(name, { last: 2 });
    const told = record(last);
    await until(last, ['event'], () => told.seqs.length === 2);
    assert.deepEqual(told.seqs, [4, 5]);
    const since = join(server.url, { name: '셋' }).room(name, { since: 1, epoch: last.place.epoch });
    const [all, opened] = [record(since), next(since, 'open')];
    await until(since, ['event'], () => all.seqs.length === 4);
    assert.deepEqual(all.seqs, [2, 3, 4, 5]);
    assert.equal((await opened).resumed, true);
    assert.deepEqual([all.gaps, all.resets], [[], 0]);
  });

  it('tells a reset to who comes with a place of another log', async () => {
    const name = freshRoom();
    await join(server.url).room(name).send('말');
    const room = join(server.url).room(name, { since: 70, epoch: 'another' });
    const told = record(room);
    await next(room, 'open');
    assert.equal(told.resets, 1);
    assert.equal(room.place.since, 1);
  });

  it('reads history and who is here, and asks whatever else there is', async () => {
    const yard = join(server.url);
    const room = yard.room(freshRoom());
    const history = room.history({ limit: 1 });
    await room.send('하나');
    await room.send('둘');
    assert.ok(Array.isArray((await history).events), 'asked before the connection was open');
    const page = await room.history({ before: 2, limit: 10 });
    assert.deepEqual(page.events.map(({ text }) => text), ['하나']);
    assert.deepEqual((await room.who()).users.map(({ name }) => name), ['강호동']);
    assert.equal((await yard.request({ type: 'ping' })).type, 'pong');
    await assert.rejects(yard.request({ type: 'dance' }), { name: 'MadangError', code: 'unknown_type' });
    await assert.rejects(room.history({ limit: 0 }), { code: 'bad_field', field: 'limit' });
  });

  it('asks more at once than the server takes at once, and all is answered', async () => {
    const room = join(server.url).room(freshRoom());
    await next(room, 'open');
    const answers = await Promise.all(Array.from({ length: 200 }, () => room.who()));
    assert.ok(answers.every(({ count }) => count === 1));
  });

  it('hears each event once, although the subscription is moved back under it', async () => {
    const yard = join(server.url);
    const room = yard.room(freshRoom());
    const told = record(room);
    for (let i = 1; i <= 5; i += 1) await room.send(`말 ${i}`);
    // As another tab of a shared connection does it.
    await yard.request({ type: 'subscribe', room: room.name, since: 1 });
    await room.send('말 6');
    await until(room, ['event'], () => told.seqs.includes(6));
    // And forward: what is missed is asked for.
    await yard.request({ type: 'unsubscribe', room: room.name });
    await join(server.url, { name: '신동엽' }).room(room.name).send('말 7');
    await yard.request({ type: 'subscribe', room: room.name });
    await room.send('말 8');
    await until(room, ['event'], () => told.seqs.includes(8));
    assert.deepEqual(told.seqs, [1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('hears nothing more of a room that was left, and may come again', async () => {
    const name = freshRoom();
    const yard = join(server.url);
    const other = join(server.url, { name: '신동엽' }).room(name);
    const room = yard.room(name);
    assert.equal(yard.room(name), room, 'the same room is the same object');
    await Promise.all([next(room, 'open'), next(other, 'open')]);
    const told = record(room);
    room.leave();
    assert.equal(room.state, 'left');
    await assert.rejects(room.send('늦은 말'), { code: 'closed' });
    await other.send('못 들을 말');
    const again = yard.room(name, { last: 10 });
    const heard = record(again);
    await until(again, ['event'], () => heard.texts.length === 1);
    assert.deepEqual([told.texts, heard.texts], [[], ['못 들을 말']]);
  });

  it('sends what was written before its room was left', async () => {
    const name = freshRoom();
    await next(join(server.url).room(name), 'open');
    const yard = join(server.url, { name: '신동엽' });
    const room = yard.room(name);
    const sent = room.send('가면서 하는 말');
    room.leave();
    assert.equal((await sent).seq, 1);
    assert.deepEqual((await server.log(name)).map(({ text }) => text), ['가면서 하는 말']);
  });

  it('tells who sends a message why it was not taken, and goes on with the next', async () => {
    const room = join(server.url).room(freshRoom());
    const failed = [];
    room.onfailed = ({ data, error }) => failed.push([data.content.text?.length ?? 0, error.code]);
    const [long, empty, good] = [room.send('가'.repeat(30_000)), room.send({}), room.send('좋은 말')];
    await assert.rejects(long, { code: 'too_long', limit: 65_536 });
    await assert.rejects(empty, { code: 'bad_field', field: 'text' });
    assert.equal((await good).seq, 1);
    assert.deepEqual(failed, [[30_000, 'too_long'], [0, 'bad_field']]);
  });

  it('does not end a program that waits for no answer', async () => {
    const unhandled = [];
    const note = (reason) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const yard = join(server.url, { outboxLimit: 2 });
    const room = yard.room(freshRoom());
    room.send('가'.repeat(30_000));
    room.send({});
    room.send('셋째');
    const refused = next(room, 'failed');
    room.read(1);
    await refused;
    room.send('끝내 못 갈 말');
    yard.close();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    assert.deepEqual(unhandled, []);
  });

  it('bounds what waits', async () => {
    const room = join(server.url, { outboxLimit: 3 }).room(freshRoom());
    const sent = [1, 2, 3].map((n) => room.send(`말 ${n}`));
    await assert.rejects(room.send('넷'), { code: 'outbox_full', limit: 3 });
    assert.deepEqual((await Promise.all(sent)).map(({ seq }) => seq), [1, 2, 3]);
  });

  it('gives up on close what is not sent, and says so', async () => {
    const yard = join(server.url);
    const room = yard.room(freshRoom());
    const [sent, asked] = [room.send('못 갈 말'), room.who()];
    yard.close();
    await assert.rejects(sent, { code: 'closed' });
    await assert.rejects(asked, { code: 'closed' });
    assert.equal(room.state, 'left');
  });

  it('says that a room cannot be entered, and asks again on demand', async () => {
    const room = join(server.url).room('방 아님');
    const { error } = await next(room, 'error');
    assert.ok(error instanceof MadangError);
    assert.deepEqual([error.code, error.field, room.state], ['bad_field', 'room', 'refused']);
    room.join();
    await next(room, 'error');
  });

  it('keeps a guest’s token where it is told, so that the same guest comes back', async () => {
    const guest = storage();
    const first = join(server.url, { guest });
    await next(first, 'open');
    const { id } = first.user;
    first.close();
    const second = join(server.url, { guest });
    await next(second, 'open');
    assert.equal(second.user.id, id);
    const other = join(server.url);
    await next(other, 'open');
    assert.notEqual(other.user.id, id);

    // The server does not know it any more: the same person comes in by name.
    for (const key of guest.items.keys()) guest.items.set(key, 'nonsense');
    const third = join(server.url, { guest });
    await next(third, 'open');
    assert.notEqual(third.user.id, id);
    assert.equal([...guest.items.values()].includes('nonsense'), false);
  });

  it('keeps unsent messages where it is told, and the next one sends them once', async () => {
    const name = freshRoom();
    const kept = { guest: storage(), outbox: storage() };
    const first = join(server.url, kept);
    await next(first, 'open');
    first.room(name).send('하나');
    first.room(name).send('둘');
    first.close();
    const room = join(server.url, kept).room(name);
    assert.deepEqual(room.outbox.map(({ content }) => content.text), ['하나', '둘']);
    await room.send('셋');
    assert.deepEqual((await server.log(name)).map(({ text }) => text), ['하나', '둘', '셋']);
    await until(room, ['outbox'], () => room.outbox.length === 0);
    await null;
    assert.equal(kept.outbox.items.size, 0);
  });

  it('asks for a token before each connection', async () => {
    const guest = join(server.url, { name: '손님', guest: storage() });
    const token = (await next(guest, 'open')).data.token;
    let asked = 0;
    const yard = join(server.url, {
      name: undefined,
      token: async () => {
        asked += 1;
        return asked === 1 ? 'expired' : token;
      },
    });
    await next(yard, 'open');
    assert.deepEqual([asked, yard.user.name], [2, '손님']);

    const refused = join(server.url, { name: undefined, token: 'nonsense' });
    const { error } = await next(refused, 'error');
    assert.equal(error.code, 'refused');
    assert.equal(refused.status.why, 'refused');
    await assert.rejects(refused.request({ type: 'ping' }), { code: 'closed' });
  });

  it('says what is wrong with how it is called', () => {
    assert.throws(() => madang(server.url), /give a `name`|Give a `name`/i);
    assert.throws(() => madang(server.url, { token: 't', outbox: 'tab' }), /give a `name`/);
    assert.throws(() => madang(server.url, { name: '강호동', guest: 'cupboard', WebSocket: class {} }), /"page", "tab", "browser"/);
    assert.throws(() => madang('not an address', { name: '강호동' }), TypeError);
    assert.throws(() => join(server.url).room('a', { last: 1, since: 1 }), /not with both/);
    const own = globalThis.WebSocket;
    delete globalThis.WebSocket;
    try {
      assert.throws(() => madang(server.url, { name: '강호동' }), { code: 'no_websocket', message: /Node\.js.*"ws"/ });
    } finally {
      if (own) globalThis.WebSocket = own;
    }
  });
});

describe('what the server says on closing', { timeout: 60_000 }, () => {
  afterEach(closeAll);

  /** A server that closes the first connection, and counts. */
  const closing = async (code, reason) => {
    const http = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(http, 'listening');
    let count = 0;
    http.on('connection', (socket) => {
      count += 1;
      socket.send(JSON.stringify({ type: 'hello', session: 's', user: { id: 'u', name: 'n' }, heartbeat_ms: 25_000, limits: {} }));
      if (count === 1) socket.close(code, reason);
    });
    return { url: `http://127.0.0.1:${http.address().port}`, count: () => count, remove: () => http.close() };
  };

  it('is obeyed: whoever is to stay away does', async () => {
    for (const [code, why] of [[4003, 'banned'], [4001, 'credential'], [1002, 'fault'], [1000, 'ended'], [4050, 'ended']]) {
      const server = await closing(code, 'because');
      const yard = join(server.url);
      const { error } = await next(yard, 'error');
      assert.deepEqual([error.code, yard.status.state, yard.status.why], [why, 'closed', why], String(code));
      assert.equal(server.count(), 1);
      const again = next(yard, 'open');
      yard.connect();
      await again;
      yard.close();
      server.remove();
    }
  });

  it('is obeyed: whoever is to come back does, within the time named', async () => {
    for (const [code, reason] of [[1012, '{"retry_after_ms":300}'], [1013, '{"retry_after_ms":300}'], [4200, '']]) {
      const server = await closing(code, reason);
      const yard = join(server.url);
      await next(yard, 'open');
      await until(yard, ['state'], () => yard.state === 'waiting');
      assert.equal(yard.status.code, code);
      assert.ok(yard.status.until - Date.now() <= 300, String(code));
      await next(yard, 'open');
      yard.close();
      server.remove();
    }
  });
});
