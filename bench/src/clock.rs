//! Time as a number that fits into a message.

use std::time::{Duration, Instant};

/// Counts from when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

/// Nanoseconds of a [`Clock`].
pub(crate) type Nanos = u64;

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Nanos {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    pub(crate) fn since(self, then: Nanos) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(then))
    }
}
