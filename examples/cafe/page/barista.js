/**
 * The barista's window: a service in a browser. Each order that comes in is a card, and a promise that is kept when the
 * barista presses a button.
 */
import { byId, fillWords } from '/assets/dom.js';
import { madang } from '/madang.js';
import { Card } from './card.js';
import { nameOf } from './menu.js';
import { words } from './words.js';

/** Orders that a person can look over; more wait in the server. */
const CARDS = 24;
const NOTE_MS = 6000;

const text = words();
const { t } = text;
document.documentElement.lang = text.language;
document.title = t('barista.title');
fillWords(document, t);
for (const link of document.querySelectorAll('.languages a')) {
  if (link.getAttribute('hreflang') === text.language) link.setAttribute('aria-current', 'true');
}

/** @type {Set<Card>} */
const cards = new Set();
const yard = madang('/', { name: t('barista.name') });

/** @param {{ item?: unknown }|null} params */
async function order(params, { from, signal, progress }) {
  const item = String(params?.item ?? '?');
  const card = new Card({ item, from, progress }, text);
  cards.add(card);
  byId('cards').append(card.node);
  count();
  signal.addEventListener('abort', () => {
    card.leave();
    note(t('barista.cancelled', nameOf(item, t), from.name));
  });
  try {
    return await card.answer;
  } finally {
    card.node.remove();
    cards.delete(card);
    count();
  }
}

function count() {
  byId('none').hidden = cards.size > 0;
  document.title = cards.size > 0 ? `(${cards.size}) ${t('barista.title')}` : t('barista.title');
}

let hides = 0;
/** @param {string} sentence */
function note(sentence) {
  clearTimeout(hides);
  byId('note').textContent = sentence;
  byId('note').hidden = false;
  hides = setTimeout(() => {
    byId('note').hidden = true;
  }, NOTE_MS);
}

/** @param {'starting'|'open'|'away'|'refused'} state */
function show(state) {
  byId('state').textContent = t(`barista.${state}`);
  byId('state').dataset.state = state === 'open' ? 'open' : 'waiting';
}

yard.onstate = ({ data: { state } }) => state !== 'open' && yard.user && show('away');
setInterval(() => cards.forEach((card) => card.age()), 1000);

addEventListener('pagehide', () => yard.close());
addEventListener('pageshow', (event) => event.persisted && location.reload());

try {
  const serving = await yard.serve('counter', { order }, { concurrency: CARDS });
  serving.onopen = () => show('open');
  serving.onerror = () => show('refused');
  show('open');
} catch {
  show('refused');
}
