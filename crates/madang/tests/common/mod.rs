//! An endpoint that keeps a diary of its callbacks.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use madang::{
    CloseCode, Closed, Endpoint, Error, Handshake, Message, Mount, Refusal, Session, Settings,
    harness::Harness,
};
use tokio::sync::{Notify, watch};

pub(crate) const MAX_MESSAGE: usize = 10_000;
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);

/// What the callbacks wrote, in order.
#[derive(Clone)]
pub(crate) struct Diary {
    lines: Arc<watch::Sender<Vec<String>>>,
    release: Arc<Notify>,
}

impl Diary {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Waits until the first session has ended.
    pub(crate) async fn ended(&self) {
        let closed = |lines: &Vec<String>| lines.iter().any(|line| line.starts_with("close"));
        self.lines.subscribe().wait_for(closed).await.unwrap();
    }

    /// Ends the wait of a session that was told to.
    pub(crate) fn release(&self) {
        self.release.notify_one();
    }

    fn write(&self, line: impl Into<String>) {
        self.lines.send_modify(|lines| lines.push(line.into()));
    }
}

/// A harness with the diary's endpoint at `/yard/{room}`.
pub(crate) fn diary() -> (Harness, Diary) {
    let diary = Diary {
        lines: Arc::default(),
        release: Arc::default(),
    };
    let mut settings = Settings::default();
    settings.max_message = MAX_MESSAGE;
    settings.heartbeat = HEARTBEAT;
    let mount = Mount::new(Keeper(diary.clone()))
        .at("/yard/{room}")
        .settings(settings);
    (Harness::new(mount.into_router()), diary)
}

struct Keeper(Diary);

impl Endpoint for Keeper {
    type Data = String;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<String, Refusal> {
        handshake.choose_protocol(&["v1"]);
        match handshake.param("room") {
            Some("secret") => Err(Refusal::new(StatusCode::FORBIDDEN, "not here")),
            room => Ok(room.unwrap_or_default().to_owned()),
        }
    }

    async fn on_open(&self, session: &Session<String>) {
        self.0.write("open");
        session.send("welcome").unwrap();
    }

    async fn on_message(&self, session: &Session<String>, message: Message) {
        let text = message.as_text().unwrap_or("binary").to_owned();
        match &*text {
            "slow" => {
                self.0.write("slow begins");
                tokio::task::yield_now().await;
                return self.0.write("slow ends");
            }
            "wait" => {
                session.send("waiting").unwrap();
                self.0.release.notified().await;
                session.send("released").unwrap();
            }
            "flood and close me" => {
                let long = "x".repeat(MAX_MESSAGE);
                for _ in 0..100 {
                    session.send(long.as_str()).unwrap();
                }
                session.close(CloseCode::RESTART, "later");
            }
            "close me" => {
                session.send("last words").unwrap();
                session.close(CloseCode::RESTART, "later");
            }
            "who am I" => {
                let request = session.request();
                let name = request.query_param("name").unwrap_or_default();
                let color = request.header("X-Color").unwrap_or("?");
                let protocol = session.protocol().unwrap_or("?");
                let key = request.header("sec-websocket-key");
                let room = session.param("room").unwrap_or("?");
                session
                    .send(format!("{room} {name} {color} {protocol} {key:?}"))
                    .unwrap();
            }
            "panic" => {
                self.0.write("message panic");
                panic!("on purpose");
            }
            _ => session.send(message).unwrap(),
        }
        self.0.write(format!("message {text}"));
    }

    async fn on_error(&self, session: &Session<String>, error: &Error) {
        self.0.write(format!("error {error}"));
        assert_ne!(
            session.request().query(),
            Some("panic=on_error"),
            "as the test asks"
        );
    }

    async fn on_close(&self, session: &Session<String>, closed: &Closed) {
        assert!(session.is_closed());
        let Closed {
            code,
            reason,
            by,
            clean,
        } = closed;
        self.0
            .write(format!("close {code} {reason} by {by:?} clean={clean}"));
    }
}
