//! Calls as values: who serves what, who is free, what waits, what is over its time.
//!
//! [`Calls`] holds every call that is not answered yet, from its way to the disk to that of its answer.
//! Whatever must outlive the server is stored before anyone hears of it: [`Calls`] asks for that by
//! an [`Effect`], and goes on when it is told what came of it.
//!
//! | a call is | until |
//! |---|---|
//! | arriving | it is stored |
//! | waiting | a worker has a free place |
//! | being handed out | that is stored; not for workers by whom it may be repeated |
//! | held by a worker | it is answered |
//! | lost with its worker | the worker's user comes back for it, or the grace is over |
//!
//! and in each of them but the first it may be on its way to an end: answered, cancelled, over its time.
//!
//! What it is not: it sends nothing, stores nothing and reads no clock; who waits for an answer, and
//! what was answered, is not its concern. The server drives it.
//!
//! A call goes through its life in `life`, workers come and go in `serving`, and time in `dues`.
//! A worker is whoever serves: a session, an HTTP address or a function.

mod dues;
mod life;
mod open;
mod service;
mod serving;
mod survey;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rooms::{Answer, Call, CallId, Error, ErrorCode, ServiceName, UserId};

use self::open::Open;
use self::service::Service;
pub use self::survey::{Served, Serving};

/// Between two tries to have something stored.
const RETRY: Duration = Duration::from_secs(1);

/// How much may be open at a time; one call more is `busy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that are not answered.
    pub open: usize,
    /// Bytes of them: the params, and 512 for the rest of each.
    pub open_bytes: usize,
    /// Those of one user.
    pub open_per_user: usize,
    /// Those of one service for which no worker has a free place.
    pub waiting: usize,
    /// Names that are served.
    pub services: usize,
    /// Names that one worker serves.
    pub services_per_worker: usize,
    /// How long a worker that went away may take to come back.
    pub grace: Duration,
}

/// Names a worker for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u128);

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The worker is asked.
    Request {
        /// Who.
        to: WorkerId,
        /// What.
        call: Arc<Call>,
        /// The time that is left.
        timeout: Duration,
        /// Whether it was handed out before.
        again: bool,
    },
    /// The worker's answer is wanted no more.
    Cancelled {
        /// Who.
        to: WorkerId,
        /// Which.
        call: CallId,
    },
    /// It is to be stored to whom the call is handed out; then [`Calls::handed`].
    Hand {
        /// Which.
        call: CallId,
        /// The worker's user.
        to: UserId,
    },
    /// An answer is to be stored; then [`Calls::answered`].
    Answer {
        /// Which.
        call: CallId,
        /// What.
        answer: Answer,
    },
}

/// Why a worker's word on a call does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// The call is answered, cancelled, over its time, or in other hands.
    #[error("the call does not wait for an answer of this worker")]
    NoSuchCall,
    /// Another end of it is being stored. Should that fail, the answer is wanted still.
    #[error("the call is being ended just now")]
    Ending,
}

/// Every call that is not answered yet, and everyone who could answer.
#[derive(Debug)]
pub struct Calls {
    limits: Limits,
    services: HashMap<ServiceName, Service>,
    /// The services of each worker.
    workers: HashMap<WorkerId, BTreeSet<ServiceName>>,
    open: HashMap<CallId, Open>,
    open_bytes: usize,
    open_of: HashMap<UserId, usize>,
    /// How many were asked: calls wait in this order.
    asked: u64,
    /// When a call is to be looked at: its deadline, the end of a grace, another try.
    dues: BTreeSet<(Instant, CallId)>,
    /// The same of services that nobody serves, or whose calls could not be handed out.
    service_dues: BTreeSet<(Instant, ServiceName)>,
    effects: Vec<Effect>,
}

impl Calls {
    /// With nobody who serves, and nothing open.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            services: HashMap::new(),
            workers: HashMap::new(),
            open: HashMap::new(),
            open_bytes: 0,
            open_of: HashMap::new(),
            asked: 0,
            dues: BTreeSet::new(),
            service_dues: BTreeSet::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be done since this was asked last, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

fn busy(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::Busy, message).retry_after_ms(RETRY.as_millis() as u64)
}

#[cfg(test)]
mod tests;
