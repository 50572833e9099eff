//! What the server says: one closed enum, and the one way out.

use serde::Serialize;

use crate::call::{CallId, CallRequest, Failure, Ticket};
use crate::error::{self, Error};
use crate::event::{Data, Event, Seq};
use crate::id::{RequestId, SessionId};
use crate::names::{RoomName, ServiceName};
use crate::presence::{Change, Snapshot, Who};
use crate::user::is_false;
use crate::{Timestamp, User};

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The first message of every session.
    Hello(Hello),
    /// The answer to `ping`.
    Pong {
        /// The ping's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// A command was done.
    Ok {
        /// The command's id.
        id: RequestId,
        /// What came of it.
        #[serde(flatten)]
        reply: Reply,
    },
    /// The room that a session was opened for is subscribed.
    Subscribed(Subscription),
    /// Who came into a room and who left it.
    Presence {
        /// The room.
        room: RoomName,
        /// What changed.
        #[serde(flatten)]
        change: Change,
        /// Whether what the session knew before is void: those in `joined` are all who are
        /// present. For a session that was behind and missed changes.
        #[serde(skip_serializing_if = "is_false")]
        reset: bool,
    },
    /// Someone types in a room, or does no more.
    Typing {
        /// The room.
        room: RoomName,
        /// Who.
        user: User,
        /// Which of the two.
        on: bool,
    },
    /// What someone tells those who are in a room now.
    Signal {
        /// The room.
        room: RoomName,
        /// Who.
        user: User,
        /// What.
        data: Data,
    },
    /// Events of a room that cannot be had any more.
    Gap {
        /// The room.
        room: RoomName,
        /// Which events.
        #[serde(flatten)]
        range: Range,
    },
    /// A call is stored, and this is what its answer can be had with.
    Ticket {
        /// The id of the command.
        id: RequestId,
        /// The ticket.
        ticket: Ticket,
    },
    /// How far a call is.
    Progress {
        /// The id of the command that waits for it.
        id: RequestId,
        /// What the service tells of it.
        data: Data,
    },
    /// To a service: a call to answer.
    Request(CallRequest),
    /// To a service: a call's answer is wanted no more.
    Cancelled {
        /// Which.
        call: CallId,
    },
    /// A call has no result.
    #[serde(rename = "error")]
    Failed {
        /// The id of the command that waits for it, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        /// The call.
        ticket: Ticket,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// A command was refused.
    #[serde(untagged, serialize_with = "error::serialize_reply")]
    Error {
        /// The command's id, as far as it could be read.
        id: Option<RequestId>,
        /// Why.
        error: Error,
    },
    /// An entry of a room's log.
    #[serde(untagged)]
    Event(Event),
}

impl ServerMessage {
    /// The message as the JSON text that goes on the wire.
    #[expect(
        clippy::expect_used,
        reason = "serde_json fails only on maps whose keys are no strings, and there are none"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a message is always JSON")
    }
}

/// What a session learns first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: u32,
    /// The session's id.
    pub session: SessionId,
    /// Who the client is taken for.
    pub user: User,
    /// For guests: what lets them come back as the same user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How often the server pings, in milliseconds.
    pub heartbeat_ms: u64,
    /// What a session may do at most.
    pub limits: Limits,
}

/// What a session may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The size of a message, in bytes.
    pub message_bytes: u64,
    /// The number of rooms subscribed to at a time.
    pub rooms: u64,
    /// The number of commands at work at a time.
    pub in_flight: u64,
}

/// What came of a command that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To `subscribe`.
    Subscribed(Subscription),
    /// To `unsubscribe`.
    Unsubscribed {
        /// The room.
        room: RoomName,
    },
    /// To `send`: the message is stored.
    Sent {
        /// The room.
        room: RoomName,
        /// Its place in the room's log.
        seq: Seq,
        /// When it was stored.
        at: Timestamp,
        /// Whether it had been stored before, under the same key.
        #[serde(skip_serializing_if = "is_false")]
        duplicate: bool,
    },
    /// To `history`.
    History {
        /// The room.
        room: RoomName,
        /// The events, oldest first.
        events: Vec<Event>,
        /// Whether there are more in the direction asked for.
        more: bool,
    },
    /// To `typing` and `signal`: those who are not behind get it.
    Passed {
        /// The room.
        room: RoomName,
    },
    /// To `who`.
    Who {
        /// The room.
        room: RoomName,
        /// Who is there.
        #[serde(flatten)]
        who: Who,
    },
    /// To `call` and `collect`: the service's answer.
    Answered {
        /// The call.
        ticket: Ticket,
        /// What came of it.
        result: Data,
    },
    /// To `cancel`.
    Cancelled {
        /// The call.
        ticket: Ticket,
        /// Whether it is; not if it was answered before.
        cancelled: bool,
    },
    /// To `serve`.
    Serving {
        /// The service.
        service: ServiceName,
        /// Calls at a time.
        concurrency: u32,
        /// Calls of a session before that are still wanted, and are this session's now.
        resumed: Vec<CallId>,
    },
    /// To `unserve`.
    Unserved {
        /// The service.
        service: ServiceName,
    },
    /// To `respond`: the answer is stored.
    Responded {
        /// The call.
        call: CallId,
    },
}

/// A session's place in a room's log, as it is told to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// The room.
    pub room: RoomName,
    /// Names the log; another epoch means that its numbers began anew.
    pub epoch: String,
    /// The last event of the log.
    pub head: Seq,
    /// The event that comes next.
    pub next: Seq,
    /// What the user may do in the room.
    pub role: Role,
    /// Who is there.
    pub presence: Snapshot,
    /// Events asked for that cannot be had any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Range>,
    /// Whether the log is not the one that the client knew.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
}

/// What a user may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To read and to write.
    Member,
}

/// Events from one number to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first.
    pub from: Seq,
    /// The last.
    pub to: Seq,
}

#[cfg(test)]
mod tests;
