//! Another library of this language talks to the program as the protocol says.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use common::Server;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, protocol::CloseFrame, protocol::frame::coding::CloseCode},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(server: &Server, path: &str) -> Socket {
    let url = format!("ws://{}{path}", server.host);
    connect_async(url).await.unwrap().0
}

async fn say(socket: &mut Socket, command: Value) {
    let message = Message::text(command.to_string());
    socket.send(message).await.unwrap();
}

/// The next message of this type.
async fn next(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if let Message::Text(text) = message {
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn tungstenite_talks_in_a_room_comes_back_and_is_closed_on() {
    let mut server = Server::start();
    let mut kang = connect(
        &server,
        "/ws/%EB%A7%88%EB%8B%B9?name=%EA%B0%95%ED%98%B8%EB%8F%99",
    )
    .await;
    let token = next(&mut kang, "hello").await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    next(&mut kang, "subscribed").await;
    let mut shin = connect(&server, "/ws?name=%EC%8B%A0%EB%8F%99%EC%97%BD").await;
    say(
        &mut shin,
        json!({"type": "subscribe", "id": 1, "room": "마당"}),
    )
    .await;
    assert_eq!(next(&mut shin, "ok").await["presence"]["count"], 2);

    say(
        &mut kang,
        json!({"type": "send", "id": 2, "text": "안녕 👋"}),
    )
    .await;
    let event = next(&mut shin, "message").await;
    assert_eq!(
        (&event["text"], &event["from"]["name"]),
        (&json!("안녕 👋"), &json!("강호동"))
    );
    assert_eq!(next(&mut kang, "message").await, event);
    assert_eq!(next(&mut kang, "ok").await["seq"], 1);

    drop(kang);
    say(
        &mut shin,
        json!({"type": "send", "room": "마당", "text": "어디 갔어?"}),
    )
    .await;
    next(&mut shin, "message").await;
    let mut kang = connect(
        &server,
        &format!("/ws/%EB%A7%88%EB%8B%B9?token={token}&since=1"),
    )
    .await;
    assert_eq!(next(&mut kang, "hello").await["user"]["name"], "강호동");
    assert_eq!(next(&mut kang, "message").await["text"], "어디 갔어?");

    server.ask_to_end();
    let closed = loop {
        if let Message::Close(Some(CloseFrame { code, .. })) = kang.next().await.unwrap().unwrap() {
            break code;
        }
    };
    assert_eq!(closed, CloseCode::Restart);
    while kang.next().await.is_some() {}
    drop(shin);
    assert!(server.wait().success());
}
