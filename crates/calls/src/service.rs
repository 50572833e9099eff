//! One service: its workers, and the calls that wait for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rooms::{CallId, UserId};

use crate::{Serving, WorkerId};

/// A name that is served, or was until just now.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) workers: Vec<Worker>,
    /// Calls with nobody, in the order in which they were asked.
    pub(crate) waiting: BTreeMap<u64, CallId>,
    /// How many of its calls are not answered.
    pub(crate) open: usize,
    /// Those of them that will wait once they are stored.
    pub(crate) arriving: usize,
    /// Since when nobody serves it.
    pub(crate) gone_since: Option<Instant>,
}

/// Someone who serves the name.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) user: UserId,
    pub(crate) repeatable: bool,
    /// Whether it takes no more calls.
    pub(crate) leaving: bool,
    /// Calls that it was asked, or is about to be.
    pub(crate) held: BTreeSet<CallId>,
    concurrency: usize,
}

impl Service {
    pub(crate) fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    /// Whether calls are taken.
    pub(crate) fn is_served(&self) -> bool {
        self.workers.iter().any(|worker| !worker.leaving)
    }

    /// Whether calls are taken, or will be if a worker comes back in time.
    pub(crate) fn is_there(&self, now: Instant, grace: Duration) -> bool {
        self.gone_since.is_none_or(|since| now < since + grace)
    }

    /// Whether nobody would miss it.
    pub(crate) fn is_unused(&self) -> bool {
        self.workers.is_empty() && self.open == 0
    }

    /// The worker with the most free places.
    pub(crate) fn free(&self) -> Option<WorkerId> {
        let freest = self.workers.iter().max_by_key(|worker| worker.free())?;
        (freest.free() > 0).then_some(freest.id)
    }
}

impl Worker {
    pub(crate) fn new(id: WorkerId, user: UserId, concurrency: u32, repeatable: bool) -> Self {
        Self {
            id,
            user,
            repeatable,
            leaving: false,
            held: BTreeSet::new(),
            concurrency: concurrency as usize,
        }
    }

    /// It serves otherwise from now on.
    pub(crate) fn serve(&mut self, concurrency: u32, repeatable: bool) {
        self.concurrency = concurrency as usize;
        self.repeatable = repeatable;
        self.leaving = false;
    }

    pub(crate) fn survey(&self) -> Serving {
        Serving {
            worker: self.id,
            user: self.user.clone(),
            concurrency: self.concurrency,
            held: self.held.len(),
            repeatable: self.repeatable,
            leaving: self.leaving,
        }
    }

    /// Whether a place that was kept for a call is still one.
    pub(crate) fn takes(&self, call: CallId) -> bool {
        // It may serve otherwise since, or have gone on with other calls.
        !self.leaving && self.held.contains(&call) && self.held.len() <= self.concurrency
    }

    fn free(&self) -> usize {
        if self.leaving {
            return 0;
        }
        // It may hold more than it would take now.
        self.concurrency.saturating_sub(self.held.len())
    }
}
