/**
 * The café's page: where the modules meet. Start reading in `ways.js`.
 *
 *   app ─ ways              the two ways, in two functions
 *    ├─ run                 what becomes of the orders of one of them, as values
 *    ├─ way-view ─ timeline those values on the screen
 *    ├─ tray                what is ordered
 *    ├─ curl, code          the same for programs, to copy
 *    └─ words, menu
 *
 * Every Madang server has `/madang.js`, its client. Colours, and what makes elements, are the chat page's (`/assets`).
 */
import { byId, element, fillWords } from '/assets/dom.js';
import { copy } from '/assets/share.js';
import { madang } from '/madang.js';
import { code, curl } from './code.js';
import { nameOf } from './menu.js';
import { Run } from './run.js';
import { failure, spanOf } from './timeline.js';
import { Tray } from './tray.js';
import { WayView } from './way-view.js';
import { oneAfterTheOther, withBuzzers } from './ways.js';
import { words } from './words.js';

/** A barista is in no hurry. */
const BY_HAND_MS = 15 * 60_000;
const CUT_MS = 2000;

const text = words();
const { t } = text;
document.documentElement.lang = text.language;
document.title = t('brand');
fillWords(document, t);
for (const link of document.querySelectorAll('.languages a')) {
  if (link.getAttribute('hreflang') === text.language) link.setAttribute('aria-current', 'true');
}

const yard = madang('/', { name: t('guest', 1 + Math.floor(Math.random() * 99)) });

/** The name of the service that is asked: the kitchen's or the barista's. */
const maker = () => /** @type {HTMLInputElement} */ (document.querySelector('input[name=maker]:checked')).value;

const ways = { sync: oneAfterTheOther, async: withBuzzers };
/** @type {{ sync: Run|null, async: Run|null }} */
const runs = { sync: null, async: null };
/** The service that each of them asks. */
const askedOf = { sync: '', async: '' };
/** @type {{ [name in 'sync'|'async']: WayView }} */
const views = {
  sync: makeView('sync'),
  async: makeView('async'),
};
byId('ways').append(views.sync.node, views.async.node);

const tray = new Tray(text, {
  add(item) {
    // What is wanted in the middle of it comes on top.
    for (const run of running()) run.add(item);
  },
});

/** @param {'sync'|'async'} name */
function makeView(name) {
  const template = /** @type {HTMLTemplateElement} */ (byId('way-template'));
  return new WayView(name, template, text, { run: () => start([name]), cancel: (order) => runs[name]?.cancel(order) });
}

/** @param {('sync'|'async')[]} names */
function start(names) {
  if (tray.items.length === 0 || names.some((name) => runs[name] && !runs[name].isOver)) return;
  byId('notice').hidden = true;
  const service = maker();
  for (const name of names) {
    const run = new Run(
      ways[name],
      (item, ear) => yard.call(service, 'order', { item }, { ...ear, ...(service === 'counter' && { timeout: BY_HAND_MS }) }),
      (order) => ended(name, order),
    );
    runs[name] = run;
    askedOf[name] = service;
    for (const item of tray.items) run.add(item);
  }
  showVerdict();
  requestAnimationFrame(draw);
  // On a phone it would happen out of sight.
  if (byId('ways').getBoundingClientRect().top > innerHeight / 2) byId('ways').scrollIntoView();
}

const running = () => Object.values(runs).filter((run) => run !== null && !run.isOver);

let isDrawing = false;
/** Frame by frame, for as long as something is at work. */
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  const frame = () => {
    const span = spanOf(Object.values(runs));
    for (const name of /** @type {const} */ (['sync', 'async'])) if (runs[name]) views[name].draw(runs[name], span);
    byId('run-both').setAttribute('aria-disabled', String(running().length > 0));
    isDrawing = running().length > 0;
    if (isDrawing) requestAnimationFrame(frame);
  };
  frame();
}

/** @param {'sync'|'async'} name @param {import('./run.js').Order} order */
function ended(name, { item, state, code: why }) {
  const [way, what] = [t(`way.${name}`), nameOf(item, t)];
  if (state === 'served') say(t('heard.served', what, way));
  else say(t('heard.failed', what, way, state === 'cancelled' ? t('row.cancelled') : failure(why, t)));
  if (why === 'no_such_service') {
    const link = element('a', { href: '/barista', target: '_blank' }, t('maker.open'));
    byId('notice').replaceChildren(t('maker.nobody'), link);
    byId('notice').hidden = false;
  }
  showVerdict();
}

/** To those who hear the page. @param {string} sentence */
function say(sentence) {
  byId('heard').append(element('p', {}, sentence));
}

/** Once both ways have served the same things, made by the kitchen: a barista takes the time that it takes. */
function showVerdict() {
  const { sync, async } = runs;
  const items = (/** @type {Run} */ run) => run.served.map(({ item }) => item).toSorted().join();
  const isFair = askedOf.sync === 'cafe' && askedOf.async === 'cafe';
  const isTold = isFair && sync?.isOver && async?.isOver && sync.served.length > 0 && items(sync) === items(async);
  byId('verdict').hidden = !isTold;
  if (!isTold) return;
  const [one, other] = [sync, async].map((run) => run.until - run.startedAt);
  const key = one - other > 300 ? 'verdict.faster' : 'verdict.even';
  byId('verdict').textContent = t(key, text.seconds(one), text.seconds(other), text.seconds(one - other));
}

yard.onstate = ({ data: { state } }) => {
  const isOpen = state === 'open';
  for (const run of running()) run.connection(isOpen);
  const word = isOpen || state === 'closed' ? state : yard.user ? 'broken' : 'connecting';
  byId('state').textContent = t(`state.${word}`);
  byId('state').dataset.state = state;
};
byId('state').textContent = t('state.connecting');

byId('run-both').addEventListener('click', () => start(['sync', 'async']));
byId('cut').addEventListener('click', () => {
  // What the browser tells a page when its network is gone: the client lets go of its connection.
  dispatchEvent(new Event('offline'));
  setTimeout(() => dispatchEvent(new Event('online')), CUT_MS);
});

for (const [id, lines] of Object.entries({ ...code(text.language), ...curl(location.origin, text.language) })) {
  byId(id).textContent = lines;
}
for (const button of document.querySelectorAll('[data-copies]')) {
  button.addEventListener('click', async () => {
    const copied = await copy(byId(button.getAttribute('data-copies') ?? '').textContent ?? '');
    byId('copied').textContent = t(copied ? 'copied' : 'copy.failed');
  });
}

addEventListener('pagehide', () => yard.close());
// A page that comes out of the back-forward cache has no connection.
addEventListener('pageshow', (event) => event.persisted && location.reload());
