//! What is said when something cannot be done: one shape for WebSocket replies and REST bodies.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::id::RequestId;
use crate::names::NameError;

/// Why something was refused, for a program to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not one JSON object in UTF-8.
    BadJson,
    /// No such command.
    UnknownType,
    /// A field is missing, of the wrong type or out of range.
    BadField,
    /// Over a limit.
    TooLong,
    /// It is not known who asks.
    Unauthorized,
    /// Who asks may not do it.
    Forbidden,
    /// No room has this name.
    NoSuchRoom,
    /// The room's log has no message at this place.
    NoSuchMessage,
    /// No user has this id.
    NoSuchUser,
    /// No service has this name.
    NoSuchService,
    /// No session has this id.
    NoSuchSession,
    /// No call of this user has this ticket, or not any more.
    NoSuchTicket,
    /// The call does not wait for an answer of this session.
    NoSuchCall,
    /// It needs a subscription to the room.
    NotSubscribed,
    /// It exists already, or changed meanwhile.
    Conflict,
    /// Too fast.
    RateLimited,
    /// Too much in flight.
    Busy,
    /// Storage or the cluster cannot take it now; nothing was stored.
    Unavailable,
    /// A call's deadline passed.
    Timeout,
    /// A call was cancelled.
    Cancelled,
    /// A fault of the server.
    Internal,
}

/// A refusal, for a program (`code`) and for a person (`message`).
///
/// By itself it is written as a REST body, `{"type":"error","code":…,"message":…}`; in a
/// [`ServerMessage`](crate::ServerMessage) it also carries the `id` of the command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Why, for a program.
    pub code: ErrorCode,
    /// What was wrong and what to do, in a whole sentence for a person.
    pub message: Cow<'static, str>,
    /// The field that was wrong.
    pub field: Option<Cow<'static, str>>,
    /// The limit that was passed, in the unit of what it limits.
    pub limit: Option<u64>,
    /// After how many milliseconds another try is worth while.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// An error with nothing but its reason.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            limit: None,
            retry_after_ms: None,
        }
    }

    /// A field that is missing, of the wrong type or out of range.
    pub fn bad_field(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(ErrorCode::BadField, message)
        }
    }

    /// A field that must be there and is not.
    pub fn missing(field: &'static str) -> Self {
        Self::bad_field(field, format!("The field '{field}' is missing."))
    }

    /// A field over its limit of so many `unit`s.
    pub fn too_long(field: &'static str, limit: usize, unit: &str) -> Self {
        Self {
            field: Some(field.into()),
            limit: u64::try_from(limit).ok(),
            ..Self::new(
                ErrorCode::TooLong,
                format!("The field '{field}' must have at most {limit} {unit}."),
            )
        }
    }

    /// A field that cannot be the name it is meant to be.
    pub fn bad_name(field: &'static str, reason: NameError) -> Self {
        match reason {
            NameError::TooLong { limit } => Self::too_long(field, limit, "characters"),
            NameError::Empty | NameError::Character(_) | NameError::Dots => {
                Self::bad_field(field, format!("The field '{field}' {reason}."))
            }
        }
    }

    /// The same, to be tried again after so many milliseconds.
    #[must_use]
    pub fn retry_after_ms(self, millis: u64) -> Self {
        Self {
            retry_after_ms: Some(millis),
            ..self
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_reply(&None, self, serializer)
    }
}

/// Writes an error, with the id of the command where there is one.
pub(crate) fn serialize_reply<S: Serializer>(
    id: &Option<RequestId>,
    error: &Error,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shape<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RequestId>,
        code: ErrorCode,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    let Error {
        code,
        message,
        field,
        limit,
        retry_after_ms,
    } = error;
    Shape {
        r#type: "error",
        id: id.as_ref(),
        code: *code,
        message,
        field: field.as_deref(),
        limit: *limit,
        retry_after_ms: *retry_after_ms,
    }
    .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_body_leaves_out_what_there_is_nothing_to_say_of() {
        let error = Error::new(ErrorCode::NoSuchRoom, "There is no room 'x'.");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"type":"error","code":"no_such_room","message":"There is no room 'x'."}"#
        );
    }

    #[test]
    fn everything_known_is_told_in_a_stable_order() {
        let error = Error::too_long("room", 64, "characters").retry_after_ms(5);
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            "{\"type\":\"error\",\"code\":\"too_long\",\
             \"message\":\"The field 'room' must have at most 64 characters.\",\
             \"field\":\"room\",\"limit\":64,\"retry_after_ms\":5}"
        );
    }

    #[test]
    fn a_bad_name_says_what_is_wrong_with_it() {
        let error = Error::bad_name("room", NameError::Character('/'));
        assert_eq!(error.code, ErrorCode::BadField);
        assert_eq!(
            error.to_string(),
            "The field 'room' must not contain the character '/'."
        );
        let error = Error::bad_name("name", NameError::TooLong { limit: 40 });
        assert_eq!((error.code, error.limit), (ErrorCode::TooLong, Some(40)));
    }
}
