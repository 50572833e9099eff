//! What `ok` promises, when the server is killed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use client::{Client, Incoming, Options};
use common::Server;
use serde_json::{Value, json};

const WRITERS: usize = 20;
/// Acknowledged messages after which the server is killed.
const ENOUGH: usize = 500;

#[tokio::test]
async fn after_a_kill_every_acknowledged_message_is_stored_once_in_one_order() {
    let mut server = Server::start();
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let total = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(server.host.clone(), writer, total.clone())))
        .collect();
    // A reader beside them sees the order as it is made.
    let mut seen: Vec<Value> = Vec::new();
    while total.load(Ordering::Relaxed) < ENOUGH {
        seen.push(watcher.next_of("message").await);
    }
    server.kill();
    while let Some(Ok(Incoming::Text(text))) = watcher.0.next().await {
        let message: Value = serde_json::from_str(&text).unwrap();
        seen.extend((message["type"] == "message").then_some(message));
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.len() >= ENOUGH);

    server.restart();
    // No session of before is left open; each was closed with the reason that it had.
    let (status, open) = server.http_as_admin("GET", "/api/sessions?state=open");
    assert_eq!(
        (status, open["sessions"].as_array().unwrap().len()),
        (200, 0),
        "{open}"
    );
    let (_, closed) = server.http_as_admin("GET", "/api/sessions?state=closed&limit=1000");
    let closed = closed["sessions"].as_array().unwrap();
    let left: Vec<_> = closed
        .iter()
        .filter(|session| session["close_code"] == 1006)
        .collect();
    assert_eq!(left.len(), WRITERS + 1);
    for session in left {
        assert!(
            session["close_reason"]
                .as_str()
                .unwrap()
                .contains("server stopped"),
            "{session}"
        );
        assert_eq!(session["rooms"], json!(["lobby"]));
    }

    let stored = history(&server).await;
    // One order: 1, 2, 3 … without a hole, and what was delivered stands where it was delivered.
    for (index, event) in stored.iter().enumerate() {
        assert_eq!(event["seq"], index + 1);
    }
    assert_eq!(seen[..], stored[..seen.len()]);
    // Each acknowledged message is at its place, and no text is there twice.
    for (seq, text) in &acknowledged {
        assert_eq!(stored[*seq - 1]["text"], **text);
    }
    let mut texts: Vec<_> = stored
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    let all = texts.len();
    texts.dedup();
    assert_eq!(texts.len(), all);
    assert!(
        all - acknowledged.len() <= WRITERS,
        "at most one of each writer was on its way"
    );
}

/// Writes, one message at a time, until the server is gone; tells what was acknowledged.
async fn write(host: String, writer: usize, total: Arc<AtomicUsize>) -> Vec<(usize, String)> {
    let url = format!("ws://{host}/ws/lobby?name=writer{writer}");
    let mut client = Client::connect(&url, Options::default()).await.unwrap();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("{writer}-{number}");
        let command = json!({"type": "send", "id": number, "key": text, "text": text});
        if client.send_json(&command).await.is_err() {
            break;
        }
        let reply = loop {
            match client.next().await {
                Some(Ok(Incoming::Text(reply))) => {
                    let reply: Value = serde_json::from_str(&reply).unwrap();
                    if reply["id"] == number {
                        break reply;
                    }
                }
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return acknowledged,
            }
        };
        assert_eq!(reply["type"], "ok", "{reply}");
        acknowledged.push((reply["seq"].as_u64().unwrap() as usize, text));
        total.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// The whole log, page by page.
async fn history(server: &Server) -> Vec<Value> {
    let mut reader = server.guest("reader").await;
    let mut events: Vec<Value> = Vec::new();
    loop {
        let after = events.len();
        let command =
            json!({"type": "history", "id": after, "room": "lobby", "after": after, "limit": 200});
        let mut page = reader.ok(command).await;
        events.append(page["events"].as_array_mut().unwrap());
        if page["more"] == false {
            return events;
        }
    }
}

#[tokio::test]
async fn a_message_sent_again_after_a_kill_is_stored_once() {
    let mut server = Server::start();
    let mut writer = server.connect("/ws/lobby?name=A").await;
    let token = writer.next().await["token"].as_str().unwrap().to_owned();
    let command =
        |number| json!({"type": "send", "id": number, "key": format!("k{number}"), "text": "x"});
    for number in 1..=10 {
        writer.say(command(number)).await;
    }
    server.kill();
    server.restart();
    let mut writer = server.connect(&format!("/ws/lobby?token={token}")).await;
    let mut places = Vec::new();
    for number in 1..=10 {
        places.push(writer.ok(command(number)).await["seq"].as_u64().unwrap());
    }
    assert_eq!(places, (1..=10).collect::<Vec<_>>());
    assert_eq!(history(&server).await.len(), 10);
}
