use std::borrow::Cow;
use std::mem;

use crate::decoder::Rules;
use crate::utf8::TextSoFar;
use crate::{Event, ProtocolError, deflate, utf8};

/// A message of which pieces have come, be they frames or parts of a frame.
///
/// Its memory grows with what has come, whatever a header says is still to come.
#[derive(Debug)]
pub(crate) enum MessageSoFar {
    Text(TextSoFar),
    Binary(Vec<u8>),
    /// Kept as it came, since that is its smaller form.
    Compressed {
        text: bool,
        bytes: Vec<u8>,
    },
    /// Handed out as it came, but for a cut code point.
    TextParts {
        cut: TextSoFar,
        had: usize,
    },
    /// Handed out as it came.
    BinaryParts {
        had: usize,
    },
}

impl MessageSoFar {
    /// A message of which nothing has come.
    pub(crate) fn begin(text: bool, compressed: bool, rules: &Rules) -> Self {
        match (text, rules.parts) {
            _ if compressed => Self::Compressed {
                text,
                bytes: Vec::new(),
            },
            (true, false) => Self::Text(TextSoFar::default()),
            (false, false) => Self::Binary(Vec::new()),
            (true, true) => Self::TextParts {
                cut: TextSoFar::default(),
                had: 0,
            },
            (false, true) => Self::BinaryParts { had: 0 },
        }
    }

    /// Bytes that have come, as they came.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed { bytes, .. } => bytes.len(),
            Self::TextParts { had, .. } | Self::BinaryParts { had } => *had,
        }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed { .. })
    }

    /// Makes room for `next` bytes and, when at least as many have come, for the `rest` of the message,
    /// whose final frame this is: so the memory of a message is its length, not the next power of two,
    /// and no header makes it more than twice what has come. Earlier frames grow it by doubling: room for
    /// exactly each of many small ones would copy the message as many times.
    pub(crate) fn expect(&mut self, next: usize, rest: usize) {
        if rest > self.len() + next {
            return;
        }
        match self {
            Self::Text(text) => text.reserve_exact(next + rest),
            Self::Binary(bytes) | Self::Compressed { bytes, .. } => {
                bytes.reserve_exact(next + rest)
            }
            Self::TextParts { .. } | Self::BinaryParts { .. } => {}
        }
    }

    /// Adds unmasked bytes, the `last` ones perhaps, and tells what there is to tell: the message
    /// when it is whole, or its next part. Text fails at its first wrong byte.
    pub(crate) fn push<'i>(
        &mut self,
        bytes: &'i [u8],
        last: bool,
        rules: &Rules,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        Ok(match self {
            Self::Text(text) => {
                text.push(bytes)?;
                if !last {
                    return Ok(None);
                }
                Some(Event::Text(Cow::Owned(mem::take(text).finish()?)))
            }
            Self::Binary(all) => {
                all.extend_from_slice(bytes);
                last.then(|| Event::Binary(Cow::Owned(mem::take(all))))
            }
            Self::Compressed { text, bytes: all } => {
                all.extend_from_slice(bytes);
                if !last {
                    return Ok(None);
                }
                Some(inflated(all, *text, rules)?)
            }
            Self::TextParts { cut, had } => {
                *had += bytes.len();
                cut.push(bytes)?;
                let text = if last {
                    mem::take(cut).finish()?
                } else {
                    cut.take()
                };
                let text: Cow<str> = Cow::Owned(text);
                (last || !text.is_empty()).then_some(Event::TextPart { text, last })
            }
            Self::BinaryParts { had } => {
                *had += bytes.len();
                let part = Event::BinaryPart {
                    bytes: Cow::Borrowed(bytes),
                    last,
                };
                (last || !bytes.is_empty()).then_some(part)
            }
        })
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) | Self::Compressed { bytes, .. } => bytes.capacity(),
            Self::TextParts { .. } | Self::BinaryParts { .. } => 0,
        }
    }
}

/// The message that came compressed. Where parts are asked for, it is one.
pub(crate) fn inflated(
    payload: &[u8],
    text: bool,
    rules: &Rules,
) -> Result<Event<'static>, ProtocolError> {
    let bytes = deflate::inflate(payload, rules.limits.max_message)?;
    let last = true;
    Ok(if text {
        let text = Cow::Owned(utf8::check_owned(bytes)?);
        match rules.parts {
            true => Event::TextPart { text, last },
            false => Event::Text(text),
        }
    } else {
        let bytes = Cow::Owned(bytes);
        match rules.parts {
            true => Event::BinaryPart { bytes, last },
            false => Event::Binary(bytes),
        }
    })
}
