/**
 * The calls that were made here and are not answered yet. Each has a key, and a ticket once the server has
 * stored it, so that it goes on after a break: with the same key, or by its ticket.
 *
 * | state                | after a break it is                                   | leaves for             |
 * |----------------------|-------------------------------------------------------|------------------------|
 * | without a ticket     | called again with the same key                        | with a ticket, answered |
 * | with a ticket        | collected                                             | answered               |
 * | unwanted (aborted)   | let go; it is cancelled when its ticket comes         | answered               |
 *
 * @typedef {import('./connection.js').Message} Message
 * @typedef {import('./error.js').Fault} Fault
 *
 * @typedef {object} Ear what the caller hears
 * @property {AbortSignal} [signal]
 * @property {(ticket: string) => void} [onticket]
 * @property {(data: unknown) => void} [onprogress]
 *
 * @typedef {object} Call
 * @property {Message|null} command `null`: it was made earlier, and is collected
 * @property {string|null} ticket
 * @property {{ as: string, at: number }|null} tried the user as whom it was first sent, and when
 * @property {boolean} isLate a break has passed over it
 * @property {boolean} isUnwanted
 * @property {import('./connection.js').Done} done as it was asked with last
 * @property {ReturnType<typeof setTimeout>} [later] when it is asked again
 * @property {Ear} ear
 * @property {() => void} abort
 * @property {(result: unknown) => void} resolve
 * @property {(error: unknown) => void} reject
 */
import { closed, isPassing, MadangError, passesIn } from './error.js';
import { apart } from './events.js';

/** The server knows the key of a call that was answered for ten minutes, if it was not told otherwise. */
const KEY_LASTS_MS = 9 * 60_000;
/** A service may be slower in coming back than its callers: the server waits as long for it. */
const SERVICE_RETURNS_WITHIN_MS = 15_000;

export class Calls {
  #on;
  /** @type {Set<Call>} */
  #calls = new Set();
  /** @type {string|null} the user as whom the connection is open */
  #as = null;
  #openedAt = 0;
  #wasOpen = false;

  /**
   * @param {object} on
   * @param {import('./connection.js').Connection['ask']} on.ask
   * @param {import('./connection.js').Connection['withdraw']} on.withdraw
   * @param {(command: Message, options: { retry: boolean }) => Promise<Message>} on.request
   */
  constructor(on) {
    this.#on = on;
  }

  /** @param {Message} command with a key @param {Ear} ear @returns {Promise<unknown>} its result */
  call(command, ear) {
    return this.#add(command, null, ear);
  }

  /** @param {string} ticket of a call that was made earlier @param {Ear} ear @returns {Promise<unknown>} its result */
  collect(ticket, ear) {
    return this.#add(null, ticket, ear);
  }

  /** @param {{ user: { id: string } }} hello */
  opened({ user }) {
    this.#as = user.id;
    this.#openedAt = Date.now();
    this.#wasOpen = true;
    for (const call of this.#calls) this.#ask(call);
  }

  interrupted() {
    this.#as = null;
    for (const call of this.#calls) {
      clearTimeout(call.later);
      call.later = undefined;
      call.isLate = true;
      // To call again what nobody wants would begin it anew, if it had not come through.
      if (call.isUnwanted) this.#calls.delete(call);
    }
  }

  /** Nothing opens the connection again by itself. */
  closed() {
    for (const call of this.#calls) this.#end(call, () => call.reject(new MadangError(closed())));
  }

  /** @param {Message|null} command @param {string|null} ticket @param {Ear} ear */
  #add(command, ticket, ear) {
    return new Promise((resolve, reject) => {
      const { signal } = ear;
      if (signal?.aborted) return reject(signal.reason);
      // Made in a break, it may be faster than its service, too.
      const isLate = this.#as === null && this.#wasOpen;
      const abort = () => this.#abort(call);
      /** @type {Call} */
      const call = { command, ticket, tried: null, isLate, isUnwanted: false, done: () => {}, ear, abort, resolve, reject };
      signal?.addEventListener('abort', abort, { once: true });
      this.#calls.add(call);
      if (this.#as !== null) this.#ask(call);
    });
  }

  /** @param {Call} call */
  #ask(call) {
    const { command, ticket, tried } = call;
    if (!ticket && tried && (tried.as !== this.#as || Date.now() - tried.at > KEY_LASTS_MS)) {
      const message = 'The call was made before, as another user or minutes ago, and neither its ticket nor its answer came.';
      return this.#end(call, () => call.reject(new MadangError({ code: 'uncertain', message })));
    }
    call.done = (error, reply) => {
      if (reply) this.#end(call, () => call.resolve(reply.result));
      else if (error) this.#refused(call, error);
    };
    const asked = ticket ? { type: 'collect', ticket } : /** @type {Message} */ (command);
    this.#on.ask(asked, call.done, (message) => this.#heard(call, message));
  }

  /** @param {Call} call @param {Message} message */
  #heard(call, message) {
    if (!this.#calls.has(call)) return;
    if (message.type === 'sent') {
      if (this.#as !== null) call.tried ??= { as: this.#as, at: Date.now() };
      return;
    }
    if (message.type === 'progress') return call.isUnwanted || apart(call.ear.onprogress, message.data);
    if (call.ticket) return;
    call.ticket = message.ticket;
    if (call.isUnwanted) this.#cancel(call);
    else apart(call.ear.onticket, message.ticket);
  }

  /** @param {Call} call @param {Fault} error */
  #refused(call, error) {
    // After a break, the next hello brings it on its way again.
    if (error.code === 'connection_lost') return;
    if (!this.#mayChange(call, error)) return this.#end(call, () => call.reject(new MadangError(error)));
    clearTimeout(call.later);
    call.later = setTimeout(() => {
      call.later = undefined;
      this.#ask(call);
    }, passesIn(error, Math.random()));
  }

  /**
   * Whether asking again may have another answer. Behind the ticket any code may be the service's; what
   * the server itself cannot do now says until when. Of a call that may be stored already, no refusal tells that it is not.
   * @param {Call} call @param {Fault} error
   */
  #mayChange({ ticket, isLate, isUnwanted }, error) {
    if (isUnwanted) return false;
    if (ticket) return error.retry_after_ms !== undefined && isPassing(error);
    if (!isLate) return false;
    return isPassing(error) || (error.code === 'no_such_service' && Date.now() - this.#openedAt < SERVICE_RETURNS_WITHIN_MS);
  }

  /** @param {Call} call */
  #abort(call) {
    call.isUnwanted = true;
    call.reject(call.ear.signal?.reason);
    this.#on.withdraw(call.done);
    if (call.ticket) this.#cancel(call);
    else if (this.#as === null || call.later) this.#end(call, () => {});
  }

  /** @param {Call} call that has its ticket */
  #cancel(call) {
    this.#end(call, () => {});
    // That it was answered or forgotten meanwhile does no harm.
    this.#on.request({ type: 'cancel', ticket: call.ticket }, { retry: true }).catch(() => {});
  }

  /** @param {Call} call @param {() => void} tell */
  #end(call, tell) {
    if (!this.#calls.delete(call)) return;
    clearTimeout(call.later);
    call.ear.signal?.removeEventListener('abort', call.abort);
    tell();
  }
}
