//! What the measured messages look like, and how they are told without parsing JSON.
//!
//! A message's text, or a signal's data, begins with three numbers of a fixed width: when it was sent,
//! by whom, and how many that one has sent. The server writes its fields in a fixed order and what was
//! sent last, so all of it stands at a place that is known from one of the message's ends; what stands
//! around it is compared. A message in another order is parsed.

use serde::Deserialize;
use serde_json::Value;

use crate::{clock::Nanos, frames::Template};

/// Digits of a stamp. Numbers in JSON have no zeros in front, so stamps count from [`BASE`].
const STAMP: usize = 16;
const BASE: Nanos = 1_000_000_000_000_000;
const SPEAKER: usize = 6;
const NUMBER: usize = 10;
/// The shortest text that has room for the numbers and the blanks between and behind them.
pub(crate) const LEAST: usize = STAMP + 1 + SPEAKER + 1 + NUMBER + 1;

/// Where the `id` of a `send` begins.
const ID: &str = r#"{"type":"send","id":"#;
const OK: &[u8] = br#"{"type":"ok","id":"#;

/// Who says what when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) sent: Nanos,
    pub(crate) speaker: usize,
    /// The speaker's first is 1.
    pub(crate) number: u64,
}

#[cfg(test)]
impl Said {
    /// The text that says it.
    pub(crate) fn text(self, bytes: usize) -> String {
        let Self {
            sent,
            speaker,
            number,
        } = self;
        let numbers = format!("{}.{speaker:06}.{number:010}", BASE + sent);
        format!("{numbers:.<bytes$}")
    }
}

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message { seq: u64, sent: Nanos },
    Signal(Said),
    Ok { sent: Nanos },
    Error,
    Other,
}

/// The messages to one room, as frames and as they come back.
#[derive(Debug)]
pub(crate) struct Script {
    template: Template,
    /// Where the text begins in what is sent.
    text_at: usize,
    text_bytes: usize,
    signal: bool,
    /// How each of them begins when it comes.
    prefix: Vec<u8>,
}

impl Script {
    /// `room` needs no escapes in JSON; `text_bytes` are [`LEAST`] and more.
    pub(crate) fn new(room: &str, text_bytes: usize, signal: bool) -> Self {
        let text = ".".repeat(text_bytes);
        let (command, prefix) = if signal {
            (
                format!(r#"{{"type":"signal","room":"{room}","data":"{text}"}}"#),
                format!(r#"{{"type":"signal","room":"{room}","#),
            )
        } else {
            (
                format!(r#"{ID}{BASE},"room":"{room}","text":"{text}"}}"#),
                format!(r#"{{"type":"message","room":"{room}","seq":"#),
            )
        };
        Self {
            template: Template::new(&command),
            text_at: command.len() - 2 - text_bytes,
            text_bytes,
            signal,
            prefix: prefix.into_bytes(),
        }
    }

    /// The frame that says it.
    pub(crate) fn say(&mut self, said: Said) -> &[u8] {
        let stamp = BASE + said.sent;
        if !self.signal {
            self.template.fill(ID.len(), STAMP, stamp);
        }
        self.template.fill(self.text_at, STAMP, stamp);
        let speaker_at = self.text_at + STAMP + 1;
        self.template.fill(speaker_at, SPEAKER, said.speaker as u64);
        let number_at = speaker_at + SPEAKER + 1;
        self.template.fill(number_at, NUMBER, said.number);
        self.template.bytes()
    }

    /// Reads a message to a session of the room.
    pub(crate) fn read(&self, text: &[u8]) -> Heard {
        self.quick(text).unwrap_or_else(|| self.thorough(text))
    }

    fn quick(&self, text: &[u8]) -> Option<Heard> {
        if let Some(rest) = text.strip_prefix(&*self.prefix) {
            let said = self.said(rest)?;
            if self.signal {
                return Some(Heard::Signal(said));
            }
            let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
            return Some(Heard::Message {
                seq: number(&rest[..digits])?,
                sent: said.sent,
            });
        }
        let stamp = text.strip_prefix(OK)?.first_chunk::<STAMP>()?;
        let sent = number(stamp)?.checked_sub(BASE)?;
        Some(Heard::Ok { sent })
    }

    /// What a message ends in.
    fn said(&self, message: &[u8]) -> Option<Said> {
        let (label, end): (&[u8], &[u8]) = (
            if self.signal {
                br#""data":""#
            } else {
                br#""text":""#
            },
            br#""}"#,
        );
        let message = message.strip_suffix(end)?;
        let (before, text) =
            message.split_at_checked(message.len().checked_sub(self.text_bytes)?)?;
        if !before.ends_with(label) {
            return None;
        }
        self.numbers(text)
    }

    /// The numbers that a text begins with.
    fn numbers(&self, text: &[u8]) -> Option<Said> {
        if text.len() != self.text_bytes {
            return None;
        }
        let (stamp, rest) = text.split_at_checked(STAMP)?;
        let (speaker, rest) = rest.strip_prefix(b".")?.split_at_checked(SPEAKER)?;
        let (count, _) = rest.strip_prefix(b".")?.split_at_checked(NUMBER)?;
        Some(Said {
            sent: number(stamp)?.checked_sub(BASE)?,
            speaker: usize::try_from(number(speaker)?).ok()?,
            number: number(count)?,
        })
    }

    fn thorough(&self, text: &[u8]) -> Heard {
        let Ok(fields) = serde_json::from_slice::<Fields<'_>>(text) else {
            return Heard::Error;
        };
        let said = |text: Option<&str>| self.numbers(text?.as_bytes());
        match fields.r#type {
            "message" => match (fields.seq, said(fields.text)) {
                (Some(seq), Some(said)) if !self.signal => Heard::Message {
                    seq,
                    sent: said.sent,
                },
                _ => Heard::Error,
            },
            "signal" => match fields
                .data
                .and_then(|data| self.numbers(data.as_str()?.as_bytes()))
            {
                Some(said) if self.signal => Heard::Signal(said),
                _ => Heard::Error,
            },
            "ok" => match fields.id.and_then(|id| id.as_u64()?.checked_sub(BASE)) {
                Some(sent) => Heard::Ok { sent },
                None => Heard::Other,
            },
            "error" | "gap" => Heard::Error,
            _ => Heard::Other,
        }
    }
}

/// What is looked at in a message that is parsed.
#[derive(Deserialize)]
struct Fields<'a> {
    r#type: &'a str,
    id: Option<Value>,
    seq: Option<u64>,
    text: Option<&'a str>,
    data: Option<Value>,
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    const SAID: Said = Said {
        sent: 1_234_567,
        speaker: 42,
        number: 77,
    };
    const TEXT: &str = "1000000001234567.000042.0000000077..............................";

    /// What is in a client's frame.
    fn unmasked(frame: &[u8]) -> String {
        let header = if frame[1] & 0x7F == 126 { 4 } else { 2 };
        let (mask, payload) = frame[header..].split_at(4);
        let bytes = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        String::from_utf8(bytes.collect()).unwrap()
    }

    #[test]
    fn what_is_said_is_json_with_its_numbers_in_the_text() {
        let mut script = Script::new("load-1", 64, false);
        script.say(Said {
            sent: 9,
            speaker: 9,
            number: 9,
        });
        let json: Value = serde_json::from_str(&unmasked(script.say(SAID))).unwrap();
        assert_eq!(json["type"], "send");
        assert_eq!(json["id"], BASE + SAID.sent);
        assert_eq!(json["room"], "load-1");
        assert_eq!(json["text"], TEXT);

        let mut script = Script::new("load-1", 64, true);
        let json: Value = serde_json::from_str(&unmasked(script.say(SAID))).unwrap();
        assert_eq!(
            (&json["type"], &json["data"]),
            (&"signal".into(), &TEXT.into())
        );
        assert!(json.get("id").is_none());
    }

    #[test]
    fn what_comes_is_told_by_its_places() {
        let script = Script::new("load-1", 64, false);
        let text = format!(
            r#"{{"type":"message","room":"load-1","seq":58,"at":"2026-11-22T07:00:00.000Z","from":{{"id":"u_1","name":"n"}},"text":"{TEXT}"}}"#
        );
        let message = Heard::Message {
            seq: 58,
            sent: SAID.sent,
        };
        assert_eq!(script.quick(text.as_bytes()), Some(message));
        let ok = br#"{"type":"ok","id":1000000001234567,"room":"load-1","seq":58,"at":"x"}"#;
        assert_eq!(script.quick(ok), Some(Heard::Ok { sent: SAID.sent }));

        let script = Script::new("load-1", 64, true);
        let text = format!(
            r#"{{"type":"signal","room":"load-1","user":{{"id":"u_1","name":"n"}},"data":"{TEXT}"}}"#
        );
        assert_eq!(script.quick(text.as_bytes()), Some(Heard::Signal(SAID)));
    }

    #[test]
    fn fields_in_another_order_are_understood_too() {
        let script = Script::new("load-1", 64, false);
        let text = format!(r#"{{"seq":58,"text":"{TEXT}","type":"message"}}"#);
        assert_eq!(script.quick(text.as_bytes()), None);
        let message = Heard::Message {
            seq: 58,
            sent: SAID.sent,
        };
        assert_eq!(script.read(text.as_bytes()), message);
    }

    #[test]
    fn what_was_changed_or_is_of_another_room_is_an_error() {
        let script = Script::new("load-1", 64, false);
        for text in [
            r#"{"type":"message","room":"load-1","seq":58,"text":"1000000001234567.000042"}"#,
            r#"{"type":"message","room":"load-1","seq":x,"text":"hello"}"#,
            r#"{"type":"error","id":1000000001234567,"code":"busy","message":"…"}"#,
            r#"{"type":"gap","room":"load-1","from":1,"to":2}"#,
        ] {
            assert_eq!(script.read(text.as_bytes()), Heard::Error, "{text}");
        }
        let signal = br#"{"type":"signal","room":"load-1","user":{},"data":"hello"}"#;
        assert_eq!(Script::new("load-1", 64, true).read(signal), Heard::Error);
        let presence = br#"{"type":"presence","room":"load-1","joined":[],"left":[],"count":2}"#;
        assert_eq!(script.read(presence), Heard::Other);
    }

    #[test]
    fn frames_of_the_shortest_text_hold_all_numbers() {
        let mut script = Script::new("a", LEAST, true);
        assert!(frames::split(script.say(SAID)).is_err(), "it is masked");
        let text = unmasked(script.say(SAID));
        assert!(
            text.contains("1000000001234567.000042.0000000077."),
            "{text}"
        );
    }
}
