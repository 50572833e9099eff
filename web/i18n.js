/**
 * The page's own words, in Korean and in English, and dates in the reader's manner.
 * A text may be a function of values; `plural` is English only, Korean has none.
 */

const plural = (/** @type {number} */ n, /** @type {string} */ one, /** @type {string} */ many) => `${n} ${n === 1 ? one : many}`;

/** @typedef {keyof typeof en} Key */

const en = {
  brand: 'Madang',
  'join.lead': 'A yard where people gather and talk.',
  'join.name': 'Your name',
  'join.name.example': 'e.g. Hodong',
  'join.room': 'Room',
  'join.room.example': 'e.g. lobby',
  'join.room.help': 'A room that is not there yet is opened for you.',
  'join.submit': 'Step in',
  'join.sideBySide': 'HTTP and WebSocket, side by side',
  'join.name.rule': 'A name has 1 to 40 characters.',
  'join.room.rule': 'A room’s name has 1 to 64 letters or digits, also - _ and . but no spaces.',
  'join.refused': 'The server did not take this name.',
  'join.credential': 'You were signed out. Please come in again.',
  'state.connecting': 'Connecting…',
  'state.open': 'Connected',
  'state.reconnecting': 'Reconnecting…',
  'state.restarting': 'Server restarting…',
  'state.overloaded': 'Server busy…',
  'state.tooFast': 'Too fast, pausing…',
  'state.offline': 'You are offline',
  'state.ended': 'The connection was ended',
  'state.fault': (/** @type {number} */ code) => `The connection was ended by an error (${code})`,
  'state.banned': 'You were removed from here',
  'state.refused': 'The server does not let you in',
  'state.in': (/** @type {number} */ s) => `in ${s} s`,
  'state.reconnect': 'Connect now',
  'panel.label': 'Room and people',
  'panel.open': (/** @type {number} */ n) => `Show who is here (${n})`,
  'panel.close': 'Close',
  'panel.leave': 'Change room',
  'people.title': 'Here now',
  'people.you': 'you',
  'people.more': (/** @type {number} */ n) => `and ${plural(n, 'other', 'others')}`,
  'link.copy': 'Copy the link to this room',
  'link.copied': 'Link copied',
  'link.failed': 'The browser did not let us copy. The address bar has the link.',
  'log.label': 'Messages',
  'log.start': (/** @type {string} */ room) => `This is where ${room} begins.`,
  'log.older': 'Loading older messages…',
  'log.newer': (/** @type {number} */ n) => (n > 0 ? plural(n, 'new message', 'new messages') : 'To the newest'),
  'log.gap': (/** @type {number} */ from, /** @type {number} */ to) => `Some messages are no longer kept (${from}–${to})`,
  'message.pending': 'Waiting to be sent',
  'message.deleted': 'This message was deleted',
  'message.edited': 'edited',
  'message.retry': 'Send again',
  'message.discard': 'Discard',
  'message.failed': (/** @type {string} */ why) => `Not sent: ${why}`,
  'message.tooLong': 'the message is too long',
  'notice.joined': (/** @type {string} */ name) => `${name} joined the room`,
  'notice.left': (/** @type {string} */ name) => `${name} left the room`,
  'notice.invited': (/** @type {string} */ name) => `${name} was invited`,
  'notice.removed': (/** @type {string} */ name) => `${name} was removed`,
  'notice.role': (/** @type {string} */ name) => `${name} has a new role`,
  'notice.room': 'The room’s settings were changed',
  'notice.title': (/** @type {string} */ title) => `The room is now called “${title}”`,
  'composer.form': 'Write a message',
  'composer.label': 'Message',
  'composer.placeholder': 'Write a message',
  'composer.send': 'Send',
  'composer.hint': 'Keep writing; it is sent when you are back.',
};

/** @type {typeof en} */
const ko = {
  brand: '마당',
  'join.lead': '사람들이 모여 이야기하는 마당이에요.',
  'join.name': '이름',
  'join.name.example': '예: 강호동',
  'join.room': '방',
  'join.room.example': '예: lobby',
  'join.room.help': '없는 방이면 새로 열려요.',
  'join.submit': '들어가기',
  'join.sideBySide': 'HTTP와 웹소켓, 나란히 보기',
  'join.name.rule': '이름은 1자에서 40자까지예요.',
  'join.room.rule': '방 이름은 글자와 숫자, - _ . 로 1자에서 64자까지예요. 띄어쓰기는 안 돼요.',
  'join.refused': '서버가 이 이름을 받지 않았어요.',
  'join.credential': '접속 자격이 끝났어요. 다시 들어와 주세요.',
  'state.connecting': '연결하는 중…',
  'state.open': '연결됨',
  'state.reconnecting': '다시 연결하는 중…',
  'state.restarting': '서버가 다시 시작하는 중…',
  'state.overloaded': '서버가 바빠요…',
  'state.tooFast': '너무 빨라서 쉬는 중…',
  'state.offline': '오프라인이에요',
  'state.ended': '연결이 끝났어요',
  'state.fault': (code) => `오류로 연결이 끝났어요 (${code})`,
  'state.banned': '이곳에서 내보내졌어요',
  'state.refused': '서버가 들여보내지 않았어요',
  'state.in': (s) => `${s}초 뒤`,
  'state.reconnect': '지금 연결',
  'panel.label': '방과 사람들',
  'panel.open': (n) => `지금 있는 사람 보기 (${n}명)`,
  'panel.close': '닫기',
  'panel.leave': '방 바꾸기',
  'people.title': '지금 여기',
  'people.you': '나',
  'people.more': (n) => `그 밖에 ${n}명`,
  'link.copy': '이 방의 링크 복사',
  'link.copied': '링크를 복사했어요',
  'link.failed': '브라우저가 복사를 막았어요. 주소창의 주소를 써 주세요.',
  'log.label': '대화',
  'log.start': (room) => `${room} 방은 여기서 시작해요.`,
  'log.older': '이전 대화를 불러오는 중…',
  'log.newer': (n) => (n > 0 ? `새 메시지 ${n}개` : '맨 아래로'),
  'log.gap': (from, to) => `보관 기간이 지난 메시지가 있어요 (${from}–${to})`,
  'message.pending': '보내기를 기다리는 중',
  'message.deleted': '삭제된 메시지예요',
  'message.edited': '고침',
  'message.retry': '다시 보내기',
  'message.discard': '지우기',
  'message.failed': (why) => `보내지 못했어요: ${why}`,
  'message.tooLong': '메시지가 너무 길어요',
  'notice.joined': (name) => `${name} 님이 방의 식구가 되었어요`,
  'notice.left': (name) => `${name} 님이 방을 떠났어요`,
  'notice.invited': (name) => `${name} 님이 초대되었어요`,
  'notice.removed': (name) => `${name} 님이 내보내졌어요`,
  'notice.role': (name) => `${name} 님의 역할이 바뀌었어요`,
  'notice.room': '방 설정이 바뀌었어요',
  'notice.title': (title) => `방 이름이 ‘${title}’(으)로 바뀌었어요`,
  'composer.form': '메시지 쓰기',
  'composer.label': '메시지',
  'composer.placeholder': '메시지를 입력하세요',
  'composer.send': '보내기',
  'composer.hint': '계속 쓰셔도 돼요. 다시 연결되면 보낼게요.',
};

/** The first of the reader's languages that the page speaks. @param {readonly string[]} languages @returns {'ko'|'en'} */
export function pickLanguage(languages) {
  for (const language of languages) {
    const base = language.toLowerCase().split('-')[0];
    if (base === 'ko' || base === 'en') return base;
  }
  return 'en';
}

/**
 * @typedef {(key: Key, ...values: any[]) => string} Translate
 * @typedef {object} Words
 * @property {'ko'|'en'} language
 * @property {Translate} t
 * @property {(at: number) => string} clock
 * @property {(at: number) => string} day
 * @property {(at: number) => string} full
 */

/** @param {readonly string[]} languages @returns {Words} */
export function words(languages) {
  const language = pickLanguage(languages);
  const texts = { ko, en }[language];
  // The region (en-GB, en-US) decides how a time is written.
  const locale = languages.find((one) => one.toLowerCase().startsWith(language)) ?? language;
  const clock = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'full' });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' });
  return {
    language,
    t(key, ...values) {
      const text = texts[key];
      return typeof text === 'function' ? /** @type {(...values: any[]) => string} */ (text)(...values) : text;
    },
    clock: (at) => clock.format(at),
    day: (at) => day.format(at),
    full: (at) => full.format(at),
  };
}
