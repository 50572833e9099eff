//! Sessions in rooms that are written to at a steady rate: what one delivery costs.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use client::{Receiver, Sender};
use tokio::{
    sync::Notify,
    task::{coop::consume_budget, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    clock::Clock,
    latency::Latencies,
    order::{Faults, Order},
    process::Usage,
    report::Report,
    server::{self, Server},
    sessions,
    wire::{self, Message},
};

/// How long the last deliveries may take.
const LAST: Duration = Duration::from_secs(20);
/// How long one that is doubled may come after the last.
const DOUBLED: Duration = Duration::from_millis(300);

/// How much load.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Sessions in all.
    #[arg(long, default_value_t = Settings::default().sessions)]
    sessions: usize,
    /// Rooms, over which the sessions are spread.
    #[arg(long, default_value_t = Settings::default().rooms)]
    rooms: usize,
    /// Deliveries a second in all: a message in a room of 100 is 100 deliveries.
    #[arg(long, default_value_t = Settings::default().deliveries)]
    deliveries: u32,
    /// How long is measured.
    #[arg(long, default_value_t = Settings::default().seconds)]
    seconds: u32,
    /// How long the same load runs before that.
    #[arg(long, default_value_t = Settings::default().warm_up_seconds)]
    warm_up_seconds: u32,
    /// Length of a message's text.
    #[arg(long, default_value_t = Settings::default().text_bytes)]
    text_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sessions: 1000,
            rooms: 10,
            deliveries: 50_000,
            seconds: 30,
            warm_up_seconds: 2,
            text_bytes: 64,
        }
    }
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.rooms > 0 && settings.sessions >= settings.rooms && settings.deliveries > 0,
        "every room needs a session, and a session something to hear"
    );
    sessions::make_room(settings.sessions)?;
    let server = Server::start(options).await?;
    let result = load(&server, settings).await;
    server.end(result).await
}

async fn load(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let hearing = Rc::new(Hearing::new(settings.sessions));
    let mut members = open(server, settings, &hearing).await?;
    let mut heads = vec![0; settings.rooms];

    write(
        settings,
        settings.warm_up_seconds,
        &mut members,
        &mut heads,
        &hearing,
    )
    .await?;
    hearing.forget_latencies();
    let before = hearing.in_order.get();
    let began = Instant::now();
    let usage = Usage::now(server.id())?;
    write(
        settings,
        settings.seconds,
        &mut members,
        &mut heads,
        &hearing,
    )
    .await?;
    hearing.wait(&heads, &members).await;
    let took = began.elapsed();
    let usage = Usage::now(server.id())?.since(usage);
    let deliveries = (hearing.in_order.get() - before) as f64;
    sleep(DOUBLED).await;
    hearing.check(&heads)?;

    let mut latencies = hearing.latencies.borrow_mut();
    let [delivery, ok] = &mut *latencies;
    let name = format!(
        "rooms: {} sessions in {} rooms, {} deliveries/s for {} s",
        settings.sessions, settings.rooms, settings.deliveries, settings.seconds
    );
    Ok(Report::new(name)
        .add("deliveries", deliveries / took.as_secs_f64(), "/s")
        .add(
            "server CPU per delivery",
            usage.server.as_secs_f64() * 1e6 / deliveries,
            "µs",
        )
        .add("send to delivery, p50", delivery.percentile(50.0), "ms")
        .add("send to delivery, p99", delivery.percentile(99.0), "ms")
        .add("send to ok, p50", ok.percentile(50.0), "ms")
        .add("send to ok, p99", ok.percentile(99.0), "ms")
        .add("event", hearing.event_bytes.get() as f64, "bytes")
        .add_usage(usage, took))
}

/// The writing halves of the sessions, by room. Their reading halves are read from now on.
async fn open(
    server: &Server,
    settings: &Settings,
    hearing: &Rc<Hearing>,
) -> anyhow::Result<Vec<Vec<Sender>>> {
    let senders = sessions::open_all(settings.sessions, async |session| {
        let room = session % settings.rooms;
        let url = server.url(&format!("/ws/{}?name=guest-{session}", room_name(room)));
        let (sender, receiver) = sessions::open_in_room(&url).await?.split();
        spawn_local(hear(receiver, session, hearing.clone()));
        Ok(sender)
    });
    let mut members: Vec<Vec<Sender>> = (0..settings.rooms).map(|_| Vec::new()).collect();
    for (session, sender) in senders.await?.into_iter().enumerate() {
        members[session % settings.rooms].push(sender);
    }
    Ok(members)
}

fn room_name(room: usize) -> String {
    format!("bench-{room}")
}

/// Writes for so many seconds: to each room in turn, by each of its members in turn. A message that
/// is late is sent at once, and its latency counts from then.
async fn write(
    settings: &Settings,
    seconds: u32,
    members: &mut [Vec<Sender>],
    heads: &mut [u64],
    hearing: &Hearing,
) -> anyhow::Result<()> {
    let members_of_a_room = settings.sessions as f64 / settings.rooms as f64;
    let messages_a_second = f64::from(settings.deliveries) / members_of_a_room;
    let messages = (messages_a_second * f64::from(seconds)) as u64;
    let names: Vec<String> = (0..settings.rooms).map(room_name).collect();
    let start = Instant::now();
    for message in 0..messages {
        let due = start + Duration::from_secs_f64(message as f64 / messages_a_second);
        if due > Instant::now() {
            sleep_until(due).await;
        } else {
            consume_budget().await;
        }
        if let Some(failure) = hearing.failure.take() {
            return Err(failure);
        }
        let room = message as usize % settings.rooms;
        let turn = heads[room] as usize % members[room].len();
        let command = wire::send(&names[room], None, settings.text_bytes, hearing.clock.now());
        members[room][turn].send_text(&command).await?;
        heads[room] += 1;
    }
    sleep_until(start + Duration::from_secs(seconds.into())).await;
    Ok(())
}

/// What the sessions hear.
struct Hearing {
    clock: Clock,
    /// By session.
    orders: RefCell<Vec<Order>>,
    /// Of deliveries, and of `ok`s.
    latencies: RefCell<[Latencies; 2]>,
    /// Deliveries that came when they were due.
    in_order: Cell<u64>,
    oks: Cell<u64>,
    /// At which [`in_order`](Self::in_order) and [`oks`](Self::oks) all has come.
    expected: Cell<Option<(u64, u64)>>,
    /// All has come, or something failed.
    settled: Notify,
    failure: Cell<Option<anyhow::Error>>,
    event_bytes: Cell<usize>,
}

impl Hearing {
    fn new(sessions: usize) -> Self {
        Self {
            clock: Clock::start(),
            orders: RefCell::new((0..sessions).map(|_| Order::default()).collect()),
            latencies: RefCell::default(),
            in_order: Cell::new(0),
            oks: Cell::new(0),
            expected: Cell::new(None),
            settled: Notify::new(),
            failure: Cell::new(None),
            event_bytes: Cell::new(0),
        }
    }

    fn forget_latencies(&self) {
        self.latencies.take();
    }

    fn take(&self, session: usize, text: &str) -> anyhow::Result<()> {
        let [delivery, ok] = &mut *self.latencies.borrow_mut();
        match wire::read(text) {
            Message::Event { seq, sent } => {
                delivery.record(self.clock.since(sent));
                if self.orders.borrow_mut()[session].receive(seq) {
                    self.in_order.set(self.in_order.get() + 1);
                }
                self.event_bytes.set(text.len());
            }
            Message::Ok { sent, .. } => {
                ok.record(self.clock.since(sent));
                self.oks.set(self.oks.get() + 1);
            }
            Message::Error => anyhow::bail!("the server said {text}"),
            Message::Hello | Message::Subscribed | Message::Other => {}
        }
        if self.expected.get() == Some((self.in_order.get(), self.oks.get())) {
            self.settled.notify_one();
        }
        Ok(())
    }

    fn fail(&self, error: anyhow::Error) {
        self.failure.set(Some(error));
        self.settled.notify_one();
    }

    /// Waits until all that was written has come, but not for ever.
    async fn wait(&self, heads: &[u64], members: &[Vec<Sender>]) {
        let rooms = heads.iter().zip(members);
        let deliveries = rooms
            .map(|(head, members)| head * members.len() as u64)
            .sum();
        let expected = (deliveries, heads.iter().sum());
        self.expected.set(Some(expected));
        if (self.in_order.get(), self.oks.get()) != expected {
            // When it does not settle, `check` finds what has not come.
            let _ = timeout(LAST, self.settled.notified()).await;
        }
    }

    /// Whether every promise was kept.
    fn check(&self, heads: &[u64]) -> anyhow::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut faults = Faults::default();
        for (session, order) in self.orders.borrow().iter().enumerate() {
            faults.add(order.faults(heads[session % heads.len()]));
        }
        faults.check()?;
        let (oks, sent) = (self.oks.get(), heads.iter().sum::<u64>());
        anyhow::ensure!(oks == sent, "{sent} messages were sent and {oks} ok came");
        Ok(())
    }
}

async fn hear(mut receiver: Receiver, session: usize, hearing: Rc<Hearing>) {
    loop {
        let heard = sessions::next_text(receiver.next().await)
            .and_then(|text| hearing.take(session, &text))
            .with_context(|| format!("session {session}"));
        if let Err(error) = heard {
            return hearing.fail(error);
        }
    }
}
