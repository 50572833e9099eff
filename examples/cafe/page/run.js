/**
 * Orders that are placed in one of the two ways, as values that the timeline is drawn from. Times are those of
 * `performance.now()`.
 *
 * | state       | since       | meaning                                    |
 * |-------------|-------------|--------------------------------------------|
 * | `wished`    | `wishedAt`  | the customer wants it, and has not ordered |
 * | `asked`     | `askedAt`   | ordered                                    |
 * | `making`    | `begunAt`   | being made                                 |
 * | `served`, `cancelled`, `failed` | `endedAt` | over                     |
 *
 * @typedef {object} Order
 * @property {string} item
 * @property {'wished'|'asked'|'making'|'served'|'cancelled'|'failed'} state
 * @property {number} wishedAt
 * @property {number|null} askedAt
 * @property {number|null} begunAt
 * @property {number|null} endedAt
 * @property {number|null} done how much of it is made, from 0 to 1, if that is told
 * @property {string|null} code why it failed
 * @property {AbortController} control
 */
export class Run {
  #ask;
  #ended;
  #place;

  startedAt = performance.now();
  /** @type {Order[]} in the order in which they were wished for */
  orders = [];
  /** @type {Order[]} in the order in which they came out */
  served = [];
  /** While there was no connection. @type {{ from: number, to: number|null }[]} */
  cuts = [];

  /**
   * @param {import('./ways.js').Way<Order>} way
   * @param {(item: string, ear: { signal: AbortSignal, onprogress: (data: any) => void }) => Promise<unknown>} ask
   * @param {(order: Order) => void} ended
   */
  constructor(way, ask, ended) {
    this.#ask = ask;
    this.#ended = ended;
    this.#place = way((order) => this.#order(order));
  }

  get isOver() {
    return this.orders.every(({ endedAt }) => endedAt !== null);
  }

  /** When the last of them was over, or now. */
  get until() {
    return this.isOver ? Math.max(this.startedAt, ...this.orders.map(({ endedAt }) => endedAt ?? 0)) : performance.now();
  }

  /** How long the customer waited for each, all together, in ms. */
  get waited() {
    return this.served.reduce((sum, { wishedAt, endedAt }) => sum + (endedAt ?? wishedAt) - wishedAt, 0);
  }

  /** @param {string} item */
  add(item) {
    /** @type {Order} */
    const order = {
      item,
      state: 'wished',
      wishedAt: performance.now(),
      askedAt: null,
      begunAt: null,
      endedAt: null,
      done: null,
      code: null,
      control: new AbortController(),
    };
    this.orders.push(order);
    this.#place(order);
  }

  /** @param {Order} order */
  cancel(order) {
    order.control.abort();
    if (order.state === 'wished') this.#end(order, 'cancelled');
  }

  /** @param {boolean} isOpen */
  connection(isOpen) {
    const cut = this.cuts.at(-1);
    if (isOpen && cut) cut.to ??= performance.now();
    if (!isOpen && cut?.to !== null) this.cuts.push({ from: performance.now(), to: null });
  }

  /** @param {Order} order */
  async #order(order) {
    const { signal } = order.control;
    if (signal.aborted) return;
    order.state = 'asked';
    order.askedAt = performance.now();
    const onprogress = (/** @type {any} */ data) => {
      if (order.endedAt !== null) return;
      order.state = 'making';
      order.begunAt ??= performance.now();
      order.done = typeof data?.done === 'number' ? data.done : null;
    };
    try {
      await this.#ask(order.item, { signal, onprogress });
      this.#end(order, 'served');
    } catch (error) {
      order.code = /** @type {any} */ (error).code ?? 'failed';
      this.#end(order, signal.aborted ? 'cancelled' : 'failed');
    }
  }

  /** @param {Order} order @param {'served'|'cancelled'|'failed'} state */
  #end(order, state) {
    order.state = state;
    order.endedAt = performance.now();
    if (state === 'served') this.served.push(order);
    this.#ended(order);
  }
}
