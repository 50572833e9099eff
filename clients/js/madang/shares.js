/**
 * The services of all tabs, as their one session has them. The places of a name are those of all the tabs
 * that serve it, and each of its calls is one tab's.
 *
 * @template Tab
 * @typedef {object} Share a tab's in a service
 * @property {Tab} tab
 * @property {number} concurrency
 * @property {boolean} repeatable
 * @property {Set<string>} calls not answered yet
 */
/** @typedef {import('./connection.js').Message} Message */

/** As the protocol has it. */
const MOST_PLACES = 1024;

/** @template Tab */
export class Shares {
  /** By the service. @type {Map<string, Share<Tab>[]>} */
  #shares = new Map();
  /** By the call; those of whoever serves no more are still answered. @type {Map<string, Share<Tab>>} */
  #calls = new Map();

  /** A new session: each tab serves anew, and says which calls it has. */
  clear() {
    this.#shares.clear();
    this.#calls.clear();
  }

  /** A tab serves. @param {Tab} tab @param {Message} command @returns {Message} what to tell the server */
  add(tab, { service, concurrency = 1, repeatable = false, resume }) {
    const shares = this.#of(service);
    const known = shares.find((one) => one.tab === tab);
    if (known) Object.assign(known, { concurrency, repeatable });
    else this.#shares.set(service, [...shares, { tab, concurrency, repeatable, calls: new Set() }]);
    return { ...this.#command(service, this.#of(service)), ...(resume && { resume }) };
  }

  /** A tab wants to serve no more. @param {Tab} tab @param {string} service @returns {Message} what to tell the server */
  without(tab, service) {
    return this.#command(service, this.#of(service).filter((one) => one.tab !== tab));
  }

  /** It does so no more. @param {Tab} tab @param {string} service */
  remove(tab, service) {
    const rest = this.#of(service).filter((one) => one.tab !== tab);
    if (rest.length > 0) this.#shares.set(service, rest);
    else this.#shares.delete(service);
  }

  /** A tab goes on with these calls. @param {Tab} tab @param {string} service @param {string[]} calls */
  resume(tab, service, calls) {
    const share = this.#of(service).find((one) => one.tab === tab);
    for (const call of share ? calls : []) this.#assign(call, /** @type {Share<Tab>} */ (share));
  }

  /** Hands a request to the tab with the most places free. @param {Message} request @returns {Tab|null} `null`: nobody serves it now */
  take({ service, call }) {
    const free = (/** @type {Share<Tab>} */ { concurrency, calls }) => concurrency - calls.size;
    const [share, ...others] = this.#of(service);
    if (!share) return null;
    const most = others.reduce((best, one) => (free(one) > free(best) ? one : best), share);
    this.#assign(call, most);
    return most.tab;
  }

  /** The call needs no answer any more. @param {string} call @returns {Tab|null} who worked at it */
  end(call) {
    const share = this.#calls.get(call);
    this.#calls.delete(call);
    share?.calls.delete(call);
    return share?.tab ?? null;
  }

  /** A tab is gone. @param {Tab} tab @returns {Message[]} what to tell the server */
  leave(tab) {
    /** @type {Message[]} */
    const commands = [];
    for (const [service, shares] of this.#shares) {
      if (!shares.some((one) => one.tab === tab)) continue;
      commands.push(this.without(tab, service));
      this.remove(tab, service);
    }
    for (const [call, share] of this.#calls) {
      if (share.tab !== tab) continue;
      this.end(call);
      commands.push(unavailable(call));
    }
    return commands;
  }

  /** @param {string} service */
  #of(service) {
    return this.#shares.get(service) ?? [];
  }

  /** @param {string} call @param {Share<Tab>} share */
  #assign(call, share) {
    this.#calls.set(call, share);
    share.calls.add(call);
  }

  /** @param {string} service @param {Share<Tab>[]} shares @returns {Message} */
  #command(service, shares) {
    if (shares.length === 0) return { type: 'unserve', service };
    const concurrency = Math.min(MOST_PLACES, shares.reduce((sum, one) => sum + one.concurrency, 0));
    return { type: 'serve', service, concurrency, repeatable: shares.every(({ repeatable }) => repeatable) };
  }
}

/** The answer for who is gone. @param {string} call @returns {Message} */
export function unavailable(call) {
  const message = 'The tab that worked at it was closed; it may have been done or not.';
  return { type: 'respond', call, error: { code: 'unavailable', message } };
}
