//! From bytes to events.

use std::{
    borrow::Cow,
    cell::RefCell,
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;
use websocket::{Close, Decoder, Event, Limits, ProtocolError, Role};

use crate::{
    message::{Message, Part, Text},
    settings::Settings,
};

/// Bytes read at a time. One buffer per thread serves all its sessions; a message of the default limit
/// fits in with its header.
const SCRATCH: usize = 128 * 1024;
/// A message of so many bytes that lies whole in the buffer is not copied: it takes the buffer with it,
/// which the thread has again when the message is gone. A shorter one is not worth holding so much.
const LONG: usize = SCRATCH / 4;
/// Where in a page the kernel copies to, and later from: away from its start, where malloc begins a block
/// of this size. It copies with `rep movsb`, for which some processors need up to three times as long
/// when one side begins just behind the start of a page (measured on an AMD EPYC: 31 µs in place of 38
/// for an echo of 64 KiB, all in all).
const INTO_PAGE: usize = 1024;
const PAGE: usize = 4096;

thread_local! {
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// What reading came to.
pub(super) enum Received {
    Heard(Heard),
    /// The peer broke the protocol.
    Violation(ProtocolError),
    /// The peer hung up, or the connection failed.
    End(Option<io::Error>),
}

/// What the peer said.
pub(super) enum Heard {
    Message(Message),
    Part(Part),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<Close>),
}

impl From<Event<'_>> for Heard {
    #[inline]
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Message(Message::Text(text.into_owned().into())),
            Event::Binary(bytes) => Self::Message(Message::Binary(bytes.into_owned().into())),
            Event::TextPart { text, last } => {
                let data = Message::Text(text.into_owned().into());
                Self::Part(Part { data, last })
            }
            Event::BinaryPart { bytes, last } => {
                let data = Message::Binary(bytes.into_owned().into());
                Self::Part(Part { data, last })
            }
            Event::Ping(payload) => Self::Ping(payload.into_owned().into()),
            Event::Pong(payload) => Self::Pong(payload.into_owned().into()),
            Event::Close(close) => Self::Close(close),
        }
    }
}

/// A long message that lies whole in the buffer.
struct Long {
    is_text: bool,
    place: Range<usize>,
}

impl Long {
    /// Of an event that was decoded in a buffer that begins at this address.
    fn of(event: &Event<'_>, buffer: usize) -> Option<Self> {
        let (is_text, payload) = match event {
            Event::Text(Cow::Borrowed(text)) => (true, text.as_bytes()),
            Event::Binary(Cow::Borrowed(bytes)) => (false, *bytes),
            _ => return None,
        };
        let start = payload.as_ptr().addr() - buffer;
        let place = start..start + payload.len();
        (payload.len() >= LONG).then_some(Self { is_text, place })
    }

    /// Takes it out of the buffer.
    fn take(self, buffer: &mut BytesMut) -> Message {
        let bytes = buffer.split().freeze().slice(self.place);
        if self.is_text {
            Message::Text(text(bytes))
        } else {
            Message::Binary(bytes)
        }
    }
}

/// The text that the decoder has checked.
fn text(bytes: Bytes) -> Text {
    debug_assert!(std::str::from_utf8(&bytes).is_ok());
    #[expect(
        unsafe_code,
        reason = "checking 64 KiB again costs a tenth of their echo"
    )]
    // SAFETY: these are the bytes of the `str` that the decoder handed out, in place.
    unsafe {
        Text::from_bytes_unchecked(bytes)
    }
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
    #[inline]
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

    /// Whether there are bytes to decode before the next are read.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Reads until there is an event.
    pub(super) fn poll_event(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        if self.has_unread()
            && let Some(received) = self.decode_unread()
        {
            return Poll::Ready(received);
        }
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                let read = match ready!(poll_read(io, cx, buffer)) {
                    Ok(0) => return Poll::Ready(Received::End(None)),
                    Ok(read) => read,
                    Err(error) => return Poll::Ready(Received::End(Some(error))),
                };
                let address = buffer.as_ptr().addr();
                let mut input = &mut buffer[..];
                let event = match self.decoder.receive(&mut input) {
                    Ok(None) => continue,
                    Ok(Some(event)) => event,
                    Err(error) => return Poll::Ready(Received::Violation(error)),
                };
                let decoded = read - input.len();
                self.unread = Unread::new(input);
                let heard = match Long::of(&event, address) {
                    None => event.into(),
                    Some(long) => {
                        buffer.truncate(decoded);
                        Heard::Message(long.take(buffer))
                    }
                };
                return Poll::Ready(Received::Heard(heard));
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
                    Ok(0) => return Poll::Ready(Received::End(None)),
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
            Ok(event) => event.map(|event| Received::Heard(event.into())),
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

/// Reads once, into the emptied buffer, and tells how many bytes there are.
fn poll_read(
    io: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    buffer.clear();
    if buffer.capacity() < SCRATCH {
        // At first, and after a long message: its memory is taken back if it is gone, other memory if not.
        buffer.reserve(PAGE + INTO_PAGE + SCRATCH);
        let padding = buffer.as_ptr().align_offset(PAGE) + INTO_PAGE;
        buffer.put_bytes(0, padding);
        buffer.advance(padding);
    }
    poll_read_buf(Pin::new(io), cx, buffer)
}
