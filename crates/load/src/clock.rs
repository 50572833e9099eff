//! Time as a number that fits into a message.

use std::time::{Duration, Instant};

/// Counts from when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

/// Nanoseconds of a [`Clock`].
pub type Nanos = u64;

impl Clock {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What has passed since it was made.
    pub fn now(self) -> Nanos {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// What has passed since it showed `then`.
    pub fn since(self, then: Nanos) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(then))
    }
}
