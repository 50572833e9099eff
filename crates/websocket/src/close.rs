use std::fmt;

use crate::header::MAX_CONTROL;
use crate::{ProtocolError, utf8};

/// A number that says why a WebSocket ended (RFC 6455 §7.4).
///
/// 3000 to 3999 are registered for libraries and frameworks, 4000 to 4999 are free for
/// applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// Done; the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The page was left, or the server goes down.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data that is not taken here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// No code came with the close frame. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection ended without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// Data that does not fit the type of the message, as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A rule of the application was broken.
    pub const POLICY: Self = Self(1008);
    /// The message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// Something unexpected happened in the server.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts; come back (IANA registry).
    pub const RESTART: Self = Self(1012);
    /// The server has too much to do; come back later (IANA registry).
    pub const OVERLOADED: Self = Self(1013);

    /// The code with this number. Any number is a code; few may be sent, see
    /// [`is_sendable`](Self::is_sendable).
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether this code may stand in a close frame.
    ///
    /// §7.4.1 and §7.4.2: below 1000 is not used; 1004 is kept, 1005, 1006 and 1015 are never
    /// sent; what else is below 3000 must be defined, which today are 1000 to 1003 and 1007 to
    /// 1014; 3000 to 4999 may be; from 5000 on there is nothing.
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why one end closes: a code and a reason for people who read logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: CloseCode,
    /// The reason, often empty. At most 123 bytes of it are sent.
    pub reason: String,
}

impl Close {
    /// What is left of a control frame's 125 bytes after the code.
    const MAX_REASON: usize = MAX_CONTROL - 2;

    /// A close with the reason cut to 123 bytes, between two characters.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(Self::MAX_REASON));
        Self { code, reason }
    }

    /// The payload of the close frame that says this (RFC 6455 §5.5.1): the code, most
    /// significant byte first, and the reason in UTF-8.
    ///
    /// It is empty for a code that must not be sent; a long reason is cut as in
    /// [`Close::new`].
    pub fn payload(&self) -> Vec<u8> {
        if !self.code.is_sendable() {
            return Vec::new();
        }
        let reason = &self.reason[..self.reason.floor_char_boundary(Self::MAX_REASON)];
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&self.code.get().to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        payload
    }

    /// Reads the payload of a close frame: empty, or a code that may be sent and a reason in
    /// UTF-8 (§5.5.1).
    pub(crate) fn parse(payload: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(None),
                _ => Err(ProtocolError::HalfCloseCode),
            };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.is_sendable() {
            return Err(ProtocolError::BadCloseCode(code.get()));
        }
        let reason = utf8::check(reason).map_err(|_| ProtocolError::ReasonNotUtf8)?;
        Ok(Some(Self {
            code,
            reason: reason.to_owned(),
        }))
    }
}
