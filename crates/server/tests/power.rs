//! What `ok` promises, when the power goes, and syncs fail before: of what was not synced, a random part is
//! lost, and what a sync failed to write is written by no later one.
//!
//! `MADANG_CUTS=200 MADANG_SEED=7 MADANG_ROUND_MS=5000 cargo test --test power` cuts more often, beginning with
//! another seed, after up to five seconds each. A seed names what is lost of what was on its way; what that is
//! depends on the machine's timing too.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{collections::BTreeMap, env, fs, process::Stdio, time::Duration};

use client::{Client, Incoming, Options};
use common::{PATIENCE, Server, madang};
use disk::{Call, Errno};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const WRITERS: usize = 8;
/// With fewer messages acknowledged a run shows little.
const ENOUGH: usize = 100;

fn acknowledged(writers: &[Writer]) -> usize {
    writers.iter().map(|writer| writer.acknowledged.len()).sum()
}

/// Someone who writes one message after the other, and sends again what was not answered.
struct Writer {
    name: String,
    token: Option<String>,
    /// The message that is sent next, or again.
    number: u64,
    /// What was acknowledged: numbers in the room, and texts.
    acknowledged: Vec<(u64, String)>,
}

impl Writer {
    fn text(&self) -> String {
        // Some pages of the file for each.
        format!("{}-{} {}", self.name, self.number, "가".repeat(1000))
    }

    /// Writes until the server is gone.
    async fn write(mut self, host: String) -> Self {
        let who = match &self.token {
            Some(token) => format!("token={token}"),
            None => format!("name={}", self.name),
        };
        let url = format!("ws://{host}/ws/lobby?{who}");
        let Ok(mut client) = Client::connect(&url, Options::default()).await else {
            return self;
        };
        loop {
            let Some(Ok(Incoming::Text(text))) = client.next().await else {
                return self;
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            match message["type"].as_str().unwrap() {
                "hello" => {
                    let token = message["token"].as_str().map(str::to_owned);
                    self.token = token.or(self.token);
                    continue;
                }
                "subscribed" => {}
                "ok" => {
                    assert_eq!(message["id"], self.number);
                    let seq = message["seq"].as_u64().unwrap();
                    self.acknowledged.push((seq, self.text()));
                    self.number += 1;
                }
                "error" => {
                    assert_eq!(message["code"], "unavailable", "{}: {message}", self.name);
                    sleep(Duration::from_millis(20)).await;
                }
                _ => continue,
            }
            let (text, id) = (self.text(), self.number);
            let key = format!("{}-{id}", self.name);
            let command = json!({"type": "send", "id": id, "key": key, "text": text});
            if client.send_json(&command).await.is_err() {
                return self;
            }
        }
    }
}

#[tokio::test]
async fn after_power_cuts_every_acknowledged_message_is_there_once_and_in_its_place() {
    let number =
        |name: &str, default| env::var(name).map_or(default, |value| value.parse::<u64>().unwrap());
    let (first, round) = (number("MADANG_SEED", 1), number("MADANG_ROUND_MS", 600));
    let mut server = Server::start_on_disk("");
    let token = fs::read_to_string(server.data().join("admin.token")).unwrap();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| Writer {
            name: format!("writer{writer}"),
            token: None,
            number: 0,
            acknowledged: Vec::new(),
        })
        .collect();
    let mut log: Vec<(u64, String)> = Vec::new();
    let mut epoch = Value::Null;
    let cuts = number("MADANG_CUTS", 12);
    for seed in first..first + 10 * cuts {
        // A slow disk takes little in a round.
        if seed >= first + cuts && acknowledged(&writers) > ENOUGH {
            break;
        }
        let mut rng = Rng::with_seed(seed);
        let writing: Vec<_> = writers
            .drain(..)
            .map(|writer| tokio::spawn(writer.write(server.host.clone())))
            .collect();
        let until = Instant::now() + Duration::from_millis(rng.u64(50..round));
        sleep(Duration::from_millis(rng.u64(20..50))).await;
        while seed % 3 == 0 && Instant::now() < until {
            fail_for_a_while(&server, &mut rng).await;
        }
        sleep(until.saturating_duration_since(Instant::now())).await;
        server.kill();
        server.disk().heal().unwrap();
        for writer in writing {
            writers.push(timeout(PATIENCE, writer).await.unwrap().unwrap());
        }
        // Now and then the server alone is killed: what a failed sync has dropped is still to be seen then, and
        // not on the disk.
        let power = rng.u8(..3) > 0;
        if power {
            server.disk.as_mut().unwrap().cut(seed).unwrap();
        }
        if power && rng.bool() {
            cut_while_it_starts(&mut server, &mut rng).await;
        }

        let report = store::check(&server.data().join("madang.db")).unwrap();
        assert!(report.is_sound(), "seed {seed}: {:?}", report.findings);
        server.restart();
        let (now, found) = whole_log(&server);
        // What was there before is there, unchanged, and the log is the same one.
        assert!(epoch.is_null() || epoch == now, "seed {seed}");
        assert!(
            found.len() >= log.len() && found[..log.len()] == log[..],
            "seed {seed}"
        );
        (epoch, log) = (now, found);
        let mut places = BTreeMap::new();
        for (index, (seq, text)) in log.iter().enumerate() {
            assert_eq!(*seq, index as u64 + 1, "seed {seed}: no hole");
            assert_eq!(places.insert(text, *seq), None, "seed {seed}: no double");
        }
        for (seq, text) in writers.iter().flat_map(|writer| &writer.acknowledged) {
            let what = text.split(' ').next().unwrap();
            assert_eq!(
                places.get(text),
                Some(seq),
                "seed {seed}: {what} was acknowledged"
            );
        }
        let kept = fs::read_to_string(server.data().join("admin.token")).unwrap();
        assert_eq!(kept, token, "seed {seed}");
    }
    let acknowledged = acknowledged(&writers);
    assert!(acknowledged > ENOUGH, "{acknowledged} acknowledged");
}

/// Syncs fail: of the log before the database file, of the file itself, or of all.
async fn fail_for_a_while(server: &Server, rng: &mut Rng) {
    let file = ["madang.db-wal", "madang.db", "*"][rng.usize(..3)];
    let fails = [(Call::Sync, file, Errno::Failed)];
    server.disk().fail(&fails).unwrap();
    sleep(Duration::from_millis(rng.u64(1..100))).await;
    // Every other time the power goes while it fails.
    if rng.bool() {
        server.disk().heal().unwrap();
        sleep(Duration::from_millis(rng.u64(1..1000))).await;
    }
}

/// The power goes again, while the server puts in order what the last cut has left.
async fn cut_while_it_starts(server: &mut Server, rng: &mut Rng) {
    let mut command = madang(&["--listen", "127.0.0.1:0", "--data"]);
    command.arg(server.data()).stdout(Stdio::null());
    let mut starting = server.disk().attach(&mut command).spawn().unwrap();
    sleep(Duration::from_millis(rng.u64(1..60))).await;
    starting.kill().unwrap();
    starting.wait().unwrap();
    server.disk.as_mut().unwrap().cut(rng.u64(..)).unwrap();
}

/// The room's epoch, and its whole log: numbers and texts.
fn whole_log(server: &Server) -> (Value, Vec<(u64, String)>) {
    let mut log: Vec<(u64, String)> = Vec::new();
    loop {
        let after = log.last().map_or(0, |(seq, _)| *seq);
        let path = format!("/api/rooms/lobby/messages?after={after}&limit=200");
        let (status, page) = server.http("GET", &path, "");
        if status == 404 {
            return (Value::Null, log);
        }
        for event in page["events"].as_array().unwrap() {
            let text = event["text"].as_str().unwrap().to_owned();
            log.push((event["seq"].as_u64().unwrap(), text));
        }
        if page["more"] == false {
            return (page["epoch"].clone(), log);
        }
    }
}
