//! §5.6 and §8.1: text is UTF-8, and is checked as it streams in.

use websocket::{ProtocolError, Role};

use crate::support::*;

/// Byte sequences that are not UTF-8, with the byte that cannot be made right by another.
const WRONG: [(&[u8], usize); 8] = [
    (b"\xFF", 0),
    (b"\x80", 0),
    (b"\xC0\xAF", 0),         // an overlong '/'
    (b"\xE0\x80\xAF", 1),     // the same in three bytes
    (b"\xED\xA0\x80", 1),     // half of a surrogate pair
    (b"\xF4\x90\x80\x80", 1), // beyond U+10FFFF
    (b"\xF8\x88\x80\x80", 0), // a form of five bytes
    (b"\xEA\xB0x", 2),        // a cut '가'
];

#[test]
fn both_refuse_text_that_is_not_utf8() {
    for role in ROLES {
        for (wrong, _) in WRONG {
            let payload = [b"good ".as_slice(), wrong, b" good"].concat();
            assert_fails(
                role,
                &frame(role, FIN | TEXT, &payload),
                ProtocolError::NotUtf8,
            );
        }
    }
}

#[test]
fn binary_may_be_any_bytes() {
    for role in ROLES {
        for (wrong, _) in WRONG {
            assert_events(role, &frame(role, FIN | BINARY, wrong), &[binary(wrong)]);
        }
    }
}

#[test]
fn text_fails_at_its_first_wrong_byte_though_its_frame_goes_on() {
    for role in ROLES {
        for (wrong, at) in WRONG {
            let payload = [b"good ".as_slice(), wrong, &[b'x'; 100]].concat();
            let bytes = frame(role, FIN | TEXT, &payload);
            let first_wrong = bytes.len() - payload.len() + 5 + at;

            let mut decoder = decoder(role);
            for (index, byte) in bytes.iter().enumerate() {
                let fed = feed(&mut decoder, &[*byte]);
                let expected = (index >= first_wrong).then_some(ProtocolError::NotUtf8);
                assert_eq!(fed, (vec![], expected), "byte {index} of {wrong:02X?}");
            }
        }
    }
}

#[test]
fn text_fails_at_its_first_wrong_byte_though_its_message_goes_on() {
    for role in ROLES {
        let bytes = [
            frame(role, TEXT, b"good"),
            frame(role, CONTINUATION, b"\xFF"),
        ]
        .concat();
        assert_fails(role, &bytes, ProtocolError::NotUtf8);
    }
}

#[test]
fn a_code_point_may_be_cut_by_frames() {
    let payload = "a¢한🎉".as_bytes();
    for role in ROLES {
        for at in 0..=payload.len() {
            let (start, end) = payload.split_at(at);
            let bytes = [
                frame(role, TEXT, start),
                frame(role, FIN | CONTINUATION, end),
            ]
            .concat();
            assert_events(role, &bytes, &[text("a¢한🎉")]);
        }
        let one_each: Vec<_> = payload
            .iter()
            .map(|byte| frame(role, CONTINUATION, &[*byte]))
            .collect();
        let bytes = [
            frame(role, TEXT, b""),
            one_each.concat(),
            frame(role, FIN, b""),
        ]
        .concat();
        assert_events(role, &bytes, &[text("a¢한🎉")]);
    }
}

#[test]
fn a_code_point_may_be_cut_by_reads() {
    for role in ROLES {
        let bytes = frame(role, FIN | TEXT, "a¢한🎉".as_bytes());
        for size in 1..bytes.len() {
            assert_eq!(
                decode_in_pieces(role, &bytes, size),
                (vec![text("a¢한🎉")], None)
            );
        }
    }
}

#[test]
fn both_refuse_text_that_ends_within_a_code_point() {
    for role in ROLES {
        let error = ProtocolError::NotUtf8;
        assert_fails(role, &frame(role, FIN | TEXT, b"\xED\x95"), error);
        let bytes = [
            frame(role, TEXT, b"\xED"),
            frame(role, FIN | CONTINUATION, b"\x95"),
        ];
        assert_fails(role, &bytes.concat(), error);
        let bytes = [
            frame(role, TEXT, b"\xED\x95"),
            frame(role, FIN | CONTINUATION, b""),
        ];
        assert_fails(role, &bytes.concat(), error);
    }
}

#[test]
fn a_cut_code_point_does_not_reach_into_the_next_message() {
    let bytes = [
        frame(Role::Client, FIN | TEXT, b"\xED"),
        b"\x80\x02\x95\x9C".to_vec(),
    ]
    .concat();
    assert_fails(Role::Client, &bytes, ProtocolError::NotUtf8);
}
