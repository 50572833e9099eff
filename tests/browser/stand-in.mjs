/**
 * A server that does what a test tells it, for what the real one cannot be made to do on
 * demand: refuse, fall silent, lose an answer, forget its log. It serves the page as the
 * program does.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const root = fileURLToPath(new URL('../../', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const POLICY = "default-src 'none'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; script-src 'self'; "
  + "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HAPPENS_WITHIN_MS = 20_000;

export const me = { id: 'u_me', name: '강호동', guest: true };
export const other = { id: 'u_other', name: '신동엽', guest: true };
export const message = (seq, fields = {}) => ({
  type: 'message', room: 'lobby', seq, at: new Date(Date.UTC(2026, 10, 22, 3, seq)).toISOString(), from: other, text: `말 ${seq}`, ...fields,
});

/** One WebSocket of the page, from the server's side. */
class Session {
  /** Every command the page sent, in order. */
  commands = [];

  constructor(socket, url) {
    this.socket = socket;
    this.url = url;
  }

  say(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** @param {number} code @param {string} [reason] */
  close(code, reason) {
    this.socket.close(code, reason);
  }

  /** Without a closing handshake. */
  cut() {
    this.socket.terminate();
  }
}

export class StandIn {
  /** @type {Session[]} */
  sessions = [];
  /** The HTTP answer to a credential that is not let in, `{ status, body?, headers? }`: to the upgrade, and to `/api/rooms`. */
  refuse = (_url) => null;
  hello = {};
  /** The answers to commands by type; each gets the session and the command. */
  answers = {
    subscribe: (session, { id, room }) => session.say({ type: 'ok', id, room, epoch: 'e1', head: 0, next: 1, role: 'member', presence: { count: 1, users: [me] } }),
    send: (session, { id, room, key, text }) => {
      this.seq += 1;
      session.say(message(this.seq, { room, key, text, from: me, at: new Date().toISOString() }));
      session.say({ type: 'ok', id, room, seq: this.seq, at: new Date().toISOString() });
    },
    history: (session, { id }) => session.say({ type: 'ok', id, events: [] }),
    who: (session, { id }) => session.say({ type: 'ok', id, count: 1, users: [me] }),
    ping: (session) => session.say({ type: 'pong' }),
  };
  seq = 0;
  #http = createServer((request, response) => this.#serve(request, response));
  #waiting = [];

  static async start() {
    const standIn = new StandIn();
    standIn.#http.listen(0, '127.0.0.1');
    await once(standIn.#http, 'listening');
    const sockets = new WebSocketServer({ noServer: true });
    standIn.#http.on('upgrade', (request, socket, head) => {
      const url = new URL(request.url, standIn.url);
      const refusal = standIn.refuse(url);
      if (refusal) return socket.end(`HTTP/1.1 ${refusal.status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      sockets.handleUpgrade(request, socket, head, (webSocket) => standIn.#welcome(webSocket, url));
    });
    return standIn;
  }

  get url() {
    return `http://127.0.0.1:${this.#http.address().port}/`;
  }

  async stop() {
    for (const session of this.sessions) session.cut();
    this.#http.closeAllConnections();
    this.#http.close();
  }

  /** The first session for which this is true, now or later; `test` runs whenever something happens. */
  async until(test) {
    const now = this.sessions.find(test);
    if (now) return now;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not within ${HAPPENS_WITHIN_MS} ms: ${test}`)), HAPPENS_WITHIN_MS);
      this.#waiting.push({ test, resolve: (found) => { clearTimeout(late); resolve(found); } });
    });
  }

  #happened() {
    this.#waiting = this.#waiting.filter(({ test, resolve }) => {
      const session = this.sessions.find(test);
      if (session) resolve(session);
      return !session;
    });
  }

  #welcome(socket, url) {
    const session = new Session(socket, url);
    this.sessions.push(session);
    session.say({
      type: 'hello', protocol: 1, session: `s${this.sessions.length}`, user: me, token: 't_good', heartbeat_ms: 25_000,
      limits: { message_bytes: 65_536, rooms: 256, in_flight: 32 }, ...this.hello,
    });
    socket.on('message', (data) => {
      const command = JSON.parse(data);
      session.commands.push(command);
      this.answers[command.type]?.(session, command);
      this.#happened();
    });
    this.#happened();
  }

  async #serve(request, response) {
    const url = new URL(request.url, this.url);
    if (url.pathname === '/api/rooms') {
      const { status, body, headers = {} } = this.refuse(url) ?? { status: 200, body: { rooms: [], more: false } };
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      return response.end(body && JSON.stringify(body));
    }
    try {
      const file = fileOf(url.pathname);
      const content = await readFile(path.join(root, file));
      response.writeHead(200, { 'content-type': `${TYPES[path.extname(file)]}; charset=utf-8`, 'content-security-policy': POLICY });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }
}

/** As the program has it: the page's files at `/assets`, the client's at the root. @param {string} at */
function fileOf(at) {
  if (at === '/') return 'web/index.html';
  return at.startsWith('/assets/') ? `web/${path.basename(at)}` : `clients/js${path.posix.normalize(at)}`;
}
