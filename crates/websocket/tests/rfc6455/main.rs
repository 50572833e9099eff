//! The codec against RFC 6455 and RFC 7692, in bytes and for both roles.

mod closing;
mod compressed;
mod encoding;
mod frames;
mod handshake_client;
mod handshake_connect;
mod handshake_server;
mod messages;
mod parts;
mod properties;
mod support;
mod text;
