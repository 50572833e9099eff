/**
 * What was written here and the log does not show yet, as the timeline draws it: what the client has
 * in its outbox, and what the server did not take. Pure.
 *
 * @typedef {object} Unsettled
 * @property {string} key
 * @property {string} text
 * @property {string} at when it was written, by this machine's clock
 * @property {{ kind: 'waiting'|'sent'|'stored' } | { kind: 'failed', code: string, message: string }} state
 *
 * @typedef {import('../clients/js/madang/outbox.js').Unsent} Unsent
 */

/** The same object for the same one, so that nothing is drawn anew that did not change. @type {WeakMap<Unsent, Unsettled>} */
const known = new WeakMap();

/** @param {Unsent} unsent @returns {Unsettled} */
export function unsettled(unsent) {
  const { key, content, at, state } = unsent;
  const one = known.get(unsent) ?? { key, text: content.text ?? '', at, state: { kind: state } };
  known.set(unsent, one);
  return one;
}

/** @param {Unsent} unsent @param {{ code: string, message: string }} error @returns {Unsettled} */
export const failed = (unsent, { code, message }) => ({ ...unsettled(unsent), state: { kind: 'failed', code, message } });

/** What was not taken survives a reload, until it is sent again or discarded. @param {readonly Unsettled[]} list */
export const toJson = (list) => (list.length > 0 ? JSON.stringify(list) : '');

/** @param {string|null} json @returns {readonly Unsettled[]} */
export function fromJson(json) {
  try {
    const list = JSON.parse(json ?? '[]');
    return list.filter((/** @type {any} */ one) => [one?.key, one?.text, one?.at, one?.state?.kind].every((field) => typeof field === 'string'));
  } catch {
    return [];
  }
}
