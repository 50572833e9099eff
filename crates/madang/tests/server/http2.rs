//! WebSockets on streams of HTTP/2 (RFC 8441), and requests beside them on the same connection.

use std::{io, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, Version, header::HOST},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::{Reason, client as h2_client};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
    ext::Protocol,
    upgrade::{self, Upgraded},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use madang::{Closed, Side};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Theirs, protocol::Role},
};

use crate::{
    running::{PATIENCE, Running, closed, echoes, read},
    tls::{Certificate, tls_stream},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame without settings (RFC 9113 §6.5).
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A connection of a client that speaks HTTP/2 and nothing else.
async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http2 {
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(io))
        .await
        .unwrap();
    tokio::spawn(connection);
    // Its answer comes behind the server's settings, which say that there is extended CONNECT.
    let request = Request::get("http://madang.example/first").body(Empty::new());
    sender.send_request(request.unwrap()).await.unwrap();
    sender
}

type Http2 = SendRequest<Empty<Bytes>>;

async fn http2_to(server: &Running) -> Http2 {
    http2(TcpStream::connect(server.address).await.unwrap()).await
}

/// Asks for a WebSocket.
async fn connect(http2: &mut Http2, target: &str) -> Response<Incoming> {
    let request = Request::connect(format!("http://madang.example{target}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "superchat, chat")
        .body(Empty::new());
    http2.send_request(request.unwrap()).await.unwrap()
}

async fn open(http2: &mut Http2, target: &str) -> WebSocketStream<TokioIo<Upgraded>> {
    let mut response = connect(http2, target).await;
    assert_eq!(response.status(), StatusCode::OK);
    let stream = TokioIo::new(upgrade::on(&mut response).await.unwrap());
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// Tells what it was asked for.
async fn page(request: Request<Body>) -> impl IntoResponse {
    let host = request.headers()[HOST].to_str().unwrap().to_owned();
    format!("{:?} {host}", request.version())
}

fn with_page(server: madang::Server) -> madang::Server {
    server.router(Router::new().route("/page", get(page)))
}

#[tokio::test]
async fn sessions_and_requests_share_a_connection_without_tls() {
    let server = Running::start(with_page).await;
    sessions_and_requests(http2_to(&server).await).await;
    // HTTP/1.1 is spoken on the same port.
    echoes(&mut server.connect("").await).await;
    assert!(server.get("/page").await.ends_with("HTTP/1.1 x"));
}

#[tokio::test]
async fn sessions_and_requests_share_a_connection_over_tls() {
    let certificate = Certificate::new();
    let server = Running::start(|server| with_page(server).tls(certificate.tls())).await;
    let stream = tls_stream(&server, &certificate.root, &[b"h2", b"http/1.1"]).await;
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    sessions_and_requests(http2(stream).await).await;
}

async fn sessions_and_requests(mut http2: Http2) {
    let mut sockets = Vec::new();
    for _ in 0..50 {
        sockets.push(open(&mut http2, "/echo").await);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        let message = Theirs::text(format!("session {number}"));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    for size in [0, 125, 126, 16_384, 65_536] {
        let message = Theirs::binary(vec![7; size]);
        sockets[0].send(message.clone()).await.unwrap();
        assert_eq!(sockets[0].next().await.unwrap().unwrap(), message);
    }
    for number in 0..2_000 {
        let message = Theirs::text(number.to_string());
        sockets[1].feed(message).await.unwrap();
    }
    sockets[1].flush().await.unwrap();
    for number in 0..2_000 {
        let message = sockets[1].next().await.unwrap().unwrap();
        assert_eq!(message, Theirs::text(number.to_string()));
    }
    let request = Request::get("http://madang.example/page").body(Empty::new());
    let page = http2.send_request(request.unwrap()).await.unwrap();
    let page = page.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(page, "HTTP/2.0 madang.example");
}

#[tokio::test]
async fn the_handshake_is_that_of_the_rfc() {
    let server = Running::start(|server| server).await;
    let mut http2 = http2_to(&server).await;
    let response = connect(&mut http2, "/echo").await;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for name in [
        "upgrade",
        "connection",
        "sec-websocket-accept",
        "content-length",
    ] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let peer = server.endpoint.peer.lock().unwrap().clone();
    assert_eq!(peer.as_deref(), Some("127.0.0.1"));

    let refused = connect(&mut http2, "/echo?refuse").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "not you");
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let server = Running::start(|server| server).await;
    let mut http2 = http2_to(&server).await;
    let websocket = Protocol::from_static("websocket");
    for (method, protocol, version, status) in [
        (Method::GET, None, "13", StatusCode::METHOD_NOT_ALLOWED),
        (
            Method::CONNECT,
            Some(Protocol::from_static("connect-udp")),
            "13",
            StatusCode::NOT_IMPLEMENTED,
        ),
        (
            Method::CONNECT,
            Some(websocket.clone()),
            "8",
            StatusCode::BAD_REQUEST,
        ),
        // Of an ordinary CONNECT the target is a host, and no page of ours.
        (Method::CONNECT, None, "13", StatusCode::NOT_FOUND),
    ] {
        let target = match (&method, &protocol) {
            (&Method::CONNECT, None) => "madang.example:80",
            _ => "http://madang.example/echo",
        };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(target)
            .header("sec-websocket-version", version)
            .body(Empty::new())
            .unwrap();
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(protocol);
        }
        let response = http2.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{method}");
    }
    // The connection has come to no harm.
    echoes(&mut open(&mut http2, "/echo").await).await;
}

#[tokio::test]
async fn the_end_closes_the_sessions_on_streams_too() {
    let mut server = Running::start(|server| server).await;
    let mut http2 = http2_to(&server).await;
    let mut first = open(&mut http2, "/echo").await;
    let mut second = open(&mut http2, "/echo").await;
    echoes(&mut first).await;
    echoes(&mut second).await;
    server.begin_to_end();
    let (first, second) = tokio::join!(closed(first), closed(second));
    assert_eq!((first.0, second.0), (1001, 1001));
    let endpoint = server.endpoint.clone();
    server.ended().await;
    assert!(endpoint.closed.borrow().as_ref().unwrap().clean);
}

/// A WebSocket on a bare stream: what is sent, and what comes.
struct Stream {
    send: h2::SendStream<Bytes>,
    receive: h2::RecvStream,
}

impl Stream {
    async fn open(server: &Running) -> Self {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) = h2_client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let request = Request::connect("http://madang.example/echo")
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let (response, send) = sender.send_request(request, false).unwrap();
        let receive = response.await.unwrap().into_body();
        Self { send, receive }
    }

    fn say(&mut self, bytes: &'static [u8]) {
        self.send
            .send_data(Bytes::from_static(bytes), false)
            .unwrap();
    }

    /// The next bytes; nothing at the end of the stream.
    async fn hear(&mut self) -> Option<Result<Bytes, h2::Error>> {
        loop {
            let data = timeout(PATIENCE, self.receive.data()).await.unwrap()?;
            match &data {
                // END_STREAM may come alone.
                Ok(data) if data.is_empty() => continue,
                Ok(data) => {
                    let flow = self.receive.flow_control();
                    flow.release_capacity(data.len()).unwrap();
                }
                Err(_) => {}
            }
            return Some(data);
        }
    }
}

/// How the server's only session ended.
async fn ended(server: &Running) -> Closed {
    let mut closed = server.endpoint.closed.subscribe();
    let closed = timeout(PATIENCE, closed.wait_for(Option::is_some)).await;
    closed.unwrap().unwrap().clone().unwrap()
}

#[tokio::test]
async fn a_session_that_is_closed_ends_its_stream() {
    let server = Running::start(|server| server).await;
    let mut stream = Stream::open(&server).await;
    stream.say(b"\x88\x82\0\0\0\0\x03\xe8");
    assert_eq!(
        stream.hear().await.unwrap().unwrap(),
        &b"\x88\x02\x03\xe8"[..]
    );
    // RFC 8441 §5: END_STREAM, and no reset, is what the end of TCP is elsewhere.
    let end = stream.hear().await;
    assert!(end.is_none() && stream.receive.is_end_stream(), "{end:?}");
    assert!(ended(&server).await.clean);
}

#[tokio::test]
async fn a_stream_that_ends_or_is_reset_ends_its_session() {
    for reset in [None, Some(Reason::CANCEL), Some(Reason::INTERNAL_ERROR)] {
        let server = Running::start(|server| server).await;
        let mut stream = Stream::open(&server).await;
        stream.say(b"\x81\x80\0\0\0\0");
        assert_eq!(stream.hear().await.unwrap().unwrap(), &b"\x81\0"[..]);
        match reset {
            Some(reason) => stream.send.send_reset(reason),
            None => stream.send.send_data(Bytes::new(), true).unwrap(),
        }
        let closed = ended(&server).await;
        assert_eq!(
            (closed.code.get(), closed.by),
            (1006, Side::Peer),
            "{reset:?}"
        );
    }
}

/// The next frame: its type, flags, stream and payload (RFC 9113 §4.1).
async fn frame(socket: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    timeout(PATIENCE, socket.read_exact(&mut header))
        .await
        .unwrap()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload).await?;
    Ok((header[3], payload))
}

#[tokio::test]
async fn the_server_says_in_bytes_what_it_allows() {
    let server = Running::start(|server| server).await;
    // However the preface is cut.
    let mut socket = server.send("").await;
    socket.set_nodelay(true).unwrap();
    for part in [
        &PREFACE[..1],
        &PREFACE[1..3],
        &PREFACE[3..20],
        &PREFACE[20..],
        SETTINGS,
    ] {
        socket.write_all(part).await.unwrap();
        sleep(Duration::from_millis(30)).await;
    }
    let (kind, settings) = frame(&mut socket).await.unwrap();
    assert_eq!(kind, 4);
    let value = |id: u16| {
        let setting = settings
            .chunks(6)
            .find(|chunk| chunk[..2] == id.to_be_bytes());
        setting.map(|chunk| u32::from_be_bytes(chunk[2..].try_into().unwrap()))
    };
    // RFC 9113 §6.5.2, and RFC 8441 §3.
    assert_eq!(value(3), Some(200), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(
        value(4).unwrap_or(65_535),
        65_536,
        "SETTINGS_INITIAL_WINDOW_SIZE"
    );
    assert_eq!(value(6), Some(16_384), "SETTINGS_MAX_HEADER_LIST_SIZE");
    assert_eq!(value(8), Some(1), "SETTINGS_ENABLE_CONNECT_PROTOCOL");
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_not_waited_for() {
    let head = Duration::from_millis(300);
    let server = Running::start(|server| server.request_head_timeout(head)).await;
    let whole = [PREFACE, SETTINGS].concat();
    for said in [&PREFACE[..1], &PREFACE[..20], PREFACE, &*whole] {
        let mut socket = server.send("").await;
        socket.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        // A preface that is cut off may be answered by a reset.
        let _ = end.unwrap();
    }
    // What looks like it at first is HTTP/1 all the same.
    let answer = read(
        &mut server
            .send("PRINT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    let mut http2 = http2_to(&server).await;
    let mut socket = open(&mut http2, "/echo").await;
    sleep(3 * head).await;
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let server = Running::start(|server| server).await;
    let mut flood = [PREFACE, SETTINGS].concat();
    for stream in (1..2_000_u32).step_by(2) {
        // HEADERS (GET, http, /; END_HEADERS and END_STREAM) and RST_STREAM (CANCEL).
        flood.extend([0, 0, 3, 1, 5]);
        flood.extend(stream.to_be_bytes());
        flood.extend([0x82, 0x86, 0x84]);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend([0, 0, 0, 8]);
    }
    let mut socket = server.send("").await;
    socket.write_all(&flood).await.unwrap();
    let reason = loop {
        match frame(&mut socket).await {
            Ok((7, goaway)) => break goaway[4..8].to_vec(),
            Ok(_) => {}
            Err(error) => panic!("no GOAWAY, but {error}"),
        }
    };
    // ENHANCE_YOUR_CALM.
    assert_eq!(reason, [0, 0, 0, 0xb]);
    echoes(&mut server.connect("").await).await;
}
