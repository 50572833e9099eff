//! The register of sessions: what an operator can ask it, and what it says of every end.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use client::{Close, CloseCode, Incoming};
use common::{PATIENCE, Server, Talker, frame};
use serde_json::{Value, json};

/// The ids of the sessions that are listed for a query.
fn listed(server: &Server, query: &str) -> Vec<String> {
    let (status, page) = server.http_as_admin("GET", &format!("/api/sessions?{query}"));
    assert_eq!(status, 200, "{page}");
    let sessions = page["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| session["session"].as_str().unwrap().to_owned())
        .collect()
}

/// The row of a session, once it is closed.
async fn closed(server: &Server, session: &str) -> Value {
    let since = Instant::now();
    loop {
        let (status, row) = server.http_as_admin("GET", &format!("/api/sessions/{session}"));
        assert_eq!(status, 200, "{row}");
        if row["state"] == "closed" {
            return row;
        }
        assert!(since.elapsed() < PATIENCE, "{row}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Connects at `path`, and tells the session's id and its user's.
async fn connect(server: &Server, path: &str) -> (Talker, String, String) {
    let mut talker = server.connect(path).await;
    let hello = talker.next().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (session, user) = (text(&hello["session"]), text(&hello["user"]["id"]));
    if path.starts_with("/ws/") {
        talker.next_of("subscribed").await;
    }
    (talker, session, user)
}

#[tokio::test]
async fn sessions_are_found_by_user_room_state_address_and_time() {
    let server = Server::start();
    let (first, one, user) = connect(&server, "/ws/%EB%A7%88%EB%8B%B9?name=kang").await;
    let (_second, two, _) = connect(&server, "/ws/lobby?name=shin").await;
    let (_third, three, _) = connect(&server, "/ws?name=yoo").await;
    let close = Close::new(CloseCode::NORMAL, "bye");
    first.0.close(close).await.unwrap();
    let row = closed(&server, &one).await;
    let all = [three.clone(), two.clone(), one.clone()];
    let at = |session: &str| {
        let (_, row) = server.http_as_admin("GET", &format!("/api/sessions/{session}"));
        row["connected_at"].as_str().unwrap().to_owned()
    };

    assert_eq!(listed(&server, ""), all);
    assert_eq!(listed(&server, &format!("user={user}")), all[2..]);
    assert_eq!(listed(&server, "room=lobby"), all[1..2]);
    assert_eq!(listed(&server, "room=%EB%A7%88%EB%8B%B9"), all[2..]);
    assert_eq!(
        listed(&server, "room=%EB%A7%88%EB%8B%B9&state=open").len(),
        0
    );
    assert_eq!(listed(&server, "state=open"), all[..2]);
    assert_eq!(listed(&server, "state=closed"), all[2..]);
    assert_eq!(listed(&server, "address=127.0.0.1"), all);
    assert_eq!(listed(&server, "address=::1").len(), 0);
    // The session of that very moment is in `from` and not in `to`.
    assert_eq!(listed(&server, &format!("from={}", at(&three)))[0], three);
    assert!(!listed(&server, &format!("to={}", at(&one))).contains(&one));
    assert_eq!(listed(&server, "to=2020-01-01T00:00:00Z").len(), 0);
    assert_eq!(
        listed(
            &server,
            "from=2020-01-01T00:00:00%2B09:00&address=127.0.0.1&state=closed&room=%EB%A7%88%EB%8B%B9"
        ),
        all[2..]
    );

    let (_, page) = server.http_as_admin("GET", "/api/sessions?limit=2");
    assert_eq!(page["more"], true);
    assert_eq!(page["sessions"][1]["session"], *two);
    let (_, page) = server.http_as_admin("GET", &format!("/api/sessions?limit=2&before={two}"));
    assert_eq!(
        (&page["more"], &page["sessions"]),
        (&json!(false), &json!([row]))
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let server = Server::start();
    let nobody = "00000000000000000000000000";
    for (method, path, status, field) in [
        ("GET", "/api/sessions?state=asleep", 400, "state"),
        ("GET", "/api/sessions?address=localhost", 400, "address"),
        ("GET", "/api/sessions?from=yesterday", 400, "from"),
        ("GET", "/api/sessions?to=2026-11-22", 400, "to"),
        ("GET", "/api/sessions?before=x", 400, "before"),
        ("GET", "/api/sessions/1", 400, "session"),
        ("GET", "/api/sessions/%FF", 400, "id"),
        ("GET", &format!("/api/sessions/{nobody}"), 404, ""),
        ("DELETE", "/api/sessions/1", 400, "session"),
        ("DELETE", &format!("/api/sessions/{nobody}"), 404, ""),
        (
            "DELETE",
            &format!("/api/sessions/{nobody}?reason={}", "x".repeat(124)),
            400,
            "reason",
        ),
        ("GET", "/api/users/u_nobody", 404, ""),
        ("GET", "/api/users/%20", 400, "user"),
    ] {
        let (answer, error) = server.http_as_admin(method, path);
        assert_eq!(answer, status, "{method} {path} {error}");
        assert_eq!(error["type"], "error");
        assert_eq!(
            error["field"].as_str().unwrap_or_default(),
            field,
            "{error}"
        );
        // Without the token nothing is told at all.
        assert_eq!(
            server.http(method, path, "").0,
            if field == "id" { 400 } else { 401 }
        );
    }
    let (status, error) =
        server.http_as_admin_with("DELETE", &format!("/api/sessions/{nobody}"), "reason: spam");
    assert_eq!((status, &error["code"]), (400, &json!("bad_json")));
    let (_, document) = server.http("GET", "/api/openapi.json", "");
    for (path, method) in [
        ("/api/sessions/{session}", "get"),
        ("/api/sessions/{session}", "delete"),
        ("/api/users/{user}", "get"),
    ] {
        assert!(
            document["paths"][path][method].is_object(),
            "{method} {path}"
        );
    }
}

// The client answers while the request waits.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_closes_a_session_with_a_reason() {
    let server = Server::start();
    let (mut watcher, ..) = connect(&server, "/ws/lobby?name=watcher").await;
    for (path, body, reason) in [
        ("?reason=%EB%8F%84%EB%B0%B0", "", "도배"),
        ("", r#"{"reason":"spam"}"#, "spam"),
        ("", "", "closed by an administrator"),
    ] {
        let (mut talker, session, user) = connect(&server, "/ws/lobby?name=kang").await;
        let hears = tokio::spawn(async move { talker.closed().await });
        let address = format!("/api/sessions/{session}");
        let (status, row) = server.http_as_admin_with("DELETE", &format!("{address}{path}"), body);
        assert_eq!(status, 200, "{row}");
        assert_eq!(hears.await.unwrap(), (4003, reason.to_owned()));
        assert_eq!(
            (&row["state"], &row["close_code"], &row["close_reason"]),
            (&json!("closed"), &json!(4003), &json!(reason))
        );
        assert_eq!(row["rooms"], json!(["lobby"]));
        watcher
            .next_where(|message| message["left"][0]["id"] == *user)
            .await;
        let (status, error) = server.http_as_admin("DELETE", &address);
        assert_eq!((status, &error["code"]), (409, &json!("conflict")));
        assert!(
            error["message"].as_str().unwrap().contains(reason),
            "{error}"
        );
    }
}

#[tokio::test]
async fn one_who_does_not_answer_is_closed_and_gone_all_the_same() {
    let server = Server::start_with("[times]\nclose_ms = 100\npresence_grace_ms = 3600000");
    let (mut watcher, ..) = connect(&server, "/ws/lobby?name=watcher").await;
    // Never polled again, it answers nothing.
    let (_silent, session, user) = connect(&server, "/ws/lobby?name=silent").await;
    // Where the disk is slow, the answer does not wait until it is written down.
    let (status, _) = server.http_as_admin("DELETE", &format!("/api/sessions/{session}"));
    assert!(matches!(status, 200 | 202), "{status}");
    assert_eq!(closed(&server, &session).await["close_code"], 4003);
    watcher
        .next_where(|message| message["left"][0]["id"] == *user)
        .await;
}

#[tokio::test]
async fn a_user_is_online_or_was_last_seen() {
    let server = Server::start();
    let (talker, session, user) = connect(&server, "/ws/lobby?name=%EA%B0%95").await;
    let path = format!("/api/users/{user}");
    let (status, seen) = server.http_as_admin("GET", &path);
    assert_eq!(
        (
            status,
            &seen["id"],
            &seen["name"],
            &seen["guest"],
            &seen["online"]
        ),
        (200, &json!(user), &json!("강"), &json!(true), &json!(true))
    );
    drop(talker);
    let row = closed(&server, &session).await;
    let (_, seen) = server.http_as_admin("GET", &path);
    assert_eq!(
        (&seen["online"], &seen["sessions"], &seen["last_seen_at"]),
        (&json!(false), &json!(0), &row["closed_at"])
    );
}

/// A session of which the test has the socket itself, and its id.
fn bare(server: &Server) -> (TcpStream, String) {
    let mut socket = server.socket();
    let request = format!(
        "GET /ws?name=A HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.host
    );
    socket.write_all(request.as_bytes()).unwrap();
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut piece).unwrap();
        assert!(count > 0, "no hello");
        heard.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&heard);
        if let Some((_, rest)) = text.split_once("\"session\":\"") {
            let session = rest[..26].to_owned();
            return (socket, session);
        }
    }
}

#[tokio::test]
async fn every_end_is_in_the_register_with_its_code_and_reason() {
    let server = Server::start_with("[times]\nclose_ms = 200\n[limits]\nmessage_bytes = 1000");
    // What the client does, and what the register says of it.
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    for (sent, code, reason) in [
        (masked(0x88, b"\x03\xe8"), 1000, ""),
        (
            masked(0x88, b"\x03\xe9the page ended"),
            1001,
            "the page ended",
        ),
        (masked(0x88, b""), 1005, ""),
        (masked(0x88, b"\x10\x68mine"), 4200, "mine"),
        (masked(0x82, b"binary"), 1003, "commands are JSON"),
        (vec![0x83, 0x80], 1002, "opcode"),
        (masked(0x81, b"\xff"), 1007, "UTF-8"),
        (frame(&"x".repeat(1001)), 1009, "1000"),
    ] {
        let (mut socket, session) = bare(&server);
        socket.write_all(&sent).unwrap();
        let row = closed(&server, &session).await;
        assert_eq!(row["close_code"], code, "{row}");
        assert!(
            row["close_reason"].as_str().unwrap().contains(reason),
            "{row}"
        );
    }
    // Gone without a word.
    let (socket, session) = bare(&server);
    drop(socket);
    let row = closed(&server, &session).await;
    assert_eq!(
        (&row["close_code"], &row["close_reason"]),
        (&json!(1006), &json!("the connection was lost"))
    );
    // There, and silent: pings are not answered.
    let server = Server::start_with("[times]\nheartbeat_ms = 200");
    let (_socket, session) = bare(&server);
    let row = closed(&server, &session).await;
    assert_eq!(
        (&row["close_code"], &row["close_reason"]),
        (&json!(4008), &json!("silent for two heartbeats"))
    );
}

#[tokio::test]
async fn a_heartbeat_writes_nothing() {
    let server = Server::start_with("[times]\nheartbeat_ms = 1000");
    let mut talker = server.guest_in("lobby", "A").await;
    talker.next_of("presence").await;
    let log = server.data().join("madang.db-wal");
    let before = fs::read(&log).unwrap();
    let until = Instant::now() + Duration::from_secs(4);
    // Whoever is silent for two heartbeats is closed, so to be here is to have answered pings.
    while let Ok(heard) = tokio::time::timeout_at(until.into(), talker.0.next()).await {
        assert!(matches!(heard, Some(Ok(Incoming::Text(_)))), "{heard:?}");
    }
    assert!(
        fs::read(&log).unwrap() == before,
        "the journal wrote while nothing happened"
    );
    talker
        .ok(json!({"type": "send", "id": 1, "room": "lobby", "text": "x"}))
        .await;
    assert!(
        fs::read(&log).unwrap() != before,
        "this is where it would show"
    );
}
