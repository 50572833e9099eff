//! Load on a Madang server: what a delivery, a connection and an `ok` cost.
//!
//! `madang bench` is this crate. Each scenario starts a server of its own on an empty data folder, loads it
//! from this one thread, and tells what it measured. It is a check as well: every delivery that the
//! protocol promises is counted, and one that is lost, doubled or out of order ends the run with an error.
//!
//! It speaks the wire and looks at `/proc`, and knows nothing of the server's inside.
//! Deliberately not: a test (its figures depend on the machine), or a client of many machines.
//!
//! Start with `rooms`, the main road; `idle`, [`writers`], `returning`, `slow` and `crowd` are the other
//! scenarios. What is public is there for other comparisons too.

pub mod clock;
pub mod latency;
pub mod process;
pub mod report;
pub mod server;
pub mod sessions;
pub mod writers;

mod crowd;
mod idle;
mod order;
mod returning;
mod rooms;
mod slow;
mod wire;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use crate::report::Report;

/// Measure what a delivery, a connection and an ok cost.
#[derive(Debug, Args)]
pub struct Options {
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
    /// `rooms`, `idle` and `writers` at their default sizes.
    All,
}

/// Measures what `options` ask for, and prints it.
///
/// # Errors
///
/// What hindered it, or the promise that the server broke.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let json = block_on(measure(options))?;
    if options.json {
        println!("{json:#}");
    }
    Ok(())
}

/// Runs `measure` on this thread until it is done or the process is told to end; what it has
/// started is dropped and thereby ended, whichever way it ends.
///
/// # Errors
///
/// Those of `measure`, and the signal.
pub fn block_on<T>(measure: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let measure = async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = measure => result,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    };
    LocalSet::new().block_on(&runtime, measure)
}

/// Prints tables, unless it is JSON that is wanted; that is the result.
async fn measure(options: &Options) -> anyhow::Result<Value> {
    let server = &options.server;
    let mut reports = Vec::new();
    let mut take = |report: Report| {
        if !options.json {
            println!("{report}");
        }
        reports.push(report);
    };
    match &options.scenario {
        Scenario::Rooms(settings) => take(rooms::measure(server, settings).await?),
        Scenario::Idle(settings) => take(idle::measure(server, settings).await?),
        Scenario::Writers(settings) => writers::measure_all(server, settings, take).await?,
        Scenario::Return(settings) => take(returning::measure(server, settings).await?),
        Scenario::Slow(settings) => take(slow::measure(server, settings).await?),
        Scenario::Crowd(settings) => take(crowd::measure(server, settings).await?),
        Scenario::All => {
            take(rooms::measure(server, &rooms::Settings::default()).await?);
            for settings in [idle::Settings::default(), idle::Settings::bare()] {
                take(idle::measure(server, &settings).await?);
            }
            writers::measure_all(server, &writers::Settings::default(), take).await?;
        }
    }
    Ok(json!(reports))
}
