//! Ids of sessions and of requests.

use std::fmt;

use serde::{Serialize, Serializer};
use ulid::Ulid;

use crate::Timestamp;

/// What identifies one open WebSocket: a ULID, so that ids sort by the time of connecting.
///
/// It is shown and read as 26 characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u128);

/// A text that is not a session's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a session's id: 26 digits and capital letters")]
pub struct SessionIdError;

impl SessionId {
    /// The id of a session that connects at `at`, with the low 80 bits of `random`.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(Ulid::from_parts(millis, random).0)
    }

    /// Reads the 26 characters that [`Display`](fmt::Display) writes, and no other spelling of
    /// them.
    pub fn parse(text: &str) -> Result<Self, SessionIdError> {
        let id = Self(Ulid::from_string(text).map_err(|_| SessionIdError)?.0);
        // The decoder takes small letters and lets a first digit above 7 overflow.
        if id.text(&mut [0; ulid::ULID_LEN]) == text {
            Ok(id)
        } else {
            Err(SessionIdError)
        }
    }

    /// When the session connected.
    pub fn at(self) -> Timestamp {
        let millis = i64::try_from(Ulid(self.0).timestamp_ms()).unwrap_or(i64::MAX);
        Timestamp::from_millis(millis)
    }

    fn text(self, buffer: &mut [u8; ulid::ULID_LEN]) -> &str {
        Ulid(self.0).array_to_str(buffer)
    }
}

impl From<u128> for SessionId {
    fn from(id: u128) -> Self {
        Self(id)
    }
}

impl From<SessionId> for u128 {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; ulid::ULID_LEN]))
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; ulid::ULID_LEN]))
    }
}

/// A client's buzzer: what it calls its command, and what the reply calls it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum RequestId {
    /// An integer of 64 bits.
    Number(i64),
    /// A string of 1–64 characters.
    Text(String),
}

impl RequestId {
    /// The largest number of characters of a string.
    pub const LIMIT: usize = 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_26_characters_that_read_back() {
        let id = SessionId::new(Timestamp::from_millis(1_795_339_800_120), 7);
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.at(), Timestamp::from_millis(1_795_339_800_120));
        assert_eq!(SessionId::parse(&id.to_string()), Ok(id));
        assert_eq!(
            SessionId::from(u128::MAX).to_string(),
            "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
        );
        assert_eq!(
            serde_json::to_string(&SessionId::from(0)).unwrap(),
            "\"00000000000000000000000000\""
        );
    }

    #[test]
    fn later_sessions_sort_after_earlier_ones_as_text_too() {
        let earlier = SessionId::new(Timestamp::from_millis(1_000), u128::MAX);
        let later = SessionId::new(Timestamp::from_millis(1_001), 0);
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn other_spellings_of_an_id_are_refused() {
        for text in [
            "",
            "0000000000000000000000000",
            "000000000000000000000000000",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "7zzzzzzzzzzzzzzzzzzzzzzzzz",
            "0000000000000000000000000U",
            "0000000000000000000000000가",
        ] {
            assert_eq!(SessionId::parse(text), Err(SessionIdError), "{text}");
        }
    }
}
