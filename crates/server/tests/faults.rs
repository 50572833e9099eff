//! A disk that fails: nothing is promised or seen that is not stored, reading goes on, and all is well by
//! itself once the disk is.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{path::Path, time::Duration};

use common::{PATIENCE, Server, Talker};
use disk::{Call, Errno};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// One fault: how it begins, and how it ends.
struct Fault {
    name: &'static str,
    begin: fn(&Server) -> Option<Connection>,
    end: fn(&Server, Option<Connection>),
}

fn heal(server: &Server, _: Option<Connection>) {
    server.disk().heal().unwrap();
}

fn faults() -> Vec<Fault> {
    vec![
        Fault {
            name: "the disk is full",
            begin: |server| {
                let full = [
                    (Call::Write, "madang.db-wal", Errno::Full),
                    (Call::Write, "madang.db", Errno::Full),
                ];
                server.disk().fail(&full).unwrap();
                None
            },
            end: heal,
        },
        Fault {
            name: "the file system became read-only",
            begin: |server| {
                let calls = [Call::Write, Call::Sync, Call::Truncate, Call::Open];
                let faults = calls.map(|call| (call, "*", Errno::ReadOnly));
                server.disk().fail(&faults).unwrap();
                None
            },
            end: heal,
        },
        Fault {
            name: "syncs fail",
            begin: |server| {
                let fails = [(Call::Sync, "*", Errno::Failed)];
                server.disk().fail(&fails).unwrap();
                None
            },
            end: heal,
        },
        Fault {
            name: "another program holds the lock",
            begin: |server| {
                let connection = Connection::open(server.data().join("madang.db")).unwrap();
                connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
                Some(connection)
            },
            end: |_, connection| drop(connection),
        },
    ]
}

/// Sends until it is stored, as a client does that retries; tells the reply.
async fn send_until_stored(talker: &mut Talker, mut command: Value) -> Value {
    let sending = async {
        for id in 1_000.. {
            command["id"] = id.into();
            let reply = talker.ask(command.clone()).await;
            if reply["type"] == "ok" {
                return reply;
            }
            assert_eq!(reply["code"], "unavailable", "{reply}");
            sleep(Duration::from_millis(50)).await;
        }
        Value::Null
    };
    timeout(2 * PATIENCE, sending).await.unwrap()
}

#[tokio::test]
async fn while_the_disk_takes_nothing_writes_are_refused_reading_goes_on_and_it_ends_by_itself() {
    for fault in faults() {
        let name = fault.name;
        let server = Server::start_on_disk("");
        let mut reader = server.guest("reader").await;
        let mut watcher = server.guest_in("lobby", "watcher").await;
        let mut writer = server.guest_in("lobby", "writer").await;
        let say = |text: &str| json!({"type": "send", "id": 1, "room": "lobby", "key": text, "text": text});
        writer.ok(say("before")).await;

        let held = (fault.begin)(&server);
        for text in ["a", "b"] {
            let refused = writer.refused(say(text)).await;
            assert_eq!(refused["code"], "unavailable", "{name}: {refused}");
            assert!(
                refused["retry_after_ms"].as_u64() > Some(0),
                "{name}: {refused}"
            );
        }
        let (status, answer) = server.http(
            "POST",
            "/api/rooms/lobby/messages?name=A",
            &json!({"text": "over HTTP"}).to_string(),
        );
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!("unavailable")),
            "{name}"
        );
        // Reading goes on, over both ways.
        let history = json!({"type": "history", "id": 2, "room": "lobby"});
        let page = reader.ok(history.clone()).await;
        assert_eq!(
            page["events"].as_array().unwrap().len(),
            1,
            "{name}: {page}"
        );
        let (status, page) = server.http("GET", "/api/rooms/lobby/messages", "");
        assert_eq!((status, &page["head"]), (200, &json!(1)), "{name}: {page}");
        // Whoever comes now is told, and may come again.
        let mut late = server.connect("/ws?name=late").await;
        let (code, reason) = late.closed().await;
        assert_eq!(code, 1013, "{name}");
        let reason: Value = serde_json::from_str(&reason).unwrap();
        assert_eq!(reason["message"], "storage is not available", "{name}");
        let wait = reason["retry_after_ms"].as_u64().unwrap();
        assert!((5_000..10_000).contains(&wait), "{name}: {reason}");

        (fault.end)(&server, held);
        let stored = send_until_stored(&mut writer, say("b")).await;
        assert_eq!(stored["seq"], 2, "{name}: {stored}");
        assert_eq!(
            stored["duplicate"],
            Value::Null,
            "{name}: nothing of it was stored before"
        );
        // What was refused has been delivered to nobody.
        let seen = ["before", "b"];
        for text in seen {
            assert_eq!(watcher.next_of("message").await["text"], text, "{name}");
        }
        let page = reader.ok(history).await;
        let texts: Vec<_> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| &event["text"])
            .collect();
        assert_eq!(texts, seen, "{name}");
        sound(&server);
    }
}

#[tokio::test]
async fn what_was_refused_for_a_failed_sync_does_not_come_back_after_a_kill() {
    let mut server = Server::start_on_disk("");
    let mut writer = server.guest_in("lobby", "writer").await;
    let say = |text: &str| json!({"type": "send", "id": 1, "room": "lobby", "text": text});
    writer.ok(say("stored")).await;
    server
        .disk()
        .fail(&[(Call::Sync, "madang.db-wal", Errno::Failed)])
        .unwrap();
    assert_eq!(writer.refused(say("refused")).await["code"], "unavailable");
    // The file has all of it by now, but for the sync.
    server.kill();
    server.disk().heal().unwrap();
    server.restart();
    let (_, page) = server.http("GET", "/api/rooms/lobby/messages", "");
    assert_eq!(page["head"], 1, "{page}");
    sound(&server);
}

#[tokio::test]
async fn after_a_failed_sync_and_a_kill_what_is_stored_next_outlives_a_power_cut() {
    for seed in 0..6 {
        let mut server = Server::start_on_disk("");
        let mut writer = server.guest_in("lobby", "writer").await;
        let say = |text: &str| json!({"type": "send", "id": 1, "room": "lobby", "text": text});
        writer.ok(say("before")).await;
        let fails = [(Call::Sync, "madang.db-wal", Errno::Failed)];
        server.disk().fail(&fails).unwrap();
        writer.refused(say("refused")).await;
        // The next start finds in the WAL what the disk does not have, and never will by a sync.
        server.kill();
        server.disk().heal().unwrap();
        server.restart();
        let mut writer = server.guest("writer").await;
        writer.ok(say("after")).await;
        server.kill();
        server.disk.as_mut().unwrap().cut(seed).unwrap();
        server.restart();
        let (_, page) = server.http("GET", "/api/rooms/lobby/messages", "");
        assert_eq!(page["head"], 2, "seed {seed}: {page}");
        sound(&server);
    }
}

#[tokio::test]
async fn a_checkpoint_that_fails_loses_nothing_and_is_made_good() {
    let mut server = Server::start_on_disk("");
    let mut writer = server.guest_in("lobby", "writer").await;
    // The WAL can be written and synced; the database file cannot be synced.
    server
        .disk()
        .fail(&[(Call::Sync, "madang.db", Errno::Failed)])
        .unwrap();
    let say = |text: &str| json!({"type": "send", "id": 1, "room": "lobby", "text": text});
    for _ in 0..20 {
        writer.ok(say(&"가".repeat(1000))).await;
    }
    // Idle, the server tries to carry it over, and fails; messages are stored all the same.
    sleep(Duration::from_millis(1500)).await;
    writer.ok(say("still")).await;
    server.disk().heal().unwrap();
    let database = server.data().join("madang.db");
    let carried = async {
        let empty = std::fs::metadata(&database).unwrap().len();
        // Everything is in the file itself once it was opened anew.
        while std::fs::metadata(&database).unwrap().len() < 60_000 {
            sleep(Duration::from_millis(50)).await;
        }
        empty
    };
    timeout(PATIENCE, carried).await.unwrap();
    writer.ok(say("after")).await;
    server.kill();
    // A machine whose power goes now has it all.
    server.disk.as_mut().unwrap().cut(7).unwrap();
    server.restart();
    let (_, page) = server.http("GET", "/api/rooms/lobby/messages", "");
    assert_eq!(page["head"], 22, "{page}");
    sound(&server);
}

#[tokio::test]
async fn what_a_reader_let_be_carried_by_half_is_carried_again_after_a_failed_sync() {
    for seed in 0..4 {
        let mut server = Server::start_on_disk("");
        let mut writer = server.guest_in("lobby", "writer").await;
        let text = "가".repeat(1000);
        let command = json!({"type": "send", "id": 1, "room": "lobby", "text": text});
        let database = server.data().join("madang.db");
        // A checkpoint that a reader cuts short: it counts its pages, and leaves the sync to the next.
        let (mut count, reader) = loop {
            let reader = Connection::open(&database).unwrap();
            for _ in 0..20 {
                writer.ok(command.clone()).await;
            }
            reader.execute_batch("BEGIN; SELECT * FROM events").unwrap();
            for _ in 0..20 {
                writer.ok(command.clone()).await;
            }
            sleep(Duration::from_millis(1200)).await;
            // At times the server was sooner than the reader.
            let (frames, carried) = carried(&database);
            if 0 < carried && carried < frames {
                break (
                    writer.ok(command.clone()).await["seq"].as_u64().unwrap(),
                    reader,
                );
            }
        };
        let fails = [(Call::Sync, "madang.db", Errno::Failed)];
        server.disk().fail(&fails).unwrap();
        drop(reader);
        until(|| server.disk().failed_syncs().unwrap() > 0).await;
        server.disk().heal().unwrap();
        until(|| matches!(carried(&database), (frames, carried) if frames == carried)).await;
        // The WAL begins anew: what it held is in the database file, or nowhere.
        for _ in 0..20 {
            count = writer.ok(command.clone()).await["seq"].as_u64().unwrap();
        }
        server.kill();
        server.disk.as_mut().unwrap().cut(seed).unwrap();
        server.restart();
        let (_, page) = server.http("GET", "/api/rooms/lobby/messages?limit=1", "");
        assert_eq!(page["head"], count, "seed {seed}: {page}");
        sound(&server);
    }
}

/// Frames in the WAL, and how many of them SQLite takes for carried over.
fn carried(database: &Path) -> (i64, i64) {
    let connection = Connection::open(database).unwrap();
    connection
        .query_one("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })
        .unwrap()
}

async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

fn sound(server: &Server) {
    let report = store::check(&server.data().join("madang.db")).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}
