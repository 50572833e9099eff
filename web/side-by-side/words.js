/** The words of the page `/side-by-side`, in Korean and in English. */
import { pickLanguage } from '../assets/i18n.js';

/** @typedef {keyof typeof en} Key */
/** @typedef {{ up: number, down: number, round_trips: number }} Totals */

const KINDS = /** @type {Record<number, string>} */ ({ 0: 'continuation', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' });
const all = (/** @type {Totals} */ { up, down }) => up + down;
const grouped = (/** @type {string} */ language) => new Intl.NumberFormat(language).format;
const inEnglish = grouped('en');
const inKorean = grouped('ko');

const en = {
  brand: 'Madang',
  title: 'HTTP and WebSocket, side by side',
  lead: 'The same task, done both ways at the same time with this server. Every byte that you see was really sent, and counted.',
  task: 'What is to be done',
  'task.talk': 'Two people talk: six messages in turn',
  'task.wait': 'Wait for a message that comes after five seconds',
  'task.once': 'Send a single message, and nothing else',
  http: 'The way by HTTP',
  poll: 'asks for news every',
  connection: 'connections',
  'connection.kept': 'one for all requests',
  'connection.new': 'a new one for each',
  run: 'Do it both ways',
  lanes: 'What goes over the wire',
  legend: 'The bars: dark is the envelope (headers), light is what was to be said.',
  'lane.http': 'HTTP',
  'lane.websocket': 'WebSocket',
  'state.starting': 'Starting…',
  'state.running': 'Running…',
  'state.done': 'Done. Open any line to read its bytes.',
  'state.busy': 'Others are looking at it just now. Try again in some seconds.',
  'state.failed': 'It did not work out. Try again.',
  'count.up': 'bytes sent',
  'count.down': 'bytes received',
  'count.round_trips': 'round trips',
  'count.connections': 'connections',
  'count.delay': 'heard after, at worst',
  up: 'sent',
  down: 'received',
  bytes: (/** @type {number} */ n) => `${inEnglish(n)} B`,
  'split.http': (/** @type {number} */ head, /** @type {number} */ body) => `${inEnglish(head)} bytes of headers, ${inEnglish(body)} of content`,
  'split.frame': (/** @type {number} */ head, /** @type {number} */ body) => `${inEnglish(head)} bytes of frame header, ${inEnglish(body)} of content`,
  'what.connect': 'a connection opens (TCP)',
  'what.close': 'the connection ends',
  'what.post': 'POST: a message',
  'what.stored': 'it is stored',
  'what.poll': 'GET: anything new?',
  'what.nothing': 'nothing',
  'what.news': 'yes, this',
  'what.handshake': 'handshake: let us speak WebSocket',
  'what.switching': '101: agreed',
  'what.hello': 'frame: hello, this is who you are',
  'what.subscribed': 'frame: you are in the room',
  'what.send': 'frame: a message',
  'what.ok': 'frame: it is stored',
  'what.event': 'frame: a message in the room',
  'what.presence': 'frame: who came or went',
  'what.goodbye': 'frame: goodbye',
  'what.frame': 'frame',
  'note.said': (/** @type {string} */ text) => `the other says “${text}”`,
  'note.known': (/** @type {string} */ text, /** @type {number} */ ms) => `“${text}” is here after ${Math.round(ms)} ms`,
  'field.kind': (/** @type {number} */ opcode) => `the last frame of its message; its kind: ${KINDS[opcode] ?? opcode}`,
  'field.length': (/** @type {number} */ bytes) => `not masked; ${inEnglish(bytes)} bytes follow`,
  'field.length.masked': (/** @type {number} */ bytes) => `masked; ${inEnglish(bytes)} bytes follow`,
  'field.mask': 'the mask: a browser mixes it into every byte, so that what a page sends never looks like HTTP to something in between',
  verdict: (/** @type {Totals} */ http, /** @type {Totals} */ ws) => {
    const [h, w] = [all(http), all(ws)];
    const compared = h > w ? `HTTP took ${(h / w).toFixed(1)} times the bytes` : `WebSocket took ${(w / h).toFixed(1)} times the bytes`;
    return `${compared} here: ${inEnglish(h)} by HTTP, ${inEnglish(w)} by WebSocket; round trips ${http.round_trips} and ${ws.round_trips}.`;
  },
  'explain.title': 'What you have seen',
  'explain.http.title': 'HTTP is a letter',
  'explain.http': 'Each question is a letter with an envelope: who asks, what for, in which languages, with which program. Each answer has one too. After it, nobody speaks until the next question. A server that has news cannot say so; someone has to ask, and most of the answers are “nothing”. News is heard as late as the next question.',
  'explain.websocket.title': 'A WebSocket is a telephone call',
  'explain.websocket': 'It begins with one letter, the handshake: an HTTP request that asks to go on in another way, and the answer 101. From then on the line stays open, and either side speaks when it has something to say. Nobody asks “anything new?”: whoever has news says it at once.',
  'explain.frame.title': 'A frame',
  'explain.frame': 'What is said travels in frames. A frame’s header is 2 bytes, 4 from 126 bytes of content on, and 4 more from the browser for the mask (10 or 14 beyond 65,535). The envelope of a browser’s request is some hundred bytes.',
  'explain.which.title': 'Which one when',
  'explain.which': 'Ask once and be answered once: HTTP. It is simple, can be cached and repeated, and for a single message it takes fewer bytes, as the third task shows. News that come at any time, two who speak, something that goes on: WebSocket. Its price: a line that stays open, and a client that has to come back when it breaks. Madang offers both for the same rooms.',
  'explain.counted.title': 'What is counted, and what is not',
  'explain.counted': 'A browser does not show a page what it sends. So this server makes the demonstration itself: it starts a small Madang for it and connects to it over TCP, with the headers that the browser Chromium sends, and counts where bytes are written and read. Not counted: the headers of TCP and IP (about 40 bytes a packet), encryption, and cookies, which most requests also carry. Over HTTP/2 repeated headers shrink to some tens of bytes; the questions remain.',
};

/** @type {typeof en} */
const ko = {
  brand: '마당',
  title: 'HTTP와 웹소켓, 나란히',
  lead: '같은 일을 이 서버와 두 가지 방법으로 동시에 해 봐요. 보이는 바이트는 모두 실제로 오간 것이고, 하나하나 센 거예요.',
  task: '무엇을 할까요',
  'task.talk': '두 사람이 번갈아 여섯 마디 하기',
  'task.wait': '5초 뒤에 오는 메시지 기다리기',
  'task.once': '메시지 하나만 보내고 끝내기',
  http: 'HTTP 쪽은',
  poll: '새 소식을 묻는 간격',
  connection: '연결',
  'connection.kept': '하나로 계속',
  'connection.new': '요청마다 새로',
  run: '두 방법으로 해 보기',
  lanes: '오간 것들',
  legend: '막대의 짙은 쪽은 봉투(헤더), 옅은 쪽은 하려던 말이에요.',
  'lane.http': 'HTTP',
  'lane.websocket': '웹소켓',
  'state.starting': '시작하는 중…',
  'state.running': '하는 중…',
  'state.done': '끝났어요. 줄을 누르면 바이트를 볼 수 있어요.',
  'state.busy': '지금 다른 사람이 보고 있어요. 몇 초 뒤에 다시 해 주세요.',
  'state.failed': '잘되지 않았어요. 다시 해 주세요.',
  'count.up': '보낸 바이트',
  'count.down': '받은 바이트',
  'count.round_trips': '왕복',
  'count.connections': '연결',
  'count.delay': '가장 늦게 들은 때',
  up: '보냄',
  down: '받음',
  bytes: (n) => `${inKorean(n)} B`,
  'split.http': (head, body) => `헤더 ${inKorean(head)}바이트, 내용 ${inKorean(body)}바이트`,
  'split.frame': (head, body) => `프레임 머리 ${inKorean(head)}바이트, 내용 ${inKorean(body)}바이트`,
  'what.connect': '연결을 엽니다 (TCP)',
  'what.close': '연결이 끝납니다',
  'what.post': 'POST: 메시지 하나',
  'what.stored': '저장했어요',
  'what.poll': 'GET: 새 소식 있나요?',
  'what.nothing': '없어요',
  'what.news': '네, 이거요',
  'what.handshake': '악수: 웹소켓으로 말할까요?',
  'what.switching': '101: 그러죠',
  'what.hello': '프레임: 안녕, 당신은 이 사람이에요',
  'what.subscribed': '프레임: 방에 들어왔어요',
  'what.send': '프레임: 메시지 하나',
  'what.ok': '프레임: 저장했어요',
  'what.event': '프레임: 방에 온 메시지',
  'what.presence': '프레임: 누가 오고 갔는지',
  'what.goodbye': '프레임: 안녕히',
  'what.frame': '프레임',
  'note.said': (text) => `상대가 말해요: “${text}”`,
  'note.known': (text, ms) => `“${text}” 도착, ${Math.round(ms)}ms 걸림`,
  'field.kind': (opcode) => `메시지의 마지막 프레임, 종류는 ${KINDS[opcode] ?? opcode}`,
  'field.length': (bytes) => `가리지 않음, 뒤에 ${inKorean(bytes)}바이트`,
  'field.length.masked': (bytes) => `가림, 뒤에 ${inKorean(bytes)}바이트`,
  'field.mask': '가리개: 브라우저가 모든 바이트에 섞어서, 페이지가 보낸 것이 중간 장비에 HTTP처럼 보이는 일이 없게 해요',
  verdict: (http, ws) => {
    const [h, w] = [all(http), all(ws)];
    const compared = h > w ? `HTTP가 ${(h / w).toFixed(1)}배의 바이트를 썼어요` : `웹소켓이 ${(w / h).toFixed(1)}배의 바이트를 썼어요`;
    return `이번에는 ${compared}. HTTP ${inKorean(h)}바이트, 웹소켓 ${inKorean(w)}바이트, 왕복은 ${http.round_trips}번과 ${ws.round_trips}번이에요.`;
  },
  'explain.title': '무엇을 보셨나요',
  'explain.http.title': 'HTTP는 편지예요',
  'explain.http': '질문마다 봉투가 붙어요. 누가, 무엇을, 어떤 언어로, 어떤 프로그램으로 묻는지 적혀 있죠. 답장에도 봉투가 있어요. 답장이 오고 나면 다음 질문까지 아무도 말하지 않아요. 서버는 새 소식이 있어도 먼저 말할 수 없어서 누군가 계속 물어야 하고, 답은 대부분 “없어요”예요. 소식은 다음에 물을 때에야 들려요.',
  'explain.websocket.title': '웹소켓은 전화 통화예요',
  'explain.websocket': '편지 한 통, 곧 악수로 시작해요. 다른 방식으로 이어서 말하자는 HTTP 요청이고, 답은 101이에요. 그때부터 전화는 끊기지 않고, 어느 쪽이든 할 말이 있을 때 말해요. 아무도 “새 소식 있나요?” 하고 묻지 않아요. 소식이 생긴 쪽이 바로 말하니까요.',
  'explain.frame.title': '프레임',
  'explain.frame': '말은 프레임에 담겨 가요. 프레임의 머리는 2바이트, 내용이 126바이트부터는 4바이트이고, 브라우저가 보낼 때는 가리개 4바이트가 더해져요(65,535바이트를 넘으면 10바이트나 14바이트). 브라우저가 보내는 요청의 봉투는 수백 바이트예요.',
  'explain.which.title': '언제 무엇을 쓸까요',
  'explain.which': '한 번 묻고 한 번 답을 들으면 되는 일은 HTTP예요. 단순하고, 캐시와 재시도가 쉽고, 메시지 하나만이라면 세 번째 과제처럼 바이트도 더 적어요. 언제 올지 모르는 소식, 주고받는 대화, 계속되는 일은 웹소켓이에요. 대신 연결을 열어 두어야 하고, 끊기면 클라이언트가 다시 와야 해요. 마당은 같은 방을 두 방법 모두로 열어 두었어요.',
  'explain.counted.title': '센 것과 세지 않은 것',
  'explain.counted': '브라우저는 자기가 무엇을 보내는지 페이지에 보여 주지 않아요. 그래서 이 서버가 직접 해요. 작은 마당을 하나 띄우고 TCP로 연결해서, 크로미움 브라우저가 보내는 헤더 그대로 보내며, 바이트를 쓰고 읽는 자리에서 세요. 세지 않은 것은 TCP와 IP의 헤더(패킷마다 40바이트쯤), 암호화, 그리고 요청에 대개 함께 실리는 쿠키예요. HTTP/2에서는 되풀이되는 헤더가 수십 바이트로 줄지만, 질문은 그대로 남아요.',
};

/**
 * @typedef {object} Words
 * @property {'ko'|'en'} language
 * @property {(key: Key, ...values: any[]) => string} t
 * @property {(n: number) => string} number
 * @property {(n: number) => string} ms
 */

/** @param {readonly string[]} languages @returns {Words} */
export function words(languages) {
  const language = pickLanguage(languages);
  const texts = { ko, en }[language];
  const number = grouped(language);
  return {
    language,
    t(key, ...values) {
      const text = texts[key];
      return typeof text === 'function' ? /** @type {(...values: any[]) => string} */ (text)(...values) : text;
    },
    number,
    ms: (n) => `${number(Math.round(n))} ms`,
  };
}
