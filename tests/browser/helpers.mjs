/**
 * What the tests share: the real server as a process, a browser, and a page as a person
 * would use it. Nothing here sleeps; every wait is for something to be seen.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { endsWithUs } from '../../clients/js/test/child.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** What can be started, and how it is told where to listen and where to keep its data. */
const PROGRAMS = {
  madang: { file: process.env.MADANG_BIN ?? path.join(root, 'target/debug/madang'), args: (listen, data) => ['serve', '--listen', listen, '--data', data] },
  cafe: { file: process.env.CAFE_BIN ?? path.join(root, 'target/debug/cafe'), args: (listen, data) => [listen, data] },
};
const START_WITHIN_MS = 20_000;

/** A program on a port and a data folder of its own. */
export class Server {
  #program;
  #child;
  #port = 0;

  /** @param {keyof typeof PROGRAMS} program */
  static async start(program = 'madang') {
    const server = new Server(PROGRAMS[program], await mkdtemp(path.join(tmpdir(), 'madang-browser-')));
    await server.start();
    return server;
  }

  /** @param {typeof PROGRAMS[keyof typeof PROGRAMS]} program @param {string} data */
  constructor(program, data) {
    this.#program = program;
    this.data = data;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  get port() {
    return this.#port;
  }

  /** The sessions that are open, as the server's register has them. */
  async sessions() {
    const token = (await readFile(path.join(this.data, 'admin.token'), 'utf8')).trim();
    const answer = await fetch(`${this.url}api/sessions?state=open&limit=200`, { headers: { authorization: `Bearer ${token}` } });
    return (await answer.json()).sessions;
  }

  /** The texts of a room, as they are stored. @param {string} room */
  async texts(room) {
    const answer = await fetch(`${this.url}api/rooms/${encodeURIComponent(room)}/messages?limit=200`);
    return (await answer.json()).events.map(({ text }) => text);
  }

  /** The first time on any free port; afterwards on the same one, with the same data. */
  async start() {
    const { file, args } = this.#program;
    const child = spawn(file, args(`127.0.0.1:${this.#port}`, this.data), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    this.#child = child;
    endsWithUs(child);
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors = (errors + chunk).slice(-4000);
    });
    const lines = createInterface({ input: child.stdout });
    this.#port = await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no address within ${START_WITHIN_MS} ms; stderr: ${errors}`)), START_WITHIN_MS);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${file} ended with ${code}; stderr: ${errors}`)));
      // Read on after the address, so that the pipe never fills up.
      lines.on('line', (line) => {
        const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (!port) return;
        clearTimeout(late);
        resolve(Number(port));
      });
    });
  }

  /** As a power cut would end it. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** As an update would end it: it says goodbye to everyone first. */
  async drain() {
    await this.#end('SIGTERM');
  }

  /** Its data is lost while it is down. */
  async forget() {
    await rm(this.data, { recursive: true, force: true });
  }

  async stop() {
    await this.drain();
    await this.forget();
  }

  /** @param {'SIGKILL'|'SIGTERM'} signal */
  async #end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
}

/**
 * Looks out for words that may be there for a moment only; gives how to wait for them.
 *
 * @param {import('playwright-core').Locator} locator @param {string} words
 */
export async function seesPassing(locator, words) {
  const seen = await locator.evaluateHandle((element, expected) => ({
    it: new Promise((resolve) => {
      const look = () => element.textContent.includes(expected) && resolve();
      new MutationObserver(look).observe(element, { childList: true, characterData: true, subtree: true });
    }),
  }), words);
  return () => seen.evaluate(({ it }) => it);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** One person at one browser. */
export class Visitor {
  /** What the page complained of: an exception, or something its security policy forbids. */
  complaints = [];

  /** @param {import('playwright-core').BrowserContext} context @param {import('playwright-core').Page} page */
  constructor(context, page) {
    this.context = context;
    this.page = page;
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) this.complaints.push(message.text());
    });
    this.messages = page.locator('#rows > .message');
    this.texts = page.locator('#rows > .message .text');
    this.state = page.locator('#state-words');
    this.box = page.locator('#draft');
    this.people = page.locator('#people .person-name');
  }

  /**
   * @param {import('playwright-core').Browser} browser
   * @param {string} url
   * @param {import('playwright-core').BrowserContextOptions & { sharesConnection?: boolean }} [options]
   *   `sharesConnection`: whether the browser has what it takes, as most have
   */
  static async open(browser, url, { sharesConnection = true, ...options } = {}) {
    const context = await browser.newContext({ locale: 'ko-KR', viewport: { width: 1100, height: 760 }, ...options });
    context.setDefaultTimeout(20_000);
    if (!sharesConnection) await context.addInitScript(() => delete globalThis.SharedWorker);
    const visitor = new Visitor(context, await context.newPage());
    await visitor.page.goto(url);
    return visitor;
  }

  /** @param {string} name @param {string} room */
  async join(name, room) {
    await this.page.locator('#name').fill(name);
    await this.page.locator('#room').fill(room);
    await this.page.locator('#join-form button').click();
    await this.isIn();
    return this;
  }

  async isIn() {
    await this.page.locator('#chat[data-state="open"]').waitFor();
    await this.page.locator('#people .you').waitFor({ state: 'attached' });
  }

  /** @param {string} text */
  async say(text) {
    await this.box.fill(text);
    await this.box.press('Enter');
  }

  /** @param {string} text */
  async sees(text) {
    await this.texts.filter({ hasText: new RegExp(`^${escaped(text)}$`, 'u') }).first().waitFor();
  }

  /** The stored messages, once `last` is one of them. @param {string} last */
  async textsUpTo(last) {
    await this.page.locator('#rows > .message:not(.pending, .failed) .text', { hasText: last }).first().waitFor();
    return this.texts.allTextContents();
  }

  /** @param {string[]} names whoever is listed, in this order */
  async seesPeople(names) {
    await this.page.waitForFunction(
      (expected) => JSON.stringify([...document.querySelectorAll('#people .person-name')].map((one) => one.textContent)) === expected
        && document.querySelector('#people-count').textContent === String(JSON.parse(expected).length),
      JSON.stringify(names),
    );
  }

  async leave() {
    await this.context.close();
  }
}

let rooms = 0;
/** A room that no other test uses. */
export const freshRoom = () => `방-${process.pid}-${(rooms += 1)}`;

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
