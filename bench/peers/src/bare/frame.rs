//! RFC 6455 §5: whole text frames, in and out.

use std::io;

use super::invalid;

/// A text as it came: masked.
pub(super) struct Message<'a> {
    mask: [u8; 4],
    masked: &'a [u8],
}

/// The first message, and what is behind it; `None` when it has not come whole. Control frames are passed
/// over; a close is an error, as it ends the connection.
pub(super) fn next(mut input: &[u8]) -> io::Result<Option<(Message<'_>, &[u8])>> {
    loop {
        let Some((&[first, second], rest)) = input.split_first_chunk() else {
            return Ok(None);
        };
        let (length, rest) = match second & 0x7F {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u16::from_be_bytes(*length).into(), rest),
                None => return Ok(None),
            },
            127 => return Err(invalid("a message is too long")),
            length => (usize::from(length), rest),
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let Some((masked, behind)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        match first {
            0x81 => return Ok(Some((Message { mask, masked }, behind))),
            0x89 | 0x8A => input = behind,
            _ => return Err(invalid("a close, or a frame that is no text")),
        }
    }
}

/// Appends the frame from server to client.
pub(super) fn encode(message: &Message<'_>, out: &mut Vec<u8>) {
    out.push(0x81);
    match message.masked.len() {
        length @ ..126 => out.push(length as u8),
        length => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
    }
    let start = out.len();
    out.extend_from_slice(message.masked);
    for four in out[start..].chunks_mut(4) {
        for (byte, mask) in four.iter_mut().zip(message.mask) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_out_unmasked() {
        let input = b"\x89\x80mask\x81\x82\x01\x02\x03\x04Ik\x81";
        for end in 0..input.len() - 1 {
            assert!(next(&input[..end]).unwrap().is_none(), "{end}");
        }
        let (message, behind) = next(input).unwrap().unwrap();
        let mut out = Vec::new();
        encode(&message, &mut out);
        assert_eq!(
            (&*out, behind),
            (b"\x81\x02Hi".as_slice(), b"\x81".as_slice())
        );
        assert!(next(b"\x88\x80mask").is_err());
    }

    #[test]
    fn a_long_text_has_its_length_in_two_bytes() {
        let input = [b"\x81\xFE\x01\x00mask".as_slice(), &[b'.'; 256]].concat();
        let (message, _) = next(&input).unwrap().unwrap();
        let mut out = Vec::new();
        encode(&message, &mut out);
        assert_eq!(out[..4], [0x81, 126, 1, 0]);
        assert_eq!(out.len(), 4 + 256);
    }
}
