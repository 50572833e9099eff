//! What is not kept any more: deleted in the background, told to those who ask for it, and never a hole for
//! anyone else.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::time::Duration;

use common::{PATIENCE, Server};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const TEN: &str = "[retention]\nevery_seconds = 1\n[retention.open]\nevents = 10\n\
                   [times]\nheartbeat_ms = 3600000\n";

/// Waits until the log of 'lobby' begins with this event.
async fn begins_with(server: &Server, first: u64) {
    let begun = async {
        while server
            .http("GET", "/api/rooms/lobby/messages?after=0&limit=1", "")
            .1["events"][0]["seq"]
            != first
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(2 * PATIENCE, begun).await.unwrap();
}

fn say(number: u64) -> Value {
    json!({"type": "send", "id": number, "room": "lobby", "text": number.to_string()})
}

#[tokio::test]
async fn the_newest_are_kept_the_gap_is_told_and_nobody_live_misses_a_word() {
    let mut server = Server::start_with(TEN);
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let mut writer = server.guest("writer").await;
    for number in 1..=300 {
        writer.ok(say(number)).await;
    }
    begins_with(&server, 291).await;
    // Who was there all the time has it all, from memory.
    for number in 1..=300 {
        assert_eq!(watcher.next_of("message").await["seq"], number);
    }
    // Who comes back to a place that is gone is told.
    let mut late = server.guest("late").await;
    let subscribe = json!({"type": "subscribe", "id": 1, "room": "lobby", "since": 5});
    let reply = late.ok(subscribe).await;
    assert_eq!(reply["gap"], json!({"from": 6, "to": 290}), "{reply}");
    assert_eq!((&reply["head"], &reply["next"]), (&json!(300), &json!(291)));
    for number in 291..=300 {
        assert_eq!(late.next_of("message").await["seq"], number);
    }
    let history = json!({"type": "history", "id": 2, "room": "lobby", "after": 100, "limit": 3});
    let page = late.ok(history).await;
    let seqs: Vec<_> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["seq"])
        .collect();
    assert_eq!(seqs, [291, 292, 293], "{page}");
    let (_, rooms) = server.http("GET", "/api/rooms", "");
    assert_eq!(rooms["rooms"][0]["head"], 300, "{rooms}");

    // Numbers go on, here and after a restart.
    writer.ok(say(301)).await;
    assert_eq!(watcher.next_of("message").await["seq"], 301);
    server.kill();
    server.restart();
    let mut writer = server.guest("writer").await;
    assert_eq!(writer.ok(say(302)).await["seq"], 302);
    let report = store::check(&server.data().join("madang.db")).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[tokio::test]
async fn who_reads_so_slowly_that_the_log_leaves_them_behind_is_told_the_gap() {
    let server = Server::start_with(&format!("{TEN}[limits]\nring_events = 4\n"));
    let mut slow = server.guest_in("lobby", "slow").await;
    let mut writer = server.guest("writer").await;
    let text = "x".repeat(30_000);
    for number in 1..=600_u64 {
        let command = json!({"type": "send", "id": number, "room": "lobby", "text": text});
        writer.ok(command).await;
    }
    begins_with(&server, 591).await;
    let (mut next, mut gaps) = (1, 0);
    while next <= 600 {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "message" => {
                assert_eq!(message["seq"], next);
                next += 1;
            }
            "gap" => {
                assert_eq!(
                    (&message["room"], &message["from"]),
                    (&json!("lobby"), &json!(next))
                );
                next = message["to"].as_u64().unwrap() + 1;
                gaps += 1;
            }
            _ => {}
        }
    }
    assert!(gaps > 0);
}
