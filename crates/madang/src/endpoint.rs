//! The trait that a program implements to have a WebSocket endpoint.

use std::{future::Future, io};

use axum::response::IntoResponse;
use websocket::{CloseCode, ProtocolError};

use crate::{
    message::{Message, Part},
    request::{BadHandshake, Handshake, Refusal},
    session::Session,
    topic::LogError,
};

/// What happens to the sessions of one kind.
///
/// | callback | when | how often |
/// |---|---|---|
/// | [`on_handshake`](Self::on_handshake) | a client asks for a session | once, before there is one |
/// | [`on_open`](Self::on_open) | the session is open | once, before any message |
/// | [`on_message`](Self::on_message) | a whole message has come | for each, in the order sent |
/// | [`on_part`](Self::on_part) | a piece of a message has come | for each, where pieces are asked for |
/// | [`on_ping`](Self::on_ping), [`on_pong`](Self::on_pong) | the peer has pinged, or answered | for each |
/// | [`on_error`](Self::on_error) | the session ends by a fault | at most once, before `on_close` |
/// | [`on_close`](Self::on_close) | the session has ended | once, last, whatever happened |
///
/// The callbacks of one session never overlap: the next begins when the one before has ended.
/// Sessions run side by side, each in a task of its own. While a callback is busy its session is not
/// read, so a fast sender waits in TCP and not in memory; what is sent to the session is still
/// written. A callback that blocks its thread, by computing long or waiting otherwise than by `.await`,
/// keeps other sessions waiting too: `tokio::task::spawn_blocking` is for that. A panic in a callback
/// is caught: it reaches `on_error` and ends that session alone, with 1011.
pub trait Endpoint: Send + Sync + 'static {
    /// What the endpoint knows of a session from its beginning to the end of `on_close`, such as the
    /// user. What changes meanwhile goes into a `Mutex` in it.
    type Data: Send + Sync + 'static;

    /// Decides whether a client may come in, and makes the session's data.
    ///
    /// The request is a valid WebSocket handshake. A refusal is answered over HTTP.
    fn on_handshake(
        &self,
        handshake: &mut Handshake,
    ) -> impl Future<Output = Result<Self::Data, Refusal>> + Send;

    /// The session is open; what is sent here comes before anything else.
    fn on_open(&self, session: &Session<Self::Data>) -> impl Future<Output = ()> + Send {
        let _ = session;
        async {}
    }

    /// The peer has sent a message.
    fn on_message(
        &self,
        session: &Session<Self::Data>,
        message: Message,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, message);
        async {}
    }

    /// A piece of a message has come: in place of [`on_message`](Self::on_message), where the
    /// [settings](crate::Settings::in_parts) ask for pieces. A message in whose midst the session ends
    /// has no last piece.
    fn on_part(
        &self,
        session: &Session<Self::Data>,
        part: Part,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, part);
        async {}
    }

    /// The peer has pinged; the pong is on its way (RFC 6455 §5.5.2).
    fn on_ping(
        &self,
        session: &Session<Self::Data>,
        payload: &[u8],
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, payload);
        async {}
    }

    /// The peer has answered a [ping](Session::ping), one of the heartbeat's (those have no payload),
    /// or none (RFC 6455 §5.5.3).
    fn on_pong(
        &self,
        session: &Session<Self::Data>,
        payload: &[u8],
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, payload);
        async {}
    }

    /// The session ends by a fault: a broken connection, a breach of the protocol, silence, a panic.
    fn on_error(
        &self,
        session: &Session<Self::Data>,
        error: &Error,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, error);
        async {}
    }

    /// The session has ended; nothing can be sent any more.
    fn on_close(
        &self,
        session: &Session<Self::Data>,
        closed: &Closed,
    ) -> impl Future<Output = ()> + Send {
        let _ = (session, closed);
        async {}
    }

    /// Answers a request that is no valid handshake: by default with the error's status and text.
    fn on_bad_handshake(&self, error: &BadHandshake) -> Refusal {
        (error.status(), error.headers(), format!("{error}\n"))
            .into_response()
            .into()
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the side that closed first; 1005 where the peer gave none, 1006 where the
    /// connection broke (RFC 6455 §7.4.1).
    pub code: CloseCode,
    /// The reason in words, often empty.
    pub reason: String,
    /// Who ended it.
    pub by: Side,
    /// Whether both sides closed as the protocol wants it.
    pub clean: bool,
}

/// A side of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Peer,
    /// This server.
    Server,
}

/// The fault that ended a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke RFC 6455.
    #[error("the peer broke the WebSocket protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The connection failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Nothing came for two heartbeats.
    #[error("the peer was silent for two heartbeats")]
    Silent,
    /// A callback panicked.
    #[error("the endpoint panicked: {0}")]
    Panicked(String),
    /// A topic's log could not be read for a session that was behind.
    #[error(transparent)]
    Log(#[from] LogError),
}
