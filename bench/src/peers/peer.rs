//! The libraries.

use std::fmt;

use clap::ValueEnum;

/// A library, as `madang-peers` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Madang,
    /// axum's `ws`.
    Axum,
    /// The same with buffers of 4 KiB.
    AxumSmall,
    Tungstenite,
    /// The same with buffers of 4 KiB.
    TungsteniteSmall,
    TokioWebsockets,
    Fastwebsockets,
    Sockudo,
}

impl Peer {
    /// Whether a connection needs 100 KiB and more.
    pub(super) fn is_heavy(self, deflate: bool) -> bool {
        match self {
            Self::Axum | Self::Tungstenite => true,
            Self::Sockudo => deflate,
            _ => false,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        value.map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}
