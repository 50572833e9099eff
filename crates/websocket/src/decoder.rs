use std::borrow::Cow;

use crate::header::HeaderSoFar;
use crate::message::MessageSoFar;
use crate::payload::Payload;
use crate::{Close, ProtocolError, Role};

/// What a peer may ask of our memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one message, all its fragments together, decompressed. A frame that would go
    /// over it is refused when its header has come, before its payload; one that goes over it
    /// when it is decompressed, there. 64 KiB by default.
    pub max_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
        }
    }
}

/// Something that the peer said, whole and checked.
///
/// The payload is borrowed from the input when all of it lay there in one frame, and owned when
/// it was put together from pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A text message.
    Text(Cow<'i, str>),
    /// A binary message.
    Binary(Cow<'i, [u8]>),
    /// A piece of a text message, where [parts](Decoder::in_parts) are asked for; cut between two
    /// characters.
    TextPart {
        /// The piece. Only a last one may be empty.
        text: Cow<'i, str>,
        /// Whether the message ends with it.
        last: bool,
    },
    /// A piece of a binary message, where [parts](Decoder::in_parts) are asked for.
    BinaryPart {
        /// The piece. Only a last one may be empty.
        bytes: Cow<'i, [u8]>,
        /// Whether the message ends with it.
        last: bool,
    },
    /// A ping: answer with a pong of the same payload (RFC 6455 §5.5.2).
    Ping(Cow<'i, [u8]>),
    /// A pong.
    Pong(Cow<'i, [u8]>),
    /// The peer has said its last word, with or without a code. Nothing follows.
    Close(Option<Close>),
}

impl Event<'_> {
    /// The event with its own copy of what it borrowed, to be kept longer than the input.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes.into_owned())),
            Self::TextPart { text, last } => Event::TextPart {
                text: Cow::Owned(text.into_owned()),
                last,
            },
            Self::BinaryPart { bytes, last } => Event::BinaryPart {
                bytes: Cow::Owned(bytes.into_owned()),
                last,
            },
            Self::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Self::Close(close) => Event::Close(close),
        }
    }
}

/// Turns the bytes of one peer into [`Event`]s.
///
/// It holds bytes only of a frame or message that has not come whole: an idle decoder owns no
/// memory on the heap, so that a connection that says nothing costs nothing.
#[derive(Debug)]
pub struct Decoder {
    rules: Rules,
    state: State,
}

/// What was agreed on and asked for.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) role: Role,
    pub(crate) limits: Limits,
    /// Whether messages may come compressed (RFC 7692).
    pub(crate) inflating: bool,
    /// Whether messages are handed out as they come.
    pub(crate) parts: bool,
}

#[derive(Debug)]
enum State {
    /// The peer may go on; the box is there only in the midst of a frame or message.
    Open(Option<Box<Held>>),
    /// The peer has closed.
    Closed,
    /// The peer has broken the protocol.
    Failed(ProtocolError),
}

/// What is held from one read to the next.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The data message whose end has not come.
    pub(crate) message: Option<MessageSoFar>,
    /// The frame whose end has not come.
    pub(crate) frame: Option<FrameSoFar>,
}

#[derive(Debug)]
pub(crate) enum FrameSoFar {
    Header(HeaderSoFar),
    Payload(Payload),
}

impl Decoder {
    /// A decoder for a new connection in which we are `role`.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            rules: Rules {
                role,
                limits,
                inflating: false,
                parts: false,
            },
            state: State::Open(None),
        }
    }

    /// Takes compressed messages too: permessage-deflate was agreed on, without context takeover by
    /// the peer (RFC 7692).
    #[must_use]
    pub fn inflating(mut self) -> Self {
        self.rules.inflating = true;
        self
    }

    /// Hands out messages piece by piece as they come, so that one may be longer than memory:
    /// [`Event::TextPart`] and [`Event::BinaryPart`] in place of whole messages. A compressed
    /// message comes in one piece.
    #[must_use]
    pub fn in_parts(mut self) -> Self {
        self.rules.parts = true;
        self
    }

    /// Takes bytes off the front of `input` until one event is whole. `Ok(None)` means that the
    /// input is used up and more is needed.
    ///
    /// The payload is unmasked where it lies. Call it until it gives `Ok(None)`: several events
    /// may lie in one input.
    ///
    /// After [`Event::Close`] whatever follows is thrown away (RFC 6455 §1.4: data after a close
    /// frame is discarded): the input is emptied, the answer is `Ok(None)`.
    ///
    /// # Errors
    ///
    /// A [`ProtocolError`] when the peer breaks the protocol or a limit, as early as it can be
    /// known. The decoder then stays failed and gives the same error for whatever follows.
    pub fn receive<'i>(
        &mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        let held = match &mut self.state {
            State::Open(held) => held,
            State::Closed => {
                *input = &mut [];
                return Ok(None);
            }
            State::Failed(error) => return Err(*error),
        };
        let received = next_event(&self.rules, held, input);
        match &received {
            Ok(Some(Event::Close(_))) => self.state = State::Closed,
            Ok(_) => {}
            Err(error) => self.state = State::Failed(*error),
        }
        received
    }

    /// Whether no part of a frame or message is held.
    pub fn is_idle(&self) -> bool {
        !matches!(self.state, State::Open(Some(_)))
    }
}

fn next_event<'i>(
    rules: &Rules,
    held: &mut Option<Box<Held>>,
    input: &mut &'i mut [u8],
) -> Result<Option<Event<'i>>, ProtocolError> {
    loop {
        let Some(payload) = next_payload(rules, held, input)? else {
            return Ok(None);
        };
        let event = if payload.opcode.is_control() {
            payload.receive_control(held, input)?
        } else {
            payload.receive_data(held, input, rules)?
        };
        if held
            .as_ref()
            .is_some_and(|held| held.frame.is_none() && held.message.is_none())
        {
            *held = None;
        }
        if event.is_some() || input.is_empty() {
            return Ok(event);
        }
    }
}

/// The frame in whose payload we are: the one held, or the one whose header comes next.
fn next_payload(
    rules: &Rules,
    held: &mut Option<Box<Held>>,
    input: &mut &mut [u8],
) -> Result<Option<Payload>, ProtocolError> {
    let mut so_far = match held.as_mut().and_then(|held| held.frame.take()) {
        Some(FrameSoFar::Payload(payload)) => return Ok(Some(payload)),
        Some(FrameSoFar::Header(so_far)) => so_far,
        None => HeaderSoFar::default(),
    };
    let Some(header) = so_far.receive(input, rules)? else {
        if !so_far.is_empty() {
            held.get_or_insert_default().frame = Some(FrameSoFar::Header(so_far));
        }
        return Ok(None);
    };
    let message = held.as_ref().and_then(|held| held.message.as_ref());
    Payload::begin(header, message, rules).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(decoder: &Decoder) -> Option<&Held> {
        match &decoder.state {
            State::Open(held) => held.as_deref(),
            State::Closed | State::Failed(_) => None,
        }
    }

    #[test]
    fn a_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
        assert!(size_of::<Held>() <= 160, "{}", size_of::<Held>());
    }

    #[test]
    fn what_was_held_for_a_frame_is_freed_with_its_event() {
        let mut bytes = *b"\x81\x05Hello";
        let (start, end) = bytes.split_at_mut(4);
        let mut decoder = Decoder::new(Role::Client, Limits::default());
        assert_eq!(decoder.receive(&mut &mut start[..]), Ok(None));
        assert!(held(&decoder).is_some());
        assert!(!decoder.is_idle());
        let event = decoder.receive(&mut &mut end[..]);
        assert_eq!(event, Ok(Some(Event::Text("Hello".into()))));
        assert!(held(&decoder).is_none());
        assert!(decoder.is_idle());
    }

    #[test]
    fn nothing_is_held_for_input_of_no_bytes() {
        let mut decoder = Decoder::new(Role::Client, Limits::default());
        assert_eq!(decoder.receive(&mut &mut [][..]), Ok(None));
        assert!(held(&decoder).is_none());
    }

    #[test]
    fn memory_grows_with_what_came_not_with_what_a_header_claims() {
        // Frames of 1 MiB of text and of binary of which ten bytes come.
        for opcode in [0x81, 0x82] {
            let mut decoder = Decoder::new(
                Role::Client,
                Limits {
                    max_message: 1 << 20,
                },
            );
            let mut bytes = *b"\x00\x7F\0\0\0\0\0\x10\0\0ten bytes.";
            bytes[0] = opcode;
            assert_eq!(decoder.receive(&mut &mut bytes[..]), Ok(None));
            let message = held(&decoder)
                .and_then(|held| held.message.as_ref())
                .unwrap();
            assert_eq!(message.len(), 10);
            assert!(message.capacity() <= 20, "{}", message.capacity());
        }
    }

    #[test]
    fn memory_for_many_small_fragments_grows_in_few_steps() {
        // Each growth may copy all that has come: one for each fragment would take a peer's bytes
        // times their number.
        for opcode in [0x01, 0x02, 0x41] {
            let mut decoder = Decoder::new(Role::Client, Limits::default()).inflating();
            let (mut capacity, mut steps) = (0, 0);
            for index in 0..20_000 {
                let mut frame = [if index == 0 { opcode } else { 0x00 }, 2, b'x', b'y'];
                // The second byte of the payload comes in a read of its own.
                let (start, end) = frame.split_at_mut(3);
                for mut read in [start, end] {
                    assert_eq!(decoder.receive(&mut read), Ok(None));
                    let message = held(&decoder).and_then(|held| held.message.as_ref());
                    let now = message.unwrap().capacity();
                    steps += usize::from(now != capacity);
                    capacity = now;
                }
            }
            assert!(steps <= 32, "{steps} steps to {capacity} bytes");
        }
    }

    #[test]
    fn what_was_held_is_freed_by_an_error_and_by_a_close() {
        for end in [b"\x81\x01x".as_slice(), b"\x88\x00"] {
            let mut decoder = Decoder::new(Role::Client, Limits::default());
            let mut bytes = [b"\x01\x05Hello".as_slice(), end].concat();
            let event = decoder.receive(&mut bytes.as_mut_slice());
            assert_ne!(event, Ok(None));
            assert!(held(&decoder).is_none());
        }
    }
}
