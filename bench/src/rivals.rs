//! Rooms servers side by side: the program madang, other libraries and frameworks, and a bare loop as the floor.
//!
//! `bench/peers` has the servers, each with its own recommended way of broadcasting. In every round each
//! scenario is run with all of them by turns, in an order that moves on, so that a ratio compares neighbours in
//! time. The generator is one thread with epoll ([`links`]); what it says to each kind of server is in
//! [`protocol`]. Every delivery is counted: one that is lost, doubled or out of order ends the command.
//!
//! Start with [`hall`], the load, and [`scenario`], what is measured.

mod echo;
mod frames;
mod hall;
mod links;
mod opening;
mod page;
mod peer;
mod plot;
mod program;
mod protocol;
mod scenario;
mod search;
mod table;
mod tally;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use load::{server, sessions};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use self::{
    links::Links,
    peer::{Peer, Programs},
    program::{Cores, Program},
    scenario::Scenario,
    table::Table,
};
use crate::chosen;

/// Connections of the largest scenario.
const MOST_CONNECTIONS: usize = 18_000;
/// This crate's folder: `bench`.
const BENCH: &str = env!("CARGO_MANIFEST_DIR");

/// How much is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// How often each is measured. Some are measured less often: those that are far from the others, and what
    /// takes long.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each load lasts.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Which servers, separated by commas; without it, all.
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Peer>,
    /// Which scenarios, separated by commas; without it, all.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Scenario>,
    /// Where RESULTS.md and results.svg are written; without it, in `bench` if all servers and scenarios were
    /// measured, and else nowhere.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What every run needs.
struct Setup<'a> {
    options: &'a server::Options,
    programs: Programs,
    interrupted: Arc<AtomicBool>,
}

impl Setup<'_> {
    fn start(&self, peer: Peer, cores: Cores) -> anyhow::Result<Program> {
        let folder = self.options.folder()?;
        let command = peer.command(&self.programs, &folder)?;
        Program::start(command, folder, cores)
    }

    fn links(&self, peer: Peer, program: &Program) -> anyhow::Result<Links<'static>> {
        Links::new(program.address(), peer.protocol(), self.interrupted.clone())
    }
}

/// Measures, tells on the way on standard error how far it is, and writes the results.
pub(crate) fn measure(
    options: &server::Options,
    settings: &Settings,
    print: bool,
) -> anyhow::Result<Value> {
    let setup = Setup {
        options,
        programs: programs(options)?,
        interrupted: Arc::default(),
    };
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, setup.interrupted.clone())?;
    }
    let (peers, scenarios) = (chosen(&settings.peers), chosen(&settings.only));
    for peer in &peers {
        peer.is_there(&setup.programs)?;
    }
    sessions::make_room(MOST_CONNECTIONS)?;
    let began = Instant::now();
    let mut tables: Vec<_> = scenarios
        .iter()
        .map(|scenario| Table::new(scenario.title(), &peers))
        .collect();
    for round in 0..settings.rounds {
        for (&scenario, table) in scenarios.iter().zip(&mut tables) {
            for turn in 0..peers.len() {
                let peer = peers[(round + turn) % peers.len()];
                if round >= scenario.rounds(peer, settings.rounds) {
                    continue;
                }
                eprintln!(
                    "{:>4} s, round {} of {}: {}, {peer}",
                    began.elapsed().as_secs(),
                    round + 1,
                    settings.rounds,
                    scenario.title()
                );
                let time = Duration::from_secs(settings.seconds.into());
                let run = scenario
                    .run(peer, &setup, time)
                    .with_context(|| format!("{}, {peer}", scenario.title()))?;
                table.add(peer, run);
            }
        }
    }
    if print {
        for table in &tables {
            println!("{}\n\n{table}", table.title);
        }
    }
    let is_whole = settings.peers.is_empty() && settings.only.is_empty();
    let out = settings.out.as_deref();
    if let Some(out) = out.or(is_whole.then_some(Path::new(BENCH))) {
        let file = |name: &str| out.join(name);
        let page = page::page(&setup.programs, &tables, settings, began.elapsed())?;
        fs::write(file("RESULTS.md"), page).context("cannot write RESULTS.md")?;
        let plot = plot::plot(&tables[0]);
        fs::write(file("results.svg"), plot).context("cannot write results.svg")?;
    }
    Ok(json!(tables))
}

/// The programs are beside this one.
fn programs(options: &server::Options) -> anyhow::Result<Programs> {
    let here = env::current_exe()?;
    let target = here
        .ancestors()
        .nth(2)
        .context("this program is in no folder")?;
    Ok(Programs {
        madang: options.program("madang", "cargo build --release -p madang-server")?,
        sources: Path::new(BENCH).join("peers"),
        target: target.to_owned(),
    })
}
