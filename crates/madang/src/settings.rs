//! What bounds a session.

use std::time::Duration;

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
    /// Time between the server's pings. A peer that is silent for two of them is gone (code 4008).
    pub heartbeat: Duration,
    /// How long a close waits for the peer's answer.
    pub close_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
            max_outgoing: 4 * 1024 * 1024,
            heartbeat: Duration::from_secs(25),
            close_timeout: Duration::from_secs(3),
        }
    }
}
