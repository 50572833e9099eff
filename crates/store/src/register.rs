//! Reading who is and was connected, and which rooms there are.

mod left;
mod sessions;

use std::time::Duration;

use rooms::{RoomName, Seq, SessionId, Timestamp, User, UserId};
use rusqlite::{OptionalExtension, Row, params};

use crate::error::ReadError;
use crate::readers::Readers;
use crate::room::RoomHead;
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
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Those that are open, or closed.
    pub state: Option<SessionState>,
    /// Those of this user.
    pub user: Option<UserId>,
    /// Those that are in this room, or were when they closed.
    pub room: Option<RoomName>,
    /// Those that connected from this address.
    pub address: Option<String>,
    /// Those that connected at this moment or later, as their ids tell it.
    pub from: Option<Timestamp>,
    /// Those that connected before this moment.
    pub to: Option<Timestamp>,
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

/// A user, and whether they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The user, under the name that they used last.
    pub user: User,
    /// Since when they are known.
    pub created_at: Timestamp,
    /// When a session of theirs last opened or closed.
    pub last_seen_at: Timestamp,
    /// How many of their sessions are open.
    pub sessions: u64,
}

/// A room with those who were in it when the server stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// The room.
    pub room: RoomName,
    /// How far its log reaches.
    pub head: RoomHead,
    /// Who was there, each once, and since when.
    pub users: Vec<(User, Timestamp)>,
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
        self.read(|connection| sessions::list(connection, filter))
    }

    /// One session; `None` if there never was one of this id.
    pub fn session(&self, session: SessionId) -> Result<Option<SessionRow>, ReadError> {
        self.read(|connection| sessions::one(connection, session))
    }

    /// One user; `None` if there never was one of this id.
    pub fn user(&self, user: &UserId) -> Result<Option<UserRow>, ReadError> {
        const USER: &str = "
            SELECT id AS user_id, name AS user_name, guest AS user_guest, created_at, last_seen_at,
                (SELECT count(*) FROM sessions WHERE user_id = users.id AND state = 'open')
                    AS sessions
            FROM users WHERE id = ?1";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(USER)?;
            statement.query_one([user.as_str()], read_user).optional()
        })
    }

    /// Who was in which room when the run before this one ended: those whose sessions ended with it, or
    /// broke within a `grace` before and did not come back. Whoever left by themselves is not among them.
    pub fn left_behind(&self, grace: Duration) -> Result<Vec<LeftBehind>, ReadError> {
        self.read(|connection| left::behind(connection, grace))
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

fn read_user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        user: row::user(row)?,
        created_at: row::timestamp(row, "created_at")?,
        last_seen_at: row::timestamp(row, "last_seen_at")?,
        sessions: row.get("sessions")?,
    })
}

#[cfg(test)]
mod tests;
