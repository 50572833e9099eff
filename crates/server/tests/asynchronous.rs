//! Every command has its buzzer: what is ready first is answered first, and nobody waits for another's work.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use common::{Server, Talker};
use rusqlite::Connection;
use serde_json::{Value, json};

/// While this is held every write waits, and reading does not.
fn hold_the_disk(server: &Server) -> Connection {
    let connection = Connection::open(server.data().join("madang.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

fn send(id: u64) -> Value {
    json!({"type": "send", "id": id, "room": "lobby", "text": id.to_string()})
}

/// The ids of the replies, in the order in which they come.
async fn replies(talker: &mut Talker, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let reply = talker.next_where(|message| message["id"].is_u64()).await;
        assert_ne!(reply["type"], "error", "{reply}");
        ids.push(reply["id"].as_u64().unwrap());
    }
    ids
}

#[tokio::test]
async fn a_slow_command_delays_no_fast_one_of_the_same_session() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "강호동").await;
    kang.ok(send(1)).await;
    let disk = hold_the_disk(&server);
    kang.say(send(2)).await;
    kang.say(json!({"type": "history", "id": 3, "room": "lobby"}))
        .await;
    assert_eq!(replies(&mut kang, 1).await, [3]);
    kang.say(json!({"type": "who", "id": 4, "room": "lobby"}))
        .await;
    assert_eq!(replies(&mut kang, 1).await, [4]);
    kang.say(json!({"type": "signal", "id": 5, "room": "lobby", "data": 1}))
        .await;
    assert_eq!(replies(&mut kang, 1).await, [5]);
    kang.say(json!({"type": "ping", "id": 6})).await;
    assert_eq!(replies(&mut kang, 1).await, [6]);
    drop(disk);
    assert_eq!(replies(&mut kang, 1).await, [2]);
}

#[tokio::test]
async fn with_as_many_in_flight_as_may_be_one_more_is_busy_at_once_and_ping_is_not() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "강호동").await;
    let disk = hold_the_disk(&server);
    for id in 1..=32 {
        kang.say(send(id)).await;
    }
    assert_eq!(kang.refused(send(33)).await["code"], "busy");
    kang.say(json!({"type": "ping", "id": 34})).await;
    assert_eq!(replies(&mut kang, 1).await, [34]);
    drop(disk);
    // What one session writes to one room takes effect as it was sent.
    assert_eq!(replies(&mut kang, 32).await, (1..=32).collect::<Vec<_>>());
    kang.ok(send(35)).await;
    let history = json!({"type": "history", "id": 36, "room": "lobby"});
    let history = kang.ok(history).await;
    let texts = history["events"].as_array().unwrap().iter();
    let texts: Vec<_> = texts.map(|event| event["text"].as_str().unwrap()).collect();
    let said: Vec<_> = (1..=32).chain([35]).map(|id| id.to_string()).collect();
    assert_eq!(texts, said);
}

#[tokio::test]
async fn a_call_that_takes_its_time_delays_nothing() {
    let server = Server::start();
    let mut barista = server.guest("바리스타").await;
    barista
        .ok(json!({"type": "serve", "id": 1, "service": "cafe", "concurrency": 8}))
        .await;
    let mut kang = server.guest_in("lobby", "강호동").await;
    let call = |id| json!({"type": "call", "id": id, "service": "cafe", "method": "order"});
    kang.ask(call(1)).await;
    kang.ask(call(2)).await;
    kang.ok(send(3)).await;
    let slow = barista.next_of("request").await;
    let fast = barista.next_of("request").await;
    barista
        .say(json!({"type": "respond", "call": fast["call"]}))
        .await;
    assert_eq!(replies(&mut kang, 1).await, [2]);
    kang.ok(send(4)).await;
    barista
        .say(json!({"type": "respond", "call": slow["call"]}))
        .await;
    assert_eq!(replies(&mut kang, 1).await, [1]);
}
