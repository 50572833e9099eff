use crate::{Close, CloseCode};

/// Why the bytes of the peer are not a WebSocket that we go on with.
///
/// After any of these the connection ends (RFC 6455 §7.1.7): send [`ProtocolError::close`] and
/// close the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit is set and no extension that gives it a meaning was negotiated.
    #[error("reserved bit set without an extension")]
    ReservedBits,
    /// The frame has an opcode that the RFC keeps for later.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client sent a frame without a mask.
    #[error("frame of a client without a mask")]
    Unmasked,
    /// A server sent a frame with a mask.
    #[error("frame of a server with a mask")]
    Masked,
    /// A close, ping or pong frame says that more fragments follow.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A close, ping or pong frame is longer than 125 bytes.
    #[error("control frame longer than 125 bytes")]
    ControlTooLong,
    /// The length is written in more bytes than it needs.
    #[error("payload length not in its shortest form")]
    LengthNotMinimal,
    /// A length of 64 bits has its top bit set.
    #[error("payload length with its top bit set")]
    LengthTopBit,
    /// A continuation frame came while no message was begun.
    #[error("continuation of no message")]
    NothingToContinue,
    /// A new message came before the last fragment of the one before.
    #[error("new message inside a fragmented one")]
    MessageInterrupted,
    /// The message is longer than [`Limits::max_message`](crate::Limits::max_message).
    #[error("message of more than {limit} bytes")]
    TooBig {
        /// The most bytes that a message may have.
        limit: usize,
    },
    /// A text message is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// A compressed message that cannot be decompressed, or ends before its end.
    #[error("compressed message that is damaged")]
    BadDeflate,
    /// The payload of a close frame is one byte, half of a close code.
    #[error("close payload of one byte")]
    HalfCloseCode,
    /// A close code that no endpoint may send.
    #[error("close code {0} must not be sent")]
    BadCloseCode(u16),
    /// The reason in a close frame is not UTF-8.
    #[error("close reason that is not UTF-8")]
    ReasonNotUtf8,
}

impl ProtocolError {
    /// What to tell the peer: the close code of this error (RFC 6455 §7.4.1) and a sentence.
    ///
    /// | error | code |
    /// |---|---|
    /// | [`TooBig`](Self::TooBig) | 1009 |
    /// | [`NotUtf8`](Self::NotUtf8), [`ReasonNotUtf8`](Self::ReasonNotUtf8), [`BadDeflate`](Self::BadDeflate) | 1007 |
    /// | every other | 1002 |
    pub fn close(&self) -> Close {
        let code = match self {
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            Self::NotUtf8 | Self::ReasonNotUtf8 | Self::BadDeflate => CloseCode::INVALID_DATA,
            _ => CloseCode::PROTOCOL,
        };
        Close::new(code, self.to_string())
    }
}
