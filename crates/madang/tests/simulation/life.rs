//! A life: people, a machine, and what goes wrong, all from one seed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use madang::RingLimits;
use tokio::{
    runtime::Builder,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    disk::Disk,
    person::Person,
    server::{Machine, Server},
};

/// Events of a page at most.
pub(crate) const LONGEST_PAGE: usize = 6;

/// What is done with what people and servers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    Counted,
    Kept,
    Told,
}

/// What happened in a life.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) events: u64,
    pub(crate) received: u64,
    pub(crate) gaps: u64,
    pub(crate) passed: u64,
    pub(crate) caught_up: u64,
    pub(crate) failures: u64,
    pub(crate) retries: u64,
    pub(crate) kills: u64,
    pub(crate) cuts: u64,
    pub(crate) moves: u64,
    /// Most bytes of events in memory at once.
    pub(crate) memory: usize,
    /// Most bytes of events on a disk.
    pub(crate) stored: usize,
    pub(crate) lines: Vec<String>,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.received += other.received;
        self.gaps += other.gaps;
        self.passed += other.passed;
        self.caught_up += other.caught_up;
        self.failures += other.failures;
        self.retries += other.retries;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.moves += other.moves;
        self.memory = self.memory.max(other.memory);
        self.stored = self.stored.max(other.stored);
    }

    pub(crate) fn assert_eventful(&self) {
        let counts = [
            self.events,
            self.received,
            self.gaps,
            self.passed,
            self.caught_up,
            self.failures,
            self.retries,
            self.kills,
            self.cuts,
            self.moves,
        ];
        assert!(counts.iter().all(|count| *count > 0), "{self:?}");
        assert!(self.memory < self.stored / 2, "all is in memory: {self:?}");
    }
}

/// Chance, trouble, and the book of what happened.
pub(crate) struct Luck {
    pub(crate) rng: Rng,
    /// Bytes that a connection holds each way.
    pub(crate) pipe: usize,
    /// Letters of a message at most.
    pub(crate) letters: usize,
    /// Nothing goes wrong any more: everyone is to arrive.
    pub(crate) calm: bool,
    pub(crate) told: Told,
    trace: Trace,
}

impl Luck {
    /// Whether the disk fails now.
    pub(crate) fn fails(&mut self, rng: &mut Rng, chance: f64) -> bool {
        let fails = !self.calm && rng.f64() < chance;
        self.told.failures += u64::from(fails);
        fails
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        match self.trace {
            Trace::Counted => {}
            Trace::Kept => self.told.lines.push(line()),
            Trace::Told => println!("{}", line()),
        }
    }
}

/// Lives the life of a seed; panics where a promise is broken.
pub(crate) fn live(seed: u64, trace: Trace) -> Told {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(seed, trace))
}

async fn run(seed: u64, trace: Trace) -> Told {
    let mut rng = Rng::with_seed(seed);
    // One in fifty says much, so that what is kept in memory of it shows.
    let is_long = seed % 50 == 7;
    let machine = Machine {
        disk: Arc::new(Mutex::new(Disk::default())),
        ring: RingLimits {
            frames: rng.usize(1..12),
            bytes: rng.usize(100..4000),
        },
        memory: Arc::new(AtomicUsize::new(0)),
        begin: Instant::now(),
        luck: Arc::new(Mutex::new(Luck {
            pipe: rng.usize(64..2000),
            letters: if is_long { 3000 } else { 150 },
            rng: rng.fork(),
            calm: false,
            told: Told::default(),
            trace,
        })),
    };
    let (server, serving) = watch::channel(Server::start(&machine));
    let mut people = JoinSet::new();
    let count = rng.usize(1..6);
    for name in 0..count {
        let person = Person::new(name, rng.fork(), machine.clone(), serving.clone());
        people.spawn(person.live());
    }
    let (rounds, kill) = if is_long {
        (200, 0.0)
    } else {
        (rng.usize(1..20), 0.3)
    };
    for _ in 0..rounds {
        sleep(Duration::from_millis(rng.u64(1..200))).await;
        if rng.f64() < kill {
            server.borrow().kill();
            // People notice now, or only when nobody answers.
            sleep(Duration::from_millis(rng.u64(0..20))).await;
            machine.luck().told.kills += 1;
            machine.luck().tell(|| "killed".to_owned());
            server.send_replace(Server::start(&machine));
        }
        if rng.f64() < 0.3 {
            let mut disk = machine.disk();
            let floor = disk.floor() + rng.u64(0..=disk.head() - disk.floor());
            disk.forget(floor);
            machine.luck().tell(|| format!("forgotten up to {floor}"));
        }
        look_at_memory(&machine, count);
    }
    machine.luck().calm = true;
    // Virtual time: whoever is not there by then is stuck.
    let arrived = timeout(Duration::from_secs(600), async {
        while let Some(person) = people.join_next().await {
            if let Err(error) = person {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    });
    assert!(arrived.await.is_ok(), "someone never arrives");
    look_at_memory(&machine, count);
    let mut told = std::mem::take(&mut machine.luck().told);
    told.events = machine.disk().head();
    told.stored = machine.disk().bytes();
    told
}

/// What is in memory is bounded, however far behind people are: the ring, the pages that are shared,
/// and for each session a batch and the page that it is made of.
fn look_at_memory(machine: &Machine, people: usize) {
    /// What a batch takes before the budget is used up.
    const BATCH: usize = 64 * 1024;
    /// Pages that are kept for those who are behind, and one on its way.
    const PAGES: usize = 5;
    let memory = machine.memory.load(Ordering::Relaxed);
    let mut luck = machine.luck();
    luck.told.memory = luck.told.memory.max(memory);
    let longest = "말".len() * luck.letters + 50;
    let page = LONGEST_PAGE * longest;
    // A killed server's sessions last until their people notice.
    let servers = if luck.told.kills > 0 { 2 } else { 1 };
    let bound = machine.ring.bytes + longest + PAGES * page + people * (BATCH + longest + page);
    assert!(
        memory <= servers * bound,
        "{memory} bytes are in memory, of {bound}"
    );
}
