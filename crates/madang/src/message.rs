//! What endpoints receive.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use websocket::Frame;

/// A message's text: a `str` that is shared when it is cloned or sent on, and not copied.
pub type Text = bytestring::ByteString;

/// A whole message from the peer (RFC 6455 §5.6), fragments put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, checked as UTF-8.
    Text(Text),
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

    /// The bytes of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Reads the message as JSON (RFC 8259), be it text or bytes.
    ///
    /// # Errors
    ///
    /// Where and why it is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.as_bytes())
    }
}

/// Writes a value as a text message of JSON, for [`Session::send`](crate::Session::send) or
/// [`Topic::publish`](crate::Topic::publish).
///
/// # Errors
///
/// What serde says of a value that has no form in JSON, such as a map whose keys are lists.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Sum {
///     value: i64,
/// }
///
/// let frame = madang::json(&Sum { value: 5 })?;
/// assert_eq!(frame, madang::Frame::text(r#"{"value":5}"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Frame, serde_json::Error> {
    serde_json::to_string(value).map(Frame::text)
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
    #[inline]
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}
