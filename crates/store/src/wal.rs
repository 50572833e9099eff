//! The write-ahead log (WAL): when what it holds is carried into the database file, and what a disk that
//! fails may do to it.
//!
//! A commit that fails to sync is rolled back by SQLite, and the next one writes the same frames of
//! the WAL again, so the retry syncs all that it needs: unlike a program that syncs again what it
//! wrote once, it does not rely on pages that the kernel dropped after the error. Until then the
//! frames that failed may be whole in the file, and a start would take them for committed. That is why
//! [`Store::probe`](crate::Store::probe) writes over them before anyone is told.
//!
//! A checkpoint that fails is another thing. One that readers hold up marks pages as carried over
//! without a sync, and leaves that to the next; if the disk loses them meanwhile, the next sync fails,
//! and SQLite would not carry them again. After a failure the WAL is therefore left alone until the file
//! has been opened anew, which forgets the marks and carries everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode};

/// Frames, a page each, after which they are carried over: 16 MB. It kept the pauses shortest in
/// measurements.
const DUE: u32 = 4000;
/// Frames more after which that is tried again, where readers were in the way.
const AGAIN: u32 = 1000;

/// What waits in the WAL.
#[derive(Debug, Default)]
pub(crate) struct Wal {
    frames: Arc<AtomicU32>,
    /// Frames at which the last checkpoint left some behind.
    left: u32,
    /// A checkpoint failed; only after the file is opened anew may there be another.
    pub(crate) suspect: bool,
}

/// What a checkpoint has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Frames in the WAL; -1 where another connection is at it.
    frames: i64,
    /// How many of them are in the database file.
    carried: i64,
}

impl Wal {
    /// Counts the frames that `connection` writes.
    pub(crate) fn count(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let frames = self.frames.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            frames.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
    }

    /// Whether there is anything.
    pub(crate) fn waits(&self) -> bool {
        self.frames.load(Ordering::Relaxed) > 0
    }

    /// Whether it is time.
    pub(crate) fn is_due(&self) -> bool {
        let frames = self.frames.load(Ordering::Relaxed);
        // A WAL that began anew has fewer frames than were left.
        let anew = frames < self.left;
        frames >= DUE && (anew || frames >= self.left.saturating_add(AGAIN))
    }

    /// Carries over what no reader needs, without waiting for anyone.
    pub(crate) fn carry(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        match checkpoint(connection, "PASSIVE") {
            Ok(Checkpoint { frames, carried }) if frames < 0 || carried < frames => {
                self.left = self.frames.load(Ordering::Relaxed);
            }
            Ok(_) => self.carried_all(),
            Err(error) => {
                // Where there was no room, nothing can have been lost.
                self.suspect = error.sqlite_error_code() != Some(ErrorCode::DiskFull);
                self.left = self.frames.load(Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Nothing waits any more.
    pub(crate) fn carried_all(&mut self) {
        self.frames.store(0, Ordering::Relaxed);
        self.left = 0;
        self.suspect = false;
    }
}

/// Carries everything over and empties the WAL; where someone reads, as much as can be.
pub(crate) fn carry_all(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "TRUNCATE")?;
    Ok(())
}

/// Whether SQLite takes all of the WAL for not carried over yet, as after opening the file anew.
pub(crate) fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(checkpoint(connection, "NOOP")?.carried <= 0)
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Checkpoint> {
    connection.query_one(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Checkpoint {
            frames: row.get(1)?,
            carried: row.get(2)?,
        })
    })
}
