/** The examples of the README, each as a program of its own, with the real server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { Server, within } from './helpers.mjs';

const folder = fileURLToPath(new URL('..', import.meta.url));
const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);

const CALLS = /coffee for 강호동\n[^]*bread is ready\nsmoothie is ready\ncoffee is ready\n[^]*sold_out The cake is sold out\.\n[^]*TimeoutError/;

describe('the examples of the README', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.remove());

  it('are there', () => assert.equal(examples.length, 5));

  for (const [i, code] of examples.entries()) {
    it(`run, and come to an end: the ${i + 1}.`, async () => {
      const said = [/stored as 1 at \d{4}-/, /open\n[^]*here with 1\n[^]*둘/, CALLS, /'bake', params: \[ '빵' \]/, /true no_such_room/][i];
      const program = code.replaceAll('https://example.com', server.url);
      let result;
      // What is ready first is told by 100 ms; on a busy machine, by more.
      for (const slower of said === CALLS ? [1, 4, 16] : [1]) {
        result = await run(program.replace(/order\("(coffee|bread|smoothie)", (\d+)\)/g, (_, item, ms) => `order("${item}", ${ms * slower})`));
        if (said.test(result.output)) break;
      }
      assert.equal(result.status, 0, result.output);
      assert.match(result.output, said);
    });
  }
});

/** As Node 20 runs it, with `ws` in the place of the WebSocket that later ones have. @param {string} program */
async function run(program) {
  const code = `const { WebSocket } = await import("ws"); globalThis.WebSocket ??= WebSocket;\n${program}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => { output += bytes; });
  const status = await within(new Promise((resolve) => child.once('close', resolve)), () => `no end: ${output}`).finally(() => child.kill('SIGKILL'));
  return { status, output };
}
