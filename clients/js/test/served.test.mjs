/** The client as every server serves it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { Server } from './helpers.mjs';

describe('the server', { timeout: 60_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  it('serves the client whole, to every site', async () => {
    const seen = new Set(['madang.js', 'madang/worker.js']);
    for (const name of seen) {
      const answer = await fetch(new URL(name, server.url));
      const text = await answer.text();
      assert.equal(answer.status, 200, name);
      assert.equal(text, await readFile(new URL(`../${name}`, import.meta.url), 'utf8'), `${name}: the program is built with another one`);
      assert.match(answer.headers.get('content-type'), /^text\/javascript/);
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
      assert.equal(answer.headers.get('cross-origin-resource-policy'), 'cross-origin');
      for (const [, path] of text.matchAll(/^(?:import|export) .*from '(.+)';$/gm)) seen.add(new URL(path, `http://h/${name}`).pathname.slice(1));
    }
    assert.ok(seen.size > 10, [...seen].join());
  });

  it('asks for the bytes only when they have changed', async () => {
    const etag = (await fetch(`${server.url}madang.js`)).headers.get('etag');
    const answer = await fetch(`${server.url}madang.js`, { headers: { 'if-none-match': etag } });
    assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [304, '*']);
  });

  it('serves nothing else of its folder', async () => {
    for (const path of ['madang/package.json', 'package.json', 'madang/..%2Fpackage.json', 'test/helpers.mjs', 'madang/no.js']) {
      assert.equal((await fetch(server.url + path)).status, 404, path);
    }
  });
});
