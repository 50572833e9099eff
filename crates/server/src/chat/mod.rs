//! The chat over WebSocket: sessions come in, commands are carried out, replies go back.

mod admission;
mod calls;
mod commands;
mod handshake;
mod place;
mod visit;

use std::sync::Arc;

use madang::{
    BadHandshake, CloseCode, Closed, Endpoint, Error as SessionError, Handshake, Message, Mount,
    Refusal, Session, Side,
};
use rooms::{Hello, Leave, Limits, SessionId};
use store::{TokenHash, Write};

use self::{
    admission::Admission,
    commands::Order,
    visit::{Beginning, Opening, Visit},
};
use crate::{
    clock::now,
    live::frame,
    reads::{RETRY_MS, overloaded},
    yard::Yard,
};

/// The version of the wire protocol.
const PROTOCOL: u32 = 1;
/// For a session that an admin ended: its client does not come back by itself.
pub(crate) const REMOVED: CloseCode = CloseCode::new(4003);
/// How long a session's end is tried to be stored again, while storage is not available.
const RETRY: std::time::Duration = std::time::Duration::from_millis(RETRY_MS);

/// The endpoint at `/ws` and `/ws/{room}`.
pub(crate) struct Chat {
    yard: Arc<Yard>,
    admission: Arc<Admission>,
}

impl Chat {
    /// The endpoint at its paths.
    pub(crate) fn mount(yard: Arc<Yard>) -> Mount<Self> {
        let settings = yard.config.session_settings();
        let admission = Admission::new(&yard.config.limits);
        Mount::new(Self { yard, admission })
            .at("/ws")
            .at("/ws/{room}")
            .settings(settings)
    }

    fn hello(&self, session: &Session<Visit>, token: Option<String>) -> Hello {
        let limits = &self.yard.config.limits;
        Hello {
            protocol: PROTOCOL,
            session: id(session),
            user: session.data().user.clone(),
            token,
            heartbeat_ms: self.yard.config.times.heartbeat_ms,
            limits: Limits {
                message_bytes: limits.message_bytes as u64,
                rooms: limits.rooms_per_session as u64,
                in_flight: limits.commands_in_flight as u64,
            },
        }
    }
}

impl Endpoint for Chat {
    type Data = Visit;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<Visit, Refusal> {
        self.admit(handshake).await
    }

    /// Registers the session in the database, and greets it only then.
    async fn on_open(&self, session: &Session<Visit>) {
        let visit = session.data();
        // Its turn is over when this ends.
        let Some(beginning) = visit.begin_session() else {
            return;
        };
        let Beginning {
            token,
            opening,
            address,
            user_agent,
            _turn,
        } = *beginning;
        let write = Write::OpenSession {
            session: id(session),
            user: visit.user.clone(),
            new_guest: token.as_deref().map(TokenHash::of),
            address,
            user_agent,
            at: id(session).at(),
        };
        if self.yard.journal.write(write).await.is_err() {
            let reason = overloaded("storage is not available");
            return session.close(CloseCode::OVERLOADED, reason);
        }
        let hello = rooms::ServerMessage::Hello(self.hello(session, token));
        // To a session that has gone already there is nothing to say.
        let _ = session.send(frame(&hello));
        if let Some(Opening { room, start, epoch }) = opening {
            let (order, answered) = Order::opening(session);
            self.subscribe(order, room, start, epoch);
            // What the session says is heard once this is answered; the sender is never used.
            let _ = answered.await;
        }
    }

    async fn on_message(&self, session: &Session<Visit>, message: Message) {
        match message {
            Message::Text(text) => self.command(session, &text),
            Message::Binary(_) => {
                session.close(CloseCode::UNSUPPORTED, "commands are JSON in text messages");
            }
        }
    }

    async fn on_error(&self, session: &Session<Visit>, error: &SessionError) {
        match error {
            SessionError::Panicked(_) | SessionError::Log(_) => {
                tracing::error!(session.id = %session.id(), %error, "a session failed");
            }
            _ => tracing::debug!(session.id = %session.id(), %error, "a session failed"),
        }
        session.data().fail(error);
    }

    /// The session's row and its presence end together, however long storage takes.
    async fn on_close(&self, session: &Session<Visit>, closed: &Closed) {
        let how = match (closed.by, closed.code) {
            // Whoever was removed does not come back, whether the client answers or not.
            (Side::Server, REMOVED) => Leave::Clean,
            // Whoever is asked to come back does.
            (Side::Server, CloseCode::RESTART) => Leave::Broken,
            _ if closed.clean => Leave::Clean,
            _ => Leave::Broken,
        };
        let reason = match session.data().failure() {
            Some(failure) if closed.reason.is_empty() => failure,
            _ if closed.code == CloseCode::ABNORMAL => "the connection was lost".to_owned(),
            _ => closed.reason.clone(),
        };
        self.leave_desk(session);
        let id = id(session);
        let (code, at) = (closed.code.get(), now());
        let mut left = false;
        loop {
            let write = Write::CloseSession {
                session: id,
                at,
                code,
                reason: reason.clone(),
            };
            let (live, visit) = (self.yard.live.clone(), session.clone());
            let leave = !std::mem::replace(&mut left, true);
            let stored = self.yard.journal.write_then(write, move |outcome| {
                // Presence tells the truth even where it cannot be stored.
                if leave {
                    for room in visit.data().leave_all() {
                        live.leave(&room, id, how);
                    }
                }
                outcome.is_ok()
            });
            match stored.await {
                Ok(false) => tokio::time::sleep(RETRY).await,
                // Stored; or the server stops, and the next start closes the row.
                Ok(true) | Err(_) => return,
            }
        }
    }

    fn on_bad_handshake(&self, error: &BadHandshake) -> Refusal {
        handshake::refuse_bad(error)
    }
}

/// The session's id, as the rooms know it.
fn id(session: &Session<Visit>) -> SessionId {
    u128::from(session.id()).into()
}
