//! The codec against RFC 6455, in bytes and for both roles.

mod closing;
mod encoding;
mod frames;
mod handshake_client;
mod handshake_server;
mod messages;
mod properties;
mod support;
mod text;
