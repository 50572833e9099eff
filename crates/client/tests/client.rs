//! The client against another implementation's server, and against none.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic, its helpers too"
)]

use std::time::Duration;

use client::{Client, Close, CloseCode, ConnectError, Error, Incoming, Options};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{
    CloseCode as TheirCode, Data, OpCode,
};
use tokio_tungstenite::{WebSocketStream, accept_async};

type Server = WebSocketStream<TcpStream>;

/// Listens on a free port, and does this with the first connection.
async fn listen<F: Future<Output = ()> + Send>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        serve(socket).await;
    });
    format!("ws://{address}/ws/lobby?name=x")
}

/// A client whose server does this.
async fn connected<F: Future<Output = ()> + Send>(
    serve: impl FnOnce(Server) -> F + Send + 'static,
) -> Client {
    let url = listen(async |socket| serve(accept_async(socket).await.unwrap()).await).await;
    Client::connect(&url, Options::default()).await.unwrap()
}

/// The error that connecting ends in when the server reads a request and answers with this.
async fn refused_with(answer: &'static str) -> ConnectError {
    let url = listen(async |mut socket| {
        read_request(&mut socket).await;
        socket.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    Client::connect(&url, Options::default()).await.unwrap_err()
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// Sends back what comes.
/// The answer that opens a WebSocket, but for the empty line at its end.
fn agreement(request: &str) -> String {
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let key = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 \r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {key}\r\n"
    )
}

async fn echo(mut server: Server) {
    while let Some(Ok(message)) = server.next().await {
        if message.is_text() || message.is_binary() {
            server.send(message).await.unwrap();
        }
    }
}

async fn next_text(client: &mut Client) -> String {
    match client.next().await {
        Some(Ok(Incoming::Text(text))) => text,
        other => panic!("{other:?} instead of a text"),
    }
}

#[tokio::test]
async fn what_is_sent_comes_back() {
    let mut client = connected(echo).await;
    client.send_text("안녕").await.unwrap();
    assert_eq!(next_text(&mut client).await, "안녕");
    client.send_json(&[1, 2, 3]).await.unwrap();
    assert_eq!(next_text(&mut client).await, "[1,2,3]");
    client.send_binary(b"\xFF").await.unwrap();
    let binary = client.next().await.unwrap().unwrap();
    assert_eq!(binary, Incoming::Binary(b"\xFF".to_vec()));
}

#[tokio::test]
async fn a_big_message_comes_back_whole() {
    let mut client = connected(echo).await;
    let big = "한".repeat(1_000_000);
    client.send_text(&big).await.unwrap();
    assert_eq!(next_text(&mut client).await, big);
}

#[tokio::test]
async fn fragments_come_as_one_message() {
    let mut client = connected(async |mut server| {
        let text = "조각난 글".as_bytes();
        let pieces = [
            Frame::message(text[..4].to_vec(), OpCode::Data(Data::Text), false),
            Frame::message(text[4..7].to_vec(), OpCode::Data(Data::Continue), false),
            Frame::ping(b"between".to_vec()),
            Frame::message(text[7..].to_vec(), OpCode::Data(Data::Continue), true),
        ];
        for piece in pieces {
            server.send(Message::Frame(piece)).await.unwrap();
        }
        echo(server).await;
    })
    .await;
    assert_eq!(next_text(&mut client).await, "조각난 글");
}

#[tokio::test]
async fn messages_sent_right_behind_the_handshake_are_not_lost() {
    let url = listen(async |mut socket| {
        let request = read_request(&mut socket).await;
        let answer = format!("{}\r\n\x01\x02he\0\x03llo", agreement(&request));
        // The last byte of the text comes by itself.
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.write_all(b"\x80\x01!").await.unwrap();
        let _ = socket.read_u8().await;
    })
    .await;
    let mut client = Client::connect(&url, Options::default()).await.unwrap();
    assert_eq!(next_text(&mut client).await, "hello!");
}

#[tokio::test]
async fn compression_goes_both_ways_where_both_want_it() {
    let url = listen(async |mut socket| {
        let request = read_request(&mut socket).await;
        assert!(request.contains("sec-websocket-extensions: permessage-deflate"));
        let extension = "permessage-deflate; server_no_context_takeover";
        let agreement = agreement(&request);
        let answer = format!("{agreement}sec-websocket-extensions: {extension}\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        // RFC 7692 §7.2.3.1: "Hello".
        let hello = [0xC1, 7, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 7, 0];
        socket.write_all(&hello).await.unwrap();
        // Below the threshold; and from there on, compressed to less than a frame of 126 bytes.
        assert_eq!(socket.read_u16().await.unwrap(), 0x81E3);
        socket.read_exact(&mut [0; 4 + 99]).await.unwrap();
        let compressed = socket.read_u16().await.unwrap();
        assert!(
            (0xC180..0xC180 + 20).contains(&compressed),
            "{compressed:x}"
        );
        socket.write_all(&hello).await.unwrap();
        let _ = socket.read_u8().await;
    })
    .await;
    let options = Options {
        compression: Some(100),
        ..Options::default()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    assert_eq!(next_text(&mut client).await, "Hello");
    client.send_text(&"x".repeat(99)).await.unwrap();
    client.send_text(&"x".repeat(100)).await.unwrap();
    assert_eq!(next_text(&mut client).await, "Hello");
}

#[tokio::test]
async fn pings_are_answered_while_waiting_for_a_message() {
    let mut client = connected(async |mut server| {
        server.send(Message::Ping("one".into())).await.unwrap();
        assert_eq!(
            server.next().await.unwrap().unwrap(),
            Message::Pong("one".into())
        );
        server.send("got it".into()).await.unwrap();
        echo(server).await;
    })
    .await;
    assert_eq!(next_text(&mut client).await, "got it");
}

#[tokio::test]
async fn pings_that_come_at_once_are_answered_each() {
    let mut client = connected(async |mut server| {
        for ping in 0..10u8 {
            let ping = Message::Ping(vec![ping].into());
            server.feed(ping).await.unwrap();
        }
        server.flush().await.unwrap();
        for ping in 0..10u8 {
            let pong = server.next().await.unwrap().unwrap();
            assert_eq!(pong, Message::Pong(vec![ping].into()));
        }
        server.send("got them".into()).await.unwrap();
        echo(server).await;
    })
    .await;
    assert_eq!(next_text(&mut client).await, "got them");
}

#[tokio::test]
async fn pings_are_answered_when_split() {
    let client = connected(async |mut server| {
        assert_eq!(
            server.next().await.unwrap().unwrap(),
            Message::text("ready")
        );
        server.send(Message::Ping("two".into())).await.unwrap();
        assert_eq!(
            server.next().await.unwrap().unwrap(),
            Message::Pong("two".into())
        );
        server.send("got it".into()).await.unwrap();
        echo(server).await;
    })
    .await;
    let (mut sender, mut receiver) = client.split();
    let reading = tokio::spawn(async move { receiver.next().await });
    sender.send_text("ready").await.unwrap();
    let message = reading.await.unwrap().unwrap().unwrap();
    assert_eq!(message, Incoming::Text("got it".to_owned()));
}

#[tokio::test]
async fn one_half_reads_while_the_other_waits_to_write() {
    // More than the sockets hold; and the server reads nothing until all of its own is read.
    const BIG: usize = 15_000_000;
    let client = connected(async |mut server| {
        server.send("x".repeat(BIG).into()).await.unwrap();
        echo(server).await;
    })
    .await;
    let (mut sender, mut receiver) = client.split();
    let writing = tokio::spawn(async move { sender.send_binary(&vec![0; BIG]).await });
    let first = receiver.next().await.unwrap().unwrap();
    assert!(matches!(first, Incoming::Text(text) if text.len() == BIG));
    let second = receiver.next().await.unwrap().unwrap();
    assert!(matches!(second, Incoming::Binary(payload) if payload.len() == BIG));
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_may_be_given_up_at_any_time() {
    let mut client = connected(echo).await;
    let big = "x".repeat(3_000_000);
    client.send_text(&big).await.unwrap();
    let mut given_up = 0;
    let text = loop {
        tokio::select! {
            biased;
            next = client.next() => break next,
            () = tokio::task::yield_now() => given_up += 1,
        }
    };
    assert_eq!(text.unwrap().unwrap(), Incoming::Text(big));
    assert!(given_up > 0);
}

#[tokio::test]
async fn the_client_closes() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let client = connected(async move |mut server| {
        server.send("on its way".into()).await.unwrap();
        if let Some(Ok(Message::Close(Some(frame)))) = server.next().await {
            told.send((u16::from(frame.code), frame.reason.to_string()))
                .unwrap();
        }
        while let Some(Ok(_)) = server.next().await {}
    })
    .await;
    let answer = client
        .close(Close::new(CloseCode::GOING_AWAY, "bye"))
        .await
        .unwrap();
    assert_eq!(answer.code, CloseCode::GOING_AWAY);
    assert_eq!(heard.await.unwrap(), (1001, "bye".to_owned()));
}

#[tokio::test]
async fn the_server_closes() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let mut client = connected(async move |mut server| {
        let frame = CloseFrame {
            code: TheirCode::from(4001),
            reason: "expired".into(),
        };
        server.close(Some(frame)).await.unwrap();
        if let Some(Ok(Message::Close(Some(answer)))) = server.next().await {
            told.send(u16::from(answer.code)).unwrap();
        }
    })
    .await;
    let closed = client.next().await.unwrap().unwrap();
    assert_eq!(
        closed,
        Incoming::Closed(Close::new(CloseCode::new(4001), "expired"))
    );
    assert!(client.next().await.is_none());
    assert!(matches!(client.send_text("late").await, Err(Error::Closed)));
    assert_eq!(heard.await.unwrap(), 4001);
}

#[tokio::test]
async fn a_close_without_a_code_has_no_status() {
    let mut client = connected(async |mut server| {
        server.close(None).await.unwrap();
        while let Some(Ok(_)) = server.next().await {}
    })
    .await;
    let closed = client.next().await.unwrap().unwrap();
    assert_eq!(
        closed,
        Incoming::Closed(Close::new(CloseCode::NO_STATUS, ""))
    );
}

#[tokio::test]
async fn the_sender_closes_and_the_receiver_hears_the_answer() {
    let (mut sender, mut receiver) = connected(echo).await.split();
    let close = Close::new(CloseCode::NORMAL, "");
    sender.close(close.clone()).await.unwrap();
    assert!(matches!(sender.send_text("late").await, Err(Error::Closed)));
    assert!(matches!(
        sender.close(close.clone()).await,
        Err(Error::Closed)
    ));
    assert_eq!(
        receiver.next().await.unwrap().unwrap(),
        Incoming::Closed(close)
    );
    assert!(receiver.next().await.is_none());
}

#[tokio::test]
async fn a_cut_connection_is_an_error_and_the_end() {
    let mut client = connected(async |mut server| {
        server.send("last words".into()).await.unwrap();
    })
    .await;
    assert_eq!(next_text(&mut client).await, "last words");
    let end = client.next().await;
    assert!(matches!(end, Some(Err(Error::Lost(_)))), "{end:?}");
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_told() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let mut client = connected(async move |mut server| {
        let wrong = Frame::message(b"\xFF".to_vec(), OpCode::Data(Data::Text), true);
        server.send(Message::Frame(wrong)).await.unwrap();
        if let Some(Ok(Message::Close(Some(frame)))) = server.next().await {
            told.send(u16::from(frame.code)).unwrap();
        }
    })
    .await;
    let end = client.next().await;
    assert!(matches!(end, Some(Err(Error::Protocol(_)))), "{end:?}");
    assert!(client.next().await.is_none());
    assert_eq!(heard.await.unwrap(), 1007);
}

#[tokio::test]
async fn a_refusal_brings_its_status_and_body() {
    for answer in [
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 16\r\n\r\n{\"code\":\"who?\"} ",
        "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n{\"code\":\"who?\"} ",
    ] {
        match refused_with(answer).await {
            ConnectError::Refused { status, body } => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                assert_eq!(body, "{\"code\":\"who?\"} ");
            }
            other => panic!("{other:?} instead of a refusal"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_proves_nothing_is_no_websocket() {
    let error = refused_with(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    )
    .await;
    assert!(matches!(error, ConnectError::Handshake(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_named_so() {
    for answer in ["220 smtp.example.com\r\n", ""] {
        let error = refused_with(answer).await;
        assert!(matches!(error, ConnectError::Http(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let url = listen(async |mut socket| {
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let connect_timeout = Duration::from_millis(20);
    let options = Options {
        connect_timeout,
        ..Options::default()
    };
    let error = Client::connect(&url, options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn addresses_that_do_not_work_are_told_apart() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    drop(listener);
    let connect = async |url: &str| Client::connect(url, Options::default()).await.unwrap_err();
    assert!(matches!(connect(&url).await, ConnectError::Unreachable(_)));
    assert!(matches!(
        connect("ws://exa mple/").await,
        ConnectError::Url(_)
    ));
    assert!(matches!(
        connect("http://localhost/").await,
        ConnectError::Scheme
    ));
    assert!(matches!(connect("/ws").await, ConnectError::Scheme));
    assert!(matches!(
        connect("wss://localhost/").await,
        ConnectError::Tls
    ));
}

#[tokio::test]
async fn headers_go_with_the_request() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let url = listen(async move |mut socket| {
        told.send(read_request(&mut socket).await).unwrap();
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer T"));
    headers.insert("host", HeaderValue::from_static("example.com"));
    let options = Options {
        headers,
        ..Options::default()
    };
    let _ = Client::connect(&url, options).await;
    let request = heard.await.unwrap();
    assert!(
        request.starts_with("GET /ws/lobby?name=x HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("authorization: Bearer T\r\n"), "{request}");
    assert_eq!(request.matches("host:").count(), 1, "{request}");
    assert!(request.contains("host: example.com\r\n"), "{request}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let url = listen(async |socket| echo(accept_async(socket).await.unwrap()).await).await;
    let options = Options {
        max_message: 10,
        ..Options::default()
    };
    let mut client = Client::connect(&url, options).await.unwrap();
    client.send_text("1234567890").await.unwrap();
    assert_eq!(next_text(&mut client).await, "1234567890");
    client.send_text("1234567890x").await.unwrap();
    let end = client.next().await;
    assert!(matches!(end, Some(Err(Error::Protocol(_)))), "{end:?}");
}
