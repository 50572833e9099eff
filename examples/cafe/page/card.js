/** An order in front of the barista. */
import { avatar, element } from '/assets/dom.js';
import { nameOf, signOf } from './menu.js';

export class Card {
  #since = performance.now();
  #age = element('span', { class: 'card-age' });
  #t;
  /** @type {(result: unknown) => void} */
  #resolve = () => {};
  /** @type {(error: Error) => void} */
  #reject = () => {};

  /** What the barista decides. @type {Promise<unknown>} */
  answer = new Promise((resolve, reject) => {
    [this.#resolve, this.#reject] = [resolve, reject];
  });

  /**
   * @param {{ item: string, from: { id: string, name: string }, progress: (data: unknown) => void }} order
   * @param {ReturnType<import('./words.js').words>} text
   */
  constructor({ item, from, progress }, { t }) {
    this.#t = t;
    const name = nameOf(item, t);
    const button = (/** @type {string} */ key, /** @type {string} */ looks, /** @type {() => void} */ click) =>
      element('button', { class: `${looks} card-${key}`, type: 'button', click, 'aria-label': `${t(/** @type {any} */ (`barista.${key}`))}: ${t('barista.for', name, from.name)}` }, t(/** @type {any} */ (`barista.${key}`)));
    const state = element('span', { class: 'card-state' }, t('barista.new'));
    const start = button('start', 'main-button', () => {
      progress({ done: null });
      state.textContent = t('barista.making');
      this.node.dataset.state = 'making';
      start.replaceWith(ready);
      ready.focus();
    });
    const ready = button('ready', 'main-button', () => this.#resolve({ item }));
    const soldOut = button('sold_out', 'soft-button', () =>
      this.#reject(Object.assign(new Error(`No more ${item} today.`), { code: 'sold_out' })));
    this.node = element('li', { class: 'card', 'data-item': item, 'data-state': 'new' },
      element('p', { class: 'card-head' }, state, this.#age),
      element('p', { class: 'card-item' }, element('span', { class: 'card-sign', 'aria-hidden': 'true' }, signOf(item)), ` ${name}`),
      element('p', { class: 'card-from' }, avatar(from), element('span', {}, from.name)),
      element('div', { class: 'card-buttons' }, start, soldOut));
    this.age();
  }

  age() {
    this.#age.textContent = this.#t('barista.ago', Math.floor((performance.now() - this.#since) / 1000));
  }

  /** It is not wanted any more. */
  leave() {
    this.#reject(new Error('cancelled'));
  }
}
