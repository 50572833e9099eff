//! Opening the data folder: nobody else may have it, the file must be sound, and what an earlier
//! run left behind is put in order.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rooms::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::OpenError;
use crate::wal::{self, Wal};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// The database's file in the data folder.
pub(crate) const DATABASE: &str = "madang.db";
/// There while a backup is put into its place.
pub(crate) const RESTORING: &str = "madang.db.restoring";

/// The first SQLite in which connections that reset the WAL at one moment cannot damage the file.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long to wait for someone who works on the file by hand, with `sqlite3` for example.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// What the earlier run left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Whether it ended without [`Store::close`](crate::Store::close): it was killed, or the
    /// machine stopped.
    pub lost: bool,
    /// How many sessions it had left open; they are closed now.
    pub sessions: usize,
}

/// A data folder that belongs to this process.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) wal: Wal,
    pub(crate) database: PathBuf,
    /// Held for as long as the folder is in use; the system releases it when the process ends in
    /// whatever way.
    pub(crate) lock: File,
    pub(crate) run: i64,
    pub(crate) recovery: Recovery,
}

pub(crate) fn open(folder: &Path, now: Timestamp) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let lock = lock(folder)?;
    if folder.join(RESTORING).exists() {
        return Err(OpenError::Unfinished {
            path: folder.to_owned(),
        });
    }
    let database = folder.join(DATABASE);
    // SQLite would make it readable to everyone; its other files are made like this one.
    private_file(&database).map_err(|error| not_writable(&database, error))?;
    // A file that is new is there after a power cut only if its folder was synced too.
    sync_folder(folder).map_err(|error| not_writable(folder, error))?;
    let failed = |error| OpenError::of(&database, error);
    let wal = Wal::default();
    let mut connection = connect(&database, &wal).map_err(failed)?;
    check(&connection, &database)?;
    wal::carry_all(&connection).map_err(failed)?;
    migrate(&mut connection, &database)?;
    let (run, recovery) = start_run(&mut connection, now).map_err(failed)?;
    Ok(Opened {
        connection,
        wal,
        database,
        lock,
        run,
        recovery,
    })
}

fn not_writable(path: &Path, error: io::Error) -> OpenError {
    OpenError::NotWritable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// Opens a file for writing; one that is new is its owner's alone (mode 0600).
fn private_file(path: &Path) -> io::Result<File> {
    private_options().create(true).truncate(false).open(path)
}

pub(crate) fn private_options() -> OpenOptions {
    let mut options = File::options();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the folder's list of files durable, and its own place in the folder above as far as this user
/// may.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.canonicalize()?.parent()
        && let Ok(parent) = File::open(parent)
    {
        let _ = parent.sync_all();
    }
    File::open(folder)?.sync_all()
}

/// Takes the folder for this process, and makes it if need be, for its owner alone (mode 0700).
pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| not_writable(folder, error))?;
    let path = folder.join("madang.lock");
    let file = private_file(&path).map_err(|error| not_writable(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(not_writable(&path, error)),
    }
}

/// Opens the file for the writer.
pub(crate) fn connect(database: &Path, wal: &Wal) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(database)?;
    configure(&connection)?;
    wal.count(&mut connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // page_size and auto_vacuum take effect when the file is made, so they come first.
    // synchronous=FULL is what makes `ok` mean stored: in WAL mode NORMAL does not sync at a
    // commit. When to checkpoint is for `Wal` to say. The cache, in KiB, holds what a batch writes to:
    // the kernel has the rest. A larger one fills with the rows of all who ever came, and is hardly faster.
    connection.execute_batch(
        "PRAGMA page_size = 4096;
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA wal_autocheckpoint = 0;",
    )
}

/// Reads the whole file. A fault found now costs a restart; found later it costs messages.
fn check(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let finding: String = connection
        .query_one("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::of(database, error))?;
    match finding.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged {
            path: database.to_owned(),
            reason: finding,
        }),
    }
}

fn migrate(connection: &mut Connection, database: &Path) -> Result<(), OpenError> {
    let found = last_migration(connection).map_err(|error| OpenError::of(database, error))?;
    if let Some((version, name)) = found
        && is_newer(version)
    {
        let (version_known, name_known) = last_known();
        return Err(OpenError::Newer {
            path: database.to_owned(),
            found: migration_name(version, &name),
            known: migration_name(version_known, &name_known),
        });
    }
    match migrations::migrations::runner().run(connection) {
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::Migration {
            path: database.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// The last migration that this version has.
fn last_known() -> (i64, String) {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(|migration| {
        let name = migration.name().to_owned();
        (i64::from(migration.version()), name)
    });
    known.max().unwrap_or_default()
}

/// Whether this version does not know a schema of this version.
pub(crate) fn is_newer(version: i64) -> bool {
    version > last_known().0
}

/// A migration as its file is called.
pub(crate) fn migration_name(version: i64, name: &str) -> String {
    format!("V{version}__{name}")
}

/// The last migration that the file has had; none of a new file.
pub(crate) fn last_migration(connection: &Connection) -> rusqlite::Result<Option<(i64, String)>> {
    if !connection.table_exists(None, "refinery_schema_history")? {
        return Ok(None);
    }
    let last = "SELECT version, name FROM refinery_schema_history ORDER BY version DESC LIMIT 1";
    connection
        .query_one(last, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Puts an earlier run that was lost in order, and begins a new one.
fn start_run(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<(i64, Recovery)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let unfinished = "SELECT max(started_at) FROM runs WHERE stopped_at IS NULL";
    let started: Option<i64> = transaction.query_one(unfinished, [], |row| row.get(0))?;
    let mut recovery = Recovery {
        lost: started.is_some(),
        sessions: 0,
    };
    if let Some(started) = started {
        let at = Timestamp::from_millis(last_sign_of_life(&transaction)?.max(started));
        recovery.sessions = close_sessions(&transaction, at)?;
        transaction.execute(
            "UPDATE runs SET stopped_at = ?1, ending = 'lost' WHERE stopped_at IS NULL",
            [at.as_millis()],
        )?;
    }
    transaction.execute(
        "INSERT INTO runs (started_at) VALUES (?1)",
        [now.as_millis()],
    )?;
    let run = transaction.last_insert_rowid();
    transaction.commit()?;
    Ok((run, recovery))
}

/// Closes every session that is still open, and tells how many there were.
pub(crate) fn close_sessions(connection: &Connection, at: Timestamp) -> rusqlite::Result<usize> {
    connection.execute(
        "UPDATE users SET last_seen_at = max(last_seen_at, ?1)
         WHERE id IN (SELECT user_id FROM sessions WHERE state = 'open')",
        [at.as_millis()],
    )?;
    connection.execute(
        "UPDATE subscriptions SET until_at =
            (SELECT max(?1, connected_at) FROM sessions WHERE id = session_id)
         WHERE until_at IS NULL",
        [at.as_millis()],
    )?;
    connection.execute(
        "UPDATE sessions SET state = 'closed', closed_at = max(?1, connected_at),
            close_code = 1006, close_reason = 'the server stopped without closing this session'
         WHERE state = 'open'",
        [at.as_millis()],
    )
}

/// The last moment at which the earlier run is known to have been alive, as far as the file tells:
/// the server stopped then or later.
fn last_sign_of_life(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_one(
        "SELECT coalesce(max(at), 0) FROM (
            SELECT max(connected_at) AS at FROM sessions
            UNION ALL SELECT max(closed_at) FROM sessions
            UNION ALL SELECT max(since_at) FROM subscriptions
            UNION ALL SELECT max(until_at) FROM subscriptions
            UNION ALL SELECT at FROM events WHERE id = (SELECT max(id) FROM events)
            UNION ALL SELECT at FROM calls WHERE id = (SELECT max(id) FROM calls))",
        [],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests;
