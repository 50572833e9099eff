//! WebSocket as the load needs it: short text messages in one frame each (RFC 6455 §5.2).

use std::net::SocketAddr;

use super::{link::Link, protocol::shown};

/// RFC 6455 §5.3 wants a new one for each frame, against proxies; there is none.
const MASK: [u8; 4] = [0x5A, 0x17, 0xC3, 0x9E];
/// FIN, and the opcode.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
}

/// Opens a WebSocket; what the server says after that is read later.
pub(super) async fn open(address: SocketAddr, target: &str) -> anyhow::Result<Link> {
    let mut link = Link::connect(address).await?;
    // RFC 6455 §1.2 has this key. Nothing between here and the server would mix up answers.
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    link.out.extend(request.bytes());
    let answer = link.read_until(b"\r\n\r\n").await?;
    anyhow::ensure!(
        answer.starts_with(b"HTTP/1.1 101 "),
        "the server refused: {}",
        shown(&answer)
    );
    Ok(link)
}

/// The first message of `input`, and how many bytes its frame is; `None` if it has not come whole.
pub(super) fn split(input: &[u8]) -> anyhow::Result<Option<(Message<'_>, usize)>> {
    let Some((&[first, short], rest)) = input.split_first_chunk() else {
        return Ok(None);
    };
    let (length, header) = match (short, rest.first_chunk()) {
        (..126, _) => (usize::from(short), 2),
        (126, Some(&length)) => (u16::from_be_bytes(length).into(), 4),
        (126, None) => return Ok(None),
        _ => anyhow::bail!("the server sent a masked frame, or one of more than 64 KiB"),
    };
    let Some(payload) = input.get(header..header + length) else {
        return Ok(None);
    };
    let message = match first {
        TEXT => Message::Text(payload),
        PING => Message::Ping(payload),
        PONG => Message::Pong,
        CLOSE => anyhow::bail!("the server closed with {}", close(payload)),
        _ => anyhow::bail!("the server sent a frame that begins with {first:#04x}"),
    };
    Ok(Some((message, header + length)))
}

/// The code and the reason of a close (RFC 6455 §5.5.1).
fn close(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((&code, reason)) => format!("{}: {}", u16::from_be_bytes(code), shown(reason)),
        None => "no code".to_owned(),
    }
}

/// Appends a text message, whose payload is `parts` one after the other.
pub(super) fn text(parts: &[&[u8]], out: &mut Vec<u8>) {
    frame(TEXT, parts, out);
}

/// Appends a pong with the payload of a ping (RFC 6455 §5.5.3).
pub(super) fn pong(ping: &[u8], out: &mut Vec<u8>) {
    frame(PONG, &[ping], out);
}

fn frame(first: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    for (index, byte) in out[start..].iter_mut().enumerate() {
        *byte ^= MASK[index % MASK.len()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_masked_and_tells_its_length_in_the_shortest_way() {
        let mut out = Vec::new();
        text(&[b"H", b"i"], &mut out);
        let hi = [b'H' ^ 0x5A, b'i' ^ 0x17];
        assert_eq!(
            out,
            [&[0x81, 0x82, 0x5A, 0x17, 0xC3, 0x9E], &hi[..]].concat()
        );
        out.clear();
        text(&[&[0; 126]], &mut out);
        assert_eq!(out[..4], [0x81, 0xFE, 0, 126]);
    }

    #[test]
    fn messages_are_split_wherever_the_reads_end() {
        let bytes = [
            b"\x81\x02ok".as_slice(),
            b"\x89\x01!",
            b"\x81\x7E\x00\x80",
            &[b'x'; 128],
        ]
        .concat();
        for end in 0..4 {
            assert_eq!(split(&bytes[..end]).unwrap(), None);
        }
        let ok = Message::Text(b"ok");
        assert_eq!(split(&bytes).unwrap(), Some((ok, 4)));
        assert_eq!(split(&bytes[4..]).unwrap(), Some((Message::Ping(b"!"), 3)));
        let long = Message::Text(&[b'x'; 128]);
        assert_eq!(split(&bytes[7..]).unwrap(), Some((long, 132)));
        for end in 7..bytes.len() {
            assert_eq!(split(&bytes[7..end]).unwrap(), None);
        }
    }

    #[test]
    fn a_close_and_a_fragment_are_errors() {
        for bytes in [b"\x88\x00", b"\x01\x00", b"\x82\x00", b"\x81\x80"] {
            assert!(split(bytes).is_err());
        }
        let close = split(b"\x88\x05\x03\xE9bye").unwrap_err();
        assert_eq!(close.to_string(), "the server closed with 1001: bye");
    }
}
