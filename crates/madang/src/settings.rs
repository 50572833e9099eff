//! What bounds a session.

use std::time::Duration;

use websocket::Deflate;

/// What no clock reaches, `Duration::MAX` say, is 30 years.
pub(crate) const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Limits and times of an endpoint's sessions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of one incoming message at most, all fragments together; a longer one closes the session
    /// with 1009 as soon as a frame's header tells it.
    pub max_message: usize,
    /// Bytes that may wait to be written to one session. Frames of topics do not count: they are
    /// shared, and a slow session just falls behind. Over a quarter of it the session is not read.
    pub max_outgoing: usize,
    /// Time between the server's pings; the first comes up to a 256th of it sooner. A peer that is silent for two
    /// of them is gone (code 4008).
    /// `Duration::MAX` is no heartbeat.
    pub heartbeat: Duration,
    /// What happens to a session that is sent more than may wait.
    pub when_full: WhenFull,
    /// The reason of a close with 1013 (replies that are not read, a log that cannot be), made of the
    /// library's words for it; by default these words. A protocol in which it says when to come back does
    /// so here. A reason has 123 bytes; what is longer is cut.
    pub overloaded: fn(&str) -> String,
    /// How long a peer may send no message before it is closed with 4008; `None` is for ever. It
    /// counts from when the last message has been handled. Pings and pongs do not count.
    pub idle_timeout: Option<Duration>,
    /// How long a close waits for the peer's answer.
    pub close_timeout: Duration,
    /// Compression of messages, where the peer offers it; `None` declines. It costs an idle session
    /// nothing.
    pub compression: Option<Compression>,
    /// Whether the answer to the handshake waits for what [`on_open`](crate::Endpoint::on_open) sends first, or for its
    /// end, and goes out with it: one packet for both sides in place of two. A session is open for its peer so much later; for an
    /// endpoint whose `on_open` never takes long. Without it, they go out together if `on_open` sends at once. In TLS and
    /// behind other servers than [`Server`](crate::Server) the answer goes first and alone.
    pub answer_with_first: bool,
    /// Whether messages are handed to [`on_part`](crate::Endpoint::on_part) piece by piece as they come,
    /// in place of [`on_message`](crate::Endpoint::on_message), so that one may be longer than memory: then
    /// `max_message` may be, too. Compression is declined, as a compressed message has to be whole.
    pub in_parts: bool,
}

/// What happens when [`Settings::max_outgoing`] is reached. Either way the message is not taken, and
/// `send` answers [`SendError::Full`](crate::SendError::Full).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Nothing else: the sender decides what it means that this message does not arrive.
    Refuse,
    /// The session is closed with 1013: a peer gets everything, or knows that it did not.
    Close,
}

/// permessage-deflate (RFC 7692), each message for itself ("no context takeover").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// Messages of fewer bytes are sent as they are.
    pub threshold: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { threshold: 1024 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
            max_outgoing: 4 * 1024 * 1024,
            heartbeat: Duration::from_secs(25),
            when_full: WhenFull::Refuse,
            overloaded: str::to_owned,
            idle_timeout: None,
            close_timeout: Duration::from_secs(3),
            compression: None,
            answer_with_first: false,
            in_parts: false,
        }
    }
}

impl Settings {
    /// What we make of the compression that a client offers.
    pub(crate) fn agree(&self, offered: Option<Deflate>) -> Option<Deflate> {
        let compression = self.compression.as_ref().filter(|_| !self.in_parts)?;
        Some(offered?.from_bytes_on(compression.threshold))
    }
}
