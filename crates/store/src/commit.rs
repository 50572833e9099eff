//! The writer: the one owner of everything that is stored.

mod calls;
mod log;
mod register;
mod sweep;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rooms::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Params, Transaction, TransactionBehavior, ffi, params};

use self::log::Heads;
use self::sweep::Sweep;
use crate::error::{CommitError, OpenError};
use crate::open::{self, Opened, Recovery};
use crate::readers::Readers;
use crate::retention::{Retention, Swept};
use crate::wal::{self, Wal};
use crate::write::{Outcome, Write};

/// Writes everything that is stored. It owns the only connection that may, and the data folder with
/// it; it belongs to one thread.
#[derive(Debug)]
pub struct Store {
    // Fields are dropped in this order, so that the lock goes last.
    connection: Connection,
    heads: Heads,
    sweep: Sweep,
    run: i64,
    wal: Wal,
    database: PathBuf,
    /// They are closed while the file is opened anew.
    readers: Readers,
    _lock: File,
}

impl Store {
    /// Opens `folder/madang.db`, makes what is missing, and begins a new run.
    ///
    /// Sessions that a lost run left open are closed. The whole file is checked, which takes its
    /// time where the file is large.
    pub fn open(folder: &Path, now: Timestamp) -> Result<(Self, Readers, Recovery), OpenError> {
        let Opened {
            connection,
            wal,
            database,
            lock,
            run,
            recovery,
        } = open::open(folder, now)?;
        let readers = Readers::open(&database).map_err(|error| OpenError::of(&database, error))?;
        let store = Self {
            connection,
            heads: Heads::default(),
            sweep: Sweep::default(),
            run,
            wal,
            database,
            readers: readers.clone(),
            _lock: lock,
        };
        Ok((store, readers, recovery))
    }

    /// Writes a batch in one transaction, on disk when this returns, and tells what came of each
    /// write, in their order. Each write sees what those before it did.
    ///
    /// If it fails, nothing of the batch is written, and [`probe`](Self::probe) must be called before
    /// anyone is told so.
    pub fn commit(&mut self, batch: &[Write]) -> Result<Vec<Outcome>, CommitError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.write_all(batch);
        if outcomes.is_err() {
            // They may count events that were rolled back.
            self.heads.forget();
        }
        Ok(outcomes?)
    }

    fn write_all(&mut self, batch: &[Write]) -> rusqlite::Result<Vec<Outcome>> {
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(immediate)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for write in batch {
            outcomes.push(apply(&transaction, &mut self.heads, self.run, write)?);
        }
        transaction.commit()?;
        Ok(outcomes)
    }

    /// Deletes a little of what is not to be kept any more, in one transaction of a few milliseconds.
    /// After [`Swept::More`] there is more to look at.
    ///
    /// The numbers of deleted events are not given again: the log's beginning moves in the same
    /// transaction. The deletion may be followed by others' writes between two steps, and by an end of the
    /// program.
    pub fn sweep(&mut self, retention: &Retention, now: Timestamp) -> Result<Swept, CommitError> {
        let Self {
            connection,
            heads,
            sweep,
            ..
        } = self;
        let immediate = TransactionBehavior::Immediate;
        let swept = connection
            .transaction_with_behavior(immediate)
            .and_then(|transaction| {
                let swept = sweep.step(&transaction, heads, retention, now)?;
                transaction.commit()?;
                Ok(swept)
            });
        if swept.is_err() {
            self.heads.forget();
            self.sweep.forget();
        }
        Ok(swept?)
    }

    /// Gives back what is kept to be quick: for idle times.
    pub fn rest(&self) {
        // It is there for nothing but memory: without it, all goes on.
        let _ = self.connection.execute_batch("PRAGMA shrink_memory");
    }

    /// Makes the file smaller by some pages that deleting has left empty, but for a few that the next
    /// messages will need. Whether there are more.
    pub fn give_back(&mut self) -> Result<bool, CommitError> {
        /// Pages, of 4 KiB, in one step.
        const STEP: i64 = 64;
        /// Pages that stay.
        const SPARE: i64 = 256;
        let empty: i64 = self
            .connection
            .query_one("PRAGMA freelist_count", [], |row| row.get(0))?;
        let step = (empty - SPARE).min(STEP);
        if step > 0 {
            self.connection
                .execute_batch(&format!("PRAGMA incremental_vacuum({step})"))?;
        }
        Ok(empty - step > SPARE)
    }

    /// Tells whether the disk takes writes, by writing something small. It waits for no lock.
    ///
    /// After a commit that failed this also writes over what that one may have left in the WAL, so
    /// that a start does not take it for committed. Only where the disk refuses this write too, and the
    /// process or the machine stops before one succeeds, can a batch come back that was told to have
    /// failed: what failed was then its sync, and nothing but its sync.
    pub fn probe(&mut self) -> Result<(), CommitError> {
        if self.is_closed() {
            return self.reopen();
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let probed = self.connection.execute(
            "INSERT INTO meta (key, value) VALUES ('probe', lower(hex(randomblob(16))))
             ON CONFLICT DO UPDATE SET value = excluded.value",
            [],
        );
        self.connection.busy_timeout(open::BUSY)?;
        probed?;
        Ok(())
    }

    /// Carries what has gathered in the WAL into the database file, where that is due. To be called
    /// after each batch; it waits for no reader, and takes tens of milliseconds where the disk is well.
    ///
    /// # Errors
    ///
    /// What is stored is safe in the WAL, and commits go on.
    pub fn checkpoint(&mut self) -> Result<(), CommitError> {
        if self.wal.is_due() && !self.wal.suspect {
            self.wal.carry(&self.connection)?;
        }
        Ok(())
    }

    /// Does what can wait: to be called now and then, with `idle` when nothing else is to be done. It
    /// makes good a checkpoint that failed, for which nobody reads meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`checkpoint`](Self::checkpoint); the next call tries again.
    pub fn tend(&mut self, idle: bool) -> Result<(), CommitError> {
        if self.wal.suspect {
            self.reopen()?;
        } else if idle && self.wal.waits() {
            self.wal.carry(&self.connection)?;
        }
        Ok(())
    }

    /// Opens the file anew, so that everything in the WAL is carried over again.
    fn reopen(&mut self) -> Result<(), CommitError> {
        if !self.is_closed() {
            // What a failed commit has left must not be there: opening would take it for committed.
            self.probe()?;
        }
        let readers = self.readers.clone();
        let _paused = readers.pause();
        let keep_wal = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.connection.set_db_config(keep_wal, true)?;
        // The old connection must be gone before there is a new one.
        self.connection = Connection::open_in_memory()?;
        self.wal.suspect = true;
        self.connection = open::connect(&self.database, &self.wal)?;
        if !wal::is_whole(&self.connection)? {
            let held = ffi::Error::new(ffi::SQLITE_BUSY);
            let what = "another program has the database open".to_owned();
            return Err(rusqlite::Error::SqliteFailure(held, Some(what)).into());
        }
        wal::carry_all(&self.connection)?;
        self.wal.carried_all();
        Ok(())
    }

    /// Whether opening the file anew has failed: there is a connection to nothing.
    fn is_closed(&self) -> bool {
        self.connection.path().is_none_or(str::is_empty)
    }

    /// Ends the run, and puts everything into the one file.
    ///
    /// Sessions that are still open are closed with code 1006.
    pub fn close(mut self, now: Timestamp) -> Result<(), CommitError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        open::close_sessions(&transaction, now)?;
        transaction.execute(
            "UPDATE runs SET stopped_at = max(?1, started_at), ending = 'stopped' WHERE id = ?2",
            params![now.as_millis(), self.run],
        )?;
        transaction.commit()?;
        // While someone reads, a part may stay in the WAL, from which the next start takes it.
        Ok(wal::carry_all(&self.connection)?)
    }
}

fn apply(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    run: i64,
    write: &Write,
) -> rusqlite::Result<Outcome> {
    match write {
        Write::OpenSession {
            session,
            user,
            new_guest,
            address,
            user_agent,
            at,
        } => {
            register::store_user(transaction, user, *at)?;
            if let Some(token) = new_guest {
                register::store_token(transaction, token, user, *at)?;
            }
            execute(
                transaction,
                "INSERT INTO sessions
                    (id, run_id, user_id, user_name, address, user_agent, connected_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                params![
                    session.to_string(),
                    run,
                    user.id.as_str(),
                    user.name.as_str(),
                    address,
                    user_agent,
                    at.as_millis(),
                ],
            )?;
            Ok(Outcome::Done)
        }
        Write::CloseSession {
            session,
            at,
            code,
            reason,
        } => {
            register::close_session(transaction, *session, *at, *code, reason)?;
            Ok(Outcome::Done)
        }
        Write::Subscribe {
            session,
            room,
            create,
            at,
        } => {
            if *create {
                log::create_room(transaction, room, *at)?;
            }
            let Some(room) = heads.find(transaction, room)? else {
                return Ok(Outcome::NoSuchRoom);
            };
            register::subscribe(transaction, *session, room.id, *at)?;
            Ok(Outcome::Subscribed(room.head.clone()))
        }
        Write::Unsubscribe { session, room, at } => {
            register::unsubscribe(transaction, *session, room, *at)?;
            Ok(Outcome::Done)
        }
        Write::Append {
            room,
            from,
            key,
            content,
            at,
        } => log::append(transaction, heads, room, from, key.as_ref(), content, *at),
        Write::AcceptCall {
            call,
            given_to,
            answered_since,
        } => calls::accept(transaction, call, given_to.as_ref(), *answered_since),
        Write::HandCall { call, to } => {
            calls::hand(transaction, *call, to.as_ref())?;
            Ok(Outcome::Done)
        }
        Write::AnswerCall { call, answer, at } => {
            calls::answer(transaction, *call, answer, *at)?;
            Ok(Outcome::Done)
        }
    }
}

/// Executes a statement that is prepared once and kept.
fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: impl Params,
) -> rusqlite::Result<usize> {
    transaction.prepare_cached(sql)?.execute(values)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
