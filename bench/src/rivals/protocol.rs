//! What is said to each kind of server, and what is understood of its answers.

use super::frames::Stamp;

/// Bytes of a message in a room, and of one that is echoed; Madang's are what its protocol makes of them.
const MESSAGE: usize = 128;
const ECHO: usize = 64;
/// Beside the stamp, in a signal, so that it is as long as the others' messages.
const SIGNAL_PADDING: &str = ".........";

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Room {
        room: usize,
        member: usize,
    },
    /// It is sent back what it says.
    Echo(usize),
}

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A message that someone said.
    Delivery,
    /// The connection can be used.
    Open,
    /// To be answered with this text.
    Question(String),
    Nothing,
    Refusal,
}

/// The differences between the servers.
pub(super) trait Protocol {
    /// The path and query of the handshake.
    fn target(&self, place: Place) -> String;
    /// Whether a connection can be used as soon as the handshake is answered.
    fn opens_at_once(&self) -> bool;
    fn hear(&self, text: &[u8], place: Place) -> Heard;
    /// A message with its stamp at the end, and [`behind`](Self::behind) it what closes it.
    fn say(&self, place: Place, stamp: Stamp) -> String;
    /// Bytes behind the stamp, in what is said and in what is heard.
    fn behind(&self) -> usize;
    /// Whether a speaker hears what it says in a room.
    fn hears_itself(&self) -> bool;
}

/// A JSON object of so many bytes. Its keys are in alphabetical order, so that servers that read it leave
/// the stamp where it is.
fn body(bytes: usize, place: Place, stamp: Stamp) -> String {
    let start = match place {
        Place::Room { room, member } => {
            format!(r#"{{"from":"n{member}","room":"r{room}","text":""#)
        }
        Place::Echo(_) => r#"{"text":""#.to_owned(),
    };
    let padding = bytes - start.len() - Stamp::BYTES - 2;
    format!(r#"{start}{:.<padding$}{}"}}"#, "", stamp.text())
}

fn body_at(place: Place, stamp: Stamp) -> String {
    let bytes = match place {
        Place::Room { .. } => MESSAGE,
        Place::Echo(_) => ECHO,
    };
    body(bytes, place, stamp)
}

/// A text goes out to the room as it came.
pub(super) struct Plain;

impl Protocol for Plain {
    fn target(&self, place: Place) -> String {
        match place {
            Place::Room { room, .. } => format!("/rooms/{room}"),
            Place::Echo(_) => "/echo".to_owned(),
        }
    }

    fn opens_at_once(&self) -> bool {
        true
    }

    fn hear(&self, _: &[u8], _: Place) -> Heard {
        Heard::Delivery
    }

    fn say(&self, place: Place, stamp: Stamp) -> String {
        body_at(place, stamp)
    }

    fn behind(&self) -> usize {
        2
    }

    fn hears_itself(&self) -> bool {
        true
    }
}

/// Engine.IO 4 and Socket.IO 5, by WebSocket alone.
pub(super) struct SocketIo;

impl Protocol for SocketIo {
    fn target(&self, _: Place) -> String {
        "/socket.io/?EIO=4&transport=websocket".to_owned()
    }

    fn opens_at_once(&self) -> bool {
        false
    }

    fn hear(&self, text: &[u8], place: Place) -> Heard {
        match text {
            [b'4', b'2', ..] => Heard::Delivery,
            [b'4', b'0', ..] => Heard::Open,
            [b'0', ..] => Heard::Question(match place {
                Place::Room { room, .. } => format!(r#"40{{"room":"r{room}"}}"#),
                Place::Echo(_) => "40{}".to_owned(),
            }),
            [b'2'] => Heard::Question("3".to_owned()),
            _ => Heard::Refusal,
        }
    }

    fn say(&self, place: Place, stamp: Stamp) -> String {
        let event = match place {
            Place::Room { .. } => "message",
            Place::Echo(_) => "echo",
        };
        format!(r#"42["{event}",{}]"#, body_at(place, stamp))
    }

    fn behind(&self) -> usize {
        3
    }

    fn hears_itself(&self) -> bool {
        true
    }
}

/// Madang's own, by stored messages or by signals.
pub(super) struct Madang {
    pub(super) stored: bool,
}

impl Protocol for Madang {
    fn target(&self, place: Place) -> String {
        match place {
            Place::Room { room, member } => format!("/ws/r{room}?name=n{member}"),
            Place::Echo(number) if self.stored => format!("/ws/echo{number}?name=n{number}"),
            Place::Echo(number) => format!("/ws?name=n{number}"),
        }
    }

    fn opens_at_once(&self) -> bool {
        false
    }

    fn hear(&self, text: &[u8], place: Place) -> Heard {
        let kind = text.strip_prefix(br#"{"type":""#).unwrap_or_default();
        if kind.starts_with(b"message\"")
            || kind.starts_with(b"signal\"")
            || kind.starts_with(b"pong\"")
        {
            Heard::Delivery
        } else if kind.starts_with(b"subscribed\"") {
            Heard::Open
        } else if kind.starts_with(b"hello\"") {
            match place {
                Place::Echo(_) if !self.stored => Heard::Open,
                _ => Heard::Nothing,
            }
        } else if kind.starts_with(b"error\"") || kind.starts_with(b"gap\"") {
            Heard::Refusal
        } else {
            Heard::Nothing
        }
    }

    fn say(&self, place: Place, stamp: Stamp) -> String {
        let stamp = stamp.text();
        match (place, self.stored) {
            (Place::Room { room, .. }, true) => {
                format!(r#"{{"type":"send","id":1,"room":"r{room}","text":"{stamp}"}}"#)
            }
            (Place::Room { room, .. }, false) => {
                format!(r#"{{"type":"signal","room":"r{room}","data":"{SIGNAL_PADDING}{stamp}"}}"#)
            }
            (Place::Echo(number), true) => {
                format!(r#"{{"type":"send","id":1,"room":"echo{number}","text":"{stamp}"}}"#)
            }
            // The shortest question that there is.
            (Place::Echo(_), false) => {
                let padding = ECHO - r#"{"type":"pong","id":""}"#.len() - stamp.len();
                format!(r#"{{"type":"ping","id":"{:.<padding$}{stamp}"}}"#, "")
            }
        }
    }

    fn behind(&self) -> usize {
        2
    }

    fn hears_itself(&self) -> bool {
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        speaker: 12,
        number: 345,
    };
    const ROOM: Place = Place::Room { room: 9, member: 3 };

    #[test]
    fn each_says_json_that_ends_with_the_stamp() {
        let protocols: [&dyn Protocol; 4] = [
            &Plain,
            &SocketIo,
            &Madang { stored: true },
            &Madang { stored: false },
        ];
        for protocol in protocols {
            for place in [ROOM, Place::Echo(99)] {
                let said = protocol.say(place, STAMP);
                let json = said.trim_start_matches("42");
                serde_json::from_str::<serde_json::Value>(json).unwrap();
                let read = Stamp::read(said.as_bytes(), protocol.behind());
                assert_eq!(read, Some(STAMP), "{said}");
            }
        }
        assert_eq!(Plain.say(ROOM, STAMP).len(), MESSAGE);
        assert_eq!(Plain.say(Place::Echo(1), STAMP).len(), ECHO);
    }

    #[test]
    fn socket_io_is_answered_until_it_is_open() {
        let hear = |text: &[u8]| SocketIo.hear(text, ROOM);
        let join = Heard::Question(r#"40{"room":"r9"}"#.to_owned());
        assert_eq!(hear(br#"0{"sid":"a"}"#), join);
        assert_eq!(hear(br#"40{"sid":"b"}"#), Heard::Open);
        assert_eq!(hear(b"2"), Heard::Question("3".to_owned()));
        assert_eq!(hear(br#"42["message",{}]"#), Heard::Delivery);
        assert_eq!(hear(br#"44{"message":"no"}"#), Heard::Refusal);
    }

    #[test]
    fn madang_is_open_when_it_has_subscribed_where_there_is_a_room() {
        let stored = Madang { stored: true };
        assert_eq!(stored.hear(br#"{"type":"hello","#, ROOM), Heard::Nothing);
        assert_eq!(stored.hear(br#"{"type":"subscribed","#, ROOM), Heard::Open);
        let passing = Madang { stored: false };
        let echo = Place::Echo(0);
        assert_eq!(passing.hear(br#"{"type":"hello","#, echo), Heard::Open);
        assert_eq!(passing.hear(br#"{"type":"error","#, echo), Heard::Refusal);
        assert_eq!(passing.hear(br#"{"type":"ok","#, echo), Heard::Nothing);
    }
}
