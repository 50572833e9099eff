/** What is ordered, and the menu to add to it. */
import { byId, element } from '/assets/dom.js';
import { MENU, nameOf, signOf } from './menu.js';

/** More than fits on a tray is more than anyone wants to watch. */
const AT_MOST = 8;

export class Tray {
  #t;
  #on;
  items = MENU.map(({ item }) => item);

  /** @param {ReturnType<import('./words.js').words>} text @param {{ add: (item: string) => void }} on */
  constructor({ t }, on) {
    this.#t = t;
    this.#on = on;
    byId('menu').append(...MENU.map(({ item, sign, seconds }) =>
      element('button', { class: 'soft-button', type: 'button', click: () => this.#add(item) }, `${sign} `, t('menu.add', t(item), seconds))));
    this.#show();
  }

  /** @param {string} item */
  #add(item) {
    if (this.items.length >= AT_MOST) return;
    this.items.push(item);
    this.#show();
    this.#on.add(item);
  }

  /** @param {number} place */
  #remove(place) {
    this.items.splice(place, 1);
    this.#show();
    // Whoever uses the keyboard stays where they were.
    const buttons = byId('tray').querySelectorAll('button');
    (buttons[Math.min(place, buttons.length - 1)] ?? byId('menu').querySelector('button'))?.focus();
  }

  #show() {
    byId('tray').replaceChildren(...this.items.map((item, place) => {
      const name = nameOf(item, this.#t);
      return element('li', { class: 'tray-item' },
        element('span', {}, `${signOf(item)} ${name}`),
        element('button', { type: 'button', 'aria-label': this.#t('tray.remove', name), click: () => this.#remove(place) }, '×'));
    }));
    byId('tray-empty').hidden = this.items.length > 0;
  }
}
