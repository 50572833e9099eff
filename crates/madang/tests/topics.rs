//! Subscriptions: order, resuming, falling behind.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::sync::{Arc, Mutex};

use madang::{
    Endpoint, Frame, Handshake, Log, LogError, Message, Mount, Page, PageFuture, Refusal,
    RingLimits, Session, Start, Topic,
    harness::{Harness, Visitor},
};

#[tokio::test]
async fn all_subscribers_get_everything_in_one_order_the_sender_included() {
    let yard = Yard::in_memory(RingLimits::default());
    let mut visitors = yard.visitors(3).await;
    for visitor in &mut visitors {
        for number in 0..10 {
            visitor.send(&format!("publish {number}")).await.unwrap();
        }
    }
    let first = visitors[0].texts(30).await;
    assert_eq!(visitors[1].texts(30).await, first);
    assert_eq!(visitors[2].texts(30).await, first);
}

#[tokio::test]
async fn a_reply_comes_after_the_event_it_follows() {
    let yard = Yard::in_memory(RingLimits::default());
    let mut visitor = yard.visitors(1).await.remove(0);
    for _ in 0..20 {
        visitor.send("publish hello").await.unwrap();
        visitor.send("reply done").await.unwrap();
        assert_eq!(visitor.texts(2).await, ["hello", "done"]);
    }
}

#[tokio::test]
async fn what_is_sent_before_subscribing_comes_before_the_topics_frames() {
    let yard = Yard::in_memory(RingLimits::default());
    for number in 1..=5 {
        yard.topic.publish(format!("{number}").as_str());
    }
    let mut visitor = yard.harness.connect("/yard").await.unwrap();
    visitor.send("since 2").await.unwrap();
    assert_eq!(visitor.texts(4).await, ["since 2", "3", "4", "5"]);
}

#[tokio::test]
async fn subscribing_again_moves_the_place_and_doubles_nothing() {
    let yard = Yard::in_memory(RingLimits::default());
    let mut visitor = yard.visitors(1).await.remove(0);
    yard.topic.publish("1");
    assert_eq!(visitor.texts(1).await, ["1"]);
    visitor.send("since 0").await.unwrap();
    assert_eq!(visitor.texts(2).await, ["since 0", "1"]);
    yard.topic.publish("2");
    yard.topic.publish("3");
    assert_eq!(visitor.texts(2).await, ["2", "3"]);
    assert_eq!(yard.topic.subscribers(), 1);
}

#[tokio::test]
async fn unsubscribing_ends_delivery() {
    let yard = Yard::in_memory(RingLimits::default());
    let mut visitor = yard.visitors(1).await.remove(0);
    visitor.send("unsubscribe").await.unwrap();
    assert_eq!(visitor.texts(1).await, ["unsubscribed"]);
    yard.topic.publish("unheard");
    visitor.send("reply still here").await.unwrap();
    assert_eq!(visitor.texts(1).await, ["still here"]);
    assert_eq!(yard.topic.subscribers(), 0);
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_topics() {
    let yard = Yard::in_memory(RingLimits::default());
    drop(yard.visitors(3).await);
    while yard.topic.subscribers() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_from_the_log_what_has_left_the_ring() {
    let yard = Yard::with_log(RingLimits {
        frames: 4,
        bytes: 1 << 20,
    });
    let mut visitor = yard.visitors(1).await.remove(0);
    // More than the pipe holds, and far more than the ring.
    let long = "x".repeat(1000);
    for number in 1..=1000 {
        yard.publish(&format!("{number} {long}"));
    }
    let numbers: Vec<String> = visitor
        .events(1000)
        .await
        .iter()
        .map(|text| text.replace(&*long, ""))
        .collect();
    let expected: Vec<String> = (1..=1000).map(|number| format!("{number} ")).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_hole_in_the_topic_is_filled_from_the_log() {
    let yard = Yard::with_log(RingLimits::default());
    let mut visitor = yard.visitors(1).await.remove(0);
    yard.publish("1");
    yard.log
        .events
        .lock()
        .unwrap()
        .extend(["2".to_owned(), "3".to_owned(), "4".to_owned()]);
    assert!(yard.topic.append(4, "4"));
    assert!(
        !yard.topic.append(3, "3"),
        "an event that was filled is a duplicate"
    );
    assert_eq!(visitor.events(4).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn without_a_log_the_gap_is_told_before_the_next_event() {
    let yard = Yard::in_memory(RingLimits {
        frames: 2,
        bytes: 1 << 20,
    });
    for number in 1..=10 {
        yard.topic.publish(format!("{number}").as_str());
    }
    let mut visitor = yard.harness.connect("/yard").await.unwrap();
    visitor.send("since 3").await.unwrap();
    assert_eq!(
        visitor.texts(4).await,
        ["since 3", "lost 4 to 8", "9", "10"]
    );
}

#[tokio::test]
async fn a_passing_frame_reaches_everyone_but_one() {
    let yard = Yard::with_log(RingLimits::default());
    let mut visitors = yard.visitors(2).await;
    visitors[0].send("pass psst").await.unwrap();
    visitors[0].send("publish 1").await.unwrap();
    assert_eq!(visitors[0].texts(1).await, ["1"]);
    assert_eq!(visitors[1].texts(2).await, ["psst", "1"]);

    // Who comes later gets the event and not what passed before.
    let mut late = yard.harness.connect("/yard").await.unwrap();
    late.send("since 0").await.unwrap();
    late.send("publish 2").await.unwrap();
    assert_eq!(late.texts(3).await, ["since 0", "1", "2"]);
}

#[tokio::test]
async fn who_was_behind_is_told_what_stands_for_the_passing_frames_it_missed() {
    let yard = Yard::with_log(RingLimits {
        frames: 4,
        bytes: 1 << 20,
    });
    for number in 1..=9 {
        yard.publish(&number.to_string());
        yard.topic.pass("missed", None);
    }
    let mut visitor = yard.harness.connect("/yard").await.unwrap();
    visitor.send("since 0").await.unwrap();
    let mut texts = visitor.texts(11).await;
    let caught_up = texts.iter().position(|text| text == "caught up").unwrap();
    texts.remove(caught_up);
    let expected: Vec<_> = (1..=9).map(|number| number.to_string()).collect();
    assert_eq!(texts[1..], expected);
    yard.topic.pass("heard", None);
    assert_eq!(visitor.texts(1).await, ["heard"]);
}

#[tokio::test]
async fn who_misses_nothing_but_what_passes_is_told_what_stands_for_it() {
    let yard = Yard::with_log(RingLimits {
        frames: 4,
        bytes: 1 << 20,
    });
    let mut visitor = yard.visitors(1).await.remove(0);
    yard.topic.pass("first", None);
    assert_eq!(visitor.texts(1).await, ["first"]);
    // More than the pipe holds, and far more than the ring; the reader's task is at work all the while.
    for number in 0..1000 {
        yard.topic.pass(format!("{number:<1000}"), None);
        tokio::task::yield_now().await;
    }
    yard.publish("event");
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "event") {
        texts.extend(visitor.texts(1).await);
    }
    texts.pop();
    assert_eq!(texts.pop().as_deref(), Some("caught up"));
    assert!(texts.is_sorted_by_key(|text| text.trim_end().parse::<u32>().unwrap()));
    assert!(texts.len() < 1000, "nothing was missed");
    yard.topic.pass("heard", None);
    assert_eq!(visitor.texts(1).await, ["heard"]);
}

#[tokio::test]
async fn moving_a_subscription_lets_nothing_of_the_old_place_follow_the_reply() {
    let yard = Yard::with_log(RingLimits::default());
    let mut visitor = yard.visitors(1).await.remove(0);
    for round in 1..=200 {
        yard.publish(&round.to_string());
        visitor.send(&format!("publish {round} too")).await.unwrap();
        visitor.send("move 0").await.unwrap();
        while visitor.texts(1).await != ["moved"] {}
        assert_eq!(visitor.texts(1).await, ["1"]);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_closes_the_session_and_skips_nothing() {
    let yard = Yard::with_log(RingLimits {
        frames: 1,
        bytes: 1 << 20,
    });
    for _ in 0..5 {
        // The log has no events at all, though the topic has had five.
        yard.topic.publish("event");
    }
    let mut visitor = yard.harness.connect("/yard").await.unwrap();
    visitor.send("since 0").await.unwrap();
    assert_eq!(visitor.texts(1).await, ["since 0"]);
    let madang::harness::Seen::Closed(Some(close)) = visitor.next().await else {
        panic!("no close frame")
    };
    assert_eq!(close.code, madang::CloseCode::OVERLOADED);
    assert_eq!(close.reason, "the log cannot be read now");
}

#[tokio::test]
async fn those_who_are_behind_in_one_place_share_what_is_read() {
    let yard = Yard::with_log(RingLimits {
        frames: 1,
        bytes: 1 << 20,
    });
    for number in 1..=7 {
        yard.publish(&number.to_string());
    }
    let shut = yard.log.gate.lock().await;
    let mut visitors = Vec::new();
    for since in [0, 1, 2, 0] {
        let mut visitor = yard.harness.connect("/yard").await.unwrap();
        visitor.send(&format!("since {since}")).await.unwrap();
        assert_eq!(visitor.texts(1).await, [format!("since {since}")]);
        visitors.push((since, visitor));
    }
    drop(shut);
    for (since, visitor) in &mut visitors {
        let rest: Vec<String> = (*since + 1..=7).map(|number| number.to_string()).collect();
        assert_eq!(visitor.events(rest.len()).await, rest);
    }
    assert_eq!(*yard.log.read.lock().unwrap(), [0, 3]);
}

/// One topic, and an endpoint that does with it as it is told.
struct Yard {
    topic: Topic,
    log: Memory,
    harness: Harness,
}

impl Yard {
    fn in_memory(limits: RingLimits) -> Self {
        let notice = |from, to| Frame::text(format!("lost {from} to {to}"));
        Self::new(Topic::in_memory(limits, notice), Memory::default())
    }

    fn with_log(limits: RingLimits) -> Self {
        let log = Memory::default();
        Self::new(Topic::new(0, limits, log.clone()), log)
    }

    fn new(topic: Topic, log: Memory) -> Self {
        let endpoint = Obedient {
            topic: topic.clone(),
            log: log.clone(),
        };
        let harness = Harness::new(Mount::new(endpoint).at("/yard").into_router());
        Self {
            topic,
            log,
            harness,
        }
    }

    fn publish(&self, text: &str) {
        self.log.events.lock().unwrap().push(text.to_owned());
        self.topic.publish(text);
    }

    /// Visitors subscribed from now.
    async fn visitors(&self, count: usize) -> Vec<Visitor> {
        let mut visitors = Vec::new();
        for _ in 0..count {
            let mut visitor = self.harness.connect("/yard").await.unwrap();
            visitor.send("subscribe").await.unwrap();
            assert_eq!(visitor.texts(1).await, ["subscribed"]);
            visitors.push(visitor);
        }
        visitors
    }
}

/// A log of at most three events a page.
#[derive(Clone, Default)]
struct Memory {
    events: Arc<Mutex<Vec<String>>>,
    /// Behind which event each page began.
    read: Arc<Mutex<Vec<u64>>>,
    /// Nothing is read while it is locked.
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl Log for Memory {
    fn page(&self, after: u64, until: u64) -> PageFuture {
        let Self { events, read, gate } = self.clone();
        Box::pin(async move {
            read.lock().unwrap().push(after);
            let _open = gate.lock().await;
            tokio::task::yield_now().await;
            let log = events.lock().unwrap();
            let last = until.min(after + 3);
            let texts = log
                .get(after as usize..last as usize)
                .ok_or_else(|| LogError("it is lost".to_owned()))?;
            Ok(Page {
                first: after + 1,
                frames: texts
                    .iter()
                    .map(|text| Frame::text(text.as_str()))
                    .collect(),
            })
        })
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        Frame::text(format!("lost {from} to {to}"))
    }

    fn caught_up(&self) -> Option<Frame> {
        Some(Frame::text("caught up"))
    }
}

struct Obedient {
    topic: Topic,
    log: Memory,
}

impl Endpoint for Obedient {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let text = message.as_text().unwrap();
        let (order, words) = text.split_once(' ').unwrap_or((text, ""));
        match order {
            "subscribe" => {
                session.send("subscribed").unwrap();
                session.subscribe(&self.topic, Start::Now).unwrap();
            }
            "since" => {
                session.send(text).unwrap();
                session
                    .subscribe(&self.topic, Start::After(words.parse().unwrap()))
                    .unwrap();
            }
            "move" => {
                let start = Start::After(words.parse().unwrap());
                session
                    .send_and_subscribe("moved", &self.topic, start)
                    .unwrap();
            }
            "unsubscribe" => {
                session.unsubscribe(&self.topic);
                session.send("unsubscribed").unwrap();
            }
            "publish" => {
                self.log.events.lock().unwrap().push(words.to_owned());
                self.topic.publish(words);
            }
            "pass" => self.topic.pass(words, Some(session.id())),
            "reply" => session.send(words).unwrap(),
            _ => panic!("no such order: {text}"),
        }
    }
}

trait Texts {
    /// The next messages but those that stand for missed passing frames.
    async fn events(&mut self, count: usize) -> Vec<String>;

    async fn texts(&mut self, count: usize) -> Vec<String>;
}

impl Texts for Visitor {
    async fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.texts(1).await);
            events.retain(|text| text != "caught up");
        }
        events
    }

    async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            match self.next_message().await {
                Some(Message::Text(text)) => texts.push(text.to_string()),
                other => panic!("{other:?} after {texts:?}"),
            }
        }
        texts
    }
}
