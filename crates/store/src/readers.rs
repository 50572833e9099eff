//! A few connections that only read, shared by any number of threads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::{Connection, OpenFlags, Transaction};

use crate::error::ReadError;
use crate::open::BUSY;

/// How many read at one moment; who comes later waits.
const CONNECTIONS: usize = 4;

/// Reads what is stored. Cheap to clone; every call blocks, and sees one moment of the whole file:
/// all of a batch or nothing of it.
#[derive(Clone)]
pub struct Readers(Arc<Pool>);

struct Pool {
    database: PathBuf,
    places: Vec<Place>,
    /// Spreads those who must wait.
    turn: AtomicUsize,
}

/// A connection, locked for the length of one read; made by whoever finds none.
type Place = Mutex<Option<Connection>>;

/// Nobody reads while this is held, and nobody has the file open to read.
pub(crate) struct Paused<'a>(
    #[expect(dead_code, reason = "it is held")] Vec<MutexGuard<'a, Option<Connection>>>,
);

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    /// The first connection is made at once, so that a file that cannot be read is found now.
    pub(crate) fn open(database: &Path) -> rusqlite::Result<Self> {
        let mut places: Vec<Place> = (0..CONNECTIONS).map(|_| Mutex::default()).collect();
        places[0] = Mutex::new(Some(connect(database)?));
        Ok(Self(Arc::new(Pool {
            database: database.to_owned(),
            places,
            turn: AtomicUsize::new(0),
        })))
    }

    /// Reads at one moment of the file.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let mut place = self.0.lend();
        let connection = match &mut *place {
            Some(connection) => connection,
            none => none.insert(connect(&self.0.database)?),
        };
        let value = read_with(connection, read);
        if value.is_err() {
            // The next read begins with nothing that this one may have left.
            *place = None;
        }
        Ok(value?)
    }

    /// Waits until nobody reads, and closes the connections.
    pub(crate) fn pause(&self) -> Paused<'_> {
        let places = self.0.places.iter().map(|place| {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            *place = None;
            place
        });
        Paused(places.collect())
    }
}

fn read_with<T>(
    connection: &mut Connection,
    read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    let value = read(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

impl Pool {
    /// A place that is free, or the next one to become so of those whose turn it is.
    ///
    /// A reader that panicked leaves nothing behind but a transaction, which its fall rolled back.
    fn lend(&self) -> MutexGuard<'_, Option<Connection>> {
        for place in &self.places {
            match place.try_lock() {
                Ok(place) => return place,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.places.len();
        self.places[turn]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
