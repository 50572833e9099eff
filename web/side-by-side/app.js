/**
 * The page `/side-by-side`: asks the server for a demonstration and draws it as it goes.
 *
 *   app ─ lines   what the server tells, an object a line
 *    ├─── lane    one way: its counters and what goes over its wire
 *    └─── words   Korean and English
 *
 * The server's side, which tells what the objects are, is `crates/server/src/lab`.
 */
import { byId, fillWords } from '../assets/dom.js';
import { Lane } from './lane.js';
import { lines } from './lines.js';
import { words } from './words.js';

const text = words(navigator.languages);
const lanes = {
  http: new Lane(byId('http'), text),
  websocket: new Lane(byId('websocket'), text),
};
const form = /** @type {HTMLFormElement} */ (byId('plan'));
const button = /** @type {HTMLButtonElement} */ (byId('run'));

document.documentElement.lang = text.language;
fillWords(document, /** @type {any} */ (text.t));
document.title = `${text.t('title')} · ${text.t('brand')}`;
form.addEventListener('submit', (event) => {
  event.preventDefault();
  run();
});
form.addEventListener('change', allow);
allow();

/** A single message is not waited for, so nothing is asked for again and again. */
function allow() {
  const once = new FormData(form).get('task') === 'once';
  for (const select of form.querySelectorAll('select')) select.disabled = once;
}

async function run() {
  const chosen = new FormData(form);
  const plan = {
    task: chosen.get('task'),
    poll_ms: Number(chosen.get('poll_ms') ?? 1000),
    connection: chosen.get('connection') ?? 'kept',
  };
  button.disabled = true;
  for (const lane of Object.values(lanes)) lane.clear();
  byId('verdict').textContent = '';
  say('state.starting');
  try {
    const answer = await fetch('side-by-side/run', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(plan),
    });
    if (!answer.ok) return say(answer.status === 503 ? 'state.busy' : 'state.failed');
    let ended = false;
    for await (const told of lines(/** @type {ReadableStream<Uint8Array>} */ (answer.body))) {
      ended = told.type === 'end';
      draw(told);
    }
    say(ended ? 'state.done' : 'state.failed');
    if (ended) byId('verdict').textContent = text.t('verdict', lanes.http.totals, lanes.websocket.totals);
  } catch {
    say('state.failed');
  } finally {
    button.disabled = false;
  }
}

/** @param {any} told */
function draw(told) {
  if (told.type === 'plan') {
    say('state.running');
    for (const lane of Object.values(lanes)) lane.begin(told.lines);
  }
  const lane = told.way && lanes[/** @type {keyof typeof lanes} */ (told.way)];
  if (lane) lane.tell(told);
}

/** @param {import('./words.js').Key} key */
function say(key) {
  byId('state').textContent = text.t(key);
  document.documentElement.dataset.state = key;
}
