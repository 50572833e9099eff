/** The state of the connection in words. */
import { byId } from './dom.js';

/** @typedef {import('./connection.js').State} State */

/** @param {State} state @param {import('./i18n.js').Translate} t */
export function stateWords(state, t) {
  switch (state.kind) {
    case 'idle':
      return '';
    case 'connecting':
      return t(state.attempt === 0 ? 'state.connecting' : 'state.reconnecting');
    case 'open':
      return t('state.open');
    case 'offline':
      return t('state.offline');
    case 'waiting':
      if (state.code === 1012) return t('state.restarting');
      if (state.code === 1013) return t('state.overloaded');
      return t(state.code === 4009 ? 'state.tooFast' : 'state.reconnecting');
    case 'stopped':
      if (state.why === 'banned') return t('state.banned');
      if (state.why === 'refused' || state.why === 'credential') return t('state.refused');
      return state.why === 'fault' ? t('state.fault', state.code) : t('state.ended');
  }
}

export class StateView {
  #t;
  /** @type {State} */
  #state = { kind: 'idle' };
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #ticking;

  /** @param {import('./i18n.js').Words} words @param {{ reconnect(): void }} on */
  constructor({ t }, on) {
    this.#t = t;
    byId('reconnect').addEventListener('click', on.reconnect);
  }

  /** @param {State} state */
  render(state) {
    this.#state = state;
    byId('chat').dataset.state = state.kind;
    const words = stateWords(state, this.#t);
    // The same words again would be read out again.
    if (byId('state-words').textContent !== words) byId('state-words').textContent = words;
    const mayConnect = state.kind === 'waiting' || state.kind === 'offline'
      || (state.kind === 'stopped' && (state.why === 'ended' || state.why === 'fault'));
    byId('reconnect').hidden = !mayConnect;
    byId('composer-hint').hidden = state.kind === 'open' || state.kind === 'connecting' || state.kind === 'stopped';

    clearInterval(this.#ticking);
    if (state.kind === 'waiting') this.#ticking = setInterval(() => this.#countDown(), 1000);
    this.#countDown();
  }

  /** Kept out of the status region: nobody wants every second read out. */
  #countDown() {
    const seconds = this.#state.kind === 'waiting' ? Math.ceil((this.#state.until - Date.now()) / 1000) : 0;
    byId('state-countdown').textContent = seconds > 1 ? this.#t('state.in', seconds) : '';
  }
}
