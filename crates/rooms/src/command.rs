//! What a client may ask: one closed enum, and the one way in.

use crate::call::{Answer, CallId, Failure, Ticket};
use crate::error::{Error, ErrorCode};
use crate::event::{Content, Data, MAX_SEQ, Seq};
use crate::fields::{Fields, out_of_range};
use crate::id::RequestId;
use crate::names::{Key, MethodName, RoomName, ServiceName};

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
    /// To ask a service something.
    Call(Question),
    /// To have the answer of an earlier call.
    Collect {
        /// Which.
        ticket: Ticket,
    },
    /// To want the answer no more.
    Cancel {
        /// Which.
        ticket: Ticket,
    },
    /// To answer a service's calls from now on.
    Serve(Serve),
    /// To get no more of them.
    Unserve {
        /// The service.
        service: ServiceName,
    },
    /// The answer to a call.
    Respond {
        /// Which.
        call: CallId,
        /// What came of it.
        answer: Answer,
    },
    /// How far a call is.
    Progress {
        /// Which.
        call: CallId,
        /// What is told to the caller.
        data: Data,
    },
}

/// What a service is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Who is asked.
    pub service: ServiceName,
    /// What is asked.
    pub method: MethodName,
    /// What is told with it.
    pub params: Data,
    /// Within how many milliseconds it must be answered.
    pub timeout_ms: Option<u64>,
    /// The caller's own name for it, which makes a retry safe.
    pub key: Option<Key>,
}

impl Question {
    /// The largest number of milliseconds: a day.
    pub const MAX_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1_000;
}

/// How a session serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// The service.
    pub service: ServiceName,
    /// Calls that it takes at a time.
    pub concurrency: u32,
    /// Whether a call that was handed out, and is not answered, may be handed out again.
    pub repeatable: bool,
    /// Calls that it still works at, from a session before.
    pub resume: Vec<CallId>,
}

impl Serve {
    /// The largest number of calls at a time, and of those resumed.
    pub const MAX: u64 = 1_024;
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
            "call" => Ok(Self::Call(Question {
                service: service(fields)?,
                method: fields
                    .name("method", MethodName::parse)?
                    .ok_or_else(|| Error::missing("method"))?,
                params: data(fields, "params")?,
                timeout_ms: fields.integer("timeout_ms", 1..=Question::MAX_TIMEOUT_MS)?,
                key: fields.name("key", Key::parse)?,
            })),
            "collect" => Ok(Self::Collect {
                ticket: fields.id("ticket", Ticket::parse)?,
            }),
            "cancel" => Ok(Self::Cancel {
                ticket: fields.id("ticket", Ticket::parse)?,
            }),
            "serve" => Ok(Self::Serve(Serve {
                service: service(fields)?,
                concurrency: fields.integer("concurrency", 1..=Serve::MAX)?.unwrap_or(1) as u32,
                repeatable: fields.flag("repeatable")?.unwrap_or(false),
                resume: resume(fields)?,
            })),
            "unserve" => Ok(Self::Unserve {
                service: service(fields)?,
            }),
            "respond" => Ok(Self::Respond {
                call: fields.id("call", CallId::parse)?,
                answer: answer(fields)?,
            }),
            "progress" => Ok(Self::Progress {
                call: fields.id("call", CallId::parse)?,
                data: data(fields, "data")?,
            }),
            _ => Err(Error::new(
                ErrorCode::UnknownType,
                "There is no such command; the types are 'ping', 'subscribe', 'unsubscribe', \
                 'send', 'history', 'who', 'typing', 'signal', 'call', 'collect', 'cancel', 'serve', \
                 'unserve', 'respond' and 'progress'.",
            )),
        }
    }
}

fn service(fields: &Fields<'_>) -> Result<ServiceName, Error> {
    let service = fields.name("service", ServiceName::parse)?;
    service.ok_or_else(|| Error::missing("service"))
}

/// Any JSON, `null` where there is none.
fn data(fields: &Fields<'_>, name: &'static str) -> Result<Data, Error> {
    Ok(fields.json(name)?.map_or_else(Data::null, Data))
}

fn resume(fields: &Fields<'_>) -> Result<Vec<CallId>, Error> {
    let bad = |_| {
        let message = format!(
            "The field 'resume' must be an array of at most {} calls, such as \"c_01J…\".",
            Serve::MAX
        );
        Error::bad_field("resume", message)
    };
    let Some(json) = fields.json("resume")? else {
        return Ok(Vec::new());
    };
    let calls: Vec<String> = serde_json::from_str(json.get()).map_err(|_| bad(()))?;
    if calls.len() as u64 > Serve::MAX {
        return Err(bad(()));
    }
    let calls = calls.iter().map(|call| CallId::parse(call));
    calls.collect::<Result<_, _>>().map_err(|_| bad(()))
}

fn answer(fields: &Fields<'_>) -> Result<Answer, Error> {
    let (result, error) = (fields.json("result")?, fields.json("error")?);
    match (result, error) {
        (result, None) => Ok(Ok(result.map_or_else(Data::null, Data))),
        (None, Some(error)) => {
            let (fields, read) = Fields::read(error.get());
            let text = |name| fields.string(name).ok().flatten();
            match (read, text("code"), text("message")) {
                (Ok(()), Some(code), message) => {
                    Ok(Err(Failure::parse(&code, &message.unwrap_or_default())?))
                }
                _ => {
                    let message = "The field 'error' must be an object with a 'code' and a 'message', \
                                   both strings.";
                    Err(Error::bad_field("error", message))
                }
            }
        }
        (Some(_), Some(_)) => {
            let message = "The fields 'result' and 'error' exclude each other; send one of them.";
            Err(Error::bad_field("error", message))
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
