/**
 * Everything at once: people who talk in two rooms through networks that cut, stall and delay at
 * random, and a server that is killed and started again under them.
 *
 * A failing run names its seed: MADANG_SEED=… makes the same choices again. MADANG_CHAOS_S is how long it goes on.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { closeAll, freshRoom, join, Network, next, random, record, Server, storage, until, within } from './helpers.mjs';

const SEED = Number(process.env.MADANG_SEED ?? Date.now() % 1_000_000);
const LASTS_MS = Number(process.env.MADANG_CHAOS_S ?? 10) * 1000;
/** Who has tried often waits for up to 30 s before the next time. */
const BACK_WITHIN_MS = 90_000;
const PEOPLE = ['강호동', '신동엽', '유재석', '이경규'];

describe(`with everything broken at random (MADANG_SEED=${SEED})`, { timeout: LASTS_MS + 240_000 }, () => {
  const chance = random(SEED);
  const upTo = (most) => Math.floor(chance() * most);
  /** @type {Server} */
  let server;
  let networks = [];
  before(async () => {
    server = await Server.start('[times]\nheartbeat_ms = 1000\npresence_grace_ms = 2000\n');
    // Each direction has a delay of its own, that changes with each piece.
    const network = () => Network.before(server, { up: () => upTo(25), down: () => upTo(60) });
    networks = await Promise.all(PEOPLE.map(network));
  });
  afterEach(closeAll);
  after(async () => {
    await Promise.all(networks.map((network) => network.remove()));
    await server?.remove();
  });

  it('stores every message once, in its sender’s order, and shows each room to everyone without a hole', async () => {
    const names = [freshRoom(), freshRoom()];
    const people = PEOPLE.map((name, i) => {
      const keeps = { guest: storage(), outbox: storage() };
      const person = { name, i, keeps, url: networks[i].url, written: names.map(() => []), promises: [], places: [], told: names.map(() => []), rooms: [] };
      enter(person, names);
      return person;
    });
    await Promise.all(people.flatMap(({ rooms }) => rooms.map((room) => next(room, 'open'))));

    const ends = Date.now() + LASTS_MS;
    const count = { cuts: 0, stalls: 0, kills: 0, reloads: 0 };
    const talk = async (person) => {
      while (Date.now() < ends) {
        const where = upTo(names.length);
        const text = `${person.name} ${person.written[where].length + 1}`;
        person.written[where].push(text);
        person.promises.push([text, person.rooms[where].send(text)]);
        await pause(upTo(200));
        // The page is reloaded: what was unsent is the next page's.
        if (chance() < 0.02) {
          count.reloads += 1;
          person.yard.close();
          enter(person, names);
        }
      }
    };
    const breakNetworks = async () => {
      while (Date.now() < ends) {
        await pause(100 + upTo(500));
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
        await pause(1500 + upTo(2000));
        await server.end('SIGKILL');
        count.kills += 1;
        await server.again();
      }
    };
    await Promise.all([...people.map(talk), breakNetworks(), breakServer()]);

    // All that was written is stored in the end.
    await Promise.all(people.flatMap(({ rooms }) => rooms.map((room) => until(room, ['outbox'], () => room.outbox.length === 0, `${room.name}: nothing unsent`, BACK_WITHIN_MS))));
    const logs = await Promise.all(names.map((name) => server.log(name)));
    for (const [where, log] of logs.entries()) {
      assert.deepEqual(log.map(({ seq }) => seq), log.map((_, i) => i + 1), 'numbered without a hole');
      for (const { name, written } of people) {
        assert.deepEqual(log.filter(({ from }) => from.name === name).map(({ text }) => text), written[where], `${name}: once and in order`);
      }
      for (const person of people) {
        const [room, told] = [person.rooms[where], person.told[where]];
        await until(room, ['open', 'event'], () => room.place?.since === log.length, `${person.name} has come to the end of ${room.name}`);
        for (const { seqs, gaps, resets } of told) {
          assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i), `${person.name} heard each once, without a hole`);
          assert.deepEqual([gaps, resets], [[], 0]);
        }
        const last = told.at(-1);
        if (last.seqs.length > 0) assert.deepEqual(last.texts, log.slice(last.seqs[0] - 1).map(({ text }) => text));
      }
    }
    const settled = await within(Promise.allSettled(people.flatMap(({ promises }) => promises.map(([, promise]) => promise))), () => 'answers are missing');
    const failed = settled.filter(({ status }) => status === 'rejected');
    // Only a page that was left does not learn what has become of its messages.
    assert.ok(failed.every(({ reason }) => reason.code === 'closed'), String(failed.find(({ reason }) => reason.code !== 'closed')?.reason));
    const places = people.flatMap(({ promises }) => promises).map(([text], i) => [text, settled[i].value]).filter(([, place]) => place);
    for (const [text, { key, seq }] of places) {
      assert.ok(logs.some((log) => log[seq - 1]?.key === key && log[seq - 1].text === text), `${text} is where the answer said`);
    }
    // A run in which nothing broke would show nothing.
    for (const [what, times] of Object.entries(count)) if (what !== 'reloads') assert.ok(times > 0, `${what}: ${times}`);
    const messages = logs.reduce((sum, log) => sum + log.length, 0);
    console.log(`seed ${SEED}: ${messages} messages, ${JSON.stringify(count)}`);
  });

  /** A page that is opened, or opened again. */
  function enter(person, names) {
    person.yard = join(person.url, { name: person.name, ...person.keeps });
    person.rooms = names.map((name) => person.yard.room(name, { last: 5 }));
    for (const [where, room] of person.rooms.entries()) person.told[where].push(record(room));
  }
});
