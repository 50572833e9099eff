//! Whole lives of a café, each made of one number.
//!
//! Callers ask, workers come, answer and go, the disk is slow and fails, time jumps, and the server is killed
//! between any two steps. After each of them all that is promised is looked at.
//!
//! ```text
//! MADANG_SEEDS=100000 cargo test --release -p madang-calls world   many lives
//! MADANG_SEED=4711    cargo test -p madang-calls world             one of them, told step by step
//! ```

mod book;
mod disk;
mod life;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::life::{Life, Told, Trace};

/// Lives that are lived where nothing else is asked for.
const SEEDS: u64 = 300;

#[test]
fn every_call_is_answered_once_and_none_is_done_twice() {
    if let Some(seed) = number("MADANG_SEED") {
        println!("{:?}", Life::live(seed, Trace::Told).counts);
        return;
    }
    let seeds = number("MADANG_SEEDS").unwrap_or(SEEDS);
    let mut sum = Told::default();
    for seed in 0..seeds {
        let life = catch_unwind(AssertUnwindSafe(|| Life::live(seed, Trace::Counted)));
        let Ok(told) = life else {
            panic!("to see it again: MADANG_SEED={seed}");
        };
        sum.add(&told);
    }
    println!("{seeds} lives: {:?}", sum.counts);
    // A world in which nothing happens would find nothing.
    for event in EVENTS {
        assert!(sum.counts.contains_key(event), "there was no {event}");
    }
}

const EVENTS: [&str; 20] = [
    "again",
    "answer cancelled",
    "answer done",
    "answer timeout",
    "answer unavailable",
    "ask",
    "ask busy",
    "ask no_such_service",
    "cancelled",
    "failure",
    "given on",
    "hand",
    "late",
    "leave",
    "request",
    "restart",
    "restored",
    "resumed",
    "serve",
    "unserve",
];

#[test]
fn a_seed_replays() {
    for seed in [3, 14, 159] {
        let first = Life::live(seed, Trace::Kept);
        assert!(!first.lines.is_empty());
        assert_eq!(Life::live(seed, Trace::Kept).lines, first.lines);
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}
