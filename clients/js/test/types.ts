/** Uses the whole API as TypeScript sees it; `types.test.mjs` has it checked. */
import { madang, MadangError, type Handlers, type RoomEvent, type Stored, type Yard } from 'madang';

const yard: Yard = madang(new URL('https://example.com'), {
  name: '강호동', guest: 'browser', outbox: 'tab', outboxLimit: 10, shared: true, WebSocket: class {},
});
madang('https://example.com', { token: async () => 't', shared: '/worker.js', outbox: new Map() as never });

yard.onopen = ({ data }) => console.log(data.user.name, data.limits.message_bytes);
yard.onmessage = ({ data }) => console.log(data.type);
yard.onclose = ({ code, reason }) => console.log(code.toFixed(), reason.length);
yard.onerror = ({ error }) => console.log(error.code, error.retryAfterMs);
yard.addEventListener('state', ({ data }) => {
  if (data.state === 'waiting') console.log(data.until - Date.now());
  if (data.state === 'closed') console.log(data.why, data.message);
});
yard.addEventListener('open', () => {}, { once: true });

const room = yard.room('lobby', { last: 50 });
room.onmessage = ({ data }) => {
  const event: RoomEvent = data;
  console.log(event.seq, event.from.name, event.text);
};
room.onopen = ({ data, resumed }) => console.log(data.presence.count, resumed);
room.ongap = ({ from, to }) => console.log(to - from);
room.onpresence = ({ data }) => console.log(data.joined.map(({ name }) => name));
room.onfailed = ({ data, error }) => console.log(data.content.text, error.code);
room.onoutbox = null;

const stored: Promise<Stored> = room.send('안녕');
await room.send({ text: '안녕', data: { a: [1] }, reply_to: 1, key: 'k' });
room.typing();
room.signal({ x: 1 });
await room.read();
const { events, more } = await room.history({ before: 10, limit: 20 });
const { users } = await room.who();
console.log((await stored).seq, events.at(0)?.text, more, users[0].sessions, room.outbox[0].state, room.place?.since);
await yard.request({ type: 'ping' }, { retry: true }).catch((error: unknown) => error instanceof MadangError && error.code);
room.leave();

const { ready } = await yard.call<{ ready: string }>('cafe', 'order', { item: 'coffee' }, {
  signal: new AbortController().signal, timeout: 5000, key: 'k', onticket: (ticket) => ticket.length, onprogress: ({ step }) => console.log(step),
});
console.log(ready.length, await yard.call('cafe', 'menu'), await yard.collect('t_1', { onprogress: console.log }));
const kitchen: Handlers = {
  order: async ({ item }, { from, signal, progress, again, timeoutMs, call }) => {
    signal.throwIfAborted();
    progress({ item, for: from.name, again, timeoutMs, call });
    return item;
  },
  menu: () => ['coffee'],
};
const serving = await yard.serve('cafe', kitchen, { concurrency: 4, repeatable: true });
await yard.serve('echo', (method, params, { from }) => ({ method, params, from }));
serving.onopen = ({ data }) => console.log(data.resumed.length, data.concurrency);
serving.onfailed = ({ error, method }) => console.log(error, method);
serving.addEventListener('error', ({ error }) => console.log(error.code));
console.log(serving.name, serving.state === 'open', serving.unanswered);
await serving.stop();

yard.connect();
yard.close();

// @ts-expect-error what an event does not have
room.onmessage = ({ from }) => console.log(from);
// @ts-expect-error there is no such state
console.log(yard.state === 'opened');
// @ts-expect-error a message has a text, data or both
room.send(1);
// @ts-expect-error a service handles its calls
yard.serve('cafe', { order: 'coffee' });
// @ts-expect-error who is it?
madang('https://example.com');
