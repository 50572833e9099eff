//! What callers and workers have seen, and whether they may see what comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rooms::{CallId, ServiceName, User, UserId};

use super::disk::Disk;
use crate::WorkerId;

/// A worker, as it sees itself.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) user: User,
    pub(super) serves: BTreeMap<ServiceName, Serving>,
}

#[derive(Debug)]
pub(super) struct Serving {
    pub(super) concurrency: usize,
    pub(super) repeatable: bool,
    pub(super) leaving: bool,
    /// What it was asked and has not seen the end of.
    pub(super) holds: BTreeSet<CallId>,
}

/// What became of a call.
#[derive(Debug, Default)]
struct Fate {
    requests: u32,
    restored: bool,
    /// When it was asked last, that was of someone who does nothing twice.
    asked_once: bool,
    /// It may be done: nobody is to be asked any more, and this user may go on with it.
    lost_to: Option<UserId>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    fates: BTreeMap<CallId, Fate>,
}

impl Book {
    pub(super) fn holders(&self, id: CallId) -> Vec<WorkerId> {
        let holds = |worker: &Worker| worker.serves.values().any(|one| one.holds.contains(&id));
        let holders = self.workers.iter().filter(|(_, worker)| holds(worker));
        holders.map(|(id, _)| *id).collect()
    }

    /// A worker is asked.
    pub(super) fn request(
        &mut self,
        to: WorkerId,
        id: CallId,
        timeout: Duration,
        again: bool,
        disk: &Disk,
        now: Instant,
    ) {
        let row = disk.rows.get(&id).expect("what is not stored was asked");
        assert!(row.answer.is_none(), "{id} is answered, and was asked");
        assert!(!timeout.is_zero(), "{id} is over its time, and was asked");
        assert_eq!(timeout, row.deadline - now);
        assert!(self.holders(id).is_empty(), "{id} is with two workers");
        let worker = self.workers.get_mut(&to).expect("nobody was asked");
        let serving = worker.serves.get_mut(&row.call.service).unwrap();
        assert!(!serving.leaving, "{to:?} serves no more, and was asked");
        let held = serving.holds.len();
        assert!(held < serving.concurrency, "{to:?} has {held} already");
        serving.holds.insert(id);
        let fate = self.fates.entry(id).or_default();
        assert_eq!(again, fate.requests > 0 || fate.restored, "{id} again");
        assert_eq!(fate.lost_to, None, "{id} may be done, and was asked again");
        fate.requests += 1;
        fate.asked_once = !serving.repeatable;
        // After a restart it is with whom it is stored, or with anyone.
        let stored = row.given_to.as_ref();
        assert!(stored.is_some() || serving.repeatable, "who has {id}?");
        assert!(stored.is_none_or(|stored| *stored == worker.user.id));
    }

    /// Whether a worker must get what it wants to go on with.
    pub(super) fn is_lost_to(&self, id: CallId, user: &UserId) -> bool {
        let fate = self.fates.get(&id);
        fate.is_some_and(|fate| fate.lost_to.as_ref() == Some(user))
    }

    /// A worker goes on with a call; so whoever had it does not.
    pub(super) fn resume(&mut self, by: WorkerId, name: &ServiceName, id: CallId) {
        let user = self.workers[&by].user.id.clone();
        for holder in self.holders(id) {
            let holder = self.workers.get_mut(&holder).unwrap();
            assert_eq!(holder.user.id, user, "{id} was taken from another user");
            for serving in holder.serves.values_mut() {
                serving.holds.remove(&id);
            }
        }
        let fate = self.fates.entry(id).or_default();
        let lost_to = fate.lost_to.take();
        assert!(lost_to.is_none_or(|lost_to| lost_to == user));
        let worker = self.workers.get_mut(&by).unwrap();
        worker.serves.get_mut(name).unwrap().holds.insert(id);
    }

    /// A worker has seen the end of a call.
    pub(super) fn end(&mut self, worker: WorkerId, id: CallId) -> bool {
        let serves = self.workers.get_mut(&worker).into_iter();
        serves
            .flat_map(|worker| worker.serves.values_mut())
            .any(|serving| serving.holds.remove(&id))
    }

    /// Those that serve a name no more, and have nothing of it left, are done with it.
    pub(super) fn forget_those_who_left(&mut self) {
        for worker in self.workers.values_mut() {
            let done = |serving: &Serving| serving.leaving && serving.holds.is_empty();
            worker.serves.retain(|_, serving| !done(serving));
        }
    }

    pub(super) fn leave(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.remove(&id) else {
            return;
        };
        for serving in worker.serves.into_values() {
            for call in serving.holds {
                let fate = self.fates.entry(call).or_default();
                fate.lost_to = (!serving.repeatable).then(|| worker.user.id.clone());
            }
        }
    }

    /// The server is killed, and all workers are cut off. What they were asked when they said that it may be
    /// repeated may be, whatever they said later: only that is stored.
    pub(super) fn restart(&mut self, disk: &Disk) {
        let workers = std::mem::take(&mut self.workers);
        for worker in workers.into_values() {
            for call in worker.serves.into_values().flat_map(|one| one.holds) {
                let fate = self.fates.entry(call).or_default();
                fate.lost_to = Some(worker.user.id.clone());
            }
        }
        for (id, fate) in &mut self.fates {
            fate.restored = disk.rows.get(id).is_some_and(|row| row.answer.is_none());
            fate.lost_to.take_if(|_| !fate.asked_once);
        }
        for id in disk.rows.keys() {
            self.fates.entry(*id).or_default().restored = true;
        }
    }
}
