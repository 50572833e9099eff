/** Events in the habit of `WebSocket`: `addEventListener('message', …)` or `onmessage = …`. */

export class Emitter extends EventTarget {
  /** @type {Map<string, (event: Event) => void>} */
  #handlers = new Map();

  /** An event with these fields. @param {string} type @param {object} [fields] */
  emit(type, fields = {}) {
    const event = new Event(type);
    for (const [name, value] of Object.entries(fields)) Object.defineProperty(event, name, { value, enumerable: true });
    this.dispatchEvent(event);
  }

  /** @param {string} type */
  handler(type) {
    return this.#handlers.get(type) ?? null;
  }

  /** @param {string} type @param {unknown} handler anything but a function takes it away */
  setHandler(type, handler) {
    const before = this.#handlers.get(type);
    if (before) this.removeEventListener(type, before);
    this.#handlers.delete(type);
    if (typeof handler !== 'function') return;
    const bound = /** @type {(event: Event) => void} */ (handler);
    this.#handlers.set(type, bound);
    this.addEventListener(type, bound);
  }
}

/** Gives a class the attributes `onopen` and so on. @param {{ prototype: object }} of @param {string[]} types */
export function defineHandlers({ prototype }, types) {
  for (const type of types) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      /** @this {Emitter} */
      get() {
        return this.handler(type);
      },
      /** @this {Emitter} */
      set(handler) {
        this.setHandler(type, handler);
      },
    });
  }
}

/**
 * Calls what the application gave. What it throws is told as what a listener throws, and stops nothing here.
 * @template {unknown[]} Values
 * @param {((...values: Values) => unknown)|undefined} callback
 * @param {Values} values
 */
export function apart(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
