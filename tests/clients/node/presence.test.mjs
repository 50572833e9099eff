/** Who is there: asked for, and told. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freshRoom, Server, Session, TIME } from './helpers.mjs';

describe('presence', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  const enter = async (room, query, from = server) => {
    const session = await Session.open(from, { query });
    await session.ok('subscribe', { room });
    return session;
  };
  /** The next change in which a user `joined` or `left`. */
  const told = (session, how, user) =>
    session.take(({ type, [how]: users }) => type === 'presence' && users.some(({ id }) => id === user.id), `${how} ${user.name}`);

  it('counts a user once, however many sessions they have', async () => {
    const room = freshRoom();
    const hodong = await enter(room, { name: '강호동' });
    await enter(room, { token: hodong.hello.token });
    const dongyup = await enter(room, { name: '신동엽' });
    const { count, users } = await dongyup.ok('who', { room });
    assert.equal(count, 2);
    const here = new Map(users.map(({ since, ...user }) => [user.id, [user, since]]));
    assert.deepEqual(here.get(hodong.user.id)[0], { ...hodong.user, sessions: 2 });
    assert.deepEqual(here.get(dongyup.user.id)[0], { ...dongyup.user, sessions: 1 });
    for (const [, since] of here.values()) assert.match(since, TIME);
  });

  it('is told when someone comes and when they leave, to those in the room alone', async () => {
    const room = freshRoom();
    const hodong = await enter(room, { name: '강호동' });
    const outside = await enter(freshRoom(), { name: '유재석' });
    const dongyup = await enter(room, { name: '신동엽' });
    const joined = await told(hodong, 'joined', dongyup.user);
    assert.deepEqual([joined.room, joined.count, joined.left], [room, 2, []]);
    assert.deepEqual(joined.joined.filter(({ id }) => id === dongyup.user.id), [dongyup.user]);

    await dongyup.ok('unsubscribe', { room });
    assert.deepEqual(await told(hodong, 'left', dongyup.user), { type: 'presence', room, joined: [], left: [dongyup.user], count: 1 });

    const back = await enter(room, { token: dongyup.hello.token });
    await told(hodong, 'joined', dongyup.user);
    await back.leave();
    assert.equal((await told(hodong, 'left', dongyup.user)).count, 1);
    await outside.pong();
    assert.equal(outside.all.filter((message) => message.type === 'presence' && message.room === room).length, 0);
  });

  it('stays as it is when one of two sessions leaves, or a broken one comes back', async () => {
    const room = freshRoom();
    const hodong = await enter(room, { name: '강호동' });
    const dongyup = await enter(room, { name: '신동엽' });
    await told(hodong, 'joined', dongyup.user);
    const second = await enter(room, { token: dongyup.hello.token });
    await second.leave();
    dongyup.socket.terminate();
    const back = await enter(room, { token: dongyup.hello.token });
    // Whatever was told of it would come before this.
    const jaeseok = await enter(room, { name: '유재석' });
    await told(hodong, 'joined', jaeseok.user);
    const changes = hodong.all.filter(({ type, left }) => type === 'presence' && left.length > 0);
    assert.deepEqual(changes, []);
    assert.equal((await back.ok('who', { room })).count, 3);
  });

  it('of others is told in time while the grace of a broken connection runs', async () => {
    const patient = await Server.start('[times]\npresence_grace_ms = 600000\n');
    try {
      const room = freshRoom();
      const hodong = await enter(room, { name: '강호동' }, patient);
      const dongyup = await enter(room, { name: '신동엽' }, patient);
      await told(hodong, 'joined', dongyup.user);
      dongyup.socket.terminate();
      let who;
      do who = await hodong.ok('who', { room });
      while (who.users.some(({ id, sessions }) => id === dongyup.user.id && sessions > 0));
      const jaeseok = await enter(room, { name: '유재석' }, patient);
      assert.equal((await told(hodong, 'joined', jaeseok.user)).count, 3);
      await jaeseok.leave();
      assert.equal((await told(hodong, 'left', jaeseok.user)).count, 2);
    } finally {
      await patient.remove();
    }
  });

  it('ends a grace after a connection broke', async () => {
    const quick = await Server.start('[times]\npresence_grace_ms = 300\n');
    try {
      const room = freshRoom();
      const hodong = await enter(room, { name: '강호동' }, quick);
      const dongyup = await enter(room, { name: '신동엽' }, quick);
      await told(hodong, 'joined', dongyup.user);
      dongyup.socket.terminate();
      assert.equal((await told(hodong, 'left', dongyup.user)).count, 1);
      assert.equal((await hodong.ok('who', { room })).count, 1);
    } finally {
      await quick.remove();
    }
  });
});
