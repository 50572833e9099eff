//! Who serves what, and how much there is to do: for whoever looks after it.

use rooms::{ServiceName, UserId};

use crate::{Calls, WorkerId};

/// A name that is served, or was until just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The name.
    pub service: ServiceName,
    /// Calls that are not answered.
    pub open: usize,
    /// Those of them that nobody has begun.
    pub waiting: usize,
    /// Who serves it.
    pub workers: Vec<Serving>,
}

/// Someone who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Who.
    pub worker: WorkerId,
    /// The user.
    pub user: UserId,
    /// Calls that it takes at a time.
    pub concurrency: usize,
    /// Calls that it has.
    pub held: usize,
    /// Whether they may be handed out again.
    pub repeatable: bool,
    /// Whether it takes no more calls.
    pub leaving: bool,
}

impl Calls {
    /// All of them, by name.
    pub fn survey(&self) -> Vec<Served> {
        let served = self.services.iter().map(|(name, service)| Served {
            service: name.clone(),
            open: service.open,
            waiting: service.waiting.len() + service.arriving,
            workers: service
                .workers
                .iter()
                .map(|worker| worker.survey())
                .collect(),
        });
        let mut served: Vec<_> = served.collect();
        served.sort_by(|one, other| one.service.cmp(&other.service));
        served
    }
}
