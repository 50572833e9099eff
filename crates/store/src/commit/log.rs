//! Rooms and their logs: one number after the other, and each key once.

use std::collections::HashMap;
use std::time::Duration;

use rooms::{Content, Event, EventKind, Key, RoomName, Seq, Timestamp, User};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use super::execute;
use crate::room::Room;
use crate::row;
use crate::write::Outcome;

/// How long a key stands for its message.
pub(super) const KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many heads are kept in memory, at some 200 bytes each, before all are read anew.
const HEADS: usize = 100_000;

/// The ends of the logs. The store is the only writer, so it need not ask the file each time.
#[derive(Debug, Default)]
pub(super) struct Heads(HashMap<RoomName, Room>);

impl Heads {
    /// A room's head; `None` if there is no such room.
    pub(super) fn find(
        &mut self,
        connection: &Connection,
        name: &RoomName,
    ) -> rusqlite::Result<Option<&mut Room>> {
        if !self.0.contains_key(name) {
            let Some(room) = Room::read(connection, name)? else {
                return Ok(None);
            };
            if self.0.len() >= HEADS {
                self.0.clear();
            }
            self.0.insert(name.clone(), room);
        }
        Ok(self.0.get_mut(name))
    }

    /// A log begins with this event from now on.
    pub(super) fn begin_with(&mut self, name: &RoomName, first: Seq) {
        if let Some(room) = self.0.get_mut(name) {
            room.head.first = first;
        }
    }

    /// Forgets all of them: the file knows better.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

pub(super) fn create_room(
    transaction: &Transaction<'_>,
    name: &RoomName,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO rooms (name, kind, created_at) VALUES (?1, 'open', ?2)
               ON CONFLICT DO NOTHING";
    execute(transaction, sql, params![name.as_str(), at.as_millis()])?;
    Ok(())
}

/// Puts a message at the end of its room's log, unless its key was used before.
pub(super) fn append(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    name: &RoomName,
    from: &User,
    key: Option<&Key>,
    content: &Content,
    now: Timestamp,
) -> rusqlite::Result<Outcome> {
    let Some(room) = heads.find(transaction, name)? else {
        return Ok(Outcome::NoSuchRoom);
    };
    let seq = room.head.head + 1;
    let at = now.max(room.last_at);
    if let Some(key) = key {
        let content = hash(content);
        if let Some(earlier) = find_key(transaction, key, from)?
            && now.since(earlier.at) <= KEY_LIFE
        {
            return Ok(
                if earlier.room_id == room.id && earlier.content == content {
                    Outcome::Duplicate {
                        seq: earlier.seq,
                        at: earlier.at,
                    }
                } else {
                    Outcome::Conflict { seq: earlier.seq }
                },
            );
        }
        execute(
            transaction,
            "INSERT INTO message_keys (key, user_id, room_id, seq, at, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET room_id = excluded.room_id, seq = excluded.seq,
                at = excluded.at, content = excluded.content",
            params![
                key.as_str(),
                from.id.as_str(),
                room.id,
                seq,
                at.as_millis(),
                content
            ],
        )?;
    }
    execute(
        transaction,
        "INSERT INTO events
            (room_id, seq, at, user_id, user_name, user_guest, kind, text, data, key, reply_to)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'message', ?7, ?8, ?9, ?10)",
        params![
            room.id,
            seq,
            at.as_millis(),
            from.id.as_str(),
            from.name.as_str(),
            from.guest,
            content.text,
            content.data.as_deref().map(|data| data.get()),
            key.map(Key::as_str),
            content.reply_to,
        ],
    )?;
    room.head.head = seq;
    room.last_at = at;
    Ok(Outcome::Appended(Event {
        room: name.clone(),
        seq,
        at,
        from: from.clone(),
        kind: EventKind::Message {
            content: content.clone(),
            key: key.cloned(),
        },
    }))
}

/// The message that a key stands for.
struct Earlier {
    room_id: i64,
    seq: Seq,
    at: Timestamp,
    content: [u8; 32],
}

fn find_key(
    transaction: &Transaction<'_>,
    key: &Key,
    user: &User,
) -> rusqlite::Result<Option<Earlier>> {
    let sql = "SELECT room_id, seq, at, content FROM message_keys WHERE key = ?1 AND user_id = ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let earlier = statement.query_one([key.as_str(), user.id.as_str()], |row| {
        Ok(Earlier {
            room_id: row.get("room_id")?,
            seq: row.get("seq")?,
            at: row::timestamp(row, "at")?,
            content: row.get("content")?,
        })
    });
    earlier.optional()
}

/// Tells contents apart. Each part goes in with its length, so that none can pass for another.
fn hash(content: &Content) -> [u8; 32] {
    let data = content.data.as_deref().map(|data| data.get());
    let mut hash = Sha256::new();
    for part in [content.text.as_deref(), data] {
        // No text is as long as this.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        hash.update(length.to_le_bytes());
        hash.update(part.unwrap_or_default());
    }
    // Numbers of events begin with 1.
    hash.update(content.reply_to.unwrap_or(0).to_le_bytes());
    hash.finalize().into()
}
