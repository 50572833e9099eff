/** Calls and services where the test is the server, or the connection. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Calls } from '../madang/calls.js';
import { Flight } from '../madang/flight.js';
import { answerFrom, handlerOf, Serving } from '../madang/serving.js';
import { Shares } from '../madang/shares.js';
import { next } from './helpers.mjs';

/** A line whose other end is the test: what is asked, and ways to answer it. */
function line() {
  const asked = [];
  const passed = [];
  const withdrawn = [];
  return {
    asked,
    passed,
    withdrawn,
    types: () => asked.map(({ command }) => command.type),
    ask: (command, done, heard) => asked.push({
      command,
      sent: () => heard({ type: 'sent' }),
      ok: (fields) => done(null, { type: 'ok', ...fields }),
      error: (code, more) => done({ code, ...more }, null),
      ticket: (ticket) => heard({ type: 'ticket', ticket }),
      progress: (data) => heard({ type: 'progress', data }),
    }),
    pass: (command) => passed.push(command),
    withdraw: (done) => withdrawn.push(done),
  };
}

/** What promises become of themselves has come. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('what is in flight', () => {
  const flight = (in_flight) => {
    const sent = [];
    const one = new Flight((json) => sent.push(JSON.parse(json)));
    one.limit({ in_flight });
    const told = [];
    const ask = (type, name = type) => one.ask({ type, name }, (error) => told.push([name, error?.code ?? 'ok']));
    return { one, sent, told, ask, names: () => sent.map(({ name }) => name) };
  };

  it('is no more than the server takes, and calls leave a quarter of it', () => {
    const { one, ask, names, sent } = flight(4);
    for (const name of ['a', 'b', 'c', 'd', 'e']) ask('call', name);
    assert.deepEqual(names(), ['a', 'b', 'c']);
    ask('history', 'h1');
    ask('history', 'h2');
    assert.deepEqual(names(), ['a', 'b', 'c', 'h1'], 'four are in flight');
    one.receive({ type: 'ok', id: sent[3].id });
    assert.deepEqual(names(), ['a', 'b', 'c', 'h1', 'h2']);
    one.receive({ type: 'ok', id: sent[0].id });
    assert.deepEqual(names().slice(5), ['d'], 'one call’s place is another’s');
    assert.equal(new Set(sent.map(({ id }) => id)).size, sent.length);
  });

  it('has place for a call however little the server takes', () => {
    for (const [places, calls] of [[1, 1], [2, 1], [3, 2], [32, 24]]) {
      const { ask, sent } = flight(places);
      for (let i = 0; i < 40; i += 1) ask(i % 2 ? 'call' : 'collect');
      assert.equal(sent.length, calls, `${places} places`);
    }
  });

  it('does not count answers of a service', () => {
    const { ask, sent } = flight(1);
    for (const type of ['history', 'respond', 'respond', 'history']) ask(type);
    assert.deepEqual(sent.map(({ type }) => type), ['history', 'respond', 'respond']);
  });

  it('tells a call’s ticket and progress apart from its answer, and from others’', () => {
    const { one, sent } = flight(4);
    const told = [];
    one.ask({ type: 'call' }, (error, reply) => told.push(reply.result), ({ type }) => told.push(type));
    const [{ id }] = sent;
    for (const type of ['ticket', 'progress', 'progress']) assert.equal(one.receive({ type, id }), true);
    assert.equal(one.receive({ type: 'progress', id: id + 1 }), false);
    assert.equal(one.receive({ type: 'message', seq: 1 }), false);
    assert.equal(one.receive({ type: 'ok', id, result: 1 }), true);
    assert.equal(one.receive({ type: 'progress', id }), false);
    assert.deepEqual(told, ['sent', 'ticket', 'progress', 'progress', 1]);
  });

  it('does not send what was withdrawn before its turn', () => {
    const { one, sent, names } = flight(2);
    const told = [];
    const done = (name) => (error) => told.push([name, error?.code]);
    const [first, second] = [done('a'), done('b')];
    one.ask({ type: 'call', name: 'a' }, first);
    one.ask({ type: 'call', name: 'b' }, second);
    one.withdraw(first);
    one.withdraw(second);
    assert.deepEqual(told, [['b', 'cancelled']], 'what was sent is answered as ever');
    one.receive({ type: 'ok', id: sent[0].id });
    assert.deepEqual(names(), ['a']);
  });

  it('refuses what is too long or no JSON, and goes on', () => {
    const { one, ask, told, names } = flight(4);
    one.limit({ message_bytes: 100 });
    const loop = {};
    loop.loop = loop;
    for (const params of ['가'.repeat(30), 1n, loop]) one.ask({ type: 'call', params }, (error) => told.push(error.code));
    ask('call', 'a');
    assert.deepEqual(told, ['too_long', 'bad_field', 'bad_field']);
    assert.deepEqual(names(), ['a']);
  });
});

describe('calls', () => {
  const hello = (id = 'u_1') => ({ user: { id } });
  const cafe = () => {
    const server = line();
    const requests = [];
    const calls = new Calls({ ...server, request: async (command, options) => void requests.push([command, options]) });
    const order = (options = {}) => calls.call({ type: 'call', service: 'cafe', method: 'order', key: 'k' }, options);
    return { ...server, calls, requests, order };
  };

  it('are answered by their result or their error', async () => {
    const { calls, asked, order } = cafe();
    const [first, second] = [order(), order()];
    assert.equal(asked.length, 0);
    calls.opened(hello());
    asked[0].ok({ ticket: 't_1', result: { cup: 1 } });
    asked[1].error('sold_out', { message: '다 팔렸어요' });
    assert.deepEqual(await first, { cup: 1 });
    await assert.rejects(second, { name: 'MadangError', code: 'sold_out', message: '다 팔렸어요' });
  });

  it('tell their ticket and progress, and what a listener throws stops nothing', async (t) => {
    const { calls, asked, order } = cafe();
    calls.opened(hello());
    const told = [];
    const thrown = t.mock.method(globalThis, 'queueMicrotask', () => {});
    const answer = order({ onticket: (ticket) => told.push(ticket), onprogress: (data) => { told.push(data); throw new Error('in a listener'); } });
    asked[0].ticket('t_1');
    asked[0].progress(1);
    asked[0].progress(2);
    asked[0].ok({ result: 3 });
    asked[0].progress(4);
    assert.equal(await answer, 3);
    assert.deepEqual(told, ['t_1', 1, 2]);
    assert.equal(thrown.mock.callCount(), 2);
  });

  it('are made again with the same key after a break, and collected behind their ticket', async () => {
    const { calls, asked, order } = cafe();
    calls.opened(hello());
    const tickets = [];
    const answer = order({ onticket: (ticket) => tickets.push(ticket) });
    calls.interrupted();
    asked[0].error('connection_lost');
    calls.opened(hello());
    assert.deepEqual(asked[1].command, asked[0].command);
    asked[1].ticket('t_1');
    calls.interrupted();
    asked[1].error('connection_lost');
    calls.opened(hello());
    assert.deepEqual(asked[2].command, { type: 'collect', ticket: 't_1' });
    asked[2].ok({ ticket: 't_1', result: '커피' });
    assert.equal(await answer, '커피');
    calls.interrupted();
    calls.opened(hello());
    assert.deepEqual([asked.length, tickets], [3, ['t_1']]);
  });

  it('are not made again as someone else, or when the server may have forgotten the key', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
    for (const [as, later] of [['u_2', 0], ['u_1', 9.5 * 60_000]]) {
      const { calls, asked, order } = cafe();
      calls.opened(hello());
      const [answer, unsent] = [order(), order()];
      asked[0].sent();
      calls.interrupted();
      t.mock.timers.tick(later);
      calls.opened(hello(as));
      await assert.rejects(answer, { code: 'uncertain' });
      // What only waited for its turn was never made.
      assert.equal(asked.length, 3);
      asked[2].ok({ result: 1 });
      assert.equal(await unsent, 1);
    }
  });

  it('take a first refusal for what it is', async () => {
    for (const code of ['busy', 'unavailable', 'no_such_service', 'bad_field', 'too_long']) {
      const { calls, asked, order } = cafe();
      calls.opened(hello());
      const answer = order();
      asked[0].error(code, { retry_after_ms: 10 });
      await assert.rejects(answer, { code });
    }
  });

  it('wait out a passing refusal when they may be stored already, and a service that comes back later', async (t) => {
    t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 });
    const { calls, asked, order } = cafe();
    calls.opened(hello());
    const answer = order();
    calls.interrupted();
    const inTheBreak = order();
    calls.opened(hello());
    asked[1].error('unavailable', { retry_after_ms: 400 });
    t.mock.timers.tick(600);
    asked[3].error('no_such_service');
    t.mock.timers.tick(2000);
    asked[4].ticket('t_1');
    asked[4].error('unavailable');
    await assert.rejects(answer, { code: 'unavailable' }, 'behind the ticket it is the answer');
    t.mock.timers.tick(15_000);
    asked[2].error('no_such_service');
    await assert.rejects(inTheBreak, { code: 'no_such_service' }, 'it had its time');
    assert.equal(asked.length, 5);
  });

  it('behind the ticket, a code is the service’s, and only what the server cannot tell now is asked again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { calls, asked } = cafe();
    calls.opened(hello());
    const [first, second] = [calls.collect('t_1', {}), calls.collect('t_2', {})];
    asked[0].error('busy');
    await assert.rejects(first, { code: 'busy' });
    asked[1].error('unavailable', { retry_after_ms: 100 });
    t.mock.timers.tick(200);
    assert.deepEqual(asked[2].command, { type: 'collect', ticket: 't_2' });
    asked[2].error('no_such_ticket');
    await assert.rejects(second, { code: 'no_such_ticket' });
  });

  it('reject with the reason of their signal, and are cancelled', async () => {
    const { calls, asked, requests, order } = cafe();
    calls.opened(hello());
    const control = new AbortController();
    const answer = order({ signal: control.signal });
    asked[0].ticket('t_1');
    control.abort(new Error('그만'));
    await assert.rejects(answer, { message: '그만' });
    assert.deepEqual(requests, [[{ type: 'cancel', ticket: 't_1' }, { retry: true }]]);
    asked[0].error('cancelled');
    calls.interrupted();
    calls.opened(hello());
    assert.equal(asked.length, 1);

    await assert.rejects(order({ signal: control.signal }), { message: '그만' });
    assert.equal(asked.length, 1, 'what was aborted before is not sent');
  });

  it('are cancelled as soon as their ticket comes, where it was not there yet', async () => {
    const { calls, asked, requests, withdrawn, order } = cafe();
    calls.opened(hello());
    const control = new AbortController();
    const told = [];
    const answer = order({ signal: control.signal, onticket: (ticket) => told.push(ticket) });
    control.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    assert.deepEqual([requests.length, withdrawn.length], [0, 1]);
    asked[0].ticket('t_1');
    asked[0].ticket('t_1');
    assert.deepEqual([requests.map(([{ ticket }]) => ticket), told], [['t_1'], []]);
  });

  it('are not begun anew after they were aborted', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { calls, asked, requests, order } = cafe();
    const control = new AbortController();
    const unsent = order({ signal: control.signal });
    calls.opened(hello());
    calls.interrupted();
    const waiting = order({ signal: control.signal });
    calls.opened(hello());
    const before = asked.length;
    asked.at(-1).error('busy');
    control.abort();
    for (const answer of [unsent, waiting]) await assert.rejects(answer, { name: 'AbortError' });
    t.mock.timers.tick(10_000);
    calls.interrupted();
    calls.opened(hello());
    assert.deepEqual([asked.length, requests.length], [before, 0]);
  });

  it('share a signal without disturbing each other', async () => {
    const { calls, asked, requests, order } = cafe();
    calls.opened(hello());
    const control = new AbortController();
    const answers = [order({ signal: control.signal }), order({ signal: control.signal })];
    asked[0].ok({ result: 1 });
    asked[1].ticket('t_2');
    control.abort();
    assert.equal(await answers[0], 1);
    await assert.rejects(answers[1], { name: 'AbortError' });
    assert.deepEqual(requests.map(([{ ticket }]) => ticket), ['t_2']);
  });

  it('are given up when nothing opens the connection again', async () => {
    const { calls, order } = cafe();
    calls.opened(hello());
    const answer = order();
    calls.closed();
    await assert.rejects(answer, { code: 'closed' });
  });
});

describe('a service', () => {
  /** One that is served, and whose works end when the test says so. */
  const kitchen = (options) => {
    const server = line();
    const works = [];
    let left = 0;
    const handler = (method, params, context) => new Promise((resolve, reject) => works.push({ method, params, context, resolve, reject }));
    const serving = new Serving({ ...server, left: () => { left += 1; } }, 'cafe', handler, options ?? {});
    const request = (call, more) => serving.receive({ type: 'request', call, service: 'cafe', method: 'order', from: { id: 'u_2' }, timeout_ms: 100, ...more });
    const last = () => server.asked.at(-1);
    return { ...server, serving, works, request, last, left: () => left };
  };
  const open = (one, resumed = []) => {
    one.serving.opened();
    one.last().ok({ resumed });
    return one;
  };

  it('is served once there is a connection, with its places', async () => {
    const one = open(kitchen({ concurrency: 4, repeatable: true }));
    assert.deepEqual(one.asked[0].command, { type: 'serve', service: 'cafe', concurrency: 4, repeatable: true });
    assert.equal(await one.serving.started, one.serving);
    assert.equal(one.serving.state, 'open');
  });

  it('answers what its handler gives, and nothing is null', async () => {
    const one = open(kitchen());
    for (const [call, result] of [['c_1', { cup: 1 }], ['c_2', undefined], ['c_3', false]]) {
      one.request(call);
      one.works.at(-1).resolve(result);
      await settled();
      assert.deepEqual(one.last().command, { type: 'respond', call, result: result ?? null });
    }
    assert.equal(one.serving.unanswered, 3);
    for (const { ok } of one.asked.slice(1)) ok();
    assert.equal(one.serving.unanswered, 0);
  });

  it('tells its handler what the request says', async () => {
    const one = open(kitchen());
    one.request('c_1', { params: { item: 'coffee' }, again: true });
    one.request('c_2');
    const [first, second] = one.works;
    assert.deepEqual([first.method, first.params, first.context.from, first.context.again, first.context.timeoutMs, first.context.call], ['order', { item: 'coffee' }, { id: 'u_2' }, true, 100, 'c_1']);
    assert.deepEqual([second.params, second.context.again], [null, false]);
    first.context.progress({ step: 1 });
    first.resolve(1);
    await settled();
    first.context.progress({ step: 2 });
    assert.deepEqual(one.passed, [{ type: 'progress', call: 'c_1', data: { step: 1 } }]);
  });

  it('answers an exception with its code, or as failed, and says so', async () => {
    const one = open(kitchen());
    const failed = [];
    one.serving.onfailed = ({ error, call }) => failed.push([call, error.message]);
    for (const [call, error] of [['c_1', Object.assign(new Error('다 팔렸어요'), { code: 'sold_out' })], ['c_2', new TypeError('no cup')]]) {
      one.request(call);
      one.works.at(-1).reject(error);
      await settled();
    }
    assert.deepEqual(one.asked.slice(1).map(({ command }) => command.error), [{ code: 'sold_out', message: '다 팔렸어요' }, { code: 'failed', message: 'no cup' }]);
    assert.deepEqual(failed, [['c_2', 'no cup']]);
  });

  it('tells no more of an exception than its message', () => {
    const noCode = [Object.assign(new Error('a'), { code: 'ENOENT' }), Object.assign(new Error('a'), { code: 7 }), Object.assign(new Error('a'), { code: 'x'.repeat(65) })];
    for (const error of noCode) assert.deepEqual(answerFrom(error), { code: 'failed', message: 'a' });
    for (const error of ['secret', { message: 'secret' }, null, undefined, new Error('')]) assert.deepEqual(answerFrom(error), { code: 'failed', message: 'The service could not do it.' });
    assert.equal(answerFrom(new Error('x'.repeat(5000))).message.length, 1000);
    assert.equal(answerFrom(new Error('☕️🥐'.repeat(500))).message.isWellFormed(), true);
    assert.equal(answerFrom(new Error('\ud83e')).message, '\ufffd');
  });

  it('handles its own methods, and none that every object has', async () => {
    const handle = handlerOf({ order: ({ item }, { from }) => [item, from], price: 7 });
    assert.deepEqual(handle('order', { item: 'tea' }, { from: 'me' }), ['tea', 'me']);
    for (const method of ['toString', 'constructor', '__proto__', 'price', '주문']) assert.throws(() => handle(method, {}, {}), { code: 'no_such_method' }, method);
    for (const nonsense of [undefined, null, 'order', 7]) assert.throws(() => handlerOf(nonsense), TypeError);
  });

  it('stops what is not wanted any more, and does not answer it', async () => {
    const one = open(kitchen());
    one.request('c_1');
    const [work] = one.works;
    one.serving.receive({ type: 'cancelled', call: 'c_1' });
    assert.equal(work.context.signal.aborted, true);
    assert.equal(work.context.signal.reason.code, 'cancelled');
    work.resolve('늦은 커피');
    await settled();
    assert.deepEqual(one.types(), ['serve']);
    assert.equal(one.serving.unanswered, 0);
  });

  it('goes on after a break with what is still wanted, and sends again the answers that may not have come', async () => {
    const one = open(kitchen());
    for (const call of ['c_1', 'c_2', 'c_3', 'c_4']) one.request(call);
    one.works[0].resolve('answered, not acknowledged');
    one.works[1].resolve('answered, not wanted');
    await settled();
    one.serving.interrupted();
    for (const { error } of one.asked.slice(1)) error('connection_lost');
    one.works[2].resolve('answered in the break');
    await settled();
    assert.equal(one.serving.state, 'starting');
    one.serving.opened();
    assert.deepEqual(one.last().command.resume, ['c_1', 'c_2', 'c_3', 'c_4']);
    const before = one.asked.length;
    one.last().ok({ resumed: ['c_3', 'c_1'] });
    assert.deepEqual(one.asked.slice(before).map(({ command }) => [command.call, command.result]), [['c_1', 'answered, not acknowledged'], ['c_3', 'answered in the break']]);
    assert.deepEqual(one.works.map(({ context }) => context.signal.aborted), [false, true, false, true]);
    assert.equal(one.serving.unanswered, 2);
  });

  it('answers failed when its result cannot be told, and lets go of what nobody waits for', async () => {
    const one = open(kitchen());
    one.request('c_1');
    one.request('c_2');
    one.works[0].resolve('가'.repeat(100));
    one.works[1].resolve(1);
    await settled();
    one.asked[1].error('too_long', { message: '너무 길어요' });
    one.asked[2].error('no_such_call');
    assert.deepEqual(one.last().command, { type: 'respond', call: 'c_1', error: { code: 'failed', message: 'The result cannot be told: 너무 길어요' } });
    one.last().ok();
    assert.equal(one.serving.unanswered, 0);
    assert.equal(one.asked.length, 4);
  });

  it('answers again, and serves again, when storage could not take it for a while', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const one = kitchen();
    one.serving.opened();
    one.last().error('unavailable', { retry_after_ms: 100 });
    t.mock.timers.tick(200);
    one.last().ok({ resumed: [] });
    one.request('c_1');
    one.works[0].resolve(1);
    await settled();
    one.last().error('unavailable', { retry_after_ms: 100 });
    t.mock.timers.tick(200);
    assert.deepEqual(one.types(), ['serve', 'serve', 'respond', 'respond']);
  });

  it('says that it may not be served: by its promise, later by an event', async () => {
    const first = kitchen();
    first.serving.opened();
    first.last().error('forbidden');
    await assert.rejects(first.serving.started, { code: 'forbidden' });
    assert.deepEqual([first.serving.state, first.left()], ['refused', 1]);

    const second = open(kitchen());
    second.request('c_1');
    second.serving.interrupted();
    second.serving.opened();
    const told = next(second.serving, 'error');
    second.last().error('forbidden');
    assert.equal((await told).error.code, 'forbidden');
    assert.equal(second.works[0].context.signal.aborted, true);
  });

  it('stops when what was handed out is answered, also what comes before the server knows', async () => {
    const one = open(kitchen());
    one.request('c_1');
    let isStopped = false;
    const stopped = one.serving.stop().then(() => { isStopped = true; });
    assert.deepEqual(one.last().command, { type: 'unserve', service: 'cafe' });
    one.request('c_2');
    one.last().ok();
    for (const work of one.works) work.resolve(1);
    await settled();
    const [first, second] = one.asked.slice(2);
    first.ok();
    await settled();
    assert.deepEqual([isStopped, one.serving.state, one.left()], [false, 'stopping', 0]);
    second.ok();
    await stopped;
    assert.deepEqual([one.serving.state, one.left()], ['stopped', 1]);
    await one.serving.stop();
  });

  it('stops over a break: it serves once more to give what it owes', async () => {
    const one = open(kitchen({ concurrency: 8 }));
    one.request('c_1');
    const stopped = one.serving.stop();
    one.serving.interrupted();
    one.serving.opened();
    assert.deepEqual(one.last().command, { type: 'serve', service: 'cafe', concurrency: 1, repeatable: undefined, resume: ['c_1'] });
    one.last().ok({ resumed: ['c_1'] });
    assert.equal(one.last().command.type, 'unserve');
    one.last().ok();
    one.works[0].resolve(1);
    await settled();
    one.last().ok();
    await stopped;
  });

  it('stops at once where it is not served, and does not come to be', async () => {
    const never = kitchen();
    await never.serving.stop();
    await assert.rejects(never.serving.started, { code: 'closed' });

    const broken = open(kitchen());
    broken.serving.interrupted();
    await broken.serving.stop();

    const asking = kitchen();
    asking.serving.opened();
    const stopped = asking.serving.stop();
    assert.equal(asking.serving.state, 'stopping');
    asking.last().ok({ resumed: [] });
    assert.equal(asking.last().command.type, 'unserve');
    asking.last().ok();
    await stopped;
  });

  it('ends with its yard', async () => {
    const one = open(kitchen());
    one.request('c_1');
    one.serving.closed();
    assert.deepEqual([one.works[0].context.signal.reason.code, one.serving.state], ['cancelled', 'stopped']);
    await assert.rejects(one.serving.stop(), { code: 'closed' });
  });
});

describe('the services of several tabs', () => {
  const serve = (fields) => ({ type: 'serve', service: 'cafe', ...fields });

  it('are one of the session, with the places of all', () => {
    const shares = new Shares();
    assert.deepEqual(shares.add('a', serve({ concurrency: 2, repeatable: true })), serve({ concurrency: 2, repeatable: true }));
    assert.deepEqual(shares.add('b', serve({ concurrency: 3, repeatable: false, resume: ['c_1'] })), serve({ concurrency: 5, repeatable: false, resume: ['c_1'] }));
    assert.equal(shares.add('b', serve({ concurrency: 1 })).concurrency, 3, 'serving again changes its places');
    assert.equal(shares.add('b', serve({ concurrency: 1024 })).concurrency, 1024);
    assert.deepEqual(shares.without('b', 'cafe'), serve({ concurrency: 2, repeatable: true }));
    shares.remove('b', 'cafe');
    assert.deepEqual(shares.without('a', 'cafe'), { type: 'unserve', service: 'cafe' });
  });

  it('get each call to the tab with the most places free, and its end to the same', () => {
    const shares = new Shares();
    shares.add('a', serve({ concurrency: 1 }));
    shares.add('b', serve({ concurrency: 2 }));
    const take = (call) => shares.take({ type: 'request', service: 'cafe', call });
    assert.deepEqual([take('c_1'), take('c_2'), take('c_3')].toSorted(), ['a', 'b', 'b']);
    assert.equal(shares.end('c_1'), 'b');
    assert.equal(shares.end('c_1'), null);
    assert.equal(take('c_4'), 'b');
    assert.equal(shares.take({ type: 'request', service: 'bakery', call: 'c_5' }), null);
  });

  it('remember what a tab has resumed, and what it owes when it serves no more', () => {
    const shares = new Shares();
    shares.add('a', serve({ concurrency: 1 }));
    shares.resume('a', 'cafe', ['c_1']);
    shares.remove('a', 'cafe');
    assert.equal(shares.end('c_1'), 'a');
  });

  it('are answered for a tab that has gone', () => {
    const shares = new Shares();
    shares.add('a', serve({ concurrency: 1 }));
    shares.add('b', serve({ concurrency: 1 }));
    shares.add('a', { type: 'serve', service: 'bakery' });
    const taken = shares.take({ service: 'cafe', call: 'c_1' });
    shares.take({ service: 'cafe', call: 'c_2' });
    shares.take({ service: 'bakery', call: 'c_3' });
    assert.equal(taken, 'a');
    const told = shares.leave('a');
    assert.deepEqual(told.map(({ type, service, call }) => [type, service ?? call]), [['serve', 'cafe'], ['unserve', 'bakery'], ['respond', 'c_1'], ['respond', 'c_3']]);
    assert.deepEqual([told[0].concurrency, told[2].error.code], [1, 'unavailable']);
    assert.equal(shares.end('c_2'), 'b');
    assert.deepEqual(shares.leave('a'), []);
  });
});
