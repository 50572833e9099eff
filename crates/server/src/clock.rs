//! The clock: the one place that reads it.

use std::time::SystemTime;

use rooms::Timestamp;

/// The time.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
