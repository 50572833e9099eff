/**
 * The chat page: where the modules meet. Start reading here.
 *
 *   app ─ join-view            the way in: a name and a room
 *    ├─ chat ─ ../madang.js    one room: the client (clients/js) has the connection and the outbox,
 *    │    └─ log, people       and what came over it is kept here, as values
 *    └─ chat-view              the room on the screen, drawn from those values
 *
 * `wire.js` names what travels; `log`, `people`, `unsettled`, `timeline`, `text` are pure. The address `/?room=lobby` is a room's link.
 */
import { Chat } from './chat.js';
import { ChatView } from './chat-view.js';
import { byId, fillWords } from './dom.js';
import { JoinView } from './join-view.js';
import { Memory } from './memory.js';
import { isRoomName, isUserName } from './wire.js';
import { words } from './i18n.js';

/** Where two people meet who give nothing but their names. */
const FIRST_ROOM = 'lobby';

const text = words(navigator.languages);
const lasting = new Memory(() => localStorage);
const passing = new Memory(() => sessionStorage);
const base = new URL('.', location.href);

/** @type {Chat|null} */
let chat = null;

document.documentElement.lang = text.language;
fillWords(document, text.t);
const joinView = new JoinView(text, {
  join(name, room) {
    history.pushState(null, '', roomLink(room));
    enter(name, room);
  },
});
const chatView = new ChatView(text, lasting, {
  leave() {
    history.pushState(null, '', base);
    goToDoor(null);
  },
});

/** @param {string} name @param {string} room */
function enter(name, room) {
  chat?.close();
  lasting.set('name', name);
  lasting.set('room', room);
  joinView.hide();
  const entered = new Chat({
    name,
    room,
    base,
    memory: passing,
    on: {
      state(status) {
        chatView.stateChanged(status);
        if (status.state !== 'closed') return;
        if (status.why === 'refused') goToDoor({ field: 'name', message: status.message ?? text.t('join.refused') });
        if (status.why === 'credential') goToDoor({ field: null, message: text.t('join.credential') });
      },
      change: () => chatView.changed(),
      news: () => chatView.news(),
      refused: ({ message }) => goToDoor({ field: 'room', message }),
    },
  });
  chat = entered;
  chatView.show(entered);
}

/** @param {{ field: 'name'|'room'|null, message: string }|null} fault */
function goToDoor(fault) {
  chat?.close();
  chat = null;
  chatView.hide();
  joinView.show({ name: lasting.get('name') ?? '', room: linkedRoom() ?? lasting.get('room') ?? FIRST_ROOM }, fault);
}

/** Go where the address says. */
function follow() {
  const name = lasting.get('name') ?? '';
  const room = linkedRoom();
  if (room !== null && isRoomName(room) && isUserName(name)) enter(name, room);
  else goToDoor(null);
}

/** @param {string} room */
function roomLink(room) {
  const link = new URL(base);
  link.searchParams.set('room', room);
  return link;
}

function linkedRoom() {
  return new URL(location.href).searchParams.get('room')?.normalize('NFC') ?? null;
}

/** iOS lays the keyboard over the page; the visible height is told to the style sheet. */
function fitVisibleHeight() {
  const { visualViewport } = window;
  if (!visualViewport || visualViewport.scale !== 1) return;
  byId('chat').style.setProperty('--visible-height', `${visualViewport.height}px`);
  scrollTo(0, 0);
}

addEventListener('popstate', follow);
visualViewport?.addEventListener('resize', fitVisibleHeight);
// Closing is said at once, so that the others see it at once; a page taken out of the back-forward cache comes in again.
addEventListener('pagehide', () => chat?.close());
addEventListener('pageshow', (event) => event.persisted && follow());
follow();
