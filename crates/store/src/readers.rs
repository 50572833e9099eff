//! A few connections that only read, shared by any number of threads.

use std::fmt;
use std::path::Path;
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
    /// Each is locked for the length of one read.
    connections: Vec<Mutex<Connection>>,
    /// Spreads those who must wait.
    turn: AtomicUsize,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    pub(crate) fn open(database: &Path) -> rusqlite::Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| connect(database).map(Mutex::new));
        let connections = connections.collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Pool {
            connections,
            turn: AtomicUsize::new(0),
        })))
    }

    /// Reads at one moment of the file.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let mut connection = self.0.lend();
        let transaction = connection.transaction()?;
        let value = read(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

impl Pool {
    /// A connection that is free, or the next one to become so of those whose turn it is.
    ///
    /// A reader that panicked leaves nothing behind but a transaction, which its fall rolled back.
    fn lend(&self) -> MutexGuard<'_, Connection> {
        for connection in &self.connections {
            match connection.try_lock() {
                Ok(connection) => return connection,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[turn]
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
