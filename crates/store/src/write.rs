//! What can be written, and what comes of it.

use rooms::{
    Answer, Call, CallId, Content, Event, Key, RoomName, Seq, SessionId, Timestamp, User, UserId,
};

use crate::{RoomHead, TokenHash};

/// One thing to write. None of them can fail by itself: a batch fails as a whole, or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// A session opened. Its user is stored, or brought up to date, with it.
    OpenSession {
        /// The session.
        session: SessionId,
        /// Whose it is.
        user: User,
        /// For a guest who is new: what the guest will come back with.
        new_guest: Option<TokenHash>,
        /// Where the client connected from.
        address: String,
        /// What the client called itself.
        user_agent: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A session closed, and its subscriptions with it. Closing one that is not open does nothing.
    CloseSession {
        /// The session.
        session: SessionId,
        /// When.
        at: Timestamp,
        /// The close code of RFC 6455 §7.4; 1006 when there was no closing handshake.
        code: u16,
        /// Why, in words.
        reason: String,
    },
    /// A session wants a room's events. Of a session that is not open nothing is kept, yet it is
    /// answered.
    Subscribe {
        /// The session.
        session: SessionId,
        /// The room.
        room: RoomName,
        /// Whether to make the room when there is none.
        create: bool,
        /// When.
        at: Timestamp,
    },
    /// A session wants them no more. Without a subscription it does nothing.
    Unsubscribe {
        /// The session.
        session: SessionId,
        /// The room.
        room: RoomName,
        /// When.
        at: Timestamp,
    },
    /// A message for a room's log.
    Append {
        /// The room.
        room: RoomName,
        /// Who says it.
        from: User,
        /// The sender's own name for it: within 24 hours it is stored once.
        key: Option<Key>,
        /// What is said.
        content: Content,
        /// When. The event gets this time, or that of the room's last event if it is later.
        at: Timestamp,
    },
    /// A question to a service. One that is there already is not stored twice.
    AcceptCall {
        /// The call.
        call: Call,
        /// The user whose service it is handed to at once, where no other may be given it too.
        given_to: Option<UserId>,
        /// Of calls that were answered before, the keys are free again.
        answered_since: Timestamp,
    },
    /// A call is handed to a service, or waits again. Of a call that has its answer, or is gone,
    /// nothing is written.
    HandCall {
        /// The call.
        call: CallId,
        /// The user whose service has it, where no other may be given it too; `None`: any may.
        to: Option<UserId>,
    },
    /// What came of a call. The first answer counts: of a call that has one, or is gone, nothing is
    /// written.
    AnswerCall {
        /// The call.
        call: CallId,
        /// Its answer.
        answer: Answer,
        /// When. The answer gets this time, or that of the call if it is later.
        at: Timestamp,
    },
}

/// What came of one [`Write`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is written.
    Done,
    /// It is written; so far reaches the room's log.
    Subscribed(RoomHead),
    /// There is no such room; nothing was written.
    NoSuchRoom,
    /// The message is in the log, as this event.
    Appended(Event),
    /// The same message was stored under its key before; nothing was written.
    Duplicate {
        /// Its place in the room's log.
        seq: Seq,
        /// When it was stored.
        at: Timestamp,
    },
    /// Another message, or one in another room, was stored under this key before; nothing was
    /// written.
    Conflict {
        /// The other message's place in its room's log.
        seq: Seq,
    },
    /// The key stands for this earlier call of the same service, method and params, open or answered;
    /// nothing was written.
    SameCall(CallId),
    /// The key stands for this earlier call, which asks something else; nothing was written.
    OtherCall(CallId),
}
