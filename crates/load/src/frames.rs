//! The wire in bytes, as cheap as it can be: frames made in advance, in which only digits change, and
//! what has come cut into messages where it lies.

use anyhow::Context;
use websocket::{Opcode, encode_masked};

/// RFC 6455 §5.3 wants a new one for each frame, against proxies that mix up answers; the bytes here
/// are the generator's own.
const MASK: [u8; 4] = [0x5A, 0x17, 0xC3, 0x9E];

/// A text message's frame from client to server, with numbers of a fixed width to be filled in.
#[derive(Debug)]
pub(crate) struct Template {
    frame: Vec<u8>,
    /// Where the payload begins.
    payload: usize,
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut frame = Vec::new();
        encode_masked(Opcode::Text, text.as_bytes(), MASK, &mut frame);
        let payload = frame.len() - text.len();
        Self { frame, payload }
    }

    /// Writes `number` with `width` digits at byte `at` of the text; what is above is cut off.
    pub(crate) fn fill(&mut self, at: usize, width: usize, mut number: u64) {
        for place in (at..at + width).rev() {
            let digit = b'0' + (number % 10) as u8;
            self.frame[self.payload + place] = digit ^ MASK[place % 4];
            number /= 10;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frame
    }
}

/// A pong's frame.
pub(crate) fn pong(ping: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked(Opcode::Pong, ping, MASK, &mut frame);
    frame
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(&'a [u8]),
}

/// The first frame of `input`, and its length, if it is there whole.
///
/// # Errors
///
/// What the server never sends: a fragment, a binary or a masked message, one that is compressed, though
/// that was not agreed on.
pub(crate) fn split(input: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
    let Some((&[first, short], rest)) = input.split_first_chunk() else {
        return Ok(None);
    };
    let is_known = matches!(first, 0x81 | 0x88 | 0x89 | 0x8A) && short & 0x80 == 0;
    anyhow::ensure!(
        is_known,
        "the server sent a frame that begins with {first:#04x} {short:#04x}"
    );
    let (length, header) = match short {
        126 => match rest.first_chunk() {
            Some(length) => (u16::from_be_bytes(*length).into(), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        _ => (short.into(), 2),
    };
    let length = usize::try_from(length).context("a frame longer than memory")?;
    let end = header + length;
    let Some(payload) = input.get(header..end) else {
        return Ok(None);
    };
    let frame = match first {
        0x81 => Frame::Text(payload),
        0x89 => Frame::Ping(payload),
        0x8A => Frame::Pong,
        _ => Frame::Close(payload),
    };
    Ok(Some((frame, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_filled_into_a_masked_frame() {
        for length in [40, 200, 70_000] {
            let text = format!(r#"{{"id":0000,"text":"{}"}}"#, ".".repeat(length));
            let mut template = Template::new(&text);
            template.fill(6, 4, 123);
            template.fill(6, 4, 94_567);
            let mut expected = Vec::new();
            let text = text.replace("0000", "4567");
            encode_masked(Opcode::Text, text.as_bytes(), MASK, &mut expected);
            assert_eq!(template.bytes(), expected);
        }
    }

    #[test]
    fn a_frame_is_found_when_it_is_whole() {
        let long = [b"\x81\x7E\x00\x80".as_slice(), &[b'x'; 128]].concat();
        for (bytes, frame) in [
            (b"\x81\x02ok".as_slice(), Frame::Text(b"ok")),
            (b"\x89\x01!", Frame::Ping(b"!")),
            (b"\x8A\x00", Frame::Pong),
            (b"\x88\x02\x03\xE8", Frame::Close(b"\x03\xE8")),
            (&long, Frame::Text(&[b'x'; 128])),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(split(&bytes[..end]).unwrap(), None);
            }
            let with_more = [bytes, b"\x81\x02more"].concat();
            assert_eq!(split(&with_more).unwrap(), Some((frame, bytes.len())));
        }
    }

    #[test]
    fn what_the_server_never_sends_is_an_error() {
        for bytes in [b"\x01\x00".as_slice(), b"\x82\x00", b"\xC1\x00"] {
            assert!(split(bytes).is_err(), "{bytes:?}");
        }
        assert!(split(b"\x81\x80\0\0\0\0").is_err());
    }
}
