/** A user, as the server knows them. */
export interface User {
  id: string;
  name: string;
  guest?: boolean;
}

/** Where something is kept in the browser: as long as the page, over a reload, or until its data is deleted. */
export type Where = 'page' | 'tab' | 'browser' | KeepsText;

/** What of a `Storage` is used. */
export interface KeepsText {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Options {
  /** Who comes in, as a guest. */
  name?: string;
  /** Who comes in; a function is asked before each connection, and again when its token was not taken. */
  token?: string | (() => string | Promise<string>);
  /** Where a guest's token is kept, with which the same guest comes back. By default the page. */
  guest?: Where;
  /** Where messages are kept that are not sent yet. By default the page; all else needs a `name`. */
  outbox?: Where;
  /** Messages that may wait in a room's outbox; 1,000 by default. */
  outboxLimit?: number;
  /** One connection for all tabs, where the browser can. An address is that of `worker.js`, if it is not beside the client. */
  shared?: boolean | string | URL;
  /** An implementation of WebSocket, where there is none. */
  WebSocket?: unknown;
}

export type State = 'connecting' | 'open' | 'waiting' | 'offline' | 'closed';

export type Status =
  | { state: 'connecting'; attempt: number }
  | { state: 'open' }
  /** `until`: milliseconds since the epoch; `code`: how the connection ended. */
  | { state: 'waiting'; until: number; code: number }
  | { state: 'offline' }
  | {
      state: 'closed';
      why: 'left' | 'ended' | 'fault' | 'credential' | 'banned' | 'refused';
      code: number;
      message: string | null;
    };

/** What the server says, or a command to it. */
export interface Message {
  type: string;
  [field: string]: any;
}

export interface Hello extends Message {
  type: 'hello';
  session: string;
  user: User;
  token?: string;
  heartbeat_ms: number;
  limits: { message_bytes: number; rooms: number; in_flight: number };
}

/** One numbered entry of a room's log. */
export interface RoomEvent extends Message {
  type: 'message' | 'edit' | 'delete' | 'react' | 'member' | 'room';
  room: string;
  seq: number;
  /** RFC 3339, UTC, with milliseconds. */
  at: string;
  from: User;
  text?: string;
  data?: any;
  key?: string;
  reply_to?: number;
}

/** The reply to *subscribe*. */
export interface Subscribed extends Message {
  room: string;
  epoch: string;
  head: number;
  next: number;
  role: string;
  presence: { count: number; users: User[] };
  gap?: { from: number; to: number };
}

export interface Presence extends Message {
  type: 'presence';
  room: string;
  joined: User[];
  left: User[];
  count: number;
  /** `joined` are all who are present. */
  reset?: boolean;
}

/** A stored message's place. */
export interface Stored {
  seq: number;
  at: string;
  key: string;
  /** It was stored before, under the same key. */
  duplicate?: true;
}

/** The text, any JSON, or both; `reply_to` is the `seq` of another message. */
export interface Content {
  text?: string;
  data?: unknown;
  reply_to?: number;
}

export interface Unsent {
  key: string;
  content: Content;
  /** When it was written, by this machine's clock. */
  at: string;
  /** `stored`: the server has it at `seq`, and its event is due. */
  state: 'waiting' | 'sent' | 'stored';
  seq: number | null;
}

/** A code of the protocol, or one of the client's: `connection_lost`, `closed`, `outbox_full`, `uncertain`, `no_websocket`. */
export class MadangError extends Error {
  code: string;
  field: string | null;
  limit: number | null;
  retryAfterMs: number | null;
}

export interface YardEvents {
  /** The connection is open: for the first time, or again. */
  open: Event & { data: Hello };
  /** Whatever the server says that is no reply, of all rooms. */
  message: Event & { data: Message };
  /** An open connection ended; `state` tells what comes next. */
  close: Event & { code: number; reason: string };
  error: Event & { error: MadangError };
  state: Event & { data: Status };
}

export interface RoomEvents {
  /** Subscribed: for the first time, or again, where it went on (`resumed`). */
  open: Event & { data: Subscribed; resumed: boolean };
  message: Event & { data: RoomEvent };
  edit: Event & { data: RoomEvent };
  delete: Event & { data: RoomEvent };
  react: Event & { data: RoomEvent };
  member: Event & { data: RoomEvent };
  room: Event & { data: RoomEvent };
  /** Every numbered event, of whatever type, in order. */
  event: Event & { data: RoomEvent };
  /** These events are no longer kept, and will not come. */
  gap: Event & { from: number; to: number };
  /** The log is another than before, as after a restore: what came from it is void. */
  reset: Event & { epoch: string; head: number };
  presence: Event & { data: Presence };
  typing: Event & { data: Message };
  signal: Event & { data: Message };
  read: Event & { data: Message };
  /** `room.outbox` changed. */
  outbox: Event;
  /** A message was not taken, for good; its promise is rejected with the same error. */
  failed: Event & { data: Unsent; error: MadangError };
  /** The room cannot be entered, or the outbox cannot be kept. */
  error: Event & { error: unknown };
}

type Handlers<Events> = { [Type in keyof Events & string as `on${Type}`]: ((event: Events[Type]) => void) | null };

interface Target<Events> {
  addEventListener<Type extends keyof Events & string>(
    type: Type, listener: (event: Events[Type]) => void, options?: boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal }): void;
  removeEventListener<Type extends keyof Events & string>(
    type: Type, listener: (event: Events[Type]) => void, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: Event): boolean;
}

export interface Room extends Target<RoomEvents>, Handlers<RoomEvents> {
  readonly name: string;
  readonly state: 'joining' | 'open' | 'refused' | 'left';
  /** Where to go on another time: `yard.room(name, place)`. `null` before the first subscription. */
  readonly place: { since: number; epoch: string } | null;
  /** What was written here and does not show in the room yet, oldest first. */
  readonly outbox: readonly Unsent[];
  /**
   * Sends a message, now or when there is a connection, in order and once; resolves when it is stored. A
   * `key` of one's own (1–64 characters) makes the same message of two calls one.
   */
  send(message: string | (Content & { key?: string })): Promise<Stored>;
  /** That one writes here, to the others; lost while there is no connection. */
  typing(on?: boolean): void;
  /** Any JSON to all others who are here, stored nowhere; lost while there is no connection. */
  signal(data: unknown): void;
  /** Sets my read mark, by default to the last event that came. */
  read(seq?: number): Promise<Message>;
  /** A page of the log, oldest first: the latest, or before or after a place. */
  history(page?: { before?: number; after?: number; limit?: number }): Promise<Message & { events: RoomEvent[]; more: boolean }>;
  /** Who is here now. */
  who(): Promise<Message & { count: number; users: (User & { sessions: number; since: string })[] }>;
  /** Asks again, after `refused`. */
  join(): void;
  /** No more events come; what was written before is still sent. */
  leave(): void;
}

export interface Yard extends Target<YardEvents>, Handlers<YardEvents> {
  readonly state: State;
  readonly status: Status;
  /** As whom the server knows us; `null` before the first `open`. */
  readonly user: User | null;
  /** Whether the connection is one for all tabs. */
  readonly isShared: boolean;
  /**
   * Enters a room; a name that was entered already gives the same object. Its events come from now
   * on, from the last `last` of them on, or all after `since` (in the log's life `epoch`).
   */
  room(name: string, start?: { last?: number; since?: number; epoch?: string }): Room;
  /**
   * Any command of the protocol; waits for the connection and gives the `ok`. With `retry` it is sent again after a
   * break or when told to come later: for what does no harm when it is done twice.
   */
  request(command: Message, options?: { retry?: boolean }): Promise<Message>;
  rooms(): Promise<any[]>;
  /** Now, whatever is waited for; also after `closed`, but not after `close()`. */
  connect(): void;
  /** For good. Promises of what is unsent are rejected with `closed`; what is kept is sent by the next to open the room. */
  close(): void;
}

/** Connects to the server at this address, such as `https://example.com`, and stays connected. */
export function madang(url: string | URL, options: Options): Yard;
