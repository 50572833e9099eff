//! Load on a Madang server: what a delivery, a connection and an `ok` cost.
//!
//! `madang bench` is this crate. Each scenario starts a server of its own on an empty data folder, or takes
//! one that runs, loads it from this one thread, and tells what it measured. It is a check as well: every delivery that the
//! protocol promises is counted, and one that is lost, doubled or out of order ends the run with an error.
//!
//! It speaks the wire and looks at `/proc`, and knows nothing of the server's inside.
//! Deliberately not: a test (its figures depend on the machine), or a client of many machines.
//!
//! Start with `fan_out`, the main road; `echo`, `storm`, `idle`, [`writers`], `returning`, `slow` and `crowd`
//! are the other scenarios. Where deliveries are many, a session is a `link`: frames made in advance, one
//! buffer for all, numbers found at their places. What is public is there for other comparisons too.

pub mod clock;
pub mod latency;
pub mod process;
pub mod report;
pub mod server;
pub mod sessions;
pub mod writers;

mod crowd;
mod echo;
mod fan_out;
mod frames;
mod idle;
mod link;
mod netstat;
mod order;
mod returning;
mod scan;
mod search;
mod slow;
mod storm;
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
pub struct Bench {
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
    FanOut(fan_out::Settings),
    /// The same with one big room.
    Room(fan_out::OneRoom),
    /// Sessions that ask, are answered, and ask again.
    Echo(echo::Settings),
    /// Connections that come all at once.
    Storm(storm::Settings),
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
    /// `fan-out`, `idle` and `writers` at their default sizes.
    All,
}

/// Measures what `options` ask for, and prints it.
///
/// # Errors
///
/// What hindered it, or the promise that the server broke.
pub fn run(options: &Bench) -> anyhow::Result<()> {
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
async fn measure(options: &Bench) -> anyhow::Result<Value> {
    let server = &options.server;
    let mut reports = Vec::new();
    let mut take = |report: Report| {
        if !options.json {
            println!("{report}");
        }
        reports.push(report);
    };
    match &options.scenario {
        Scenario::FanOut(settings) => take(fan_out::measure("fan-out", server, settings).await?),
        Scenario::Room(room) => {
            take(fan_out::measure("room", server, &room.settings()).await?);
        }
        Scenario::Echo(settings) => take(echo::measure(server, settings).await?),
        Scenario::Storm(settings) => take(storm::measure(server, settings).await?),
        Scenario::Idle(settings) => take(idle::measure(server, settings).await?),
        Scenario::Writers(settings) => writers::measure_all(server, settings, take).await?,
        Scenario::Return(settings) => take(returning::measure(server, settings).await?),
        Scenario::Slow(settings) => take(slow::measure(server, settings).await?),
        Scenario::Crowd(settings) => take(crowd::measure(server, settings).await?),
        Scenario::All => {
            take(fan_out::measure("fan-out", server, &fan_out::Settings::default()).await?);
            for settings in [idle::Settings::default(), idle::Settings::bare()] {
                take(idle::measure(server, &settings).await?);
            }
            writers::measure_all(server, &writers::Settings::default(), take).await?;
        }
    }
    Ok(json!(reports))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        bench: Bench,
    }

    fn parse(arguments: &str) -> Result<Bench, String> {
        let arguments = ["bench"].into_iter().chain(arguments.split(' '));
        let parsed = Cli::try_parse_from(arguments);
        parsed
            .map(|cli| cli.bench)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_scenario_has_its_options() {
        Cli::command().debug_assert();
        for arguments in [
            "all",
            "fan-out --rooms 2 --members 3 --deliveries 4 --signal --json",
            "room --members 2000 --search --p99-ms 50 --step-seconds 2 --most 9",
            "echo --connections 3 --seconds 4",
            "storm --sessions 5 --at-once 6",
            "idle --bare --url ws://127.0.0.1:8080 --pid 7",
            "writers --writers 1,16 --search",
            "return --sessions 8 --program madang",
            "slow --stopped --data-in /dev/shm",
            "crowd --changes 9 --config madang.toml",
        ] {
            assert!(parse(arguments).is_ok(), "{arguments}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for arguments in [
            "",
            "fan-out --p99-ms 50",
            "fan-out --step-seconds 2",
            "fan-out --deliveries 0",
            "echo --pid 7",
            "echo --url ws://a --program madang",
            "idle --bare --rooms 3",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}
