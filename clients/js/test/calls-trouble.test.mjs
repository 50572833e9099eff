/** Calls and services when the network or the server fails, at each step: every call is answered, and once. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { closeAll, freshRoom, join, Kitchen, Network, next, Server, storage, until, within } from './helpers.mjs';

/** Long enough for no answer to come in a test. */
const NEVER = () => 60_000;
const AT_ONCE = () => 0;

describe('calls in trouble', { timeout: 180_000 }, () => {
  /** @type {Server} */
  let server;
  /** Before the caller, and before the service. @type {Network} */
  let front;
  /** @type {Network} */
  let back;
  let yard;
  let owner;
  let cafe;
  let guest;
  /** @type {Kitchen} */
  let kitchen;
  before(async () => {
    server = await Server.start('[times]\nheartbeat_ms = 1000\n');
    [front, back] = await Promise.all([Network.before(server), Network.before(server)]);
  });
  after(async () => {
    await Promise.all([front?.remove(), back?.remove()]);
    await server?.remove();
  });
  beforeEach(async () => {
    guest = storage();
    [yard, owner, cafe] = [join(front.url, { guest }), join(back.url, { name: '바리스타' }), freshRoom()];
    kitchen = await new Kitchen().open(owner, cafe, { concurrency: 4 });
    await until(yard, ['open'], () => yard.state === 'open');
  });
  afterEach(() => {
    closeAll();
    for (const network of [front, back]) Object.assign(network, { isDown: false, down: AT_ONCE });
  });

  const killAndRestart = async () => {
    await server.end('SIGKILL');
    await server.again();
  };
  const isWaiting = (one) => until(one, ['state'], () => one.state !== 'open', 'the break is noticed');
  /** The server has every answer of the kitchen's. */
  const isSettled = () => within((async () => {
    while (kitchen.serving.unanswered > 0) await pause(5);
  })(), () => `${kitchen.serving.unanswered} calls are not settled`);
  const order = (options) => yard.call(cafe, 'order', { item: '커피' }, options);

  it('made in a break are made after it', async () => {
    front.goDown();
    await isWaiting(yard);
    const answer = order();
    front.isDown = false;
    yard.connect();
    (await kitchen.order('커피')).finish('한 잔');
    assert.equal(await answer, '한 잔');
  });

  it('cut off before they arrived are made again', async () => {
    front.stall();
    const answer = order();
    front.cut();
    (await kitchen.order('커피')).finish('한 잔');
    assert.equal(await answer, '한 잔');
    assert.equal(kitchen.orders.length, 1);
  });

  it('cut off before their ticket came are the same calls after it', async () => {
    front.down = NEVER;
    const tickets = [];
    const answer = order({ onticket: (ticket) => tickets.push(ticket) });
    const { finish } = await kitchen.order('커피');
    front.down = AT_ONCE;
    front.cut();
    await next(yard, 'open');
    finish('한 잔');
    assert.equal(await answer, '한 잔');
    assert.deepEqual([kitchen.orders.length, tickets.length], [1, 1]);
  });

  it('cut off before their ticket came, and answered meanwhile, are not done again', async () => {
    front.down = NEVER;
    const answer = order();
    (await kitchen.order('커피')).finish('한 잔');
    // The service hears that its answer is stored.
    await isSettled();
    front.down = AT_ONCE;
    front.cut();
    assert.equal(await answer, '한 잔');
    assert.equal(kitchen.orders.length, 1);
  });

  it('cut off behind their ticket are collected, whether they were answered meanwhile or not', async () => {
    for (const isReadyInTheBreak of [true, false]) {
      const answer = yard.call(cafe, 'order', { item: isReadyInTheBreak });
      const { finish } = await kitchen.order(isReadyInTheBreak);
      front.goDown();
      await isWaiting(yard);
      if (isReadyInTheBreak) finish('한 잔');
      front.isDown = false;
      yard.connect();
      await next(yard, 'open');
      if (!isReadyInTheBreak) finish('한 잔');
      assert.equal(await answer, '한 잔');
    }
    assert.equal(kitchen.orders.length, 2);
  });

  it('aborted in a break are cancelled after it', async () => {
    const control = new AbortController();
    const answer = order({ signal: control.signal });
    const { signal } = await kitchen.order('커피');
    // Its ticket has come before this.
    await yard.request({ type: 'ping' });
    front.goDown();
    await isWaiting(yard);
    control.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    front.isDown = false;
    yard.connect();
    await until(signal, ['abort'], () => signal.aborted);
  });

  it('outlive a server that is killed before their ticket came', async () => {
    front.down = NEVER;
    const answer = order();
    await kitchen.order('커피');
    front.down = AT_ONCE;
    await killAndRestart();
    kitchen.orders[0].finish('한 잔');
    assert.equal(await answer, '한 잔');
    assert.equal(kitchen.orders.length, 1);
  });

  it('outlive a server that is killed behind their ticket', async () => {
    const answers = ['커피', '빵'].map((item) => yard.call(cafe, 'order', { item }));
    const [coffee, bread] = await Promise.all(['커피', '빵'].map((item) => kitchen.order(item)));
    await server.end('SIGKILL');
    coffee.finish('죽은 사이에 나온 커피');
    const returned = next(kitchen.serving, 'open');
    await server.again();
    await returned;
    assert.equal(bread.signal.aborted, false);
    bread.finish('살아난 뒤에 나온 빵');
    assert.deepEqual(await Promise.all(answers), ['죽은 사이에 나온 커피', '살아난 뒤에 나온 빵']);
    assert.equal(kitchen.orders.length, 2);
  });

  it('outlive a server that is killed when it has stored the answer, before anyone is told', async () => {
    const tickets = [];
    const answer = order({ onticket: (ticket) => tickets.push(ticket) });
    const { finish } = await kitchen.order('커피');
    await yard.request({ type: 'ping' });
    front.down = back.down = NEVER;
    finish('한 잔');
    const [token] = guest.items.values();
    assert.equal(await join(server.url, { name: undefined, token }).collect(tickets[0]), '한 잔');
    front.down = back.down = AT_ONCE;
    await killAndRestart();
    assert.equal(await answer, '한 잔');
    await isSettled();
    assert.equal(kitchen.orders.length, 1);
  });

  it('go on when their service is cut off, and may finish in the break', async () => {
    const answers = ['커피', '빵'].map((item) => yard.call(cafe, 'order', { item }));
    const [coffee, bread] = await Promise.all(['커피', '빵'].map((item) => kitchen.order(item)));
    back.goDown();
    await isWaiting(owner);
    coffee.finish('끊긴 사이에');
    back.isDown = false;
    owner.connect();
    const { data } = await next(kitchen.serving, 'open');
    assert.deepEqual(data.resumed.toSorted(), [coffee.call, bread.call].toSorted());
    bread.finish('돌아와서');
    assert.deepEqual(await Promise.all(answers), ['끊긴 사이에', '돌아와서']);
    assert.deepEqual([kitchen.orders.length, bread.signal.aborted], [2, false]);
  });

  it('are answered although the answer was lost on its way, or its acknowledgement', async () => {
    for (const direction of ['up', 'down']) {
      const answer = yard.call(cafe, 'order', { item: direction });
      const { finish } = await kitchen.order(direction);
      if (direction === 'up') back.stall();
      else back.down = NEVER;
      finish(direction);
      // It is on its way; acknowledged it is not.
      await (direction === 'up' ? new Promise((resolve) => setImmediate(resolve)) : answer);
      assert.equal(kitchen.serving.unanswered, 1);
      back.down = AT_ONCE;
      back.cut();
      await next(kitchen.serving, 'open');
      assert.equal(await answer, direction);
      await isSettled();
    }
    assert.equal(kitchen.orders.length, 2);
  });

  it('that were cancelled while their service was away are stopped when it is back', async () => {
    const control = new AbortController();
    const answer = order({ signal: control.signal });
    const { signal } = await kitchen.order('커피');
    back.goDown();
    await isWaiting(owner);
    control.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    // Behind the cancelling.
    await yard.request({ type: 'ping' });
    back.isDown = false;
    owner.connect();
    await until(signal, ['abort'], () => signal.aborted);
    assert.equal(signal.reason.code, 'cancelled');
  });

  it('that a service stops for are answered over a break', async () => {
    const answer = order();
    const { finish } = await kitchen.order('커피');
    const stopped = kitchen.serving.stop();
    back.cut();
    await isWaiting(owner);
    finish('마지막 잔');
    assert.equal(await answer, '마지막 잔');
    await stopped;
  });
});
