/** The state of the connection in words. */
import { byId } from './dom.js';

/** @typedef {import('../clients/js/madang/connection.js').Status} Status */

/** @param {Status} status @param {import('./i18n.js').Translate} t */
export function stateWords(status, t) {
  switch (status.state) {
    case 'connecting':
      return t(status.attempt === 0 ? 'state.connecting' : 'state.reconnecting');
    case 'open':
      return t('state.open');
    case 'offline':
      return t('state.offline');
    case 'waiting':
      if (status.code === 1012) return t('state.restarting');
      if (status.code === 1013) return t('state.overloaded');
      return t(status.code === 4009 ? 'state.tooFast' : 'state.reconnecting');
    case 'closed':
      if (status.why === 'banned') return t('state.banned');
      if (status.why === 'refused' || status.why === 'credential') return t('state.refused');
      return status.why === 'fault' ? t('state.fault', status.code) : t('state.ended');
  }
}

export class StateView {
  #t;
  /** @type {Status} */
  #status = { state: 'connecting', attempt: 0 };
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #ticking;

  /** @param {import('./i18n.js').Words} words @param {{ reconnect(): void }} on */
  constructor({ t }, on) {
    this.#t = t;
    byId('reconnect').addEventListener('click', on.reconnect);
  }

  /** @param {Status} status */
  render(status) {
    this.#status = status;
    const { state } = status;
    byId('chat').dataset.state = state;
    const words = stateWords(status, this.#t);
    // The same words again would be read out again.
    if (byId('state-words').textContent !== words) byId('state-words').textContent = words;
    const mayConnect = state === 'waiting' || state === 'offline'
      || (status.state === 'closed' && (status.why === 'ended' || status.why === 'fault'));
    byId('reconnect').hidden = !mayConnect;
    byId('composer-hint').hidden = state === 'open' || state === 'connecting' || state === 'closed';

    clearInterval(this.#ticking);
    if (state === 'waiting') this.#ticking = setInterval(() => this.#countDown(), 1000);
    this.#countDown();
  }

  /** Kept out of the status region: nobody wants every second read out. */
  #countDown() {
    const seconds = this.#status.state === 'waiting' ? Math.ceil((this.#status.until - Date.now()) / 1000) : 0;
    byId('state-countdown').textContent = seconds > 1 ? this.#t('state.in', seconds) : '';
  }
}
