//! From listening to a graceful end.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, http::HeaderMap, routing::get};
use madang::{CloseCode, Mount, Server, TrustedProxies};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};
use tokio_tungstenite::{connect_async, tungstenite::Error};

use crate::running::{Echo, Running, at, closed, echoes, read};

#[tokio::test]
async fn endpoints_and_pages_are_side_by_side_on_one_port() {
    let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    let pages = Router::new()
        .route("/who", get(who))
        .fallback(|| async { "nothing here" });
    let server = Running::start(|server| {
        server
            .mount(Mount::new(Echo::default()).at("/a").at("/b/{room}"))
            .router(pages)
    })
    .await;
    for path in ["/echo", "/a", "/b/yard"] {
        let url = format!("ws://{}{path}", server.address);
        echoes(&mut connect_async(url).await.unwrap().0).await;
    }
    assert!(server.get("/who").await.ends_with("\r\n\r\n127.0.0.1"));
    assert!(server.get("/none").await.ends_with("nothing here"));
    let refused = server.get("/echo").await;
    assert!(refused.starts_with("HTTP/1.1 426 "), "{refused}");
}

#[tokio::test]
async fn the_end_closes_the_sessions_of_every_endpoint_and_waits_for_their_on_close() {
    let other = Arc::new(Echo::default());
    let mut server = Running::start(|server| {
        server
            .mount(at("/other", &other))
            .close_with(CloseCode::RESTART, "later")
    })
    .await;
    let mut first = server.connect("").await;
    let url = format!("ws://{}/other", server.address);
    let (mut second, _) = connect_async(url).await.unwrap();
    echoes(&mut first).await;
    echoes(&mut second).await;
    server.begin_to_end();
    let (first, second) = tokio::join!(closed(first), closed(second));
    assert_eq!(first, (1012, "later".to_owned()));
    assert_eq!(second, first);
    let endpoint = server.endpoint.clone();
    server.ended().await;
    assert!(endpoint.in_close.load(Ordering::SeqCst));
    assert!(other.in_close.load(Ordering::SeqCst));
}

#[tokio::test]
async fn sessions_are_told_that_the_server_goes_away_where_nothing_else_is_set() {
    let mut server = Running::start(|server| server).await;
    let mut socket = server.connect("").await;
    echoes(&mut socket).await;
    server.begin_to_end();
    assert_eq!(closed(socket).await.0, 1001);
    server.ended().await;
}

#[tokio::test]
async fn requests_at_work_are_answered_and_nothing_more_is_accepted() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        move || async move {
            begun.notify_one();
            go_on.notified().await;
            "done"
        }
    };
    let mut server =
        Running::start(|server| server.router(Router::new().route("/slow", get(slow)))).await;
    let request = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut socket = server.send(request).await;
    begun.notified().await;
    server.begin_to_end();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    assert!(read(&mut socket).await.ends_with("done"));
    server.ended().await;
}

#[tokio::test]
async fn a_session_that_a_request_would_open_during_the_end_is_refused() {
    let mut server = Running::start(|server| server).await;
    let url = format!("ws://{}/echo?wait", server.address);
    let late = tokio::spawn(connect_async(url));
    server.endpoint.in_handshake.notified().await;
    server.begin_to_end();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.endpoint.go_on.notify_one();
    match late.await.unwrap() {
        Err(Error::Http(refused)) => assert_eq!(refused.status(), 503),
        other => panic!("not refused: {other:?}"),
    }
    server.ended().await;
}

#[tokio::test]
async fn connections_that_have_said_nothing_do_not_keep_the_server() {
    let mut server = Running::start(|server| {
        let hour = Duration::from_secs(3_600);
        server.request_head_timeout(hour).patience(hour)
    })
    .await;
    let mut silent = server.send("").await;
    let mut half = server.send("GET / HTTP/1.1\r\n").await;
    // Behind both of them, so that they are accepted.
    echoes(&mut server.connect("").await).await;
    server.begin_to_end();
    assert_eq!(read(&mut silent).await, "");
    drop(half.shutdown().await);
    server.ended().await;
}

#[tokio::test]
async fn the_server_waits_no_longer_than_its_patience() {
    let mut server = Running::start(|server| server.patience(Duration::from_millis(50))).await;
    let mut socket = server.connect("?never").await;
    echoes(&mut socket).await;
    server.begin_to_end();
    server.ended().await;
}

#[tokio::test]
async fn one_connection_more_than_there_is_room_for_is_closed_at_once() {
    let server = Running::start(|server| server.max_connections(2)).await;
    let mut session = server.connect("").await;
    echoes(&mut session).await;
    // The session keeps its place, though HTTP has let go of its connection.
    let mut http = server.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut head = [0; 12];
    http.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 426");
    for _ in 0..3 {
        assert_eq!(read(&mut server.send("").await).await, "");
    }
    echoes(&mut session).await;

    drop(session);
    let answer = loop {
        // Until the server has seen that it is gone.
        let answer = server.get("/echo").await;
        if !answer.is_empty() {
            break answer;
        }
    };
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    drop(http);
}

#[tokio::test]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let timeout = Duration::from_millis(200);
    let server = Running::start(|server| server.request_head_timeout(timeout)).await;
    assert_eq!(read(&mut server.send("").await).await, "");
    let half = read(&mut server.send("GET /echo HTTP/1.1\r\nHost: ").await).await;
    assert!(!half.contains("426"), "{half}");
    // A session is no request any more.
    let mut session = server.connect("").await;
    tokio::time::sleep(3 * timeout).await;
    echoes(&mut session).await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_whom_it_names() {
    let who = |ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap| async move {
        let host = headers["host"].to_str().unwrap().to_owned();
        format!("{peer} {host}")
    };
    let request = "GET /who HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\
                   X-Forwarded-For: 6.6.6.6, 203.0.113.7:5\r\nX-Forwarded-Host: madang.example\r\n";
    let upgrade = request.replace("/who", "/echo").replace("close", "Upgrade")
        + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (trusted, expected, peer) in [
        ("127.0.0.0/8", "203.0.113.7:5 madang.example", "203.0.113.7"),
        ("10.0.0.0/8", "", "127.0.0.1"),
    ] {
        let server = Running::start(|server| {
            server
                .router(Router::new().route("/who", get(who)))
                .trusted_proxies(TrustedProxies::new([trusted]).unwrap())
        })
        .await;
        let answer = read(&mut server.send(&format!("{request}\r\n")).await).await;
        let seen = answer.split("\r\n\r\n").nth(1).unwrap();
        match expected {
            "" => assert!(
                seen.starts_with("127.0.0.1:") && seen.ends_with(" inner"),
                "{seen}"
            ),
            expected => assert_eq!(seen, expected),
        }
        let mut socket = server.send(&upgrade).await;
        socket.read_u8().await.unwrap();
        assert_eq!(*server.endpoint.peer.lock().unwrap(), Some(peer.to_owned()));
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let error = Server::bind(address).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
