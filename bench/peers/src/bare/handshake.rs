//! RFC 6455 §4.2, as far as a client that does everything right needs it.

use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};

use super::invalid;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    key: &'a str,
}

/// The request and what is behind it, when its head is there as a whole.
pub(super) fn parse(input: &[u8]) -> io::Result<Option<(Request<'_>, &[u8])>> {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = str::from_utf8(&input[..end]).map_err(|_| invalid("a head is no text"))?;
    let mut lines = head.split("\r\n");
    let path = lines.next().and_then(|line| line.split(' ').nth(1));
    let key = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    match (path, key) {
        (Some(path), Some((_, key))) => {
            let key = key.trim();
            Ok(Some((Request { path, key }, &input[end + 4..])))
        }
        _ => Err(invalid("no WebSocket handshake")),
    }
}

impl Request<'_> {
    pub(super) fn answer(&self) -> String {
        let digest = Sha1::new().chain_update(self.key).chain_update(GUID);
        let accept = BASE64_STANDARD.encode(digest.finalize());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let head = b"GET /rooms/7 HTTP/1.1\r\nHost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81";
        assert!(parse(&head[..head.len() - 2]).unwrap().is_none());
        let (request, behind) = parse(head).unwrap().unwrap();
        assert_eq!((request.path, behind), ("/rooms/7", b"\x81".as_slice()));
        assert!(
            request
                .answer()
                .contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
        );
        assert!(parse(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
