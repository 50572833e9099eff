/** The page in a real browser, with the real server. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freshRoom, launch, Server, Visitor } from './helpers.mjs';

const output = fileURLToPath(new URL('output/', import.meta.url));

describe('the chat page', { timeout: 600_000 }, () => {
  let server;
  let browser;
  /** @type {Visitor[]} */
  let visitors = [];

  before(async () => {
    server = await Server.start();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  afterEach(async () => {
    const complaints = visitors.flatMap((visitor) => visitor.complaints);
    await Promise.all(visitors.map((visitor) => visitor.leave()));
    visitors = [];
    assert.deepEqual(complaints, [], 'no exception, and nothing against the security policy');
  });

  const visit = async (options, path = '') => {
    const visitor = await Visitor.open(browser, server.url + path, options);
    visitors.push(visitor);
    return visitor;
  };
  const enter = async (name, room, options) => (await visit(options)).join(name, room);

  it('lets two people in two windows talk both ways', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    await hodong.say('동엽아, 밥 먹었니?');
    await dongyup.sees('동엽아, 밥 먹었니?');
    await dongyup.say('네 형님, 먹었습니다.');
    await hodong.sees('네 형님, 먹었습니다.');

    const expected = ['동엽아, 밥 먹었니?', '네 형님, 먹었습니다.'];
    assert.deepEqual(await hodong.texts.allTextContents(), expected);
    assert.deepEqual(await dongyup.texts.allTextContents(), expected);
    assert.deepEqual(await hodong.page.locator('.message.own .text').allTextContents(), expected.slice(0, 1));
    assert.deepEqual(await dongyup.page.locator('.message.own .text').allTextContents(), expected.slice(1));
    await hodong.page.locator('.message.pending').waitFor({ state: 'detached' });
    assert.deepEqual(await hodong.page.locator('.sender').allTextContents(), ['신동엽']);
  });

  it('sends Korean once and whole when Enter is pressed while a syllable is composed', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    const cdp = await hodong.context.newCDPSession(hodong.page);
    const compose = (text) => cdp.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
    const keyDuringComposition = (key, code) => cdp.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key, code, windowsVirtualKeyCode: 229 });

    await hodong.box.focus();
    await hodong.page.evaluate(() => {
      const seen = [];
      const box = document.querySelector('#draft');
      box.addEventListener('compositionstart', () => seen.push('start'));
      box.addEventListener('compositionend', () => seen.push('end'));
      box.addEventListener('keydown', (event) => event.key === 'Enter' && seen.push(`enter ${event.isComposing || event.keyCode === 229}`));
      document.querySelector('#log').addEventListener('composed', (event) => event.detail(seen));
    });
    const seen = () => hodong.page.evaluate(() => new Promise((resolve) => {
      document.querySelector('#log').dispatchEvent(new CustomEvent('composed', { detail: resolve }));
    }));

    for (const step of ['ㅇ', '아', '안']) await compose(step);
    await keyDuringComposition('Enter', 'Enter');
    await compose('안');
    await cdp.send('Input.insertText', { text: '안' });
    for (const step of ['ㄴ', '녀', '녕']) await compose(step);
    await keyDuringComposition('Enter', 'Enter');
    assert.equal(await hodong.box.inputValue(), '안녕', 'nothing was sent and nothing was lost');
    assert.equal(await hodong.messages.count(), 0);
    await cdp.send('Input.insertText', { text: '녕' });
    await hodong.box.press('Enter');
    await dongyup.sees('안녕');
    await hodong.box.press('Enter');

    await hodong.say('끝');
    assert.deepEqual(await dongyup.textsUpTo('끝'), ['안녕', '끝']);
    assert.deepEqual((await seen()).slice(0, 7), ['start', 'enter true', 'end', 'start', 'enter true', 'end', 'enter false']);
  });

  it('sends by the line break that follows when Safari ends the composition before its Enter', async () => {
    const hodong = await enter('강호동', freshRoom());
    await hodong.box.fill('안녕');
    await hodong.page.evaluate(() => {
      const box = document.querySelector('#draft');
      const enter = () => box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }));
      box.dispatchEvent(new CompositionEvent('compositionend', { data: '녕' }));
      enter();
    });
    assert.equal(await hodong.box.inputValue(), '안녕', 'the input method kept the Enter');
    await hodong.page.evaluate(() => {
      const box = document.querySelector('#draft');
      box.dispatchEvent(new InputEvent('beforeinput', { inputType: 'insertLineBreak', bubbles: true, cancelable: true }));
    });
    await hodong.sees('안녕');
    assert.equal(await hodong.box.inputValue(), '');
  });

  it('shows the history to a third who comes later, and older messages on scrolling up', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const all = Array.from({ length: 130 }, (_, i) => `이야기 ${i + 1}`);
    for (const text of all) await hodong.say(text);
    await hodong.textsUpTo('이야기 130');

    const jaeseok = await enter('유재석', room);
    await jaeseok.sees('이야기 130');
    await jaeseok.sees('이야기 81');
    const log = jaeseok.page.locator('#log');
    for (;;) {
      const first = await jaeseok.texts.first().textContent();
      if (first === '이야기 1') break;
      await log.evaluate((element) => { element.scrollTop = 0; });
      await jaeseok.page.waitForFunction((before) => document.querySelector('#rows .text').textContent !== before, first);
    }
    assert.deepEqual(await jaeseok.texts.allTextContents(), all);
    await jaeseok.page.locator('#log-start', { hasText: '여기서 시작' }).waitFor();
  });

  it('keeps the reader’s place while others talk, and counts what is new', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    for (let i = 1; i <= 40; i += 1) await hodong.say(`긴 이야기 ${i}`);
    const dongyup = await enter('신동엽', room);
    await dongyup.sees('긴 이야기 40');
    const log = dongyup.page.locator('#log');
    const fromTop = () => log.evaluate((element) => Math.round(element.scrollTop));
    await dongyup.page.waitForFunction(() => {
      const element = document.querySelector('#log');
      return element.scrollHeight - element.scrollTop - element.clientHeight < 2;
    });

    await log.evaluate((element) => { element.scrollTop = 500; });
    const newer = dongyup.page.locator('#newer');
    await newer.waitFor();
    const place = await fromTop();
    await hodong.say('새 소식 하나');
    await hodong.say('새 소식 둘');
    await dongyup.page.locator('#newer', { hasText: '새 메시지 2개' }).waitFor();
    assert.equal(await fromTop(), place);
    await newer.click();
    await newer.waitFor({ state: 'hidden' });
    await dongyup.texts.last().waitFor();
    assert.ok(await dongyup.texts.last().evaluate((element) => element.getBoundingClientRect().bottom <= innerHeight));
  });

  it('lists the people rightly as they come and go', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    await hodong.seesPeople(['강호동']);
    const dongyup = await enter('신동엽', room);
    await Promise.all([hodong.seesPeople(['강호동', '신동엽']), dongyup.seesPeople(['신동엽', '강호동'])]);
    const jaeseok = await enter('유재석', room);
    await Promise.all([hodong, dongyup, jaeseok].map((one) => one.page.locator('#people-count', { hasText: '3' }).waitFor()));

    const started = Date.now();
    await jaeseok.page.close();
    await Promise.all([hodong.seesPeople(['강호동', '신동엽']), dongyup.seesPeople(['신동엽', '강호동'])]);
    assert.ok(Date.now() - started < 10_000, `a page that was closed is gone at once, not after ${Date.now() - started} ms`);

    await dongyup.page.locator('#leave').click();
    await hodong.seesPeople(['강호동']);
    await dongyup.page.locator('#join-form button').click();
    await hodong.seesPeople(['강호동', '신동엽']);
  });

  it('counts one person with two windows once, and keeps who they are over a reload', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    await dongyup.say('내 말이에요');
    const second = await dongyup.context.newPage();
    await second.goto(dongyup.page.url());
    await second.locator('#people .you').waitFor();
    await second.locator('.message.own .text', { hasText: '내 말이에요' }).waitFor();
    await second.close();
    await dongyup.page.reload();
    await dongyup.isIn();
    await dongyup.page.locator('.message.own .text', { hasText: '내 말이에요' }).waitFor();
    await hodong.seesPeople(['강호동', '신동엽']);
  });

  it('comes back by itself after the server was killed, misses nothing and shows nothing twice', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    await hodong.say('하나');
    await dongyup.say('둘');
    await Promise.all([hodong.sees('둘'), dongyup.sees('하나')]);
    const [first, second] = await hodong.textsUpTo('둘');
    await hodong.page.locator('.message.pending').waitFor({ state: 'detached' });

    // Said, and then the cable: whether the answer comes or not, it must be there once.
    await hodong.say('셋');
    await server.kill();
    await Promise.all([hodong, dongyup].map((one) => one.state.filter({ hasText: '다시 연결' }).waitFor()));
    await hodong.say('끊긴 사이에 쓴 말');
    await hodong.page.locator('.message.pending .text', { hasText: '끊긴 사이에 쓴 말' }).waitFor();
    await dongyup.say('나도 썼어요');
    await server.start();

    await Promise.all([hodong.isIn(), dongyup.isIn()]);
    await Promise.all([dongyup.sees('끊긴 사이에 쓴 말'), hodong.sees('나도 썼어요')]);
    await hodong.page.locator('.message.pending').waitFor({ state: 'detached' });
    await dongyup.page.locator('.message.pending').waitFor({ state: 'detached' });
    await hodong.say('다시 만났네');
    const [mine, theirs] = await Promise.all([hodong.textsUpTo('다시 만났네'), dongyup.textsUpTo('다시 만났네')]);
    assert.deepEqual(mine, theirs, 'one order for all');
    assert.deepEqual(mine.slice(0, 2), [first, second]);
    assert.deepEqual([...mine].sort(), ['하나', '둘', '셋', '끊긴 사이에 쓴 말', '나도 썼어요', '다시 만났네'].sort());
    assert.ok(mine.indexOf('셋') < mine.indexOf('끊긴 사이에 쓴 말'), 'in the order written');
    await Promise.all([hodong.seesPeople(['강호동', '신동엽']), dongyup.seesPeople(['신동엽', '강호동'])]);

    const newcomer = await enter('유재석', room);
    assert.deepEqual(await newcomer.textsUpTo('다시 만났네'), mine, 'what is shown is what is stored');
  });

  it('comes back by itself after a gentle restart', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    await hodong.say('하나');
    await dongyup.sees('하나');
    await server.drain();
    await Promise.all([hodong, dongyup].map((one) => one.state.filter({ hasText: '다시' }).waitFor()));
    await hodong.say('둘');
    await server.start();
    await dongyup.sees('둘');
    await dongyup.say('셋');
    assert.deepEqual(await hodong.textsUpTo('셋'), ['하나', '둘', '셋']);
    await Promise.all([hodong.seesPeople(['강호동', '신동엽']), dongyup.seesPeople(['신동엽', '강호동'])]);
  });

  it('starts anew, as someone new, when the server has lost its data', async () => {
    const hodong = await enter('강호동', freshRoom());
    await hodong.say('사라질 말');
    await hodong.textsUpTo('사라질 말');
    await server.kill();
    await server.forget();
    await server.start();
    await hodong.isIn();
    await hodong.page.locator('.message').waitFor({ state: 'detached' });
    await hodong.say('새로 하는 말');
    assert.deepEqual(await hodong.textsUpTo('새로 하는 말'), ['새로 하는 말']);
    await hodong.seesPeople(['강호동']);
  });

  it('sends what was unsent even when the page was reloaded meanwhile', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    await server.kill();
    await hodong.state.filter({ hasText: '다시 연결' }).waitFor();
    await hodong.say('꼭 가야 할 말');
    await hodong.page.locator('.message.pending').waitFor();
    await server.start();
    await hodong.page.reload();
    await dongyup.sees('꼭 가야 할 말');
    await dongyup.say('받았어요');
    assert.deepEqual(await hodong.textsUpTo('받았어요'), ['꼭 가야 할 말', '받았어요']);
  });

  it('says that it is offline, and comes back when the browser is online', async () => {
    const hodong = await enter('강호동', freshRoom());
    await hodong.context.setOffline(true);
    await hodong.state.filter({ hasText: '오프라인' }).waitFor();
    await hodong.say('나중에 갈 말');
    await hodong.context.setOffline(false);
    await hodong.isIn();
    await hodong.page.locator('.message:not(.pending) .text', { hasText: '나중에 갈 말' }).waitFor();
  });

  it('shows markup as text, runs no script, and links nothing but http and https', async () => {
    const room = freshRoom();
    const hodong = await enter('<b>호동</b>', room);
    const dongyup = await enter('신동엽', room);
    const markup = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>';
    await hodong.say(markup);
    await hodong.say('[보기](javascript:alert(1)) javascript:alert(1) data:text/html,x');
    await hodong.say('https://example.com/가?a=<b>&c="d" 그리고 (http://example.org).');
    await dongyup.sees(markup);
    await dongyup.sees('https://example.com/가?a=<b>&c="d" 그리고 (http://example.org).');
    assert.equal(await dongyup.page.locator('#rows :is(img, script, b)').count(), 0);
    assert.notEqual(await dongyup.page.title(), 'broken');
    assert.equal(await dongyup.page.locator('.sender').first().textContent(), '<b>호동</b>');

    const links = await dongyup.page.locator('#rows a').evaluateAll((all) => all.map(({ href, target, rel }) => ({ href, target, rel })));
    assert.deepEqual(links.map(({ href }) => href), ['https://example.com/%EA%B0%80?a=', 'http://example.org/']);
    for (const { target, rel } of links) assert.deepEqual([target, rel], ['_blank', 'noopener noreferrer nofollow']);
  });

  it('breaks the line on Shift+Enter, keeps the breaks, and grows with them', async () => {
    const hodong = await enter('강호동', freshRoom());
    const height = () => hodong.box.evaluate((element) => element.clientHeight);
    const low = await height();
    await hodong.box.pressSequentially('한 줄');
    await hodong.box.press('Shift+Enter');
    await hodong.box.pressSequentially('두 줄');
    assert.ok(await height() > low);
    assert.equal(await hodong.messages.count(), 0);
    await hodong.box.press('Enter');
    await hodong.messages.waitFor();
    assert.equal(await hodong.texts.first().textContent(), '한 줄\n두 줄');
    assert.equal(await hodong.texts.first().evaluate((element) => element.innerText), '한 줄\n두 줄');
    assert.equal(await height(), low);
  });

  it('keeps the draft of each room', async () => {
    const hodong = await enter('강호동', freshRoom());
    await hodong.box.fill('쓰다 만 말');
    await hodong.page.reload();
    await hodong.isIn();
    assert.equal(await hodong.box.inputValue(), '쓰다 만 말');
    await hodong.page.locator('#leave').click();
    await hodong.join('강호동', freshRoom());
    assert.equal(await hodong.box.inputValue(), '');
    await hodong.page.goBack();
    await hodong.page.goBack();
    await hodong.isIn();
    assert.equal(await hodong.box.inputValue(), '쓰다 만 말');
  });

  it('groups by sender and minute, with the name at the head and the time at the end', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽', room);
    for (const [who, text] of [[hodong, '가'], [hodong, '나'], [hodong, '다'], [dongyup, '라'], [hodong, '마'], [hodong, '바']]) {
      await who.say(text);
      await Promise.all([hodong.sees(text), dongyup.sees(text)]);
    }
    await dongyup.page.locator('.message.pending').waitFor({ state: 'detached' });
    const shown = await dongyup.messages.evaluateAll((all) => all.map((li) => ({
      own: li.classList.contains('own'),
      head: li.classList.contains('head'),
      tail: li.classList.contains('tail'),
      minute: li.querySelector('time').dateTime.slice(0, 16),
    })));
    // A minute may end while the test runs; the rule is the same then.
    const together = (a, b) => a !== undefined && b !== undefined && a.own === b.own && a.minute === b.minute;
    assert.equal(shown.length, 6);
    shown.forEach((row, i) => {
      assert.equal(row.head, !together(shown[i - 1], row), `head of ${i}`);
      assert.equal(row.tail, !together(row, shown[i + 1]), `tail of ${i}`);
    });
    assert.equal(await dongyup.page.locator('#rows > .day').count() >= 1, true);
  });

  it('shows emoji alone in large', async () => {
    const hodong = await enter('강호동', freshRoom());
    await hodong.say('🎉👨‍👩‍👧‍👦');
    await hodong.say('좋아요 🎉');
    await hodong.sees('좋아요 🎉');
    assert.deepEqual(await hodong.page.locator('.bubble.large .text').allTextContents(), ['🎉👨‍👩‍👧‍👦']);
  });

  it('fits a phone of 360 × 740: nothing to scroll sideways, the composer in sight, the people in a drawer', async () => {
    const room = freshRoom();
    const phone = await enter('강호동', room, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    await phone.box.fill(`${'가'.repeat(300)}${'w'.repeat(300)} https://example.com/${'x'.repeat(200)}`);
    await phone.page.locator('#send').tap();
    await phone.messages.waitFor();
    const sideways = () => phone.page.evaluate(() => [document.documentElement, document.querySelector('#log')].map((one) => one.scrollWidth - one.clientWidth));
    assert.deepEqual(await sideways(), [0, 0]);
    const box = await phone.page.locator('#composer').boundingBox();
    assert.ok(box.y + box.height <= 740 && box.y > 400, JSON.stringify(box));

    await phone.page.locator('#open-drawer').tap();
    const drawer = phone.page.getByRole('dialog');
    await drawer.waitFor();
    await drawer.locator('.person-name', { hasText: '강호동' }).waitFor();
    await phone.page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'hidden' });
    await phone.box.tap();
    await phone.box.pressSequentially('줄');
    await phone.box.press('Enter');
    assert.equal(await phone.box.inputValue(), '줄\n', 'on a touch screen Enter breaks the line');

    await phone.page.setViewportSize({ width: 360, height: 380 });
    await phone.page.waitForFunction(() => document.querySelector('#composer').getBoundingClientRect().bottom <= innerHeight);
    assert.deepEqual(await sideways(), [0, 0]);
  });

  it('is used by the keyboard alone: join, send, walk through, leave', async () => {
    const { page, ...hodong } = await visit();
    await page.locator('#name:focus').waitFor();
    await page.keyboard.type('강호동');
    await page.keyboard.press('Tab');
    await page.keyboard.type(freshRoom());
    await page.keyboard.press('Enter');
    await page.locator('#draft:focus').waitFor();
    await page.keyboard.type('키보드로 썼어요');
    await page.keyboard.press('Enter');
    await hodong.messages.waitFor();
    await page.locator('#draft:focus').waitFor();

    const reached = new Set();
    for (let i = 0; i < 12; i += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => document.activeElement?.id ?? ''));
    }
    for (const id of ['send', 'leave', 'copy-link', 'log', 'draft']) assert.ok(reached.has(id), `${id} is reached by Tab`);
    await page.locator('#leave').focus();
    await page.keyboard.press('Enter');
    await page.locator('#room:focus').waitFor();
  });

  it('speaks the language of the browser', async () => {
    const korean = await visit({ locale: 'ko-KR' });
    const english = await visit({ locale: 'en-US' });
    const seen = async ({ page }) => [
      await page.locator('html').getAttribute('lang'),
      await page.locator('label[for="name"]').textContent(),
      await page.locator('#join-form button').textContent(),
    ];
    assert.deepEqual(await seen(korean), ['ko', '이름', '들어가기']);
    assert.deepEqual(await seen(english), ['en', 'Your name', 'Step in']);
    const room = freshRoom();
    await korean.join('강호동', room);
    await english.join('Grace', room);
    assert.equal(await korean.state.textContent(), '연결됨');
    assert.equal(await english.state.textContent(), 'Connected');
  });

  it('is dark where the browser prefers it, and readable in both', async () => {
    await mkdir(output, { recursive: true });
    const room = freshRoom();
    const brightness = {};
    for (const colorScheme of ['light', 'dark']) {
      const { page, ...visitor } = await enter('강호동', room, { colorScheme });
      await page.locator('#draft').fill(`${colorScheme}: https://example.com`);
      await page.locator('#draft').press('Enter');
      await visitor.messages.last().waitFor();
      await page.locator('.message.pending').waitFor({ state: 'detached' });
      await page.screenshot({ path: `${output}${colorScheme}.png` });
      const contrasts = await page.evaluate(contrastOfTexts);
      for (const { text, ratio } of contrasts) assert.ok(ratio >= 4.5, `${colorScheme}: “${text}” has a contrast of ${ratio.toFixed(2)}`);
      brightness[colorScheme] = await page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]));
    }
    assert.ok(brightness.light > 200 && brightness.dark < 60, JSON.stringify(brightness));
  });

  it('shows the roles that assistive technology looks for', async () => {
    const { page } = await enter('강호동', freshRoom());
    await page.getByRole('log', { name: '대화' }).waitFor();
    await page.getByRole('main').waitFor();
    await page.getByRole('banner').or(page.locator('header')).first().waitFor();
    await page.getByRole('complementary', { name: '방과 사람들' }).waitFor();
    await page.getByRole('textbox', { name: '메시지' }).waitFor();
    await page.getByRole('button', { name: '보내기' }).waitFor();
    await page.getByRole('status').filter({ hasText: '연결됨' }).waitFor();
    await page.getByRole('list', { name: /지금 여기/u }).waitFor();
    assert.equal(await page.locator('#log').getAttribute('aria-live'), 'polite');
    assert.equal(await page.locator('#rows time').evaluateAll((all) => all.every((one) => !Number.isNaN(Date.parse(one.dateTime)))), true);
  });

  it('gives a link to the room, and follows one', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room, { permissions: ['clipboard-read', 'clipboard-write'] });
    await hodong.page.locator('#copy-link').click();
    await hodong.page.locator('#toast', { hasText: '링크를 복사했어요' }).waitFor();
    const link = await hodong.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(new URL(link).searchParams.get('room'), room);
    const dongyup = await visit({}, new URL(link).search);
    assert.equal(await dongyup.page.locator('#room').inputValue(), room);
    await dongyup.join('신동엽', room);
    await hodong.seesPeople(['강호동', '신동엽']);
  });

  it('says in words, beside the field, what is wrong with a name or a room', async () => {
    const { page } = await visit();
    const submit = page.locator('#join-form button');
    await page.locator('#room').fill('');
    await submit.click();
    await page.locator('#name-error', { hasText: '1자에서 40자' }).waitFor();
    await page.locator('#room-error', { hasText: '1자에서 64자' }).waitFor();
    await page.locator('#name').fill('가'.repeat(41));
    await page.locator('#room').fill('우리 방');
    await submit.click();
    await page.locator('#name-error', { hasText: '1자에서 40자' }).waitFor();
    await page.locator('#room-error', { hasText: '띄어쓰기' }).waitFor();
    await page.locator('#name[aria-invalid="true"]:focus').waitFor();
  });

  it('takes a name and a room in decomposed Hangul as the same', async () => {
    const room = freshRoom();
    const hodong = await enter('강호동', room);
    const dongyup = await enter('신동엽'.normalize('NFD'), room.normalize('NFD'));
    await hodong.seesPeople(['강호동', '신동엽']);
    await dongyup.seesPeople(['신동엽', '강호동']);
  });
});

/** In the page: each visible text with its contrast, by WCAG 2 on the nearest opaque background. */
function contrastOfTexts() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const background = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (text === '' || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || element.closest('.unseen')) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), background(element)].map(luminance).sort((x, y) => y - x);
    found.push({ text, ratio: (a + 0.05) / (b + 0.05) });
  }
  return found;
}
