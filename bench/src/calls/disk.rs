//! What the disk can do: a ticket and an answer are each a write that is synced, with others or alone.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use load::{latency::Latencies, report::Report};

/// How long it is measured each time.
const TIME: Duration = Duration::from_secs(1);
/// Bytes of a write: a page of the database.
const PAGE: [u8; 4096] = [b'.'; 4096];

/// Writes of a page, one after the other, each synced.
#[derive(Default)]
pub(super) struct Syncs {
    latencies: Latencies,
    took: Duration,
}

impl Syncs {
    pub(super) fn measure(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut file = File::create(folder.join("syncs"))?;
        let began = Instant::now();
        while began.elapsed() < TIME {
            let start = Instant::now();
            file.write_all(&PAGE)?;
            file.sync_data()?;
            self.latencies.record(start.elapsed());
        }
        self.took += began.elapsed();
        Ok(())
    }

    pub(super) fn report(mut self) -> Report {
        let count = self.latencies.count() as f64;
        Report::new("disk: writes of 4 KiB, one after the other, each synced".to_owned())
            .add("synced", count / self.took.as_secs_f64(), "/s")
            .add("sync, p50", self.latencies.percentile(50.0), "ms")
            .add("sync, p99", self.latencies.percentile(99.0), "ms")
    }
}
