//! Frames of a peer.

use std::borrow::Cow;

use allocation_counter::measure;
use websocket::{Close, Decoder, Event, Frame, Limits, Opcode, ProtocolError, Role, encode_masked};

/// What a decoder may hold beside bytes that came: the box of its state, and what a growing
/// vector begins with.
const OVERHEAD: i64 = 256;

/// The first byte chooses our role (1) and the limit of messages (6), the second seeds how the
/// rest is cut into reads.
pub fn decoder(data: &[u8]) {
    let Some(([settings, seed], bytes)) = data.split_first_chunk() else {
        return;
    };
    let role = match settings & 1 {
        0 => Role::Server,
        _ => Role::Client,
    };
    let limits = Limits {
        max_message: [10, 125, 1000, 65_536][usize::from(settings >> 1 & 3)],
    };

    let at_once = hear(role, limits, [bytes]);
    check_events(&at_once.events, limits);
    let in_bytes = hear(role, limits, bytes.chunks(1));
    assert_eq!(in_bytes, at_once, "byte by byte");
    let in_pieces = hear(role, limits, cut(bytes, *seed));
    assert_eq!(in_pieces, at_once, "in pieces");

    // What our encoder writes of it is heard as the same.
    let again = hear(role, limits, [&*encode(role, *seed, &at_once.events)]);
    assert_eq!(again.events, at_once.events, "written anew");
    assert_eq!(again.error, None);
}

/// What came of some bytes.
#[derive(Debug, PartialEq)]
struct Heard {
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
}

/// Gives `pieces` to a new decoder, and watches its memory.
fn hear<'p>(role: Role, limits: Limits, pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut decoder = Decoder::new(role, limits);
    let mut events = Vec::new();
    let mut error = None;
    // Bytes that came since the decoder last held nothing, and what it holds for them.
    let (mut came, mut held) = (0, 0);
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let before = input.len();
            let mut received = Ok(None);
            let used = measure(|| received = decoder.receive(&mut input));
            came += i64::try_from(before - input.len()).unwrap();
            held += used.bytes_current - received.as_ref().map_or(0, given_away);
            // A vector that grows is for a moment there twice.
            let peak = i64::try_from(used.bytes_max).unwrap();
            assert!(peak <= 4 * came + OVERHEAD, "{peak} bytes for {came}");
            assert!(held <= 2 * came + OVERHEAD, "{held} bytes for {came}");
            if decoder.is_idle() {
                assert_eq!(held, 0, "an idle decoder holds memory");
                came = 0;
            }
            match received {
                Ok(Some(event)) => {
                    assert_eq!(error, None, "an event after an error");
                    assert!(!ended(&events), "an event after a close");
                    events.push(event.into_owned());
                }
                Ok(None) => {
                    assert!(
                        input.is_empty(),
                        "more is asked for, {} are left",
                        input.len()
                    );
                    break;
                }
                Err(now) => {
                    assert_eq!(*error.get_or_insert(now), now, "another error");
                    break;
                }
            }
        }
        if error.is_some() {
            assert!(decoder.is_idle());
            assert_eq!(decoder.receive(&mut &mut [][..]), Err(error.unwrap()));
        }
    }
    if ended(&events) {
        assert!(decoder.is_idle());
        let mut more = *b"\x81\x00";
        let mut input = &mut more[..];
        assert_eq!(decoder.receive(&mut input), Ok(None));
        assert!(input.is_empty());
    }
    Heard { events, error }
}

fn ended(events: &[Event<'_>]) -> bool {
    matches!(events.last(), Some(Event::Close(_)))
}

/// Memory that goes to the caller with the event.
fn given_away(event: &Option<Event<'_>>) -> i64 {
    let bytes = match event {
        Some(Event::Text(Cow::Owned(text))) => text.capacity(),
        Some(
            Event::Binary(Cow::Owned(bytes))
            | Event::Ping(Cow::Owned(bytes))
            | Event::Pong(Cow::Owned(bytes)),
        ) => bytes.capacity(),
        Some(Event::Close(Some(close))) => close.reason.capacity(),
        _ => 0,
    };
    i64::try_from(bytes).unwrap()
}

fn check_events(events: &[Event<'_>], limits: Limits) {
    for event in events {
        match event {
            Event::Text(text) => assert!(text.len() <= limits.max_message),
            Event::Binary(bytes) => assert!(bytes.len() <= limits.max_message),
            Event::Ping(payload) | Event::Pong(payload) => assert!(payload.len() <= 125),
            Event::Close(Some(close)) => {
                assert!(close.code.is_sendable());
                assert!(close.reason.len() <= 123);
            }
            Event::Close(None) => {}
        }
    }
}

/// Cuts `bytes` into pieces of 0 to 17 bytes, or of up to 255 now and then.
fn cut(mut bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed) + 1;
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // A linear congruence (Numerical Recipes) is random enough to cut by.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = if state >> 29 == 0 { 256 } else { 18 };
        let length = (state >> 8) as usize % most;
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The events as the peer of `role` would send them.
fn encode(role: Role, seed: u8, events: &[Event<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let (opcode, payload, frame) = match event {
            Event::Text(text) => (Opcode::Text, text.as_bytes().to_vec(), Frame::text(text)),
            Event::Binary(bytes) => (Opcode::Binary, bytes.to_vec(), Frame::binary(bytes)),
            Event::Ping(payload) => (Opcode::Ping, payload.to_vec(), Frame::ping(payload)),
            Event::Pong(payload) => (Opcode::Pong, payload.to_vec(), Frame::pong(payload)),
            Event::Close(close) => {
                let payload = close.as_ref().map(Close::payload).unwrap_or_default();
                (Opcode::Close, payload, Frame::close(close.as_ref()))
            }
        };
        match role {
            Role::Client => bytes.extend_from_slice(frame.as_bytes()),
            Role::Server => encode_masked(opcode, &payload, [seed, 1, 2, !seed], &mut bytes),
        }
    }
    bytes
}
