//! The list of sessions: one statement for what is asked, that walks the index which fits it best.

use rooms::{RoomName, SessionId, Timestamp};
use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Closed, SessionFilter, SessionRow, SessionState, signed};
use crate::row::{self, parsed};

const COLUMNS: &str = "SELECT sessions.*, users.guest AS user_guest";
const IN_ROOM: &str = "room_id = (SELECT id FROM rooms WHERE name = :room)";

pub(super) fn list(
    connection: &Connection,
    filter: &SessionFilter,
) -> rusqlite::Result<Vec<SessionRow>> {
    let Statement { sql, values } = statement(filter);
    let values: Vec<(&str, &dyn ToSql)> = values
        .iter()
        .map(|(name, value)| (*name, value as &dyn ToSql))
        .collect();
    let mut statement = connection.prepare_cached(&sql)?;
    let sessions = statement.query_map(values.as_slice(), |row| read_session(connection, row))?;
    sessions.collect()
}

pub(super) fn one(
    connection: &Connection,
    session: SessionId,
) -> rusqlite::Result<Option<SessionRow>> {
    let sql = format!(
        "{COLUMNS} FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement
        .query_one([session.to_string()], |row| read_session(connection, row))
        .optional()
}

/// A statement, and its parameters by name.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<(&'static str, Value)>,
}

/// The index along which the list is read: sessions lie in it in the list's own order, so that a
/// page is read and little more.
#[derive(PartialEq)]
enum Along {
    User,
    Address,
    Room,
    /// The table itself, or where only open sessions are wanted, the index of those.
    Time,
}

/// The statement for a filter: only what is asked for is written, and it is read along what most
/// likely narrows it most.
pub(super) fn statement(filter: &SessionFilter) -> Statement {
    let open = filter.state == Some(SessionState::Open);
    let along = match filter {
        SessionFilter { user: Some(_), .. } => Along::User,
        // Those who are in a room now are few, those who ever came from an address may be many.
        SessionFilter { room: Some(_), .. } if open || filter.address.is_none() => Along::Room,
        SessionFilter {
            address: Some(_), ..
        } => Along::Address,
        _ => Along::Time,
    };
    let (tables, id) = match along {
        // CROSS JOIN keeps the order of the tables.
        Along::Room => (
            "subscriptions CROSS JOIN sessions ON sessions.id = subscriptions.session_id",
            "subscriptions.session_id",
        ),
        Along::User | Along::Address | Along::Time => ("sessions", "sessions.id"),
    };

    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = vec![(":limit", Value::from(signed(filter.limit)))];
    if let Some(user) = &filter.user {
        conditions.push("sessions.user_id = :user".to_owned());
        values.push((":user", user.as_str().to_owned().into()));
    }
    if let Some(room) = &filter.room {
        conditions.push(match along {
            // Said in the words of the partial index.
            Along::Room if open => format!("{IN_ROOM} AND until_at IS NULL"),
            Along::Room => format!("{IN_ROOM} AND until_at IS sessions.closed_at"),
            _ => format!(
                "EXISTS (SELECT 1 FROM subscriptions WHERE session_id = sessions.id
                    AND {IN_ROOM} AND until_at IS sessions.closed_at)"
            ),
        });
        values.push((":room", room.as_str().to_owned().into()));
    }
    if let Some(address) = &filter.address {
        // The sign keeps SQLite from the address's index.
        let sign = if along == Along::Address { "" } else { "+" };
        conditions.push(format!("{sign}sessions.address = :address"));
        values.push((":address", address.clone().into()));
    }
    match filter.state {
        Some(SessionState::Open) => conditions.push("sessions.state = 'open'".to_owned()),
        Some(SessionState::Closed) => conditions.push("sessions.state = 'closed'".to_owned()),
        None => {}
    }
    // Ids begin with their time.
    let first = |at: Timestamp| SessionId::new(at, 0).to_string();
    if let Some(from) = filter.from {
        conditions.push(format!("{id} >= :from"));
        values.push((":from", first(from).into()));
    }
    let before = filter.before.map(|session| session.to_string());
    // Of two upper bounds SQLite would search by one.
    if let Some(before) = filter.to.map(first).into_iter().chain(before).min() {
        conditions.push(format!("{id} < :before"));
        values.push((":before", before.into()));
    }
    // A session that left a room and came back within a millisecond has two rows for it.
    let once = if along == Along::Room {
        "GROUP BY subscriptions.session_id"
    } else {
        ""
    };
    let conditions = conditions.join(" AND ");
    let sql = format!(
        "{COLUMNS} FROM {tables} CROSS JOIN users ON users.id = sessions.user_id
         WHERE {conditions} {once} ORDER BY {id} DESC LIMIT :limit"
    );
    Statement { sql, values }
}

fn read_session(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    const ROOMS: &str = "
        SELECT DISTINCT name FROM subscriptions JOIN rooms ON rooms.id = room_id
        WHERE session_id = ?1 AND until_at IS ?2 ORDER BY name";

    let session = row::session(row, "id")?;
    let closed_at: Option<i64> = row.get("closed_at")?;
    let closed = closed_at.map(|at| {
        Ok::<_, rusqlite::Error>(Closed {
            at: Timestamp::from_millis(at),
            code: row.get("close_code")?,
            reason: row.get("close_reason")?,
        })
    });
    let mut rooms = connection.prepare_cached(ROOMS)?;
    let rooms = rooms.query_map(params![session.to_string(), closed_at], |row| {
        parsed(row, "name", RoomName::parse)
    })?;
    Ok(SessionRow {
        session,
        user: row::user(row)?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        connected_at: row::timestamp(row, "connected_at")?,
        closed: closed.transpose()?,
        rooms: rooms.collect::<Result<_, _>>()?,
    })
}
