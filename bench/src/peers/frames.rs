//! The wire, as the load needs it: whole client frames made once, replies told apart by their headers.

use anyhow::Context;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// RFC 6455 §5.3 wants a new one for each frame, against proxies; there is none.
const MASK: [u8; 4] = [0x5A, 0x17, 0xC3, 0x9E];
const FIN: u8 = 0x80;
/// RFC 7692 §6: the message is compressed.
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
/// RFC 7692 §7.2.1: what a compressed message's end is cut by.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// So many bytes of a JSON array of chat messages: as compressible as those are.
pub(super) fn text(bytes: usize) -> Vec<u8> {
    let message = |number: u32| {
        let (user, room) = (number.wrapping_mul(2_654_435_761) % 1009, number % 17);
        format!(
            r#"{{"type":"message","room":"room-{room}","seq":{number},"from":"user-{user}","text":"see you at {}:{:02}"}},"#,
            user % 24,
            user % 60
        )
    };
    let mut text = b"[".to_vec();
    for number in 1.. {
        if text.len() >= bytes {
            break;
        }
        text.extend(message(number).bytes());
    }
    text.truncate(bytes);
    text
}

/// A text frame from client to server, compressed if `deflate`.
pub(super) fn frame(payload: &[u8], deflate: bool) -> anyhow::Result<Vec<u8>> {
    let compressed = if deflate {
        Some(compress(payload)?)
    } else {
        None
    };
    let rsv1 = if deflate { RSV1 } else { 0 };
    let payload = compressed.as_deref().unwrap_or(payload);
    let mut frame = vec![FIN | rsv1 | TEXT];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    Ok(frame)
}

fn compress(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len() + 64);
    let status = Compress::new(Compression::default(), false).compress_vec(
        payload,
        &mut out,
        FlushCompress::Sync,
    )?;
    anyhow::ensure!(status == Status::Ok, "the text does not compress");
    let cut = out.strip_suffix(&TAIL).context("no end of a block")?;
    Ok(cut.to_vec())
}

fn inflate(payload: &[u8], length: usize) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(length + 1);
    let input = [payload, &TAIL].concat();
    Decompress::new(false).decompress_vec(&input, &mut out, FlushDecompress::Sync)?;
    Ok(out)
}

/// A text message that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    /// Bytes of the payload, as sent.
    pub(super) length: u64,
    pub(super) compressed: bool,
}

impl Reply {
    /// Whether it may be the message that `length` bytes were, as far as its header tells.
    pub(super) fn may_be(self, length: usize) -> bool {
        if self.compressed {
            self.length < length as u64
        } else {
            self.length == length as u64
        }
    }
}

/// Whether a whole frame from the server holds this text.
pub(super) fn holds(frame: &[u8], text: &[u8]) -> anyhow::Result<bool> {
    let (header, _) = Header::parse(frame).context("no whole header")?;
    let payload = frame.get(header.bytes..).context("no payload")?;
    if header.first & RSV1 == 0 {
        return Ok(payload == text);
    }
    Ok(inflate(payload, text.len())? == text)
}

/// Finds where frames from the server end, with no look at what is in them.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// A header that has not come whole.
    so_far: Vec<u8>,
    /// The frame that we are in, and bytes of it that have not come.
    frame: Option<(Header, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    /// FIN, RSV, opcode.
    first: u8,
    /// Length of the header itself.
    bytes: usize,
    /// Length of the payload.
    length: u64,
}

impl Header {
    /// And how many bytes there are behind it.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[first, short], rest) = bytes.split_first_chunk()?;
        let (length, size) = match short {
            126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            _ => (short.into(), 2),
        };
        let header = Self {
            first,
            bytes: size,
            length,
        };
        Some((header, bytes.len() - size))
    }
}

impl Replies {
    /// Takes what was read, and tells of each text message that ends in it.
    ///
    /// Pings are passed over; anything else is an error, a close and a fragment among them.
    pub(super) fn receive(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(Reply),
    ) -> anyhow::Result<()> {
        while !input.is_empty() {
            let (header, missing) = match self.frame.take() {
                Some(frame) => frame,
                None if self.so_far.is_empty() => match Header::parse(input) {
                    Some((header, behind)) => {
                        input = &input[input.len() - behind..];
                        (header, header.length)
                    }
                    None => {
                        self.so_far.extend(input);
                        return Ok(());
                    }
                },
                None => {
                    self.so_far.push(input[0]);
                    input = &input[1..];
                    match Header::parse(&self.so_far) {
                        Some((header, _)) => {
                            self.so_far.clear();
                            (header, header.length)
                        }
                        None => continue,
                    }
                }
            };
            let here = usize::try_from(missing).map_or(input.len(), |bytes| bytes.min(input.len()));
            input = &input[here..];
            let missing = missing - here as u64;
            if missing > 0 {
                self.frame = Some((header, missing));
                continue;
            }
            match header.first & !RSV1 {
                0x81 => take(Reply {
                    length: header.length,
                    compressed: header.first & RSV1 != 0,
                }),
                0x89 => {}
                other => anyhow::bail!("the server sent a frame that begins with {other:#04x}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_length_asked_for() {
        for bytes in [1, 64, 4096, 65_536] {
            assert_eq!(text(bytes).len(), bytes);
        }
    }

    #[test]
    fn a_frame_is_masked_and_tells_its_length_in_the_shortest_way() {
        assert_eq!(
            frame(b"Hi", false).unwrap(),
            [0x81, 0x82, 0x5A, 0x17, 0xC3, 0x9E, b'H' ^ 0x5A, b'i' ^ 0x17]
        );
        assert_eq!(frame(&[0; 126], false).unwrap()[..4], [0x81, 0xFE, 0, 126]);
        assert_eq!(
            frame(&[0; 65_536], false).unwrap()[..10],
            [0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }

    #[test]
    fn replies_are_found_wherever_the_reads_end() {
        let bytes = [
            b"\x81\x02ok".as_slice(),
            b"\x89\x01!",
            b"\x81\x7E\x00\x80",
            &[b'x'; 128],
            b"\xC1\x03abc",
        ]
        .concat();
        for size in 1..bytes.len() {
            let mut replies = Replies::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                replies.receive(piece, |reply| found.push(reply)).unwrap();
            }
            let reply = |length, compressed| Reply { length, compressed };
            assert_eq!(
                found,
                [reply(2, false), reply(128, false), reply(3, true)],
                "{size}"
            );
        }
    }

    #[test]
    fn a_close_and_a_fragment_are_no_replies() {
        for bytes in [b"\x88\x00", b"\x01\x00", b"\x82\x00"] {
            assert!(Replies::default().receive(bytes, |_| {}).is_err());
        }
    }

    #[test]
    fn a_reply_is_compared_with_what_was_sent() {
        assert!(holds(b"\x81\x02ok", b"ok").unwrap());
        assert!(!holds(b"\x81\x02ok", b"no").unwrap());
        let text = text(4096);
        let compressed = compress(&text).unwrap();
        assert!(compressed.len() < 2048, "{}", compressed.len());
        let length = u16::try_from(compressed.len()).unwrap().to_be_bytes();
        let frame = [b"\xC1\x7E".as_slice(), &length, &compressed].concat();
        assert!(holds(&frame, &text).unwrap());
        assert!(!holds(&frame, &text[1..]).unwrap());
    }
}
