//! The server on its own, with other people's clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod answer;
mod http2;
mod plain;
mod running;
mod tls;
