//! Each example starts and does what it says, seen by another WebSocket library.
#![expect(clippy::expect_used, reason = "what a test cannot go on without")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

/// An example that runs until it is dropped, at the address it printed.
struct Running {
    process: Child,
    host: String,
}

impl Running {
    fn start(program: &str) -> Self {
        Self::start_with(program, &[])
    }

    fn start_with(program: &str, arguments: &[&Path]) -> Self {
        let mut process = Command::new(program)
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its output is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it prints its address");
        let address = line.split("://").nth(1).expect("an address");
        let host = address.split('/').next().expect("a host").trim().to_owned();
        Self { process, host }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn echo_sends_back_what_it_is_sent() {
    let echo = Running::start(env!("CARGO_BIN_EXE_echo"));
    let (mut socket, _) = connect_async(format!("ws://{}/echo", echo.host))
        .await
        .unwrap();
    for message in [
        Message::text("안녕 👋"),
        Message::binary(vec![0, 255]),
        Message::text(""),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn chat_tells_everyone_what_was_said_before_and_now() {
    let chat = Running::start(env!("CARGO_BIN_EXE_chat"));
    let url = |name| format!("ws://{}/chat/lobby?name={name}", chat.host);
    let (mut kang, _) = connect_async(url("%EA%B0%95%ED%98%B8%EB%8F%99"))
        .await
        .unwrap();
    kang.send(Message::text("여기 누구 있어요?")).await.unwrap();
    // Heard, and so before whatever comes later.
    let mut heard_by_kang = lines(&mut kang, 2).await;
    let (mut shin, _) = connect_async(url("%EC%8B%A0%EB%8F%99%EC%97%BD"))
        .await
        .unwrap();
    shin.send(Message::text("네!")).await.unwrap();
    heard_by_kang.extend(lines(&mut kang, 2).await);

    assert_eq!(lines(&mut shin, 4).await, heard_by_kang);
    let last = heard_by_kang.last().unwrap();
    assert!(last.contains("신동엽") && last.contains("네!"), "{last}");
}

#[tokio::test]
async fn typed_answers_commands_and_what_is_none() {
    let typed = Running::start(env!("CARGO_BIN_EXE_typed"));
    let (mut socket, _) = connect_async(format!("ws://{}/sums", typed.host))
        .await
        .unwrap();
    for (command, answer) in [
        (r#"{"do":"add","a":2,"b":3}"#, r#"{"value":5}"#),
        (r#"{"do":"divide","a":7,"by":2}"#, r#"{"value":3}"#),
        (
            r#"{"do":"divide","a":7,"by":0}"#,
            r#"{"error":"that cannot be divided"}"#,
        ),
    ] {
        socket.send(Message::text(command)).await.unwrap();
        assert_eq!(lines(&mut socket, 1).await, [answer]);
    }
    for (command, fault) in [
        (r#"{"do":"add","a":2}"#, "missing field `b`"),
        (r#"{"do":"dance"}"#, "unknown variant `dance`"),
        ("{\n\"do\"", "line 2 column 4"),
    ] {
        socket.send(Message::text(command)).await.unwrap();
        let answer = lines(&mut socket, 1).await.remove(0);
        assert!(answer.starts_with(r#"{"error":""#), "{answer}");
        assert!(answer.contains(fault), "{answer}");
    }
}

#[tokio::test]
async fn others_hear_what_one_says_and_the_one_does_not() {
    let others = Running::start(env!("CARGO_BIN_EXE_others"));
    let url = format!("ws://{}/others", others.host);
    let (mut kang, _) = connect_async(&url).await.unwrap();
    let (mut shin, _) = connect_async(&url).await.unwrap();
    // Pongs come when `on_open` has ended: both are subscribed.
    for socket in [&mut kang, &mut shin] {
        socket.send(Message::Ping("here".into())).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::Pong("here".into())
        );
    }
    kang.send(Message::text("from kang")).await.unwrap();
    assert_eq!(lines(&mut shin, 1).await, ["from kang"]);
    shin.send(Message::text("from shin")).await.unwrap();
    assert_eq!(lines(&mut kang, 1).await, ["from shin"]);
}

const SHA256_OF_SEVENS: &str = "536eb39af4626149e59622ee4bd0cb6bd9cc9f526f0246673d0188226f3c2ca3";
const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[tokio::test]
async fn upload_tells_length_and_digest_of_files_larger_than_a_session() {
    let upload = Running::start(env!("CARGO_BIN_EXE_upload"));
    let (mut socket, _) = connect_async(format!("ws://{}/upload", upload.host))
        .await
        .unwrap();
    // The second is FIPS 180-2's own example (appendix B.1).
    for (file, sha256) in [
        (vec![7; 40_000_000], SHA256_OF_SEVENS),
        (b"abc".to_vec(), SHA256_OF_ABC),
    ] {
        let expected = format!("{} bytes, SHA-256 {sha256}", file.len());
        socket.send(Message::binary(file)).await.unwrap();
        assert_eq!(lines(&mut socket, 1).await, [expected]);
    }
    #[cfg(target_os = "linux")]
    {
        let status = format!("/proc/{}/status", upload.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.unwrap().trim().trim_end_matches(" kB");
        assert!(kib.parse::<u64>().unwrap() < 16 * 1024, "{kib} KiB");
    }
}

#[tokio::test]
async fn token_lets_in_who_has_one_from_pages_that_may() {
    let token = Running::start(env!("CARGO_BIN_EXE_token"));
    for (query, header, answer) in [
        ("?token=open-sesame", None, Ok("안녕, 신동엽")),
        (
            "?token=%EC%97%B4%EB%A0%A4%EB%9D%BC-%EC%B0%B8%EA%B9%A8",
            None,
            Ok("안녕, 강호동"),
        ),
        (
            "",
            Some(("authorization", "Bearer open-sesame")),
            Ok("안녕, 신동엽"),
        ),
        ("", None, Err(401)),
        ("?token=open-sesam", None, Err(401)),
        ("", Some(("authorization", "Basic open-sesame")), Err(401)),
        (
            "?token=open-sesame",
            Some(("origin", "https://example.com")),
            Ok("안녕, 신동엽"),
        ),
        (
            "?token=open-sesame",
            Some(("origin", "https://evil.example")),
            Err(403),
        ),
    ] {
        let url = format!("ws://{}/door{query}", token.host);
        let mut request = url.into_client_request().unwrap();
        if let Some((name, value)) = header {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        match (connect_async(request).await, answer) {
            (Ok((mut socket, _)), Ok(hello)) => {
                assert_eq!(lines(&mut socket, 1).await, [hello]);
            }
            (Err(Error::Http(refused)), Err(status)) => {
                assert_eq!(refused.status(), status, "{query} {header:?}");
                let asks = refused.headers().contains_key("www-authenticate");
                assert_eq!(asks, status == 401);
            }
            (other, answer) => panic!("{query} {header:?}: not {answer:?} but {other:?}"),
        }
    }
}

#[tokio::test]
async fn cafe_serves_first_what_is_ready_first() {
    let data = tempfile::tempdir().unwrap();
    let cafe = Running::start_with(env!("CARGO_BIN_EXE_cafe"), &[data.path()]);
    let url = format!("ws://{}/ws?name=kang", cafe.host);
    let (mut socket, _) = connect_async(url).await.unwrap();
    for (id, item, seconds) in [(1, "coffee", 6.0), (2, "bread", 0.0), (3, "smoothie", 3.0)] {
        let params = json!({"item": item, "seconds": seconds});
        let order = json!({"type": "call", "id": id, "service": "cafe", "method": "order", "params": params});
        socket.send(Message::text(order.to_string())).await.unwrap();
    }
    let cake = json!({"type": "call", "id": 4, "service": "cafe", "method": "order", "params": {"item": "cake"}});
    socket.send(Message::text(cake.to_string())).await.unwrap();

    let (mut served, mut refused, mut progress) = (Vec::new(), Vec::new(), 0);
    while served.len() + refused.len() < 4 {
        let message = lines(&mut socket, 1).await.remove(0);
        let mut message: Value = serde_json::from_str(&message).unwrap();
        match message["type"].as_str().unwrap() {
            "ok" => served.push(message["result"]["item"].take()),
            "error" => refused.push(message["code"].take()),
            "progress" => progress += 1,
            _ => {}
        }
    }
    assert_eq!(served, ["bread", "smoothie", "coffee"]);
    assert_eq!(refused, ["not_on_the_menu"]);
    assert!(progress > 0);
}

/// The next messages.
async fn lines(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    count: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let message = socket.next().await.expect("the connection stays open");
        let text = message.expect("a message").into_text();
        lines.push(text.expect("a text").to_string());
    }
    lines
}
