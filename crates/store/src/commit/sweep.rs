//! Deleting what is not to be kept any more, a little at a time.
//!
//! A sweep goes over everything in steps: the logs room by room, then sessions, tokens, keys and calls. A step is one
//! transaction of at most [`ROWS`] rows deleted, so that nobody waits long behind it. How far the sweep
//! has come is in memory: a new run begins anew, and finds little.

use std::collections::HashMap;
use std::time::Duration;

use rooms::{CallId, RoomName, Seq, SessionId, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::execute;
use super::log::{Heads, KEY_LIFE};
use crate::register::RoomKind;
use crate::retention::{Keep, Retention, Swept};
use crate::row;

/// Rows deleted in one step.
const ROWS: usize = 200;
/// Rows looked at in one step.
const LOOKS: usize = 2000;

/// How far the sweep has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    stage: Stage,
    sizes: Sizes,
}

/// What is looked at next.
#[derive(Debug, Clone, Default)]
enum Stage {
    /// Nothing was looked at yet.
    #[default]
    Start,
    /// The log of the room after this one.
    Rooms {
        after: i64,
    },
    Sessions,
    Tokens {
        after: Vec<u8>,
    },
    Keys {
        after: (String, String),
    },
    Calls {
        after: String,
    },
}

/// Bytes of each room's log that are counted already, and the last event of them. Only rooms whose bytes
/// are limited are in it.
type Sizes = HashMap<i64, (Seq, u64)>;

/// A room whose log is looked at.
struct Log {
    id: i64,
    name: RoomName,
    keep: Keep,
    first: Seq,
}

impl Sweep {
    /// Goes one step further.
    pub(super) fn step(
        &mut self,
        transaction: &Transaction<'_>,
        heads: &mut Heads,
        retention: &Retention,
        now: Timestamp,
    ) -> rusqlite::Result<Swept> {
        let (next, swept) = match self.stage.clone() {
            Stage::Start => (Stage::Rooms { after: 0 }, Swept::More),
            Stage::Rooms { after } => {
                let next = sweep_logs(transaction, heads, &mut self.sizes, retention, after, now)?;
                let next = next.map_or(Stage::Sessions, |after| Stage::Rooms { after });
                (next, Swept::More)
            }
            Stage::Sessions => match retention.sessions {
                Some(age) if sweep_sessions(transaction, before(now, age))? => {
                    (Stage::Sessions, Swept::More)
                }
                _ => (Stage::Tokens { after: Vec::new() }, Swept::More),
            },
            Stage::Tokens { after } => {
                let next = match retention.guests {
                    Some(age) => sweep_tokens(transaction, &after, before(now, age))?,
                    None => None,
                };
                let keys = Stage::Keys {
                    after: Default::default(),
                };
                (
                    next.map_or(keys, |after| Stage::Tokens { after }),
                    Swept::More,
                )
            }
            Stage::Keys { after } => {
                match sweep_keys(transaction, &after, before(now, KEY_LIFE))? {
                    Some(after) => (Stage::Keys { after }, Swept::More),
                    None => (
                        Stage::Calls {
                            after: String::new(),
                        },
                        Swept::More,
                    ),
                }
            }
            Stage::Calls { after } => {
                match sweep_calls(transaction, &after, before(now, retention.results))? {
                    Some(after) => (Stage::Calls { after }, Swept::More),
                    None => (Stage::Start, Swept::All),
                }
            }
        };
        self.stage = next;
        Ok(swept)
    }

    /// What was counted may have been rolled back.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The moment that lies `age` before `now`.
fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(age))
}

/// Shortens the logs of the rooms after this one. Tells where to go on; `None` at the end.
fn sweep_logs(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    sizes: &mut Sizes,
    retention: &Retention,
    after: i64,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let (mut last, mut most) = (after, ROWS);
    for _ in 0..LOOKS / 10 {
        let Some(log) = next_log(transaction, retention, last)? else {
            return Ok(None);
        };
        if log.keep != Keep::default() {
            let Some(deleted) = shorten(transaction, heads, sizes, &log, most, now)? else {
                // There is more to count; the room is looked at again.
                return Ok(Some(last));
            };
            most -= deleted;
            if most == 0 {
                return Ok(Some(last));
            }
        }
        last = log.id;
    }
    Ok(Some(last))
}

fn next_log(
    transaction: &Transaction<'_>,
    retention: &Retention,
    after: i64,
) -> rusqlite::Result<Option<Log>> {
    let sql = "SELECT id, name, kind, first_seq FROM rooms WHERE id > ?1 ORDER BY id LIMIT 1";
    let mut statement = transaction.prepare_cached(sql)?;
    let log = statement.query_one([after], |row| {
        Ok(Log {
            id: row.get("id")?,
            name: row::parsed(row, "name", RoomName::parse)?,
            keep: retention.of(row::parsed(row, "kind", RoomKind::parse)?),
            first: row.get("first_seq")?,
        })
    });
    log.optional()
}

/// Deletes a log's oldest events that are not to be kept, at most so many. Tells how many; `None` if its
/// bytes must be counted first, for which this was one step.
fn shorten(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    sizes: &mut Sizes,
    log: &Log,
    most: usize,
    now: Timestamp,
) -> rusqlite::Result<Option<usize>> {
    const OLDEST: &str = "
        SELECT seq, at, 256 + octet_length(coalesce(text, '')) + octet_length(coalesce(data, ''))
            AS bytes
        FROM events WHERE room_id = ?1 ORDER BY seq LIMIT ?2";
    const LAST: &str = "SELECT max(seq) FROM events WHERE room_id = ?1";

    let Keep { age, events, bytes } = log.keep;
    let last: Option<Seq> = transaction
        .prepare_cached(LAST)?
        .query_one([log.id], |row| row.get(0))?;
    let Some(last) = last else {
        return Ok(Some(0));
    };
    let mut size = 0;
    if bytes.is_some() {
        let counted = sizes.entry(log.id).or_insert((log.first - 1, 0));
        if !count(transaction, log.id, counted)? {
            return Ok(None);
        }
        size = counted.1;
    }
    // The first that is kept by number, by age, and by what all after it take.
    let first_kept = events.map_or(0, |events| (last + 1).saturating_sub(events));
    let oldest_kept = age.map_or(Timestamp::from_millis(i64::MIN), |age| before(now, age));
    let most_bytes = bytes.unwrap_or(u64::MAX);
    let mut oldest = transaction.prepare_cached(OLDEST)?;
    let mut rows = oldest.query(params![log.id, most])?;
    let (mut deleted, mut first) = (0, log.first);
    while let Some(row) = rows.next()? {
        let seq: Seq = row.get("seq")?;
        let keep =
            seq >= first_kept && row::timestamp(row, "at")? >= oldest_kept && size <= most_bytes;
        if keep {
            break;
        }
        size = size.saturating_sub(row.get("bytes")?);
        (deleted, first) = (deleted + 1, seq + 1);
    }
    drop(rows);
    if deleted > 0 {
        execute(
            transaction,
            "DELETE FROM events WHERE room_id = ?1 AND seq < ?2",
            params![log.id, first],
        )?;
        execute(
            transaction,
            "UPDATE rooms SET first_seq = ?2 WHERE id = ?1",
            params![log.id, first],
        )?;
        heads.begin_with(&log.name, first);
        if let Some(counted) = sizes.get_mut(&log.id) {
            counted.1 = size;
        }
    }
    Ok(Some(deleted))
}

/// Counts the bytes of events that are not counted yet, so many at a time; whether that was all.
fn count(
    transaction: &Transaction<'_>,
    room_id: i64,
    (counted, bytes): &mut (Seq, u64),
) -> rusqlite::Result<bool> {
    const NEXT: &str = "
        SELECT count(*), max(seq), sum(256 + octet_length(coalesce(text, ''))
            + octet_length(coalesce(data, '')))
        FROM (SELECT seq, text, data FROM events WHERE room_id = ?1 AND seq > ?2
              ORDER BY seq LIMIT ?3)";
    let mut next = transaction.prepare_cached(NEXT)?;
    let (rows, last, more): (usize, Option<Seq>, Option<u64>) = next
        .query_one(params![room_id, *counted, LOOKS], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    *counted = last.unwrap_or(*counted);
    *bytes += more.unwrap_or(0);
    Ok(rows < LOOKS)
}

/// Deletes closed sessions that ended before this, and what they were subscribed to; whether there may be
/// more.
fn sweep_sessions(transaction: &Transaction<'_>, ended: Timestamp) -> rusqlite::Result<bool> {
    // Whoever ended before also connected before: only the oldest ids need be looked at.
    let connected = SessionId::new(ended, 0).to_string();
    let values = params![connected, ended.as_millis(), ROWS];
    let subscriptions = execute(
        transaction,
        "DELETE FROM subscriptions WHERE (session_id, room_id, since_at) IN
            (SELECT session_id, room_id, since_at
             FROM subscriptions JOIN sessions ON sessions.id = session_id
             WHERE session_id < ?1 AND state = 'closed' AND closed_at < ?2
             ORDER BY session_id LIMIT ?3)",
        values,
    )?;
    if subscriptions == ROWS {
        return Ok(true);
    }
    let sessions = execute(
        transaction,
        "DELETE FROM sessions WHERE id IN
            (SELECT id FROM sessions WHERE id < ?1 AND state = 'closed' AND closed_at < ?2
             ORDER BY id LIMIT ?3)",
        values,
    )?;
    Ok(sessions == ROWS)
}

/// Deletes the tokens of guests who were last here before this, among those after `after`. Tells where
/// to go on; `None` at the end.
fn sweep_tokens(
    transaction: &Transaction<'_>,
    after: &[u8],
    seen: Timestamp,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "
        SELECT hash, guest = 1 AND last_seen_at < ?2 AND NOT EXISTS
            (SELECT 1 FROM sessions WHERE sessions.user_id = users.id AND state = 'open')
        FROM tokens JOIN users ON users.id = user_id WHERE hash > ?1 ORDER BY hash LIMIT ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    let values = params![after, seen.as_millis(), ROWS];
    let found = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(Vec<u8>, bool)> = found.collect::<Result<_, _>>()?;
    for (hash, _) in found.iter().filter(|(_, void)| *void) {
        execute(transaction, "DELETE FROM tokens WHERE hash = ?1", [hash])?;
    }
    let more = found.len() == ROWS;
    Ok(found
        .into_iter()
        .next_back()
        .map(|(hash, _)| hash)
        .filter(|_| more))
}

/// Deletes the keys that are free again, among those after `after`. Tells where to go on; `None` at the
/// end.
fn sweep_keys(
    transaction: &Transaction<'_>,
    after: &(String, String),
    stored: Timestamp,
) -> rusqlite::Result<Option<(String, String)>> {
    let sql = "SELECT key, user_id, at < ?3 FROM message_keys WHERE (key, user_id) > (?1, ?2)
               ORDER BY key, user_id LIMIT ?4";
    let mut statement = transaction.prepare_cached(sql)?;
    let values = params![after.0, after.1, stored.as_millis(), LOOKS];
    let found = statement.query_map(values, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    let (mut looked, mut deleted, mut last) = (0, 0, None);
    for key in found.collect::<rusqlite::Result<Vec<((String, String), bool)>>>()? {
        let (key, free) = key;
        looked += 1;
        if free {
            let sql = "DELETE FROM message_keys WHERE key = ?1 AND user_id = ?2";
            deleted += execute(transaction, sql, params![key.0, key.1])?;
        }
        last = Some(key);
        if deleted == ROWS {
            return Ok(last);
        }
    }
    Ok(last.filter(|_| looked == LOOKS))
}

/// Deletes calls that were answered before this, among those after `after`. Tells where to go on; `None`
/// at the end.
fn sweep_calls(
    transaction: &Transaction<'_>,
    after: &str,
    answered: Timestamp,
) -> rusqlite::Result<Option<String>> {
    // What was answered before was also asked before: only the oldest ids need be looked at.
    let sql = "SELECT id, answered_at < ?3 FROM calls
               WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?4";
    let asked = row::call_column(CallId::new(answered, 0));
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, asked, answered.as_millis(), LOOKS])?;
    let (mut looked, mut gone, mut last) = (0, 0, None);
    while gone < ROWS
        && let Some(row) = rows.next()?
    {
        looked += 1;
        gone += usize::from(row.get::<_, Option<bool>>(1)?.unwrap_or(false));
        last = Some(row.get(0)?);
    }
    drop(rows);
    if gone > 0 {
        execute(
            transaction,
            "DELETE FROM calls WHERE id > ?1 AND id <= ?2 AND answered_at < ?3",
            params![after, last, answered.as_millis()],
        )?;
    }
    Ok(last.filter(|_| gone == ROWS || looked == LOOKS))
}

#[cfg(test)]
mod tests;
