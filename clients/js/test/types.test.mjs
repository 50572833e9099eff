/** The types, as TypeScript's compiler sees them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';

const folder = fileURLToPath(new URL('..', import.meta.url));
const check = (...args) => new Promise((resolve) => {
  execFile('npx', ['--no-install', 'tsc', '--noEmit', '--strict', '--target', 'esnext', '--module', 'nodenext', ...args], { cwd: folder }, (_error, stdout, stderr) => resolve(stdout + stderr.replace(/^npm warn.*\n/gm, '')));
});

it('the types fit the way the client is used', { timeout: 120_000 }, async () => {
  assert.equal(await check('test/types.ts'), '');
});

it('the types need no browser', { timeout: 120_000 }, async () => {
  assert.equal(await check('--lib', 'esnext', '--types', 'node', 'test/types.ts'), '');
});

it('the client fits the types in its comments', { timeout: 120_000 }, async () => {
  assert.equal(await check('--allowJs', '--checkJs', '--lib', 'esnext,dom,dom.iterable', 'madang.js', 'madang/worker.js'), '');
});
