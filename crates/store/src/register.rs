//! Reading who is and was connected, and which rooms there are.

use rooms::{RoomName, Seq, SessionId, Timestamp, User, UserId};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::ReadError;
use crate::readers::Readers;
use crate::row::{self, Unknown, parsed};
use crate::token::TokenHash;

/// What a list of rooms says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub name: RoomName,
    /// Who may do what in it.
    pub kind: RoomKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// The last event of its log; 0 when there is none.
    pub head: Seq,
    /// When that was stored.
    pub last_at: Option<Timestamp>,
    /// How many sessions are subscribed now.
    pub sessions: u64,
}

/// Who may do what in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoomKind {
    /// Anyone may read and write.
    Open,
}

impl RoomKind {
    /// As it is stored.
    pub(crate) fn parse(kind: &str) -> Result<Self, Unknown> {
        match kind {
            "open" => Ok(Self::Open),
            _ => Err(Unknown {
                what: "kind of room",
                value: kind.to_owned(),
            }),
        }
    }
}

/// Which sessions to list, newest first. What is `None` does not narrow the list.
#[derive(Debug, Clone)]
pub struct SessionFilter {
    /// Those that are open, or closed.
    pub state: Option<SessionState>,
    /// Those of this user.
    pub user: Option<UserId>,
    /// Those that are in this room, or were when they closed.
    pub room: Option<RoomName>,
    /// Those that connected before this one.
    pub before: Option<SessionId>,
    /// How many at most.
    pub limit: u64,
}

/// Whether a session is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// It is.
    Open,
    /// It was.
    Closed,
}

/// A session, as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The session.
    pub session: SessionId,
    /// Whose it is, under the name of then.
    pub user: User,
    /// Where the client connected from.
    pub address: String,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Since when.
    pub connected_at: Timestamp,
    /// When and why it closed; `None` while it is open.
    pub closed: Option<Closed>,
    /// The rooms that it is in, or was in when it closed, by name.
    pub rooms: Vec<RoomName>,
}

/// How a session closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// The close code of RFC 6455 §7.4; 1006 when there was no closing handshake.
    pub code: u16,
    /// Why, in words.
    pub reason: String,
}

impl Readers {
    /// The rooms by name, from the one after `after` on, at most `limit`.
    pub fn rooms(
        &self,
        after: Option<&RoomName>,
        limit: u64,
    ) -> Result<Vec<RoomSummary>, ReadError> {
        const ROOMS: &str = "
            SELECT name, rooms.kind, created_at, first_seq - 1 AS before, last.seq, last.at,
                (SELECT count(*) FROM subscriptions WHERE room_id = rooms.id AND until_at IS NULL)
                    AS sessions
            FROM rooms LEFT JOIN events AS last ON last.room_id = rooms.id
                AND last.seq = (SELECT max(seq) FROM events WHERE room_id = rooms.id)
            WHERE name > ?1 ORDER BY name LIMIT ?2";
        let after = after.map_or("", RoomName::as_str);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(ROOMS)?;
            statement
                .query_map(params![after, signed(limit)], read_room)?
                .collect()
        })
    }

    /// The sessions that `filter` lets through, newest first.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRow>, ReadError> {
        self.read(|connection| list_sessions(connection, filter))
    }

    /// Whose token this is.
    pub fn user_by_token(&self, token: &TokenHash) -> Result<Option<User>, ReadError> {
        const USER: &str = "
            SELECT id AS user_id, name AS user_name, guest AS user_guest
            FROM users WHERE id = (SELECT user_id FROM tokens WHERE hash = ?1)";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(USER)?;
            statement
                .query_one([token.as_bytes()], row::user)
                .optional()
        })
    }
}

/// SQLite's numbers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_room(row: &Row<'_>) -> rusqlite::Result<RoomSummary> {
    let head: Option<Seq> = row.get("seq")?;
    let last_at: Option<i64> = row.get("at")?;
    Ok(RoomSummary {
        name: parsed(row, "name", RoomName::parse)?,
        kind: parsed(row, "kind", RoomKind::parse)?,
        created_at: row::timestamp(row, "created_at")?,
        head: head.map_or_else(|| row.get("before"), Ok)?,
        last_at: last_at.map(Timestamp::from_millis),
        sessions: row.get("sessions")?,
    })
}

fn list_sessions(
    connection: &Connection,
    filter: &SessionFilter,
) -> rusqlite::Result<Vec<SessionRow>> {
    let user = filter.user.as_ref().map(UserId::as_str);
    let room = filter.room.as_ref().map(RoomName::as_str);
    let before = filter.before.map(|session| session.to_string());
    let limit = signed(filter.limit);

    // Only the conditions that are asked for are written, so that each can use its index.
    let mut sql = String::from(
        "SELECT sessions.*, users.guest AS user_guest
         FROM sessions JOIN users ON users.id = sessions.user_id WHERE TRUE",
    );
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":limit", &limit)];
    match filter.state {
        Some(SessionState::Open) => sql.push_str(" AND state = 'open'"),
        Some(SessionState::Closed) => sql.push_str(" AND state = 'closed'"),
        None => {}
    }
    if let Some(user) = &user {
        sql.push_str(" AND sessions.user_id = :user");
        values.push((":user", user));
    }
    if let Some(room) = &room {
        sql.push_str(
            " AND EXISTS (SELECT 1 FROM subscriptions WHERE session_id = sessions.id
                AND room_id = (SELECT id FROM rooms WHERE name = :room)
                AND until_at IS sessions.closed_at)",
        );
        values.push((":room", room));
    }
    if let Some(before) = &before {
        sql.push_str(" AND sessions.id < :before");
        values.push((":before", before));
    }
    sql.push_str(" ORDER BY sessions.id DESC LIMIT :limit");

    let mut statement = connection.prepare_cached(&sql)?;
    let sessions = statement.query_map(values.as_slice(), |row| read_session(connection, row))?;
    sessions.collect()
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

#[cfg(test)]
mod tests;
