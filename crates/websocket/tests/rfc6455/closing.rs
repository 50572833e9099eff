//! §5.5.1 and §7.4: close frames.

use websocket::{Close, CloseCode, Event, ProtocolError};

use crate::support::*;

#[test]
fn both_receive_a_close_without_a_code() {
    for role in ROLES {
        assert_events(role, &frame(role, FIN | CLOSE, b""), &[Event::Close(None)]);
    }
}

#[test]
fn both_receive_a_close_with_a_code() {
    for role in ROLES {
        let close = Close::new(CloseCode::NORMAL, "");
        let bytes = frame(role, FIN | CLOSE, b"\x03\xE8");
        assert_events(role, &bytes, &[Event::Close(Some(close))]);
    }
}

#[test]
fn both_receive_a_close_with_the_longest_reason() {
    for role in ROLES {
        let payload = [b"\x0F\xA1".as_slice(), "한".repeat(41).as_bytes()].concat();
        assert_eq!(payload.len(), 125);
        let close = Close::new(CloseCode::new(4001), "한".repeat(41));
        let bytes = frame(role, FIN | CLOSE, &payload);
        assert_events(role, &bytes, &[Event::Close(Some(close))]);
    }
}

#[test]
fn both_refuse_half_a_close_code() {
    for role in ROLES {
        let bytes = frame(role, FIN | CLOSE, b"\x03");
        assert_fails(role, &bytes, ProtocolError::HalfCloseCode);
    }
}

#[test]
fn exactly_the_codes_that_may_be_sent_are_received() {
    for role in ROLES {
        for code in 0..=u16::MAX {
            let bytes = frame(role, FIN | CLOSE, &code.to_be_bytes());
            let expected = match code {
                1000..=1003 | 1007..=1014 | 3000..=4999 => {
                    let close = Close::new(CloseCode::new(code), "");
                    (vec![Event::Close(Some(close))], None)
                }
                // Among them 0 to 999, 1004, 1005, 1006, 1015, 1016 to 2999, from 5000 on.
                _ => (vec![], Some(ProtocolError::BadCloseCode(code))),
            };
            assert_eq!(decode(role, &bytes), expected);
        }
    }
}

#[test]
fn both_refuse_a_reason_that_is_not_utf8() {
    for role in ROLES {
        let bytes = frame(role, FIN | CLOSE, b"\x03\xE8\xED\x95");
        assert_fails(role, &bytes, ProtocolError::ReasonNotUtf8);
    }
}

#[test]
fn what_follows_a_close_is_ignored() {
    for role in ROLES {
        let mut decoder = decoder(role);
        let bytes = [frame(role, FIN | CLOSE, b""), frame(role, FIN | TEXT, b"x")].concat();
        assert_eq!(feed(&mut decoder, &bytes), (vec![Event::Close(None)], None));
        assert_eq!(
            feed(&mut decoder, &frame(role, FIN | TEXT, b"x")),
            (vec![], None)
        );
        assert_eq!(feed(&mut decoder, b"\xFF\xFF\xFF"), (vec![], None));
        assert!(decoder.is_idle());
    }
}

#[test]
fn each_error_has_its_close_code() {
    let code = |error: ProtocolError| error.close().code.get();
    assert_eq!(code(ProtocolError::ReservedBits), 1002);
    assert_eq!(code(ProtocolError::Unmasked), 1002);
    assert_eq!(code(ProtocolError::BadCloseCode(1005)), 1002);
    assert_eq!(code(ProtocolError::NotUtf8), 1007);
    assert_eq!(code(ProtocolError::ReasonNotUtf8), 1007);
    assert_eq!(code(ProtocolError::TooBig { limit: 1 }), 1009);
    assert_eq!(
        ProtocolError::NotUtf8.close().reason,
        "text that is not UTF-8"
    );
}

#[test]
fn a_long_reason_is_cut_between_two_characters() {
    assert_eq!(
        Close::new(CloseCode::NORMAL, "x".repeat(123)).reason.len(),
        123
    );
    assert_eq!(
        Close::new(CloseCode::NORMAL, "x".repeat(124)).reason.len(),
        123
    );
    let close = Close::new(CloseCode::NORMAL, format!("x{}", "한".repeat(41)));
    assert_eq!(close.reason, format!("x{}", "한".repeat(40)));
}
