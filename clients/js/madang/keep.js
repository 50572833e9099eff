/**
 * What is kept in the browser: a guest's token, unsent messages. Where the browser forbids it (a
 * private window, a full disk), everything works and is forgotten on leaving.
 *
 * | where     | is                | lasts                                                                |
 * |-----------|-------------------|----------------------------------------------------------------------|
 * | `page`    | memory            | as long as the page                                                  |
 * | `tab`     | `sessionStorage`  | over a reload                                                        |
 * | `browser` | `localStorage`    | until the browser's data is deleted                                  |
 * | a storage | `getItem(key)`, `setItem(key, value)`, `removeItem(key)` | as long as it holds it        |
 *
 * @typedef {{ getItem(key: string): string|null, setItem(key: string, value: string): void, removeItem(key: string): void }} Area
 * @typedef {'page'|'tab'|'browser'|Area} Where
 *
 * @typedef {object} Keep where one outbox is kept
 * @property {(found: (list: unknown[]) => void) => void} load may be called back later, and more than once
 * @property {(list: object[], failed: (error: unknown) => void) => void} save
 * @property {() => void} close
 */
import { newKey } from './key.js';

/** @param {Where} where @returns {Area|null} */
export function areaOf(where) {
  if (typeof where === 'object') return where;
  try {
    if (where === 'tab') return globalThis.sessionStorage ?? null;
    if (where === 'browser') return globalThis.localStorage ?? null;
  } catch {
    // Naming it is forbidden already.
  }
  return null;
}

/** One text, such as a token. */
export class KeptText {
  #area;
  #key;
  /** @type {string|null} */
  #here = null;

  /** @param {Where} where @param {string} key */
  constructor(where, key) {
    this.#area = areaOf(where);
    this.#key = key;
  }

  get() {
    try {
      return this.#area?.getItem(this.#key) ?? this.#here;
    } catch {
      return this.#here;
    }
  }

  /** @param {string|null} text `null` takes it away */
  set(text) {
    this.#here = text;
    try {
      if (text === null) this.#area?.removeItem(this.#key);
      else this.#area?.setItem(this.#key, text);
    } catch {
      // It stays here until the page is left.
    }
  }
}

/** @type {Keep} */
const NOWHERE = { load() {}, save() {}, close() {} };

/** @param {Where} where @param {string} key @returns {Keep} */
export function keepAt(where, key) {
  const area = areaOf(where);
  if (!area) return NOWHERE;
  // Without locks nobody can tell whose tab is still there, so each tab keeps its own.
  if (where === 'browser') return globalThis.navigator?.locks ? new KeptForAll(area, key) : keepAt('tab', key);
  return new KeptList(area, key);
}

/** One list, of one owner. Written once for all changes of a moment. */
class KeptList {
  #area;
  #key;
  /** @type {{ list: object[], failed: (error: unknown) => void }|null} */
  #due = null;

  /** @param {Area} area @param {string} key */
  constructor(area, key) {
    this.#area = area;
    this.#key = key;
  }

  /** @param {(list: unknown[]) => void} found */
  load(found) {
    found(listAt(this.#area, this.#key));
  }

  /** @param {object[]} list @param {(error: unknown) => void} failed */
  save(list, failed) {
    if (!this.#due) queueMicrotask(() => this.#write());
    this.#due = { list, failed };
  }

  close() {
    this.#write();
  }

  #write() {
    if (!this.#due) return;
    const { list, failed } = this.#due;
    this.#due = null;
    try {
      if (list.length > 0) this.#area.setItem(this.#key, JSON.stringify(list));
      else this.#area.removeItem(this.#key);
    } catch (error) {
      failed(error);
    }
  }
}

/**
 * A list of each tab, in one storage. A tab holds a lock that has its list's name; whoever gets
 * that lock knows that the tab is gone, and takes its list over. So no message is two tabs' at a time.
 */
class KeptForAll {
  #area;
  #prefix;
  #own;
  #list;
  #leaving = new AbortController();
  /** @type {() => void} */
  #release = () => {};

  /** @param {Area} area @param {string} prefix */
  constructor(area, prefix) {
    this.#area = area;
    this.#prefix = `${prefix} `;
    this.#own = this.#prefix + newKey();
    this.#list = new KeptList(area, this.#own);
    navigator.locks.request(this.#own, () => new Promise((release) => {
      this.#release = () => release(undefined);
      if (this.#leaving.signal.aborted) this.#release();
    }));
  }

  /** @param {(list: unknown[]) => void} found */
  load(found) {
    const keys = Object.keys(this.#area).filter((key) => key.startsWith(this.#prefix) && key !== this.#own);
    for (const key of keys) {
      navigator.locks.request(key, { signal: this.#leaving.signal }, async () => {
        found(listAt(this.#area, key));
        // By now it is written under this tab's name; to be had twice does no harm, to be lost would.
        await null;
        this.#area.removeItem(key);
      }).catch(() => {});
    }
  }

  /** @param {object[]} list @param {(error: unknown) => void} failed */
  save(list, failed) {
    this.#list.save(list, failed);
  }

  close() {
    this.#list.close();
    this.#leaving.abort();
    this.#release();
  }
}

/** @param {Area} area @param {string} key @returns {unknown[]} */
function listAt(area, key) {
  try {
    const list = JSON.parse(area.getItem(key) ?? '[]');
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}
