//! The idle timeout, and heartbeats that are none.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::time::Duration;

use madang::{
    Close, CloseCode, Endpoint, Handshake, Message, Mount, Opcode, Refusal, Session, Settings,
    harness::{Harness, Seen, Visitor},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

const IDLE: Duration = Duration::from_secs(60);
/// Does not divide the idle timeout.
const HEARTBEAT: Duration = Duration::from_secs(25);

#[tokio::test(start_paused = true)]
async fn a_session_without_messages_is_closed_with_4008() {
    let mut visitor = connect().await;
    let begin = Instant::now();
    let close = Close::new(CloseCode::new(4008), "idle for too long");
    assert_eq!(end(&mut visitor).await, Seen::Closed(Some(close)));
    assert_eq!(begin.elapsed().as_secs(), IDLE.as_secs());
    assert_eq!(visitor.next().await, Seen::HungUp);
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_do_not_count() {
    let mut visitor = connect().await;
    let begin = Instant::now();
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Ping] {
        sleep(IDLE / 4).await;
        visitor.send_frame(opcode, b"").await.unwrap();
    }
    end(&mut visitor).await;
    assert_eq!(begin.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_begins_the_time_anew() {
    let mut visitor = connect().await;
    let begin = Instant::now();
    for _ in 0..10 {
        // Pings are answered meanwhile.
        let next = Instant::now() + IDLE - Duration::from_secs(1);
        while timeout_at(next, visitor.next()).await.is_ok() {}
        visitor.send("still here").await.unwrap();
    }
    end(&mut visitor).await;
    let last = 10 * (IDLE - Duration::from_secs(1));
    assert_eq!(begin.elapsed().as_secs(), (last + IDLE).as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_message_is_handled_is_not_the_peers() {
    let mut visitor = connect().await;
    let begin = Instant::now();
    visitor.send("work").await.unwrap();
    visitor.send("work").await.unwrap();
    let done = Some(Message::Text("done".into()));
    assert_eq!(visitor.next_message().await, done);
    assert_eq!(visitor.next_message().await, done);
    assert_eq!(begin.elapsed().as_secs(), 2 * WORK.as_secs());
    end(&mut visitor).await;
    assert_eq!(begin.elapsed().as_secs(), (2 * WORK + IDLE).as_secs());
}

#[tokio::test(start_paused = true)]
async fn who_closes_is_not_closed_as_idle() {
    let mut visitor = connect().await;
    let begin = Instant::now();
    visitor.send("close me").await.unwrap();
    // The close waits for an answer, longer than the idle timeout.
    sleep(2 * IDLE).await;
    let close = Close::new(CloseCode::NORMAL, "bye");
    assert_eq!(end(&mut visitor).await, Seen::Closed(Some(close)));
    assert_eq!(begin.elapsed().as_secs(), 2 * IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn times_that_no_clock_reaches_are_never() {
    let mut settings = Settings::default();
    settings.heartbeat = Duration::MAX;
    settings.idle_timeout = Some(Duration::MAX);
    settings.close_timeout = Duration::MAX;
    let mut visitor = connect_with(settings).await;
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    assert!(timeout(year, visitor.next()).await.is_err());
    visitor.send("close me").await.unwrap();
    let close = Close::new(CloseCode::NORMAL, "bye");
    assert_eq!(visitor.next().await, Seen::Closed(Some(close)));
}

/// How long a message is handled that asks for it.
const WORK: Duration = Duration::from_secs(100);

struct Worker;

impl Endpoint for Worker {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        match message.as_text() {
            Some("work") => {
                sleep(WORK).await;
                session.send("done").unwrap();
            }
            Some("close me") => session.close(CloseCode::NORMAL, "bye"),
            _ => {}
        }
    }
}

async fn connect() -> Visitor {
    let mut settings = Settings::default();
    settings.idle_timeout = Some(IDLE);
    settings.heartbeat = HEARTBEAT;
    settings.close_timeout = 10 * IDLE;
    connect_with(settings).await
}

async fn connect_with(settings: Settings) -> Visitor {
    let mount = Mount::<Worker>::new(Worker).at("/work").settings(settings);
    let harness = Harness::new(mount.into_router());
    harness.connect("/work").await.unwrap()
}

/// What comes behind pings, pongs and messages.
async fn end(visitor: &mut Visitor) -> Seen {
    loop {
        match visitor.next().await {
            Seen::Ping(_) | Seen::Pong(_) | Seen::Message(_) => {}
            end => return end,
        }
    }
}
