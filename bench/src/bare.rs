//! What `writers` is compared with: the same transactions by one thread, with nothing around them.
//!
//! The schema, the settings and the statements for a message are those of the server. As many messages as
//! there are writers wait in a queue; what waits, up to the server's 256, goes into one transaction, and each
//! writer's next message comes when its last is stored. There is no network, no JSON, no other thread.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use load::{latency::Latencies, process, report::Report};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// The server's schema.
const SCHEMA: &str =
    include_str!("../../crates/store/migrations/sqlite/V1__rooms_and_sessions.sql");

/// The server's settings. It sees to checkpoints itself, after as many pages.
const SETTINGS: &str = "
    PRAGMA page_size = 4096;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA cache_size = -65536;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA wal_autocheckpoint = 4000;";

/// Messages in one transaction at most, as in the server.
const BATCH: usize = 256;

const ROOM: &str = "INSERT INTO rooms (name, kind, created_at) VALUES ('bench', 'open', 0)";
const EVENT: &str = "
    INSERT INTO events
        (room_id, seq, at, user_id, user_name, user_guest, kind, text, data, key, reply_to)
    VALUES (1, ?1, ?2, ?3, ?4, 1, 'message', ?5, NULL, ?6, NULL)";
const FIND_KEY: &str =
    "SELECT room_id, seq, at, content FROM message_keys WHERE key = ?1 AND user_id = ?2";
const KEY: &str = "
    INSERT INTO message_keys (key, user_id, room_id, seq, at, content)
    VALUES (?1, ?2, 1, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET room_id = excluded.room_id, seq = excluded.seq, at = excluded.at,
        content = excluded.content";

/// One message, as its writer has made it.
struct Message {
    writer: usize,
    /// The writer's own number for it.
    number: u64,
    made: Instant,
}

/// Writes for so long into a new database in `folder`.
pub(crate) fn measure(
    folder: &Path,
    writers: usize,
    text_bytes: usize,
    keys: bool,
    time: Duration,
) -> anyhow::Result<Report> {
    let mut connection = Connection::open(folder.join("bare.db"))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(SETTINGS)?;
    connection.execute_batch(SCHEMA)?;
    connection.execute(ROOM, [])?;

    let text = ".".repeat(text_bytes);
    let mut latencies = Latencies::default();
    let mut seq = 0;
    let (began, cpu) = (Instant::now(), process::own_cpu()?);
    let message = |writer| Message {
        writer,
        number: 1,
        made: began,
    };
    let mut waiting: VecDeque<_> = (0..writers).map(message).collect();
    while began.elapsed() < time {
        let batch: Vec<_> = waiting.drain(..waiting.len().min(BATCH)).collect();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for message in &batch {
            seq += 1;
            store(&transaction, seq, message, &text, keys)?;
        }
        transaction.commit()?;
        let stored = Instant::now();
        for message in batch {
            latencies.record(stored - message.made);
            waiting.push_back(Message {
                number: message.number + 1,
                made: stored,
                ..message
            });
        }
    }
    let (took, cpu) = (began.elapsed(), process::own_cpu()?.saturating_sub(cpu));
    let count = latencies.count() as f64;
    let with_keys = if keys { ", with keys" } else { "" };
    let name =
        format!("bare: the same transactions without a server, {writers} writers{with_keys}");
    Ok(Report::new(name)
        .add("stored", count / took.as_secs_f64(), "/s")
        .add("stored, p50", latencies.percentile(50.0), "ms")
        .add("stored, p99", latencies.percentile(99.0), "ms")
        .add("CPU per message", cpu.as_secs_f64() * 1e6 / count, "µs"))
}

/// What the server does for one message.
fn store(
    transaction: &Transaction<'_>,
    seq: i64,
    Message { writer, number, .. }: &Message,
    text: &str,
    keys: bool,
) -> rusqlite::Result<()> {
    // A user's id and name are as long as the server's; the time is another each time.
    let (user, name) = (format!("u_{writer:026}"), format!("writer-{writer}"));
    let at = 1_795_339_800_000 + seq;
    let key = keys.then(|| number.to_string());
    if let Some(key) = &key {
        let mut find = transaction.prepare_cached(FIND_KEY)?;
        find.query_one([key, &user], |row| row.get::<_, i64>(0))
            .optional()?;
        let values = params![key, user, seq, at, [0_u8; 32]];
        transaction.prepare_cached(KEY)?.execute(values)?;
    }
    let values = params![seq, at, user, name, text, key];
    transaction.prepare_cached(EVENT)?.execute(values)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let time = Duration::from_millis(50);
        for keys in [false, true] {
            let folder = tempfile::tempdir_in(&folder).unwrap();
            measure(folder.path(), 3, 64, keys, time).unwrap();
            let connection = Connection::open(folder.path().join("bare.db")).unwrap();
            let count = |table: &str| -> i64 {
                let sql = format!("SELECT count(*) FROM {table}");
                connection.query_one(&sql, [], |row| row.get(0)).unwrap()
            };
            let events = count("events");
            assert!(events > 0 && events % 3 == 0);
            assert_eq!(count("message_keys"), if keys { events } else { 0 });
        }
    }
}
