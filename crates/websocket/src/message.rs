use std::borrow::Cow;

use crate::utf8::TextSoFar;
use crate::{Event, ProtocolError};

/// A message of which pieces have come, be they frames or parts of a frame.
///
/// Its memory grows with what has come, whatever a header says is still to come.
#[derive(Debug)]
pub(crate) enum MessageSoFar {
    Text(TextSoFar),
    Binary(Vec<u8>),
}

impl MessageSoFar {
    /// Bytes that have come.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Adds unmasked bytes; text fails at its first wrong byte.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        match self {
            Self::Text(text) => text.push(bytes),
            Self::Binary(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The message, once its final frame is whole.
    pub(crate) fn finish<'i>(self) -> Result<Event<'i>, ProtocolError> {
        Ok(match self {
            Self::Text(text) => Event::Text(Cow::Owned(text.finish()?)),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes)),
        })
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }
}
