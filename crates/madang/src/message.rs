//! What endpoints receive.

use bytes::Bytes;
use websocket::Frame;

/// A whole message from the peer (RFC 6455 §5.6), fragments put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, checked as UTF-8.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text of a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

/// A piece of a message, for endpoints that take messages in pieces
/// ([`Settings::in_parts`](crate::Settings::in_parts)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What was read at once, text cut between two characters. Only the last piece of a message may
    /// be empty.
    pub data: Message,
    /// Whether the message ends with it.
    pub last: bool,
}

/// The message for sending it back or on; it is not copied.
impl From<Message> for Frame {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}
