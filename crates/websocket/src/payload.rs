use std::borrow::Cow;

use crate::decoder::{FrameSoFar, Held, Rules};
use crate::header::Header;
use crate::message::{self, MessageSoFar};
use crate::{Close, Event, Opcode, ProtocolError, deflate, mask, utf8};

/// A frame in the midst of its payload.
#[derive(Debug)]
pub(crate) struct Payload {
    fin: bool,
    pub(crate) opcode: Opcode,
    /// The first frame of a compressed message.
    compressed: bool,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    /// Bytes that have not come.
    remaining: usize,
    /// What came of a control frame. A data frame's bytes go to [`Held::message`].
    control: Vec<u8>,
}

impl Payload {
    /// Judges a frame by its header and the message that it comes in.
    #[inline]
    pub(crate) fn begin(
        header: Header,
        message: Option<&MessageSoFar>,
        rules: &Rules,
    ) -> Result<Self, ProtocolError> {
        // RFC 6455 §5.4: a fragmented message is a first frame and continuations; no other data
        // frame comes between, and a continuation nowhere else.
        match (header.opcode, message) {
            (Opcode::Continuation, None) => return Err(ProtocolError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(ProtocolError::MessageInterrupted);
            }
            _ => {}
        }
        // §10.4: impose limits on what a remote endpoint can make us assemble. A control frame
        // is short by its header.
        let limit = rules.limits.max_message;
        let compressed = header.compressed || message.is_some_and(MessageSoFar::is_compressed);
        let most = if compressed {
            deflate::compressed_limit(limit)
        } else {
            limit
        };
        let room = most.saturating_sub(message.map_or(0, MessageSoFar::len));
        let remaining = match usize::try_from(header.length) {
            Ok(length) if length <= room || header.opcode.is_control() => length,
            _ => return Err(ProtocolError::TooBig { limit }),
        };
        Ok(Self {
            fin: header.fin,
            opcode: header.opcode,
            compressed: header.compressed,
            mask: header.mask,
            remaining,
            control: Vec::new(),
        })
    }

    /// Splits off what `input` has of this payload, and unmasks it.
    fn take<'i>(&mut self, input: &mut &'i mut [u8]) -> &'i [u8] {
        let length = self.remaining.min(input.len());
        let (taken, rest) = std::mem::take(input).split_at_mut(length);
        *input = rest;
        self.remaining -= length;
        mask::apply(taken, self.mask);
        if self.remaining > 0 {
            self.mask.rotate_left(length % 4);
        }
        taken
    }

    /// §5.4: a control frame may come in the midst of a fragmented message; it is an event at
    /// once, and the message goes on.
    pub(crate) fn receive_control<'i>(
        mut self,
        held: &mut Option<Box<Held>>,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        let taken = self.take(input);
        if self.remaining > 0 {
            self.control.extend_from_slice(taken);
            held.get_or_insert_default().frame = Some(FrameSoFar::Payload(self));
            return Ok(None);
        }
        let payload = if self.control.is_empty() {
            Cow::Borrowed(taken)
        } else {
            self.control.extend_from_slice(taken);
            Cow::Owned(self.control)
        };
        Ok(Some(match self.opcode {
            Opcode::Close => Event::Close(Close::parse(&payload)?),
            Opcode::Ping => Event::Ping(payload),
            _ => Event::Pong(payload),
        }))
    }

    /// A data frame's bytes are given on as they lie when they are the whole message, and kept
    /// otherwise, unless parts are asked for.
    #[inline]
    pub(crate) fn receive_data<'i>(
        mut self,
        held: &mut Option<Box<Held>>,
        input: &mut &'i mut [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        let taken = self.take(input);
        let whole = self.remaining == 0;
        if taken.is_empty() && !whole {
            // Nothing to keep yet: the payload may still come whole, to be borrowed.
            held.get_or_insert_default().frame = Some(FrameSoFar::Payload(self));
            return Ok(None);
        }
        let last = whole && self.fin;
        let text = self.opcode == Opcode::Text;
        if last && !rules.parts && held.as_ref().is_none_or(|held| held.message.is_none()) {
            return Ok(Some(match (self.compressed, text) {
                (true, text) => message::inflated(taken, text, rules)?,
                (false, true) => Event::Text(Cow::Borrowed(utf8::check(taken)?)),
                (false, false) => Event::Binary(Cow::Borrowed(taken)),
            }));
        }

        let held = held.get_or_insert_default();
        let message = held.message.take();
        let mut message =
            message.unwrap_or_else(|| MessageSoFar::begin(text, self.compressed, rules));
        if self.fin && !last {
            message.expect(taken.len(), self.remaining);
        }
        let event = message.push(taken, last, rules)?;
        if !last {
            held.message = Some(message);
        }
        if !whole {
            held.frame = Some(FrameSoFar::Payload(self));
        }
        Ok(event)
    }
}
