//! Compressed messages (RFC 7692 §7.2).

use std::cell::Cell;

use allocation_counter::measure;
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, Method, Version};
use websocket::handshake::server;
use websocket::{Decoder, Deflate, Event, Frame, Limits, Opcode, ProtocolError, Role};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;

/// The first byte chooses the limit of messages (3) and the bits of a window (28), the rest is what a
/// peer sends as a compressed message, and then a message that we compress.
pub fn inflate(data: &[u8]) {
    let Some((settings, bytes)) = data.split_first() else {
        return;
    };
    let limit = [10, 1000, 10_000, 65_536][usize::from(settings & 3)];
    let window_bits = 9 + (settings >> 2 & 7) % 7;
    warm_up();
    judge(bytes, limit);
    round_trip(bytes, window_bits);
}

/// Makes what serves all connections of a thread, which is nobody's memory in particular.
pub(crate) fn warm_up() {
    thread_local! {
        static WARM: Cell<bool> = const { Cell::new(false) };
    }
    if !WARM.replace(true) {
        let _ = receive(10, &[&frame(FIN | RSV1 | BINARY, &[0])]);
    }
}

/// What our client makes of a compressed message, against one inflated in one go.
fn judge(payload: &[u8], limit: usize) {
    let bytes = frame(FIN | RSV1 | BINARY, payload);
    let mut ours = Ok(None);
    let used = measure(|| ours = receive(limit, &[&bytes]));
    // The input is copied once; a vector that grows is for a moment there twice.
    let most = bytes.len() + 3 * limit + 1024;
    assert!(used.bytes_max <= most as u64, "{} bytes", used.bytes_max);

    match (&ours, reference(payload, 2 * limit)) {
        (Ok(Some(Event::Binary(message))), Some(whole)) => {
            assert!(message.len() <= limit);
            assert_eq!(**message, *whole.message);
            if whole.streams == 1 && !payload.is_empty() {
                // Another implementation, not zlib's.
                let input = [payload, &END].concat();
                let theirs = miniz_oxide::inflate::decompress_to_vec(&input);
                assert_eq!(theirs.ok().as_deref(), Some(&**message));
            }
        }
        (Err(ProtocolError::TooBig { limit: told }), whole) => {
            assert_eq!(*told, limit);
            let within = whole.is_some_and(|whole| whole.message.len() <= limit);
            assert!(!within || payload.len() > limit, "refused within the limit");
        }
        (Err(ProtocolError::BadDeflate), None) => {}
        (ours, whole) => unreachable!("{ours:?}, but {:?}", whole.map(|whole| whole.message)),
    }

    // The same in fragments and in pieces of them; and as a text, if it is one.
    let (start, end) = payload.split_at(payload.len() / 3);
    let fragments = [frame(RSV1 | BINARY, start), frame(FIN, end)].concat();
    let pieces: Vec<_> = fragments.chunks(13).collect();
    assert_eq!(receive(limit, &pieces), ours);
    let text = receive(limit, &[&frame(FIN | RSV1 | TEXT, payload)]);
    let expected = ours.and_then(|event| match event {
        Some(Event::Binary(bytes)) => match String::from_utf8(bytes.into_owned()) {
            Ok(text) => Ok(Some(Event::Text(text.into()))),
            Err(_) => Err(ProtocolError::NotUtf8),
        },
        other => Ok(other),
    });
    assert_eq!(text, expected);
}

/// What a client hears first.
fn receive(limit: usize, pieces: &[&[u8]]) -> Result<Option<Event<'static>>, ProtocolError> {
    let limits = Limits { max_message: limit };
    let mut decoder = Decoder::new(Role::Client, limits).inflating();
    for piece in pieces {
        let mut piece = piece.to_vec();
        if let Some(event) = decoder.receive(&mut piece.as_mut_slice())? {
            return Ok(Some(event.into_owned()));
        }
    }
    Ok(None)
}

/// A frame from a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Frame::binary(payload.to_vec()).to_bytes();
    bytes[0] = first;
    bytes
}

/// What is not sent at a message's end, and a last block (RFC 7692 §7.2.2).
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

struct Whole {
    message: Vec<u8>,
    /// One, and one more for each block that says that it is the last.
    streams: usize,
}

/// The message in one go, if it is whole and has at most so many bytes.
fn reference(payload: &[u8], most: usize) -> Option<Whole> {
    if payload.is_empty() {
        return Some(Whole {
            message: Vec::new(),
            streams: 1,
        });
    }
    let input = [payload, &END].concat();
    let mut rest = &input[..];
    let mut message = Vec::with_capacity(most + 1);
    let mut streams = 0;
    while !rest.is_empty() {
        let mut inflater = Decompress::new(false);
        let status = inflater.decompress_vec(rest, &mut message, FlushDecompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return None;
        }
        streams += 1;
        rest = &rest[usize::try_from(inflater.total_in()).unwrap()..];
    }
    (message.len() <= most).then_some(Whole { message, streams })
}

/// What we compress for either side becomes what it was, within the window that was agreed on.
fn round_trip(message: &[u8], window_bits: u8) {
    let deflate = agreement(window_bits);
    let limits = Limits {
        max_message: message.len(),
    };
    let expected = Ok(Some(Event::Binary(message.into())));

    let mut masked = Vec::new();
    deflate.encode_masked(Opcode::Binary, message, [1, 2, 3, 4], &mut masked);
    let mut decoder = Decoder::new(Role::Server, limits).inflating();
    assert_eq!(decoder.receive(&mut masked.as_mut_slice()), expected);

    let encoded = Frame::binary(message.to_vec()).encode(Some(deflate));
    let mut bytes = [encoded.header(), encoded.payload()].concat();
    let mut decoder = Decoder::new(Role::Client, limits).inflating();
    assert_eq!(decoder.receive(&mut bytes.as_mut_slice()), expected);

    if encoded.header()[0] & RSV1 == 0 {
        assert_eq!(encoded.payload(), message);
        return;
    }
    assert!(encoded.payload().len() < message.len(), "it did not shrink");
    // Given so little room at a time, an inflater has to find what is referred to in its window.
    let mut inflater = Decompress::new_with_window_bits(false, window_bits);
    let input = [encoded.payload(), &END].concat();
    let mut chunk = [0; 16];
    let mut inflated = Vec::new();
    loop {
        let read = usize::try_from(inflater.total_in()).unwrap();
        let written = inflater.total_out();
        let status = inflater.decompress(&input[read..], &mut chunk, FlushDecompress::None);
        let status = status.expect("it refers further back than was agreed on");
        let written = usize::try_from(inflater.total_out() - written).unwrap();
        inflated.extend_from_slice(&chunk[..written]);
        if status == Status::StreamEnd {
            break;
        }
    }
    assert_eq!(inflated, message);
}

fn agreement(window_bits: u8) -> Deflate {
    let offer = format!("permessage-deflate; server_max_window_bits={window_bits}");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", &*offer),
    ] {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let upgrade = server::check(&Method::GET, Version::HTTP_11, &headers).unwrap();
    upgrade.deflate().unwrap()
}
