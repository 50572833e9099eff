//! Breaks everything around a running server, and checks what it promises.
//!
//! People write and read through links that are cut and frozen at random; the server is killed with
//! SIGKILL and started again every few seconds. Then all is calm, and the books are compared:
//!
//! - every acknowledged message is in the history exactly once, at its place, and no other is there twice;
//! - everyone saw the one order from its beginning, without a hole or a double;
//! - within 10 s of the last kill nobody is shown as present who is not, and everyone who is;
//! - every row of the register of sessions is closed, with a reason that is true.
//!
//! With `--power` a kill takes the power too: what was not synced is lost in part.
//!
//! ```text
//! cargo build --release -p madang-server -p madang-checker && target/release/madang-checker --seconds 600
//! ```

mod books;
mod link;
mod person;
mod program;
mod register;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

/// Breaks everything around a running server, and checks that nobody misses a word
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// How long it is broken.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// People who write and read.
    #[arg(long, default_value_t = 40)]
    people: usize,
    /// Rooms, of which everyone is in all.
    #[arg(long, default_value_t = 2)]
    rooms: usize,
    /// Messages a second of everyone together.
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Seconds between two kills, on the average.
    #[arg(long, default_value_t = 4.0)]
    kill_every: f64,
    /// Seconds between two faults of one person's link, on the average.
    #[arg(long, default_value_t = 6.0)]
    cut_every: f64,
    /// What chance begins with; the time that everything takes is chance too.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A kill takes the power too: of what was not synced, a random part is lost.
    #[arg(long)]
    power: bool,
    /// The server's program; without it, `madang` in the folder of this program.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

impl Options {
    /// A time around so many seconds, as of things that happen by chance.
    fn around(rng: &mut fastrand::Rng, seconds: f64) -> Duration {
        Duration::from_secs_f64(-seconds * (1.0 - rng.f64()).ln())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match world::run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
