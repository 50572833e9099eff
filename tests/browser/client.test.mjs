/**
 * The client in real tabs, with the real server: what is written in a break, and one connection for all
 * tabs. The tabs stand on the page's door, which enters no room by itself.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Network } from '../../clients/js/test/network.mjs';
import { freshRoom, launch, Server, Visitor } from './helpers.mjs';

const WITHIN_MS = 20_000;

describe('the client in a browser', { timeout: 300_000 }, () => {
  /** @type {Server} */
  let server;
  /** @type {import('playwright-core').Browser} */
  let browser;
  /** @type {Network} */
  let network;
  let contexts = [];

  before(async () => {
    server = await Server.start();
    browser = await launch();
    network = await Network.before(server);
  });
  after(async () => {
    await browser?.close();
    await network?.remove();
    await server?.stop();
  });
  afterEach(async () => {
    network.isDown = false;
    await Promise.all(contexts.map((context) => context.close()));
    contexts = [];
    await eventually(async () => (await server.sessions()).length === 0, 'every session has ended');
  });

  const person = async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(WITHIN_MS);
    contexts.push(context);
    return context;
  };

  /** A tab of this person, in this room. */
  const tab = async (context, room, options = {}, url = server.url) => {
    const page = await context.newPage();
    await page.goto(url);
    await enter(page, room, options);
    return page;
  };
  const enter = (page, room, options) => page.evaluate(async ([name, given]) => {
      const { madang } = await import('/madang.js');
      window.yard = madang('/', { name: '강호동', guest: 'browser', shared: true, ...given });
      window.texts = [];
      window.room = window.yard.room(name, { last: 50 });
      window.room.onmessage = ({ data }) => window.texts.push(data.text);
    }, [room, options]);
  const say = (page, text) => page.evaluate((said) => void window.room.send(said), text);
  const hears = (page, texts) => page.waitForFunction((expected) => JSON.stringify(window.texts) === expected, JSON.stringify(texts));
  const isOpen = (page) => page.waitForFunction(() => window.yard.state === 'open' && window.room.state === 'open');
  const isIn = (page, state) => page.waitForFunction((expected) => window.yard.state === expected, state);
  const roomsOf = async () => (await server.sessions()).map(({ rooms }) => rooms.toSorted());

  it('has one connection for two tabs, which both talk', async () => {
    const [me, room] = [await person(), freshRoom()];
    const first = await tab(me, room);
    await isOpen(first);
    const second = await tab(me, room);
    await isOpen(second);
    assert.deepEqual(await Promise.all([first, second].map((page) => page.evaluate(() => window.yard.isShared))), [true, true]);
    assert.equal((await server.sessions()).length, 1);

    await say(first, '하나');
    await Promise.all([first, second].map((page) => hears(page, ['하나'])));
    await say(second, '둘');
    const third = await tab(me, room);
    await Promise.all([first, second, third].map((page) => hears(page, ['하나', '둘'])));
    const users = await Promise.all([first, second, third].map((page) => page.evaluate(() => window.yard.user.id)));
    assert.equal(new Set(users).size, 1);
    assert.equal((await server.sessions()).length, 1);
    assert.deepEqual(await server.texts(room), ['하나', '둘']);
  });

  it('goes on for one tab when the other is closed, or dies', async () => {
    const me = await person();
    const [room, own] = [freshRoom(), freshRoom()];
    const [stays, closes, dies] = [await tab(me, room), await tab(me, room), await tab(me, own)];
    await Promise.all([stays, closes, dies].map(isOpen));
    assert.deepEqual(await roomsOf(), [[room, own].toSorted()]);

    await closes.close();
    await say(stays, '나 아직 있어');
    await hears(stays, ['나 아직 있어']);

    // It has no chance to say goodbye.
    const cdp = await me.newCDPSession(dies);
    cdp.send('Page.crash').catch(() => {});
    await eventually(async () => JSON.stringify(await roomsOf()) === JSON.stringify([[room]]), 'the room that only it was in is left');
    await say(stays, '아직도');
    await hears(stays, ['나 아직 있어', '아직도']);
  });

  it('ends with the last tab, and cleanly', async () => {
    const me = await person();
    const room = freshRoom();
    const other = await tab(await person(), room, { name: '신동엽' });
    const mine = await tab(me, room);
    await Promise.all([isOpen(other), isOpen(mine)]);
    await mine.close();
    await eventually(async () => (await server.sessions()).length === 1, 'the session has ended');
  });

  it('gives each tab its own place in a room, and its own rooms', async () => {
    const me = await person();
    const [room, own] = [freshRoom(), freshRoom()];
    const [first, second] = [await tab(me, room), await tab(me, own)];
    await Promise.all([first, second].map(isOpen));
    for (let i = 1; i <= 60; i += 1) await say(first, `말 ${i}`);
    await first.waitForFunction(() => window.texts.length === 60);
    const late = await tab(me, room);
    await late.waitForFunction(() => window.texts.length === 50);
    await say(late, '끝');
    await first.waitForFunction(() => window.texts.at(-1) === '끝');
    await late.waitForFunction(() => window.texts.at(-1) === '끝');
    const all = [...Array.from({ length: 60 }, (_, i) => `말 ${i + 1}`), '끝'];
    assert.deepEqual(await first.evaluate(() => window.texts), all);
    assert.deepEqual(await late.evaluate(() => window.texts), all.slice(-51));
    assert.deepEqual(await second.evaluate(() => window.texts), []);

    await first.evaluate(() => window.room.leave());
    await say(late, '나 혼자');
    await hears(late, [...all.slice(-51), '나 혼자']);
  });

  it('comes back for all tabs after a cut, and each misses nothing', async () => {
    const me = await person();
    const room = freshRoom();
    const tabs = [await tab(me, room, {}, network.url), await tab(me, room, {}, network.url)];
    await Promise.all(tabs.map(isOpen));
    network.goDown();
    await Promise.all(tabs.map((page) => isIn(page, 'waiting')));
    await say(tabs[0], '하나');
    await say(tabs[1], '둘');
    await say(tabs[0], '셋');
    const other = await tab(await person(), room, { name: '신동엽' });
    await isOpen(other);
    await say(other, '끊긴 사이에');
    await hears(other, ['끊긴 사이에']);
    network.isDown = false;
    await Promise.all(tabs.map(isOpen));
    await eventually(async () => (await server.texts(room)).length === 4, 'all is stored');
    const stored = await server.texts(room);
    assert.deepEqual(stored.toSorted(), ['하나', '둘', '셋', '끊긴 사이에'].toSorted(), 'each once');
    assert.ok(stored.indexOf('하나') < stored.indexOf('셋'), 'each tab’s in order');
    await Promise.all([...tabs, other].map((page) => hears(page, stored)));
    assert.equal((await server.sessions()).length, 2);
  });

  it('makes a new worker when the old one has died', async () => {
    const me = await person();
    const room = freshRoom();
    const tabs = [await tab(me, room), await tab(me, room)];
    await Promise.all(tabs.map(isOpen));
    await say(tabs[0], '하나');
    await Promise.all(tabs.map((page) => hears(page, ['하나'])));
    const [{ session }] = await server.sessions();
    await endWorkers(browser);
    await eventually(async () => (await server.sessions()).every((one) => one.session !== session), 'its connection has ended');
    await say(tabs[1], '둘');
    await say(tabs[0], '셋');
    await Promise.all(tabs.map((page) => page.waitForFunction(() => window.texts.length === 3)));
    await Promise.all(tabs.map(isOpen));
    assert.deepEqual((await server.texts(room)).toSorted(), ['하나', '둘', '셋'].toSorted());
    await eventually(async () => (await server.sessions()).length === 1, 'one connection again');
  });

  it('asks and serves from tabs that share a connection, and goes on when one of them, or the worker, dies', async () => {
    const [me, room, cafe] = [await person(), freshRoom(), freshRoom()];
    const tabs = [await tab(me, room), await tab(me, room), await tab(me, room)];
    await Promise.all(tabs.map(isOpen));
    const [caller, ...kitchens] = tabs;
    // Orders wait until they are told to be ready.
    const opened = kitchens.map((page) => page.evaluate(async (name) => {
      window.orders = new Map();
      const order = (item, { signal }) => new Promise((ready) => {
        signal.onabort = () => window.orders.delete(item);
        window.orders.set(item, () => window.orders.delete(item) && ready(`${item} 나왔습니다`));
      });
      await window.yard.serve(name, { order }, { concurrency: 2 });
    }, cafe));
    await Promise.all(opened);
    const order = (item) => caller.evaluate(([name, what]) => {
      window.stop = new AbortController();
      return window.yard.call(name, 'order', what, { signal: window.stop.signal }).catch((error) => (error.name === 'MadangError' ? error.code : error.name));
    }, [cafe, item]);
    const has = (page, count) => page.waitForFunction((expected) => window.orders.size === expected, count);
    const ready = (page) => page.evaluate(() => [...window.orders.values()].forEach((finish) => finish()));

    const items = ['커피', '빵', '스무디', '케이크'];
    const answers = items.map(order);
    await Promise.all(kitchens.map((page) => has(page, 2)));
    await Promise.all(kitchens.map(ready));
    assert.deepEqual(await Promise.all(answers), items.map((item) => `${item} 나왔습니다`));

    const aborted = order('차');
    await eventually(async () => (await Promise.all(kitchens.map((page) => page.evaluate(() => window.orders.size)))).includes(1), 'it is handed out');
    await caller.evaluate(() => window.stop.abort());
    assert.equal(await aborted, 'AbortError');
    await Promise.all(kitchens.map((page) => has(page, 0)));

    const [stays, dies] = kitchens;
    const owed = [order('라떼'), order('모카')];
    await Promise.all(kitchens.map((page) => has(page, 1)));
    const cdp = await me.newCDPSession(dies);
    cdp.send('Page.crash').catch(() => {});
    assert.equal(await Promise.race(owed), 'unavailable');

    await endWorkers(browser);
    await Promise.all([caller, stays].map(isOpen));
    await ready(stays);
    assert.deepEqual((await Promise.all(owed)).map((answer) => answer.split(' ').at(-1)).toSorted(), ['unavailable', '나왔습니다'].toSorted());
    await eventually(async () => (await server.sessions()).length === 1, 'one connection for all of them');
  });

  it('has a connection of its own where there is no worker to be had', async () => {
    const me = await person();
    const room = freshRoom();
    const without = await browser.newContext();
    contexts.push(without);
    await without.addInitScript(() => delete globalThis.SharedWorker);
    for (const [context, options] of [[without, {}], [me, { shared: '/no-such-worker.js' }], [me, { shared: 'https://example.com/worker.js' }], [me, { shared: false }]]) {
      const page = await tab(context, room, options);
      await isOpen(page);
      assert.equal(await page.evaluate(() => window.yard.isShared), false, JSON.stringify(options));
      await say(page, '안녕');
      await page.waitForFunction(() => window.texts.at(-1) === '안녕');
    }
    assert.equal((await server.sessions()).length, 4);
    assert.deepEqual(await server.texts(room), Array(4).fill('안녕'));
  });

  it('is the client of another site’s page, too', async () => {
    const site = createServer((_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'));
    site.listen(0, '127.0.0.1');
    await once(site, 'listening');
    const page = await (await person()).newPage();
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    const seq = await page.evaluate(async ([url, room]) => {
      const { madang } = await import(`${url}madang.js`);
      const yard = madang(url, { name: '손님', shared: true });
      return (await yard.room(room).send('다른 집에서')).seq;
    }, [server.url, freshRoom()]);
    assert.equal(seq, 1);
    site.close();
  });

  it('keeps over a reload what could not be sent, where it is told to', async () => {
    for (const shared of [true, false]) {
      const [me, room] = [await person(), freshRoom()];
      const options = { shared, outbox: 'tab' };
      const same = await tab(me, room, options, network.url);
      await isOpen(same);
      network.goDown();
      await isIn(same, 'waiting');
      for (const text of ['하나', '둘', '셋']) await say(same, text);
      network.isDown = false;
      await same.reload();
      await enter(same, room, options);
      await say(same, '넷');
      await hears(same, ['하나', '둘', '셋', '넷']);
      assert.deepEqual(await server.texts(room), ['하나', '둘', '셋', '넷']);
    }
  });

  it('leaves what a closed tab could not send to the next, and to one alone', async () => {
    const [me, room] = [await person(), freshRoom()];
    const options = { outbox: 'browser' };
    const [first, second] = [await tab(me, room, options, network.url), await tab(me, room, options, network.url)];
    await Promise.all([first, second].map(isOpen));
    network.goDown();
    await Promise.all([first, second].map((page) => isIn(page, 'waiting')));
    await say(first, '하나');
    await say(first, '둘');
    await say(second, '다른 탭에서');
    const unsent = (page) => page.evaluate(() => window.room.outbox.map(({ content }) => content.text));
    assert.deepEqual([await unsent(first), await unsent(second)], [['하나', '둘'], ['다른 탭에서']]);
    await first.close();
    await second.close();
    network.isDown = false;
    const third = await tab(me, room, options, network.url);
    await third.waitForFunction(() => window.texts.length === 3);
    const stored = await server.texts(room);
    assert.deepEqual(stored.toSorted(), ['하나', '둘', '다른 탭에서'].toSorted());
    assert.ok(stored.indexOf('하나') < stored.indexOf('둘'));
    await third.waitForFunction(() => window.room.outbox.length === 0);
    assert.deepEqual(await third.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('outbox'))), []);
  });

  it('sends once and in order what is typed into the page offline, when the network returns', async () => {
    const room = freshRoom();
    const [hodong, dongyup] = await Promise.all(['강호동', '신동엽'].map(async (name) => (await Visitor.open(browser, server.url)).join(name, room)));
    contexts.push(hodong.context, dongyup.context);
    await hodong.say('하나');
    await dongyup.sees('하나');
    await hodong.context.setOffline(true);
    await hodong.state.filter({ hasText: '오프라인' }).waitFor();
    for (const text of ['둘', '셋', '넷']) await hodong.say(text);
    await hodong.page.locator('.message.pending').nth(2).waitFor();
    await dongyup.say('나는 여기 있어요');
    await dongyup.textsUpTo('나는 여기 있어요');
    await hodong.context.setOffline(false);
    const expected = ['하나', '나는 여기 있어요', '둘', '셋', '넷'];
    assert.deepEqual(await dongyup.textsUpTo('넷'), expected);
    await hodong.page.locator('.message.pending').waitFor({ state: 'detached' });
    assert.deepEqual(await hodong.textsUpTo('넷'), expected);
    assert.deepEqual(await server.texts(room), expected);
  });

  it('is one connection for two tabs of the page', async () => {
    const room = freshRoom();
    const hodong = await (await Visitor.open(browser, server.url)).join('강호동', room);
    contexts.push(hodong.context);
    const second = new Visitor(hodong.context, await hodong.context.newPage());
    await second.page.goto(hodong.page.url());
    await second.isIn();
    assert.equal((await server.sessions()).length, 1);
    await second.say('옆 탭에서');
    await hodong.sees('옆 탭에서');
    await hodong.page.close();
    await second.say('아직 여기');
    assert.deepEqual(await second.textsUpTo('아직 여기'), ['옆 탭에서', '아직 여기']);
    assert.equal((await server.sessions()).length, 1);
    assert.deepEqual([...hodong.complaints, ...second.complaints], []);
  });
});

/** Ends every SharedWorker, as a browser does that needs the memory. */
async function endWorkers(browser) {
  const cdp = await browser.newBrowserCDPSession();
  const { targetInfos } = await cdp.send('Target.getTargets');
  const workers = targetInfos.filter(({ type }) => type === 'shared_worker');
  assert.ok(workers.length > 0, 'there is a worker');
  for (const { targetId } of workers) {
    const { sessionId } = await cdp.send('Target.attachToTarget', { targetId, flatten: false });
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'close()' } });
    await cdp.send('Target.sendMessageToTarget', { sessionId, message });
  }
  await cdp.detach();
}

/** @param {() => Promise<boolean>} condition @param {string} what */
async function eventually(condition, what) {
  const ends = Date.now() + WITHIN_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < ends, `not within ${WITHIN_MS} ms: ${what}`);
    await pause(50);
  }
}
