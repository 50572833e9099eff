//! Messages that are handed out as they come.

use std::borrow::Cow;

use websocket::{Decoder, Event, Limits, ProtocolError, Role};

use crate::support::*;

fn in_parts(role: Role) -> Decoder {
    decoder(role).in_parts()
}

fn text_part(text: &str, last: bool) -> Event<'static> {
    let text = Cow::Owned(text.to_owned());
    Event::TextPart { text, last }
}

fn binary_part(bytes: &[u8], last: bool) -> Event<'static> {
    let bytes = Cow::Owned(bytes.to_owned());
    Event::BinaryPart { bytes, last }
}

#[test]
fn a_message_comes_in_the_pieces_that_are_read() {
    for role in ROLES {
        let bytes = frame(role, FIN | BINARY, b"abcdef");
        let whole = feed(&mut in_parts(role), &bytes);
        assert_eq!(whole, (vec![binary_part(b"abcdef", true)], None));

        let (start, end) = bytes.split_at(bytes.len() - 2);
        let mut decoder = in_parts(role);
        assert_eq!(
            feed(&mut decoder, start),
            (vec![binary_part(b"abcd", false)], None)
        );
        assert!(!decoder.is_idle());
        assert_eq!(
            feed(&mut decoder, end),
            (vec![binary_part(b"ef", true)], None)
        );
        assert!(decoder.is_idle());
    }
}

#[test]
fn fragments_are_pieces_and_an_empty_end_is_told() {
    for role in ROLES {
        let bytes = [
            frame(role, TEXT, "안".as_bytes()),
            frame(role, FIN | PING, b"p"),
            frame(role, CONTINUATION, b""),
            frame(role, FIN | CONTINUATION, b""),
            frame(role, FIN | TEXT, b""),
        ];
        let events = vec![
            text_part("안", false),
            ping(b"p"),
            text_part("", true),
            text_part("", true),
        ];
        assert_eq!(feed(&mut in_parts(role), &bytes.concat()), (events, None));
    }
}

#[test]
fn text_is_cut_between_characters_and_fails_at_the_first_wrong_byte() {
    for role in ROLES {
        let bytes = frame(role, FIN | TEXT, "한글🎉".as_bytes());
        let (events, error) = feed_in_pieces(&mut in_parts(role), &bytes, 1);
        let parts = vec![
            text_part("한", false),
            text_part("글", false),
            text_part("🎉", true),
        ];
        assert_eq!((events, error), (parts, None));

        let mut cut = frame(role, TEXT, b"ok\xED\x95");
        assert_eq!(
            feed(&mut in_parts(role), &cut),
            (vec![text_part("ok", false)], None)
        );
        cut.extend(frame(role, FIN | CONTINUATION, b""));
        let (_, error) = feed(&mut in_parts(role), &cut);
        assert_eq!(error, Some(ProtocolError::NotUtf8));
    }
}

#[test]
fn the_limit_is_for_the_whole_message() {
    for role in ROLES {
        let limits = Limits { max_message: 5 };
        let start = frame(role, BINARY, b"abc");
        for (end, error) in [
            (&b"de"[..], None),
            (b"def", Some(ProtocolError::TooBig { limit: 5 })),
        ] {
            let mut decoder = Decoder::new(role, limits).in_parts();
            let bytes = [start.clone(), frame(role, FIN | CONTINUATION, end)].concat();
            assert_eq!(feed(&mut decoder, &bytes).1, error);
        }
    }
}
