//! Topics over real connections, where rounds write in place of the readers' tasks.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use madang::{
    Compression, Endpoint, Frame, Handshake, Log, Mount, Page, PageFuture, Refusal, RingLimits,
    Session, SessionId, Settings, Start, Topic,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use websocket::{Decoder, Event, Limits, Role};

/// A room: whoever comes reads all of it.
struct Room {
    topic: Topic,
    visitors: Arc<Mutex<HashMap<String, Session<()>>>>,
}

impl Endpoint for Room {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        let name = session.param("name").unwrap().to_owned();
        session.subscribe(&self.topic, Start::After(0)).unwrap();
        session.send(format!("welcome {name}")).unwrap();
        self.visitors.lock().unwrap().insert(name, session.clone());
    }
}

struct Yard {
    topic: Topic,
    address: SocketAddr,
    visitors: Arc<Mutex<HashMap<String, Session<()>>>>,
}

impl Yard {
    async fn open(frames: usize) -> Self {
        let gap = |from, to| Frame::text(format!("gap {from} {to}"));
        Self::with(Topic::in_memory(limits(frames), gap)).await
    }

    async fn with(topic: Topic) -> Self {
        let visitors = Arc::default();
        let room = Room {
            topic: topic.clone(),
            visitors: Arc::clone(&visitors),
        };
        let mut settings = Settings::default();
        settings.compression = Some(Compression::default());
        // A ping would wake a session that was forgotten.
        settings.heartbeat = Duration::from_secs(600);
        let mount = Mount::new(room).at("/{name}").settings(settings);
        let app: Router = mount.into_router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            topic,
            address,
            visitors,
        }
    }

    async fn visit(&self, name: &str, compressed: bool) -> Visitor {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that one who does not read is soon full.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let extension = if compressed {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\n"
        } else {
            ""
        };
        let request = format!(
            "GET /{name} HTTP/1.1\r\nHost: yard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert_eq!(head.contains("permessage-deflate"), compressed, "{head}");
        let mut decoder = Decoder::new(
            Role::Client,
            Limits {
                max_message: usize::MAX,
            },
        );
        if compressed {
            decoder = decoder.inflating();
        }
        let mut visitor = Visitor {
            stream,
            decoder,
            unread: Vec::new(),
        };
        // The topic may have had something before.
        while visitor.next().await != format!("welcome {name}") {}
        visitor
    }

    fn id(&self, name: &str) -> SessionId {
        self.visitors.lock().unwrap()[name].id()
    }
}

fn limits(frames: usize) -> RingLimits {
    RingLimits {
        frames,
        bytes: usize::MAX,
    }
}

/// A log that keeps so many events, and hands them out a few at a time.
struct Kept(u64);

impl Log for Kept {
    fn page(&self, after: u64, until: u64) -> PageFuture {
        let until = until.min(self.0).min(after + 10);
        Box::pin(async move {
            Ok(Page {
                first: after + 1,
                frames: (after + 1..=until)
                    .map(|number| Frame::text(event(number)))
                    .collect(),
            })
        })
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        Frame::text(format!("gap {from} {to}"))
    }
}

/// A state that is told by frames that pass, and the log of a topic without events.
#[derive(Clone, Default)]
struct State(Arc<AtomicU64>);

impl State {
    fn set(&self, topic: &Topic, number: u64) {
        self.0.store(number, Ordering::Relaxed);
        topic.pass(format!("{number} {}", "마당".repeat(400)), None);
    }
}

impl Log for State {
    fn page(&self, _: u64, _: u64) -> PageFuture {
        panic!("there are no events")
    }

    fn gap(&self, _: u64, _: u64) -> Frame {
        panic!("there are no events")
    }

    fn caught_up(&self) -> Option<Frame> {
        let state = self.0.load(Ordering::Relaxed);
        Some(Frame::text(format!("{state} in all")))
    }
}

struct Visitor {
    stream: TcpStream,
    decoder: Decoder,
    unread: Vec<u8>,
}

impl Visitor {
    async fn next(&mut self) -> String {
        loop {
            let mut input = self.unread.as_mut_slice();
            let event = self.decoder.receive(&mut input).unwrap();
            let event = event.map(Event::into_owned);
            let left = input.len();
            self.unread.drain(..self.unread.len() - left);
            match event {
                Some(Event::Text(text)) => return text.into_owned(),
                Some(Event::Ping(_)) => continue,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let read = self.stream.read_buf(&mut self.unread);
            let read = timeout(Duration::from_secs(60), read).await;
            assert_ne!(read.expect("nothing comes").unwrap(), 0, "hung up");
        }
    }

    async fn expect(&mut self, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            assert_eq!(self.next().await, text);
        }
    }
}

/// What a text tells of the [state](State), and whether it tells all of it.
fn told(text: &str) -> (u64, bool) {
    let (state, rest) = text.split_once(' ').unwrap();
    (state.parse().unwrap(), rest == "in all")
}

fn event(number: u64) -> String {
    // Long enough to be compressed for those who want that.
    format!("event {number} {}", "마당".repeat(400))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_hear_everything_in_order_while_others_come_and_go() {
    let yard = Yard::open(1024).await;
    let mut stay = Vec::new();
    let mut go = Vec::new();
    // More than two rounds, those who leave among those who stay.
    for number in 0..150 {
        let visitor = yard.visit(&format!("stays{number}"), number % 3 == 0).await;
        stay.push(visitor);
        go.push(yard.visit(&format!("goes{number}"), false).await);
    }
    let topic = yard.topic.clone();
    let speaking = tokio::spawn(async move {
        for number in 1..=300 {
            topic.publish(event(number));
            if number % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let leaving = tokio::spawn(async move {
        for visitor in go {
            drop(visitor);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for visitor in &mut stay {
        visitor.expect((1..=300).map(event)).await;
    }
    speaking.await.unwrap();
    leaving.await.unwrap();
    let mut late = yard.visit("late", true).await;
    late.expect((1..=300).map(event)).await;
    yard.topic.publish("last");
    for visitor in stay.iter_mut().chain([&mut late]) {
        assert_eq!(visitor.next().await, "last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_delays_nobody_and_misses_nothing() {
    let yard = Yard::open(20_000).await;
    let mut quick = yard.visit("quick", false).await;
    let mut slow = [
        yard.visit("slow", false).await,
        yard.visit("compressed", true).await,
    ];
    const EVENTS: u64 = 5_000;
    for number in 1..=EVENTS {
        yard.topic.publish(event(number));
        if number % 50 == 0 {
            quick.expect((number - 49..=number).map(event)).await;
        }
    }
    for slow in &mut slow {
        slow.expect((1..=EVENTS).map(event)).await;
    }
    yard.topic.publish("and on");
    for visitor in slow.iter_mut().chain([&mut quick]) {
        assert_eq!(visitor.next().await, "and on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_left_behind_by_the_ring_is_told_the_gap_and_goes_on() {
    let yard = Yard::open(64).await;
    let mut quick = yard.visit("quick", false).await;
    let mut slow = yard.visit("slow", false).await;
    const EVENTS: u64 = 5_000;
    for number in 1..=EVENTS {
        yard.topic.publish(event(number));
        if number % 50 == 0 {
            quick.expect((number - 49..=number).map(event)).await;
        }
    }
    let mut next = 1;
    let mut gaps = 0;
    while next <= EVENTS {
        let text = slow.next().await;
        match text.strip_prefix("gap ") {
            Some(range) => {
                let (from, to) = range.split_once(' ').unwrap();
                assert_eq!(from.parse(), Ok(next));
                next = to.parse::<u64>().unwrap() + 1;
                gaps += 1;
            }
            None => {
                assert_eq!(text, event(next));
                next += 1;
            }
        }
    }
    assert!(gaps > 0, "nothing was left out: the reader was not slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_caught_up_from_the_log_is_on_the_rounds_again() {
    let yard = Yard::with(Topic::new(95, limits(4), Kept(95))).await;
    let mut visitors = Vec::new();
    for number in 0..5 {
        visitors.push(yard.visit(&format!("v{number}"), number % 2 == 0).await);
    }
    for visitor in &mut visitors {
        visitor.expect((1..=95).map(event)).await;
    }
    for number in 96..=120 {
        yard.topic.publish(event(number));
        for visitor in &mut visitors {
            assert_eq!(visitor.next().await, event(number));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_reaches_all_but_the_one_excepted() {
    let yard = Yard::open(1024).await;
    let mut visitors = Vec::new();
    for number in 0..10 {
        visitors.push(yard.visit(&format!("v{number}"), number % 2 == 0).await);
    }
    for number in 0..500 {
        let except = yard.id(&format!("v{}", number % 10));
        yard.topic.pass(event(number), Some(except));
        if number % 7 == 0 {
            // In its own order beside the frames that pass.
            yard.topic.publish(format!("stored {number}"));
        }
        tokio::task::yield_now().await;
    }
    for (place, visitor) in visitors.iter_mut().enumerate() {
        for number in 0..500 {
            if number % 10 != place as u64 {
                assert_eq!(visitor.next().await, event(number));
            }
            if number % 7 == 0 {
                assert_eq!(visitor.next().await, format!("stored {number}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_missed_by_nobody_who_reads_while_others_come_and_go() {
    let state = State::default();
    let yard = Yard::with(Topic::new(0, limits(1024), state.clone())).await;
    let mut stay = Vec::new();
    let mut go = Vec::new();
    // More than two rounds, whose readers take the places of those who leave.
    for number in 0..150 {
        go.push(yard.visit(&format!("goes{number}"), false).await);
        let visitor = yard.visit(&format!("stays{number}"), number % 3 == 0).await;
        stay.push(visitor);
    }
    let topic = yard.topic.clone();
    let passing = tokio::spawn(async move {
        for number in 1..=300 {
            state.set(&topic, number);
            // Now several go with one round, now a round is over before the next.
            if number % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(number % 7)).await;
            }
        }
    });
    let leaving = tokio::spawn(async move {
        for visitor in go {
            drop(visitor);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    for visitor in &mut stay {
        for number in 1..=300 {
            assert_eq!(told(&visitor.next().await), (number, false));
        }
    }
    passing.await.unwrap();
    leaving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_what_passes_knows_the_state_in_the_end() {
    let state = State::default();
    let yard = Yard::with(Topic::new(0, limits(64), state.clone())).await;
    let mut quick = yard.visit("quick", false).await;
    let mut slow = yard.visit("slow", false).await;
    const STATES: u64 = 5_000;
    for number in 1..=STATES {
        state.set(&yard.topic, number);
        if number % 50 == 0 {
            for number in number - 49..=number {
                assert_eq!(told(&quick.next().await), (number, false));
            }
        }
    }
    yard.topic.publish("end");
    let (mut known, mut missed) = (0, false);
    loop {
        let text = slow.next().await;
        if text == "end" {
            break;
        }
        let (state, in_all) = told(&text);
        assert!(in_all || state == known + 1, "{state} behind {known}");
        (known, missed) = (state, missed || in_all);
    }
    assert_eq!(known, STATES);
    assert!(missed, "the reader was not slow");
    // And it is on the rounds again.
    assert_eq!(quick.next().await, "end");
    state.set(&yard.topic, STATES + 1);
    for visitor in [&mut slow, &mut quick] {
        assert_eq!(told(&visitor.next().await), (STATES + 1, false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_window_what_is_said_waits_and_goes_out_together() {
    let yard = Yard::open(1024).await;
    let window = Duration::from_millis(400);
    yard.topic.set_window(window);
    let mut visitors = [
        yard.visit("plain", false).await,
        yard.visit("compressed", true).await,
    ];
    // Their tasks have come to rest: one at work would look for itself.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    yard.topic.publish("at once");
    for visitor in &mut visitors {
        assert_eq!(visitor.next().await, "at once");
    }
    for number in 0..10 {
        yard.topic.publish(event(number));
    }
    for visitor in &mut visitors {
        assert_eq!(visitor.next().await, event(0));
        assert!(began.elapsed() >= window, "{:?}", began.elapsed());
        visitor.expect((1..10).map(event)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_and_events_of_several_topics_keep_their_orders() {
    let yard = Yard::open(100_000).await;
    let mut visitor = yard.visit("one", false).await;
    let session = yard.visitors.lock().unwrap()["one"].clone();
    let other = Topic::in_memory(RingLimits::default(), |_, _| Frame::text("gap"));
    session.subscribe(&other, Start::Now).unwrap();
    // Both are spoken in at once, and the session is answered all the while.
    let topics = [yard.topic.clone(), other];
    let speakers = ["a", "b"].into_iter().zip(topics).map(|(name, topic)| {
        tokio::spawn(async move {
            for number in 0..100_u32 {
                topic.publish(format!("{name} {number}"));
                tokio::task::yield_now().await;
            }
        })
    });
    let speakers: Vec<_> = speakers.collect();
    let replies = tokio::spawn(async move {
        for number in 0..100_u32 {
            session.send(format!("r {number}")).unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut next = HashMap::from([("a", 0), ("b", 0), ("r", 0)]);
    for _ in 0..300 {
        let text = visitor.next().await;
        let (name, number) = text.split_once(' ').unwrap();
        let next = next.get_mut(name).unwrap();
        assert_eq!(number.parse(), Ok(*next), "{text}");
        *next += 1;
    }
    for speaker in speakers {
        speaker.await.unwrap();
    }
    replies.await.unwrap();
}
