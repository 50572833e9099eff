//! §5.1, §5.2 and §5.5: one frame.

use std::borrow::Cow;

use websocket::{Close, CloseCode, Decoder, Event, Limits, ProtocolError, Role};

use crate::support::*;

#[test]
fn server_receives_the_masked_hello_of_the_rfc() {
    let bytes = b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58";
    assert_events(Role::Server, bytes, &[text("Hello")]);
}

#[test]
fn client_receives_the_unmasked_hello_of_the_rfc() {
    assert_events(Role::Client, b"\x81\x05Hello", &[text("Hello")]);
}

#[test]
fn both_receive_every_kind_of_frame() {
    for role in ROLES {
        assert_events(
            role,
            &frame(role, FIN | TEXT, "강호동".as_bytes()),
            &[text("강호동")],
        );
        assert_events(
            role,
            &frame(role, FIN | BINARY, b"\x01\x02\xFE\xFF"),
            &[binary(b"\x01\x02\xFE\xFF")],
        );
        assert_events(role, &frame(role, FIN | PING, b"ping"), &[ping(b"ping")]);
        assert_events(role, &frame(role, FIN | PONG, b"pong"), &[pong(b"pong")]);
        let close = Close::new(CloseCode::GOING_AWAY, "bye");
        let bytes = frame(role, FIN | CLOSE, b"\x03\xE9bye");
        assert_events(role, &bytes, &[Event::Close(Some(close))]);
    }
}

#[test]
fn both_receive_empty_frames() {
    for role in ROLES {
        assert_events(role, &frame(role, FIN | TEXT, b""), &[text("")]);
        assert_events(role, &frame(role, FIN | BINARY, b""), &[binary(b"")]);
        assert_events(role, &frame(role, FIN | PING, b""), &[ping(b"")]);
        assert_events(role, &frame(role, FIN | PONG, b""), &[pong(b"")]);
        assert_events(role, &frame(role, FIN | CLOSE, b""), &[Event::Close(None)]);
    }
}

#[test]
fn both_receive_every_form_of_length() {
    for role in ROLES {
        for length in [0, 1, 125, 126, 127, 0xFFFE, 0xFFFF, 0x1_0000] {
            let payload = vec![b'x'; length];
            let bytes = frame(role, FIN | BINARY, &payload);
            assert_events(role, &bytes, &[binary(&payload)]);
        }
    }
}

#[test]
fn both_refuse_a_length_that_is_not_in_its_shortest_form() {
    let error = ProtocolError::LengthNotMinimal;
    for role in ROLES {
        for length in [0_u16, 1, 125] {
            assert_fails(
                role,
                &header(role, FIN | TEXT, 126, &length.to_be_bytes()),
                error,
            );
        }
        for length in [0_u64, 125, 126, 0xFFFF] {
            assert_fails(
                role,
                &header(role, FIN | TEXT, 127, &length.to_be_bytes()),
                error,
            );
        }
    }
}

#[test]
fn both_refuse_a_length_with_its_top_bit_set() {
    for role in ROLES {
        for length in [1 << 63, u64::MAX] {
            let bytes = header(role, FIN | BINARY, 127, &length.to_be_bytes());
            assert_fails(role, &bytes, ProtocolError::LengthTopBit);
        }
    }
}

#[test]
fn both_refuse_reserved_bits() {
    for role in ROLES {
        for bit in [0x10, 0x20, 0x40] {
            for opcode in [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG] {
                let bytes = frame(role, FIN | bit | opcode, b"");
                assert_fails(role, &bytes, ProtocolError::ReservedBits);
            }
        }
    }
}

#[test]
fn both_refuse_reserved_opcodes() {
    for role in ROLES {
        for opcode in (0x3..=0x7).chain(0xB..=0xF) {
            let bytes = frame(role, FIN | opcode, b"");
            assert_fails(role, &bytes, ProtocolError::ReservedOpcode(opcode));
        }
    }
}

#[test]
fn server_refuses_a_frame_without_a_mask() {
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        assert_fails(Role::Server, &[FIN | opcode, 0], ProtocolError::Unmasked);
    }
}

#[test]
fn client_refuses_a_frame_with_a_mask() {
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        assert_fails(
            Role::Client,
            &[FIN | opcode, 0x80, 1, 2, 3, 4],
            ProtocolError::Masked,
        );
    }
}

#[test]
fn a_frame_is_refused_by_its_first_byte_before_a_second_one_comes() {
    for role in ROLES {
        assert_fails(role, b"\xC1", ProtocolError::ReservedBits);
        assert_fails(role, b"\x83", ProtocolError::ReservedOpcode(3));
        assert_fails(role, b"\x09", ProtocolError::FragmentedControl);
    }
}

#[test]
fn both_receive_a_control_frame_of_125_bytes() {
    for role in ROLES {
        assert_events(
            role,
            &frame(role, FIN | PING, &[b'x'; 125]),
            &[ping(&[b'x'; 125])],
        );
    }
}

#[test]
fn both_refuse_a_control_frame_of_more_than_125_bytes() {
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            let bytes = frame(role, FIN | opcode, &[b'x'; 126]);
            assert_fails(role, &bytes, ProtocolError::ControlTooLong);
            let bytes = header(role, FIN | opcode, 127, &0x1_0000_u64.to_be_bytes());
            assert_fails(role, &bytes, ProtocolError::ControlTooLong);
        }
    }
}

#[test]
fn both_refuse_a_fragmented_control_frame() {
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            let bytes = frame(role, opcode, b"");
            assert_fails(role, &bytes, ProtocolError::FragmentedControl);
        }
    }
}

#[test]
fn a_breach_in_the_midst_of_a_message_ends_it() {
    for role in ROLES {
        let (wrong_mask, unmasked_or_masked) = match role {
            Role::Server => (vec![FIN | CONTINUATION, 0], ProtocolError::Unmasked),
            Role::Client => (
                vec![FIN | CONTINUATION, 0x80, 1, 2, 3, 4],
                ProtocolError::Masked,
            ),
        };
        for (breach, error) in [
            (
                frame(role, FIN | 0x40 | PING, b""),
                ProtocolError::ReservedBits,
            ),
            (
                frame(role, 0x20 | CONTINUATION, b"x"),
                ProtocolError::ReservedBits,
            ),
            (
                frame(role, FIN | 0xB, b""),
                ProtocolError::ReservedOpcode(0xB),
            ),
            (frame(role, PING, b""), ProtocolError::FragmentedControl),
            (
                frame(role, FIN | PONG, &[0; 126]),
                ProtocolError::ControlTooLong,
            ),
            (
                header(role, FIN | CONTINUATION, 126, &[0, 5]),
                ProtocolError::LengthNotMinimal,
            ),
            (wrong_mask, unmasked_or_masked),
        ] {
            let bytes = [frame(role, TEXT, b"begun"), breach].concat();
            assert_fails(role, &bytes, error);
        }
    }
}

#[test]
fn several_frames_in_one_read_are_several_events() {
    for role in ROLES {
        let bytes = [
            frame(role, FIN | TEXT, b"one"),
            frame(role, FIN | PING, b""),
            frame(role, FIN | BINARY, b"two"),
        ];
        assert_events(
            role,
            &bytes.concat(),
            &[text("one"), ping(b""), binary(b"two")],
        );
    }
}

#[test]
fn a_frame_that_lies_whole_in_the_input_is_borrowed_from_it() {
    for role in ROLES {
        let mut bytes = [
            frame(role, FIN | TEXT, b"text"),
            frame(role, FIN | PING, b"ping"),
        ]
        .concat();
        let mut input = bytes.as_mut_slice();
        let mut decoder = decoder(role);
        let event = decoder.receive(&mut input);
        assert!(
            matches!(event, Ok(Some(Event::Text(Cow::Borrowed("text"))))),
            "{event:?}"
        );
        let event = decoder.receive(&mut input);
        assert!(
            matches!(event, Ok(Some(Event::Ping(Cow::Borrowed(b"ping"))))),
            "{event:?}"
        );
        assert!(decoder.is_idle());
    }
}

#[test]
fn a_frame_whose_header_came_earlier_is_borrowed_from_the_input_too() {
    for role in ROLES {
        let mut header = frame(role, FIN | BINARY, b"12345");
        let mut payload = header.split_off(header.len() - 5);
        let mut decoder = decoder(role);
        assert_eq!(decoder.receive(&mut header.as_mut_slice()), Ok(None));
        let mut input = payload.as_mut_slice();
        let event = decoder.receive(&mut input);
        assert!(
            matches!(event, Ok(Some(Event::Binary(Cow::Borrowed(b"12345"))))),
            "{event:?}"
        );
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    for role in ROLES {
        let mut decoder = decoder(role);
        let error = Some(ProtocolError::ReservedOpcode(3));
        assert_eq!(
            feed(&mut decoder, &frame(role, FIN | 0x3, b"")),
            (vec![], error)
        );
        assert_eq!(
            feed(&mut decoder, &frame(role, FIN | TEXT, b"x")),
            (vec![], error)
        );
        assert_eq!(feed(&mut decoder, b""), (vec![], error));
        assert!(decoder.is_idle());
    }
}

#[test]
fn events_before_an_error_are_delivered() {
    for role in ROLES {
        let bytes = [
            frame(role, FIN | TEXT, b"good"),
            frame(role, FIN | 0x3, b""),
        ]
        .concat();
        let expected = (vec![text("good")], Some(ProtocolError::ReservedOpcode(3)));
        assert_eq!(decode(role, &bytes), expected);
    }
}

#[test]
fn a_frame_as_big_as_the_limit_is_received_and_one_byte_more_is_refused_by_its_header() {
    for role in ROLES {
        let limits = Limits { max_message: 1000 };
        let error = ProtocolError::TooBig { limit: 1000 };
        for opcode in [TEXT, BINARY] {
            let bytes = frame(role, FIN | opcode, &[b'x'; 1000]);
            let (events, failed) = feed(&mut Decoder::new(role, limits), &bytes);
            assert_eq!((events.len(), failed), (1, None));

            let bytes = header(role, FIN | opcode, 126, &1001_u16.to_be_bytes());
            let fed = feed(&mut Decoder::new(role, limits), &bytes);
            assert_eq!(fed, (vec![], Some(error)));
            let bytes = header(role, FIN | opcode, 127, &(u64::MAX >> 1).to_be_bytes());
            let fed = feed(&mut Decoder::new(role, limits), &bytes);
            assert_eq!(fed, (vec![], Some(error)));
        }
    }
}

#[test]
fn the_limit_of_messages_is_not_one_of_control_frames() {
    for role in ROLES {
        let mut decoder = Decoder::new(role, Limits { max_message: 0 });
        let bytes = frame(role, FIN | PING, &[b'x'; 125]);
        assert_eq!(feed(&mut decoder, &bytes), (vec![ping(&[b'x'; 125])], None));
    }
}
