/** What the page does when the server refuses, forgets, falls silent or loses an answer. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { launch, seesPassing, Visitor } from './helpers.mjs';
import { me, message, other, StandIn } from './stand-in.mjs';

describe('the chat page in trouble', { timeout: 600_000 }, () => {
  let browser;
  /** @type {StandIn} */
  let server;
  /** @type {Visitor} */
  let visitor;

  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  beforeEach(async () => {
    server = await StandIn.start();
    visitor = await Visitor.open(browser, server.url);
  });
  afterEach(async () => {
    assert.deepEqual(visitor.complaints, []);
    await visitor.leave();
    await server.stop();
  });

  const reply = (fields) => (session, { id, room }) => session.say({
    type: 'ok', id, room, epoch: 'e1', role: 'member', presence: { count: 2, users: [me, other] }, ...fields,
  });
  const askedFor = (type) => (session) => session.commands.some((command) => command.type === type);
  const last = (session, type) => session.commands.filter((command) => command.type === type).at(-1);
  const join = () => visitor.join('강호동', 'lobby');
  /** A clock that the test turns. A worker has its own, so the page gets a connection of its own. */
  const takeTheClock = async () => {
    await visitor.leave();
    visitor = await Visitor.open(browser, server.url, { sharesConnection: false });
    await visitor.page.clock.install();
  };
  const session = (n) => server.until((one) => one === server.sessions[n] && askedFor('subscribe')(one));

  it('brings whoever gives nothing but a name to the lobby', async () => {
    await visitor.page.locator('#name:focus').fill('강호동');
    await visitor.page.keyboard.press('Enter');
    await visitor.isIn();
    assert.equal(last(await session(0), 'subscribe').room, 'lobby');
    assert.equal(new URL(visitor.page.url()).searchParams.get('room'), 'lobby');
  });

  it('asks for the last 50 at first, and after a break for what came since, in the same life of the log', async () => {
    server.answers.subscribe = (one, command) => {
      reply({ head: 2, next: 1 })(one, command);
      one.say(message(1));
      one.say(message(2));
    };
    await join();
    await visitor.sees('말 2');
    const first = await session(0);
    assert.deepEqual(last(first, 'subscribe'), { type: 'subscribe', room: 'lobby', last: 50, id: last(first, 'subscribe').id });
    assert.equal(first.url.searchParams.get('name'), '강호동');
    server.answers.subscribe = (one, command) => {
      reply({ head: 3, next: 3 })(one, command);
      one.say(message(3));
    };
    first.cut();
    const second = await session(1);
    assert.equal(second.url.searchParams.get('token'), 't_good');
    const { since, epoch } = last(second, 'subscribe');
    assert.deepEqual({ since, epoch }, { since: 2, epoch: 'e1' });
    await visitor.sees('말 3');
    assert.deepEqual(await visitor.texts.allTextContents(), ['말 1', '말 2', '말 3']);
  });

  it('tells which messages are no longer kept', async () => {
    server.answers.subscribe = (one, command) => {
      reply({ head: 1, next: 1 })(one, command);
      one.say(message(1));
    };
    await join();
    await visitor.sees('말 1');
    server.answers.subscribe = (one, command) => {
      reply({ head: 60, next: 60, gap: { from: 2, to: 59 } })(one, command);
      one.say(message(60));
      one.say({ type: 'gap', room: 'lobby', from: 61, to: 70 });
      one.say(message(71));
    };
    (await session(0)).cut();
    await visitor.sees('말 71');
    assert.deepEqual(await visitor.page.locator('#rows > .gap').allTextContents(), [
      '보관 기간이 지난 메시지가 있어요 (2–59)',
      '보관 기간이 지난 메시지가 있어요 (61–70)',
    ]);
    assert.deepEqual(await visitor.texts.allTextContents(), ['말 1', '말 60', '말 71']);
  });

  it('starts anew when the log was reset', async () => {
    server.answers.subscribe = (one, command) => {
      reply({ head: 2, next: 1 })(one, command);
      one.say(message(1, { text: '옛날' }));
      one.say(message(2, { text: '옛날이야기' }));
    };
    await join();
    await visitor.sees('옛날이야기');
    server.answers.subscribe = (one, command) => {
      if (command.last === undefined) {
        reply({ head: 1, next: 1, epoch: 'e2', reset: true })(one, command);
        one.say(message(1, { text: '새 시작' }));
        return;
      }
      reply({ head: 1, next: 1, epoch: 'e2' })(one, command);
      one.say(message(1, { text: '새 시작' }));
    };
    (await session(0)).cut();
    await visitor.sees('새 시작');
    assert.deepEqual(await visitor.texts.allTextContents(), ['새 시작']);
    const second = await session(1);
    assert.deepEqual(second.commands.filter(({ type }) => type === 'subscribe').map((one) => one.last), [undefined, 50]);
  });

  it('asks again for a hole in what arrives, and shows nothing behind it before', async () => {
    server.answers.subscribe = reply({ head: 0, next: 1 });
    await join();
    server.answers.subscribe = (one, command) => {
      assert.equal(command.since, 1);
      reply({ head: 3, next: 2 })(one, command);
      one.say(message(2));
      one.say(message(3));
    };
    const first = await session(0);
    first.say(message(1));
    first.say(message(3));
    await visitor.sees('말 3');
    assert.deepEqual(await visitor.texts.allTextContents(), ['말 1', '말 2', '말 3']);
  });

  it('sends again with the same key what had no answer, and shows it once', async () => {
    let first = true;
    const { send } = server.answers;
    server.answers.send = (one, command) => {
      if (!first) {
        one.say({ type: 'ok', id: command.id, room: command.room, seq: 1, at: new Date().toISOString(), duplicate: true });
        return;
      }
      first = false;
      one.cut();
    };
    await join();
    await visitor.say('한 번만');
    const again = await server.until((one) => one === server.sessions[1] && askedFor('send')(one));
    assert.equal(last(again, 'send').key, last(server.sessions[0], 'send').key);
    again.say(message(1, { from: me, text: '한 번만', key: last(again, 'send').key }));
    await visitor.page.locator('.message.pending').waitFor({ state: 'detached' });
    server.seq = 1;
    server.answers.send = send;
    await visitor.say('다음');
    assert.deepEqual(await visitor.textsUpTo('다음'), ['한 번만', '다음']);
  });

  it('waits as long as it is told when it was too fast, and keeps the order', async () => {
    const { send } = server.answers;
    server.answers.send = (one, { id }) => {
      server.answers.send = send;
      one.say({ type: 'error', id, code: 'rate_limited', message: 'too fast', retry_after_ms: 300 });
    };
    await join();
    await visitor.say('하나');
    await visitor.say('둘');
    assert.deepEqual(await visitor.textsUpTo('둘'), ['하나', '둘']);
    assert.deepEqual((await session(0)).commands.filter(({ type }) => type === 'send').map(({ text }) => text), ['하나', '하나', '둘']);
  });

  it('shows at a message why it was refused, and sends or discards it on demand', async () => {
    const { send } = server.answers;
    server.answers.send = (one, { id }) => one.say({ type: 'error', id, code: 'forbidden', message: 'you may only read here' });
    await join();
    await visitor.say('거절될 말');
    await visitor.say('버릴 말');
    await visitor.page.locator('.failure', { hasText: 'you may only read here' }).nth(1).waitFor();
    server.answers.send = send;
    const failed = (text) => visitor.page.locator('.message.failed', { hasText: text });
    await failed('버릴 말').getByRole('button', { name: '지우기' }).click();
    await failed('거절될 말').getByRole('button', { name: '다시 보내기' }).click();
    assert.deepEqual(await visitor.textsUpTo('거절될 말'), ['거절될 말']);
    await visitor.page.locator('.failure').waitFor({ state: 'detached' });
  });

  it('does not send what the server would find too big', async () => {
    server.hello = { limits: { message_bytes: 300, rooms: 1, in_flight: 32 } };
    await join();
    await visitor.say('가'.repeat(120));
    await visitor.page.locator('.failure', { hasText: '메시지가 너무 길어요' }).waitFor();
    await visitor.say('짧은 말');
    await visitor.textsUpTo('짧은 말');
    assert.deepEqual((await session(0)).commands.filter(({ type }) => type === 'send').map(({ text }) => text), ['짧은 말']);
  });

  it('comes in by name, once, when its token is refused', async () => {
    await join();
    await session(0);
    server.hello = { token: 't_new' };
    server.refuse = (url) => (url.searchParams.has('token') ? { status: 401 } : null);
    await visitor.page.reload();
    const second = await session(1);
    assert.equal(second.url.searchParams.get('name'), '강호동');
    await visitor.isIn();
    server.refuse = () => null;
    second.cut();
    assert.equal((await session(2)).url.searchParams.get('token'), 't_new');
  });

  it('does not come in by name instead when its token may not come in', async () => {
    await join();
    await session(0);
    server.refuse = () => ({ status: 403, body: { code: 'forbidden', message: 'you were shown the door' } });
    await visitor.page.reload();
    await visitor.page.locator('#name-error', { hasText: 'you were shown the door' }).waitFor();
    assert.equal(server.sessions.length, 1);
  });

  it('keeps its token when the server is full without saying so over HTTP', async () => {
    await join();
    const first = await session(0);
    server.refuse = (url) => (url.pathname === '/ws' ? { status: 503 } : null);
    first.cut();
    await visitor.state.filter({ hasText: '서버가 바빠요' }).waitFor();
    server.refuse = () => null;
    assert.equal((await session(1)).url.searchParams.get('token'), 't_good');
  });

  it('keeps its token while the server is away or busy', async () => {
    await join();
    server.refuse = () => ({ status: 503, body: { code: 'busy', message: 'later' }, headers: { 'retry-after': '1' } });
    (await session(0)).cut();
    await visitor.state.filter({ hasText: '서버가 바빠요' }).waitFor();
    server.refuse = () => null;
    assert.equal((await session(1)).url.searchParams.get('token'), 't_good');
  });

  it('shows the server’s words beside the name when the name is refused', async () => {
    server.refuse = () => ({ status: 401, body: { code: 'unauthorized', message: 'guests are not welcome today' } });
    await visitor.page.locator('#name').fill('강호동');
    await visitor.page.locator('#room').fill('lobby');
    await visitor.page.locator('#join-form button').click();
    await visitor.page.locator('#name-error', { hasText: 'guests are not welcome today' }).waitFor();
  });

  it('shows the server’s words beside the room when the room is refused', async () => {
    server.answers.subscribe = (one, { id }) => one.say({ type: 'error', id, code: 'forbidden', message: 'lobby is for members' });
    await visitor.page.locator('#name').fill('강호동');
    await visitor.page.locator('#room').fill('lobby');
    await visitor.page.locator('#join-form button').click();
    await visitor.page.locator('#room-error', { hasText: 'lobby is for members' }).waitFor();
  });

  it('returns to the door, without its token, when the credential was revoked', async () => {
    await join();
    (await session(0)).close(4001, 'revoked');
    await visitor.page.locator('#join-notice', { hasText: '접속 자격이 끝났어요' }).waitFor();
    await visitor.join('강호동', 'lobby');
    assert.equal((await session(1)).url.searchParams.get('name'), '강호동');
  });

  it('says that one was removed, and does not come back', async () => {
    await takeTheClock();
    await join();
    (await session(0)).close(4003, 'banned');
    await visitor.state.filter({ hasText: '내보내졌어요' }).waitFor();
    await visitor.page.clock.runFor(120_000);
    assert.equal(server.sessions.length, 1);
    await visitor.page.locator('#reconnect').waitFor({ state: 'hidden' });
  });

  it('comes back after a restart within the time that the server named', async () => {
    await join();
    const isTold = await seesPassing(visitor.state, '다시 시작');
    (await session(0)).close(1012, '{"retry_after_ms":1500}');
    await isTold();
    await session(1);
    await visitor.isIn();
  });

  it('comes back at once on demand, however long it would have waited', async () => {
    await takeTheClock();
    await join();
    await visitor.page.evaluate(() => { Math.random = () => 0.99; });
    (await session(0)).close(1013, 'overloaded');
    await visitor.state.filter({ hasText: '서버가 바빠요' }).waitFor();
    await visitor.page.locator('#state-countdown', { hasText: /[3-8]초 뒤/u }).waitFor();
    await visitor.page.locator('#reconnect').click();
    await session(1);
    await visitor.isIn();
  });

  it('asks a silent server for a sign of life, and reconnects when there is none', async () => {
    await takeTheClock();
    await join();
    const first = await session(0);
    await visitor.page.clock.runFor(25_000);
    await server.until((one) => one === first && askedFor('ping')(one));
    // Seen after the pong, so the pong has been taken, too.
    first.say(message(1));
    await visitor.sees('말 1');
    server.answers.ping = () => {};
    await visitor.page.clock.runFor(25_000);
    await server.until((one) => one === first && one.commands.filter(({ type }) => type === 'ping').length === 2);
    assert.equal(server.sessions.length, 1);
    await visitor.page.clock.runFor(10_000);
    await visitor.page.clock.runFor(1000);
    await session(1);
  });

  it('shows edits, deletions, reactions, replies, data and what else happens in a room', async () => {
    await join();
    const one = await session(0);
    one.say(message(1));
    one.say(message(2, { text: undefined, data: { score: [1, 2] } }));
    one.say(message(3, { reply_to: 1, text: '답장' }));
    one.say({ ...message(4), type: 'edit', target: 1, text: '고친 말' });
    one.say({ ...message(5), type: 'react', target: 1, emoji: '👍', on: true });
    one.say({ ...message(6), type: 'delete', target: 3 });
    one.say({ ...message(7), type: 'member', user: other, change: 'joined' });
    one.say({ ...message(8), type: 'room', title: '우리 마당' });
    one.say(message(9));
    await visitor.sees('말 9');
    const { page } = visitor;
    assert.match(await visitor.messages.nth(0).locator('.bubble').textContent(), /^고친 말\s*고침$/u);
    assert.equal(await visitor.messages.nth(0).locator('.reactions').textContent(), '👍 1');
    assert.deepEqual(JSON.parse(await visitor.messages.nth(1).locator('pre.data').textContent()), { score: [1, 2] });
    assert.equal(await visitor.messages.nth(2).locator('.bubble').textContent(), '삭제된 메시지예요');
    assert.deepEqual(await page.locator('#rows > .notice').allTextContents(), ['신동엽 님이 방의 식구가 되었어요', '방 이름이 ‘우리 마당’(으)로 바뀌었어요']);
  });

  it('counts a crowd without naming it, and asks for the names when it has thinned out', async () => {
    await join();
    const one = await session(0);
    one.say({ type: 'presence', room: 'lobby', count: 240 });
    await visitor.page.locator('#people-more', { hasText: '그 밖에 240명' }).waitFor();
    await visitor.page.locator('#people-count', { hasText: '240' }).waitFor();
    server.answers.who = (session_, { id }) => session_.say({ type: 'ok', id, count: 2, users: [me, other] });
    one.say({ type: 'presence', room: 'lobby', joined: [], left: [other], count: 2 });
    await visitor.seesPeople(['강호동', '신동엽']);
  });

  it('counts in the title what arrives while the page is hidden', async () => {
    await visitor.page.addInitScript(() => {
      let hidden = false;
      Object.defineProperty(document, 'hidden', { get: () => hidden });
      addEventListener('test-hide', (event) => {
        hidden = event.detail;
        document.dispatchEvent(new Event('visibilitychange'));
      });
    });
    await visitor.page.reload();
    await join();
    const hide = (hidden) => visitor.page.evaluate((detail) => dispatchEvent(new CustomEvent('test-hide', { detail })), hidden);
    const titled = (title) => visitor.page.waitForFunction((expected) => document.title === expected, title);
    await titled('lobby · 마당');
    await hide(true);
    const one = await session(0);
    one.say(message(1));
    one.say(message(2));
    await titled('(2) lobby · 마당');
    await hide(false);
    await titled('lobby · 마당');
  });

  it('ignores what it does not know', async () => {
    await join();
    const one = await session(0);
    one.say({ type: 'typing', room: 'lobby', user: other, on: true });
    one.say({ type: 'something_new', room: 'lobby', seq: 1 });
    one.say(message(1, { room: 'another' }));
    one.say({ type: 'error', code: 'bad_field', message: 'no id' });
    one.say(message(1));
    await visitor.sees('말 1');
    assert.equal(await visitor.messages.count(), 1);
  });
});
