//! The callbacks: which come, in which order, and what a panic in one of them does.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::time::Duration;

use axum::http::StatusCode;
use madang::{
    Close, CloseCode, Closed, Endpoint, Error, Handshake, Message, Mount, Opcode, Part, Refusal,
    Session, Settings,
    harness::{Failed, Harness, Seen, Visitor},
};
use tokio::{sync::mpsc, time::timeout};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn pings_and_pongs_come_in_order_and_pings_are_answered() {
    let mut yard = yard("");
    let mut visitor = yard.open().await;
    for (opcode, payload) in [
        (Opcode::Ping, "하나"),
        (Opcode::Pong, "nobody asked"),
        (Opcode::Text, "text"),
        (Opcode::Ping, ""),
    ] {
        visitor
            .send_frame(opcode, payload.as_bytes())
            .await
            .unwrap();
    }
    yard.wrote(&["ping 하나", "pong nobody asked", "message text", "ping "])
        .await;
    assert_eq!(visitor.next().await, Seen::Pong("하나".into()));
    assert_eq!(visitor.next().await, Seen::Pong("".into()));
}

#[tokio::test]
async fn a_ping_of_the_servers_is_answered_in_on_pong() {
    let mut yard = yard("");
    let mut visitor = yard.open().await;
    visitor.send("ping me").await.unwrap();
    assert_eq!(visitor.next().await, Seen::Ping("from the server".into()));
    yard.wrote(&["message ping me", "pong from the server"])
        .await;
}

#[tokio::test]
async fn after_a_close_no_message_is_heard() {
    let mut yard = yard("");
    let mut visitor = yard.open().await;
    for text in ["close me", "unheard", "unheard"] {
        visitor.send(text).await.unwrap();
    }
    let bye = Close::new(CloseCode::NORMAL, "bye");
    assert_eq!(visitor.next().await, Seen::Closed(Some(bye)));
    yard.wrote(&["message close me", "close 1000", "data dropped"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn nor_behind_a_close_that_the_peer_does_not_take() {
    let mut yard = yard("");
    let mut visitor = yard.open().await;
    // More than the pipe holds: the close frame waits behind it.
    visitor.send("flood me").await.unwrap();
    yard.wrote(&["message flood me"]).await;
    for text in ["close me", "unheard", "unheard"] {
        visitor.send(text).await.unwrap();
    }
    yard.wrote(&["message close me", "close 1000", "data dropped"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_sessions_data_is_kept_until_on_close_has_ended() {
    let mut yard = yard("slow-close");
    drop(yard.open().await);
    yard.wrote(&["close 1006", "on_close ends", "data dropped"])
        .await;
}

#[tokio::test]
async fn a_panic_in_any_callback_ends_the_session_with_on_error_and_on_close() {
    for callback in ["open", "message", "part", "ping", "pong"] {
        let mut yard = yard(callback);
        let mut visitor = match callback {
            "open" => yard.connect().await,
            _ => yard.open().await,
        };
        let opcode = match callback {
            "ping" => Opcode::Ping,
            "pong" => Opcode::Pong,
            _ => Opcode::Text,
        };
        // What comes behind is not heard.
        for payload in ["x", "unheard"] {
            let sent = visitor.send_frame(opcode, payload.as_bytes()).await;
            sent.unwrap();
        }
        let close = loop {
            match visitor.next().await {
                Seen::Closed(close) => break close.unwrap(),
                other => assert_ne!(other, Seen::HungUp, "no close frame"),
            }
        };
        assert_eq!(close.code, CloseCode::INTERNAL, "{callback}");
        let panics = match callback {
            "open" => "open".to_owned(),
            callback => format!("{callback} x"),
        };
        yard.wrote(&[
            &panics,
            "error the endpoint panicked: on purpose",
            "close 1011",
            "data dropped",
        ])
        .await;
        // The endpoint goes on.
        let mut other = yard.connect_at("/calm").await;
        yard.wrote(&["open"]).await;
        other.send_frame(Opcode::Ping, b"x").await.unwrap();
        yard.wrote(&["ping x"]).await;
    }
}

#[tokio::test]
async fn a_panic_in_on_error_or_on_close_is_the_last_of_the_session() {
    for (callback, last) in [("error", "close 1002"), ("close", "close 1002")] {
        let mut yard = yard(callback);
        let mut visitor = yard.open().await;
        // An unmasked frame (RFC 6455 §5.1).
        visitor.send_bytes(b"\x81\x01x").await.unwrap();
        drop(visitor);
        let error = "error the peer broke the WebSocket protocol: frame of a client without a mask";
        yard.wrote(&[error, last, "data dropped"]).await;
    }
}

#[tokio::test]
async fn a_panic_in_on_handshake_is_answered_with_500_and_the_next_comes_in() {
    let mut yard = yard("handshake");
    let refused = yard.harness.connect("/diary/handshake").await;
    assert!(
        matches!(
            refused,
            Err(Failed::Refused(StatusCode::INTERNAL_SERVER_ERROR, _))
        ),
        "{refused:?}"
    );
    let _visitor = yard.connect_at("/calm").await;
    yard.wrote(&["open"]).await;
}

/// Writes down what happens, and panics in the callback that the path names.
struct Diary(mpsc::UnboundedSender<String>);

impl Diary {
    fn write<D: AsRef<Data> + ?Sized>(&self, session: &Session<D>, line: String) {
        let _ = self.0.send(line.clone());
        let callback = line.split(' ').next();
        assert!(
            session.request().path().strip_prefix("/diary/") != callback,
            "on purpose"
        );
    }
}

/// Says when it is dropped.
struct Data(mpsc::UnboundedSender<String>);

impl AsRef<Data> for Data {
    fn as_ref(&self) -> &Data {
        self
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = self.0.send("data dropped".to_owned());
    }
}

impl Endpoint for Diary {
    type Data = Data;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<Data, Refusal> {
        assert_ne!(handshake.path(), "/diary/handshake", "on purpose");
        handshake.settings_mut().in_parts = handshake.path() == "/diary/part";
        Ok(Data(self.0.clone()))
    }

    async fn on_open(&self, session: &Session<Data>) {
        self.write(session, "open".into());
    }

    async fn on_message(&self, session: &Session<Data>, message: Message) {
        let text = message.as_text().unwrap();
        match text {
            "ping me" => session.ping(b"from the server").unwrap(),
            "close me" => session.close(CloseCode::NORMAL, "bye"),
            "flood me" => session.send("x".repeat(1 << 19)).unwrap(),
            _ => {}
        }
        self.write(session, format!("message {text}"));
    }

    async fn on_part(&self, session: &Session<Data>, part: Part) {
        let text = part.data.as_text().unwrap().to_owned();
        self.write(session, format!("part {text}"));
    }

    async fn on_ping(&self, session: &Session<Data>, payload: &[u8]) {
        let payload = String::from_utf8_lossy(payload);
        self.write(session, format!("ping {payload}"));
    }

    async fn on_pong(&self, session: &Session<Data>, payload: &[u8]) {
        let payload = String::from_utf8_lossy(payload);
        self.write(session, format!("pong {payload}"));
    }

    async fn on_error(&self, session: &Session<Data>, error: &Error) {
        self.write(session, format!("error {error}"));
    }

    async fn on_close(&self, session: &Session<Data>, closed: &Closed) {
        self.write(session, format!("close {}", closed.code));
        if session.request().path() == "/diary/slow-close" {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.write(session, "on_close ends".into());
        }
    }
}

struct Yard {
    harness: Harness,
    path: String,
    lines: mpsc::UnboundedReceiver<String>,
}

/// An endpoint that panics in this callback.
fn yard(panics_in: &str) -> Yard {
    let (sender, lines) = mpsc::unbounded_channel();
    let mut settings = Settings::default();
    settings.heartbeat = Duration::MAX;
    let mount = Mount::<Diary>::new(Diary(sender))
        .at("/calm")
        .at("/diary/{callback}")
        .settings(settings);
    let path = match panics_in {
        "" => "/calm".into(),
        callback => format!("/diary/{callback}"),
    };
    Yard {
        harness: Harness::new(mount.into_router()),
        path,
        lines,
    }
}

impl Yard {
    async fn connect(&self) -> Visitor {
        self.connect_at(&self.path).await
    }

    async fn connect_at(&self, path: &str) -> Visitor {
        self.harness.connect(path).await.unwrap()
    }

    /// Connects and waits for `on_open`.
    async fn open(&mut self) -> Visitor {
        let visitor = self.connect().await;
        self.wrote(&["open"]).await;
        visitor
    }

    /// Waits for these lines, the next to be written.
    async fn wrote(&mut self, expected: &[&str]) {
        for expected in expected {
            let line = timeout(PATIENCE, self.lines.recv()).await;
            assert_eq!(line.unwrap().as_deref(), Some(*expected));
        }
    }
}
