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
    let mut peers = chosen(&settings.peers);
    let mut comparisons: Vec<_> = chosen(&settings.only)
        .into_iter()
        .map(|scenario| Comparison::new(scenario.title(settings), &peers))
        .collect();
    let tls = Tls::new()?;
    for round in 0..settings.rounds {
        for (scenario, comparison) in chosen(&settings.only).into_iter().zip(&mut comparisons) {
            // Those of an echo have their turns within a round.
            let at_once = scenario.echo(settings).map_or(1, |_| peers.len());
            for peers in peers.chunks(at_once) {
                let names: Vec<_> = peers.iter().map(Peer::to_string).collect();
                let what = format!("{}, {}", comparison.title(), names.join(" and "));
                eprintln!("round {} of {}: {what}", round + 1, settings.rounds);
                let runs = scenario.run(program, peers, settings, &tls);
                for (peer, run) in peers.iter().zip(runs.await.context(what)?) {
                    comparison.add(peer, run);
                }
            }
        }
        // Another begins the next.
        peers.rotate_left(1);
    }
    Ok(comparisons)
}

impl Scenario {
    /// With a server of each. `None` where the library has no compression.
    async fn run(
        self,
        program: &Path,
        peers: &[Peer],
        settings: &Settings,
        tls: &Tls,
    ) -> anyhow::Result<Vec<Option<Run>>> {
        let tls = (self == Self::MemoryTls).then_some(tls);
        let mut programs = Vec::new();
        for peer in peers {
            programs.push(Program::start(program, *peer, self.deflate(), tls).await?);
        }
        let result = self.measure(&programs, settings).await;
        for program in programs {
            program.end().await?;
        }
        result
    }

    async fn measure(
        self,
        programs: &[Program],
        settings: &Settings,
    ) -> anyhow::Result<Vec<Option<Run>>> {
        if let Some(echo) = self.echo(settings) {
            return echo.measure(programs).await;
        }
        let deflate = self.deflate();
        let mut runs = Vec::new();
        for program in programs {
            runs.push(if self == Self::Fan {
                let fan = Fan {
                    members: settings.members,
                    rate: settings.rate,
                    seconds: settings.seconds,
                };
                Some(fan.measure(program).await?)
            } else {
                let few = self == Self::MemoryTls || program.peer.is_heavy(deflate);
                let connections = settings.connections / if few { 5 } else { 1 };
                let memory = Memory {
                    connections,
                    deflate,
                };
                memory.measure(program).await?
            });
        }
        Ok(runs)
    }

    /// The echo that it is, if it is one.
    fn echo(self, settings: &Settings) -> Option<Echo> {
        let (bytes, connections) = match self {
            Self::Echo64 | Self::Echo64Deflate => (64, 100),
            Self::Echo64k | Self::Echo64kDeflate => (64 * 1024, 16),
            _ => return None,
        };
        Some(Echo {
            bytes,
            connections,
            deflate: self.deflate(),
            seconds: settings.seconds,
        })
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
