//! What can go wrong: one enum for each of opening, committing and reading.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the data folder cannot be used. Each says where, what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data folder {} is in use by another madang; stop that one first, or give this one \
         a folder of its own", path.display()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// It cannot be made or written.
    #[error(
        "{} cannot be written: {reason}; check that the folder exists or can be made, that this \
         user may write to it, and that the disk is neither full nor read-only", path.display()
    )]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is no database, or one with a fault.
    #[error(
        "the database {} is damaged: {reason}; put a backup in its place, or move it and the files \
         named like it out of the folder to start with an empty one", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        reason: String,
    },
    /// The file belongs to a later version of the program.
    #[error(
        "the database {} was written by a newer madang: its schema is {found}, this version knows \
         {known} at most; start the newer version, or put a backup from before the upgrade in its \
         place", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema's last migration.
        found: String,
        /// The last migration that this version has.
        known: String,
    },
    /// A restore was broken off.
    #[error(
        "a backup was being restored into {}, and that has not been finished; run `madang restore` \
         again, or, to go on without it, put the files of the newest folder replaced-… back and \
         delete madang.db.restoring", path.display()
    )]
    Unfinished {
        /// The data folder.
        path: PathBuf,
    },
    /// The schema cannot be brought up to date.
    #[error(
        "the schema of the database {} cannot be brought up to date: {reason}; the file is as \
         it was: start the version that wrote it, and report this", path.display()
    )]
    Migration {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// This program was built with an SQLite that can damage a database.
    #[error(
        "this madang was built with SQLite {found}, which can damage databases that several \
         connections use; build it with SQLite 3.51.3 or later"
    )]
    OldSqlite {
        /// The version that it was built with.
        found: &'static str,
    },
    /// Anything else that SQLite says.
    #[error(
        "the database {} cannot be opened: {reason}; try again, and report it if it stays so",
        path.display()
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: rusqlite::Error,
    },
}

impl OpenError {
    /// What an error of SQLite means for someone who wants to open `path`.
    pub(crate) fn of(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                reason: error.to_string(),
            },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull,
            ) => Self::NotWritable {
                path,
                reason: error.to_string(),
            },
            _ => Self::Sqlite {
                path,
                reason: error,
            },
        }
    }
}

/// Why a database could not be checked, copied or put back.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no database {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is such a file.
    #[error("{} is there already; nothing is written over: choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or something in it is not as it must be.
    #[error("{} is not sound: {finding}; `madang check` tells all that is wrong", path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// The first that was found.
        finding: String,
    },
    /// It cannot be written.
    #[error(
        "{} cannot be written: {reason}; check that its folder is there, that this user may write \
         to it, and that the disk is not full", path.display()
    )]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    NotRead {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(OpenError),
}

impl FileError {
    /// What an error of SQLite means for someone who works with `path`.
    pub(crate) fn of(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let reason = error.to_string();
        match error.sqlite_error_code() {
            _ if Self::is_damage(&error) => Self::Unsound {
                path,
                finding: reason,
            },
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => Self::NotWritten { path, reason },
            _ => Self::NotRead { path, reason },
        }
    }

    pub(crate) fn not_written(path: &Path, error: &std::io::Error) -> Self {
        Self::NotWritten {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    /// Whether an error tells of a fault in the file.
    pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
        use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
        match error {
            FromSqlConversionFailure(..) | InvalidColumnType(..) => true,
            error => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
            ),
        }
    }
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk is full. The next batch may fit.
    #[error("the disk is full; make room on it")]
    Full(#[source] rusqlite::Error),
    /// Another program has held the file for longer than is waited for.
    #[error("another program has locked the database; end its transaction")]
    Locked(#[source] rusqlite::Error),
    /// The disk refused to read, write or sync; later it may not.
    #[error("the disk failed, or refused; see to it")]
    Disk(#[source] rusqlite::Error),
    /// The next batch may succeed.
    #[error("the database did not take the batch")]
    Failed(#[source] rusqlite::Error),
    /// The file is damaged. Whoever owns the store must stop: nothing may be added to it.
    #[error("the database is damaged; stop, and see what `madang check` finds")]
    Damaged(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(error),
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Disk(error)
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            _ => Self::Failed(error),
        }
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the database could not be read")]
pub struct ReadError(#[from] rusqlite::Error);

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn commit_error(code: i32) -> CommitError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_damaged_file_is_told_from_what_may_pass() {
        use CommitError::{Damaged, Disk, Failed, Full, Locked};
        type Kind = fn(rusqlite::Error) -> CommitError;
        let kinds: [(Kind, &[i32]); 5] = [
            (
                Damaged,
                &[
                    ffi::SQLITE_CORRUPT,
                    ffi::SQLITE_CORRUPT_INDEX,
                    ffi::SQLITE_NOTADB,
                ],
            ),
            (Full, &[ffi::SQLITE_FULL]),
            (Locked, &[ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_TIMEOUT]),
            (
                Disk,
                &[
                    ffi::SQLITE_IOERR_FSYNC,
                    ffi::SQLITE_IOERR_DIR_FSYNC,
                    ffi::SQLITE_IOERR_WRITE,
                    ffi::SQLITE_IOERR_READ,
                    ffi::SQLITE_READONLY,
                    ffi::SQLITE_CANTOPEN,
                ],
            ),
            (Failed, &[ffi::SQLITE_CONSTRAINT, ffi::SQLITE_NOMEM]),
        ];
        for (kind, codes) in kinds {
            for &code in codes {
                let expected = kind(rusqlite::Error::InvalidQuery);
                let same = std::mem::discriminant(&expected)
                    == std::mem::discriminant(&commit_error(code));
                assert!(same, "{code}");
            }
        }
    }
}
