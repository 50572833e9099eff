//! The chat domain as values: names, commands, events, presence.
//!
//! Everything that a chat decides without a socket, a disk or a clock is here: what a name may look
//! like ([`RoomName`], [`UserName`]), what a client may ask ([`Command`]), what a room's log
//! holds ([`Event`]), what a service is asked ([`Call`]), what the server says ([`ServerMessage`]), who is in a room
//! ([`Presence`]) and who types there ([`Typing`]). Values go in, values come out; time is an argument.
//!
//! What it is not: it opens no connection, stores nothing and reads no clock. The server
//! drives it, the store keeps its values.
//!
//! Start with [`Command::parse`], which is the way in, and [`ServerMessage`], which is the way out.
//!
//! ```
//! # extern crate madang_rooms as rooms;
//! use rooms::{Command, Request, ServerMessage};
//!
//! let command = Command::parse(r#"{"type":"ping","id":"7"}"#).unwrap();
//! assert_eq!(command.request, Request::Ping);
//! assert_eq!(ServerMessage::Pong { id: command.id }.to_json(), r#"{"type":"pong","id":"7"}"#);
//!
//! let rejected = Command::parse(r#"{"type":"who","id":8,"room":"a b"}"#).unwrap_err();
//! assert_eq!(rejected.error.to_string(), "The field 'room' must not contain the character ' '.");
//! ```

mod call;
mod command;
mod error;
mod event;
mod fields;
mod id;
mod message;
mod names;
mod presence;
mod time;
mod typing;
mod user;

pub use call::{Answer, Call, CallId, CallIdError, CallRequest, Failure, Ticket};
pub use command::{Anchor, Command, Page, Post, Question, Rejected, Request, Serve, Start};
pub use error::{Error, ErrorCode};
pub use event::{Content, Data, Event, EventKind, MAX_SEQ, Seq};
pub use id::{RequestId, SessionId, SessionIdError};
pub use message::{Hello, Limits, Range, Reply, Role, ServerMessage, Subscription};
pub use names::{Key, MethodName, NameError, RoomName, ServiceName, UserId, UserName};
pub use presence::{Change, Leave, Occupant, Presence, PresenceSettings, Snapshot, Who};
pub use time::{Timestamp, TimestampError};
pub use typing::{Typing, TypingChange};
pub use user::User;
