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

type EventHandlers<Events> = { [Type in keyof Events & string as `on${Type}`]: ((event: Events[Type]) => void) | null };

interface Target<Events> {
  addEventListener<Type extends keyof Events & string>(
    type: Type, listener: (event: Events[Type]) => void, options?: boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal }): void;
  removeEventListener<Type extends keyof Events & string>(
    type: Type, listener: (event: Events[Type]) => void, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: Event): boolean;
}

export interface Room extends Target<RoomEvents>, EventHandlers<RoomEvents> {
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

/** What a caller may say and hear, beside the question. */
export interface CollectOptions {
  /** Cancels the call; its promise is rejected with the signal's reason at once. */
  signal?: AbortSignal;
  /** What the service says before its answer, while there is a connection. */
  onprogress?: (data: any) => void;
}

export interface CallOptions extends CollectOptions {
  /** The call is stored: from here on its answer can be had by `collect`, whatever breaks. */
  onticket?: (ticket: string) => void;
  /** How long the service may take, in milliseconds from the ticket on; 60,000 by default, an hour at most. */
  timeout?: number;
  /** Makes the same call of two (1–64 characters, of one's own; kept by the server for 10 minutes after the answer). */
  key?: string;
}

/** What a service is told of one call. */
export interface CallContext {
  call: string;
  /** Who asks. */
  from: User;
  /** It was handed out before, to a service that went away. */
  again: boolean;
  /** What was left of the caller's time when it was handed out, in milliseconds. */
  timeoutMs: number;
  /** Aborts when the answer is not wanted any more: cancelled, over its time, or given to another. */
  signal: AbortSignal;
  /** Any JSON for the caller to hear before the answer; lost while there is no connection. */
  progress(data: unknown): void;
}

/**
 * Gives the result, any JSON, or a promise of it. What it throws is the answer, too: an exception with a `code` (1–64 small
 * letters, digits and `_`) is that error, any other one is `failed`, with its message.
 */
export type Handler = (params: any, context: CallContext) => unknown;

/** A function for each method, the object's own; or one for all. */
export type Handlers =
  | { readonly [method: string]: Handler }
  | ((method: string, params: any, context: CallContext) => unknown);

export interface ServeOptions {
  /** Calls at a time, 1–1,024; 1 by default. */
  concurrency?: number;
  /** A call may be done twice: whose service went away with it is given to another. Otherwise it is answered `unavailable`. */
  repeatable?: boolean;
}

export interface ServingEvents {
  /** Served: for the first time, or again; `resumed` are the calls it goes on with. */
  open: Event & { data: Message & { service: string; concurrency: number; resumed: string[] } };
  /** A call was answered `failed`, for this exception. */
  failed: Event & { error: unknown; call: string; method?: string };
  /** It was served before, and may not be again. */
  error: Event & { error: MadangError };
}

/** A service, served here. */
export interface Serving extends Target<ServingEvents>, EventHandlers<ServingEvents> {
  readonly name: string;
  readonly state: 'starting' | 'open' | 'stopping' | 'refused' | 'stopped';
  /** Calls that were handed out and are not known to be answered. */
  readonly unanswered: number;
  /** Takes no more calls; resolves when those handed out are answered. */
  stop(): Promise<void>;
}

export interface Yard extends Target<YardEvents>, EventHandlers<YardEvents> {
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
  /**
   * Asks a service, and gives its result; what it answers with an error is rejected. It waits for the connection and for its turn;
   * after a break it goes on, and is answered once.
   */
  call<Result = any>(service: string, method: string, params?: unknown, options?: CallOptions): Promise<Result>;
  /** The result of an earlier call of the same user, until 10 minutes after its answer; rejected with `no_such_ticket` then. */
  collect<Result = any>(ticket: string, options?: CollectOptions): Promise<Result>;
  /** Serves calls of this name from now on, again after every break; resolves when the server takes it. */
  serve(service: string, handlers: Handlers, options?: ServeOptions): Promise<Serving>;
  /** Now, whatever is waited for; also after `closed`, but not after `close()`. */
  connect(): void;
  /**
   * For good. Promises of what is unsent or unanswered are rejected with `closed`; what is kept is sent by the next to open the
   * room, a call that has its ticket can be collected by the next, and a service is gone with the calls it worked at.
   */
  close(): void;
}

/** Connects to the server at this address, such as `https://example.com`, and stays connected. */
export function madang(url: string | URL, options: Options): Yard;
