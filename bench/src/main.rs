//! `madang-bench`: Madang beside others.
//!
//! [`peers`] measures the library `madang` alone, beside others of its kind; [`calls`] the server's calls
//! beside other ways to call; [`rivals`] rooms, beside other servers and a bare loop; [`writers`] how fast messages are stored, beside the same transactions in
//! a [`bare`] loop. What a server does alone is measured by `madang bench`, the crate `load`; the
//! tools of both are there.
//!
//! Deliberately not: a test (its figures depend on the machine).

mod bare;
mod calls;
mod comparison;
mod peers;
mod rivals;
mod writers;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use load::{report::Report, server};
use serde_json::{Value, json};

/// Measures Madang beside others.
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
    /// The library beside others: echo, a room, memory.
    Peers(peers::Settings),
    /// Calls beside those of NATS and Socket.IO.
    Calls(calls::Settings),
    /// Rooms beside other servers, and beside a bare loop; writes RESULTS.md.
    Rivals(rivals::Settings),
    /// Writers with one message in flight each, beside the same transactions without a server.
    Writers(load::writers::Settings),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.scenario {
        // The load is a thread of its own kind, without a runtime.
        Scenario::Rivals(settings) => rivals::measure(&cli.server, settings, !cli.json),
        _ => load::block_on(measure(&cli)),
    };
    match result {
        Ok(json) => {
            if cli.json {
                println!("{json:#}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("madang-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints tables, unless it is JSON that is wanted; that is the result.
async fn measure(cli: &Cli) -> anyhow::Result<Value> {
    match &cli.scenario {
        Scenario::Peers(settings) => {
            let comparisons = peers::measure(&cli.server, settings).await?;
            if !cli.json {
                for comparison in &comparisons {
                    println!("{comparison}");
                }
            }
            Ok(json!(comparisons))
        }
        Scenario::Calls(settings) => {
            let (comparisons, disk) = calls::measure(&cli.server, settings).await?;
            if !cli.json {
                for comparison in &comparisons {
                    println!("{comparison}");
                }
                println!("{disk}");
            }
            Ok(json!({ "comparisons": comparisons, "disk": disk }))
        }
        Scenario::Rivals(_) => anyhow::bail!("rivals need no runtime"),
        Scenario::Writers(settings) => {
            let mut reports = Vec::new();
            let take = |report: Report| {
                if !cli.json {
                    println!("{report}");
                }
                reports.push(report);
            };
            writers::measure(&cli.server, settings, take).await?;
            Ok(json!(reports))
        }
    }
}

/// Those that were asked for, or all.
fn chosen<T: ValueEnum + Copy>(some: &[T]) -> Vec<T> {
    if some.is_empty() {
        T::value_variants().to_vec()
    } else {
        some.to_vec()
    }
}
