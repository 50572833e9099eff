//! What the generator says and understands of the wire protocol.
//!
//! At tens of thousands of deliveries a second, parsing JSON would be the generator's main work. The
//! server writes its fields in a fixed order, so the numbers are found by a search for bytes; a
//! message in another order is parsed.

use serde::Deserialize;

use crate::clock::Nanos;

/// A message of the server, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// `hello`: the session is registered.
    Hello,
    /// `subscribed`: the session is in its room.
    Subscribed,
    /// An event that [`send`] wrote.
    Event { seq: u64, sent: Nanos },
    /// The `ok` of a command that [`send`] wrote.
    Ok { sent: Nanos, seq: u64 },
    /// An `error`.
    Error,
    /// Something that needs nothing done.
    Other,
}

/// The command `send`. When it is sent is its id and the start of its text, which is `bytes` long.
///
/// `room` needs no escapes in JSON.
pub(crate) fn send(room: &str, key: Option<u64>, bytes: usize, sent: Nanos) -> String {
    let key = key.map_or_else(String::new, |key| format!(r#","key":"{key}""#));
    format!(
        r#"{{"type":"send","id":{sent},"room":"{room}"{key},"text":"{:.<bytes$}"}}"#,
        format!("{sent} ")
    )
}

/// The token of a new guest's `hello`.
pub(crate) fn token(hello: &str) -> Option<String> {
    let (_, token) = hello.split_once(r#""token":""#)?;
    Some(token.split_once('"')?.0.to_owned())
}

/// How many are present, of a `presence`.
pub(crate) fn present(text: &str) -> Option<u64> {
    let presence = text.strip_prefix(r#"{"type":"presence","#)?;
    number_after(presence, r#""count":"#).map(|(count, _)| count)
}

/// Reads one message.
pub(crate) fn read(text: &str) -> Message {
    quick(text).unwrap_or_else(|| thorough(text))
}

fn quick(text: &str) -> Option<Message> {
    if let Some(event) = text.strip_prefix(r#"{"type":"message","#) {
        let (seq, rest) = number_after(event, r#""seq":"#)?;
        let (sent, _) = number_after(rest, r#""text":""#)?;
        return Some(Message::Event { seq, sent });
    }
    if let Some(ok) = text.strip_prefix(r#"{"type":"ok","#) {
        let (sent, rest) = number_after(ok, r#""id":"#)?;
        let (seq, _) = number_after(rest, r#""seq":"#)?;
        return Some(Message::Ok { sent, seq });
    }
    None
}

/// The whole number that follows `label`, and what follows the number.
fn number_after<'a>(text: &'a str, label: &str) -> Option<(u64, &'a str)> {
    let bytes = text.as_bytes();
    let at = bytes
        .windows(label.len())
        .position(|window| window == label.as_bytes())?;
    let found = text.get(at + label.len()..)?;
    let length = found.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = found.split_at(length);
    Some((digits.parse().ok()?, rest))
}

fn thorough(text: &str) -> Message {
    #[derive(Deserialize)]
    struct Fields {
        r#type: String,
        id: Option<Nanos>,
        seq: Option<u64>,
        text: Option<String>,
    }
    let Ok(fields) = serde_json::from_str::<Fields>(text) else {
        return Message::Error;
    };
    let stamp = |text: String| text.split(' ').next()?.parse().ok();
    match (
        &*fields.r#type,
        fields.id,
        fields.seq,
        fields.text.and_then(stamp),
    ) {
        ("hello", ..) => Message::Hello,
        ("subscribed", ..) => Message::Subscribed,
        ("message", _, Some(seq), Some(sent)) => Message::Event { seq, sent },
        ("ok", Some(sent), Some(seq), _) => Message::Ok { sent, seq },
        ("error" | "message" | "gap", ..) => Message::Error,
        _ => Message::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type":"message","room":"bench-3","seq":58,"at":"2026-11-22T07:00:00.000Z","from":{"id":"u_1","name":"n9"},"text":"1234 ..."}"#;

    #[test]
    fn an_event_gives_its_number_and_when_it_was_sent() {
        let event = Message::Event {
            seq: 58,
            sent: 1234,
        };
        assert_eq!(quick(EVENT).as_ref(), Some(&event));
        assert_eq!(thorough(EVENT), event);
    }

    #[test]
    fn fields_in_another_order_are_understood_too() {
        let text = r#"{ "seq": 58, "text": "1234 ...", "type": "message" }"#;
        assert_eq!(quick(text), None);
        assert_eq!(
            read(text),
            Message::Event {
                seq: 58,
                sent: 1234
            }
        );
        assert_eq!(
            read(r#"{"id":5,"type":"ok","seq":1}"#),
            Message::Ok { sent: 5, seq: 1 }
        );
    }

    #[test]
    fn an_ok_gives_its_id_and_its_place() {
        let text = r#"{"type":"ok","id":99,"room":"bench-3","seq":58,"at":"…"}"#;
        assert_eq!(quick(text), Some(Message::Ok { sent: 99, seq: 58 }));
    }

    #[test]
    fn what_is_no_promise_kept_is_an_error() {
        for text in [
            r#"{"type":"error","id":1,"code":"busy","message":"…"}"#,
            r#"{"type":"gap","room":"a","from":1,"to":2}"#,
            r#"{"type":"message","room":"a"}"#,
            "no JSON",
        ] {
            assert_eq!(read(text), Message::Error, "{text}");
        }
    }

    #[test]
    fn a_hello_tells_the_token_and_a_presence_the_count() {
        let hello = r#"{"type":"hello","user":{"id":"u_1"},"token":"a7","heartbeat_ms":25000}"#;
        assert_eq!(token(hello).as_deref(), Some("a7"));
        assert_eq!(token(r#"{"type":"hello"}"#), None);
        let presence = r#"{"type":"presence","room":"a","joined":[],"left":[],"count":20000}"#;
        assert_eq!(present(presence), Some(20_000));
        assert_eq!(present(EVENT), None);
    }

    #[test]
    fn the_rest_is_told_apart_by_its_type() {
        assert_eq!(read(r#"{"type":"hello","protocol":1}"#), Message::Hello);
        assert_eq!(
            read(r#"{"type":"subscribed","head":0}"#),
            Message::Subscribed
        );
        assert_eq!(read(r#"{"type":"presence","joined":[]}"#), Message::Other);
        assert_eq!(read(r#"{"type":"ok","id":1,"room":"a"}"#), Message::Other);
    }

    #[test]
    fn a_command_is_json_whose_text_has_the_length_asked_for() {
        let command = send("bench-3", Some(7), 32, 1234);
        let json: serde_json::Value = serde_json::from_str(&command).unwrap();
        assert_eq!(json["id"], 1234);
        assert_eq!(json["key"], "7");
        assert_eq!(json["room"], "bench-3");
        assert_eq!(json["text"].as_str().unwrap().len(), 32);
        assert!(json["text"].as_str().unwrap().starts_with("1234 ."));
        assert!(!send("a", None, 32, 1).contains("key"));
    }
}
