//! RFC 6455 as values: handshake, frames, messages, close. No IO, no clock, no randomness.
