//! §5.4: fragmented messages.

use websocket::{Decoder, Event, Limits, ProtocolError, Role};

use crate::support::*;

#[test]
fn client_receives_the_fragmented_hello_of_the_rfc() {
    assert_events(Role::Client, b"\x01\x03Hel\x80\x02lo", &[text("Hello")]);
}

#[test]
fn both_put_fragments_together() {
    for role in ROLES {
        let bytes = [
            frame(role, BINARY, b"a"),
            frame(role, CONTINUATION, b"bc"),
            frame(role, CONTINUATION, b""),
            frame(role, FIN | CONTINUATION, b"def"),
        ];
        assert_events(role, &bytes.concat(), &[binary(b"abcdef")]);
    }
}

#[test]
fn fragments_may_be_empty() {
    for role in ROLES {
        let bytes = [frame(role, TEXT, b""), frame(role, FIN | CONTINUATION, b"")];
        assert_events(role, &bytes.concat(), &[text("")]);
    }
}

#[test]
fn a_message_follows_a_fragmented_one() {
    for role in ROLES {
        let bytes = [
            frame(role, TEXT, b"a"),
            frame(role, FIN | CONTINUATION, b"b"),
            frame(role, FIN | BINARY, b"c"),
        ];
        assert_events(role, &bytes.concat(), &[text("ab"), binary(b"c")]);
    }
}

#[test]
fn control_frames_between_fragments_are_delivered_at_once() {
    for role in ROLES {
        let mut decoder = decoder(role);
        assert_eq!(feed(&mut decoder, &frame(role, TEXT, b"a")), (vec![], None));
        let bytes = frame(role, FIN | PING, b"are you there?");
        assert_eq!(
            feed(&mut decoder, &bytes),
            (vec![ping(b"are you there?")], None)
        );
        let bytes = frame(role, FIN | PONG, b"");
        assert_eq!(feed(&mut decoder, &bytes), (vec![pong(b"")], None));
        assert!(!decoder.is_idle());
        let bytes = frame(role, FIN | CONTINUATION, b"b");
        assert_eq!(feed(&mut decoder, &bytes), (vec![text("ab")], None));
        assert!(decoder.is_idle());
    }
}

#[test]
fn a_control_frame_in_pieces_between_fragments_leaves_the_message_whole() {
    for role in ROLES {
        let bytes = [
            frame(role, BINARY, b"ab"),
            frame(role, FIN | PING, b"ping"),
            frame(role, FIN | CONTINUATION, b"cd"),
        ]
        .concat();
        for size in 1..bytes.len() {
            let expected = (vec![ping(b"ping"), binary(b"abcd")], None);
            assert_eq!(
                decode_in_pieces(role, &bytes, size),
                expected,
                "pieces of {size}"
            );
        }
    }
}

#[test]
fn a_close_between_fragments_ends_the_message() {
    for role in ROLES {
        let bytes = [
            frame(role, TEXT, b"a"),
            frame(role, FIN | CLOSE, b""),
            frame(role, FIN | CONTINUATION, b"b"),
        ];
        assert_events(role, &bytes.concat(), &[Event::Close(None)]);
    }
}

#[test]
fn both_refuse_a_continuation_of_nothing() {
    for role in ROLES {
        for first in [CONTINUATION, FIN | CONTINUATION] {
            let bytes = frame(role, first, b"x");
            assert_fails(role, &bytes, ProtocolError::NothingToContinue);
        }
    }
}

#[test]
fn both_refuse_a_continuation_of_a_finished_message() {
    for role in ROLES {
        let bytes = [
            frame(role, TEXT, b"a"),
            frame(role, FIN | CONTINUATION, b"b"),
            frame(role, FIN | CONTINUATION, b"c"),
        ];
        let expected = (vec![text("ab")], Some(ProtocolError::NothingToContinue));
        assert_eq!(decode(role, &bytes.concat()), expected);
    }
}

#[test]
fn both_refuse_a_new_message_inside_a_fragmented_one() {
    for role in ROLES {
        for first in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
            let bytes = [frame(role, TEXT, b"a"), frame(role, first, b"b")].concat();
            assert_fails(role, &bytes, ProtocolError::MessageInterrupted);
        }
    }
}

#[test]
fn fragments_as_big_as_the_limit_are_received_and_one_byte_more_is_refused_by_its_header() {
    for role in ROLES {
        for opcode in [TEXT, BINARY] {
            let mut decoder = Decoder::new(role, Limits { max_message: 10 });
            let bytes = [
                frame(role, opcode, b"12345"),
                frame(role, FIN | CONTINUATION, b"67890"),
                frame(role, opcode, b"12345"),
                header(role, CONTINUATION, 6, b""),
            ];
            let (events, error) = feed(&mut decoder, &bytes.concat());
            assert_eq!(events.len(), 1);
            assert_eq!(error, Some(ProtocolError::TooBig { limit: 10 }));
        }
    }
}

#[test]
fn a_cut_code_point_counts_for_the_limit() {
    for role in ROLES {
        let mut decoder = Decoder::new(role, Limits { max_message: 4 });
        let bytes = [
            frame(role, TEXT, b"ab\xEA"),
            header(role, FIN | CONTINUATION, 2, b""),
        ];
        let failed = Some(ProtocolError::TooBig { limit: 4 });
        assert_eq!(feed(&mut decoder, &bytes.concat()), (vec![], failed));
    }
}

#[test]
fn without_room_for_a_message_only_empty_ones_come() {
    for role in ROLES {
        let mut decoder = Decoder::new(role, Limits { max_message: 0 });
        let bytes = [frame(role, FIN | TEXT, b""), frame(role, FIN | TEXT, b"x")].concat();
        let failed = Some(ProtocolError::TooBig { limit: 0 });
        assert_eq!(feed(&mut decoder, &bytes), (vec![text("")], failed));
    }
}
