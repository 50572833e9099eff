//! Bad input of every kind: a clear answer, and nobody else is disturbed.

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use client::{Client, Incoming, Options};
use common::{PATIENCE, Server, Talker, frame};
use serde_json::{Value, json};

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A bystander, who must never notice anything.
async fn undisturbed(bystander: &mut Talker) {
    bystander.say(json!({"type": "ping", "id": "still"})).await;
    assert_eq!(
        bystander.next().await,
        json!({"type": "pong", "id": "still"})
    );
}

async fn bystander(server: &Server) -> Talker {
    server.guest("bystander").await
}

#[tokio::test]
async fn malformed_http_is_answered_or_hung_up_on() {
    let server = Server::start();
    let mut bystander = bystander(&server).await;
    for bytes in [
        &b"\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut socket = server.socket();
        socket.write_all(bytes).unwrap();
        // The server may have hung up already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let answer = hangs_up(&mut socket);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{bytes:?}: {answer}"
        );
    }
    // HTTP/2, and then nothing of the kind, or a frame (DATA) that has no stream.
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\0\0\x01\0\0\0\0\0\x07x",
    ] {
        let mut socket = server.socket();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        socket.write_all(&[preface, bytes].concat()).unwrap();
        assert!(!hangs_up(&mut socket).contains("HTTP/1.1"));
    }
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    assert!(server.raw(huge.as_bytes()).starts_with("HTTP/1.1 431"));
    undisturbed(&mut bystander).await;
}

#[tokio::test]
async fn a_request_head_that_never_ends_is_given_up() {
    let server = Server::start_with("[times]\nrequest_head_ms = 300");
    let mut socket = server.socket();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
    hangs_up(&mut socket);

    // So is a connection on which nothing is said at all, and a body that never comes.
    hangs_up(&mut server.socket());
    let mut socket = server.socket();
    let head = "POST /api/rooms/lobby/messages?name=A HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n";
    socket
        .write_all(format!("{head}Connection: close\r\n\r\nhalf").as_bytes())
        .unwrap();
    assert!(hangs_up(&mut socket).starts_with("HTTP/1.1 408"));
}

/// Reads until the server hangs up, which it must do before the test loses its patience.
fn hangs_up(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let end = socket.read_to_end(&mut answer);
    assert!(
        end.as_ref()
            .map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true),
        "{end:?}"
    );
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_bad_handshake_is_refused_with_its_status_and_json() {
    let server = Server::start();
    let ask = |line: &str, headers: &str| {
        server.raw(format!("{line}\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes())
    };
    let path = "GET /ws?name=A HTTP/1.1";
    for (answer, status) in [
        (ask(path, ""), "426"),
        (ask("POST /ws?name=A HTTP/1.1", UPGRADE), "405"),
        (ask(path, &UPGRADE.replace("13", "12")), "426"),
        (ask(path, &UPGRADE.replace("dGhl", "dGh")), "400"),
        (ask("GET /ws?name= HTTP/1.1", UPGRADE), "400"),
        (ask("GET /ws?name=%01 HTTP/1.1", UPGRADE), "400"),
        (
            ask(
                &format!("GET /ws?name={} HTTP/1.1", "x".repeat(41)),
                UPGRADE,
            ),
            "400",
        ),
        (ask("GET /ws/a%2Fb?name=A HTTP/1.1", UPGRADE), "400"),
        (ask("GET /ws/%FF?name=A HTTP/1.1", UPGRADE), "400"),
        (ask("GET /ws/lobby?name=A&since=x HTTP/1.1", UPGRADE), "400"),
        (ask("GET /ws HTTP/1.1", UPGRADE), "401"),
        (ask("GET /ws?token=wrong HTTP/1.1", UPGRADE), "401"),
        (
            ask(path, &format!("{UPGRADE}Authorization: Basic eDp5\r\n")),
            "401",
        ),
        (
            ask(
                path,
                &format!("{UPGRADE}Origin: http://evil.example\r\nCookie: a=b\r\n"),
            ),
            "403",
        ),
    ] {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["type"], "error", "{answer}");
        assert!(body["message"].as_str().unwrap().len() > 10, "{answer}");
    }
    let (_, rooms) = server.http("GET", "/api/rooms", "");
    assert_eq!(rooms["rooms"], json!([]), "nothing was stored by half");
    let (_, sessions) = server.http_as_admin("GET", "/api/sessions");
    assert_eq!(sessions["sessions"], json!([]));
}

#[tokio::test]
async fn a_page_of_another_site_may_come_in_without_a_cookie_or_where_it_is_allowed() {
    let server = Server::start_with("[access]\norigins = [\"https://good.example\"]");
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: https://good.example\r\nCookie: a=b\r\n",
        "Origin: http://HOST\r\nCookie: a=b\r\n",
    ] {
        let headers = headers.replace("HOST", &server.host);
        let mut socket = server.socket();
        let request = format!(
            "GET /ws?name=A HTTP/1.1\r\nHost: {}\r\n{UPGRADE}{headers}\r\n",
            server.host
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "{headers}");
    }
}

#[tokio::test]
async fn guests_stay_outside_where_the_setting_forbids_them() {
    let server = Server::start_with("[access]\nguests = false");
    let request =
        format!("GET /ws?name=A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{UPGRADE}\r\n");
    assert!(server.raw(request.as_bytes()).starts_with("HTTP/1.1 401"));
    assert_eq!(server.http("GET", "/api/rooms", "").0, 401);
    assert_eq!(server.http_as_admin("GET", "/api/rooms").0, 200);
}

#[tokio::test]
async fn one_session_too_many_is_refused_with_503_and_told_when_to_come_back() {
    let server = Server::start_with("[limits]\nsessions = 2");
    let first = server.guest("A").await;
    let _second = server.guest("B").await;
    let request =
        format!("GET /ws?name=C HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{UPGRADE}\r\n");
    let answer = server.raw(request.as_bytes()).to_lowercase();
    assert!(
        answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: "),
        "{answer}"
    );
    first
        .0
        .close(client::Close::new(client::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    // The place is free when the first session's end is stored, and it is gone.
    let begin = Instant::now();
    let url = format!("ws://{}/ws?name=C", server.host);
    while Client::connect(&url, Options::default()).await.is_err() {
        assert!(begin.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn behind_a_proxy_the_bound_for_an_address_and_the_register_go_by_the_client() {
    let server = Server::start_with(
        "[limits]\nsessions_per_address = 1\n[proxy]\ntrusted = [\"127.0.0.1\"]\nheader = \"forwarded\"",
    );
    let mut open = Vec::new();
    for (client, expected) in [
        ("203.0.113.7", "101"),
        ("203.0.113.8", "101"),
        ("6.6.6.6, for=203.0.113.7", "503"),
        // The cookie's page is of the host that the client knows; the proxy asks another.
        ("203.0.113.9;host=madang.example", "101"),
    ] {
        let mut socket = server.socket();
        let headers =
            format!("{UPGRADE}Forwarded: for={client}\r\nOrigin: http://madang.example\r\n");
        let cookie = if client.contains("host") {
            "Cookie: a=b\r\n"
        } else {
            ""
        };
        let request = format!("GET /ws?name=A HTTP/1.1\r\nHost: x\r\n{headers}{cookie}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(
            answer,
            *format!("HTTP/1.1 {expected}").as_bytes(),
            "{client}"
        );
        open.push(socket);
    }
    let addresses = || {
        let (_, open) = server.http_as_admin("GET", "/api/sessions?state=open");
        let sessions = open["sessions"].as_array().cloned().unwrap_or_default();
        let mut addresses: Vec<_> = sessions
            .iter()
            .map(|row| row["address"].to_string())
            .collect();
        addresses.sort();
        addresses.join(" ")
    };
    let begin = Instant::now();
    while addresses() != r#""203.0.113.7" "203.0.113.8" "203.0.113.9""# {
        assert!(begin.elapsed() < PATIENCE, "{}", addresses());
    }
}

#[tokio::test]
async fn broken_frames_close_that_session_with_the_codes_of_the_rfc() {
    let server = Server::start();
    let mut bystander = bystander(&server).await;
    for (bytes, code) in [
        (&b"\x81\x02hi"[..], 1002),                      // not masked
        (b"\xc1\x80\0\0\0\0", 1002),                     // RSV1 without an extension
        (b"\x83\x80\0\0\0\0", 1002),                     // a reserved opcode
        (b"\x80\x80\0\0\0\0", 1002),                     // a continuation of nothing
        (b"\x09\x80\0\0\0\0", 1002),                     // a fragmented ping
        (b"\x89\xfe\0\x7e\0\0\0\0", 1002),               // a ping of 126 bytes
        (b"\x81\xfe\0\x01\0\0\0\0x", 1002),              // a length that is not the shortest
        (b"\x88\x81\0\0\0\0x", 1002),                    // a close code of one byte
        (b"\x81\x81\0\0\0\0\xff", 1007),                 // not UTF-8
        (b"\x81\xff\0\0\0\0\0\x01\0\x01\0\0\0\0", 1009), // 65,537 bytes
        (b"\x82\x80\0\0\0\0", 1003),                     // binary
    ] {
        let mut socket = server.socket();
        let request = format!("GET /ws?name=A HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        socket.write_all(bytes).unwrap();
        // What a client does that has been closed on: it answers, and the server hangs up.
        socket.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let close = answer
            .iter()
            .rposition(|byte| *byte == 0x88)
            .expect("no close frame");
        let told = u16::from_be_bytes([answer[close + 2], answer[close + 3]]);
        assert_eq!(told, code, "{bytes:?}");
    }
    undisturbed(&mut bystander).await;
}

#[tokio::test]
async fn a_message_at_the_limit_is_taken_and_one_over_it_is_not() {
    let server = Server::start_with("[limits]\nmessage_bytes = 1000");
    let mut talker = server.guest_in("lobby", "A").await;
    let frame = json!({"type": "send", "id": 1, "room": "lobby", "text": ""}).to_string();
    let longest = |more: usize| {
        let text = "x".repeat(1000 - frame.len() + more);
        json!({"type": "send", "id": 1, "room": "lobby", "text": text})
    };
    assert_eq!(longest(0).to_string().len(), 1000);
    talker.ok(longest(0)).await;
    talker.say(longest(1)).await;
    assert_eq!(talker.closed().await.0, 1009);
    let (status, body) = server.http(
        "POST",
        "/api/rooms/lobby/messages?name=A",
        &"x".repeat(1001),
    );
    assert_eq!(
        (status, &body["code"], &body["limit"]),
        (413, &json!("too_long"), &json!(1000))
    );
}

#[tokio::test]
async fn rest_says_what_is_wrong_by_name() {
    let server = Server::start();
    let mut talker = server.guest_in("lobby", "A").await;
    let post = |path: &str, body: &str| {
        let (status, answer) = server.http("POST", path, body);
        (
            status,
            answer["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let messages = "/api/rooms/lobby/messages";
    for (path, body, status, code) in [
        ("/api/rooms/lobby/messages?name=A", "{", 400, "bad_json"),
        ("/api/rooms/lobby/messages?name=A", "{}", 400, "bad_field"),
        (
            "/api/rooms/lobby/messages?name=A",
            r#"{"text":1}"#,
            400,
            "bad_field",
        ),
        (
            "/api/rooms/nowhere/messages?name=A",
            r#"{"text":"x"}"#,
            404,
            "no_such_room",
        ),
        (
            "/api/rooms/lo%20bby/messages?name=A",
            r#"{"text":"x"}"#,
            400,
            "bad_field",
        ),
        (messages, r#"{"text":"x"}"#, 401, "unauthorized"),
        (
            "/api/rooms/lobby/messages?token=x",
            r#"{"text":"x"}"#,
            401,
            "unauthorized",
        ),
        ("/api/nothing", "", 404, "unknown_type"),
        ("/api/rooms", "", 405, "unknown_type"),
    ] {
        assert_eq!(post(path, body), (status, code.to_owned()), "{path} {body}");
    }
    for (path, status) in [
        ("/api/sessions", 401),
        ("/api/rooms?limit=0", 400),
        ("/api/rooms/lobby/messages?limit=201", 400),
        ("/api/rooms/lobby/messages?before=1&after=1", 400),
        ("/api/rooms/lobby/messages?before=x", 400),
    ] {
        assert_eq!(server.http("GET", path, "").0, status, "{path}");
    }
    assert_eq!(
        server.http_as_admin("GET", "/api/sessions?state=asleep").0,
        400
    );
    // And what is right is stored and delivered.
    let (status, stored) = server.http(
        "POST",
        "/api/rooms/lobby/messages?name=%EB%B4%87",
        r#"{"text":"빌드 끝"}"#,
    );
    assert_eq!((status, &stored["seq"]), (201, &json!(1)));
    let event = talker.next_of("message").await;
    assert_eq!(
        (&event["text"], &event["from"]["name"]),
        (&json!("빌드 끝"), &json!("봇"))
    );
}

#[tokio::test]
async fn a_session_that_never_reads_its_replies_is_closed_and_costs_a_bounded_amount() {
    let server = Server::start_with("[limits]\noutgoing_bytes = 200000");
    let mut talker = server.guest_in("lobby", "A").await;
    let long = "x".repeat(60_000);
    for number in 0..10 {
        talker
            .ok(json!({"type": "send", "id": number, "room": "lobby", "text": long}))
            .await;
    }
    for number in 0..32 {
        talker
            .say(json!({"type": "history", "id": number, "room": "lobby"}))
            .await;
    }
    loop {
        if let Incoming::Closed(close) = talker.hear().await {
            assert_eq!(close.code.get(), 1013);
            let reason: Value = serde_json::from_str(&close.reason).unwrap();
            assert_eq!(reason["message"], "what is sent here is not being read");
            let wait = reason["retry_after_ms"].as_u64().unwrap();
            return assert!((5_000..10_000).contains(&wait), "{reason}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_understood_behind_a_close_is_not_read_for_ever() {
    let server = Server::start();
    let mut bystander = bystander(&server).await;
    for _ in 0..4 {
        let mut socket = server.socket();
        let request = format!("GET /ws?name=A HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        // Binary, which the server closes on; and behind it, in the same packet, no WebSocket at all.
        socket
            .write_all(b"\x82\x80\0\0\0\0\x82\0\x82\0what?")
            .unwrap();
        // The server may have hung up already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        hangs_up(&mut socket);
    }
    undisturbed(&mut bystander).await;
}

#[tokio::test]
async fn readers_who_do_not_read_keep_nobody_from_the_database() {
    let server = Server::start_with("[limits]\nring_events = 1");
    let mut writer = server.guest("writer").await;
    let long = "x".repeat(60_000);
    for room in 0..6 {
        let room = format!("room{room}");
        writer
            .ok(json!({"type": "subscribe", "id": 1, "room": room}))
            .await;
        for number in 0..40 {
            let send = json!({"type": "send", "id": number, "room": room, "text": long});
            writer.ok(send).await;
        }
    }
    let mut sleepers = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut socket = server.socket();
        let request = format!("GET /ws?name={name} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        for room in 0..6 {
            let room = format!("room{room}");
            let subscribe = json!({"type": "subscribe", "room": room, "since": 0});
            socket.write_all(&frame(&subscribe.to_string())).unwrap();
        }
        sleepers.push(socket);
    }
    for _ in 0..20 {
        // They live, they just do not read.
        for socket in &mut sleepers {
            socket.write_all(b"\x89\x80\0\0\0\0").unwrap();
        }
        assert_eq!(server.http("GET", "/api/rooms/room0/messages", "").0, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let history = json!({"type": "history", "id": "h", "room": "room1", "limit": 1});
    writer.ok(history).await;
}
