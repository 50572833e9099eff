/**
 * Calls and services of tabs that share a connection: the hub as it is, with the real server and real
 * message ports. Only the SharedWorker's thread and its locks are stood in for; `tests/browser` has those.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Hub } from '../madang/hub.js';
import { closeAll, freshRoom, join, Kitchen, Network, next, Server, until } from './helpers.mjs';

describe('tabs that share a connection', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  /** @type {Network} */
  let network;
  let ports = [];
  /** What Node has in their place. */
  const was = {};
  before(async () => {
    server = await Server.start('[times]\nheartbeat_ms = 1000\n');
    network = await Network.before(server);
    for (const name of ['SharedWorker', 'navigator']) was[name] = Object.getOwnPropertyDescriptor(globalThis, name);
  });
  after(async () => {
    for (const [name, property] of Object.entries(was)) {
      if (property) Object.defineProperty(globalThis, name, property);
      else delete globalThis[name];
    }
    await network?.remove();
    await server?.remove();
  });
  afterEach(() => {
    closeAll();
    for (const port of ports) port.close();
    ports = [];
    network.isDown = false;
  });

  /** One browser: tabs, which may die, and one worker. */
  const browser = () => {
    /** Who waits for a lock to be free, by its name. */
    const waiting = new Map();
    const held = new Set();
    const locks = {
      async request(name, ...given) {
        const callback = given.at(-1);
        if (held.has(name)) await new Promise((free) => waiting.set(name, free));
        held.add(name);
        await callback();
        locks.free(name);
      },
      free(name) {
        held.delete(name);
        waiting.get(name)?.();
      },
    };
    held.add('hub');
    const hub = new Hub({ WebSocket, lock: 'hub', gone: (name, then) => void locks.request(name, then) });
    class SharedWorker {
      constructor() {
        const { port1, port2 } = new MessageChannel();
        ports.push(port1, port2);
        hub.welcome(port2);
        this.port = port1;
      }
    }
    Object.defineProperty(globalThis, 'SharedWorker', { configurable: true, writable: true, value: SharedWorker });
    Object.defineProperty(globalThis, 'navigator', { configurable: true, writable: true, value: { locks } });
    return {
      tab: (url = server.url) => {
        const yard = join(url, { shared: true });
        assert.equal(yard.isShared, true);
        return yard;
      },
      /** A tab that says no goodbye: its lock is free, and its port is dead. */
      die: (yard) => {
        const tabs = [...held].filter((name) => name.startsWith('madang.tab'));
        locks.free(tabs.at(-1));
        for (const port of ports.splice(-2)) port.close();
        return yard;
      },
    };
  };
  const caller = () => join(server.url, { name: '손님', shared: false });
  const isOpen = (yard) => until(yard, ['open'], () => yard.state === 'open');

  it('call, hear their own tickets and progress, and abort their own', async () => {
    const cafe = freshRoom();
    const kitchen = await new Kitchen().open(caller(), cafe, { concurrency: 4 });
    const { tab } = browser();
    const tabs = [tab(), tab()];
    const told = [[], []];
    const control = new AbortController();
    const answers = tabs.map((yard, i) => yard.call(cafe, 'order', { item: i }, { onprogress: (data) => told[i].push(data), signal: i === 1 ? control.signal : undefined }));
    const [first, second] = [await kitchen.order(0), await kitchen.order(1)];
    assert.equal(first.from.id, second.from.id);
    first.progress('하나');
    second.progress('둘');
    control.abort();
    await assert.rejects(answers[1], { name: 'AbortError' });
    await until(second.signal, ['abort'], () => second.signal.aborted);
    first.finish('한 잔');
    assert.equal(await answers[0], '한 잔');
    assert.deepEqual([told[0], told[1].length <= 1], [['하나'], true]);
    assert.equal((await server.sessions()).length, 2);
  });

  it('take back a call that waits for its turn', async () => {
    const cafe = freshRoom();
    const kitchen = await new Kitchen().open(caller(), cafe, { concurrency: 100 });
    const { tab } = browser();
    const [first, second] = [tab(), tab()];
    const answers = Array.from({ length: 24 }, (_, item) => first.call(cafe, 'order', { item }));
    await kitchen.order(23);
    const control = new AbortController();
    const aborted = second.call(cafe, 'order', { item: '마지막' }, { signal: control.signal });
    await second.request({ type: 'ping' });
    control.abort();
    await assert.rejects(aborted, { name: 'AbortError' });
    // Behind the withdrawal.
    await second.request({ type: 'ping' });
    for (const { params, finish } of kitchen.orders) finish(params.item);
    await Promise.all(answers);
    assert.equal(await first.call(cafe, 'order', { item: '끝' }, { timeout: 1 }).catch(({ code }) => code), 'timeout');
    assert.equal(kitchen.items.includes('마지막'), false);
  });

  it('serve a name together, with the places of all', async () => {
    const cafe = freshRoom();
    const { tab } = browser();
    const tabs = [tab(), tab()];
    const kitchens = await Promise.all(tabs.map((yard, i) => new Kitchen().open(yard, cafe, { concurrency: i + 1 })));
    const yard = caller();
    const items = [0, 1, 2];
    const answers = items.map((item) => yard.call(cafe, 'order', { item }));
    const orders = await Promise.all(items.map((item) => Promise.any(kitchens.map((kitchen) => kitchen.order(item)))));
    assert.deepEqual(kitchens.map(({ orders: { length } }) => length), [1, 2]);
    for (const { params, finish } of orders) finish(params.item);
    assert.deepEqual(await Promise.all(answers), items);

    await kitchens[1].serving.stop();
    const more = [3, 4].map((item) => yard.call(cafe, 'order', { item }));
    for (const item of [3, 4]) (await kitchens[0].order(item)).finish(item);
    assert.deepEqual(await Promise.all(more), [3, 4]);
    await kitchens[0].serving.stop();
    assert.equal(kitchens[1].orders.length, 2);
  });

  it('hear that an answer of theirs is not wanted any more, and have the place free', async () => {
    const cafe = freshRoom();
    const { tab } = browser();
    const tabs = [tab(), tab()];
    const kitchens = await Promise.all(tabs.map((yard) => new Kitchen().open(yard, cafe)));
    const yard = caller();
    const control = new AbortController();
    const items = ['커피', '빵'];
    const answers = items.map((item) => yard.call(cafe, 'order', { item }, { signal: item === '커피' ? control.signal : undefined }));
    const [coffee, bread] = await Promise.all(items.map((item) => Promise.any(kitchens.map((kitchen) => kitchen.order(item)))));
    control.abort();
    await assert.rejects(answers[0], { name: 'AbortError' });
    await until(coffee.signal, ['abort'], () => coffee.signal.aborted);
    const cake = yard.call(cafe, 'order', { item: '케이크' });
    const idle = kitchens.find(({ items: [first] }) => first === '커피');
    (await idle.order('케이크')).finish('케이크');
    bread.finish('빵');
    assert.deepEqual([await cake, await answers[1]], ['케이크', '빵']);
  });

  it('go on with their calls and their services after a break', async () => {
    const cafe = freshRoom();
    const { tab } = browser();
    const [first, second] = [tab(network.url), tab(network.url)];
    const kitchen = await new Kitchen().open(first, cafe, { concurrency: 4 });
    const answers = [second.call(cafe, 'order', { item: '커피' }), caller().call(cafe, 'order', { item: '빵' })];
    const [coffee, bread] = [await kitchen.order('커피'), await kitchen.order('빵')];
    network.goDown();
    await Promise.all([first, second].map((yard) => until(yard, ['state'], () => yard.state !== 'open')));
    coffee.finish('끊긴 사이에');
    network.isDown = false;
    first.connect();
    await next(kitchen.serving, 'open');
    bread.finish('돌아와서');
    assert.deepEqual(await Promise.all(answers), ['끊긴 사이에', '돌아와서']);
    assert.equal(kitchen.orders.length, 2);
  });

  it('that are gone leave no call hanging: what they served is unavailable, or the others’', async () => {
    const cafe = freshRoom();
    const { tab, die } = browser();
    const stays = tab();
    const kitchen = await new Kitchen().open(stays, cafe);
    const dies = tab();
    const other = await new Kitchen().open(dies, cafe, { concurrency: 2 });
    const yard = caller();
    const lost = yard.call(cafe, 'order', { item: '커피' });
    await other.order('커피');
    const unheard = dies.call(cafe, 'order', { item: '빵' });
    unheard.catch(() => {});
    const bread = await Promise.any([kitchen.order('빵'), other.order('빵')]);
    die(dies);
    await assert.rejects(lost, { code: 'unavailable' });
    bread.finish('빵');
    const later = yard.call(cafe, 'order', { item: '케이크' });
    (await kitchen.order('케이크')).finish('케이크');
    assert.equal(await later, '케이크');
    await isOpen(stays);
  });

  it('cannot hand a function to another thread, and are told', async () => {
    const { tab } = browser();
    const [yard, cafe] = [tab(), freshRoom()];
    await isOpen(yard);
    await assert.rejects(yard.call(cafe, 'order', () => {}), { code: 'bad_field' });
    await yard.serve(cafe, { give: () => () => {} });
    await assert.rejects(caller().call(cafe, 'give'), { code: 'failed', message: /The result cannot be told/ });
  });
});
