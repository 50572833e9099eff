//! Many come back at one time, and many are sent away.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use client::{Client, Options};
use common::{PATIENCE, Server, Talker};
use futures_util::future::join_all;
use serde_json::{Value, json};

const CLIENTS: usize = 300;
const MESSAGES: u64 = 60;

/// One of the clients: where it is in the log, and how it comes back.
struct Member {
    talker: Talker,
    token: String,
    seq: u64,
}

impl Member {
    /// Hears up to event `to`, each one number above the one before.
    async fn hear_to(&mut self, to: u64) {
        while self.seq < to {
            let event = self.talker.next_of("message").await;
            assert_eq!(event["seq"], self.seq + 1);
            self.seq += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_come_back_after_a_kill_are_let_in_and_go_on_where_they_were() {
    let mut server = Server::start_with("[limits]\nopenings_per_second = 300\nring_events = 8");
    let join = |number| {
        let server = &server;
        async move {
            let mut talker = server.connect(&format!("/ws/lobby?name=m{number}")).await;
            let token = talker.next().await["token"].as_str().unwrap().to_owned();
            talker.next_of("subscribed").await;
            Member {
                talker,
                token,
                seq: 0,
            }
        }
    };
    let mut members = join_all((0..CLIENTS).map(join)).await;
    let send = |number: u64| json!({"type": "send", "id": number, "room": "lobby", "text": "안녕"});
    let mut writer = server.guest("writer").await;
    for number in 1..=MESSAGES {
        writer.ok(send(number)).await;
    }
    // When the server is killed each has had another part of the log.
    let parts = members
        .iter_mut()
        .enumerate()
        .map(|(index, member)| member.hear_to(index as u64 % MESSAGES));
    join_all(parts).await;
    server.kill();
    server.restart();

    let host = server.host.clone();
    let began = Instant::now();
    let back = members.into_iter().map(|member| {
        let host = host.clone();
        tokio::spawn(async move {
            let Member { token, seq, .. } = member;
            let url = format!("ws://{host}/ws/lobby?token={token}&since={seq}");
            let mut talker = Talker(Client::connect(&url, Options::default()).await.unwrap());
            let subscribed = talker.next_of("subscribed").await;
            assert_eq!(
                (&subscribed["next"], &subscribed["gap"]),
                (&json!(seq + 1), &Value::Null)
            );
            let mut member = Member { talker, token, seq };
            member.hear_to(MESSAGES).await;
            member
        })
    });
    let mut members: Vec<_> = join_all(back)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    // 300 in all, 15 of them at once.
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "not all at one time"
    );
    let mut writer = server.guest("writer").await;
    writer.ok(send(1)).await;
    join_all(
        members
            .iter_mut()
            .map(|member| member.hear_to(MESSAGES + 1)),
    )
    .await;
}

#[test]
fn who_would_wait_for_too_long_is_told_when_to_come() {
    let server =
        Server::start_with("[limits]\nopenings_per_second = 1\n[times]\nopening_wait_ms = 0");
    let request = format!(
        "GET /ws?name=A HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.host
    );
    let mut refused = Vec::new();
    // Each answer ends the connection only where it is a refusal.
    while refused.len() < 8 {
        let mut socket = server.socket();
        std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let count = std::io::Read::read(&mut socket, &mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("\"unavailable\""), "{answer}");
            let header = answer
                .lines()
                .find_map(|line| line.strip_prefix("retry-after: "));
            refused.push(header.unwrap().parse::<u64>().unwrap());
        } else {
            assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        }
    }
    assert!(
        refused.iter().all(|after| (5..=10).contains(after)),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_sends_its_sessions_away_one_after_the_other() {
    let mut server = Server::start_with("[limits]\nclosings_per_second = 20");
    let mut talkers = Vec::new();
    for number in 0..12 {
        talkers.push(server.guest_in("lobby", &format!("m{number}")).await);
    }
    let closed = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    server.ask_to_end();
    let waits = talkers.into_iter().enumerate().map(|(number, mut talker)| {
        let closed = closed.clone();
        tokio::spawn(async move {
            // Whoever is not closed yet goes on talking.
            let send = json!({"type": "send", "id": number, "room": "lobby", "text": "x"});
            let _ = talker.0.send_json(&send).await;
            let (code, reason) = talker.closed().await;
            assert_eq!(code, 1012);
            assert_eq!(reason, r#"{"retry_after_ms":5000}"#);
            closed.fetch_add(1, Ordering::Relaxed);
            began.elapsed()
        })
    });
    let waits = join_all(waits).await.into_iter().map(Result::unwrap);
    // One every 50 ms.
    assert!(waits.max().unwrap() >= Duration::from_millis(400));
    assert_eq!(closed.load(Ordering::Relaxed), 12);
    assert!(server.wait().success());
    server.restart();
    let (_, sessions) = server.http_as_admin("GET", "/api/sessions");
    for session in sessions["sessions"].as_array().unwrap() {
        assert_eq!(session["close_code"], 1012, "{session}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::start_with("[limits]\nclosings_per_second = 1");
    let mut talkers = Vec::new();
    for number in 0..100 {
        talkers.push(server.guest(&format!("m{number}")).await);
    }
    server.ask_to_end();
    let first = talkers.into_iter().map(|mut talker| {
        Box::pin(async move {
            loop {
                if let client::Incoming::Closed(close) = talker.hear().await {
                    return (close.code.get(), talker);
                }
            }
        })
    });
    let ((code, _talker), _, others) = futures_util::future::select_all(first).await;
    assert_eq!(code, 1012);
    // A second later the first is written down.
    let ((code, _another), _, others) = futures_util::future::select_all(others).await;
    assert_eq!(code, 1012);
    // The other 98 would take as many seconds.
    server.ask_to_end();
    let began = Instant::now();
    assert!(server.wait().success());
    assert!(began.elapsed() < PATIENCE);
    drop(others);
    server.restart();
    let (_, sessions) = server.http_as_admin("GET", "/api/sessions?limit=1000");
    let mut ends = [0, 0];
    for session in sessions["sessions"].as_array().unwrap() {
        assert_eq!(session["state"], "closed");
        match session["close_code"].as_u64() {
            Some(1012) => ends[0] += 1,
            Some(1006) => {
                let reason = "the server stopped without closing this session";
                assert_eq!(session["close_reason"], reason);
                ends[1] += 1;
            }
            _ => assert_eq!(session["close_code"], 1012, "{session}"),
        }
    }
    assert!(ends[0] >= 1 && ends[1] >= 50, "{ends:?}");
}
