//! One call that is not answered yet.

use std::sync::Arc;
use std::time::Instant;

use rooms::{Call, UserId};

use crate::WorkerId;
use crate::service::Worker;

/// A call, and where it is.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) call: Arc<Call>,
    /// Its place among all that were asked.
    pub(crate) order: u64,
    pub(crate) deadline: Instant,
    pub(crate) place: Place,
    /// The user to whom it is handed out, as it is stored.
    pub(crate) stored_with: Option<UserId>,
    /// Whether a worker may have been asked.
    pub(crate) handed: bool,
    /// While its end is on the way to the disk: the worker that ended it, if one did.
    pub(crate) ending: Option<Option<WorkerId>>,
    /// When it is looked at next.
    pub(crate) looked_at: Instant,
}

/// Where a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On its way to the disk, with a place kept for it.
    Arriving(Option<WorkerId>),
    /// With nobody.
    Waiting,
    /// With a worker, once that is stored.
    Handing { worker: WorkerId, user: UserId },
    /// With a worker that has been asked.
    Held(WorkerId),
    /// Gone with a worker that was asked, of this user.
    Lost { user: UserId, until: Instant },
}

impl Open {
    pub(crate) fn new(
        call: Call,
        order: u64,
        deadline: Instant,
        place: Place,
        stored_with: Option<UserId>,
    ) -> Self {
        Self {
            call: Arc::new(call),
            order,
            deadline,
            // Of those of an earlier run it is not known.
            handed: !matches!(place, Place::Arriving(_)),
            place,
            stored_with,
            ending: None,
            looked_at: deadline,
        }
    }

    /// Whether the disk knows what it must when the worker is asked. After a restart a call goes on with
    /// the user that is stored, or with anyone where none is.
    pub(crate) fn is_stored_for(&self, worker: &Worker) -> bool {
        match &self.stored_with {
            Some(user) => *user == worker.user,
            None => worker.repeatable,
        }
    }

    /// Whether it is about to end, or its time is over.
    pub(crate) fn ends(&self, now: Instant) -> bool {
        self.ending.is_some() || now >= self.deadline
    }

    /// When something of it is over.
    pub(crate) fn due(&self) -> Instant {
        match &self.place {
            Place::Lost { until, .. } => self.deadline.min(*until),
            _ => self.deadline,
        }
    }
}
