//! `madang-bench`: what a delivery, a connection and an `ok` cost.
//!
//! Each scenario starts a server of its own on an empty data folder, loads it from this one thread,
//! and prints what it measured. It is a check as well: every delivery that the protocol promises is
//! counted, and one that is lost, doubled or out of order ends the run with an error.
//!
//! Deliberately not: a test (its figures depend on the machine), or a client of many machines.
//!
//! Start with [`rooms`], the main road; [`idle`], [`writers`], [`returning`], [`slow`] and [`crowd`] are the other scenarios. [`peers`]
//! measures the library `madang` alone, beside others of its kind, and [`calls`] the server's calls beside other ways to call.

mod bare;
mod calls;
mod clock;
mod comparison;
mod crowd;
mod idle;
mod latency;
mod order;
mod peers;
mod process;
mod report;
mod returning;
mod rooms;
mod server;
mod sessions;
mod slow;
mod wire;
mod writers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::report::Report;

/// Measures what a delivery, a connection and an ok cost.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    server: server::Options,
    /// Prints JSON in place of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Sessions in rooms that are written to at a steady rate.
    Rooms(rooms::Settings),
    /// Sessions that do nothing.
    Idle(idle::Settings),
    /// Writers with one message in flight each.
    Writers(writers::Settings),
    /// All sessions come back after the server was killed.
    Return(returning::Settings),
    /// Readers that are far behind catch up.
    Slow(slow::Settings),
    /// People come into and leave a room with many in it.
    Crowd(crowd::Settings),
    /// The library beside others: echo, a room, memory.
    Peers(peers::Settings),
    /// Calls beside those of NATS and Socket.IO.
    Calls(calls::Settings),
    /// `rooms`, `idle` and `writers` at their default sizes.
    All,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("madang-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let scenarios = async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever way it ends, the server is dropped and thereby ended.
        tokio::select! {
            result = measure(cli) => result,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    };
    let json = LocalSet::new().block_on(&runtime, scenarios)?;
    if cli.json {
        println!("{json:#}");
    }
    Ok(())
}

/// Prints tables, unless it is JSON that is wanted; that is the result.
async fn measure(cli: &Cli) -> anyhow::Result<Value> {
    let mut reports = Vec::new();
    let mut take = |report: Report| {
        if !cli.json {
            println!("{report}");
        }
        reports.push(report);
    };
    match &cli.scenario {
        Scenario::Rooms(settings) => take(rooms::measure(&cli.server, settings).await?),
        Scenario::Idle(settings) => take(idle::measure(&cli.server, settings).await?),
        Scenario::Writers(settings) => writers::measure(&cli.server, settings, take).await?,
        Scenario::Return(settings) => take(returning::measure(&cli.server, settings).await?),
        Scenario::Slow(settings) => take(slow::measure(&cli.server, settings).await?),
        Scenario::Crowd(settings) => take(crowd::measure(&cli.server, settings).await?),
        Scenario::Peers(settings) => {
            let comparisons = peers::measure(&cli.server, settings).await?;
            if !cli.json {
                for comparison in &comparisons {
                    println!("{comparison}");
                }
            }
            return Ok(json!(comparisons));
        }
        Scenario::Calls(settings) => {
            let (comparisons, disk) = calls::measure(&cli.server, settings).await?;
            if !cli.json {
                for comparison in &comparisons {
                    println!("{comparison}");
                }
                println!("{disk}");
            }
            return Ok(json!({ "comparisons": comparisons, "disk": disk }));
        }
        Scenario::All => {
            take(rooms::measure(&cli.server, &rooms::Settings::default()).await?);
            for settings in [idle::Settings::default(), idle::Settings::bare()] {
                take(idle::measure(&cli.server, &settings).await?);
            }
            writers::measure(&cli.server, &writers::Settings::default(), take).await?;
        }
    }
    Ok(json!(reports))
}
