/** The page /side-by-side in a real browser: what it draws of the demonstration that the real server makes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, Server } from './helpers.mjs';

const output = fileURLToPath(new URL('output/', import.meta.url));
const PHONE = { width: 360, height: 740 };

describe('HTTP and WebSocket, side by side', { timeout: 300_000 }, () => {
  let server;
  let browser;
  /** @type {import('playwright-core').BrowserContext[]} */
  let contexts = [];
  let complaints = [];

  before(async () => {
    server = await Server.start();
    browser = await launch();
    await mkdir(output, { recursive: true });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  afterEach(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    assert.deepEqual(complaints, [], 'nothing on the console');
    contexts = [];
    complaints = [];
  });

  const open = async (options) => {
    const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, ...options });
    context.setDefaultTimeout(60_000);
    contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    await page.goto(`${server.url}side-by-side`);
    return page;
  };
  const run = async (page, task) => {
    await page.locator(`input[value="${task}"]`).check();
    await page.locator('#run').click();
    await page.locator('html[data-state="state.done"]').waitFor();
  };
  const counter = async (page, lane, name) => Number((await page.locator(`#${lane} [data-counter="${name}"]`).textContent()).replaceAll(',', ''));
  const drawn = (page, lane, direction) => page
    .locator(`#${lane} .exchange.${direction}`)
    .evaluateAll((rows) => rows.reduce((sum, row) => sum + Number(row.dataset.bytes), 0));

  for (const [locale, title, verdict] of [
    ['ko-KR', 'HTTP와 웹소켓, 나란히', /HTTP가 [\d.]+배의 바이트/],
    ['en-US', 'HTTP and WebSocket, side by side', /HTTP took [\d.]+ times the bytes/],
  ]) {
    it(`draws a talk both ways, ${locale}, and its counters are the sums of what it draws`, async () => {
      const page = await open({ locale, ...(locale === 'ko-KR' ? { viewport: PHONE, hasTouch: true } : {}) });
      assert.equal(await page.locator('h1').textContent(), title);
      await run(page, 'talk');
      assert.match(await page.locator('#verdict').textContent(), verdict);
      for (const lane of ['http', 'websocket']) {
        for (const direction of ['up', 'down']) {
          const [counted, sum] = [await counter(page, lane, direction), await drawn(page, lane, direction)];
          assert.ok(counted > 500);
          assert.equal(counted, sum);
        }
        assert.equal(await page.locator(`#${lane} .note.known`).count(), 3, 'each message of the other was heard');
      }
      assert.ok((await counter(page, 'http', 'up')) > (await counter(page, 'websocket', 'up')));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wide, 0, 'nothing sticks out at the side');
      const tops = await page.locator('.lane').evaluateAll((lanes) => lanes.map((lane) => lane.getBoundingClientRect().top));
      assert.equal(tops[0], tops[1], 'the lanes are side by side');
      await page.screenshot({ path: `${output}side-by-side-${locale}.png`, fullPage: true });
    });
  }

  it('shows a frame’s header byte for byte, and a request’s headers', async () => {
    const page = await open({ locale: 'en-US' });
    await run(page, 'once');
    const send = page.locator('#websocket [data-what="send"]');
    await send.locator('summary').click();
    const fields = await send.locator('.fields code').allTextContents();
    assert.equal(fields[0], '81', 'the last frame, of a text');
    const content = await send.locator('pre.content').textContent();
    assert.equal(parseInt(fields[1], 16), 0x80 | content.length);
    assert.match(fields[2], /^([0-9a-f]{2} ){3}[0-9a-f]{2}$/);
    assert.deepEqual(JSON.parse(content), { type: 'send', id: 1, text: 'hello 1' });
    await page.locator('#http [data-what="post"] summary').click();
    assert.match(await page.locator('#http [data-what="post"] pre.before').textContent(), /^POST \/api\/rooms\/lobby-1\/messages HTTP\/1\.1\r?\nHost: /);
    // For a single message HTTP is the cheaper.
    assert.match(await page.locator('#verdict').textContent(), /WebSocket took/);
  });

  it('sends the headers that this browser sends', async () => {
    const heads = new Map();
    const listener = createServer((socket) => {
      let head = '';
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        head += bytes;
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        const [first, ...lines] = head.slice(0, end).split('\r\n');
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (head.length < end + 4 + length) return;
        heads.set(first.split(' ').slice(0, 2).join(' '), lines.map((line) => line.split(':')[0]));
        head = '';
        socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const context = await browser.newContext({ locale: 'ko-KR' });
    contexts.push(context);
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${listener.address().port}/`);
    await page.evaluate(async () => {
      await (await fetch('/get')).text();
      await (await fetch('/post', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).text();
      const socket = new WebSocket('/ws');
      await new Promise((resolve) => { socket.onerror = resolve; });
    });
    await context.close();
    listener.close();

    const shown = await open({ locale: 'en-US' });
    await run(shown, 'talk');
    for (const [lane, what, request] of [['http', 'poll', 'GET /get'], ['http', 'post', 'POST /post'], ['websocket', 'handshake', 'GET /ws']]) {
      const head = await shown.locator(`#${lane} [data-what="${what}"] pre.before`).first().textContent();
      const names = head.trim().split(/\r?\n/).slice(1).map((line) => line.split(':')[0]);
      assert.deepEqual(names.sort(), heads.get(request).sort(), what);
    }
  });

  it('is found from the chat page', async () => {
    const page = await open({ locale: 'ko-KR' });
    await page.goto(server.url);
    await page.locator('#join a', { hasText: '나란히' }).click();
    await page.locator('h1', { hasText: '나란히' }).waitFor();
  });
});
