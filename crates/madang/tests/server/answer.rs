//! When the answer to a handshake goes out, and with what.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, StatusCode, header},
    routing::get,
};
use hyper_util::rt::TokioIo;
use madang::{CloseCode, Endpoint, Handshake, Mount, Refusal, Session, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use crate::running::{PATIENCE, Running};

const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

#[tokio::test]
async fn an_answer_waits_for_what_is_sent_first_and_is_one_piece_with_it() {
    let first = b"\x81\x05first";
    for (query, behind) in [
        ("says", &first[..]),
        // In their own order, and with nothing lost.
        ("says&more", b"\x81\x05first\x81\x04more"),
        ("closes", b"\x88\x05\x03\xe8bye"),
        ("panics", b"\x88\x10\x03\xf3internal error"),
        ("says&closes", b"\x81\x05first\x88\x05\x03\xe8bye"),
        ("nothing", b""),
    ] {
        let (server, door) = start(true).await;
        let mut socket = come(&server, query).await;
        door.begun.notified().await;
        let mut bytes = [0; 1024];
        let early = timeout(Duration::from_millis(50), socket.read(&mut bytes)).await;
        assert!(early.is_err(), "{query}: {early:?}");
        door.go_on.notify_one();
        let (head, rest) = answer(&mut socket).await;
        assert!(head.starts_with(SWITCHING), "{query}: {head:?}");
        assert_eq!(rest, behind, "{query}");
    }
}

#[tokio::test]
async fn by_default_an_answer_waits_for_nothing() {
    let (server, door) = start(false).await;
    let mut socket = come(&server, "says").await;
    door.begun.notified().await;
    let (head, rest) = answer(&mut socket).await;
    assert!(head.starts_with(SWITCHING), "{head:?}");
    assert_eq!(rest, b"");
    door.go_on.notify_one();
    let mut bytes = [0; 1024];
    let count = socket.read(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..count], b"\x81\x05first");
}

#[tokio::test]
async fn what_is_sent_at_once_is_one_piece_with_the_answer_by_default_too() {
    let (server, door) = start(false).await;
    door.go_on.notify_one();
    let (_, rest) = answer(&mut come(&server, "says").await).await;
    assert_eq!(rest, b"\x81\x05first");
}

#[tokio::test]
async fn who_changes_the_protocol_without_a_session_has_the_answer_sent_first() {
    // Either side may begin, and the server may take its time.
    for first in ["client", "server"] {
        let go_on = Arc::new(Notify::new());
        let server = Running::start(|server| {
            let go_on = go_on.clone();
            let other = async |request| other_protocol(request, go_on);
            server.router(Router::new().route("/other", get(other)))
        })
        .await;
        let request = format!(
            "GET /other?{first} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n"
        );
        let mut socket = server.send(&request).await;
        let (head, mut rest) = answer(&mut socket).await;
        assert!(head.starts_with(SWITCHING), "{first}: {head:?}");
        go_on.notify_one();
        if first == "client" {
            socket.write_all(b"from the client").await.unwrap();
        }
        let read = timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
        read.unwrap().unwrap();
        assert_eq!(rest, format!("from the {first}").into_bytes());
    }
}

/// A protocol of somebody else's: the server says something, or says again what it was told.
fn other_protocol(request: Request, go_on: Arc<Notify>) -> Response<Body> {
    let client_first = request.uri().query() == Some("client");
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        let mut socket = TokioIo::new(upgraded);
        go_on.notified().await;
        let mut said = *b"from the server";
        if client_first {
            socket.read_exact(&mut said).await.unwrap();
        }
        socket.write_all(&said).await.unwrap();
        socket.shutdown().await.unwrap();
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "other")
        .body(Body::empty())
        .unwrap()
}

/// Does in `on_open` what the query says, once it may.
#[derive(Default)]
struct Door {
    begun: Notify,
    go_on: Notify,
}

impl Endpoint for Door {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        self.begun.notify_one();
        self.go_on.notified().await;
        for act in session.request().query().unwrap_or_default().split('&') {
            match act {
                "says" => session.send("first").unwrap(),
                "more" => session.send("more").unwrap(),
                "closes" => session.close(CloseCode::NORMAL, "bye"),
                "panics" => panic!("a door that is stuck"),
                _ => {}
            }
        }
    }
}

async fn start(answer_with_first: bool) -> (Running, Arc<Door>) {
    let door = Arc::new(Door::default());
    let mut settings = Settings::default();
    settings.answer_with_first = answer_with_first;
    let mount = Mount::<Door>::new(door.clone())
        .at("/door")
        .settings(settings);
    (Running::start(|server| server.mount(mount)).await, door)
}

async fn come(server: &Running, query: &str) -> TcpStream {
    let request = format!(
        "GET /door?{query} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    server.send(&request).await
}

/// What is read at once: the head of the answer, and what is behind it.
async fn answer(socket: &mut TcpStream) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = vec![0; 1024];
    let count = timeout(PATIENCE, socket.read(&mut bytes)).await;
    bytes.truncate(count.unwrap().unwrap());
    let end = bytes.windows(4).position(|piece| piece == b"\r\n\r\n");
    let rest = bytes.split_off(end.unwrap() + 4);
    (bytes, rest)
}
