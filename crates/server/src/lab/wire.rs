//! Bytes taken apart: where an HTTP answer and a frame end, and what each part says.

use std::io;

use serde::Serialize;

/// One thing on the wire, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Part {
    /// The connection is there: TCP's three packets, of which a program sees nothing.
    Connected,
    /// It is no more.
    Closed,
    /// A request or an answer (RFC 9112 §2.1): a head and what follows.
    Http {
        head: String,
        head_bytes: usize,
        body: String,
        body_bytes: usize,
    },
    /// A WebSocket frame (RFC 6455 §5.2), its payload unmasked.
    Frame {
        header: Vec<Field>,
        header_bytes: usize,
        payload: String,
        payload_bytes: usize,
    },
}

/// One part of a frame's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Field {
    /// Its bytes in hexadecimal, with spaces between.
    pub(super) hex: String,
    pub(super) means: Meaning,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "field", rename_all = "snake_case")]
pub(super) enum Meaning {
    /// The frame's kind, and whether it is the last of its message.
    Kind { opcode: u8, last: bool },
    /// The payload's bytes, and whether they are masked.
    Length { bytes: usize, masked: bool },
    /// The key that they are masked with.
    Mask,
}

impl Part {
    /// A request, or an answer, whose head has so many bytes.
    pub(super) fn http(bytes: &[u8], head: usize) -> Self {
        let (head, body) = bytes.split_at(head.min(bytes.len()));
        Self::Http {
            head: text(head),
            head_bytes: head.len(),
            body: text(body),
            body_bytes: body.len(),
        }
    }

    /// A whole frame.
    pub(super) fn frame(bytes: &[u8], shape: &Shape) -> Self {
        let (header, payload) = bytes.split_at(shape.header.min(bytes.len()));
        let mut payload = payload.to_vec();
        let (lengths, mask) = match shape.masked {
            true => header.split_at(header.len().saturating_sub(4)),
            false => (header, &[][..]),
        };
        // RFC 6455 §5.3: each byte is xor the key's, again and again.
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        let (kind, lengths) = lengths.split_at(lengths.len().min(1));
        let length = Meaning::Length {
            bytes: shape.payload,
            masked: shape.masked,
        };
        let kind_means = Meaning::Kind {
            opcode: shape.opcode,
            last: shape.last,
        };
        let mut fields = vec![Field::new(kind, kind_means), Field::new(lengths, length)];
        if shape.masked {
            fields.push(Field::new(mask, Meaning::Mask));
        }
        Self::Frame {
            header: fields,
            header_bytes: shape.header,
            payload_bytes: payload.len(),
            payload: text(close_text(shape.opcode, &payload)),
        }
    }
}

impl Field {
    fn new(bytes: &[u8], means: Meaning) -> Self {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            hex: hex.join(" "),
            means,
        }
    }
}

/// How long a frame's parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) opcode: u8,
    pub(super) last: bool,
    pub(super) masked: bool,
    pub(super) header: usize,
    pub(super) payload: usize,
}

/// The frame that bytes begin with, if it is whole (RFC 6455 §5.2).
pub(super) fn frame(bytes: &[u8]) -> Option<Shape> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let masked = second & 0x80 != 0;
    let (length, payload) = match second & 0x7f {
        126 => (2, big_endian(bytes.get(2..4)?)),
        127 => (8, big_endian(bytes.get(2..10)?)),
        short => (0, usize::from(short)),
    };
    let header: usize = 2 + length + if masked { 4 } else { 0 };
    let whole = header.checked_add(payload)?;
    (bytes.len() >= whole).then_some(Shape {
        opcode: first & 0x0f,
        last: first & 0x80 != 0,
        masked,
        header,
        payload,
    })
}

/// The bytes of the head and of the body of the answer that bytes begin with, if it is whole.
pub(super) fn answer(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    let length = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    let body: usize = length.unwrap_or_default();
    Ok((bytes.len() - head >= body).then_some((head, body)))
}

/// The status of an answer; 0 if it has none.
pub(super) fn status(bytes: &[u8]) -> u16 {
    let status = bytes
        .get(9..12)
        .and_then(|digits| str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

/// A close frame's reason, behind its code (RFC 6455 §5.5.1).
fn close_text(opcode: u8, payload: &[u8]) -> &[u8] {
    match (opcode, payload) {
        (8, [_, _, reason @ ..]) => reason,
        _ => payload,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
