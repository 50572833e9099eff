//! Readers that stop reading, in a room that goes on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot go on without"
)]

mod common;

use std::{collections::BTreeSet, net::SocketAddr};

use common::{PATIENCE, Server};
use futures_util::{StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio::{net::TcpSocket, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

const SLOW: usize = 24;
const MESSAGES: u64 = 700;
/// All of the messages: 11 MB, of which the system takes at most 4 for a session.
const TEXT: usize = 16 * 1024;

type Socket = WebSocketStream<tokio::net::TcpStream>;

/// A member whose system takes little that is not read.
async fn slow(server: &Server, number: usize) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let address: SocketAddr = server.host.parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    let url = format!("ws://{address}/ws/lobby?name=slow{number}");
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    while next(&mut socket).await["type"] != "subscribed" {}
    socket
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(PATIENCE, socket.next()).await;
        match message.expect("nothing comes").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => {}
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_costs_little_slows_nobody_and_has_everything_in_the_end() {
    // Nothing is compressed, and nobody is given up for being silent.
    let server =
        Server::start_with("[times]\nheartbeat_ms = 3600000\n[compression]\nenabled = false");
    let mut slow_ones = Vec::new();
    for number in 0..SLOW {
        slow_ones.push(slow(&server, number).await);
    }
    let mut writer = server.guest("writer").await;
    let mut fast = server.connect("/ws/lobby?name=fast").await;
    fast.next_of("subscribed").await;
    let before = server.peak_memory();

    let text = "가".repeat(TEXT / 3);
    for number in 1..=MESSAGES {
        let send = json!({"type": "send", "id": number, "room": "lobby", "text": text});
        writer.ok(send).await;
        // As soon as it is there for those who read: nobody waits for those who do not.
        assert_eq!(fast.next_of("message").await["seq"], number);
    }
    let grown = server.peak_memory().saturating_sub(before);
    // A queue for each would be 24 times 7 MB; the ring has 1 MB, and each session a batch of 64 KiB.
    assert!(
        grown < 64 * 1024 * 1024,
        "{grown} bytes for {SLOW} who do not read"
    );
    // What passes by while they are behind is not kept for them.
    let passing = server.connect("/ws/lobby?name=passing").await;
    fast.next_where(|message| message["joined"].to_string().contains("passing"))
        .await;
    drop(passing);
    for number in 0..100 {
        for kind in [
            json!({"type": "signal", "id": number, "data": number}),
            json!({"type": "typing", "id": number, "on": number % 2 == 0}),
        ] {
            fast.ok(kind).await;
        }
    }

    let read = slow_ones.into_iter().map(|mut socket| async move {
        let mut seq = 0;
        while seq < MESSAGES {
            let message = next(&mut socket).await;
            match message["type"].as_str() {
                Some("message") => {
                    seq += 1;
                    assert_eq!(message["seq"], seq);
                }
                Some("presence") if seq > 0 => {
                    let names = message["joined"].to_string();
                    assert!(
                        message["reset"] == true || !names.contains("passing"),
                        "{message}"
                    );
                }
                Some("presence") => {}
                _ => unreachable!("{message}"),
            }
        }
        socket
    });
    let caught_up = join_all(read).await;
    // Whoever is back gets what passes from now on.
    fast.ok(json!({"type": "signal", "id": 1, "data": "now"}))
        .await;
    let hear = caught_up.into_iter().map(|mut socket| async move {
        let mut message = next(&mut socket).await;
        while message["type"] == "presence" || message["type"] == "typing" {
            message = next(&mut socket).await;
        }
        assert_eq!(
            (&message["type"], &message["data"]),
            (&json!("signal"), &json!("now"))
        );
    });
    join_all(hear).await;
    let grown = server.peak_memory().saturating_sub(before);
    assert!(
        grown < 96 * 1024 * 1024,
        "{grown} bytes for {SLOW} who catch up"
    );
}

/// Nothing is stored that would bring them back by way of the log: all that they miss only passes by.
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_while_people_come_and_go_knows_who_is_there_in_the_end() {
    let server = Server::start_with(
        "[times]\nheartbeat_ms = 3600000\npresence_window_ms = 20\n[limits]\nring_events = 4\n\
         [compression]\nenabled = false",
    );
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let mut slow = slow(&server, 0).await;
    let gone = server.guest_in("lobby", "gone").await;
    let mut present = BTreeSet::from(["watcher".to_owned()]);
    while !present.contains("gone") {
        hear(&mut present, &next(&mut slow).await);
    }
    // More than the system takes for one who does not read.
    let mut talker = server.guest_in("lobby", "talker").await;
    let text = "x".repeat(TEXT);
    for number in 0..MESSAGES {
        let signal = json!({"type": "signal", "id": number, "room": "lobby", "data": text});
        talker.ok(signal).await;
        // Whoever does not read this either is told who is there anew, and never that one left.
        watcher.next_of("signal").await;
    }
    let normal = client::Close::new(client::CloseCode::NORMAL, "");
    gone.0.close(normal).await.unwrap();
    watcher
        .next_where(|message| message["left"].to_string().contains("gone"))
        .await;
    let mut stay = Vec::new();
    for number in 0..10 {
        let name = format!("new{number}");
        stay.push(server.guest_in("lobby", &name).await);
        watcher
            .next_where(|message| message["joined"].to_string().contains(&name))
            .await;
    }

    watcher
        .ok(json!({"type": "send", "id": "end", "room": "lobby", "text": "end"}))
        .await;
    let mut told_anew = 0;
    loop {
        let message = next(&mut slow).await;
        if message["type"] == "message" {
            break;
        }
        told_anew += u32::from(message["reset"] == true);
        hear(&mut present, &message);
    }
    assert!(told_anew > 0, "the reader was not slow");
    let who = watcher
        .ok(json!({"type": "who", "id": "who", "room": "lobby"}))
        .await;
    assert_eq!(present, names(&who["users"]));
}

/// Keeps a list of those present as a client does.
fn hear(present: &mut BTreeSet<String>, message: &Value) {
    if message["type"] != "presence" {
        return;
    }
    if message["reset"] == true {
        present.clear();
    }
    present.extend(names(&message["joined"]));
    for name in names(&message["left"]) {
        present.remove(&name);
    }
    assert_eq!(message["count"], present.len());
}

fn names(users: &Value) -> BTreeSet<String> {
    let users = users.as_array().unwrap().iter();
    users
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect()
}
