//! Frames: masked ones made in advance, and those that come, wherever the reads end.

use anyhow::Context;

/// RFC 6455 §5.3 wants a new one for each frame, against proxies; there is none.
const MASK: [u8; 4] = [0x5A, 0x17, 0xC3, 0x9E];
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
pub(super) const TEXT: u8 = 0x81;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8A;

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// FIN, RSV, opcode.
    pub(super) first: u8,
    pub(super) payload: &'a [u8],
}

/// The first frame and what is behind it, or `None` while it is not whole.
pub(super) fn next(input: &[u8]) -> anyhow::Result<Option<(Frame<'_>, &[u8])>> {
    let Some((&[first, second], rest)) = input.split_first_chunk() else {
        return Ok(None);
    };
    anyhow::ensure!(first & FIN != 0, "the server sent a fragment");
    let (length, rest) = match second {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u16::from_be_bytes(*length).into(), rest),
            None => return Ok(None),
        },
        127.. => anyhow::bail!("the server sent a masked frame, or one of 64 KiB and more"),
        length => (usize::from(length), rest),
    };
    let Some((payload, behind)) = rest.split_at_checked(length) else {
        return Ok(None);
    };
    Ok(Some((Frame { first, payload }, behind)))
}

/// A frame of the client.
pub(super) fn masked(first: u8, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let length = u16::try_from(payload.len()).context("a message of 64 KiB and more")?;
    let mut frame = vec![first];
    match u8::try_from(length) {
        Ok(length @ ..126) => frame.push(MASKED | length),
        _ => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    Ok(frame)
}

/// Whose message it is, and the how manyth of theirs: `007.00001234` at the end of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) speaker: usize,
    pub(super) number: u32,
}

/// Bytes of the two parts.
const SPEAKER: usize = 3;
const NUMBER: usize = 8;

impl Stamp {
    pub(super) const BYTES: usize = SPEAKER + 1 + NUMBER;
    /// The first speaker that there cannot be.
    pub(super) const SPEAKERS: usize = 999;

    pub(super) fn text(self) -> String {
        let Self { speaker, number } = self;
        format!("{speaker:0SPEAKER$}.{number:0NUMBER$}")
    }

    /// Of a message that has so many bytes behind its stamp.
    pub(super) fn read(message: &[u8], behind: usize) -> Option<Self> {
        let (front, _) = message.split_at_checked(message.len().checked_sub(behind)?)?;
        let (front, number) = front.split_last_chunk::<NUMBER>()?;
        let (_, speaker) = front.strip_suffix(b".")?.split_last_chunk::<SPEAKER>()?;
        Some(Self {
            speaker: digits(speaker)? as usize,
            number: digits(number)?,
        })
    }
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u32::from(digit))
    })
}

/// A whole frame, of which only the number is written anew.
#[derive(Debug)]
pub(super) struct Template {
    frame: Vec<u8>,
    /// Where the number is in the frame, and in its payload.
    at: usize,
    in_payload: usize,
}

impl Template {
    /// Of a message that ends with a stamp and `behind` bytes more.
    pub(super) fn new(message: &str, behind: usize) -> anyhow::Result<Self> {
        Stamp::read(message.as_bytes(), behind).context("a message without a stamp")?;
        let frame = masked(TEXT, message.as_bytes())?;
        let from_end = behind + NUMBER;
        Ok(Self {
            at: frame.len() - from_end,
            in_payload: message.len() - from_end,
            frame,
        })
    }

    pub(super) fn numbered(&mut self, number: u32) -> &[u8] {
        let mut rest = number;
        for index in (0..NUMBER).rev() {
            let mask = MASK[(self.in_payload + index) % MASK.len()];
            self.frame[self.at + index] = (b'0' + (rest % 10) as u8) ^ mask;
            rest /= 10;
        }
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_when_it_is_whole_and_not_before() {
        let long = [b"\x81\x7E\x00\x80".as_slice(), &[b'x'; 128]].concat();
        for (input, payload) in [
            (b"\x81\x02ok".as_slice(), 2),
            (b"\x89\x00", 0),
            (&long, 128),
        ] {
            for end in 0..input.len() {
                assert_eq!(next(&input[..end]).unwrap(), None, "{end}");
            }
            let two = [input, b"\x81"].concat();
            let (frame, behind) = next(&two).unwrap().unwrap();
            assert_eq!((frame.payload.len(), behind), (payload, b"\x81".as_slice()));
        }
    }

    #[test]
    fn what_no_server_of_ours_sends_is_an_error() {
        for input in [b"\x01\x00".as_slice(), b"\x81\x81mask.", b"\x81\x7F"] {
            assert!(next(input).is_err());
        }
    }

    #[test]
    fn a_stamp_is_read_from_the_end_of_a_message() {
        let stamp = Stamp {
            speaker: 7,
            number: 1234,
        };
        let message = format!(r#"{{"text":"{}"}}"#, stamp.text());
        assert_eq!(stamp.text().len(), Stamp::BYTES);
        assert_eq!(Stamp::read(message.as_bytes(), 2), Some(stamp));
        assert_eq!(Stamp::read(message.as_bytes(), 3), None);
        assert_eq!(Stamp::read(b"", 2), None);
        assert_eq!(Stamp::read(br#"{"type":"presence","count":12}"#, 2), None);
    }

    #[test]
    fn a_template_is_the_frame_of_the_message_with_another_number() {
        for padding in 0..8 {
            let message = |number| {
                let stamp = Stamp { speaker: 3, number };
                format!(r#"{:.<padding$}{}"}}"#, "", stamp.text())
            };
            let mut template = Template::new(&message(0), 2).unwrap();
            for number in [0, 5, 99_999_999] {
                let frame = masked(TEXT, message(number).as_bytes()).unwrap();
                assert_eq!(template.numbered(number), frame);
            }
        }
        assert!(Template::new("no stamp", 2).is_err());
    }
}
