/**
 * The message list: keeps the elements in step with the rows, and the reader's place
 * where it is. At the bottom it follows the talk; anywhere else nothing moves.
 */
import { element } from './dom.js';
import { fillRow } from './message-row.js';

/** Within this many pixels of the bottom, the reader is at the bottom. */
const BOTTOM_PX = 48;
/** Within this many pixels of the top, older messages are wanted. */
const TOP_PX = 400;

export class MessagesView {
  #log;
  #list;
  #words;
  #actions;
  /** @type {Map<string, { li: HTMLElement, row: import('./timeline.js').Row }>} */
  #shown = new Map();
  /** Whether the list follows the talk; kept from the last scroll, as a change of height moves the bottom away. */
  #follows = true;

  /**
   * @param {{ log: HTMLElement, list: HTMLElement }} elements
   * @param {import('./i18n.js').Words} words
   * @param {import('./message-row.js').Actions & { scrolled(): void }} actions
   */
  constructor({ log, list }, words, actions) {
    this.#log = log;
    this.#list = list;
    this.#words = words;
    this.#actions = actions;
    log.addEventListener('scroll', () => {
      this.#follows = log.scrollHeight - log.scrollTop - log.clientHeight <= BOTTOM_PX;
      actions.scrolled();
    }, { passive: true });
    // The on-screen keyboard, a growing composer, a turned phone.
    new ResizeObserver(() => this.#follows && this.#jumpDown()).observe(log);
  }

  get isAtBottom() {
    return this.#follows;
  }

  get wantsOlder() {
    return this.#log.scrollTop <= TOP_PX;
  }

  clear() {
    this.#shown.clear();
    this.#list.replaceChildren();
    this.#follows = true;
  }

  toBottom() {
    this.#follows = true;
    this.#jumpDown();
  }

  /** @param {readonly import('./timeline.js').Row[]} rows */
  render(rows) {
    const anchor = this.#follows ? null : this.#firstVisible();
    const wasAt = anchor?.getBoundingClientRect().top ?? 0;
    const isFirst = this.#shown.size === 0;
    const lastShown = [...this.#shown.keys()].at(-1);
    // The first load is not news to be read out.
    this.#log.setAttribute('aria-busy', String(isFirst));

    const ids = new Set(rows.map((row) => row.id));
    for (const [id, { li }] of this.#shown) if (!ids.has(id)) li.remove();

    /** @type {Map<string, { li: HTMLElement, row: import('./timeline.js').Row }>} */
    const next = new Map();
    let afterLast = false;
    let place = this.#list.firstElementChild;
    for (const row of rows) {
      const known = this.#shown.get(row.id);
      const li = known?.li ?? element('li');
      if (!known && afterLast) li.classList.add('fresh');
      if (!known || !isSame(known.row, row)) fillRow(li, row, this.#words, this.#actions);
      if (place === li) place = li.nextElementSibling;
      else this.#list.insertBefore(li, place);
      next.set(row.id, { li, row });
      if (row.id === lastShown) afterLast = true;
    }
    this.#shown = next;

    this.#log.setAttribute('aria-busy', 'false');
    if (this.#follows) this.#jumpDown();
    else if (anchor?.isConnected) this.#log.scrollTop += anchor.getBoundingClientRect().top - wasAt;
  }

  #jumpDown() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** @returns {Element|null} */
  #firstVisible() {
    const top = this.#log.getBoundingClientRect().top;
    for (const li of this.#list.children) if (li.getBoundingClientRect().bottom > top) return li;
    return null;
  }
}

/** Rows are made anew each time, of parts that stay the same while nothing changed. @param {any} a @param {any} b */
function isSame(a, b) {
  const names = Object.keys(b);
  return names.length === Object.keys(a).length && names.every((name) => a[name] === b[name]);
}
