//! The codec against others: what they write we read, what we write they read, and what one
//! refuses the others refuse, but for a short list of differences in `verdicts.rs`.
//!
//! The others are tungstenite, tokio-websockets and, with compression, sockudo-ws.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot be made or read here fails the test"
)]

mod compressed;
mod corrupted;
mod handshakes;
mod messages;
mod peers;
mod verdicts;
mod wire;
