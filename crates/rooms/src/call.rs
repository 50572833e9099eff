//! Calls: questions to a service, answered when the answer is ready.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use ulid::Ulid;

use crate::error::{Error, ErrorCode};
use crate::event::Data;
use crate::fields::check_json;
use crate::names::{Key, MethodName, ServiceName, UserId};
use crate::user::is_false;
use crate::{Timestamp, User};

/// A question to a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What identifies it.
    pub id: CallId,
    /// Who is asked.
    pub service: ServiceName,
    /// What is asked.
    pub method: MethodName,
    /// What is told with it.
    pub params: Data,
    /// Who asks, as they were called then.
    pub from: User,
    /// The caller's own name for it, which makes a retry safe.
    pub key: Option<Key>,
    /// When it was asked.
    pub at: Timestamp,
    /// Until when it must be answered.
    pub deadline: Timestamp,
}

/// A call, as a service is asked.
///
/// It is written as `{"call":…,"service":…,"method":…,"params":…,"from":{…},"timeout_ms":…}`, and with
/// `"again":true` where that is so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallRequest {
    /// Which.
    pub call: CallId,
    /// Who is asked.
    pub service: ServiceName,
    /// What is asked.
    pub method: MethodName,
    /// What is told with it.
    pub params: Data,
    /// Who asks.
    pub from: User,
    /// Within which it must be answered.
    pub timeout_ms: u64,
    /// Whether it was handed out before, and may be done by half.
    #[serde(skip_serializing_if = "is_false")]
    pub again: bool,
}

impl CallRequest {
    /// The call, with the time that is left.
    pub fn new(call: &Call, timeout: Duration, again: bool) -> Self {
        Self {
            call: call.id,
            service: call.service.clone(),
            method: call.method.clone(),
            params: call.params.clone(),
            from: call.from.clone(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            again,
        }
    }
}

/// What came of a call: a result, or why there is none.
pub type Answer = Result<Data, Failure>;

/// Why a call has no result: a code for a program, a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// 1–64 small letters, digits and `_`. The server's own are those of [`ErrorCode`].
    pub code: String,
    /// At most 1,000 characters.
    pub message: String,
}

impl Failure {
    /// The largest number of characters of a code.
    pub const CODE_LIMIT: usize = 64;
    /// The largest number of characters of a message.
    pub const MESSAGE_LIMIT: usize = 1_000;

    /// A failure that is not checked yet: see [`parse`](Self::parse).
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    /// A failure that a service tells.
    pub fn parse(code: &str, message: &str) -> Result<Self, Error> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if code.is_empty() || code.len() > Self::CODE_LIMIT || !code.bytes().all(plain) {
            let message =
                "The field 'code' of 'error' must be 1 to 64 small letters, digits and '_'.";
            return Err(Error::bad_field("error", message));
        }
        if message.chars().nth(Self::MESSAGE_LIMIT).is_some() {
            return Err(Error::too_long(
                "error",
                Self::MESSAGE_LIMIT,
                "characters of message",
            ));
        }
        Ok(Self {
            code: code.to_owned(),
            message: message.to_owned(),
        })
    }
}

/// The server's own reason.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = serde_json::to_value(error.code).ok();
        let code = code.as_ref().and_then(|code| code.as_str());
        Self {
            code: code.unwrap_or("internal").to_owned(),
            message: error.message.into_owned(),
        }
    }
}

impl Data {
    /// JSON's `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// JSON that did not come in a command. `field` is what it is called in an error.
    ///
    /// # Errors
    ///
    /// Where it is no JSON, nests deeper than 64 levels, or holds half of a character.
    pub fn parse(field: &'static str, json: String) -> Result<Self, Error> {
        let raw = RawValue::from_string(json).map_err(|error| {
            // The parser's own words may quote what is private, so only the place is told.
            let (line, column) = (error.line(), error.column());
            let message = format!(
                "The field '{field}' must be JSON; it stops being that at line {line}, column {column}."
            );
            Error::bad_field(field, message)
        })?;
        check_json(field, raw.get())?;
        Ok(Self(raw))
    }
}

/// A text that is not the id of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be '{prefix}' and 26 digits and capital letters")]
pub struct CallIdError {
    prefix: &'static str,
}

/// Makes an id of 128 bits, a ULID behind a prefix, so that ids sort by time.
macro_rules! id {
    ($(#[$doc:meta])* $id:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(u128);

        impl $id {
            /// The id of a call that is asked at `at`, with the low 80 bits of `random`.
            pub fn new(at: Timestamp, random: u128) -> Self {
                let millis = u64::try_from(at.as_millis()).unwrap_or(0);
                Self(Ulid::from_parts(millis, random).0)
            }

            /// Reads what [`Display`](fmt::Display) writes, and no other spelling of it.
            pub fn parse(text: &str) -> Result<Self, CallIdError> {
                let error = CallIdError { prefix: $prefix };
                let ulid = text.strip_prefix($prefix).ok_or(error)?;
                let id = Ulid::from_string(ulid).map_err(|_| error)?;
                // The decoder takes small letters and lets a first digit above 7 overflow.
                if id.array_to_str(&mut [0; ulid::ULID_LEN]) == ulid {
                    Ok(Self(id.0))
                } else {
                    Err(error)
                }
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(Ulid(self.0).array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id! {
    /// What identifies a call to the service: `c_` and a ULID.
    CallId, "c_"
}

id! {
    /// The caller's buzzer, with which the answer can be had from anywhere: the same id as `t_…`.
    Ticket, "t_"
}

impl CallId {
    /// An id behind this one, which nobody can guess who knows this one but not `random`.
    #[must_use]
    pub fn after(self, random: u64) -> Self {
        Self(self.0.saturating_add(u128::from(random) + 1))
    }
}

impl Ticket {
    /// Whose call it is, where it was asked by a guest who has nothing but the ticket to come back with: the
    /// same id as `u_…`.
    pub fn guest(self) -> UserId {
        UserId::numbered(Ulid(self.0))
    }
}

impl From<CallId> for Ticket {
    fn from(id: CallId) -> Self {
        Self(id.0)
    }
}

impl From<Ticket> for CallId {
    fn from(ticket: Ticket) -> Self {
        Self(ticket.0)
    }
}

/// No call of this user has this ticket, or not any more.
impl From<Ticket> for Error {
    fn from(ticket: Ticket) -> Self {
        let message =
            format!("There is no call '{ticket}' of yours, or its answer is not kept any more.");
        Self::new(ErrorCode::NoSuchTicket, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_and_its_call_are_one_id_with_two_faces() {
        let call = CallId::new(Timestamp::from_millis(1_795_339_800_120), 7);
        let ticket = Ticket::from(call);
        assert_eq!(ticket.to_string()[2..], call.to_string()[2..]);
        assert_eq!(CallId::from(ticket), call);
        assert_eq!(ticket.guest().as_str()[2..], call.to_string()[2..]);
        assert_eq!(CallId::parse(&call.to_string()), Ok(call));
        assert_eq!(Ticket::parse(&ticket.to_string()), Ok(ticket));
        assert_eq!(
            serde_json::to_string(&ticket).unwrap(),
            format!("\"{ticket}\"")
        );
    }

    #[test]
    fn other_spellings_of_an_id_are_refused() {
        let call = CallId::new(Timestamp::from_millis(1_795_339_800_120), u128::MAX).to_string();
        for text in [
            "",
            "c_",
            &call[2..],
            &call.to_lowercase(),
            &format!("t{}", &call[1..]),
            "c_8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        ] {
            let error = CallId::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "must be 'c_' and 26 digits and capital letters"
            );
        }
    }

    #[test]
    fn an_id_behind_another_is_behind_it_whatever_the_step() {
        let call = CallId::new(Timestamp::from_millis(1_795_339_800_120), u128::MAX);
        assert!(call.after(0) > call);
        assert!(call.after(u64::MAX) > call.after(u64::MAX - 1));
    }

    #[test]
    fn json_from_elsewhere_is_held_to_the_same_rules() {
        let parse = |json: &str| Data::parse("result", json.to_owned());
        assert_eq!(parse(" [1, 2]\n").unwrap().0.get(), "[1, 2]");
        let error = parse("[1,").unwrap_err();
        assert_eq!(error.code, ErrorCode::BadField);
        assert!(error.message.contains("'result' must be JSON"), "{error}");
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(64)).is_ok());
        assert_eq!(parse(&nested(65)).unwrap_err().code, ErrorCode::TooLong);
        assert_eq!(parse(r#""\ud800""#).unwrap_err().code, ErrorCode::BadField);
    }

    #[test]
    fn a_failure_has_a_code_for_programs() {
        assert!(Failure::parse("sold_out", "다 팔렸어요").is_ok());
        for code in ["", "Sold", "sold out", "다", &"a".repeat(65)] {
            assert_eq!(
                Failure::parse(code, "").unwrap_err().code,
                ErrorCode::BadField
            );
        }
        let long = "가".repeat(1_001);
        assert_eq!(
            Failure::parse("a", &long).unwrap_err().code,
            ErrorCode::TooLong
        );
        let failure = Failure::from(Error::new(ErrorCode::Timeout, "Too late."));
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("timeout", "Too late.")
        );
    }
}
