//! Reading a room's log.

use rooms::{Anchor, Content, Event, EventKind, Key, Page, RoomName, Seq};
use rusqlite::{Connection, Row, params};

use crate::error::ReadError;
use crate::readers::Readers;
use crate::room::{Room, RoomHead};
use crate::row::{self, Unknown};

/// A part of a room's log.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The events, oldest first, without a hole between them.
    pub events: Vec<Event>,
    /// Whether there are more: older ones, or newer ones on a page after some event.
    pub more: bool,
    /// How far the log reached when this was read.
    pub room: RoomHead,
}

impl Readers {
    /// A page of a room's log; `None` if there is no such room.
    ///
    /// It ends early when the events' text and data, with 256 bytes for the rest of each, come to
    /// more than
    /// `max_bytes`; one event is always there if there is any.
    pub fn history(
        &self,
        room: &RoomName,
        page: Page,
        max_bytes: usize,
    ) -> Result<Option<HistoryPage>, ReadError> {
        self.read(|connection| {
            let Some(Room { id, head, .. }) = Room::read(connection, room)? else {
                return Ok(None);
            };
            let (events, more) = read_page(connection, room, id, page, max_bytes)?;
            Ok(Some(HistoryPage {
                events,
                more,
                room: head,
            }))
        })
    }

    /// The events after `after`, at most `limit`: what a subscriber who is behind gets next. `None`
    /// if there is no such room. `max_bytes` is that of [`history`](Self::history).
    pub fn events_after(
        &self,
        room: &RoomName,
        after: Seq,
        limit: u64,
        max_bytes: usize,
    ) -> Result<Option<HistoryPage>, ReadError> {
        self.history(
            room,
            Page {
                anchor: Anchor::After(after),
                limit,
            },
            max_bytes,
        )
    }

    /// How far a room's log reaches; `None` if there is no such room.
    pub fn room_head(&self, room: &RoomName) -> Result<Option<RoomHead>, ReadError> {
        self.read(|connection| Ok(Room::read(connection, room)?.map(|room| room.head)))
    }
}

fn read_page(
    connection: &Connection,
    room: &RoomName,
    room_id: i64,
    page: Page,
    max_bytes: usize,
) -> rusqlite::Result<(Vec<Event>, bool)> {
    const FORWARD: &str =
        "SELECT seq, at, user_id, user_name, user_guest, kind, text, data, key, reply_to
        FROM events WHERE room_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    const BACKWARD: &str =
        "SELECT seq, at, user_id, user_name, user_guest, kind, text, data, key, reply_to
        FROM events WHERE room_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

    let (sql, edge) = match page.anchor {
        Anchor::Latest => (BACKWARD, Seq::MAX),
        Anchor::Before(seq) => (BACKWARD, seq),
        Anchor::After(seq) => (FORWARD, seq),
    };
    // SQLite's numbers are signed. One more than asked for tells whether there are more.
    let edge = i64::try_from(edge).unwrap_or(i64::MAX);
    let limit = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);

    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![room_id, edge, limit])?;
    let (mut events, mut bytes, mut more) = (Vec::new(), 0_usize, false);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(size(row)?);
        let full = events.len() as u64 == page.limit;
        more = full || (bytes > max_bytes && !events.is_empty());
        if more {
            break;
        }
        events.push(read_event(row, room)?);
    }
    if sql == BACKWARD {
        events.reverse();
    }
    Ok((events, more))
}

/// About how many bytes an event takes as JSON.
fn size(row: &Row<'_>) -> rusqlite::Result<usize> {
    let length = |column| -> rusqlite::Result<usize> {
        Ok(row.get_ref(column)?.as_str_or_null()?.map_or(0, str::len))
    };
    Ok(256 + length("text")? + length("data")?)
}

fn read_event(row: &Row<'_>, room: &RoomName) -> rusqlite::Result<Event> {
    row::parsed(row, "kind", |kind| match kind {
        "message" => Ok(()),
        _ => Err(Unknown {
            what: "kind of event",
            value: kind.to_owned(),
        }),
    })?;
    Ok(Event {
        room: room.clone(),
        seq: row.get("seq")?,
        at: row::timestamp(row, "at")?,
        from: row::user(row)?,
        kind: EventKind::Message {
            content: Content {
                text: row.get("text")?,
                data: row::parsed_or_null(row, "data", row::json)?,
                reply_to: row.get("reply_to")?,
            },
            key: row::parsed_or_null(row, "key", Key::parse)?,
        },
    })
}

#[cfg(test)]
mod tests;
