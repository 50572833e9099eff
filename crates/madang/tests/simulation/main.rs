//! Whole lives of a room, each made of one number.
//!
//! A few people write to a room and read it through the real driver, ring and pages, over pipes that are
//! soon full; meanwhile the disk is slow, fails, forgets old events, and the server is killed between
//! any two steps. A life runs in one thread with the clock of the simulation, so that its seed replays it.
//!
//! ```text
//! MADANG_SEEDS=100000 cargo test --release -p madang --test simulation   many lives, on all cores
//! MADANG_SEED=4711    cargo test -p madang --test simulation             one of them, told step by step
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod disk;
mod life;
mod person;
mod server;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use life::{Trace, live};

/// Lives that are lived where nothing else is asked for.
const SEEDS: u64 = 300;

#[test]
fn nobody_misses_an_event_and_nobody_has_one_twice() {
    if let Some(seed) = number("MADANG_SEED") {
        println!("{:?}", live(seed, Trace::Told));
        return;
    }
    let seeds = number("MADANG_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let sum = Mutex::new(life::Told::default());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while failed.lock().unwrap().is_empty() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    match catch_unwind(AssertUnwindSafe(|| live(seed, Trace::Counted))) {
                        Ok(told) => sum.lock().unwrap().add(&told),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "to see one again: MADANG_SEED={failed:?}"
    );
    let sum = sum.into_inner().unwrap();
    println!("{seeds} lives: {sum:?}");
    // A simulation in which nothing happens would find nothing.
    sum.assert_eventful();
}

#[test]
fn a_seed_replays() {
    for seed in [3, 14, 159] {
        let first = live(seed, Trace::Kept);
        assert!(!first.lines.is_empty());
        assert_eq!(live(seed, Trace::Kept).lines, first.lines);
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {value}")),
    )
}
