//! RFC 6455, the WebSocket protocol, and RFC 7692, its compression, as values in and values out.
//!
//! There is no IO here, no clock and no randomness: bytes that were read are given to a
//! [`Decoder`], bytes to be written come out of a [`Frame`] or of [`encode_masked`], and mask
//! keys and nonces are arguments. Whatever drives a socket (tokio, a test, a fuzzer) calls the
//! same code.
//!
//! It is deliberately not a connection: it does not answer pings, keep time, retry or queue.
//!
//! Where to start:
//!
//! 1. [`handshake::server::check`] or [`handshake::client::Offer`] open a WebSocket.
//! 2. [`Decoder::receive`] turns what was read into [`Event`]s.
//! 3. [`Frame`] (server to client) and [`encode_masked`] (client to server) write.
//! 4. [`Closing`] keeps the state of the closing handshake, [`ProtocolError::close`] tells the
//!    close code of an error.
//!
//! ```
//! use websocket::{Decoder, Event, Frame, Limits, Opcode, Role, encode_masked};
//!
//! let mut bytes = Vec::new();
//! encode_masked(Opcode::Text, "안녕".as_bytes(), [1, 2, 3, 4], &mut bytes);
//!
//! let mut decoder = Decoder::new(Role::Server, Limits::default());
//! let mut input = bytes.as_mut_slice();
//! let event = decoder.receive(&mut input)?;
//! assert_eq!(event, Some(Event::Text("안녕".into())));
//! assert_eq!(decoder.receive(&mut input)?, None);
//!
//! assert_eq!(Frame::text("ok").to_bytes(), b"\x81\x02ok");
//! # Ok::<(), websocket::ProtocolError>(())
//! ```

mod close;
mod closing;
mod decoder;
mod deflate;
mod error;
mod frame;
pub mod handshake;
mod header;
mod mask;
mod message;
mod opcode;
mod payload;
mod role;
mod utf8;

pub use close::{Close, CloseCode};
pub use closing::Closing;
pub use decoder::{Decoder, Event, Limits};
pub use deflate::Deflate;
pub use error::ProtocolError;
pub use frame::{Encoded, Frame, encode_masked};
pub use opcode::Opcode;
pub use role::Role;
