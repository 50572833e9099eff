/** The room on the screen: puts the views together and draws them when a chat changes. */
import { byId } from './dom.js';
import { Composer } from './composer.js';
import { MessagesView } from './messages-view.js';
import { PeopleView } from './people-view.js';
import { StateView } from './state-view.js';
import { copy } from './share.js';
import { timeline } from './timeline.js';

const TOAST_MS = 4000;

export class ChatView {
  #words;
  #drafts;
  /** @type {import('./chat.js').Chat|null} */
  #chat = null;
  #messages;
  #people;
  #state;
  #composer;
  /** Messages that arrived while the page was hidden, and while the bottom was out of sight. */
  #unread = 0;
  #below = 0;
  #drawIsDue = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #toast;

  /**
   * @param {import('./i18n.js').Words} words
   * @param {import('./memory.js').Memory} drafts
   * @param {{ leave(): void }} on
   */
  constructor(words, drafts, on) {
    this.#words = words;
    this.#drafts = drafts;
    this.#state = new StateView(words, { reconnect: () => this.#chat?.reconnectNow() });
    this.#people = new PeopleView(words, on);
    this.#messages = new MessagesView({ log: byId('log'), list: byId('rows') }, words, {
      retry: (key) => this.#chat?.retry(key),
      discard: (key) => this.#chat?.discard(key),
      scrolled: () => this.#scrolled(),
    });
    this.#composer = new Composer({ form: byId('composer'), box: byId('draft') }, {
      send: (text) => this.#send(text),
      draft: (text) => this.#chat && drafts.set(`draft.${this.#chat.room}`, text),
    });
    byId('newer').addEventListener('click', () => this.#messages.toBottom());
    byId('copy-link').addEventListener('click', () => this.#copyLink());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      this.#unread = 0;
      this.#title();
    });
  }

  /** @param {import('./chat.js').Chat} chat */
  show(chat) {
    this.#chat = chat;
    this.#unread = this.#below = 0;
    this.#messages.clear();
    byId('chat').hidden = false;
    this.#composer.start(this.#drafts.get(`draft.${chat.room}`) ?? '');
    this.#title();
    this.#draw();
  }

  hide() {
    this.#chat = null;
    this.#people.closeDrawer();
    byId('chat').hidden = true;
  }

  /** @param {import('../clients/js/madang/connection.js').Status} status */
  stateChanged(status) {
    this.#state.render(status);
  }

  /** Another person's message arrived. */
  news() {
    if (document.hidden) this.#unread += 1;
    if (!this.#messages.isAtBottom) this.#below += 1;
    this.#title();
  }

  /** A burst of changes is drawn once. A hidden page gets no frames, so it is left to a timer there. */
  changed() {
    if (this.#drawIsDue) return;
    this.#drawIsDue = true;
    const draw = () => {
      this.#drawIsDue = false;
      this.#draw();
    };
    if (document.hidden) setTimeout(draw, 100);
    else requestAnimationFrame(draw);
  }

  #draw() {
    const chat = this.#chat;
    if (!chat) return;
    if (this.#messages.isAtBottom) chat.letGoOfOld();
    const { log, outbox, me } = chat;
    const rows = timeline(log, outbox, me, this.#words.day);
    this.#messages.render(rows);
    this.#people.render(chat.people, me);
    byId('room-title').textContent = chat.room;
    this.#start(chat);
    this.#newer();
    // A first screen that is not full has nothing to scroll for more.
    this.#scrolled();
  }

  /** What stands above the first message. @param {import('./chat.js').Chat} chat */
  #start({ log, room, loadsOlder }) {
    const { t } = this.#words;
    byId('log-start').hidden = log.epoch === null;
    byId('log-start').textContent = loadsOlder ? t('log.older') : log.hasOlder ? '' : t('log.start', room);
  }

  #newer() {
    if (this.#messages.isAtBottom) this.#below = 0;
    byId('newer').hidden = this.#messages.isAtBottom;
    byId('newer').textContent = this.#words.t('log.newer', this.#below);
    byId('newer').classList.toggle('has-news', this.#below > 0);
  }

  #scrolled() {
    this.#newer();
    if (this.#messages.wantsOlder) this.#chat?.loadOlder();
  }

  /** @param {string} text */
  #send(text) {
    this.#chat?.write(text);
    this.#messages.toBottom();
  }

  #title() {
    if (!this.#chat) return;
    const unread = this.#unread > 0 ? `(${this.#unread}) ` : '';
    document.title = `${unread}${this.#chat.room} · ${this.#words.t('brand')}`;
  }

  async #copyLink() {
    const { t } = this.#words;
    const copied = await copy(location.href);
    byId('toast').textContent = t(copied ? 'link.copied' : 'link.failed');
    clearTimeout(this.#toast);
    this.#toast = setTimeout(() => {
      byId('toast').textContent = '';
    }, TOAST_MS);
  }
}
