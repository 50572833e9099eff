/**
 * What the tests share: the real server as a process, and a session as `ws` has it. Nothing here
 * sleeps; every wait is for something that the server sends.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { endsWithUs } from '../../../clients/js/test/child.mjs';

const WITHIN_MS = 30_000;

/** The program `madang`, on a port and a data folder of its own. */
export class Server {
  #child;
  #folder;
  #port;
  #log = '';

  /** @param {string} [config] the text of a configuration file */
  static async start(config = '') {
    const server = new Server();
    server.#folder = await mkdtemp(path.join(tmpdir(), 'madang-clients-'));
    await writeFile(server.#configuration, config);
    await server.again();
    return server;
  }

  get #configuration() {
    return path.join(this.#folder, 'madang.toml');
  }

  get #data() {
    return path.join(this.#folder, 'data');
  }

  /** Starts it, on the data that an earlier one has left, and on a free port or this one. */
  async again(port = 0) {
    assert.ok(process.env.MADANG_BIN, 'MADANG_BIN must be the path of the program madang');
    const args = ['serve', '--listen', `127.0.0.1:${port}`, '--data', this.#data, '--config', this.#configuration];
    this.#child = spawn(process.env.MADANG_BIN, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    endsWithUs(this.#child);
    this.#child.stderr.on('data', (chunk) => {
      this.#log = (this.#log + chunk).slice(-4000);
    });
    const started = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${this.#log}`)));
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (port) resolve(Number(port));
      });
    });
    this.#port = await within(started, () => `no address; log: ${this.#log}`);
  }

  /** @param {string} at @param {Record<string, string | number>} [query] */
  http(at, query = {}) {
    const url = new URL(at, `http://127.0.0.1:${this.#port}`);
    url.search = new URLSearchParams(query).toString();
    return url.href;
  }

  /** @param {string} at @param {Record<string, string | number>} [query] */
  ws(at, query) {
    return this.http(at, query).replace(/^http/, 'ws');
  }

  /** A request; gives its status, its headers and its JSON. */
  async fetch(at, { query, token, ...options } = {}) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(this.http(at, query), { headers, ...options });
    return { status: response.status, headers: response.headers, json: await response.json() };
  }

  async adminToken() {
    return (await readFile(path.join(this.#data, 'admin.token'), 'utf8')).trim();
  }

  /** Ends it as an init system does, or with `SIGKILL` as a power cut; gives its exit code. */
  async end(signal = 'SIGTERM') {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = once(child, 'exit');
    child.kill(signal);
    const [code] = await within(ended, () => `the server does not end; log: ${this.#log}`);
    return code;
  }

  async remove() {
    await this.end('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** One open WebSocket, and everything that came over it. */
export class Session {
  /** Every message, in the order in which they came. */
  all = [];
  #unread = [];
  #waiting = new Set();
  #ids = 0;

  /**
   * Opens one, up to the first message, which is `hello`.
   *
   * @param {Server} server
   * @param {{ at?: string, query?: Record<string, string | number>, options?: WebSocket.ClientOptions }} [how]
   */
  static async open(server, { at = '/ws', query = { name: '강호동' }, options } = {}) {
    const session = new Session(new WebSocket(server.ws(at, query), options));
    const opened = once(session.socket, 'open');
    await within(opened, () => 'not opened');
    session.hello = await session.take((message) => message === session.all[0], 'any first message');
    assert.equal(session.hello.type, 'hello', 'the first message');
    return session;
  }

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    /** How it was closed. */
    this.closing = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    socket.on('message', (payload, isBinary) => {
      assert.equal(isBinary, false, 'the server only sends text');
      const message = JSON.parse(payload.toString());
      this.all.push(message);
      for (const waiting of this.#waiting) {
        if (waiting.matches(message)) {
          this.#waiting.delete(waiting);
          waiting.resolve(message);
          return;
        }
      }
      this.#unread.push(message);
    });
  }

  get user() {
    return this.hello.user;
  }

  /** The first message that matches and was not taken yet. */
  take(matches, what) {
    const index = this.#unread.findIndex(matches);
    if (index >= 0) return Promise.resolve(this.#unread.splice(index, 1)[0]);
    const waiting = new Promise((resolve) => this.#waiting.add({ matches, resolve }));
    return within(waiting, () => `no ${what}; there came ${JSON.stringify(this.all)}`);
  }

  /** The next message of this type. */
  next(type) {
    return this.take((message) => message.type === type, type);
  }

  /** The next messages of a room's log. */
  async events(count) {
    const events = [];
    while (events.length < count) events.push(await this.next('message'));
    return events;
  }

  /** Sends JSON, or a string as it is. */
  send(command) {
    this.socket.send(typeof command === 'string' ? command : JSON.stringify(command));
  }

  /** Sends a command and gives its reply, `ok` or `error`. */
  ask(type, fields = {}, id = `${type}-${(this.#ids += 1)}`) {
    this.send({ type, id, ...fields });
    return this.take((message) => ['ok', 'error'].includes(message.type) && message.id === id, `reply to ${id}`);
  }

  /** The same, where it has to succeed. */
  async ok(type, fields, id) {
    const reply = await this.ask(type, fields, id);
    assert.equal(reply.type, 'ok', JSON.stringify(reply));
    return reply;
  }

  /** The same, where it has to fail. */
  async refusal(type, fields, id) {
    const reply = await this.ask(type, fields, id);
    assert.equal(reply.type, 'error', JSON.stringify(reply));
    assert.equal(typeof reply.message, 'string');
    return reply;
  }

  /** Waits until the server has answered a ping: what it sent before has come. */
  async pong() {
    this.send({ type: 'ping' });
    return this.next('pong');
  }

  /** How the server closed it. */
  closed() {
    return within(this.closing, () => 'not closed');
  }

  /** Closes it as a page does that is left. */
  async leave() {
    this.socket.close(1000);
    await this.closed();
  }
}

/** How an opening request is refused: its status, its headers and its JSON. */
export async function refused(url, options) {
  const socket = new WebSocket(url, options);
  // Breaking off the handshake, as is right after a refusal, is told as an error.
  socket.on('error', () => {});
  const answered = once(socket, 'unexpected-response');
  const opened = once(socket, 'open').then(() => assert.fail('the session was opened'));
  const [, response] = await within(Promise.race([answered, opened]), () => 'no answer');
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode, headers: response.headers, json: JSON.parse(body) };
}

let rooms = 0;
/** A room that no other test uses. */
export const freshRoom = () => `방-${process.pid}-${(rooms += 1)}`;

/** RFC 3339, UTC, with milliseconds. */
export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** @template T @param {Promise<T>} promise @param {() => string} problem @returns {Promise<T>} */
async function within(promise, problem) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${problem()} (waited ${WITHIN_MS} ms)`)), WITHIN_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
