//! What a room's log holds.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::names::{Key, RoomName};
use crate::{Timestamp, User};

/// An event's number in its room's log: 1, 2, 3 … without a hole. 0 stands before the first.
pub type Seq = u64;

/// The largest number that every client can hold: a browser's numbers are exact up to 2⁵³ − 1.
pub const MAX_SEQ: Seq = (1 << 53) - 1;

/// One entry of a room's log.
///
/// It is written as `{"type":"message","room":…,"seq":…,"at":…,"from":{…},…}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The room in whose log it is.
    pub room: RoomName,
    /// Its place there.
    pub seq: Seq,
    /// When it was stored. Within a room it never goes backwards.
    pub at: Timestamp,
    /// Who made it, as they were called then.
    pub from: User,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// Someone said something.
    Message {
        /// What was said.
        content: Content,
        /// The sender's own name for it.
        key: Option<Key>,
    },
}

/// What a message says: a text, data or both.
#[derive(Debug, Clone)]
pub struct Content {
    /// Text for people, without NUL characters.
    pub text: Option<String>,
    /// JSON for programs, byte for byte as it was sent.
    pub data: Option<Box<RawValue>>,
    /// The event that it answers.
    pub reply_to: Option<Seq>,
}

/// Data is equal when its bytes are.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        let (data, others) = (self.data.as_deref(), other.data.as_deref());
        self.text == other.text
            && data.map(RawValue::get) == others.map(RawValue::get)
            && self.reply_to == other.reply_to
    }
}

/// JSON for programs, byte for byte as it was sent; equal when its bytes are.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Data(pub Box<RawValue>);

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Message<'a> {
            r#type: &'static str,
            room: &'a RoomName,
            seq: Seq,
            at: Timestamp,
            from: &'a User,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            key: Option<&'a Key>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reply_to: Option<Seq>,
        }
        let EventKind::Message { content, key } = &self.kind;
        Message {
            r#type: "message",
            room: &self.room,
            seq: self.seq,
            at: self.at,
            from: &self.from,
            text: content.text.as_deref(),
            data: content.data.as_deref(),
            key: key.as_ref(),
            reply_to: content.reply_to,
        }
        .serialize(serializer)
    }
}
