/**
 * What the page remembers in the browser. Where the browser forbids it (a private
 * window, a full disk), everything works and is forgotten on leaving.
 */

const PREFIX = 'madang.';

export class Memory {
  #area;
  /** @type {Map<string, string>} */
  #here = new Map();

  /** @param {() => Storage} area e.g. `() => localStorage`: naming it may already throw */
  constructor(area) {
    try {
      this.#area = area();
    } catch {
      this.#area = null;
    }
  }

  /** @param {string} key @returns {string|null} */
  get(key) {
    try {
      return this.#area?.getItem(PREFIX + key) ?? this.#here.get(key) ?? null;
    } catch {
      return this.#here.get(key) ?? null;
    }
  }

  /** An empty value is the same as none. @param {string} key @param {string} value */
  set(key, value) {
    if (value === '') return this.remove(key);
    this.#here.set(key, value);
    try {
      this.#area?.setItem(PREFIX + key, value);
    } catch {
      // It stays in #here until the page is left.
    }
  }

  /** @param {string} key */
  remove(key) {
    this.#here.delete(key);
    try {
      this.#area?.removeItem(PREFIX + key);
    } catch {
      // As above.
    }
  }
}
