/** Calls and services with the real server: when all goes well, and when something is refused or not wanted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { WebSocketServer } from 'ws';
import { closeAll, freshRoom, join, Kitchen, next, Server, storage, until, within } from './helpers.mjs';

/** A name that no other test serves. */
const freshName = freshRoom;

describe('a call', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start('[calls]\ngrace_ms = 1000\n');
  });
  after(() => server?.remove());
  afterEach(closeAll);

  const caller = (options) => join(server.url, options);
  const barista = () => join(server.url, { name: '바리스타' });

  it('is answered when it is ready: what is ready first, first', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe, { concurrency: 3 });
    const served = [];
    const answers = new Map(['커피', '빵', '스무디'].map((item) => [item, yard.call(cafe, 'order', { item }).then((result) => served.push(result))]));
    for (const item of ['빵', '스무디', '커피']) {
      const order = await kitchen.order(item);
      assert.deepEqual([order.method, order.from.name, order.again, order.timeoutMs > 50_000], ['order', '강호동', false, true]);
      order.finish(`${item} 나왔습니다`);
      await within(answers.get(item), () => `${item} has not come`);
    }
    assert.deepEqual(served, ['빵 나왔습니다', '스무디 나왔습니다', '커피 나왔습니다']);
  });

  it('takes and gives any JSON, and by default nothing', async () => {
    const [yard, cafe] = [caller(), freshName()];
    await barista().serve(cafe, { echo: (params) => params, nothing: () => {} });
    for (const value of [null, false, 0, '', '안녕 ☕', [1, [2]], { a: { b: null } }, 0.1]) assert.deepEqual(await yard.call(cafe, 'echo', value), value);
    assert.equal(await yard.call(cafe, 'echo'), null);
    assert.equal(await yard.call(cafe, 'nothing', 1), null);
  });

  it('tells its ticket, and how far it is', async () => {
    const [yard, cafe] = [caller(), freshName()];
    await barista().serve(cafe, async (_method, { steps }, { progress }) => {
      for (let step = 1; step <= steps; step += 1) progress({ step });
      return '끝';
    });
    const told = [];
    const result = await yard.call(cafe, 'brew', { steps: 3 }, { onticket: (ticket) => told.push(ticket.slice(0, 2)), onprogress: ({ step }) => told.push(step) });
    assert.deepEqual([told, result], [['t_', 1, 2, 3], '끝']);
  });

  it('is refused by what its service throws', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const failed = [];
    const serving = await barista().serve(cafe, {
      order: () => { throw Object.assign(new Error('다 팔렸어요'), { code: 'sold_out' }); },
      break: async () => { throw new TypeError('cup is undefined'); },
      shout: () => '가'.repeat(30_000),
      count: () => 1n,
    });
    serving.onfailed = ({ method, error }) => failed.push([method, error.message]);
    await assert.rejects(yard.call(cafe, 'order'), { name: 'MadangError', code: 'sold_out', message: '다 팔렸어요' });
    await assert.rejects(yard.call(cafe, 'break'), { code: 'failed', message: 'cup is undefined' });
    for (const method of ['shout', 'count']) await assert.rejects(yard.call(cafe, method), { code: 'failed', message: /The result cannot be told/ });
    for (const method of ['toString', '없는-것']) await assert.rejects(yard.call(cafe, method), { code: 'no_such_method' });
    assert.deepEqual(failed.slice(0, 1), [['break', 'cup is undefined']]);
    assert.equal(failed.length, 3);
  });

  it('is refused where nobody serves, and where it cannot be', async () => {
    const [yard, cafe] = [caller(), freshName()];
    await assert.rejects(yard.call(cafe, 'order'), { code: 'no_such_service' });
    await assert.rejects(yard.call('no name', 'order'), { code: 'bad_field', field: 'service' });
    await assert.rejects(yard.call(cafe, 'order', null, { timeout: -1 }), { code: 'bad_field', field: 'timeout_ms' });
    await assert.rejects(yard.call(cafe, 'order', '가'.repeat(30_000)), { code: 'too_long' });
    await assert.rejects(yard.call(cafe, 'order', 1n), { code: 'bad_field' });
    await assert.rejects(yard.collect('t_nonsense'), { name: 'MadangError' });
  });

  it('is the same call with the same key', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe, { concurrency: 4 });
    const answers = [yard.call(cafe, 'order', { item: '커피' }, { key: 'k' }), yard.call(cafe, 'order', { item: '커피' }, { key: 'k' })];
    (await kitchen.order('커피')).finish('한 잔');
    assert.deepEqual(await Promise.all(answers), ['한 잔', '한 잔']);
    assert.equal(await yard.call(cafe, 'order', { item: '커피' }, { key: 'k' }), '한 잔');
    await assert.rejects(yard.call(cafe, 'order', { item: '빵' }, { key: 'k' }), { code: 'conflict' });
    assert.deepEqual(kitchen.items, ['커피']);
  });

  it('is cancelled by its signal, and its service is told', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe);
    const control = new AbortController();
    const answer = yard.call(cafe, 'order', { item: '커피' }, { signal: control.signal });
    const { signal, finish } = await kitchen.order('커피');
    control.abort(new Error('마음이 바뀌었어요'));
    await assert.rejects(answer, { message: '마음이 바뀌었어요' });
    await next(signal, 'abort');
    finish('늦은 커피');
    // Its place is free.
    const bread = yard.call(cafe, 'order', { item: '빵' });
    (await kitchen.order('빵')).finish('빵');
    assert.equal(await bread, '빵');
  });

  it('ends with its time, waiting included', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe);
    // The second ends while it waits for the first one's place.
    const first = yard.call(cafe, 'order', { item: '커피' }, { timeout: 5000 });
    const { signal } = await kitchen.order('커피');
    await assert.rejects(yard.call(cafe, 'order', { item: '빵' }, { timeout: 300 }), { code: 'timeout' });
    await assert.rejects(first, { code: 'timeout' });
    await until(signal, ['abort'], () => signal.aborted);
    assert.deepEqual([signal.reason.code, kitchen.items], ['cancelled', ['커피']]);
  });

  it('can be collected by another page of the same guest, and by nobody else', async () => {
    const [cafe, guest] = [freshName(), storage()];
    const kitchen = await new Kitchen().open(barista(), cafe, { concurrency: 2 });
    const first = caller({ guest });
    const ticket = await within(new Promise((onticket) => first.call(cafe, 'order', { item: '커피' }, { onticket }).catch(() => {})), () => 'no ticket');
    const { progress, finish } = await kitchen.order('커피');
    first.close();

    const second = caller({ guest });
    await next(second, 'open');
    let told;
    const heard = new Promise((resolve) => { told = resolve; });
    const answers = [second.collect(ticket, { onprogress: told }), second.collect(ticket)];
    // Both are waiting when the reply to something behind them has come.
    await second.request({ type: 'cancel', ticket: 't_00000000000000000000000000' }).catch(() => {});
    progress('물 끓이는 중');
    assert.equal(await within(heard, () => 'no progress'), '물 끓이는 중');
    finish('한 잔');
    assert.deepEqual(await Promise.all(answers), ['한 잔', '한 잔']);
    assert.equal(await second.collect(ticket), '한 잔', 'and again');
    await assert.rejects(caller().collect(ticket), { code: 'no_such_ticket' });
  });

  it('waits for its turn when there are more than the server takes, and delays nothing else', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe, { concurrency: 200 });
    const answers = Array.from({ length: 100 }, (_, item) => yard.call(cafe, 'order', { item }));
    // Three quarters of 32.
    await kitchen.order(23);
    assert.equal((await yard.room(freshRoom()).who()).count, 1);
    assert.equal(kitchen.orders.length, 24);
    const aborted = new AbortController();
    const last = yard.call(cafe, 'order', { item: '마지막' }, { signal: aborted.signal });
    aborted.abort();
    await assert.rejects(last, { name: 'AbortError' });
    for (let item = 0; item < 100; item += 1) (await kitchen.order(item)).finish(item);
    assert.deepEqual(await Promise.all(answers), Array.from({ length: 100 }, (_, item) => item));
    assert.equal(kitchen.orders.length, 100, 'what was aborted before its turn was not ordered');
  });

  it('is given up when its yard is closed', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe);
    const answer = yard.call(cafe, 'order', { item: '커피' });
    await kitchen.order('커피');
    yard.close();
    await assert.rejects(answer, { code: 'closed' });
    await assert.rejects(yard.call(cafe, 'order'), { code: 'closed' });
    await assert.rejects(yard.collect('t_1'), { code: 'closed' });
    await assert.rejects(yard.serve(cafe, {}), { code: 'closed' });
  });
});

describe('a service', { timeout: 120_000 }, () => {
  /** @type {Server} */
  let server;
  before(async () => {
    server = await Server.start('[calls]\ngrace_ms = 5000\n');
  });
  after(() => server?.remove());
  afterEach(closeAll);

  const caller = (options) => join(server.url, options);
  const barista = () => join(server.url, { name: '바리스타' });

  it('shares its calls with others of its name, by what each has free', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchens = await Promise.all([1, 3].map((concurrency) => new Kitchen().open(barista(), cafe, { concurrency })));
    const items = [0, 1, 2, 3, 4, 5];
    const answers = items.map((item) => yard.call(cafe, 'order', { item }));
    for (const item of items) {
      // Whichever of the two it is handed out to.
      const order = await Promise.any(kitchens.map((kitchen) => kitchen.order(item)));
      assert.ok(kitchens[0].serving.unanswered <= 1 && kitchens[1].serving.unanswered <= 3);
      order.finish(item);
    }
    assert.deepEqual(await Promise.all(answers), items);
    assert.deepEqual(kitchens.flatMap((kitchen) => kitchen.items).toSorted(), items, 'each by one');
    assert.ok(kitchens.every(({ orders }) => orders.length > 0));
  });

  it('that goes away leaves its calls unanswerable, or to another where they may be done twice', async () => {
    const [yard, once, twice] = [caller(), freshName(), freshName()];
    const gone = barista();
    const [first, second] = await Promise.all([new Kitchen().open(gone, once), new Kitchen().open(gone, twice, { repeatable: true })]);
    const answers = [yard.call(once, 'order', { item: '커피' }), yard.call(twice, 'order', { item: '빵' })];
    const [coffee] = await Promise.all([first.order('커피'), second.order('빵')]);
    gone.close();
    assert.equal(coffee.signal.reason.code, 'cancelled');
    const stays = barista();
    const third = await new Kitchen().open(stays, twice);
    await new Kitchen().open(stays, once);
    const { again, finish } = await third.order('빵');
    assert.equal(again, true);
    finish('두 번째로 구운 빵');
    await assert.rejects(answers[0], { code: 'unavailable' });
    assert.equal(await answers[1], '두 번째로 구운 빵');
  });

  it('stops when what it has begun is answered', async () => {
    const [yard, cafe] = [caller(), freshName()];
    const kitchen = await new Kitchen().open(barista(), cafe, { concurrency: 2 });
    const answer = yard.call(cafe, 'order', { item: '커피' });
    const { finish } = await kitchen.order('커피');
    const stopped = kitchen.serving.stop();
    assert.equal(kitchen.serving.state, 'stopping');
    finish('마지막 잔');
    await stopped;
    assert.equal(await answer, '마지막 잔');
    assert.equal(kitchen.serving.state, 'stopped');
    await assert.rejects(yard.call(cafe, 'order', { item: '빵' }), { code: 'unavailable' }, 'nobody comes back for it');
    await assert.rejects(yard.call(cafe, 'order', { item: '빵' }), { code: 'no_such_service' });
    assert.deepEqual(kitchen.items, ['커피']);
  });

  it('is served once by a yard, and again after it was stopped', async () => {
    const [yard, cafe] = [barista(), freshName()];
    const serving = await yard.serve(cafe, { version: () => 1 });
    await assert.rejects(yard.serve(cafe, {}), { code: 'conflict' });
    await assert.rejects(yard.serve(cafe, 'order'), TypeError);
    assert.equal(await yard.call(cafe, 'version'), 1, 'a yard may call itself');
    await serving.stop();
    await yard.serve(cafe, { version: () => 2 });
    assert.equal(await yard.call(cafe, 'version'), 2);
  });

  it('is refused where the server does not let one serve, or not like that', async () => {
    await assert.rejects(barista().serve(freshName(), {}, { concurrency: 0 }), { code: 'bad_field', field: 'concurrency' });
    await assert.rejects(barista().serve('no name', {}), { code: 'bad_field', field: 'service' });
    const strict = await Server.start('[access]\nserve = "admin"\n');
    try {
      const yard = join(strict.url);
      await assert.rejects(yard.serve('cafe', {}), { code: 'forbidden' });
      await assert.rejects(yard.serve('cafe', {}), { code: 'forbidden' }, 'it may be tried again');
    } finally {
      await strict.remove();
    }
  });

  it('is not disturbed by progress that comes too late', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const hello = { type: 'hello', session: 's', user: { id: 'u', name: 'n' }, heartbeat_ms: 25_000, limits: {} };
    server.on('connection', (socket) => {
      for (const message of [hello, { type: 'error', code: 'no_such_call' }, { type: 'error', code: 'internal' }]) socket.send(JSON.stringify(message));
    });
    const { error } = await next(join(`http://127.0.0.1:${server.address().port}`), 'error');
    assert.equal(error.code, 'internal');
    server.close();
  });
});
