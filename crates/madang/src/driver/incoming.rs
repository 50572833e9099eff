//! From bytes to events.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use websocket::{Decoder, Event, Limits, ProtocolError, Role};

use crate::settings::Settings;

/// Bytes read at a time. One buffer per thread serves all its sessions; a message of the default limit
/// fits in with its header.
const SCRATCH: usize = 128 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// What reading came to.
pub(super) enum Received {
    Event(Event<'static>),
    /// The peer broke the protocol.
    Violation(ProtocolError),
    /// The peer hung up, or the connection failed.
    End(Option<io::Error>),
}

/// The reading half of a connection. Between messages it holds no memory of its own.
pub(super) struct Incoming {
    decoder: Decoder,
    unread: Option<Box<Unread>>,
}

/// Bytes read behind a message, kept while that message is handled.
struct Unread {
    bytes: Vec<u8>,
    /// How many of them are decoded.
    decoded: usize,
}

impl Unread {
    fn new(bytes: &[u8]) -> Option<Box<Self>> {
        let unread = || Self {
            bytes: bytes.to_vec(),
            decoded: 0,
        };
        (!bytes.is_empty()).then(unread).map(Box::new)
    }
}

impl Incoming {
    /// `early` are bytes that came right behind the handshake.
    pub(super) fn new(settings: &Settings, inflating: bool, early: &[u8]) -> Self {
        let max_message = settings.max_message;
        let mut decoder = Decoder::new(Role::Server, Limits { max_message });
        if inflating {
            decoder = decoder.inflating();
        }
        if settings.in_parts {
            decoder = decoder.in_parts();
        }
        Self {
            decoder,
            unread: Unread::new(early),
        }
    }

    /// Reads until there is an event.
    pub(super) fn poll_event(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        if let Some(received) = self.decode_unread() {
            return Poll::Ready(received);
        }
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                let mut input = match ready!(poll_read(io, cx, buffer)) {
                    Ok([]) => return Poll::Ready(Received::End(None)),
                    Ok(input) => input,
                    Err(error) => return Poll::Ready(Received::End(Some(error))),
                };
                match self.decoder.receive(&mut input) {
                    Ok(None) => {}
                    Ok(Some(event)) => {
                        let event = event.into_owned();
                        self.unread = Unread::new(input);
                        return Poll::Ready(Received::Event(event));
                    }
                    Err(error) => return Poll::Ready(Received::Violation(error)),
                }
            }
        })
    }

    /// Reads and forgets, until the peer hangs up: closing a socket with unread bytes would reset
    /// the connection and take our close frame with it.
    pub(super) fn poll_discard(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        self.unread = None;
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                match ready!(poll_read(io, cx, buffer)) {
                    Ok([]) => return Poll::Ready(Received::End(None)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Received::End(Some(error))),
                }
            }
        })
    }

    fn decode_unread(&mut self) -> Option<Received> {
        let unread = self.unread.as_mut()?;
        let mut input = &mut unread.bytes[unread.decoded..];
        let received = match self.decoder.receive(&mut input) {
            Ok(event) => event.map(|event| Received::Event(event.into_owned())),
            Err(error) => Some(Received::Violation(error)),
        };
        let left = input.len();
        unread.decoded = unread.bytes.len() - left;
        if left == 0 {
            self.unread = None;
        }
        received
    }
}

fn poll_read<'b>(
    io: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &'b mut [u8],
) -> Poll<io::Result<&'b mut [u8]>> {
    let mut read = ReadBuf::new(buffer);
    ready!(Pin::new(io).poll_read(cx, &mut read))?;
    let count = read.filled().len();
    Poll::Ready(Ok(&mut buffer[..count]))
}
