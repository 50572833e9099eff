//! Calls beside others: what a question to a service costs with Madang, NATS and Socket.IO.
//!
//! Callers have some calls in flight each, and make the next when one is answered; services answer at
//! once. In every round each peer has its turn, in an order that moves on. The load speaks each protocol
//! raw, and in the same way: what is read at once is answered with one write. Nothing may be lost, doubled
//! or changed.

mod disk;
mod link;
mod load;
mod madang;
mod nats;
mod program;
mod protocol;
mod socketio;
mod tally;
mod websocket;

use std::{fmt, net::SocketAddr, path::PathBuf};

use ::load::{
    report::Report,
    server::{self, Server},
    sessions,
};
use anyhow::Context;
use clap::{Args, ValueEnum};

use self::{
    load::Load, madang::Madang, nats::Nats, program::Program, protocol::Protocol,
    socketio::SocketIo,
};
use crate::comparison::{Comparison, Run};

/// How much is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each is loaded each time.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Sessions that call.
    #[arg(long, default_value_t = 1_000)]
    callers: usize,
    /// Calls that each of them has in flight.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    in_flight: u64,
    /// Sessions that answer.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    services: u64,
    /// Which peers, separated by commas; without it, all.
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// Leaves out what comes first in each round: one caller with one call at a time.
    #[arg(long)]
    no_single: bool,
    /// Debian's nats-server.
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/nats-server")]
    nats: PathBuf,
    /// The folder of the Socket.IO server, whose packages are installed.
    #[arg(long, value_name = "FOLDER", default_value = "bench/socketio")]
    socketio: PathBuf,
}

/// Whose calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Madang,
    Nats,
    Socketio,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        value.map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

impl Settings {
    fn peers(&self) -> &[Peer] {
        if self.peers.is_empty() {
            Peer::value_variants()
        } else {
            &self.peers
        }
    }

    /// What is measured in each round.
    fn loads(&self) -> Vec<Load> {
        let full = Load {
            callers: self.callers,
            in_flight: self.in_flight,
            services: self.services,
            seconds: self.seconds,
        };
        let single = Load {
            callers: 1,
            in_flight: 1,
            services: 1,
            ..full
        };
        if self.no_single {
            vec![full]
        } else {
            vec![single, full]
        }
    }
}

/// Measures, and tells on the way on standard error how far it is; what the disk can do comes last.
pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<(Vec<Comparison>, Report)> {
    anyhow::ensure!(settings.callers > 0, "nobody calls");
    let connections = settings.callers as u64 + settings.services;
    sessions::make_room(usize::try_from(connections)?)?;
    let (peers, loads) = (settings.peers(), settings.loads());
    let mut comparisons: Vec<_> = loads
        .iter()
        .map(|load| Comparison::new(load.title(), peers))
        .collect();
    let mut syncs = disk::Syncs::default();
    for round in 0..settings.rounds {
        for (load, comparison) in loads.iter().zip(&mut comparisons) {
            for turn in 0..peers.len() {
                let peer = peers[(round + turn) % peers.len()];
                let what = format!("{}, {peer}", load.title());
                eprintln!("round {} of {}: {what}", round + 1, settings.rounds);
                let run = settings.run(options, peer, load).await.context(what)?;
                comparison.add(peer, Some(run));
            }
        }
        syncs.measure(options.folder()?.path())?;
    }
    Ok((comparisons, syncs.report()))
}

impl Settings {
    /// With a server of its own.
    async fn run(&self, options: &server::Options, peer: Peer, load: &Load) -> anyhow::Result<Run> {
        match peer {
            Peer::Madang => {
                let server = Server::start(options).await?;
                let result = at::<Madang>(load, server.address(), server.id()?).await;
                server.end(result).await
            }
            Peer::Nats => {
                let server = Program::start(nats::command(&self.nats)?).await?;
                let result = load.measure::<Nats>(server.address, server.id).await;
                server.end(result).await
            }
            Peer::Socketio => {
                let server = Program::start(socketio::command(&self.socketio)?).await?;
                let result = load.measure::<SocketIo>(server.address, server.id).await;
                server.end(result).await
            }
        }
    }
}

async fn at<P: Protocol>(load: &Load, address: &str, server: u32) -> anyhow::Result<Run> {
    let address: SocketAddr = address.parse()?;
    load.measure::<P>(address, server).await
}
