use std::io;
use std::time::Duration;

use http::StatusCode;
use websocket::ProtocolError;
use websocket::handshake::client::HandshakeError;

/// Why no WebSocket was opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be read.
    #[error("this is no address: {0}")]
    Url(#[from] http::uri::InvalidUri),
    /// The address has another scheme than `ws`, or none.
    #[error("the address has to begin with ws://")]
    Scheme,
    /// The address is one of TLS.
    #[error("wss:// is not supported yet")]
    Tls,
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    /// What came back is not HTTP, or it ended within it.
    #[error("the server does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The server speaks HTTP and does not open a WebSocket.
    #[error("the server refused with {status}: {body}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// The body of the answer; empty when it is longer than 64 KiB or did not come whole.
        body: String,
    },
    /// The server agreed in a way that the protocol forbids; or the address has no host.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It took too long.
    #[error("the server did not answer within {0:?}")]
    Timeout(Duration),
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why an open WebSocket did not do what was asked, or how it ended.
///
/// A close frame of the server is no error but [`Incoming::Closed`](crate::Incoming::Closed).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be sent any more: one of the two sides has closed.
    #[error("the connection is closed")]
    Closed,
    /// The connection ended without a close frame.
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The server did not answer our close frame in time.
    #[error("the server did not close in time")]
    CloseTimeout,
    /// The value cannot be written as JSON.
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}
