//! What a client may ask: one closed enum, and the one way in.

use crate::error::{Error, ErrorCode};
use crate::event::{Content, Data, MAX_SEQ, Seq};
use crate::fields::{Fields, out_of_range};
use crate::id::RequestId;
use crate::names::{Key, RoomName};

/// One command of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The client's buzzer. Without one no `ok` is sent; an error still is.
    pub id: Option<RequestId>,
    /// What is asked.
    pub request: Request,
}

/// A command that could not be understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// The command's id, as far as it could be read, so that the error can name it.
    pub id: Option<RequestId>,
    /// What was wrong.
    pub error: Error,
}

/// What is asked. `room` is absent where the session's own room is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Is the server there? Answered with `pong`.
    Ping,
    /// To get a room's events from some place on.
    Subscribe {
        /// The room.
        room: Option<RoomName>,
        /// Where in the log to begin.
        start: Start,
        /// The epoch under which the client knew the log.
        epoch: Option<String>,
    },
    /// To get a room's events no more.
    Unsubscribe {
        /// The room.
        room: Option<RoomName>,
    },
    /// To say something in a room.
    Send {
        /// The room.
        room: Option<RoomName>,
        /// The client's own name for the message, which makes a retry safe.
        key: Option<Key>,
        /// What is said.
        content: Content,
    },
    /// To read a part of a room's log.
    History {
        /// The room.
        room: Option<RoomName>,
        /// Which part.
        page: Page,
    },
    /// Who is in a room now?
    Who {
        /// The room.
        room: Option<RoomName>,
    },
    /// To be seen typing in a room, or no more.
    Typing {
        /// The room.
        room: Option<RoomName>,
        /// Which of the two.
        on: bool,
    },
    /// To tell something to those who are in a room now, and nobody later.
    Signal {
        /// The room.
        room: Option<RoomName>,
        /// What is told.
        data: Data,
    },
}

/// Where in a log a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Now,
    /// After this event.
    After(Seq),
    /// With so many of the last events.
    Last(u64),
}

/// A part of a room's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Where it lies.
    pub anchor: Anchor,
    /// The largest number of events, 1 to [`Page::MAX`].
    pub limit: u64,
}

/// Where a page lies in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At the end.
    Latest,
    /// Right before this event.
    Before(Seq),
    /// Right after this event.
    After(Seq),
}

impl Start {
    /// The place that a client asks for by `since` and `last`, each of which may be absent.
    pub fn new(since: Option<Seq>, last: Option<u64>) -> Result<Self, Error> {
        match (since, last) {
            (None, None) => Ok(Self::Now),
            (Some(seq), None) if seq <= MAX_SEQ => Ok(Self::After(seq)),
            (None, Some(count)) if count <= MAX_SEQ => Ok(Self::Last(count)),
            (Some(_), None) => Err(out_of_range("since", &(0..=MAX_SEQ))),
            (None, Some(_)) => Err(out_of_range("last", &(0..=MAX_SEQ))),
            (Some(_), Some(_)) => {
                let message = "The fields 'since' and 'last' exclude each other; send one of them.";
                Err(Error::bad_field("last", message))
            }
        }
    }
}

impl Page {
    /// The number of events when none is asked for.
    pub const DEFAULT: u64 = 50;
    /// The largest number of events.
    pub const MAX: u64 = 200;

    /// The page that a client asks for by `before`, `after` and `limit`, each of which may be
    /// absent.
    pub fn new(before: Option<Seq>, after: Option<Seq>, limit: Option<u64>) -> Result<Self, Error> {
        let anchor = match (before, after) {
            (None, None) => Anchor::Latest,
            (Some(seq), None) if seq <= MAX_SEQ => Anchor::Before(seq),
            (None, Some(seq)) if seq <= MAX_SEQ => Anchor::After(seq),
            (Some(_), None) => return Err(out_of_range("before", &(0..=MAX_SEQ))),
            (None, Some(_)) => return Err(out_of_range("after", &(0..=MAX_SEQ))),
            (Some(_), Some(_)) => {
                let message =
                    "The fields 'before' and 'after' exclude each other; send one of them.";
                return Err(Error::bad_field("after", message));
            }
        };
        let limit = limit.unwrap_or(Self::DEFAULT);
        if (1..=Self::MAX).contains(&limit) {
            Ok(Self { anchor, limit })
        } else {
            Err(out_of_range("limit", &(1..=Self::MAX)))
        }
    }
}

/// A message that comes as the body of an HTTP request, where the room is in the address.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Who says it, where a name is enough.
    pub name: Option<String>,
    /// The sender's own name for the message, which makes a retry safe.
    pub key: Option<Key>,
    /// What is said.
    pub content: Content,
}

impl Post {
    /// Reads a body: the fields of `send`, and `name`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (fields, read) = Fields::read(text);
        read?;
        Ok(Self {
            name: fields.string("name")?.map(Into::into),
            key: fields.name("key", Key::parse)?,
            content: content(&fields)?,
        })
    }
}

impl Command {
    /// Reads one message of a client.
    ///
    /// Fields that a command does not know are ignored, `null` counts as absent, and of two fields
    /// with one name the last counts.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let (fields, read) = Fields::read(text);
        let (id, bad_id) = match fields.request_id() {
            Ok(id) => (id, Ok(())),
            Err(error) => (None, Err(error)),
        };
        match read.and(bad_id).and_then(|()| Request::read(&fields)) {
            Ok(request) => Ok(Self { id, request }),
            Err(error) => Err(Rejected { id, error }),
        }
    }
}

impl Request {
    fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        let name = fields
            .string("type")?
            .ok_or_else(|| Error::missing("type"))?;
        let room = || fields.name("room", RoomName::parse);
        match &*name {
            "ping" => Ok(Self::Ping),
            "subscribe" => Ok(Self::Subscribe {
                room: room()?,
                start: start(fields)?,
                epoch: fields.short_string("epoch", EPOCH_LIMIT)?,
            }),
            "unsubscribe" => Ok(Self::Unsubscribe { room: room()? }),
            "send" => Ok(Self::Send {
                room: room()?,
                key: fields.name("key", Key::parse)?,
                content: content(fields)?,
            }),
            "history" => Ok(Self::History {
                room: room()?,
                page: page(fields)?,
            }),
            "who" => Ok(Self::Who { room: room()? }),
            "typing" => Ok(Self::Typing {
                room: room()?,
                on: fields.flag("on")?.ok_or_else(|| Error::missing("on"))?,
            }),
            "signal" => Ok(Self::Signal {
                room: room()?,
                data: Data(fields.json("data")?.ok_or_else(|| Error::missing("data"))?),
            }),
            _ => Err(Error::new(
                ErrorCode::UnknownType,
                "There is no such command; the types are 'ping', 'subscribe', 'unsubscribe', \
                 'send', 'history', 'who', 'typing' and 'signal'.",
            )),
        }
    }
}

/// The largest number of characters of an `epoch`; the server's own are shorter.
const EPOCH_LIMIT: usize = 64;

fn start(fields: &Fields<'_>) -> Result<Start, Error> {
    Start::new(
        fields.integer("since", 0..=MAX_SEQ)?,
        fields.integer("last", 0..=MAX_SEQ)?,
    )
}

fn content(fields: &Fields<'_>) -> Result<Content, Error> {
    let text = fields.string("text")?;
    let data = fields.json("data")?;
    let problem = match &text {
        None if data.is_none() => Some("A message needs a 'text', a 'data' or both."),
        Some(text) if text.is_empty() => {
            Some("The field 'text' must not be empty; leave it out to send 'data' alone.")
        }
        // Databases and terminals end a text there.
        Some(text) if text.contains('\0') => {
            Some("The field 'text' must not contain the NUL character.")
        }
        _ => None,
    };
    match problem {
        Some(message) => Err(Error::bad_field("text", message)),
        None => Ok(Content {
            text: text.map(Into::into),
            data,
            reply_to: fields.integer("reply_to", 1..=MAX_SEQ)?,
        }),
    }
}

fn page(fields: &Fields<'_>) -> Result<Page, Error> {
    Page::new(
        fields.integer("before", 0..=MAX_SEQ)?,
        fields.integer("after", 0..=MAX_SEQ)?,
        fields.integer("limit", 1..=Page::MAX)?,
    )
}

#[cfg(test)]
mod tests;
