//! A life: what people do, what goes wrong, and what is to be true all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rooms::{CallId, Serve, ServiceName};

use super::book::{Book, Serving, Worker};
use super::disk::{Disk, Done, Row, Write};
use crate::open::Place;
use crate::tests::cafe::{GRACE, MILLI, SECOND, call, done, id, line, service, user};
use crate::{Calls, Effect, Limits, NotHeld, RETRY, WorkerId};

const NAMES: [&str; 2] = ["cafe", "bar"];
const USERS: [&str; 3] = ["kim", "park", "choi"];
const LONGEST: Duration = Duration::from_secs(60);

/// What is done with what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    Counted,
    Kept,
    Told,
}

/// What happened in a life.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) lines: Vec<String>,
}

impl Told {
    pub(super) fn add(&mut self, other: &Self) {
        for (event, count) in &other.counts {
            *self.counts.entry(event.clone()).or_default() += count;
        }
    }
}

pub(super) struct Life {
    rng: Rng,
    calls: Calls,
    limits: Limits,
    disk: Disk,
    book: Book,
    now: Instant,
    begin: Instant,
    asked: u64,
    workers: u128,
    /// By whom a call that is about to end is answered.
    answering: BTreeMap<CallId, WorkerId>,
    trace: Trace,
    told: Told,
}

impl Life {
    /// Lives the life of a seed; panics where a promise is broken.
    pub(super) fn live(seed: u64, trace: Trace) -> Told {
        let mut rng = Rng::with_seed(seed);
        let limits = Limits {
            open: rng.usize(2..40),
            open_bytes: rng.usize(2_000..20_000),
            open_per_user: rng.usize(2..30),
            waiting: rng.usize(0..10),
            services: rng.usize(1..3),
            services_per_worker: rng.usize(1..3),
            grace: GRACE,
        };
        let now = Instant::now();
        let mut life = Self {
            calls: Calls::new(limits),
            limits,
            disk: Disk::default(),
            book: Book::default(),
            begin: now,
            now,
            asked: 0,
            workers: 0,
            answering: BTreeMap::new(),
            trace,
            told: Told::default(),
            rng,
        };
        for _ in 0..life.rng.usize(10..300) {
            life.step();
        }
        life.end();
        life.told
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..25 => self.ask(),
            25..33 => self.serve(),
            33..35 => self.unserve(),
            35..38 => self.leave(),
            38..52 => self.respond(),
            52..55 => self.cancel(),
            55..70 => self.disk.write(&mut self.rng),
            70..87 => self.hear(),
            87..97 => self.wait(),
            97 => self.restart(),
            _ => self.disk.failing = *self.rng.choice(&[0.0, 0.0, 0.2, 1.0]).unwrap(),
        }
        self.look();
    }

    fn tell(&mut self, event: &str, more: impl FnOnce() -> String) {
        *self.told.counts.entry(event.to_owned()).or_default() += 1;
        if self.trace == Trace::Counted {
            return;
        }
        let line = format!("{:?} {event} {}", self.now - self.begin, more());
        match self.trace {
            Trace::Told => println!("{line}"),
            _ => self.told.lines.push(line),
        }
    }

    /// Some call, be it open or not, or not yet asked.
    fn any_call(&mut self) -> CallId {
        id(self.rng.u64(..=self.asked) + 1)
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        let workers: Vec<_> = self.book.workers.keys().copied().collect();
        self.rng.choice(workers)
    }

    fn any_name(&mut self) -> &'static str {
        self.rng.choice(NAMES).unwrap()
    }

    fn ask(&mut self) {
        let millis = [MILLI, SECOND, SECOND * 20, LONGEST];
        let timeout = self.rng.choice(millis).unwrap();
        let params = "1".repeat(self.rng.usize(1..100));
        let (name, from) = (self.any_name(), self.rng.choice(USERS).unwrap());
        let call = call(self.asked + 1, name, from, &params, timeout);
        match self.calls.accept(call.clone(), self.now) {
            Ok(given_to) => {
                self.asked += 1;
                self.tell("ask", || format!("{} of {name} {given_to:?}", call.id));
                self.disk.ask(Write::Insert(Box::new(Row {
                    call,
                    deadline: self.now + timeout,
                    given_to,
                    answer: None,
                })));
            }
            Err(error) => {
                let code = serde_json::to_value(error.code).unwrap();
                self.tell(&format!("ask {}", code.as_str().unwrap()), String::new);
            }
        }
    }

    fn serve(&mut self) {
        let known = self.any_worker().filter(|_| self.rng.bool());
        if known.is_none() && self.book.workers.len() >= 5 {
            return;
        }
        let name = service(self.any_name());
        let id = known.unwrap_or_else(|| {
            self.workers += 1;
            WorkerId(self.workers)
        });
        let user = match self.book.workers.get(&id) {
            Some(worker) => worker.user.clone(),
            None => user(self.rng.choice(USERS).unwrap()),
        };
        let resume: BTreeSet<_> = (0..self.rng.usize(..20)).map(|_| self.any_call()).collect();
        let serve = Serve {
            service: name.clone(),
            concurrency: self.rng.u32(1..5),
            repeatable: self.rng.bool(),
            resume: resume.into_iter().collect(),
        };
        let due: Vec<_> = (serve.resume.iter().copied())
            .filter(|id| self.must_resume(*id, &user.id, &name))
            .collect();
        let Ok(resumed) = self.calls.serve(id, &user, serve.clone(), self.now) else {
            return;
        };
        self.tell("serve", || format!("{id:?} of {} {serve:?}", user.id));
        assert!(due.iter().all(|due| resumed.contains(due)), "{due:?}");
        let worker = self.book.workers.entry(id).or_insert_with(|| Worker {
            user,
            serves: BTreeMap::new(),
        });
        let holds = worker.serves.remove(&name).map(|serving| serving.holds);
        let serving = Serving {
            concurrency: serve.concurrency as usize,
            repeatable: serve.repeatable,
            leaving: false,
            holds: holds.unwrap_or_default(),
        };
        worker.serves.insert(name.clone(), serving);
        for call in resumed {
            self.tell("resumed", || format!("{call} by {id:?}"));
            self.book.resume(id, &name, call);
        }
    }

    fn must_resume(&self, id: CallId, user: &rooms::UserId, name: &ServiceName) -> bool {
        let open = self.calls.open.get(&id);
        let wanted = open.is_some_and(|open| open.ending.is_none() && open.call.service == *name);
        wanted && self.book.is_lost_to(id, user)
    }

    fn unserve(&mut self) {
        let name = service(self.any_name());
        let Some(id) = self.any_worker() else { return };
        let serving = self.book.workers.get_mut(&id).unwrap();
        let serving = serving.serves.get_mut(&name);
        let serves = serving.as_ref().is_some_and(|serving| !serving.leaving);
        assert_eq!(self.calls.unserve(id, &name, self.now), serves);
        if let Some(serving) = serving {
            serving.leaving = true;
            self.tell("unserve", || format!("{id:?} {name}"));
        }
    }

    fn leave(&mut self) {
        let Some(id) = self.any_worker() else { return };
        self.calls.leave(id, self.now);
        self.book.leave(id);
        self.tell("leave", || format!("{id:?}"));
    }

    /// Mostly who holds a call answers it, and now and then somebody else does.
    fn respond(&mut self) {
        let Some(worker) = self.any_worker() else {
            return;
        };
        let serves = self.book.workers[&worker].serves.values();
        let held: Vec<_> = serves.flat_map(|one| one.holds.clone()).collect();
        let any = self.any_call();
        let id = self.rng.choice(&held).filter(|_| self.rng.u8(..8) > 0);
        let id = id.copied().unwrap_or(any);
        let holds = held.contains(&id);
        match self.calls.respond(worker, id, done()) {
            Ok(()) => {
                assert!(holds, "{worker:?} answered {id} of others");
                self.answering.insert(id, worker);
            }
            Err(NotHeld::Ending) => assert!(holds),
            Err(NotHeld::NoSuchCall) => {
                assert!(!holds, "{worker:?} could not answer {id}");
                self.tell("late", || format!("{worker:?} {id}"));
            }
        }
    }

    fn cancel(&mut self) {
        let id = self.any_call();
        let row = self.disk.rows.get(&id);
        let is_open = row.is_some_and(|row| row.answer.is_none());
        assert!(!self.calls.cancel(id) || is_open);
    }

    /// The disk tells what it has done.
    fn hear(&mut self) {
        let Some(done) = self.disk.tell(&mut self.rng) else {
            return;
        };
        let (Done::Accepted(_, stored) | Done::Handed(_, stored) | Done::Answered(_, stored)) =
            done;
        self.tell(if stored { "stored" } else { "failure" }, || {
            format!("{done:?}")
        });
        match done {
            Done::Accepted(id, stored) => self.calls.accepted(id, stored, self.now),
            Done::Handed(id, stored) => self.calls.handed(id, stored, self.now),
            Done::Answered(id, stored) => {
                let by = self.answering.remove(&id);
                if let Some(by) = by.filter(|_| stored) {
                    self.book.end(by, id);
                }
                self.calls.answered(id, stored, self.now);
            }
        }
    }

    fn wait(&mut self) {
        let longest = [MILLI, SECOND / 2, SECOND * 3, GRACE, LONGEST];
        let longest = self.rng.choice(longest).unwrap();
        let nanos = u64::try_from(longest.as_nanos()).unwrap();
        let time = Duration::from_nanos(self.rng.u64(..=nanos));
        self.pass(time);
    }

    /// Time jumps, over whatever was due.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.calls.tick(self.now);
        let next = self.calls.next_due();
        assert!(next.is_none_or(|next| next > self.now), "busy for nothing");
    }

    fn restart(&mut self) {
        self.disk.kill(&mut self.rng);
        self.tell("restart", String::new);
        self.now += SECOND * self.rng.u32(..20);
        self.book.restart(&self.disk);
        self.answering.clear();
        self.calls = Calls::new(self.limits);
        let mut restored = 0;
        for row in self.disk.rows.values().filter(|row| row.answer.is_none()) {
            let left = row.deadline.saturating_duration_since(self.now);
            let (call, given_to) = (row.call.clone(), row.given_to.clone());
            self.calls.restore(call, given_to, left, self.now);
            restored += 1;
        }
        for _ in 0..restored {
            self.tell("restored", String::new);
        }
        // What is over its time is not handed out.
        self.calls.tick(self.now);
    }

    /// Does what is to be done, and looks whether it may be.
    fn look(&mut self) {
        let effects = self.calls.take_effects();
        self.look_at_order(&effects);
        for effect in effects {
            let event = match &effect {
                Effect::Request { again: true, .. } => "again",
                Effect::Request { .. } => "request",
                Effect::Cancelled { .. } => "cancelled",
                Effect::Hand { .. } => "hand",
                Effect::Answer { answer: Ok(_), .. } => "answer done",
                Effect::Answer {
                    answer: Err(failure),
                    ..
                } => &format!("answer {}", failure.code),
            };
            self.tell(event, || line(&effect));
            match effect {
                Effect::Request {
                    to,
                    call,
                    timeout,
                    again,
                } => {
                    let (disk, now) = (&self.disk, self.now);
                    self.book.request(to, call.id, timeout, again, disk, now);
                }
                Effect::Cancelled { to, call } => {
                    assert!(self.disk.rows[&call].answer.is_some());
                    assert!(self.book.end(to, call), "{to:?} was told of {call}");
                }
                Effect::Hand { call, to } => {
                    let row = &self.disk.rows[&call];
                    if row.given_to.as_ref().is_some_and(|before| *before != to) {
                        self.tell("given on", || call.to_string());
                    }
                    self.disk.ask(Write::Hand(call, to));
                }
                Effect::Answer { call, answer } => {
                    let row = &self.disk.rows[&call];
                    let code = answer
                        .as_ref()
                        .map_or_else(|error| &*error.code, |_| "done");
                    let holders = self.book.holders(call);
                    match code {
                        "done" => assert_eq!(holders, [self.answering[&call]]),
                        "timeout" => assert!(self.now >= row.deadline),
                        "unavailable" => assert!(holders.is_empty(), "{holders:?}"),
                        _ => assert_eq!(code, "cancelled"),
                    }
                    self.disk.ask(Write::Answer(call, answer));
                }
            }
        }
        self.book.forget_those_who_left();
        self.look_at_what_is_held();
        self.calls.check(self.now);
    }

    /// Nobody who waits longer waits still when a call is given to a worker to whom no place was kept.
    fn look_at_order(&self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Hand { call, .. } = effect else {
                continue;
            };
            let Some(open) = self.calls.open.get(call) else {
                continue;
            };
            let service = &self.calls.services[&open.call.service];
            let first = service.waiting.keys().next();
            assert!(first.is_none_or(|first| *first > open.order), "{call}");
        }
    }

    /// Workers and server are of one mind on what is with whom.
    fn look_at_what_is_held(&self) {
        let held = |place: &Place| match place {
            Place::Held(worker) => Some(*worker),
            _ => None,
        };
        let server: BTreeSet<_> = (self.calls.open.iter())
            .filter_map(|(id, open)| Some((*id, held(&open.place)?)))
            .collect();
        let mut workers = BTreeSet::new();
        for (id, worker) in &self.book.workers {
            for serving in worker.serves.values() {
                workers.extend(serving.holds.iter().map(|call| (*call, *id)));
            }
        }
        assert_eq!(server, workers);
    }

    /// Nothing goes wrong any more, and nobody does anything: every call ends in its time.
    fn end(&mut self) {
        self.disk.failing = 0.0;
        self.drain();
        let latest = self.now + LONGEST.max(GRACE) + RETRY;
        while let Some(due) = self.calls.next_due() {
            self.pass(due.saturating_duration_since(self.now));
            self.look();
            self.drain();
        }
        assert!(self.now <= latest, "a call ended late");
        for (id, row) in &self.disk.rows {
            assert!(row.answer.is_some(), "{id} is never answered");
        }
        for worker in std::mem::take(&mut self.book.workers).into_keys() {
            self.calls.leave(worker, self.now);
        }
        self.pass(GRACE);
        self.calls.check_empty();
    }

    fn drain(&mut self) {
        while !self.disk.is_idle() {
            self.disk.write(&mut self.rng);
            self.hear();
            self.look();
        }
    }
}
