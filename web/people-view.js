/** Who is here: beside the talk where there is room, and in a drawer on a phone. */
import { avatar, byId, dressAvatar, element, fillWords } from './dom.js';
import { listed } from './people.js';

const wide = matchMedia('(min-width: 860px)');

export class PeopleView {
  #words;
  #drawer = /** @type {HTMLDialogElement} */ (byId('drawer'));
  #opener = byId('open-drawer');

  /** @param {import('./i18n.js').Words} words @param {{ leave(): void }} on */
  constructor(words, on) {
    this.#words = words;
    const template = /** @type {HTMLTemplateElement} */ (byId('panel-template'));
    const panel = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    fillWords(panel, words.t);

    const place = () => {
      this.#drawer.close();
      (wide.matches ? byId('side') : this.#drawer).append(panel);
    };
    place();
    wide.addEventListener('change', place);

    this.#opener.addEventListener('click', () => this.#drawer.showModal());
    panel.querySelector('.panel-close')?.addEventListener('click', () => this.#drawer.close());
    // The panel fills the dialog, so what is hit on the dialog itself is the backdrop.
    this.#drawer.addEventListener('click', (event) => event.target === this.#drawer && this.#drawer.close());
    byId('leave').addEventListener('click', () => {
      this.#drawer.close();
      on.leave();
    });
  }

  /** @param {import('./people.js').People} people @param {import('./wire.js').User|null} me */
  render(people, me) {
    const { t, language } = this.#words;
    const users = listed(people, me?.id ?? null, language);
    const items = users.map((user) => element(
      'li',
      { class: 'person' },
      avatar(user),
      element('span', { class: 'person-name', dir: 'auto' }, user.name),
      user.id === me?.id ? element('span', { class: 'you' }, t('people.you')) : null,
    ));
    byId('people').replaceChildren(...items);
    byId('people-count').textContent = String(people.count);
    byId('people-badge').textContent = String(people.count);
    this.#opener.setAttribute('aria-label', t('panel.open', people.count));

    const unnamed = people.count - users.length;
    byId('people-more').hidden = unnamed <= 0;
    byId('people-more').textContent = t('people.more', unnamed);
    if (me) dressAvatar(byId('me-avatar'), me);
    byId('me-name').textContent = me?.name ?? '';
  }

  closeDrawer() {
    this.#drawer.close();
  }
}
