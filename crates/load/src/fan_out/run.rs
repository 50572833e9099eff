//! What one rate came to.

use std::time::Duration;

use super::Outcome;
use crate::{latency::Latencies, order::Faults, process::Usage};

#[derive(Debug)]
pub(crate) struct Run {
    pub(super) signal: bool,
    /// For how long it was written.
    pub(super) time: Duration,
    /// Until all had come.
    pub(super) took: Duration,
    /// Those that came in order.
    pub(super) deliveries: u64,
    pub(super) delivery: Latencies,
    pub(super) ok: Latencies,
    /// How late the generator's own sends were.
    pub(super) late: Latencies,
    pub(super) usage: Usage,
    pub(super) event_bytes: usize,
    pub(super) faults: Faults,
    /// Which went wrong first, in words.
    pub(super) first_fault: Option<String>,
    /// Messages that the server did not take, and what it said to the first.
    pub(super) refused: u64,
    pub(super) refusal: Option<String>,
    /// `ok`s that did not come.
    pub(super) oks_missing: i64,
}

impl Run {
    /// Whether every promise was kept, and nothing refused.
    ///
    /// # Errors
    ///
    /// What was not, and where first.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(refusal) = &self.refusal {
            anyhow::bail!(
                "the server did not take {} messages: try a lower rate, or lift the limit in its \
                 configuration. It said first: {refusal}",
                self.refused
            );
        }
        self.check_promises()
    }

    fn check_promises(&self) -> anyhow::Result<()> {
        self.faults
            .check()
            .map_err(|error| match &self.first_fault {
                Some(first) => anyhow::anyhow!("{error}; the first: {first}"),
                None => error,
            })?;
        anyhow::ensure!(
            self.oks_missing == 0,
            "{} ok did not come (or came more than once, if below 0)",
            self.oks_missing
        );
        Ok(())
    }

    /// How the rate was kept up.
    ///
    /// # Errors
    ///
    /// A promise that was broken. Signals may be dropped.
    pub(super) fn outcome(&mut self, p99_ms: f64) -> anyhow::Result<Outcome> {
        let dropped = self.signal
            && self.faults.lost > 0
            && self.faults.doubled == 0
            && self.faults.out_of_order == 0;
        if !dropped {
            self.check_promises()?;
        }
        let late = self.late.percentile(99.0);
        let bound = Duration::from_secs_f64(p99_ms / 1e3);
        // A latency counts from when it was sent: with sends as late as this it would tell little.
        Ok(if late > p99_ms / 2.0 {
            Outcome::GeneratorLate
        } else if self.refused > 0 {
            Outcome::Refused
        } else if dropped {
            Outcome::Dropped
        } else if self.took > self.time + bound {
            Outcome::Behind
        } else if self.latencies().percentile(99.0) > p99_ms {
            Outcome::Late
        } else {
            Outcome::KeptUp
        })
    }

    /// Of deliveries, or where there are none of `ok`s.
    pub(super) fn latencies(&mut self) -> &mut Latencies {
        if self.delivery.count() > 0 {
            &mut self.delivery
        } else {
            &mut self.ok
        }
    }
}
