//! The opening handshake with the others, each as server and as client.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime;
use websocket::handshake::{client, server};

const ADDRESS: &str = "ws://example.com/chat?room=1";

/// Runs both ends of a connection to their end.
fn between<A, B, F, G>(
    ours: impl FnOnce(DuplexStream) -> F,
    theirs: impl FnOnce(DuplexStream) -> G,
) -> (A, B)
where
    F: Future<Output = A>,
    G: Future<Output = B>,
{
    let (near, far) = duplex(4096);
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { tokio::join!(ours(near), theirs(far)) })
}

/// What our client makes of their answer.
async fn our_client(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<client::Agreed, client::HandshakeError> {
    let offer = client::Offer {
        nonce: *b"the sample nonce",
        protocols: &[],
        deflate: true,
    };
    let request = offer.request(&Uri::from_static(ADDRESS))?;
    let line = format!("GET {} HTTP/1.1", request.uri());
    io.write_all(&head(&line, request.headers())).await.unwrap();
    let answer = read_head(&mut io).await;
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut lines);
    assert!(parsed.parse(&answer).unwrap().is_complete());
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(parsed.code.unwrap()).unwrap();
    *response.headers_mut() = headers(parsed.headers);
    offer.verify(&response)
}

/// Answers their client, and gives what it asked for.
async fn our_server(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
) -> Result<server::Upgrade, server::HandshakeError> {
    let request = read_head(&mut io).await;
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut lines);
    assert!(parsed.parse(&request).unwrap().is_complete());
    assert_eq!(parsed.path, Some("/chat?room=1"));
    let method = Method::from_bytes(parsed.method.unwrap().as_bytes()).unwrap();
    let upgrade = server::check(&method, Version::HTTP_11, &headers(parsed.headers))?;
    let first = upgrade.protocols().next().map(str::to_owned);
    let response = upgrade.response(first.as_deref(), upgrade.deflate());
    let line = "HTTP/1.1 101 Switching Protocols";
    io.write_all(&head(line, response.headers())).await.unwrap();
    Ok(upgrade)
}

fn head(line: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut head = format!("{line}\r\n").into_bytes();
    for (name, value) in headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    head
}

fn headers(lines: &[httparse::Header<'_>]) -> HeaderMap {
    let name = |line: &httparse::Header<'_>| HeaderName::from_bytes(line.name.as_bytes()).unwrap();
    let value = |line: &httparse::Header<'_>| HeaderValue::from_bytes(line.value).unwrap();
    lines.iter().map(|line| (name(line), value(line))).collect()
}

#[test]
fn other_servers_take_our_client() {
    let (agreed, accepted) = between(our_client, tokio_tungstenite::accept_async);
    assert!(accepted.is_ok());
    assert_eq!(agreed, Ok(client::Agreed::default()));

    let builder = tokio_websockets::ServerBuilder::new();
    let (agreed, accepted) = between(our_client, |io| builder.accept(io));
    assert_eq!(accepted.unwrap().0.uri(), "/chat?room=1");
    assert_eq!(agreed, Ok(client::Agreed::default()));

    let (agreed, accepted) = between(our_client, |mut io| async move {
        sockudo_ws::handshake::server_handshake(&mut io).await
    });
    assert_eq!(accepted.unwrap().path, "/chat?room=1");
    assert_eq!(agreed, Ok(client::Agreed::default()));
}

#[test]
fn our_server_takes_other_clients() {
    let (upgrade, connected) = between(our_server, |io| {
        tokio_tungstenite::client_async(ADDRESS, io)
    });
    assert!(connected.is_ok());
    assert_eq!(upgrade.unwrap().protocols().count(), 0);

    let builder = tokio_websockets::ClientBuilder::from_uri(Uri::from_static(ADDRESS));
    let (upgrade, connected) = between(our_server, |io| builder.connect_on(io));
    assert!(connected.is_ok());
    assert_eq!(upgrade.unwrap().protocols().count(), 0);

    let (upgrade, connected) = between(our_server, |mut io| async move {
        let (host, path) = ("example.com", "/chat?room=1");
        sockudo_ws::handshake::client_handshake(&mut io, host, path, Some("a, b")).await
    });
    assert_eq!(upgrade.unwrap().protocols().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(connected.unwrap().protocol.as_deref(), Some("a"));
}

/// Requests that break a rule of RFC 6455 §4.2.1 and are taken all the same: by whom, and which.
/// The list is exact.
const LENIENT: &[(&str, &str)] = &[
    ("tokio-websockets", "POST"),
    ("tungstenite", "no host"),
    ("tokio-websockets", "no host"),
    // It answers any key; that it is base64 of 16 bytes is not looked at.
    ("tokio-websockets", "a short key"),
    ("tokio-websockets", "a key that is not base64"),
];

#[test]
fn what_our_server_refuses_others_refuse_too() {
    const GOOD: [(&str, &str); 5] = [
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let request = |line: &str, changed: &str, value: Option<&str>| {
        let mut head = format!("{line}\r\n");
        for (name, good) in GOOD {
            match value {
                _ if name != changed => head.push_str(&format!("{name}: {good}\r\n")),
                Some(value) => head.push_str(&format!("{name}: {value}\r\n")),
                None => {}
            }
        }
        head + "\r\n"
    };
    let get = "GET /chat?room=1 HTTP/1.1";
    let cases = [
        ("POST", request("POST /chat?room=1 HTTP/1.1", "", None)),
        ("no host", request(get, "Host", None)),
        ("no upgrade", request(get, "Upgrade", None)),
        ("another upgrade", request(get, "Upgrade", Some("h2c"))),
        ("no connection", request(get, "Connection", None)),
        (
            "another connection",
            request(get, "Connection", Some("close")),
        ),
        ("no version", request(get, "Sec-WebSocket-Version", None)),
        (
            "another version",
            request(get, "Sec-WebSocket-Version", Some("8")),
        ),
        ("no key", request(get, "Sec-WebSocket-Key", None)),
        (
            "a short key",
            request(get, "Sec-WebSocket-Key", Some("dGhl")),
        ),
        (
            "a key that is not base64",
            request(get, "Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ*=")),
        ),
    ];
    let mut lenient = Vec::new();
    for (name, head) in &cases {
        let ask = |mut io: DuplexStream| async move {
            io.write_all(head.as_bytes()).await.unwrap();
            // The answer may come or not; nobody waits for more of the request.
            io.shutdown().await.unwrap();
            let mut answer = Vec::new();
            io.read_to_end(&mut answer).await.unwrap();
        };
        // Whoever accepts hangs up too, so that the reading ends.
        let (_, ours) = between(ask, our_server);
        assert!(ours.is_err(), "{name}");
        let (_, accepted) = between(ask, |io| async {
            tokio_tungstenite::accept_async(io).await.is_ok()
        });
        if accepted {
            lenient.push(("tungstenite", *name));
        }
        let (_, accepted) = between(ask, |io| async {
            tokio_websockets::ServerBuilder::new()
                .accept(io)
                .await
                .is_ok()
        });
        if accepted {
            lenient.push(("tokio-websockets", *name));
        }
        let (_, accepted) = between(ask, |mut io| async move {
            sockudo_ws::handshake::server_handshake(&mut io)
                .await
                .is_ok()
        });
        if accepted {
            lenient.push(("sockudo-ws", *name));
        }
    }
    assert_eq!(lenient, LENIENT);
}
