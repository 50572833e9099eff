//! Frames of a peer.

use std::borrow::Cow;

use allocation_counter::measure;
use websocket::{Close, Decoder, Event, Frame, Limits, Opcode, ProtocolError, Role, encode_masked};

use crate::inflate;

/// What a decoder may hold beside bytes that came: the box of its state, and what a growing
/// vector begins with.
const OVERHEAD: i64 = 256;

/// The first byte chooses our role (1), the limit of messages (6) and whether they may be compressed
/// (8), the second seeds how the rest is cut into reads.
pub fn decoder(data: &[u8]) {
    let Some(([settings, seed], bytes)) = data.split_first_chunk() else {
        return;
    };
    let role = match settings & 1 {
        0 => Role::Server,
        _ => Role::Client,
    };
    let rules = Rules {
        role,
        limits: Limits {
            max_message: [10, 125, 1000, 65_536][usize::from(settings >> 1 & 3)],
        },
        inflating: settings & 8 != 0,
    };
    inflate::warm_up();

    let at_once = hear(rules, [bytes]);
    check_events(&at_once.events, rules.limits);
    let in_bytes = hear(rules, bytes.chunks(1));
    assert_eq!(in_bytes, at_once, "byte by byte");
    let in_pieces = hear(rules, cut(bytes, *seed));
    assert_eq!(in_pieces, at_once, "in pieces");
    let in_parts = hear_in_parts(rules, cut(bytes, !*seed));
    assert_eq!(in_parts, at_once, "handed out as it comes");

    // What our encoder writes of it is heard as the same.
    let again = hear(rules, [&*encode(role, *seed, &at_once.events)]);
    assert_eq!(again.events, at_once.events, "written anew");
    assert_eq!(again.error, None);
}

/// What was agreed on.
#[derive(Clone, Copy)]
struct Rules {
    role: Role,
    limits: Limits,
    inflating: bool,
}

impl Rules {
    fn decoder(self) -> Decoder {
        let decoder = Decoder::new(self.role, self.limits);
        match self.inflating {
            true => decoder.inflating(),
            false => decoder,
        }
    }
}

/// What came of some bytes.
#[derive(Debug, PartialEq)]
struct Heard {
    events: Vec<Event<'static>>,
    error: Option<ProtocolError>,
}

/// Gives `pieces` to a new decoder, and watches its memory.
fn hear<'p>(rules: Rules, pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    // A compressed message is for a moment there as it came and as it becomes.
    let inflated = match rules.inflating {
        true => 3 * i64::try_from(rules.limits.max_message).unwrap(),
        false => 0,
    };
    let mut decoder = rules.decoder();
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
            assert!(
                peak <= 4 * came + inflated + OVERHEAD,
                "{peak} bytes for {came}"
            );
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
        if let Some(error) = error {
            assert!(decoder.is_idle());
            assert_eq!(decoder.receive(&mut &mut [][..]), Err(error));
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

/// The same where messages are handed out as they come, put together again.
fn hear_in_parts<'p>(rules: Rules, pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let mut decoder = rules.decoder().in_parts();
    let mut events = Vec::new();
    let (mut text_so_far, mut bytes_so_far) = (String::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let event = match decoder.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    return Heard {
                        events,
                        error: Some(error),
                    };
                }
            };
            match event {
                Event::TextPart { text, last } => {
                    assert!(last || !text.is_empty(), "an empty part");
                    text_so_far.push_str(&text);
                    if last {
                        events.push(Event::Text(std::mem::take(&mut text_so_far).into()));
                    }
                }
                Event::BinaryPart { bytes, last } => {
                    assert!(last || !bytes.is_empty(), "an empty part");
                    bytes_so_far.extend_from_slice(&bytes);
                    if last {
                        events.push(Event::Binary(std::mem::take(&mut bytes_so_far).into()));
                    }
                }
                Event::Text(_) | Event::Binary(_) => unreachable!("not in parts"),
                control => events.push(control.into_owned()),
            }
        }
    }
    Heard {
        events,
        error: None,
    }
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
            Event::TextPart { .. } | Event::BinaryPart { .. } => unreachable!("nobody asked"),
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
            Event::Text(text) => (Opcode::Text, text.as_bytes().to_vec(), Frame::text(&**text)),
            Event::Binary(bytes) => (
                Opcode::Binary,
                bytes.to_vec(),
                Frame::binary(bytes.to_vec()),
            ),
            Event::Ping(payload) => (Opcode::Ping, payload.to_vec(), Frame::ping(payload)),
            Event::Pong(payload) => (Opcode::Pong, payload.to_vec(), Frame::pong(payload)),
            Event::Close(close) => {
                let payload = close.as_ref().map(Close::payload).unwrap_or_default();
                (Opcode::Close, payload, Frame::close(close.as_ref()))
            }
            Event::TextPart { .. } | Event::BinaryPart { .. } => unreachable!("nobody asked"),
        };
        match role {
            Role::Client => bytes.extend(frame.to_bytes()),
            Role::Server => encode_masked(opcode, &payload, [seed, 1, 2, !seed], &mut bytes),
        }
    }
    bytes
}
