use bytes::Bytes;

use crate::header::{self, MAX_CONTROL};
use crate::{Close, Opcode, mask};

/// One message from server to client, encoded: a single final frame without a mask.
///
/// It is encoded once and shared; a clone counts a reference. RFC 6455 §5.1 forbids a mask in
/// this direction, which is what makes the bytes the same for every receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::encode(Opcode::Text, text.as_bytes())
    }

    /// A binary message.
    pub fn binary(payload: &[u8]) -> Self {
        Self::encode(Opcode::Binary, payload)
    }

    /// A ping. Of a payload of more than 125 bytes the first 125 are sent (§5.5).
    pub fn ping(payload: &[u8]) -> Self {
        Self::encode(Opcode::Ping, &payload[..payload.len().min(MAX_CONTROL)])
    }

    /// A pong. It answers a ping with the ping's payload (§5.5.3); more than 125 bytes are cut.
    pub fn pong(payload: &[u8]) -> Self {
        Self::encode(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL)])
    }

    /// A close frame, empty for `None` and for a code that must not be sent.
    pub fn close(close: Option<&Close>) -> Self {
        let payload = close.map(Close::payload).unwrap_or_default();
        Self::encode(Opcode::Close, &payload)
    }

    /// The bytes to write to the socket.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to write to the socket.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// How many bytes go to the socket, the header included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a frame has a header, it is never empty"
    )]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn encode(opcode: Opcode, payload: &[u8]) -> Self {
        let header_len = header::written_len(payload.len(), None);
        let mut bytes = Vec::with_capacity(header_len + payload.len());
        header::write(opcode, payload.len(), None, &mut bytes);
        bytes.extend_from_slice(payload);
        Self(bytes.into())
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

/// Appends one message from client to server to `out`: a single final frame, masked.
///
/// RFC 6455 §5.3: take a fresh `mask` from a strong source of entropy for every frame, so that
/// who gives the payload cannot choose the bytes on the wire. The payload of a control frame has
/// at most 125 bytes (§5.5): what is over is cut. [`Close::payload`] gives the one of a close
/// frame.
pub fn encode_masked(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let most = if opcode.is_control() {
        MAX_CONTROL
    } else {
        usize::MAX
    };
    let payload = &payload[..payload.len().min(most)];
    out.reserve(header::written_len(payload.len(), Some(mask)) + payload.len());
    header::write(opcode, payload.len(), Some(mask), out);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], mask);
}
