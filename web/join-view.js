/** The way in: a name and a room. */
import { byId } from './dom.js';
import { isRoomName, isUserName } from './wire.js';

/** @typedef {'name'|'room'} Field */

export class JoinView {
  #t;
  #name = /** @type {HTMLInputElement} */ (byId('name'));
  #room = /** @type {HTMLInputElement} */ (byId('room'));

  /** @param {import('./i18n.js').Words} words @param {{ join(name: string, room: string): void }} on */
  constructor({ t }, on) {
    this.#t = t;
    byId('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = this.#name.value.trim().normalize('NFC');
      const room = this.#room.value.trim().normalize('NFC');
      this.#clear();
      if (!isRoomName(room)) this.#fault('room', t('join.room.rule'));
      if (!isUserName(name)) this.#fault('name', t('join.name.rule'));
      if (isUserName(name) && isRoomName(room)) on.join(name, room);
    });
    for (const input of [this.#name, this.#room]) input.addEventListener('input', () => this.#clear());
  }

  /**
   * @param {{ name: string, room: string }} values
   * @param {{ field: Field|null, message: string }|null} fault why one is here again
   */
  show({ name, room }, fault) {
    this.#name.value = name;
    this.#room.value = room;
    this.#clear();
    byId('join').hidden = false;
    (name === '' ? this.#name : this.#room).focus();
    if (fault?.field) this.#fault(fault.field, fault.message);
    else if (fault) {
      byId('join-notice').textContent = fault.message;
      byId('join-notice').hidden = false;
    }
    document.title = this.#t('brand');
  }

  hide() {
    byId('join').hidden = true;
  }

  /** @param {Field} field @param {string} message */
  #fault(field, message) {
    const input = { name: this.#name, room: this.#room }[field];
    byId(`${field}-error`).textContent = message;
    input.setAttribute('aria-invalid', 'true');
    input.focus();
  }

  #clear() {
    byId('join-notice').hidden = true;
    for (const input of [this.#name, this.#room]) {
      input.removeAttribute('aria-invalid');
      byId(`${input.id}-error`).textContent = '';
    }
  }
}
