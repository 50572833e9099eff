/**
 * Everything at once: callers and services on networks that cut, stall and delay at random, and a server
 * that is killed and started again under them.
 *
 * A failing run names its seed: MADANG_SEED=… makes the same choices again. MADANG_CHAOS_S is how long it goes on.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { closeAll, freshRoom, join, Network, random, Server, within } from './helpers.mjs';

const SEED = Number(process.env.MADANG_SEED ?? Date.now() % 1_000_000);
const LASTS_MS = Number(process.env.MADANG_CHAOS_S ?? 8) * 1000;
const CALLERS = 3;
const SERVICES = 2;

describe(`calls with everything broken at random (MADANG_SEED=${SEED})`, { timeout: LASTS_MS + 120_000 }, () => {
  const chance = random(SEED);
  const upTo = (most) => Math.floor(chance() * most);
  /** @type {Server} */
  let server;
  let networks = [];
  before(async () => {
    server = await Server.start('[times]\nheartbeat_ms = 1000\n[calls]\ngrace_ms = 4000\n');
    const network = () => Network.before(server, { up: () => upTo(20), down: () => upTo(40) });
    networks = await Promise.all(Array.from({ length: CALLERS + SERVICES }, network));
  });
  afterEach(closeAll);
  after(async () => {
    await Promise.all(networks.map((network) => network.remove()));
    await server?.remove();
  });

  it('are each answered once, by what was done for them; and done once where they may not be done twice', async () => {
    const names = { once: freshRoom(), again: freshRoom() };
    /** How often each was done. */
    const done = new Map();
    const work = async (_method, { n }) => {
      done.set(n, (done.get(n) ?? 0) + 1);
      await pause(upTo(300));
      return n * 2;
    };
    const owners = networks.slice(CALLERS).map(({ url }, i) => join(url, { name: `바리스타 ${i + 1}` }));
    await Promise.all(owners.flatMap((owner) => [
      owner.serve(names.once, work, { concurrency: 3 }),
      owner.serve(names.again, work, { concurrency: 3, repeatable: true }),
    ]));

    const ends = Date.now() + LASTS_MS;
    const count = { cuts: 0, stalls: 0, kills: 0 };
    const calls = [];
    const talk = async (yard) => {
      while (Date.now() < ends) {
        const n = calls.length;
        const kind = chance() < 0.5 ? 'once' : 'again';
        const call = { n, kind, answers: 0, result: null, code: null };
        calls.push(call);
        const note = (fields) => Object.assign(call, { ...fields, answers: call.answers + 1 });
        call.settled = yard.call(names[kind], 'double', { n }).then((result) => note({ result }), ({ code }) => note({ code }));
        await pause(upTo(60));
      }
    };
    const breakNetworks = async () => {
      while (Date.now() < ends) {
        await pause(100 + upTo(400));
        const network = networks[upTo(networks.length)];
        // By chance alone there may be none.
        const isStall = chance() < 0.25 || count.cuts + count.stalls === 1;
        count[isStall ? 'stalls' : 'cuts'] += 1;
        if (isStall) network.stall();
        else network.cut();
      }
    };
    const breakServer = async () => {
      while (Date.now() < ends) {
        await pause(1500 + upTo(1500));
        await server.end('SIGKILL');
        count.kills += 1;
        await server.again();
      }
    };
    await Promise.all([...networks.slice(0, CALLERS).map(({ url }) => talk(join(url))), breakNetworks(), breakServer()]);
    await within(Promise.all(calls.map(({ settled }) => settled)), () => `not answered: ${JSON.stringify(calls.filter(({ answers }) => answers === 0).slice(0, 5))}`, 70_000);

    for (const { n, kind, answers, result, code } of calls) {
      const told = `call ${n} (${kind}): ${result ?? code}, done ${done.get(n) ?? 0} times`;
      assert.equal(answers, 1, told);
      if (code === null) assert.deepEqual([result, done.has(n)], [n * 2, true], told);
      // Right after a restart nobody serves the name yet. Of what went with its service nobody knows; and both
      // services may stay away for longer than calls wait.
      else assert.ok(['no_such_service', 'unavailable'].includes(code), told);
      if (code === 'no_such_service') assert.equal(done.has(n), false, told);
      if (kind === 'once') assert.ok((done.get(n) ?? 0) <= 1, told);
    }
    const answered = calls.filter(({ code }) => code === null).length;
    console.log(`seed ${SEED}: ${answered} of ${calls.length} calls have a result, ${JSON.stringify(count)}`);
    // A run in which nothing broke, or nothing was answered, would show nothing.
    for (const [what, times] of Object.entries(count)) assert.ok(times > 0, `${what}: ${times}`);
    assert.ok(answered > calls.length / 4, `${answered} of ${calls.length}`);
  });
});
