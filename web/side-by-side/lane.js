/** One way on the screen: running counters, and each thing that goes over its wire, to be opened and read. */
import { element } from '../assets/dom.js';

const NO_TOTALS = { connections: 0, up: 0, down: 0, writes: 0, reads: 0, round_trips: 0 };

export class Lane {
  #text;
  #counters;
  #exchanges;
  #values = /** @type {Map<string, HTMLElement>} */ (new Map());
  #lines = /** @type {{ text: string, mine: boolean }[]} */ ([]);
  #delays = /** @type {number[]} */ ([]);
  totals = NO_TOTALS;

  /** @param {HTMLElement} root @param {import('./words.js').Words} text */
  constructor(root, text) {
    this.#text = text;
    this.#counters = /** @type {HTMLElement} */ (root.querySelector('.counters'));
    this.#exchanges = /** @type {HTMLElement} */ (root.querySelector('.exchanges'));
    for (const name of /** @type {const} */ (['up', 'down', 'round_trips', 'connections', 'delay'])) {
      const value = element('dd', { 'data-counter': name });
      this.#values.set(name, value);
      this.#counters.append(element('div', {}, element('dt', {}, text.t(`count.${name}`)), value));
    }
    this.clear();
  }

  clear() {
    this.#exchanges.replaceChildren();
    this.#delays = [];
    this.#count(NO_TOTALS);
  }

  /** @param {{ text: string, mine: boolean }[]} lines */
  begin(lines) {
    this.#lines = lines;
  }

  /** @param {any} told */
  tell(told) {
    if (told.type === 'exchange') {
      this.#exchanges.append(this.#exchange(told));
      this.#count(told.totals);
    } else if (told.type === 'said' && !this.#lines[told.line].mine) {
      this.#note('said', 'note.said', told);
    } else if (told.type === 'known') {
      // What one says oneself is known by an answer either way; what counts is how late one hears the other.
      if (!this.#lines[told.line].mine) {
        this.#delays.push(told.after_ms);
        this.#note('known', 'note.known', told);
      }
      this.#count(this.totals);
    } else if (told.type === 'done') {
      this.#count(told.totals);
    }
  }

  /** @param {string} kind @param {import('./words.js').Key} key @param {any} told */
  #note(kind, key, told) {
    const words = this.#text.t(key, this.#lines[told.line].text, told.after_ms);
    this.#exchanges.append(element('li', { class: `note ${kind}` }, this.#time(told.at_ms), element('span', {}, words)));
  }

  /** @param {typeof NO_TOTALS} totals */
  #count(totals) {
    this.totals = totals;
    const { number, ms } = this.#text;
    const worst = this.#delays.length ? ms(Math.max(...this.#delays)) : '–';
    const shown = { up: number(totals.up), down: number(totals.down), round_trips: number(totals.round_trips), connections: number(totals.connections), delay: worst };
    for (const [name, value] of Object.entries(shown)) /** @type {HTMLElement} */ (this.#values.get(name)).textContent = value;
  }

  /** @param {number} at */
  #time(at) {
    return element('time', {}, `${(at / 1000).toFixed(2)} s`);
  }

  /** @param {any} told */
  #exchange({ at_ms: at, direction, what, part }) {
    const { t } = this.#text;
    const name = element('span', { class: 'name' }, t(/** @type {import('./words.js').Key} */ (`what.${what}`)));
    const arrow = element('span', { class: 'arrow', 'aria-label': t(direction === 'up' ? 'up' : 'down') }, direction === 'up' ? '↑' : '↓');
    if (part.is === 'connected' || part.is === 'closed') {
      return element('li', { class: `exchange ${part.is}` }, this.#time(at), name);
    }
    const isHttp = part.is === 'http';
    const [before, content] = isHttp ? [part.head_bytes, part.body_bytes] : [part.header_bytes, part.payload_bytes];
    const size = element('span', { class: 'size' }, t('bytes', before + content));
    const bar = this.#bar(before, content);
    const split = element('p', { class: 'split' }, t(isHttp ? 'split.http' : 'split.frame', before, content));
    const shown = isHttp ? this.#http(part) : this.#frame(part);
    const summary = element('summary', {}, arrow, this.#time(at), name, size, bar);
    return element('li', { class: `exchange ${direction} ${part.is}`, 'data-what': what, 'data-bytes': String(before + content) }, element('details', {}, summary, split, ...shown));
  }

  /** As long as the bytes are many, the part that is no content darker. @param {number} before @param {number} content */
  #bar(before, content) {
    const piece = (/** @type {string} */ kind, /** @type {number} */ bytes) => {
      const node = element('i', { class: kind });
      node.style.width = `${Math.min(100, (100 * bytes) / 900)}%`;
      return node;
    };
    return element('span', { class: 'bar-bytes', 'aria-hidden': 'true' }, piece('before', before), piece('content', content));
  }

  /** @param {any} part */
  #http({ head, body }) {
    return [element('pre', { class: 'before' }, head), body ? element('pre', { class: 'content' }, body) : null];
  }

  /** @param {any} part */
  #frame({ header, payload }) {
    const fields = header.map((/** @type {any} */ { hex, means }) => element('li', {}, element('code', {}, hex), element('span', {}, this.#meaning(means))));
    return [element('ul', { class: 'fields before' }, ...fields), payload ? element('pre', { class: 'content' }, payload) : null];
  }

  /** @param {any} means */
  #meaning(means) {
    const { t } = this.#text;
    if (means.field === 'kind') return t('field.kind', means.opcode);
    if (means.field === 'mask') return t('field.mask');
    return t(means.masked ? 'field.length.masked' : 'field.length', means.bytes);
  }
}
