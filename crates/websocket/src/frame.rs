use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;

use crate::deflate::{self, Deflate};
use crate::header::{self, MAX_CONTROL};
use crate::{Close, Opcode, mask};

/// Frames whose payload is shorter are compressed anew for each receiver, if at all: keeping the
/// result would cost every short reply an allocation.
const KEPT: usize = 256;

/// One message from server to client: a single final frame without a mask.
///
/// It is made once and shared; a clone counts references. RFC 6455 §5.1 forbids a mask in
/// this direction, which is what makes the bytes the same for every receiver. From 256 bytes on
/// they are compressed at most once, when the first receiver wants it so.
#[derive(Debug, Clone)]
pub struct Frame {
    opcode: Opcode,
    payload: Bytes,
    /// The payload compressed with the largest window, `None` where that does not shrink it; kept of
    /// long ones.
    deflated: Option<Arc<OnceLock<Option<Bytes>>>>,
}

/// A frame's bytes for the receivers of one kind: a header and a payload, to be written one
/// behind the other.
#[derive(Debug, Clone)]
pub struct Encoded {
    header: [u8; header::LONGEST_UNMASKED],
    header_len: u8,
    payload: Bytes,
}

impl Frame {
    /// A text message.
    #[inline]
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self::new(Opcode::Text, text.into().into_bytes())
    }

    /// A binary message.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Binary, payload.into())
    }

    /// A ping. Of a payload of more than 125 bytes the first 125 are sent (§5.5).
    pub fn ping(payload: &[u8]) -> Self {
        Self::control(Opcode::Ping, payload)
    }

    /// A pong. It answers a ping with the ping's payload (§5.5.3); more than 125 bytes are cut.
    pub fn pong(payload: &[u8]) -> Self {
        Self::control(Opcode::Pong, payload)
    }

    /// A close frame, empty for `None` and for a code that must not be sent.
    pub fn close(close: Option<&Close>) -> Self {
        let payload = close.map(Close::payload).unwrap_or_default();
        Self::new(Opcode::Close, payload.into())
    }

    /// The bytes for a receiver with this agreement on compression.
    pub fn encode(&self, deflate: Option<Deflate>) -> Encoded {
        self.clone().into_encoded(deflate)
    }

    /// The same of a frame that is not needed any more.
    #[inline]
    pub fn into_encoded(self, deflate: Option<Deflate>) -> Encoded {
        let deflated = deflate.and_then(|deflate| self.deflated(deflate));
        let (reserved, payload) = match deflated {
            Some(payload) => (header::RSV1, payload),
            None => (0, self.payload),
        };
        let (header, header_len) = header::unmasked(reserved, self.opcode, payload.len());
        Encoded {
            header,
            header_len,
            payload,
        }
    }

    /// The compressed payload, where it is to be compressed and that shrinks it.
    fn deflated(&self, deflate: Deflate) -> Option<Bytes> {
        let payload = &self.payload;
        if self.opcode.is_control() || !deflate.takes(payload.len()) {
            return None;
        }
        match &self.deflated {
            Some(deflated) if deflate.is_shared_at(payload.len()) => {
                let compress = || deflate::compress_shared(payload).map(Bytes::from);
                deflated.get_or_init(compress).clone()
            }
            _ => deflate::compress(payload, deflate.window_bits()).map(Bytes::from),
        }
    }

    /// The bytes for a receiver without compression.
    pub fn to_bytes(&self) -> Vec<u8> {
        let encoded = self.encode(None);
        [encoded.header(), encoded.payload()].concat()
    }

    /// How many bytes go to a socket without compression, the header included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a frame has a header, it is never empty"
    )]
    pub fn len(&self) -> usize {
        let length = self.payload.len();
        header::unmasked_len(length) + length
    }

    fn control(opcode: Opcode, payload: &[u8]) -> Self {
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        Self::new(opcode, Bytes::copy_from_slice(payload))
    }

    #[inline]
    fn new(opcode: Opcode, payload: Bytes) -> Self {
        let deflated = (payload.len() >= KEPT).then(Arc::default);
        Self {
            opcode,
            payload,
            deflated,
        }
    }
}

/// Frames are equal when they say the same.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.opcode == other.opcode && self.payload == other.payload
    }
}

impl Eq for Frame {}

impl Encoded {
    /// Bytes of encoded frames, or the rest of such bytes.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self {
            header: Default::default(),
            header_len: 0,
            payload: bytes,
        }
    }

    /// What is written first.
    #[inline]
    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    /// What is written behind the header.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Bytes of both.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a frame has a header, it is never empty"
    )]
    pub fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload().len()
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

/// Appends one message from client to server to `out`: a single final frame, masked.
///
/// RFC 6455 §5.3: take a fresh `mask` from a strong source of entropy for every frame, so that
/// who gives the payload cannot choose the bytes on the wire. The payload of a control frame has
/// at most 125 bytes (§5.5): what is over is cut. [`Close::payload`] gives the one of a close
/// frame. [`Deflate::encode_masked`] does the same where compression was agreed on.
pub fn encode_masked(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let most = if opcode.is_control() {
        MAX_CONTROL
    } else {
        usize::MAX
    };
    append_masked(0, opcode, &payload[..payload.len().min(most)], mask, out);
}

pub(crate) fn append_masked(
    reserved: u8,
    opcode: Opcode,
    payload: &[u8],
    mask: [u8; 4],
    out: &mut Vec<u8>,
) {
    out.reserve(header::unmasked_len(payload.len()) + mask.len() + payload.len());
    header::append_masked(reserved, opcode, payload.len(), mask, out);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], mask);
}
