//! A thousand sessions in ten rooms for half a minute: nothing lost, nothing doubled, one order.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use std::time::{Duration, Instant};

use client::{Client, Incoming, Options};
use common::{PATIENCE, Server};
use serde_json::{Value, json};
use tokio::sync::watch;

const ROOMS: usize = 10;
const MEMBERS: usize = 100;
const FOR: Duration = Duration::from_secs(30);
/// Between two messages of one writer; each room has two.
const PACE: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_members_get_every_message_of_their_room_in_the_same_order() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let server = Server::start();
    let (phase, phases) = watch::channel(Phase::Gathering);
    let mut rooms = Vec::new();
    for room in 0..ROOMS {
        let mut members = Vec::new();
        for member in 0..MEMBERS {
            let url = format!("ws://{}/ws/room{room}?name=m{member}", server.host);
            let mut client = Client::connect(&url, Options::default()).await.unwrap();
            while json_of(client.next().await)["type"] != "subscribed" {}
            members.push(tokio::spawn(listen(client, phases.clone(), member < 2)));
        }
        rooms.push(members);
    }
    phase.send(Phase::Talking).unwrap();
    tokio::time::sleep(FOR).await;
    phase.send(Phase::Ending).unwrap();
    for members in rooms {
        let mut logs = Vec::new();
        for member in members {
            logs.push(
                tokio::time::timeout(PATIENCE, member)
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        // The log of all is the log of each; how far it reaches is told by the writers' acknowledgements.
        let last = logs.iter().map(|log| log.acknowledged).max().unwrap();
        assert!(last > 20, "only {last} messages in {FOR:?}");
        for log in &logs {
            assert_eq!(log.texts.len() as u64, last);
            assert_eq!(log.texts, logs[0].texts);
        }
    }
}

/// What all members do now.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// They come in.
    Gathering,
    /// The writers write.
    Talking,
    /// What was written arrives.
    Ending,
}

struct Log {
    texts: Vec<String>,
    /// The last number that a writer had acknowledged; 0 for who only reads.
    acknowledged: u64,
}

/// Reads a room's log, writes to it at a pace if told to, and ends when all that was written before
/// the stop has come.
async fn listen(mut client: Client, mut phases: watch::Receiver<Phase>, writes: bool) -> Log {
    let mut log = Log {
        texts: Vec::new(),
        acknowledged: 0,
    };
    let mut pace = tokio::time::interval(PACE);
    let mut waiting = false;
    loop {
        let phase = *phases.borrow();
        let stopping = phase == Phase::Ending;
        // Quiet for so long after the stop: with all writers at rest, nothing is on its way.
        let quiet = tokio::time::sleep(Duration::from_secs(if stopping { 5 } else { 3600 }));
        tokio::select! {
            incoming = client.next() => {
                let message = json_of(incoming);
                match message["type"].as_str() {
                    Some("message") => {
                        assert_eq!(message["seq"], log.texts.len() + 1);
                        log.texts.push(message["text"].as_str().unwrap().to_owned());
                    }
                    Some("ok") => {
                        log.acknowledged = message["seq"].as_u64().unwrap();
                        waiting = false;
                    }
                    Some("presence") => {}
                    _ => panic!("{message}"),
                }
            }
            _ = pace.tick(), if writes && phase == Phase::Talking && !waiting => {
                let text = format!("{:?}", Instant::now());
                client.send_json(&json!({"type": "send", "id": 1, "text": text})).await.unwrap();
                waiting = true;
            }
            _ = phases.changed(), if !stopping => {}
            () = quiet, if stopping && !waiting => return log,
        }
    }
}

fn json_of(incoming: Option<Result<Incoming, client::Error>>) -> Value {
    match incoming {
        Some(Ok(Incoming::Text(text))) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}
