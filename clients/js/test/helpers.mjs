/**
 * What the tests share: the real server as a process, a network that can be broken, and clients.
 * Nothing here sleeps to wait for something; every wait is for a condition.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { madang } from '../madang.js';
import { endsWithUs } from './child.mjs';

export { Network } from './network.mjs';

const WITHIN_MS = 30_000;

/** The program `madang`, on a data folder of its own. */
export class Server {
  #child;
  #folder;
  #log = '';
  port = 0;

  /** @param {string} [config] the text of a configuration file */
  static async start(config = '') {
    const server = new Server();
    server.#folder = await mkdtemp(path.join(tmpdir(), 'madang-js-'));
    await writeFile(path.join(server.#folder, 'madang.toml'), config);
    await server.again();
    return server;
  }

  get #data() {
    return path.join(this.#folder, 'data');
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts it, on the data that an earlier one has left. */
  async again() {
    assert.ok(process.env.MADANG_BIN, 'MADANG_BIN must be the path of the program madang');
    const args = ['serve', '--listen', '127.0.0.1:0', '--data', this.#data, '--config', path.join(this.#folder, 'madang.toml')];
    const child = spawn(process.env.MADANG_BIN, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    endsWithUs(child);
    child.stderr.on('data', (chunk) => {
      this.#log = (this.#log + chunk).slice(-4000);
    });
    this.port = await within(new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${this.#log}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port) resolve(Number(port));
      });
    }), () => `no address; log: ${this.#log}`);
  }

  /** Ends it as an init system does, or with `SIGKILL` as a power cut. */
  async end(signal = 'SIGTERM') {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await within(ended, () => `the server does not end; log: ${this.#log}`);
  }

  /** Its data is lost while it is down. */
  async forget() {
    await rm(this.#data, { recursive: true, force: true });
  }

  async remove() {
    await this.end('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The whole log of a room, from the REST side. */
  async log(room) {
    const events = [];
    for (;;) {
      const after = events.at(-1)?.seq ?? 0;
      const answer = await fetch(`${this.url}api/rooms/${encodeURIComponent(room)}/messages?after=${after}&limit=200`);
      const page = await answer.json();
      assert.equal(answer.status, 200, JSON.stringify(page));
      events.push(...page.events);
      if (!page.more) return events;
    }
  }

  /** The sessions that are open, as the server's register has them. */
  async sessions() {
    const token = (await readFile(path.join(this.#data, 'admin.token'), 'utf8')).trim();
    const answer = await fetch(`${this.url}api/sessions?state=open`, { headers: { authorization: `Bearer ${token}` } });
    return (await answer.json()).sessions;
  }
}

const yards = new Set();
/** A client that `closeAll` closes. @param {string} url @param {object} [options] */
export function join(url, options = {}) {
  const yard = madang(url, { name: '강호동', WebSocket, ...options });
  yards.add(yard);
  return yard;
}

export function closeAll() {
  for (const yard of yards) yard.close();
  yards.clear();
}

/** A service whose orders wait until the test has them ready. */
export class Kitchen extends EventTarget {
  /** Every order that was handed out, in turn. */
  orders = [];
  /** @type {import('../madang.js').Serving} */
  serving;

  async open(yard, name, options = {}) {
    this.serving = await yard.serve(name, (method, params, context) => new Promise((finish, fail) => {
      this.orders.push({ method, params, ...context, finish, fail });
      this.dispatchEvent(new Event('order'));
    }), options);
    return this;
  }

  /** The order of this item, when it is handed out. */
  async order(item) {
    const find = () => this.orders.find(({ params }) => params?.item === item);
    await until(this, ['order'], find, `'${item}' is ordered`);
    return find();
  }

  /** What was ordered, in turn. */
  get items() {
    return this.orders.map(({ params }) => params.item);
  }
}

/** The next event of this type. */
export function next(target, type) {
  return within(new Promise((resolve) => target.addEventListener(type, resolve, { once: true })), () => `no event '${type}'`);
}

/** Waits until it is true; it is tried whenever something happens. */
export async function until(target, types, condition, what = String(condition), ms = WITHIN_MS) {
  if (condition()) return;
  await within(new Promise((resolve) => {
    const look = () => condition() && resolve();
    for (const type of types) target.addEventListener(type, look);
  }), () => `not reached: ${what}`, ms);
}

/** Everything that a room tells, in order. */
export function record(room) {
  const told = { seqs: [], texts: [], gaps: [], resets: 0 };
  room.addEventListener('event', ({ data }) => {
    told.seqs.push(data.seq);
    told.texts.push(data.text);
  });
  room.addEventListener('gap', ({ from, to }) => told.gaps.push([from, to]));
  room.addEventListener('reset', () => { told.resets += 1; });
  return told;
}

let rooms = 0;
/** A room that no other test uses. */
export const freshRoom = () => `방-${process.pid}-${(rooms += 1)}`;

/** As localStorage, in memory. */
export function storage() {
  const items = new Map();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** @template T @param {Promise<T>} promise @param {() => string} problem @returns {Promise<T>} */
export async function within(promise, problem, ms = WITHIN_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${problem()} (waited ${ms} ms)`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
