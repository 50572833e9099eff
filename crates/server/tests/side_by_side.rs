//! The page `/side-by-side`, as strangers ask for it.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use common::{PATIENCE, Server};
use serde_json::Value;

const WAIT: &str = r#"{"task":"wait","poll_ms":1000,"connection":"kept"}"#;

/// Asks for a demonstration, and reads up to the first thing that it tells.
fn begin(server: &Server) -> BufReader<TcpStream> {
    let mut socket = server.socket();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request(WAIT).as_bytes()).unwrap();
    let mut answer = BufReader::new(socket);
    let mut line = String::new();
    while !line.starts_with('{') {
        line.clear();
        assert_ne!(answer.read_line(&mut line).unwrap(), 0);
    }
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&told["type"], &told["task"]),
        (&"plan".into(), &"wait".into())
    );
    answer
}

fn request(plan: &str) -> String {
    format!(
        "POST /side-by-side/run HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{plan}",
        plan.len()
    )
}

fn left_behind(server: &Server) -> usize {
    let folder = server.data().join("side-by-side");
    folder.read_dir().map_or(0, |folder| folder.count())
}

fn wait_until(what: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < until, "it did not come to be so");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_plan_that_cannot_be_is_refused_and_says_why() {
    let server = Server::start();
    for (plan, expected) in [
        (
            r#"{"task":"wait","poll_ms":1,"connection":"kept"}"#,
            "poll_ms",
        ),
        (
            r#"{"task":"all","poll_ms":500,"connection":"kept"}"#,
            "unknown variant",
        ),
        (
            r#"{"task":"wait","poll_ms":500,"connection":"kept","host":"example.com"}"#,
            "host",
        ),
        ("{", "EOF"),
    ] {
        let answer = server.raw(request(plan).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains("bad_field") && answer.contains(expected),
            "{answer}"
        );
    }
    let long = request(&" ".repeat(2_000));
    assert!(!server.raw(long.as_bytes()).starts_with("HTTP/1.1 200"));
}

#[test]
fn no_more_run_at_a_time_than_are_set_and_one_that_nobody_reads_ends() {
    let server = Server::start_with("[limits]\ndemonstrations = 1");
    let first = begin(&server);
    assert_eq!(left_behind(&server), 1);
    let answer = server.raw(request(WAIT).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert!(answer.contains(r#""code":"busy""#), "{answer}");
    drop(first);
    wait_until(|| left_behind(&server) == 0);
    // Its place is free as soon as nothing of it is left, or a moment later.
    wait_until(|| {
        let once = r#"{"task":"once","poll_ms":1000,"connection":"kept"}"#;
        server
            .raw(request(once).as_bytes())
            .contains(r#"{"type":"end"}"#)
    });
    let (status, rooms) = server.http("GET", "/api/rooms", "");
    assert_eq!((status, &rooms["rooms"]), (200, &Value::Array(Vec::new())));
}

#[test]
fn a_server_that_ends_or_is_killed_leaves_nothing_of_a_demonstration() {
    let mut server = Server::start();
    let mut running = begin(&server);
    server.ask_to_end();
    assert!(server.wait().success());
    let mut rest = Vec::new();
    // The connection ends, cleanly or not.
    let _ = running.read_to_end(&mut rest);
    assert_eq!(left_behind(&server), 0);

    server.restart();
    let _running = begin(&server);
    assert_eq!(left_behind(&server), 1);
    server.kill();
    server.restart();
    wait_until(|| left_behind(&server) == 0);
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_demonstration_opens_is_closed_again() {
    let server = Server::start();
    let opened = || {
        let opened = server.open_files();
        let of_it = opened.iter().filter(|path| path.contains("side-by-side"));
        of_it.count()
    };
    let running = begin(&server);
    assert_ne!(opened(), 0);
    drop(running);
    wait_until(|| opened() == 0);
}

#[test]
fn where_it_is_turned_off_there_is_no_such_page() {
    let server = Server::start_with("[limits]\ndemonstrations = 0");
    let get = "GET /side-by-side HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    assert!(server.raw(get.as_bytes()).starts_with("HTTP/1.1 404 "));
    let answer = server.raw(request(WAIT).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(!Path::new(&server.data().join("side-by-side")).exists());
}
