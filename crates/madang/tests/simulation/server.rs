//! A server: one journal, one room, an endpoint that does what people ask. It can be killed.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use madang::{
    Endpoint, Frame, Handshake, Log, LogError, Message, Mount, Page, PageFuture, Refusal,
    RingLimits, Session, Settings, Start, Text, Topic, WhenFull, harness::Harness,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    disk::Disk,
    life::{LONGEST_PAGE, Luck},
};

/// What all servers of a life share.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) luck: Arc<Mutex<Luck>>,
    pub(crate) ring: RingLimits,
    pub(crate) begin: Instant,
    /// Bytes of events' frames that are in memory.
    pub(crate) memory: Arc<AtomicUsize>,
}

impl Machine {
    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(crate) fn luck(&self) -> MutexGuard<'_, Luck> {
        self.luck.lock().unwrap()
    }

    /// Milliseconds of this life.
    pub(crate) fn now(&self) -> u128 {
        self.begin.elapsed().as_millis()
    }

    fn rng(&self) -> Rng {
        self.luck().rng.fork()
    }

    fn event(&self, seq: u64, text: &str) -> Frame {
        let bytes = format!("event {seq} {text}").into_bytes();
        self.memory.fetch_add(bytes.len(), Ordering::Relaxed);
        let counted = Counted {
            bytes,
            memory: self.memory.clone(),
        };
        Frame::text(Text::try_from(Bytes::from_owner(counted)).unwrap())
    }
}

/// A frame's bytes, counted until nobody holds them.
struct Counted {
    bytes: Vec<u8>,
    memory: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.memory.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// One run of the server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) harness: Harness,
    journal: AbortHandle,
}

impl Server {
    pub(crate) fn start(machine: &Machine) -> Self {
        let head = machine.disk().head();
        let log = Stored {
            machine: machine.clone(),
            rng: Mutex::new(machine.rng()),
        };
        let topic = Topic::new(head, machine.ring, log);
        let (orders, queue) = unbounded_channel();
        let journal = tokio::spawn(journal(machine.clone(), topic.clone(), queue));
        let mut settings = Settings::default();
        settings.heartbeat = Duration::MAX;
        settings.max_outgoing = 4096;
        settings.max_message = 16 * 1024;
        settings.when_full = WhenFull::Close;
        let mount = Mount::new(Yard {
            orders,
            topic,
            machine: machine.clone(),
        })
        .at("/yard")
        .settings(settings);
        let pipe = machine.luck().pipe;
        Self {
            harness: Harness::new(mount.into_router()).pipe(pipe),
            journal: journal.abort_handle(),
        }
    }

    /// Ends it between two steps. Its sessions end when their people notice.
    pub(crate) fn kill(&self) {
        self.journal.abort();
    }
}

/// The room's log on the disk, which takes its time and may fail.
struct Stored {
    machine: Machine,
    rng: Mutex<Rng>,
}

impl Log for Stored {
    fn page(&self, after: u64, until: u64) -> PageFuture {
        let machine = self.machine.clone();
        let mut rng = self.rng.lock().unwrap().fork();
        Box::pin(async move {
            sleep(Duration::from_millis(rng.u64(0..30))).await;
            if machine.luck().fails(&mut rng, 0.02) {
                return Err(LogError("the disk failed".to_owned()));
            }
            let disk = machine.disk();
            let (first, texts) = disk.read(after, until, rng.u64(1..=LONGEST_PAGE as u64));
            let frames = (first..).zip(texts);
            Ok(Page {
                first,
                frames: frames.map(|(seq, text)| machine.event(seq, text)).collect(),
            })
        })
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        Frame::text(format!("gap {from} {to}"))
    }

    fn caught_up(&self) -> Option<Frame> {
        Some(Frame::text(format!("caught up {}", self.machine.now())))
    }
}

enum Order {
    Write { key: String, text: String },
    Subscribe { since: u64 },
}

/// Commits whatever waits, and tells of it in the order of the writes.
async fn journal(machine: Machine, topic: Topic, mut queue: UnboundedReceiver<(Session, Order)>) {
    let mut rng = machine.rng();
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        while batch.len() < 8
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        sleep(Duration::from_millis(rng.u64(0..10))).await;
        let failed = machine.luck().fails(&mut rng, 0.1);
        let places: Vec<_> = batch
            .iter()
            .map(|(_, order)| match order {
                Order::Write { key, text } if !failed => Some(machine.disk().store(key, text)),
                Order::Write { .. } => None,
                Order::Subscribe { .. } => (!failed).then_some((0, false)),
            })
            .collect();
        if rng.f64() < 0.2 {
            // Time for a kill between the disk and the world.
            sleep(Duration::from_millis(1)).await;
        }
        for ((session, order), place) in batch.into_iter().zip(places) {
            // Whoever has gone is told nothing.
            let _ = match (order, place) {
                (Order::Write { key, text }, Some((seq, new))) => {
                    if new {
                        topic.append(seq, machine.event(seq, &text));
                    }
                    session.send(format!("stored {key} {seq}"))
                }
                (Order::Write { key, .. }, None) => session.send(format!("unavailable {key}")),
                (Order::Subscribe { since }, Some(_)) => {
                    let reply = format!("since {since} {}", machine.now());
                    session.send_and_subscribe(reply, &topic, Start::After(since))
                }
                (Order::Subscribe { .. }, None) => session.send("unavailable since"),
            };
        }
    }
}

struct Yard {
    orders: UnboundedSender<(Session, Order)>,
    topic: Topic,
    machine: Machine,
}

impl Endpoint for Yard {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let words: Vec<_> = message.as_text().unwrap().splitn(3, ' ').collect();
        let order = match words[..] {
            ["write", key, text] => Order::Write {
                key: key.to_owned(),
                text: format!("{key} {text}"),
            },
            ["since", since] => Order::Subscribe {
                since: since.parse().unwrap(),
            },
            ["pass"] => {
                let head = self.topic.head();
                let frame = format!("pass {head} {}", self.machine.now());
                return self.topic.pass(frame, Some(session.id()));
            }
            _ => panic!("no such order: {words:?}"),
        };
        // A server that is killed answers nothing any more.
        let _ = self.orders.send((session.clone(), order));
    }
}
