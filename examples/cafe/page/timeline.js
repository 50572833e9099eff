/**
 * A run, drawn: a row for the customer and one for each order, over the seconds since it began. It is drawn anew for
 * each frame, from the run's values alone.
 */
import { element } from '/assets/dom.js';
import { nameOf, signOf } from './menu.js';

/** Ways are compared by length, so both are drawn for at least this long: the whole menu, one after the other. */
const SPAN_MS = 7000;
/** Seconds between two marks of the axis. */
const STEPS = [1, 2, 5, 10, 30, 60, 300, 600];
const MARKS_AT_MOST = 8;

/** How much time both timelines show. @param {(import('./run.js').Run|null)[]} runs */
export function spanOf(runs) {
  return Math.max(SPAN_MS, ...runs.map((run) => (run ? (run.until - run.startedAt) * 1.08 : 0)));
}

export class Timeline {
  #text;
  #axis;
  #rows;
  #cancel;
  #me;
  /** @type {Map<import('./run.js').Order, Row>} */
  #drawn = new Map();

  /**
   * @param {HTMLElement} root
   * @param {ReturnType<import('./words.js').words>} text
   * @param {{ me: string, cancel: (order: import('./run.js').Order) => void }} options `me`: what the customer does meanwhile
   */
  constructor(root, text, { me, cancel }) {
    this.#text = text;
    this.#cancel = cancel;
    this.#axis = /** @type {HTMLElement} */ (root.querySelector('.axis'));
    this.#rows = /** @type {HTMLElement} */ (root.querySelector('.rows'));
    this.#me = new Row('🙂', text.t('me'));
    this.#me.node.classList.add('me');
    this.#me.words.textContent = me;
  }

  /** @param {import('./run.js').Run} run @param {number} span */
  draw(run, span) {
    if (!this.#drawn.has(run.orders[0])) this.#begin();
    const scale = scaleOf(run.startedAt, span);
    this.#drawAxis(span);
    this.#drawMe(run, scale);
    for (const order of run.orders) this.#drawOrder(run, order, scale);
  }

  #begin() {
    this.#drawn.clear();
    this.#rows.replaceChildren(this.#me.node);
  }

  /** @param {number} span */
  #drawAxis(span) {
    const step = STEPS.find((one) => span / 1000 / one <= MARKS_AT_MOST) ?? 3600;
    const marks = [];
    for (let s = 0; s * 1000 <= span * 0.97; s += step) marks.push(s);
    if (this.#axis.childElementCount !== marks.length || this.#axis.dataset.step !== String(step)) {
      this.#axis.dataset.step = String(step);
      this.#axis.replaceChildren(...marks.map((s) => element('span', { class: 'mark' }, this.#text.t('seconds', String(s)))));
    }
    marks.forEach((s, n) => {
      /** @type {HTMLElement} */ (this.#axis.children[n]).style.left = `${(s * 100_000) / span}%`;
    });
  }

  /** @param {import('./run.js').Run} run @param {Scale} scale */
  #drawMe(run, scale) {
    const row = this.#me;
    row.bar('busy', scale(run.startedAt), scale(run.until));
    row.marks('cut', run.cuts.map(({ from, to }) => [scale(from), scale(to ?? run.until)]));
    row.marks('ring', run.served.map(({ endedAt }) => [scale(endedAt ?? 0), null]));
  }

  /** @param {import('./run.js').Run} run @param {import('./run.js').Order} order @param {Scale} scale */
  #drawOrder(run, order, scale) {
    const row = this.#drawn.get(order) ?? this.#addRow(order);
    const { wishedAt, askedAt, begunAt, endedAt, state } = order;
    const until = endedAt ?? run.until;
    row.node.dataset.state = state;
    row.bar('wished', scale(wishedAt), scale(askedAt ?? until));
    if (askedAt !== null) row.bar('asked', scale(askedAt), scale(begunAt ?? until));
    if (begunAt !== null) row.bar('making', scale(begunAt), scale(until));
    row.marks('served', state === 'served' ? [[scale(until), null]] : []);
    row.say(this.#wordsOf(order));
    row.button.hidden = endedAt !== null;
  }

  /** @param {import('./run.js').Order} order */
  #addRow(order) {
    const { t } = this.#text;
    const name = nameOf(order.item, t);
    const row = new Row(signOf(order.item), name);
    row.node.dataset.item = order.item;
    row.button.setAttribute('aria-label', t('row.cancel', name));
    row.button.addEventListener('click', () => this.#cancel(order));
    this.#rows.append(row.node);
    this.#drawn.set(order, row);
    return row;
  }

  /** @param {import('./run.js').Order} order */
  #wordsOf({ state, done, code, wishedAt, endedAt }) {
    const { t, seconds } = this.#text;
    if (state === 'served') return seconds((endedAt ?? 0) - wishedAt);
    if (state === 'failed') return failure(code, t);
    if (state === 'making') return done === null ? t('row.making') : t('row.done', Math.round(done * 100));
    return t(`row.${state}`);
  }
}

/** @param {string|null} code @param {(key: any) => string} t */
export function failure(code, t) {
  return t(code === 'sold_out' || code === 'no_such_service' || code === 'unavailable' ? `row.${code}` : 'row.failed');
}

/** @typedef {(at: number) => number} Scale the place of a time, in percent */

/** @param {number} start @param {number} span @returns {Scale} */
function scaleOf(start, span) {
  return (at) => Math.min(100, Math.max(0, ((at - start) * 100) / span));
}

class Row {
  /** @type {Map<string, HTMLElement>} */
  #bars = new Map();

  /** @param {string} sign @param {string} name */
  constructor(sign, name) {
    this.track = element('span', { class: 'track', 'aria-hidden': 'true' });
    this.words = element('span', { class: 'words' });
    this.button = /** @type {HTMLButtonElement} */ (element('button', { class: 'row-cancel', type: 'button', hidden: true }, '×'));
    const label = element('span', { class: 'label' }, element('span', { class: 'sign', 'aria-hidden': 'true' }, sign), ` ${name}`);
    this.node = element('li', { class: 'row' }, label, this.track, this.words, this.button);
  }

  /** @param {string} text */
  say(text) {
    if (this.words.textContent !== text) this.words.textContent = text;
  }

  /** @param {string} kind @param {number} from @param {number} to in percent of the track */
  bar(kind, from, to) {
    let bar = this.#bars.get(kind);
    if (!bar) {
      bar = element('span', { class: `bar ${kind}` });
      this.track.append(bar);
      this.#bars.set(kind, bar);
    }
    bar.style.left = `${from}%`;
    bar.style.width = `${to - from}%`;
  }

  /** As many as there are: points, or spans. @param {string} kind @param {[number, number|null][]} places */
  marks(kind, places) {
    const there = this.track.querySelectorAll(`.${kind}`);
    for (const surplus of [...there].slice(places.length)) surplus.remove();
    places.forEach(([from, to], n) => {
      const mark = /** @type {HTMLElement} */ (there[n] ?? this.track.appendChild(element('span', { class: kind })));
      mark.style.left = `${from}%`;
      if (to !== null) mark.style.width = `${to - from}%`;
    });
  }
}
