//! Sending: from anywhere, in order, bounded, and few writes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use madang::{
    AnySession, CloseCode, Closed, Endpoint, Frame, Handshake, Message, Mount, Refusal, RingLimits,
    SendError, Session, Settings, Side, Start, Topic, WhenFull,
    harness::{Harness, Seen, Visitor},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything takes that works, on a clock that may be paused.
const PATIENCE: Duration = Duration::from_secs(20);

// Awaiting the flush

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_a_peer_that_does_not_read() {
    let mut yard = yard(|_| {}).await;
    yard.session.send("x".repeat(1 << 20)).unwrap();
    let flush = spawn_flush(&yard.session);
    assert!(timeout(PATIENCE, yard.session.flush()).await.is_err());
    assert!(!flush.is_finished());
    assert_eq!(yard.text().await.len(), 1 << 20);
    assert_eq!(flush.await.unwrap(), Ok(()));
    assert_eq!(yard.session.flush().await, Ok(()), "nothing waits");
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_when_the_session_does_and_no_on_close_keeps_it() {
    let (endpoint, _) = Quiet::new();
    let mount = Mount::<Quiet>::new(endpoint).at("/quiet");
    let (sessions, harness) = (mount.sessions(), Harness::new(mount.into_router()));
    let visitor = harness.connect("/quiet?never-closed").await.unwrap();
    let session = sessions.all().remove(0);
    let flushing = session.clone();
    let flush = tokio::spawn(async move {
        flushing.send("x".repeat(1 << 20)).unwrap();
        flushing.flush().await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!flush.is_finished());
    drop(visitor);
    let flushed = timeout(PATIENCE, flush).await.unwrap();
    assert_eq!(flushed.unwrap(), Err(SendError::Closed));
    assert_eq!(session.flush().await, Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_a_full_session_waits_for_room() {
    for when_full in [WhenFull::Refuse, WhenFull::Close] {
        let mut yard = yard(|settings| {
            settings.max_outgoing = 102;
            settings.when_full = when_full;
        })
        .await;
        yard.session.send("x".repeat(100)).unwrap();
        assert_eq!(yard.session.flush().await, Ok(()));
        yard.session.send("y".repeat(100)).unwrap();
        assert_eq!(yard.text().await, "x".repeat(100));
        assert_eq!(yard.text().await, "y".repeat(100));
    }
}

// Order

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_task_sends_keeps_its_order() {
    const TASKS: usize = 8;
    const EACH: usize = 500;
    let mut yard = yard(|_| {}).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let session = yard.session.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    session.send(format!("{task} {number}")).unwrap();
                    if number % 50 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let mut next = [0; TASKS];
    for _ in 0..TASKS * EACH {
        let text = yard.text().await;
        let (task, number) = text.split_once(' ').unwrap();
        let next = &mut next[task.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*next), "task {task}");
        *next += 1;
    }
    assert_eq!(next, [EACH; TASKS]);
    join_all(tasks).await;
}

// The bound. The session's task does not run before the test awaits something, so that what is sent
// until then waits. A frame of up to 125 bytes has a header of 2.

#[tokio::test]
async fn of_several_messages_all_are_sent_or_none() {
    let mut yard = yard(|settings| settings.max_outgoing = 100).await;
    let eleven = ["12345678"; 11];
    assert_eq!(yard.session.send_all(eleven), Err(SendError::Full));
    assert_eq!(yard.session.send_all([""; 0]), Ok(()), "none at all");
    assert_eq!(yard.session.send_all(["12345678"; 10]), Ok(()));
    assert_eq!(yard.session.send_all([""]), Err(SendError::Full));
    for _ in 0..10 {
        assert_eq!(yard.text().await, "12345678");
    }
    yard.session.send("and on").unwrap();
    assert_eq!(yard.text().await, "and on");
}

#[tokio::test]
async fn messages_without_end_are_taken_no_further_than_what_fits() {
    let yard = yard(|settings| settings.max_outgoing = 100).await;
    let endless = std::iter::repeat("12345678");
    assert_eq!(yard.session.send_all(endless), Err(SendError::Full));
}

#[tokio::test]
async fn messages_may_be_made_of_what_the_session_is_sent_meanwhile() {
    let mut yard = yard(|_| {}).await;
    let session = yard.session.clone();
    let messages = (1..=2).map(|number| {
        session.send(format!("making {number}")).unwrap();
        number.to_string()
    });
    yard.session.send_all(messages).unwrap();
    for expected in ["making 1", "making 2", "1", "2"] {
        assert_eq!(yard.text().await, expected);
    }
}

#[tokio::test]
async fn at_the_bound_a_message_is_refused_and_the_session_goes_on() {
    let mut yard = yard(|settings| settings.max_outgoing = 102).await;
    assert_eq!(yard.session.send("x".repeat(101)), Err(SendError::Full));
    yard.session.send("y".repeat(100)).unwrap();
    assert_eq!(yard.session.send(""), Err(SendError::Full));
    assert_eq!(yard.text().await, "y".repeat(100));
    yard.session.send("z".repeat(100)).unwrap();
    assert_eq!(yard.text().await, "z".repeat(100));
    assert!(!yard.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_which_a_piece_is_taken_counts_until_all_of_it_is() {
    let mut yard = yard_over(16, |settings| settings.max_outgoing = 102).await;
    for text in ["x".repeat(100), "y".repeat(100)] {
        yard.session.send(text.clone()).unwrap();
        // Time passes when nobody has anything to do: the pipe is full.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(yard.session.send(""), Err(SendError::Full));
        assert_eq!(yard.text().await, text);
        assert_eq!(yard.session.flush().await, Ok(()));
    }
}

#[tokio::test]
async fn the_reason_of_1013_may_be_in_the_words_of_the_protocol() {
    let mut yard = yard(|settings| {
        settings.max_outgoing = 102;
        settings.when_full = WhenFull::Close;
        settings.overloaded = |words| format!("come back in 5 s; {words}");
    })
    .await;
    assert_eq!(yard.session.send("x".repeat(103)), Err(SendError::Full));
    let Seen::Closed(Some(close)) = yard.visitor.next().await else {
        panic!("no close frame")
    };
    assert_eq!(
        close.reason,
        "come back in 5 s; what is sent here is not being read"
    );
}

#[tokio::test]
async fn at_the_bound_a_session_is_closed_with_1013_where_it_is_to_get_everything() {
    let mut yard = yard(|settings| {
        settings.max_outgoing = 102;
        settings.when_full = WhenFull::Close;
    })
    .await;
    yard.session.send("y".repeat(100)).unwrap();
    assert!(!yard.session.is_closed());
    assert_eq!(yard.session.send(""), Err(SendError::Full));
    assert_eq!(yard.session.send(""), Err(SendError::Closed));
    // What was taken is sent all the same.
    assert_eq!(yard.text().await, "y".repeat(100));
    let Seen::Closed(Some(close)) = yard.visitor.next().await else {
        panic!("no close frame")
    };
    assert_eq!(close.code, CloseCode::OVERLOADED);
    assert_eq!(
        yard.closed.recv().await.unwrap(),
        Closed {
            code: CloseCode::OVERLOADED,
            reason: "what is sent here is not being read".into(),
            by: Side::Server,
            clean: true
        }
    );
}

// Few writes

#[tokio::test]
async fn messages_sent_together_are_one_write() {
    let mount = Mount::<Quiet>::new(Quiet::new().0).at("/quiet");
    let sessions = mount.sessions();
    let (mut pipe, writes) = counted(mount.into_router()).await;
    let session = sessions.all().remove(0);
    session.send("0").unwrap();
    let mut frames = [0; 2 + 1];
    pipe.read_exact(&mut frames).await.unwrap();
    assert_eq!(&frames, b"\x81\x010");

    let before = writes.load(Ordering::SeqCst);
    for number in 0..100 {
        session.send((number % 10).to_string()).unwrap();
    }
    session.send_all(["x"; 100]).unwrap();
    session.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::SeqCst) - before, 1);
    let mut frames = vec![0; 200 * (2 + 1)];
    pipe.read_exact(&mut frames).await.unwrap();
    assert_eq!(&frames[..6], b"\x81\x010\x81\x011");
    assert_eq!(&frames[597..], b"\x81\x01x");
}

// To many

#[tokio::test]
async fn an_event_reaches_everyone_but_one() {
    let (endpoint, _) = Quiet::new();
    let topic = endpoint.topic.clone();
    let mount = Mount::<Quiet>::new(endpoint).at("/quiet");
    let (sessions, harness) = (mount.sessions(), Harness::new(mount.into_router()));
    let mut visitors = Vec::new();
    for _ in 0..3 {
        visitors.push(harness.connect("/quiet").await.unwrap());
    }
    while topic.subscribers() < 3 {
        tokio::task::yield_now().await;
    }
    let all = sessions.all();
    for session in &all {
        topic.publish_except(session.id().to_string(), session.id());
    }
    topic.publish("end");
    let mut missed = Vec::new();
    for visitor in &mut visitors {
        let heard = [text(visitor).await, text(visitor).await];
        assert_eq!(text(visitor).await, "end");
        let ids = all.iter().map(|session| session.id().to_string());
        missed.extend(ids.filter(|id| !heard.contains(id)));
    }
    let mut ids: Vec<_> = all.iter().map(|session| session.id().to_string()).collect();
    ids.sort();
    missed.sort();
    assert_eq!(missed, ids, "each missed its own");
}

#[tokio::test]
async fn all_sessions_of_an_endpoint_can_be_sent_to() {
    let (endpoint, _) = Quiet::new();
    let mount = Mount::<Quiet>::new(endpoint).at("/quiet");
    let (sessions, harness) = (mount.sessions(), Harness::new(mount.into_router()));
    let mut visitors = Vec::new();
    for count in 1..=3 {
        visitors.push(harness.connect("/quiet").await.unwrap());
        assert_eq!(sessions.len(), count);
    }
    for session in sessions.all() {
        session.send(session.id().to_string()).unwrap();
    }
    for visitor in &mut visitors {
        let own = text(visitor).await;
        let named = |session: &AnySession| session.id().to_string() == own;
        assert!(sessions.all().iter().any(named));
    }
}

/// Says nothing itself; its sessions are subscribed to its topic.
struct Quiet {
    topic: Topic,
    closed: mpsc::UnboundedSender<Closed>,
}

impl Quiet {
    fn new() -> (Self, mpsc::UnboundedReceiver<Closed>) {
        let topic = Topic::in_memory(RingLimits::default(), |_, _| Frame::text("gap"));
        let (sender, closings) = mpsc::unbounded_channel();
        let closed = sender;
        (Self { topic, closed }, closings)
    }
}

impl Endpoint for Quiet {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        // Where nothing at all may wait, there is no subscription.
        let _ = session.subscribe(&self.topic, Start::Now);
    }

    async fn on_message(&self, _: &Session, message: Message) {
        panic!("not expected: {message:?}");
    }

    async fn on_close(&self, session: &Session, closed: &Closed) {
        assert_eq!(session.send("too late"), Err(SendError::Closed));
        if session.request().query() == Some("never-closed") {
            return pending().await;
        }
        let _ = self.closed.send(closed.clone());
    }
}

/// One open session, and both its ends.
struct Yard {
    visitor: Visitor,
    session: AnySession,
    closed: mpsc::UnboundedReceiver<Closed>,
}

async fn yard(change: impl FnOnce(&mut Settings)) -> Yard {
    yard_over(64 * 1024, change).await
}

/// The same over a pipe of so many bytes.
async fn yard_over(pipe: usize, change: impl FnOnce(&mut Settings)) -> Yard {
    let mut settings = Settings::default();
    change(&mut settings);
    let (endpoint, closed) = Quiet::new();
    let topic = endpoint.topic.clone();
    let mount = Mount::<Quiet>::new(endpoint)
        .at("/quiet")
        .settings(settings);
    let (sessions, harness) = (mount.sessions(), Harness::new(mount.into_router()));
    let visitor = harness.pipe(pipe).connect("/quiet").await.unwrap();
    let session = sessions.all().remove(0);
    // Behind `on_open` and what it sends, so that nothing waits.
    while topic.subscribers() == 0 {
        tokio::task::yield_now().await;
    }
    session.flush().await.unwrap();
    Yard {
        visitor,
        session,
        closed,
    }
}

impl Yard {
    async fn text(&mut self) -> String {
        text(&mut self.visitor).await
    }
}

async fn text(visitor: &mut Visitor) -> String {
    match visitor.next_message().await {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("no text but {other:?}"),
    }
}

fn spawn_flush(session: &AnySession) -> JoinHandle<Result<(), SendError>> {
    let session = session.clone();
    tokio::spawn(async move { session.flush().await })
}

/// A session over a pipe whose server's writes are counted.
async fn counted(router: Router) -> (DuplexStream, Arc<AtomicUsize>) {
    let (mut near, far) = duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let far = Counting(far, writes.clone());
    let service = TowerToHyperService::new(router);
    let server = http1::Builder::new().serve_connection(TokioIo::new(far), service);
    tokio::spawn(server.with_upgrades());
    let request = "GET /quiet HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    near.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await.unwrap());
    }
    (near, writes)
}

struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
