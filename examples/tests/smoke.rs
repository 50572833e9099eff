//! Each example starts and does what it says, seen by another WebSocket library.
#![expect(clippy::expect_used, reason = "what a test cannot go on without")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// An example that runs until it is dropped, at the address it printed.
struct Running {
    process: Child,
    host: String,
}

impl Running {
    fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .arg("127.0.0.1:0")
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
