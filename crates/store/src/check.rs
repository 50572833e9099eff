//! Checking a whole database: what SQLite asks of it, and what holds of what is in it.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use crate::error::FileError;
use crate::open::{self, BUSY};

/// Findings of one kind that are told.
const TOLD: usize = 20;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The last migration that the file has had, such as `V1__rooms_and_sessions`.
    pub schema: String,
    /// Rooms in it.
    pub rooms: u64,
    /// Events in all their logs.
    pub events: u64,
    /// Sessions, open and closed.
    pub sessions: u64,
    /// Calls, open and answered, that are kept.
    pub calls: u64,
    /// What is wrong, in words; empty if the file is sound.
    pub findings: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            schema,
            rooms,
            events,
            sessions,
            calls,
            ..
        } = self;
        write!(
            f,
            "rooms: {rooms}, events: {events}, sessions: {sessions}, calls: {calls}, schema: {schema}"
        )
    }
}

/// A query for what must not be, and how to tell of what it finds.
struct Rule {
    sql: &'static str,
    tell: fn(&Row<'_>) -> rusqlite::Result<String>,
}

const RULES: &[Rule] = &[
    Rule {
        sql: "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value <> '')",
        tell: |_| Ok("the table meta has no 'epoch'".to_owned()),
    },
    Rule {
        sql: "SELECT name, first_seq, least, most, count FROM rooms LEFT JOIN
                (SELECT room_id, min(seq) AS least, max(seq) AS most, count(*) AS count
                 FROM events GROUP BY room_id) ON room_id = rooms.id
              WHERE first_seq < 1 OR (count > 0 AND (least <> first_seq OR most - least + 1 <> count))",
        tell: |row| {
            let name: String = row.get("name")?;
            let [first, least, most, count] = ["first_seq", "least", "most", "count"]
                .map(|column| row.get::<_, Option<i64>>(column));
            let (first, least) = (first?.unwrap_or(0), least?.unwrap_or(0));
            Ok(if least == first {
                format!(
                    "the log of room '{name}' has a hole: {} of the events {least} to {}",
                    count?.unwrap_or(0),
                    most?.unwrap_or(0)
                )
            } else {
                format!("the log of room '{name}' begins with {least}, and {first} is due")
            })
        },
    },
    Rule {
        sql: "SELECT message_keys.key, message_keys.user_id, message_keys.seq, rooms.name
              FROM message_keys LEFT JOIN rooms ON rooms.id = message_keys.room_id
                LEFT JOIN events ON events.room_id = message_keys.room_id
                    AND events.seq = message_keys.seq
              WHERE rooms.id IS NULL OR (message_keys.seq >= first_seq
                AND (events.key IS NOT message_keys.key
                    OR events.user_id IS NOT message_keys.user_id))",
        tell: |row| {
            Ok(format!(
                "the key '{}' of user {} stands for event {} of room '{}', which is not its message",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            ))
        },
    },
    Rule {
        sql: "SELECT user_id, key FROM
                (SELECT user_id, key, at - lag(at) OVER (PARTITION BY user_id, key ORDER BY id) AS apart
                 FROM events WHERE key IS NOT NULL)
              WHERE apart <= 24 * 60 * 60 * 1000",
        tell: |row| {
            Ok(format!(
                "user {} has two events of the key '{}' within 24 hours",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?
            ))
        },
    },
    Rule {
        sql: "SELECT id FROM sessions WHERE state = 'open'
                AND (SELECT stopped_at FROM runs WHERE id = run_id) IS NOT NULL",
        tell: |row| {
            let session: String = row.get(0)?;
            Ok(format!(
                "session {session} is open, and its run of the server has ended"
            ))
        },
    },
    Rule {
        sql: "SELECT session_id FROM subscriptions JOIN sessions ON sessions.id = session_id
              WHERE until_at IS NULL AND state = 'closed'",
        tell: |row| {
            let session: String = row.get(0)?;
            Ok(format!(
                "session {session} is closed, and still subscribed to a room"
            ))
        },
    },
    Rule {
        sql: "SELECT id FROM runs WHERE stopped_at IS NULL AND id < (SELECT max(id) FROM runs)",
        tell: |row| {
            Ok(format!(
                "run {} of the server has no end, and there is a later one",
                row.get::<_, i64>(0)?
            ))
        },
    },
    Rule {
        sql: "SELECT \"table\", parent FROM pragma_foreign_key_check",
        tell: |row| {
            Ok(format!(
                "a row of {} belongs to one of {} that is not there",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?
            ))
        },
    },
];

/// Of calls, which an older file does not have.
const CALLS: &[Rule] = &[
    Rule {
        sql:
            "SELECT id FROM calls
              WHERE (answered_at IS NULL) <> (result IS NULL AND code IS NULL)
                OR (code IS NULL) <> (message IS NULL) OR (result IS NOT NULL AND code IS NOT NULL)",
        tell: |row| {
            let call: String = row.get(0)?;
            Ok(format!(
                "call c_{call} is neither open, nor answered with a result, nor with a code and a message"
            ))
        },
    },
    Rule {
        sql: "SELECT id FROM calls WHERE answered_at < at",
        tell: |row| {
            let call: String = row.get(0)?;
            Ok(format!("call c_{call} was answered before it was asked"))
        },
    },
    Rule {
        sql: "SELECT id, 'params' FROM calls WHERE NOT json_valid(params)
              UNION ALL SELECT id, 'result' FROM calls WHERE NOT json_valid(result)",
        tell: |row| {
            let (call, column): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!("the {column} of call c_{call} is not JSON"))
        },
    },
];

/// Checks a whole database, of a server that runs or not: every page of it, and what must hold of rooms,
/// keys, sessions and calls. It reads everything, and writes nothing.
///
/// # Errors
///
/// When there is no such file, or it cannot be read. A damage is no error but a finding.
pub fn check(database: &Path) -> Result<Report, FileError> {
    let connection = connect(database)?;
    let mut report = Report {
        schema: String::new(),
        rooms: 0,
        events: 0,
        sessions: 0,
        calls: 0,
        findings: Vec::new(),
    };
    match inspect(&connection, &mut report) {
        Ok(()) => Ok(report),
        Err(error) if FileError::is_damage(&error) => {
            report.findings.push(error.to_string());
            Ok(report)
        }
        Err(error) => Err(FileError::of(database, error)),
    }
}

/// Opens a database to read it whole.
pub(crate) fn connect(database: &Path) -> Result<Connection, FileError> {
    if !database.is_file() {
        return Err(FileError::Missing {
            path: database.to_owned(),
        });
    }
    let failed = |error| FileError::of(database, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

fn inspect(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    // One moment of the file, however long this takes.
    let transaction = connection.unchecked_transaction()?;
    let findings = &mut report.findings;
    let told = |row: &Row<'_>| row.get::<_, String>(0);
    gather(
        &transaction,
        &format!("PRAGMA integrity_check({TOLD})"),
        told,
        findings,
    )?;
    findings.retain(|finding| finding != "ok");
    let Some((version, name)) = open::last_migration(&transaction)? else {
        findings.push("it is an SQLite database, and not one of madang".to_owned());
        return Ok(());
    };
    report.schema = open::migration_name(version, &name);
    if open::is_newer(version) {
        findings.push(format!(
            "its schema {} is newer than this madang knows; check it with the madang that wrote it",
            report.schema
        ));
        return Ok(());
    }
    let has_calls = transaction.table_exists(None, "calls")?;
    let of_calls = if has_calls { CALLS } else { &[] };
    for Rule { sql, tell } in RULES.iter().chain(of_calls) {
        gather(&transaction, sql, tell, findings)?;
    }
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        transaction.query_one(&sql, [], |row| row.get(0))
    };
    report.rooms = count("rooms")?;
    report.events = count("events")?;
    report.sessions = count("sessions")?;
    if has_calls {
        report.calls = count("calls")?;
    }
    Ok(())
}

fn gather(
    connection: &Connection,
    sql: &str,
    tell: impl Fn(&Row<'_>) -> rusqlite::Result<String>,
    findings: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut told = 0;
    while let Some(row) = rows.next()? {
        if told == TOLD {
            findings.push("… and more of the like".to_owned());
            break;
        }
        findings.push(tell(row)?);
        told += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
