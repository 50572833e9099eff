//! Each breach of the protocol, and what everyone makes of it.

use websocket::{ProtocolError, Role};

use crate::peers::*;

/// A breach, and the close code that RFC 6455 gives it (§7.4.1).
struct Breach {
    name: &'static str,
    code: u16,
    frames: Vec<Piece>,
}

/// A frame, right or wrong.
struct Piece {
    first: u8,
    payload: Vec<u8>,
    /// The length as it is written, and in how many bytes; as it should be if absent.
    length: Option<(u64, Form)>,
    /// Whether a frame that has to have a mask has none, and the other way round.
    wrong_mask: bool,
}

#[derive(Clone, Copy)]
enum Form {
    Of16Bits,
    Of64Bits,
}

fn piece(first: u8, payload: &[u8]) -> Piece {
    Piece {
        first,
        payload: payload.to_vec(),
        length: None,
        wrong_mask: false,
    }
}

/// The frame as the peer of `role` would send it.
fn write(role: Role, piece: &Piece, bytes: &mut Vec<u8>) {
    let length = piece.payload.len() as u64;
    let masked = (role == Role::Server) != piece.wrong_mask;
    let mask_bit = if masked { 0x80 } else { 0 };
    bytes.push(piece.first);
    let form = match length {
        0..=125 => None,
        126..=0xFFFF => Some((length, Form::Of16Bits)),
        _ => Some((length, Form::Of64Bits)),
    };
    match piece.length.or(form) {
        None => bytes.push(mask_bit | length as u8),
        Some((length, Form::Of16Bits)) => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        Some((length, Form::Of64Bits)) => {
            bytes.push(mask_bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    let key = if masked { [9, 8, 7, 6] } else { [0; 4] };
    if masked {
        bytes.extend(key);
    }
    bytes.extend(
        piece
            .payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

fn breaches() -> Vec<Breach> {
    let mut all = Vec::new();
    let mut add = |name, code, frames: Vec<Piece>| all.push(Breach { name, code, frames });
    let length = |first, payload: &[u8], length, form| Piece {
        length: Some((length, form)),
        ..piece(first, payload)
    };

    // §5.2
    add("RSV1", 1002, vec![piece(0xC1, b"x")]);
    add("RSV2", 1002, vec![piece(0xA1, b"x")]);
    add("RSV3", 1002, vec![piece(0x91, b"x")]);
    add("RSV1 on a ping", 1002, vec![piece(0xC9, b"")]);
    add(
        "RSV1 on a continuation",
        1002,
        vec![piece(0x01, b"x"), piece(0xC0, b"y")],
    );
    add("reserved data opcode", 1002, vec![piece(0x83, b"x")]);
    add("reserved control opcode", 1002, vec![piece(0x8B, b"")]);
    add(
        "length in 16 bits that fits in 7",
        1002,
        vec![length(0x82, b"abc", 3, Form::Of16Bits)],
    );
    add(
        "length in 64 bits that fits in 7",
        1002,
        vec![length(0x82, b"abc", 3, Form::Of64Bits)],
    );
    let long = [b'x'; 200];
    add(
        "length in 64 bits that fits in 16",
        1002,
        vec![length(0x82, &long, 200, Form::Of64Bits)],
    );
    add(
        "length with its top bit",
        1002,
        vec![length(0x82, b"", 1 << 63, Form::Of64Bits)],
    );
    // §5.1
    add(
        "wrong mask",
        1002,
        vec![Piece {
            wrong_mask: true,
            ..piece(0x81, b"x")
        }],
    );
    // §5.4 and §5.5
    add("fragmented ping", 1002, vec![piece(0x09, b"x")]);
    add("fragmented close", 1002, vec![piece(0x08, b"")]);
    add(
        "length of a ping in 16 bits",
        1002,
        vec![length(0x89, b"p", 1, Form::Of16Bits)],
    );
    add("ping of 126 bytes", 1002, vec![piece(0x89, &[0; 126])]);
    add(
        "close of 126 bytes",
        1002,
        vec![piece(0x88, &[&b"\x03\xE8"[..], &[b'x'; 124]].concat())],
    );
    add("continuation of nothing", 1002, vec![piece(0x80, b"x")]);
    add(
        "continuation of what has ended",
        1002,
        vec![piece(0x01, b"x"), piece(0x80, b"y"), piece(0x80, b"z")],
    );
    add(
        "message in a message",
        1002,
        vec![piece(0x01, b"x"), piece(0x81, b"y")],
    );
    add(
        "fragment in a message",
        1002,
        vec![piece(0x02, b"x"), piece(0x01, b"y")],
    );
    // §5.5.1 and §7.4
    add("half a close code", 1002, vec![piece(0x88, b"\x03")]);
    for (name, code) in [
        ("close 0", 0_u16),
        ("close 999", 999),
        ("close 1004", 1004),
        ("close 1005", 1005),
        ("close 1006", 1006),
        ("close 1015", 1015),
        ("close 1016", 1016),
        ("close 2999", 2999),
        ("close 5000", 5000),
        ("close 65535", 65535),
    ] {
        add(name, 1002, vec![piece(0x88, &code.to_be_bytes())]);
    }
    add(
        "close reason that is not UTF-8",
        1007,
        vec![piece(0x88, b"\x03\xE8\xC3\x28")],
    );
    // §8.1
    for (name, text) in [
        ("text with a lone continuation byte", &b"ok \x80"[..]),
        ("text with an overlong form", b"\xC0\xAF"),
        ("text with a surrogate", b"\xED\xA0\x80"),
        ("text above U+10FFFF", b"\xF4\x90\x80\x80"),
        ("text that ends in a code point", b"\xEA\xB0"),
    ] {
        add(name, 1007, vec![piece(0x81, text)]);
    }
    add(
        "text cut wrong by fragments",
        1007,
        vec![piece(0x01, b"\xEA\xB0"), piece(0x80, b"x")],
    );
    add(
        "fragmented text that ends in a code point",
        1007,
        vec![piece(0x01, b"\xEA"), piece(0x80, b"\xB0")],
    );
    add(
        "text cut in a code point, then an empty end",
        1007,
        vec![piece(0x01, b"\xEA\xB0"), piece(0x80, b"")],
    );
    // §10.4
    add(
        "message over the limit",
        1009,
        vec![piece(0x82, &[0; LIMIT + 1])],
    );
    add(
        "fragments over the limit",
        1009,
        vec![piece(0x02, &[0; LIMIT - 1]), piece(0x80, b"xx")],
    );
    all
}

/// Where another one ends otherwise than the RFC has it: who, with which breach, and how. Of those
/// that it lets pass we are the stricter; the others have another code for the same end.
///
/// The list is exact: a difference that is gone has to go from it too.
const KNOWN: &[(&str, &str, End)] = &[
    // §5.2 has the shortest form as a rule for senders ("MUST be used"); tungstenite takes any.
    ("tungstenite", "length in 16 bits that fits in 7", End::Fine),
    ("tungstenite", "length in 64 bits that fits in 7", End::Fine),
    (
        "tungstenite",
        "length in 64 bits that fits in 16",
        End::Fine,
    ),
    // It is a length that cannot be (1002), and one that is far over the limit (1009).
    ("tungstenite", "length with its top bit", End::Refused(1009)),
    (
        "tokio-websockets",
        "length with its top bit",
        End::Refused(1009),
    ),
    ("tungstenite", "length of a ping in 16 bits", End::Fine),
    // It checks text frame by frame and passes over empty ones, the last included.
    (
        "tokio-websockets",
        "text cut in a code point, then an empty end",
        End::Fine,
    ),
];

/// 1014 (Bad Gateway) was registered after the RFC; tungstenite counts it as reserved.
const UNKNOWN_CODE: (&str, u16) = ("tungstenite", 1014);

#[test]
fn each_breach_is_refused_with_its_code() {
    let greeting = [piece(0x81, b"hello"), piece(0x89, b"")];
    let mut differences = Vec::new();
    for breach in breaches() {
        for role in ROLES {
            let mut bytes = Vec::new();
            for piece in greeting.iter().chain(&breach.frames) {
                write(role, piece, &mut bytes);
            }
            let ours = we_hear(role, &bytes);
            let expected = End::Refused(breach.code);
            assert_eq!(ours.end, expected, "{}, {role:?}", breach.name);
            for peer in &OTHERS {
                let theirs = (peer.hear)(role, &bytes);
                assert_eq!(theirs.said[..2], ours.said[..2], "{}", peer.name);
                let difference = (peer.name, breach.name, theirs.end);
                if theirs != ours && !differences.contains(&difference) {
                    differences.push(difference);
                }
            }
        }
    }
    assert_eq!(differences, KNOWN);
}

#[test]
fn each_code_that_may_be_sent_is_taken() {
    for code in (1000..=1003)
        .chain(1007..=1014)
        .chain([3000, 3999, 4000, 4999])
    {
        let said = [Said::Close(Some((code, "왜".into())))];
        for role in ROLES {
            let bytes = we_write(other(role), &said);
            assert_eq!(we_hear(role, &bytes), Heard::fine(&said));
            for peer in &OTHERS {
                let heard = (peer.hear)(role, &bytes);
                if (peer.name, code) == UNKNOWN_CODE {
                    assert_eq!(heard.end, End::Refused(1002));
                } else {
                    assert_eq!(heard, Heard::fine(&said), "{}", peer.name);
                }
            }
        }
    }
}

/// Whether the two may differ about bytes in which we heard this and came to this error, by what is
/// known.
pub(crate) fn may_differ(peer: &Peer, ours: &Heard, error: Option<ProtocolError>) -> bool {
    let code = match ours.said.last() {
        Some(Said::Close(Some((code, _)))) => Some(*code),
        _ => None,
    };
    match (peer.name, error) {
        // A control frame with a length in another form is too long by its header for us.
        ("tungstenite", Some(ProtocolError::LengthNotMinimal | ProtocolError::ControlTooLong)) => {
            true
        }
        ("tokio-websockets", Some(ProtocolError::NotUtf8)) => true,
        (name, _) => code.is_some_and(|code| (name, code) == UNKNOWN_CODE),
    }
}
