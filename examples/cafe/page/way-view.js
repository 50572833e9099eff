/** One of the two ways on the screen: its button, its timeline, and what it came to. */
import { element, fillWords } from '/assets/dom.js';
import { nameOf, signOf } from './menu.js';
import { Timeline } from './timeline.js';

export class WayView {
  #text;
  #timeline;
  #find;

  /**
   * @param {'sync'|'async'} name
   * @param {HTMLTemplateElement} template
   * @param {ReturnType<import('./words.js').words>} text
   * @param {{ run: () => void, cancel: (order: import('./run.js').Order) => void }} on
   */
  constructor(name, template, text, on) {
    const { t } = text;
    this.#text = text;
    this.node = /** @type {HTMLElement} */ (/** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild);
    this.#find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (this.node.querySelector(selector));
    fillWords(this.node, t);
    this.node.id = name;
    this.node.setAttribute('aria-label', t(`way.${name}`));
    this.#find('.way-title').textContent = t(`way.${name}`);
    this.#find('.way-term').textContent = t(`way.${name}.term`);
    this.#find('.way-text').textContent = t(`way.${name}.text`);
    this.#find('.rows-empty').textContent = t(`way.${name}.empty`);
    this.#find('.way-run').setAttribute('aria-label', `${t('run.one')}: ${t(`way.${name}`)}`);
    this.#find('.way-run').addEventListener('click', on.run);
    this.#timeline = new Timeline(this.node, text, { me: t(`way.${name}.me`), cancel: on.cancel });
  }

  /** @param {import('./run.js').Run} run @param {number} span of both timelines, in ms */
  draw(run, span) {
    const { t, seconds } = this.#text;
    const { isOver, served } = run;
    this.node.dataset.state = isOver ? 'over' : 'running';
    this.#find('.way-run').setAttribute('aria-disabled', String(!isOver));
    this.#find('.rows-empty').hidden = true;
    this.#timeline.draw(run, span);
    this.#find('.total-all').textContent = seconds(run.until - run.startedAt);
    this.#find('.total-waited').textContent = served.length > 0 ? seconds(run.waited) : '–';
    const order = this.#find('.total-order');
    if (order.childElementCount === served.length && served.length > 0) return;
    order.replaceChildren(...served.map(({ item }) => element('span', { class: 'came' }, `${signOf(item)} ${nameOf(item, t)}`)));
  }
}
