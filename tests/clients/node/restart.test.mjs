/** What a server's end means for its clients, and what is still there afterwards. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { freshRoom, Server, Session } from './helpers.mjs';

describe('a server that is ended', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  beforeEach(async () => {
    server = await Server.start();
  });
  afterEach(() => server?.remove());

  it('tells every session when to come back, and ends well', async () => {
    const room = freshRoom();
    const inRoom = await Session.open(server, { at: `/ws/${encodeURIComponent(room)}` });
    const bare = await Session.open(server);
    assert.equal(await server.end(), 0);
    for (const session of [inRoom, bare]) {
      const { code, reason } = await session.closed();
      assert.equal(code, 1012);
      const { retry_after_ms: millis } = JSON.parse(reason);
      assert.ok(Number.isInteger(millis) && millis > 0, reason);
    }
  });

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    it(`by ${signal} has lost nothing that it had said ok to`, async () => {
      const room = freshRoom();
      const hodong = await Session.open(server);
      const { epoch } = await hodong.ok('subscribe', { room });
      const message = { room, text: '남을 말', key: 'k' };
      for (let number = 1; number <= 20; number += 1) await hodong.ok('send', { room, text: `${number}` });
      const { seq } = await hodong.ok('send', message);
      assert.equal(seq, 21);
      const adminToken = await server.adminToken();
      await server.end(signal);
      await hodong.closed();

      await server.again();
      const back = await Session.open(server, { query: { token: hodong.hello.token } });
      assert.deepEqual(back.user, hodong.user);
      const ok = await back.ok('subscribe', { room, since: 15, epoch });
      assert.deepEqual([ok.head, ok.next, 'gap' in ok, 'reset' in ok], [21, 16, false, false]);
      const missed = await back.events(6);
      assert.deepEqual(missed, hodong.all.filter(({ type, seq: at }) => type === 'message' && at > 15));
      const again = await back.ok('send', message);
      assert.deepEqual([again.seq, again.duplicate], [21, true]);
      assert.equal((await back.ok('send', { room, text: '다음' })).seq, 22);
      assert.equal((await back.ok('who', { room })).count, 1);

      assert.equal(await server.adminToken(), adminToken);
      const { json } = await server.fetch('/api/sessions', { token: adminToken });
      const states = new Map(json.sessions.map((one) => [one.session, one.state]));
      assert.equal(states.get(hodong.hello.session), 'closed');
      assert.equal(states.get(back.hello.session), 'open');
    });
  }
});
