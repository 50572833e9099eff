//! The library beside others: what an echo, a delivery and an idle connection cost with each.
//!
//! `madang-peers` has a server of each library. In every round each scenario is run with all of
//! them by turns, in an order that moves on, so that a ratio compares neighbours in time. The load is
//! the same to the byte: frames are encoded in advance, replies are read by their headers alone.

mod connection;
mod echo;
mod fan;
mod frames;
mod memory;
mod peer;
mod program;

use std::path::Path;

use anyhow::Context;
use clap::{Args, ValueEnum};
use load::server;
use serde::Serialize;

use self::{connection::Tls, echo::Echo, fan::Fan, memory::Memory, peer::Peer, program::Program};
use crate::{
    chosen,
    comparison::{Comparison, Run},
};

/// What makes `madang-peers`.
const BUILD: &str =
    "cargo build --release --manifest-path bench/peers/Cargo.toml --target-dir target";

/// How much is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long an echo or a room is loaded each time.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Which libraries, separated by commas; without it, all.
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// Which scenarios, separated by commas; without it, all.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Scenario>,
    /// Members of the room.
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// Messages a second in the room.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Connections whose memory is measured. In TLS, and with libraries that need 100 KiB and more
    /// for one, it is a fifth of them.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Scenario {
    /// 64 bytes, 100 connections.
    Echo64,
    /// The same with permessage-deflate.
    Echo64Deflate,
    /// 64 KiB, 16 connections.
    Echo64k,
    /// The same with permessage-deflate.
    Echo64kDeflate,
    /// One room.
    Fan,
    /// Connections that do nothing, and after one message each.
    Memory,
    /// The same with permessage-deflate.
    MemoryDeflate,
    /// The same in TLS.
    MemoryTls,
}

/// Measures, and tells on the way on standard error how far it is.
pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Vec<Comparison>> {
    let program = &options.program("madang-peers", BUILD)?;
    let peers = chosen(&settings.peers);
    let mut comparisons: Vec<_> = chosen(&settings.only)
        .into_iter()
        .map(|scenario| Comparison::new(scenario.title(settings), &peers))
        .collect();
    let tls = Tls::new()?;
    for round in 0..settings.rounds {
        for (scenario, comparison) in chosen(&settings.only).into_iter().zip(&mut comparisons) {
            for turn in 0..peers.len() {
                let peer = peers[(round + turn) % peers.len()];
                eprintln!(
                    "round {} of {}: {}, {peer}",
                    round + 1,
                    settings.rounds,
                    comparison.title()
                );
                let run = scenario
                    .run(program, peer, settings, &tls)
                    .await
                    .with_context(|| format!("{}, {peer}", comparison.title()))?;
                comparison.add(peer, run);
            }
        }
    }
    Ok(comparisons)
}

impl Scenario {
    /// With a server of its own. `None` where the library has no compression.
    async fn run(
        self,
        program: &Path,
        peer: Peer,
        settings: &Settings,
        tls: &Tls,
    ) -> anyhow::Result<Option<Run>> {
        let deflate = self.deflate();
        let tls = (self == Self::MemoryTls).then_some(tls);
        let program = Program::start(program, peer, deflate, tls).await?;
        let result = match self {
            Self::Echo64 | Self::Echo64Deflate => {
                let echo = Echo::new(64, 100, deflate, settings.seconds);
                echo.measure(&program).await
            }
            Self::Echo64k | Self::Echo64kDeflate => {
                let echo = Echo::new(64 * 1024, 16, deflate, settings.seconds);
                echo.measure(&program).await
            }
            Self::Fan => {
                let fan = Fan {
                    members: settings.members,
                    rate: settings.rate,
                    seconds: settings.seconds,
                };
                fan.measure(&program).await.map(Some)
            }
            Self::Memory | Self::MemoryDeflate | Self::MemoryTls => {
                let few = tls.is_some() || peer.is_heavy(deflate);
                let connections = settings.connections / if few { 5 } else { 1 };
                let memory = Memory {
                    connections,
                    deflate,
                };
                memory.measure(&program).await
            }
        };
        program.end(result).await
    }

    fn deflate(self) -> bool {
        matches!(
            self,
            Self::Echo64Deflate | Self::Echo64kDeflate | Self::MemoryDeflate
        )
    }

    fn title(self, settings: &Settings) -> String {
        let Settings {
            members,
            rate,
            connections,
            ..
        } = settings;
        match self {
            Self::Echo64 => "echo of 64 bytes, 100 connections".into(),
            Self::Echo64Deflate => "echo of 64 bytes, 100 connections, permessage-deflate".into(),
            Self::Echo64k => "echo of 64 KiB, 16 connections".into(),
            Self::Echo64kDeflate => "echo of 64 KiB, 16 connections, permessage-deflate".into(),
            Self::Fan => format!("a room of {members}, {rate} messages of 128 bytes a second"),
            Self::Memory => format!("memory of {connections} connections"),
            Self::MemoryDeflate => {
                format!("memory of {connections} connections, permessage-deflate")
            }
            Self::MemoryTls => format!("memory of {} connections in TLS", connections / 5),
        }
    }
}
