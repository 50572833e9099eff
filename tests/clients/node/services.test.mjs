/** The backends of docs/services.md in JavaScript, as they stand there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, describe, it } from 'node:test';
import { Server, Session } from './helpers.mjs';

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const SERVICES = path.join(HERE, '../../../docs/services');
const SECRET = '열려라 참깨';

/** One of the programs, with these environment variables, where it finds the npm packages. */
async function start(name, environment) {
  const folder = path.join(HERE, '../node_modules/.services');
  await mkdir(folder, { recursive: true });
  await copyFile(path.join(SERVICES, name), path.join(folder, name));
  const backend = spawn(process.execPath, [path.join(folder, name)], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(backend, 'exit');
  return async () => {
    backend.kill('SIGKILL');
    await ended;
  };
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** What the café answers, with what came before. It may still have to start. */
async function answer(session, item, id) {
  for (;;) {
    session.send({ type: 'call', id, service: 'cafe', method: 'order', params: { item } });
    const told = [];
    while (!['ok', 'error'].includes(told.at(-1)?.type)) {
      told.push(await session.take((message) => message.id === id, `answer to ${id}`));
    }
    if (told.at(-1).code !== 'no_such_service') return told;
    await sleep(50);
  }
}

async function both(session) {
  const told = await answer(session, '커피', 1);
  assert.equal(told[0].type, 'ticket');
  assert.deepEqual(told.at(-1).result, { item: '커피', for: '강호동' });
  const soldOut = (await answer(session, 'cake', 2)).at(-1);
  assert.deepEqual([soldOut.code, soldOut.message], ['sold_out', 'There is no cake left.']);
  return told;
}

describe('a service in ten lines', { timeout: 300_000 }, () => {
  const ends = [];
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  it('answers by WebSocket', async () => {
    const server = await Server.start();
    ends.push(() => server.remove());
    ends.push(await start('short_websocket.mjs', { MADANG: server.ws('/ws', { name: 'kitchen' }) }));
    const session = await Session.open(server);
    assert.equal((await answer(session, '커피', 1)).at(-1).result, 'one 커피');
  });

  it('answers by HTTP', async () => {
    const port = await freePort();
    const server = await Server.start(`[services.cafe]\nurl = "http://127.0.0.1:${port}/cafe"\n`);
    ends.push(() => server.remove());
    ends.push(await start('short_http.mjs', { PORT: port }));
    const session = await Session.open(server);
    assert.equal((await answer(session, '커피', 1)).at(-1).result, 'one 커피');
  });
});

describe('a service that is an HTTP address', { timeout: 300_000 }, () => {
  const ends = [];
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  it('answers, comes back, and knows whose a request is', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/cafe`;
    const server = await Server.start(`[services.cafe]\nurl = "${url}"\nsecret = "${SECRET}"\n`);
    ends.push(() => server.remove());
    const kill = await start('by_http.mjs', { PORT: port, SECRET });
    ends.push(kill);
    const session = await Session.open(server);
    await both(session);
    await kill();
    session.send({ type: 'call', id: 3, service: 'cafe', method: 'order', params: { item: 'tea' } });
    await session.next('ticket');
    ends.push(await start('by_http.mjs', { PORT: port, SECRET }));
    const ok = await session.take(({ id, type }) => id === 3 && type === 'ok', 'answer to 3');
    assert.deepEqual(ok.result, { item: 'tea', for: '강호동' });

    const body = JSON.stringify({ params: { item: 'tea' }, from: { name: 'x' } });
    for (const headers of [{}, { 'madang-signature': `t=1,v1=${'0'.repeat(64)}` }, { 'madang-signature': 'x' }]) {
      assert.equal((await fetch(url, { method: 'POST', body, headers })).status, 401);
    }
  });
});

describe('a service that is a session', { timeout: 300_000 }, () => {
  const ends = [];
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  it('answers, tells how far it is, and comes back', async () => {
    const server = await Server.start();
    ends.push(() => server.remove());
    const port = await freePort();
    // The backend is to find the server again, so it needs a port that stays.
    await server.end();
    await server.again(port);
    ends.push(await start('by_websocket.mjs', { MADANG: server.ws('/ws', { name: 'kitchen' }) }));
    const told = await both(await Session.open(server));
    assert.deepEqual(told.find(({ type }) => type === 'progress'), { type: 'progress', id: 1, data: 'grinding' });
    await server.end();
    await server.again(port);
    await both(await Session.open(server));
  });
});
