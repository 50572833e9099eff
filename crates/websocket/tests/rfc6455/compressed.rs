//! RFC 7692: compressed messages, in bytes and for both roles.

#![expect(
    clippy::unwrap_used,
    reason = "an agreement is what these tests begin with"
)]

use http::{HeaderMap, HeaderValue, Method, Version};
use websocket::handshake::server;
use websocket::{Decoder, Deflate, Event, Frame, Limits, Opcode, ProtocolError, Role};

use crate::support::*;

const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

/// "Hello" of RFC 7692 §7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn inflating(role: Role) -> Decoder {
    decoder(role).inflating()
}

/// What a server agrees to with these parameters.
fn deflate(params: &str) -> Deflate {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let offer = HeaderValue::from_str(&format!("permessage-deflate{params}")).unwrap();
    headers.insert("sec-websocket-extensions", offer);
    let upgrade = server::check(&Method::GET, Version::HTTP_11, &headers).unwrap();
    upgrade.deflate().unwrap()
}

fn both_ways(role: Role, bytes: &[u8]) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let whole = feed(&mut inflating(role), bytes);
    assert_eq!(feed_in_pieces(&mut inflating(role), bytes, 1), whole);
    whole
}

#[test]
fn a_compressed_message_is_read_whole_and_in_fragments() {
    for role in ROLES {
        let whole = frame(role, FIN | RSV1 | TEXT, &HELLO);
        assert_eq!(both_ways(role, &whole), (vec![text("Hello")], None));
        // §7.2.3.1 again, with a ping between its frames.
        let fragments = [
            frame(role, RSV1 | BINARY, &HELLO[..3]),
            frame(role, FIN | PING, b"p"),
            frame(role, CONTINUATION, b""),
            frame(role, FIN | CONTINUATION, &HELLO[3..]),
            frame(role, FIN | TEXT, b"plain"),
        ];
        let events = vec![ping(b"p"), binary(b"Hello"), text("plain")];
        assert_eq!(both_ways(role, &fragments.concat()), (events, None));
    }
}

#[test]
fn an_empty_message_may_be_compressed() {
    for role in ROLES {
        let bytes = frame(role, FIN | RSV1 | TEXT, &[0]);
        assert_eq!(both_ways(role, &bytes), (vec![text("")], None));
    }
}

#[test]
fn only_the_first_frame_of_a_data_message_has_rsv1() {
    for role in ROLES {
        for first in [CLOSE, PING, PONG] {
            let bytes = frame(role, FIN | RSV1 | first, b"");
            assert_eq!(
                both_ways(role, &bytes),
                (vec![], Some(ProtocolError::ReservedBits))
            );
        }
        let continued = [
            frame(role, RSV1 | TEXT, &HELLO[..3]),
            frame(role, FIN | RSV1 | CONTINUATION, &HELLO[3..]),
        ];
        assert_eq!(
            both_ways(role, &continued.concat()),
            (vec![], Some(ProtocolError::ReservedBits))
        );
        for bits in [RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV3] {
            let bytes = frame(role, FIN | bits | TEXT, &HELLO);
            assert_eq!(
                both_ways(role, &bytes),
                (vec![], Some(ProtocolError::ReservedBits))
            );
        }
    }
}

#[test]
fn without_an_agreement_rsv1_is_refused() {
    for role in ROLES {
        let bytes = frame(role, FIN | RSV1 | TEXT, &HELLO);
        assert_fails(role, &bytes, ProtocolError::ReservedBits);
    }
}

#[test]
fn damaged_and_cut_off_messages_are_refused_with_1007() {
    for role in ROLES {
        for payload in [&b"\xFF\xFF\xFF"[..], &HELLO[..5], &[0x06], b"Hello"] {
            let bytes = frame(role, FIN | RSV1 | BINARY, payload);
            let error = Some(ProtocolError::BadDeflate);
            assert_eq!(both_ways(role, &bytes), (vec![], error), "{payload:x?}");
        }
    }
    assert_eq!(ProtocolError::BadDeflate.close().code.get(), 1007);
}

#[test]
fn compressed_text_is_checked_as_text() {
    // A stored block with the byte FF.
    let payload = [0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00];
    for role in ROLES {
        let bytes = frame(role, FIN | RSV1 | TEXT, &payload);
        assert_eq!(
            both_ways(role, &bytes),
            (vec![], Some(ProtocolError::NotUtf8))
        );
        let bytes = frame(role, FIN | RSV1 | BINARY, &payload);
        assert_eq!(both_ways(role, &bytes), (vec![binary(&[0xFF])], None));
    }
}

#[test]
fn the_limit_is_for_what_the_message_becomes() {
    let mut bytes = Vec::new();
    deflate("").encode_masked(Opcode::Binary, &[7; 1001], MASK, &mut bytes);
    assert!(bytes.len() < 50, "{}", bytes.len());
    for (max_message, heard) in [(1001, Ok(Some(binary(&[7; 1001])))), (1000, Err(()))] {
        let mut decoder = Decoder::new(Role::Server, Limits { max_message }).inflating();
        let mut input = bytes.clone();
        let event = decoder.receive(&mut input.as_mut_slice());
        let event = event.map(|event| event.map(Event::into_owned));
        let too_big = ProtocolError::TooBig { limit: max_message };
        assert_eq!(event, heard.map_err(|()| too_big));
    }
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_its_payload() {
    for role in ROLES {
        let mut decoder = Decoder::new(role, Limits { max_message: 1000 }).inflating();
        // What cannot be compressed grows a little, so a little more than the limit may come.
        let mut bytes = header(role, FIN | RSV1 | BINARY, 126, &1200_u16.to_be_bytes());
        let error = ProtocolError::TooBig { limit: 1000 };
        assert_eq!(decoder.receive(&mut bytes.as_mut_slice()), Err(error));
    }
}

#[test]
fn what_cannot_be_compressed_passes_at_the_limit() {
    let noise: Vec<u8> = (0..60_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    // Blocks of 1,000 bytes, stored: five bytes more for each.
    let stored = noise.chunks(1000).flat_map(|chunk| {
        let length = (chunk.len() as u16).to_le_bytes();
        [&[0][..], &length, &length.map(|byte| !byte), chunk].concat()
    });
    let payload: Vec<u8> = stored.chain([0]).collect();
    let bytes = frame(Role::Server, FIN | RSV1 | BINARY, &payload);
    let limits = Limits {
        max_message: noise.len(),
    };
    let mut decoder = Decoder::new(Role::Server, limits).inflating();
    assert_eq!(feed(&mut decoder, &bytes), (vec![binary(&noise)], None));
}

#[test]
fn a_frame_is_compressed_once_for_all_who_want_it() {
    let frame = Frame::text("마당 ".repeat(50));
    let agreed = Some(deflate(""));
    let (first, second) = (frame.encode(agreed), frame.clone().encode(agreed));
    assert_eq!(first.payload().as_ptr(), second.payload().as_ptr());
    assert_eq!(first.header()[0], FIN | RSV1 | TEXT);
    // With a smaller window too, since it cannot reach further back than the message is long.
    let small = frame.encode(Some(deflate("; server_max_window_bits=9")));
    assert_eq!(small.payload().as_ptr(), first.payload().as_ptr());
    // Whoever did not agree gets it plain.
    assert_eq!(frame.encode(None).header()[0], FIN | TEXT);
    let bytes = [first.header(), first.payload()].concat();
    assert_eq!(
        feed(&mut inflating(Role::Client), &bytes),
        (vec![text(&"마당 ".repeat(50))], None)
    );
}

#[test]
fn frames_below_the_threshold_and_those_that_do_not_shrink_are_left() {
    let agreed = Some(deflate("").from_bytes_on(100));
    assert_eq!(
        Frame::text("x".repeat(99)).encode(agreed).header()[0],
        FIN | TEXT
    );
    assert_eq!(
        Frame::text("x".repeat(100)).encode(agreed).header()[0],
        FIN | RSV1 | TEXT
    );
    let everything = Some(deflate(""));
    assert_eq!(
        Frame::text("Hello").encode(everything).header()[0],
        FIN | TEXT
    );
    assert_eq!(
        Frame::ping(&[b'x'; 125]).encode(everything).header()[0],
        FIN | PING
    );
}

#[test]
fn a_client_compresses_what_shrinks() {
    let agreed = deflate("");
    let mut bytes = Vec::new();
    let long = "long ".repeat(100);
    agreed.encode_masked(Opcode::Text, long.as_bytes(), MASK, &mut bytes);
    agreed.encode_masked(Opcode::Text, b"short", MASK, &mut bytes);
    agreed.encode_masked(Opcode::Ping, &[b'p'; 125], MASK, &mut bytes);
    assert_eq!(bytes[0], FIN | RSV1 | TEXT);
    let events = vec![text(&long), text("short"), ping(&[b'p'; 125])];
    assert_eq!(both_ways(Role::Server, &bytes), (events, None));
}

#[test]
fn fragments_of_a_compressed_message_are_refused_by_the_header_that_goes_over() {
    let limits = Limits { max_message: 1000 };
    for role in ROLES {
        let mut decoder = Decoder::new(role, limits).inflating();
        let begun = frame(role, RSV1 | BINARY, &[0; 1000]);
        assert_eq!(feed(&mut decoder, &begun), (vec![], None));
        let over = header(role, FIN | CONTINUATION, 126, &200_u16.to_be_bytes());
        let error = ProtocolError::TooBig { limit: 1000 };
        assert_eq!(feed(&mut decoder, &over), (vec![], Some(error)));
    }
}

#[test]
fn a_bomb_in_fragments_stops_at_the_limit_and_leaves_no_trace() {
    let mut bomb = Vec::new();
    deflate("").encode_masked(Opcode::Binary, &vec![0; 1 << 20], [0; 4], &mut bomb);
    // Behind a header with a length of 16 bits and a mask of zeros.
    let payload = &bomb[8..];
    for role in ROLES {
        let mut bytes = Vec::new();
        let mut first = RSV1 | BINARY;
        for piece in payload.chunks(100) {
            bytes.extend(frame(role, first, piece));
            first = CONTINUATION;
        }
        bytes.extend(frame(role, FIN | CONTINUATION, b""));
        let limit = Limits::default().max_message;
        let error = ProtocolError::TooBig { limit };
        assert_eq!(both_ways(role, &bytes), (vec![], Some(error)));
        // The inflater serves the next connection of its thread.
        let hello = frame(role, FIN | RSV1 | TEXT, &HELLO);
        assert_eq!(both_ways(role, &hello), (vec![text("Hello")], None));
    }
}
