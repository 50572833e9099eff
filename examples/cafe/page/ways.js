/**
 * The whole difference. `place` makes one order and gives a promise that is kept when it is served; a
 * way decides when the next one is placed.
 *
 * @template Order
 * @typedef {(place: (order: Order) => Promise<void>) => (order: Order) => Promise<void>} Way
 */

/** Synchronous: each waits for the one before it. @type {Way<any>} */
export function oneAfterTheOther(place) {
  let last = Promise.resolve();
  return (order) => {
    last = last.then(() => place(order));
    return last;
  };
}

/** Asynchronous: nobody waits for anybody. @type {Way<any>} */
export function withBuzzers(place) {
  return (order) => place(order);
}
