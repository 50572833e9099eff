//! A room as its log's readers and its writer see it.

use rooms::{RoomName, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::row;

/// How far a room's log reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomHead {
    /// Names the log; another epoch means that its numbers began anew.
    pub epoch: String,
    /// The last event; `first - 1` when there is none.
    pub head: Seq,
    /// The first event that is kept.
    pub first: Seq,
}

/// A room's row with the end of its log.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) id: i64,
    pub(crate) head: RoomHead,
    /// When the last event was stored.
    pub(crate) last_at: Timestamp,
}

impl Room {
    /// Reads a room. The end of the log is one step into the index, so it is stored nowhere else.
    pub(crate) fn read(connection: &Connection, name: &RoomName) -> rusqlite::Result<Option<Self>> {
        const ROOM: &str = "
            SELECT id, first_seq, created_at,
                (SELECT value FROM meta WHERE key = 'epoch') || '-' || epoch AS epoch
            FROM rooms WHERE name = ?1";
        const LAST: &str =
            "SELECT seq, at FROM events WHERE room_id = ?1 ORDER BY seq DESC LIMIT 1";

        let room = connection
            .prepare_cached(ROOM)?
            .query_one([name.as_str()], |row| {
                let first: Seq = row.get("first_seq")?;
                Ok(Self {
                    id: row.get("id")?,
                    head: RoomHead {
                        epoch: row.get("epoch")?,
                        head: first.saturating_sub(1),
                        first,
                    },
                    last_at: row::timestamp(row, "created_at")?,
                })
            });
        let Some(mut room) = room.optional()? else {
            return Ok(None);
        };
        let last = connection
            .prepare_cached(LAST)?
            .query_one([room.id], |row| {
                Ok((row.get("seq")?, row::timestamp(row, "at")?))
            })
            .optional()?;
        if let Some((seq, at)) = last {
            room.head.head = seq;
            room.last_at = at;
        }
        Ok(Some(room))
    }
}
