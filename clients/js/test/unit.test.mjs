/** The parts that are values in and values out. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { passesIn } from '../madang/error.js';
import { KeptText, keepAt } from '../madang/keep.js';
import { keyFrom } from '../madang/key.js';
import { Outbox } from '../madang/outbox.js';
import { jitter, planAfterClose, retryAfterMs } from '../madang/reconnect.js';
import { refusalFrom } from '../madang/refusal.js';
import { storage } from './helpers.mjs';

describe('reconnecting', () => {
  it('waits a random part of a span that doubles, up to half a minute', () => {
    assert.equal(jitter(0, 0.5), 250);
    assert.equal(jitter(3, 0.5), 2000);
    assert.equal(jitter(400, 0.999), 29970);
    assert.equal(jitter(5, 0), 0);
  });

  it('reads retry_after_ms from JSON and from words', () => {
    assert.equal(retryAfterMs('{"retry_after_ms":2000}'), 2000);
    assert.equal(retryAfterMs('draining, retry_after_ms=1500'), 1500);
    for (const reason of ['', 'restart', '{"retry_after_ms":-1}', 'null', '3']) assert.equal(retryAfterMs(reason), null);
  });

  it('does what the protocol asks after each close code', () => {
    const plan = (code, attempt = 0, reason = '') => planAfterClose({ code, reason }, attempt, 0.5);
    for (const code of [1000, 1001, 4000, 4050, 4099]) assert.deepEqual(plan(code), { kind: 'stop', why: 'ended' }, String(code));
    for (const code of [1002, 1003, 1007, 1009]) assert.deepEqual(plan(code), { kind: 'stop', why: 'fault' }, String(code));
    assert.deepEqual(plan(4001), { kind: 'stop', why: 'credential' });
    assert.deepEqual(plan(4003), { kind: 'stop', why: 'banned' });
    assert.deepEqual(plan(1012, 0, '{"retry_after_ms":2000}'), { kind: 'wait', delayMs: 1000 });
    for (const code of [1006, 1011, 4008]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 250 }, String(code));
    for (const code of [1013, 4009, 4100, 4199]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 4000 }, String(code));
    for (const code of [4200, 4299]) assert.deepEqual(plan(code), { kind: 'wait', delayMs: 0 }, String(code));
    assert.ok(plan(4200, 3).delayMs > 0, '"now" is not for ever');
  });

  it('reads retry_after_ms of whoever is overloaded, too', () => {
    assert.deepEqual(planAfterClose({ code: 1013, reason: '{"retry_after_ms":2000}' }, 0, 0.5), { kind: 'wait', delayMs: 1000 });
    assert.ok(planAfterClose({ code: 1012, reason: '{"retry_after_ms":0}' }, 5, 0.5).delayMs > 0, 'not for ever at the same pace');
  });

  it('reads from the HTTP answer why a socket did not open', () => {
    const body = { code: 'unauthorized', message: 'who?' };
    assert.deepEqual(refusalFrom(401, null, body), { kind: 'unknown', message: 'who?' });
    assert.deepEqual(refusalFrom(400, null, { code: 'bad_field', field: 'name', message: 'name' }), { kind: 'unknown', message: 'name' });
    assert.deepEqual(refusalFrom(403, null, null), { kind: 'forbidden', message: null });
    assert.deepEqual(refusalFrom(503, '4', body), { kind: 'busy', retryAfterMs: 4000 });
    assert.deepEqual(refusalFrom(502, null, null), { kind: 'unreachable' });
    for (const status of [200, 400, 404, 500]) assert.deepEqual(refusalFrom(status, null, null), { kind: 'busy', retryAfterMs: 1000 }, String(status));
  });

  it('waits at least as long as it is told before it asks the same again', () => {
    assert.equal(passesIn({ retry_after_ms: 400 }, 0), 400);
    assert.equal(passesIn({ retry_after_ms: 400 }, 1), 500);
    assert.equal(passesIn({}, 0), 1000);
  });
});

describe('keys', () => {
  it('are UUIDs of version 7 and sort by time', () => {
    const random = new Uint8Array(16).fill(0xff);
    assert.equal(keyFrom(0x0123456789ab, random), '01234567-89ab-7fff-bfff-ffffffffffff');
    assert.ok(keyFrom(1_800_000_000_000, random) < keyFrom(1_800_000_000_001, new Uint8Array(16)));
  });
});

describe('the outbox', () => {
  /** An outbox whose server is the test. */
  const outbox = ({ keep = keepAt('page', ''), limit = 100, place = () => 0 } = {}) => {
    const asked = [];
    const failed = [];
    const box = new Outbox({ room: 'lobby', limit, keep }, {
      ask: (command, done) => asked.push({ command, ok: (fields) => done(null, { type: 'ok', at: 't', ...fields }), error: (code, more) => done({ code, ...more }, null) }),
      place,
      change: () => {},
      failed: (message, error) => failed.push([message.content.text, error.code]),
      unkept: (error) => failed.push(['', error.message]),
    });
    return { box, asked, failed, texts: () => box.messages.map(({ content, state }) => [content.text, state]) };
  };

  it('sends one at a time, in the order written, once there is a connection', async () => {
    const { box, asked, texts } = outbox();
    const first = box.add({ text: '하나' });
    box.add({ text: '둘' });
    assert.equal(asked.length, 0);
    box.opened('u_1');
    box.add({ text: '셋' });
    assert.deepEqual(asked.map(({ command }) => command.text), ['하나'], 'the next one waits for the answer');
    asked[0].ok({ seq: 7 });
    assert.equal((await first).seq, 7);
    assert.deepEqual(asked.map(({ command }) => command.text), ['하나', '둘']);
    assert.deepEqual(texts(), [['하나', 'stored'], ['둘', 'sent'], ['셋', 'waiting']]);
  });

  it('sends again with the same key what a break left unanswered', () => {
    const { box, asked } = outbox();
    box.add({ text: '하나' });
    box.opened('u_1');
    box.interrupted();
    box.opened('u_1');
    assert.equal(asked.length, 2);
    assert.equal(asked[1].command.key, asked[0].command.key);
  });

  it('lets go of a message when its event arrives, or when the room is past its place', () => {
    const { box, asked, texts } = outbox();
    box.add({ text: '하나', key: 'a' });
    box.add({ text: '둘', key: 'b' });
    box.opened('u_1');
    asked[0].ok({ seq: 7 });
    box.settled(6);
    assert.equal(texts().length, 2);
    box.settled(7);
    assert.deepEqual(texts(), [['둘', 'sent']]);
    box.settled(8, { key: 'b', seq: 8, at: 't' });
    assert.deepEqual(texts(), []);
  });

  it('takes the event for the answer, if a break has taken the answer away', async () => {
    const { box, asked } = outbox();
    const sent = box.add({ text: '하나', key: 'a' });
    box.opened('u_1');
    box.settled(7, { key: 'a', seq: 7, at: 't' });
    box.interrupted();
    box.opened('u_1');
    assert.deepEqual(await sent, { seq: 7, at: 't', key: 'a' });
    assert.equal(asked.length, 1);
  });

  it('does not wait for the event of what the room has shown already', () => {
    const { box, asked, texts } = outbox({ place: () => 9 });
    box.add({ text: '하나' });
    box.opened('u_1');
    asked[0].ok({ seq: 7, duplicate: true });
    assert.deepEqual(texts(), []);
  });

  it('does not send as another user what it has tried to send', async () => {
    const { box, asked, failed } = outbox();
    const sent = box.add({ text: '하나' });
    box.add({ text: '둘' });
    box.opened('u_1');
    box.interrupted();
    box.opened('u_2');
    await assert.rejects(sent, { code: 'uncertain' });
    assert.deepEqual(failed, [['하나', 'uncertain']]);
    assert.deepEqual(asked.map(({ command }) => command.text), ['하나', '둘']);
  });

  it('does not send again what the server no longer knows by its key', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
    const { box } = outbox();
    const sent = box.add({ text: '하나' });
    box.opened('u_1');
    box.interrupted();
    t.mock.timers.tick(24 * 3_600_000);
    box.opened('u_1');
    await assert.rejects(sent, { code: 'uncertain' });
  });

  it('waits as long as it is told, and keeps the order', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const code of ['busy', 'rate_limited', 'unavailable']) {
      const { box, asked } = outbox();
      box.add({ text: '하나' });
      box.add({ text: '둘' });
      box.opened('u_1');
      asked[0].error(code, { retry_after_ms: 400 });
      box.add({ text: '셋' });
      t.mock.timers.tick(399);
      assert.equal(asked.length, 1, code);
      t.mock.timers.tick(200);
      assert.deepEqual(asked.map(({ command }) => command.text), ['하나', '하나']);
    }
  });

  it('survives a reload, and whatever stands in the storage instead', async () => {
    const area = storage();
    const first = outbox({ keep: keepAt(area, 'k') });
    first.box.add({ text: '하나' });
    first.box.add({ text: '둘' });
    first.box.opened('u_1');
    await null;
    const second = outbox({ keep: keepAt(area, 'k') });
    assert.deepEqual(second.texts(), [['하나', 'waiting'], ['둘', 'waiting']]);
    second.box.opened('u_1');
    assert.equal(second.asked[0].command.key, first.asked[0].command.key);
    for (const nonsense of ['', '{', '7', '[{"key":1}]', 'null', '[null]']) {
      area.setItem('k', nonsense);
      assert.deepEqual(outbox({ keep: keepAt(area, 'k') }).texts(), []);
    }
  });

  it('says that it cannot keep, and sends all the same', async () => {
    const full = { ...storage(), setItem: () => { throw new Error('QuotaExceededError'); } };
    const { box, asked, failed } = outbox({ keep: keepAt(full, 'k') });
    box.add({ text: '하나' });
    await null;
    assert.deepEqual(failed, [['', 'QuotaExceededError']]);
    box.opened('u_1');
    assert.equal(asked.length, 1);
  });
});

describe('what is kept', () => {
  it('is had as long as the page lasts, where the browser forbids it', () => {
    const forbidden = () => { throw new Error('forbidden'); };
    const text = new KeptText({ getItem: forbidden, setItem: forbidden, removeItem: forbidden }, 'k');
    text.set('t_1');
    assert.equal(text.get(), 't_1');
    text.set(null);
    assert.equal(text.get(), null);
  });
});

describe('the version', () => {
  it('is the package’s, so that tabs of different versions do not share', async () => {
    const read = (name) => readFile(new URL(`../${name}`, import.meta.url), 'utf8');
    const { version } = JSON.parse(await read('package.json'));
    assert.ok((await read('madang/shared.js')).includes(`const VERSION = '${version}';`));
  });
});
