//! What holds for any messages, any fragments and any reads.

use proptest::collection::vec;
use proptest::prelude::*;
use websocket::{Decoder, Event, Frame, Limits, Opcode, ProtocolError, Role, encode_masked};

use crate::support::*;

/// A message or control frame of a peer, and how it is cut into frames.
#[derive(Debug, Clone)]
struct Sent {
    event: Event<'static>,
    /// Where the payload is cut, in bytes of it; ignored for control frames.
    cuts: Vec<usize>,
    /// Pings that come before each continuation, as long as there are some.
    pings: Vec<Vec<u8>>,
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn sent() -> impl Strategy<Value = Sent> {
    let event = prop_oneof![
        4 => "\\PC{0,60}".prop_map(|string| text(&string)),
        1 => "[가-힣🎉]{40,90}".prop_map(|string| text(&string)),
        2 => vec(any::<u8>(), 0..300).prop_map(|payload| binary(&payload)),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| ping(&payload)),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| pong(&payload)),
    ];
    (
        event,
        vec(0..300_usize, 0..4),
        vec(vec(any::<u8>(), 0..10), 0..3),
    )
        .prop_map(|(event, cuts, pings)| Sent { event, cuts, pings })
}

/// Writes what was sent as the peer of `role` would, and what has to be heard of it.
fn write(role: Role, sent: &Sent, bytes: &mut Vec<u8>, heard: &mut Vec<Event<'static>>) {
    let (opcode, payload) = match &sent.event {
        Event::Text(text) => (TEXT, text.as_bytes()),
        Event::Binary(payload) => (BINARY, payload.as_ref()),
        Event::Ping(payload) => return control(role, PING, payload, &sent.event, bytes, heard),
        Event::Pong(payload) => return control(role, PONG, payload, &sent.event, bytes, heard),
        Event::TextPart { .. } | Event::BinaryPart { .. } | Event::Close(_) => return,
    };
    let mut cuts: Vec<_> = sent
        .cuts
        .iter()
        .map(|cut| cut % (payload.len() + 1))
        .collect();
    cuts.sort_unstable();
    let mut pings = sent.pings.iter();
    let (mut opcode, mut start) = (opcode, 0);
    for cut in cuts {
        bytes.extend(frame(role, opcode, &payload[start..cut]));
        (opcode, start) = (CONTINUATION, cut);
        if let Some(payload) = pings.next() {
            control(role, PING, payload, &ping(payload), bytes, heard);
        }
    }
    bytes.extend(frame(role, FIN | opcode, &payload[start..]));
    heard.push(sent.event.clone());
}

fn control(
    role: Role,
    opcode: u8,
    payload: &[u8],
    event: &Event<'static>,
    bytes: &mut Vec<u8>,
    heard: &mut Vec<Event<'static>>,
) {
    bytes.extend(frame(role, FIN | opcode, payload));
    heard.push(event.clone());
}

/// Feeds `bytes` in reads of these sizes, over and over.
fn decode_in_reads(
    role: Role,
    bytes: &[u8],
    reads: &[usize],
) -> (Vec<Event<'static>>, Option<ProtocolError>, Decoder) {
    let mut decoder = Decoder::new(role, Limits { max_message: 500 });
    let mut events = Vec::new();
    let mut rest = bytes;
    for read in reads.iter().cycle() {
        let (piece, after) = rest.split_at((*read).min(rest.len()));
        let (more, error) = feed(&mut decoder, piece);
        events.extend(more);
        if error.is_some() || after.is_empty() {
            return (events, error, decoder);
        }
        rest = after;
    }
    (events, None, decoder)
}

/// Bytes that look like frames more often than chance would have it.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        vec(any::<u8>(), 0..10),
        "\\PC{0,5}".prop_map(String::into_bytes)
    ];
    let frame =
        (role(), first, payload).prop_map(|(role, first, payload)| frame(role, first, &payload));
    prop_oneof![
        vec(frame, 0..8).prop_map(|frames| frames.concat()),
        vec(any::<u8>(), 0..100)
    ]
}

proptest! {
    #[test]
    fn any_messages_in_any_fragments_and_any_reads_are_heard_as_sent(
        role in role(),
        sent in vec(sent(), 0..8),
        reads in vec(1..80_usize, 1..20),
    ) {
        let (mut bytes, mut heard) = (Vec::new(), Vec::new());
        for sent in &sent {
            write(role, sent, &mut bytes, &mut heard);
        }
        let (events, error, decoder) = decode_in_reads(role, &bytes, &reads);
        prop_assert_eq!(events, heard);
        prop_assert_eq!(error, None);
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn any_bytes_end_in_events_or_an_error_whatever_the_reads(
        role in role(),
        bytes in nearly_frames(),
        reads in vec(1..30_usize, 1..20),
    ) {
        let (at_once, error_at_once, _) = decode_in_reads(role, &bytes, &[usize::MAX]);
        let (events, error, _) = decode_in_reads(role, &bytes, &reads);
        prop_assert_eq!(events, at_once);
        prop_assert_eq!(error, error_at_once);
    }

    #[test]
    fn what_one_side_writes_the_other_hears(
        string: String,
        payload in vec(any::<u8>(), 0..300),
        mask: [u8; 4],
    ) {
        let mut bytes = Vec::new();
        encode_masked(Opcode::Text, string.as_bytes(), mask, &mut bytes);
        encode_masked(Opcode::Binary, &payload, mask, &mut bytes);
        let heard = (vec![text(&string), binary(&payload)], None);
        prop_assert_eq!(decode(Role::Server, &bytes), heard.clone());

        let bytes = [Frame::text(string.as_str()).to_bytes(), Frame::binary(payload.clone()).to_bytes()];
        prop_assert_eq!(decode(Role::Client, &bytes.concat()), heard);
    }
}
