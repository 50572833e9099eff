use std::borrow::Cow;

use websocket::{Decoder, Event, Limits, ProtocolError, Role};

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// The key of every frame here that needs one.
pub(crate) const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A frame as the peer of `role` sends it: masked to a server, bare to a client. The length in
/// its shortest form.
pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    let mut bytes = match length {
        0..=125 => header(role, first, length as u8, &[]),
        126..=0xFFFF => header(role, first, 126, &length.to_be_bytes()[6..]),
        _ => header(role, first, 127, &length.to_be_bytes()),
    };
    let mask = if role == Role::Server { MASK } else { [0; 4] };
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// The header of a frame from the peer of `role`, with this length in this form.
pub(crate) fn header(role: Role, first: u8, short_length: u8, long_length: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => [&[first, 0x80 | short_length], long_length, &MASK].concat(),
        Role::Client => [&[first, short_length], long_length].concat(),
    }
}

pub(crate) fn decoder(role: Role) -> Decoder {
    Decoder::new(role, Limits::default())
}

/// What a new decoder makes of these bytes: its events, and its error if it comes to one.
pub(crate) fn decode(role: Role, bytes: &[u8]) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    feed(&mut decoder(role), bytes)
}

/// What a decoder makes of these bytes, given to it at once.
pub(crate) fn feed(
    decoder: &mut Decoder,
    bytes: &[u8],
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let mut bytes = bytes.to_vec();
    let mut input = bytes.as_mut_slice();
    let mut events = Vec::new();
    loop {
        match decoder.receive(&mut input) {
            Ok(Some(event)) => events.push(event.into_owned()),
            Ok(None) => {
                assert!(
                    input.is_empty(),
                    "more is asked for while {} are left",
                    input.len()
                );
                return (events, None);
            }
            Err(error) => return (events, Some(error)),
        }
    }
}

/// What a new decoder makes of these bytes, given to it in pieces of `size`.
pub(crate) fn decode_in_pieces(
    role: Role,
    bytes: &[u8],
    size: usize,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    feed_in_pieces(&mut decoder(role), bytes, size)
}

/// What a decoder makes of these bytes, given to it in pieces of `size`.
pub(crate) fn feed_in_pieces(
    decoder: &mut Decoder,
    bytes: &[u8],
    size: usize,
) -> (Vec<Event<'static>>, Option<ProtocolError>) {
    let mut events = Vec::new();
    for piece in bytes.chunks(size) {
        let (more, error) = feed(decoder, piece);
        events.extend(more);
        if error.is_some() {
            return (events, error);
        }
    }
    (events, None)
}

pub(crate) fn assert_fails(role: Role, bytes: &[u8], error: ProtocolError) {
    assert_eq!(
        decode(role, bytes),
        (vec![], Some(error)),
        "{role:?}, {bytes:02X?}"
    );
    assert_eq!(
        decode_in_pieces(role, bytes, 1),
        (vec![], Some(error)),
        "{role:?}, {bytes:02X?}"
    );
}

pub(crate) fn assert_events(role: Role, bytes: &[u8], events: &[Event<'static>]) {
    assert_eq!(decode(role, bytes), (events.to_vec(), None), "{role:?}");
    assert_eq!(
        decode_in_pieces(role, bytes, 1),
        (events.to_vec(), None),
        "{role:?}"
    );
}

pub(crate) fn text(text: &str) -> Event<'static> {
    Event::Text(Cow::Owned(text.to_owned()))
}

pub(crate) fn binary(payload: &[u8]) -> Event<'static> {
    Event::Binary(Cow::Owned(payload.to_vec()))
}

pub(crate) fn ping(payload: &[u8]) -> Event<'static> {
    Event::Ping(Cow::Owned(payload.to_vec()))
}

pub(crate) fn pong(payload: &[u8]) -> Event<'static> {
    Event::Pong(Cow::Owned(payload.to_vec()))
}
