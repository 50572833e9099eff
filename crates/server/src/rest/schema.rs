//! The shapes of bodies, for the OpenAPI document; some are also what is written.

use ::rooms::{RoomName, ServiceName, Timestamp};
use calls::{Served, WorkerId};
use serde::Serialize;
use store::{RoomKind, RoomSummary, SessionRow, UserRow};
use utoipa::{
    Modify, ToSchema,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// Says what the token is.
pub(super) struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A guest's token, from `hello`; or the admin token, from the data folder.",
            ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// A page of rooms.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    /// Whether there are more.
    more: bool,
}

/// A room.
#[derive(Serialize, ToSchema)]
pub(super) struct Room {
    #[schema(value_type = String, example = "lobby")]
    room: RoomName,
    /// `open`: anyone may come in.
    kind: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Number of the last event; 0 when there is none.
    head: u64,
    /// When the last event was stored.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// Sessions subscribed now.
    sessions: u64,
}

impl From<RoomSummary> for Room {
    fn from(room: RoomSummary) -> Self {
        let kind = match room.kind {
            RoomKind::Open => "open",
        };
        Self {
            room: room.name,
            kind,
            created_at: room.created_at,
            head: room.head,
            last_at: room.last_at,
            sessions: room.sessions,
        }
    }
}

/// A page of a room's log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Messages {
    room: String,
    /// Names the log; another epoch means that its numbers began anew.
    epoch: String,
    /// Number of the last event.
    head: u64,
    events: Vec<Message>,
    /// Whether there are more in the direction asked for.
    more: bool,
}

/// A message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Message {
    #[schema(example = "message")]
    r#type: String,
    room: String,
    /// Its place in the room's log: 1, 2, 3 … without a hole.
    seq: u64,
    #[schema(format = DateTime)]
    at: String,
    from: User,
    text: Option<String>,
    /// Any JSON, as it was sent.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    key: Option<String>,
    /// The message that it answers.
    reply_to: Option<u64>,
}

/// A user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct User {
    #[schema(example = "u_01K")]
    id: String,
    #[schema(example = "강호동")]
    name: String,
    /// Whether they came in by a name alone; absent if not.
    guest: Option<bool>,
}

/// What to say: `text`, `data` or both.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct NewMessage {
    #[schema(example = "안녕하세요")]
    text: Option<String>,
    /// Any JSON.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// Makes a retry safe; 1–64 characters, best ordered by time (UUIDv7, ULID).
    key: Option<String>,
    /// The message that it answers.
    reply_to: Option<u64>,
    /// Who says it, where guests are allowed and there is no token.
    name: Option<String>,
}

/// Where a message is stored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Stored {
    room: String,
    seq: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Whether it was stored before, under the same key; absent if not.
    duplicate: Option<bool>,
}

/// Who is in a room.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Presence {
    room: String,
    count: u64,
    /// With more than 200, some of them.
    users: Vec<Occupant>,
}

/// Someone in a room.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Occupant {
    id: String,
    name: String,
    guest: Option<bool>,
    /// How many of the user's sessions are in the room; 0 just after a connection broke.
    sessions: u64,
    #[schema(format = DateTime)]
    since: String,
}

/// A call that is answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    #[schema(value_type = String)]
    pub(super) ticket: ::rooms::Ticket,
    /// `done`.
    pub(super) state: &'static str,
    /// What the service answers: any JSON.
    #[schema(value_type = serde_json::Value)]
    pub(super) result: ::rooms::Data,
}

/// A call that is not answered yet.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Open {
    #[schema(example = "t_01JDBX7Q2M5T0V6K3N8Y4R1ZHC")]
    ticket: String,
    /// `open`.
    state: String,
}

/// A call that is answered, with an error.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Failed {
    #[schema(example = "error")]
    r#type: String,
    ticket: String,
    /// For a program: `timeout`, `cancelled`, `unavailable`, or the service's own.
    code: String,
    /// For a person.
    message: String,
}

/// Whether a call is cancelled.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Cancelled {
    ticket: String,
    /// `false` if it was answered before.
    cancelled: bool,
}

/// A page of sessions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Sessions {
    sessions: Vec<Session>,
    /// Whether there are more.
    more: bool,
}

/// Who serves what.
#[derive(Serialize, ToSchema)]
pub(super) struct Services {
    pub(super) services: Vec<Service>,
}

/// A name that is served, or was until just now.
#[derive(Serialize, ToSchema)]
pub(super) struct Service {
    #[schema(value_type = String)]
    service: ServiceName,
    /// Calls that are not answered.
    open: usize,
    /// Those of them that nobody has begun.
    waiting: usize,
    workers: Vec<Worker>,
}

/// Someone who serves a name: a session, an HTTP address or a function of the program.
#[derive(Serialize, ToSchema)]
pub(super) struct Worker {
    /// The session's id, if it is one.
    #[schema(value_type = Option<String>)]
    session: Option<::rooms::SessionId>,
    /// The user's id.
    #[schema(value_type = String)]
    user: ::rooms::UserId,
    /// Calls that it takes at a time.
    concurrency: usize,
    /// Calls that it has at work.
    at_work: usize,
    /// Whether a call that it did not answer may be handed out again.
    repeatable: bool,
    /// Whether it takes no more calls.
    leaving: bool,
}

impl Service {
    /// `session` tells the session that a worker is, if it is one.
    pub(super) fn new(
        served: Served,
        session: impl Fn(WorkerId) -> Option<::rooms::SessionId>,
    ) -> Self {
        let workers = served.workers.into_iter().map(|serving| Worker {
            session: session(serving.worker),
            user: serving.user,
            concurrency: serving.concurrency,
            at_work: serving.held,
            repeatable: serving.repeatable,
            leaving: serving.leaving,
        });
        Self {
            service: served.service,
            open: served.open,
            waiting: served.waiting,
            workers: workers.collect(),
        }
    }
}

/// A session: one client socket.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    #[schema(value_type = String)]
    session: ::rooms::SessionId,
    #[schema(value_type = User)]
    user: ::rooms::User,
    /// Where it connected from.
    address: String,
    user_agent: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    connected_at: Timestamp,
    /// `open` or `closed`.
    state: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// The close code of RFC 6455 §7.4; 1005 without one, 1006 where the connection was lost.
    close_code: Option<u16>,
    close_reason: Option<String>,
    /// Rooms it is subscribed to, or was at its end.
    #[schema(value_type = Vec<String>)]
    rooms: Vec<RoomName>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            session: row.session,
            user: row.user,
            address: row.address,
            user_agent: row.user_agent,
            connected_at: row.connected_at,
            state: if row.closed.is_some() {
                "closed"
            } else {
                "open"
            },
            closed_at: row.closed.as_ref().map(|closed| closed.at),
            close_code: row.closed.as_ref().map(|closed| closed.code),
            close_reason: row.closed.map(|closed| closed.reason),
            rooms: row.rooms,
        }
    }
}

/// Why a session is closed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Removal {
    #[schema(example = "spam")]
    reason: Option<String>,
}

/// A user, and when they were last seen.
#[derive(Serialize, ToSchema)]
pub(super) struct Seen {
    #[serde(flatten)]
    #[schema(inline, value_type = User)]
    user: ::rooms::User,
    /// Since when they are known.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When a session of theirs last opened or closed.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    /// Whether they have an open session now.
    online: bool,
    /// How many.
    sessions: u64,
}

impl From<UserRow> for Seen {
    fn from(row: UserRow) -> Self {
        Self {
            user: row.user,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            online: row.sessions > 0,
            sessions: row.sessions,
        }
    }
}

/// Why a request was refused.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) struct Error {
    #[schema(example = "error")]
    r#type: String,
    /// For a program: `bad_field`, `no_such_room`, `unauthorized` …
    code: String,
    /// For a person.
    message: String,
    /// The field or parameter that was wrong.
    field: Option<String>,
    /// The limit that was passed.
    limit: Option<u64>,
    /// When another try is worth while.
    retry_after_ms: Option<u64>,
}
