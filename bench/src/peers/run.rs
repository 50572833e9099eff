//! One run with one library.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::Serialize;

use crate::process::Usage;

/// A library, as `madang-peers` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
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

/// What a run came to.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    pub(super) figures: Vec<Figure>,
}

/// A value, and what it is of.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
    /// Whether the less of it, the better: what madang's is compared with.
    pub(super) cost: bool,
}

impl Run {
    pub(super) fn cost(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push(Figure {
            name,
            value,
            cost: true,
        });
        self
    }

    pub(super) fn note(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push(Figure {
            name,
            value,
            cost: false,
        });
        self
    }

    /// What the processors did during `took`.
    pub(super) fn usage(self, usage: Usage, took: Duration) -> Self {
        let share = |used: Duration| used.as_secs_f64() / took.as_secs_f64() * 100.0;
        self.note("server, % of a core", share(usage.server))
            .note("generator, %", share(usage.generator))
            .note("others, %", share(usage.others))
    }
}
