//! A copy of the database while a server works with it, and the way back.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use rooms::{Error, ErrorCode, Failure, Timestamp};
use rusqlite::{Connection, params};

use crate::check::{self, Report, check};
use crate::error::{FileError, OpenError};
use crate::open::{self, DATABASE, RESTORING, private_options, sync_folder};

/// Copies the database of `folder` into the new file `file`, as it is at one moment, and checks the copy.
/// A server may be at work with it; it is not held up. The file is its owner's alone (mode 0600), and
/// appears when it is whole.
///
/// # Errors
///
/// When there is no database, or the file is there already; when it cannot be written; when what was
/// copied is not sound. Nothing is left behind then.
pub fn backup(folder: &Path, file: &Path) -> Result<Report, FileError> {
    let source = check::connect(&folder.join(DATABASE))?;
    // The name is taken first, and for good: nothing of that name is ever written over.
    match private_options().create_new(true).open(file) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(FileError::Exists {
                path: file.to_owned(),
            });
        }
        Err(error) => return Err(FileError::not_written(file, &error)),
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let copied = copy(&source, &part).and_then(|()| {
        let report = sound(&part)?;
        put(&part, file)?;
        Ok(report)
    });
    copied.inspect_err(|_| {
        let _ = fs::remove_file(&part);
        let _ = fs::remove_file(file);
    })
}

/// To the callers of calls that were open in the backup.
const RESTORED: &str = "The server went back to an earlier copy of its database, in which this call was \
    still open. It may have been done since, or not.";

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What is there now.
    pub report: Report,
    /// The folder in which the database of before is kept, if there was one.
    pub kept: Option<PathBuf>,
}

/// Puts a copy of the backup `file` into the place of the database of `folder`, which no server may be
/// using. What was there is kept, in a folder beside it. The logs of all rooms get other epochs, so that
/// clients that know later events than the backup has are told `reset`. Calls that are open in the backup are
/// answered `unavailable`: they may have been done since, and no service is to do them again.
///
/// If it is broken off, by a power cut say, a server refuses to start on the folder until it is done
/// again.
///
/// # Errors
///
/// When a server uses the folder; when the backup is missing, not sound or of a newer version. The
/// database is as it was then, unless it says that it could not be written.
pub fn restore(file: &Path, folder: &Path, now: Timestamp) -> Result<Restored, FileError> {
    let source = check::connect(file)?;
    let report = sound(file)?;
    let _lock = open::lock(folder)?;
    let part = folder.join("madang.db.part");
    copy(&source, &part)?;
    drop(source);
    begin_epoch(&part, now).map_err(|error| FileError::of(&part, error))?;
    // From here on the folder is not to be used until the end.
    let restoring = folder.join(RESTORING);
    put(&part, &restoring)?;
    let kept = put_aside(folder, now)?;
    put(&restoring, &folder.join(DATABASE))?;
    Ok(Restored { report, kept })
}

/// A check whose findings are an error.
fn sound(file: &Path) -> Result<Report, FileError> {
    let mut report = check(file)?;
    if report.is_sound() {
        return Ok(report);
    }
    Err(FileError::Unsound {
        path: file.to_owned(),
        finding: report.findings.swap_remove(0),
    })
}

/// Copies a whole database into a file that is private and durable.
fn copy(source: &Connection, file: &Path) -> Result<(), FileError> {
    let written = |error| FileError::not_written(file, &error);
    let copy = private_options()
        .create(true)
        .truncate(true)
        .open(file)
        .map_err(written)?;
    let name = file.to_str().ok_or_else(|| {
        let reason = "its name is not UTF-8".to_owned();
        FileError::NotWritten {
            path: file.to_owned(),
            reason,
        }
    })?;
    source
        .execute("VACUUM INTO ?1", [name])
        .map_err(|error| FileError::of(file, error))?;
    copy.sync_all().map_err(written)
}

/// Gives all logs other epochs, and calls that were open an answer.
fn begin_epoch(database: &Path, now: Timestamp) -> rusqlite::Result<()> {
    let connection = Connection::open(database)?;
    connection.execute_batch(
        "PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = FULL;
         UPDATE meta SET value = lower(hex(randomblob(4))) WHERE key = 'epoch'",
    )?;
    // The backup of an older version has none.
    if connection.table_exists(None, "calls")? {
        let failure = Failure::from(Error::new(ErrorCode::Unavailable, RESTORED));
        connection.execute(
            "UPDATE calls SET answered_at = max(?1, at), code = ?2, message = ?3
             WHERE answered_at IS NULL",
            params![now.as_millis(), failure.code, failure.message],
        )?;
    }
    Ok(())
}

/// Moves the database, if there is one, into a new folder, with its WAL: each is of no use without the
/// other.
fn put_aside(folder: &Path, now: Timestamp) -> Result<Option<PathBuf>, FileError> {
    let present = |name: &&&str| folder.join(name).exists();
    let names: Vec<_> = ["madang.db", "madang.db-wal"]
        .iter()
        .filter(present)
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    let aside = folder.join(format!("replaced-{}", now.to_string().replace(':', "-")));
    let moved = || {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&aside)?;
        for name in names {
            fs::rename(folder.join(name), aside.join(name))?;
        }
        // It tells of the WAL that has gone.
        match fs::remove_file(folder.join("madang.db-shm")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&aside),
        }
    };
    match moved() {
        Ok(()) => Ok(Some(aside)),
        Err(error) => Err(FileError::not_written(&aside, &error)),
    }
}

/// Moves a file to its place, where it is after a power cut too.
fn put(from: &Path, to: &Path) -> Result<(), FileError> {
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let put = File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| sync_folder(folder));
    put.map_err(|error| FileError::not_written(to, &error))
}

impl From<OpenError> for FileError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

#[cfg(test)]
mod tests;
