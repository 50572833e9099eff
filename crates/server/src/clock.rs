//! The clocks: the one place that reads them.

use std::time::{Instant, SystemTime};

use rooms::Timestamp;

/// By what time is measured: it never jumps.
pub(crate) fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
