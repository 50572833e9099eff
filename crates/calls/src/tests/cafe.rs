//! What the tests are told in: workers and calls are numbers, and effects are lines.

use std::time::{Duration, Instant};

use rooms::{
    Answer, Call, CallId, Data, Error, ErrorCode, MethodName, Serve, ServiceName, Timestamp, User,
    UserId, UserName,
};

use crate::{Calls, Effect, Limits, NotHeld, WorkerId};

pub(super) const GRACE: Duration = Duration::from_secs(15);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MILLI: Duration = Duration::from_millis(1);

/// Calls that are driven by hand.
pub(super) struct Cafe {
    pub(super) calls: Calls,
    pub(super) now: Instant,
    pub(super) timeout: Duration,
    asked: u64,
}

impl Cafe {
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: Limits) -> Self {
        Self {
            calls: Calls::new(limits),
            now: Instant::now(),
            timeout: Duration::from_secs(60),
            asked: 0,
        }
    }

    /// A café with one worker of `kim`, who is number 1.
    pub(super) fn with_worker(serve: Serve) -> Self {
        let mut cafe = Self::new();
        cafe.serve(1, "kim", serve);
        cafe
    }

    /// The numbers of the calls that it goes on with.
    pub(super) fn serve(&mut self, worker: u128, name: &str, serve: Serve) -> Vec<u64> {
        self.try_serve(worker, name, serve).unwrap()
    }

    pub(super) fn try_serve(
        &mut self,
        worker: u128,
        name: &str,
        serve: Serve,
    ) -> Result<Vec<u64>, Error> {
        let resumed = self
            .calls
            .serve(WorkerId(worker), &user(name), serve, self.now)?;
        Ok(resumed.into_iter().map(number).collect())
    }

    pub(super) fn unserve(&mut self, worker: u128) -> bool {
        self.calls
            .unserve(WorkerId(worker), &service("cafe"), self.now)
    }

    pub(super) fn leave(&mut self, worker: u128) {
        self.calls.leave(WorkerId(worker), self.now);
    }

    /// A call that is on its way to the disk: its number, and with whom it is stored.
    pub(super) fn ask(&mut self) -> (u64, Option<UserId>) {
        let to = self.try_ask("cafe", "lee", "null").unwrap();
        (self.asked, to)
    }

    pub(super) fn try_ask(
        &mut self,
        name: &str,
        from: &str,
        params: &str,
    ) -> Result<Option<UserId>, Error> {
        let call = call(self.asked + 1, name, from, params, self.timeout);
        let to = self.calls.accept(call, self.now)?;
        self.asked += 1;
        Ok(to)
    }

    /// A call that is stored.
    pub(super) fn call(&mut self) -> u64 {
        let (call, _) = self.ask();
        self.accepted(call, true);
        call
    }

    pub(super) fn accepted(&mut self, call: u64, stored: bool) {
        self.calls.accepted(id(call), stored, self.now);
    }

    pub(super) fn handed(&mut self, call: u64, stored: bool) {
        self.calls.handed(id(call), stored, self.now);
    }

    pub(super) fn answered(&mut self, call: u64, stored: bool) {
        self.calls.answered(id(call), stored, self.now);
    }

    pub(super) fn respond(&mut self, worker: u128, call: u64) -> Result<(), NotHeld> {
        self.calls.respond(WorkerId(worker), id(call), done())
    }

    /// A worker's answer, and that it is stored.
    pub(super) fn finish(&mut self, worker: u128, call: u64) {
        self.respond(worker, call).unwrap();
        self.answered(call, true);
    }

    pub(super) fn cancel(&mut self, call: u64) -> bool {
        self.calls.cancel(id(call))
    }

    /// A call of an earlier run.
    pub(super) fn restore(&mut self, given_to: Option<&str>) -> u64 {
        self.asked += 1;
        let call = call(self.asked, "cafe", "lee", "null", self.timeout);
        let given_to = given_to.map(|name| user(name).id);
        self.calls.restore(call, given_to, self.timeout, self.now);
        self.asked
    }

    /// Time goes by; what was due meanwhile is seen to when it is due.
    pub(super) fn after(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.calls.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.calls.tick(self.now);
            assert!(self.calls.next_due().is_none_or(|next| next > self.now));
        }
        self.now = until;
    }

    /// The disk does all that it is asked to, until there is nothing left to do.
    pub(super) fn store_all(&mut self) {
        loop {
            let effects = self.calls.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Hand { call, .. } => self.calls.handed(call, true, self.now),
                    Effect::Answer { call, .. } => self.calls.answered(call, true, self.now),
                    Effect::Request { .. } | Effect::Cancelled { .. } => {}
                }
            }
        }
    }

    /// What is to be done, a line each, while all is in order.
    pub(super) fn effects(&mut self) -> Vec<String> {
        self.calls.check(self.now);
        self.calls.take_effects().iter().map(line).collect()
    }

    /// Nothing is left, when everyone has gone.
    pub(super) fn close(mut self) {
        for worker in 0..10 {
            self.leave(worker);
        }
        // Of what is not on its way this tells nothing.
        for call in 1..=self.asked {
            self.handed(call, true);
            self.answered(call, true);
        }
        self.store_all();
        self.after(GRACE);
        self.store_all();
        self.after(self.timeout + SECOND);
        self.calls.check(self.now);
        self.calls.check_empty();
    }
}

pub(super) fn limits() -> Limits {
    Limits {
        open: 100,
        open_bytes: 100_000,
        open_per_user: 100,
        waiting: 100,
        services: 100,
        services_per_worker: 100,
        grace: GRACE,
    }
}

/// Serves the café, no call twice.
pub(super) fn once(concurrency: u32) -> Serve {
    Serve {
        service: service("cafe"),
        concurrency,
        repeatable: false,
        resume: vec![],
    }
}

/// Serves the café; its calls may be repeated.
pub(super) fn again(concurrency: u32) -> Serve {
    Serve {
        repeatable: true,
        ..once(concurrency)
    }
}

/// Comes back to these.
pub(super) fn resume(serve: Serve, calls: &[u64]) -> Serve {
    Serve {
        resume: calls.iter().map(|call| id(*call)).collect(),
        ..serve
    }
}

pub(super) fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

pub(super) fn user(name: &str) -> User {
    User {
        id: UserId::parse(&format!("u_{name}")).unwrap(),
        name: UserName::parse(name).unwrap(),
        guest: false,
    }
}

pub(super) fn id(call: u64) -> CallId {
    CallId::new(Timestamp::from_millis(0), u128::from(call))
}

pub(super) fn number(call: CallId) -> u64 {
    (0..100_000).find(|number| id(*number) == call).unwrap()
}

pub(super) fn call(number: u64, name: &str, from: &str, params: &str, timeout: Duration) -> Call {
    let at = Timestamp::from_millis(1_795_339_800_120);
    Call {
        id: id(number),
        service: service(name),
        method: MethodName::parse("order").unwrap(),
        params: Data(serde_json::value::RawValue::from_string(params.to_owned()).unwrap()),
        from: user(from),
        key: None,
        at,
        deadline: at.after(timeout),
    }
}

pub(super) fn done() -> Answer {
    Ok(Data::null())
}

pub(super) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code
}

pub(super) fn line(effect: &Effect) -> String {
    match effect {
        Effect::Request {
            to, call, again, ..
        } => {
            let again = if *again { " again" } else { "" };
            format!("request {} to {}{again}", number(call.id), to.0)
        }
        Effect::Cancelled { to, call } => format!("cancelled {} at {}", number(*call), to.0),
        Effect::Hand { call, to } => format!("hand {} to {to}", number(*call)),
        Effect::Answer { call, answer } => {
            let answer = answer
                .as_ref()
                .map_or_else(|error| &*error.code, |_| "done");
            format!("answer {}: {answer}", number(*call))
        }
    }
}
