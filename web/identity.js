/**
 * Who we say we are: a guest's name, and the token that the server gave to that name
 * here before, so that the same guest comes back as the same user.
 */
export class Identity {
  #memory;

  /** @param {string} name @param {import('./memory.js').Memory} memory */
  constructor(name, memory) {
    this.name = name;
    this.#memory = memory;
  }

  get #key() {
    return `token.${this.name}`;
  }

  /** What goes into the query of the WebSocket's address. @returns {URLSearchParams} */
  credential() {
    const token = this.#memory.get(this.#key);
    return new URLSearchParams(token === null ? { name: this.name } : { token });
  }

  /** @param {string|undefined} token as `hello` brought it */
  accepted(token) {
    if (token) this.#memory.set(this.#key, token);
  }

  /** The token is no longer good: the next attempt goes by name. */
  forget() {
    this.#memory.remove(this.#key);
  }
}
