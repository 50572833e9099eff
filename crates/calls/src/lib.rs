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
//! A worker is whoever serves: a session, an HTTP address or a function.

mod open;
mod service;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rooms::{Answer, Call, CallId, Error, ErrorCode, Failure, Serve, ServiceName, User, UserId};

use self::open::{Open, Place};
use self::service::{Service, Worker};

/// Between two tries to have something stored.
const RETRY: Duration = Duration::from_secs(1);
/// What a call costs in memory beside its params, for [`Limits::open_bytes`].
const CALL_BYTES: usize = 512;

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

    /// Takes a call in, which is to be stored now, as handed to the user that is returned; then
    /// [`accepted`](Self::accepted).
    ///
    /// # Errors
    ///
    /// `no_such_service` and `busy`.
    pub fn accept(&mut self, call: Call, now: Instant) -> Result<Option<UserId>, Error> {
        let grace = self.limits.grace;
        let service = self.services.get_mut(&call.service);
        let Some(service) = service.filter(|service| service.is_there(now, grace)) else {
            return Err(no_such_service(&call.service));
        };
        let bytes = self.open_bytes + bytes(&call);
        let of_user = self.open_of.get(&call.from.id).copied().unwrap_or(0);
        // Those that wait come first.
        let worker = service.free().filter(|_| service.waiting.is_empty());
        let full = if self.open.len() >= self.limits.open || bytes > self.limits.open_bytes {
            Some("Too many calls wait for their answers now. Try again later.".to_owned())
        } else if of_user >= self.limits.open_per_user {
            let limit = self.limits.open_per_user;
            Some(format!(
                "{limit} of your calls wait for their answers. Wait for one of them."
            ))
        } else if worker.is_none()
            && service.waiting.len() + service.arriving >= self.limits.waiting
        {
            Some(format!(
                "Too many calls wait for '{}'. Try again later.",
                call.service
            ))
        } else {
            None
        };
        if let Some(message) = full {
            return Err(busy(message));
        }
        let (id, deadline) = (call.id, now + call.deadline.since(call.at));
        let mut stored_with = None;
        if let Some(worker) = worker.and_then(|id| service.worker(id)) {
            worker.held.insert(id);
            stored_with = (!worker.repeatable).then(|| worker.user.clone());
        } else {
            service.arriving += 1;
        }
        self.open(call, deadline, Place::Arriving(worker), stored_with.clone());
        Ok(stored_with)
    }

    /// A call that was taken in is stored, or is not, and then it never was.
    pub fn accepted(&mut self, id: CallId, stored: bool, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let Place::Arriving(worker) = open.place else {
            return;
        };
        let (name, ends) = (open.call.service.clone(), open.ends(now));
        if worker.is_none()
            && let Some(service) = self.services.get_mut(&name)
        {
            service.arriving -= 1;
        }
        if !stored {
            self.release(worker, &name, id);
            self.forget(id);
        } else if let Some(worker) = worker.filter(|worker| self.takes(*worker, id, now)) {
            self.request(id, worker, now);
        } else {
            self.release(worker, &name, id);
            self.wait(id, now);
            if ends {
                self.call_due(id, now);
            }
        }
        self.settle(&name, now);
    }

    /// A call that an earlier run of the server left open, with the user to whom it was handed out. Such
    /// calls come in the order in which they were asked.
    pub fn restore(&mut self, call: Call, given_to: Option<UserId>, left: Duration, now: Instant) {
        let (id, name) = (call.id, call.service.clone());
        let place = match &given_to {
            Some(user) => Place::Lost {
                user: user.clone(),
                until: now + self.limits.grace,
            },
            None => Place::Waiting,
        };
        let waits = place == Place::Waiting;
        self.open(call, now + left, place, given_to);
        if waits {
            self.wait(id, now);
        }
        self.set_due(id);
        // If nobody serves it yet, its grace begins.
        self.settle(&name, now);
    }

    /// A worker serves from now on, or serves otherwise. Tells which of the calls that it wants to go on
    /// with are its own now.
    ///
    /// # Errors
    ///
    /// `too_long` with too many names of one worker, `busy` with too many of all.
    pub fn serve(
        &mut self,
        id: WorkerId,
        user: &User,
        serve: Serve,
        now: Instant,
    ) -> Result<Vec<CallId>, Error> {
        let Serve {
            service: name,
            concurrency,
            repeatable,
            resume,
        } = serve;
        let theirs = self.workers.get(&id);
        let more = theirs.is_none_or(|theirs| !theirs.contains(&name));
        let limit = self.limits.services_per_worker;
        if more && theirs.is_some_and(|theirs| theirs.len() >= limit) {
            let message = format!("A session can serve {limit} names. Unserve one of them first.");
            return Err(Error {
                limit: Some(limit as u64),
                ..Error::new(ErrorCode::TooLong, message)
            });
        }
        if !self.services.contains_key(&name) && self.services.len() >= self.limits.services {
            return Err(busy("Too many names are served now. Try again later."));
        }
        self.workers.entry(id).or_default().insert(name.clone());
        let service = self.services.entry(name.clone()).or_default();
        match service.worker(id) {
            Some(worker) => worker.serve(concurrency, repeatable),
            None => service
                .workers
                .push(Worker::new(id, user.id.clone(), concurrency, repeatable)),
        }
        let resumed = resume
            .into_iter()
            .filter(|call| self.resume(*call, id, &user.id, &name))
            .collect();
        self.settle(&name, now);
        Ok(resumed)
    }

    /// A worker goes on with a call that it was asked for in an earlier life.
    fn resume(
        &mut self,
        id: CallId,
        worker: WorkerId,
        user: &UserId,
        service: &ServiceName,
    ) -> bool {
        let Some(open) = self
            .open
            .get_mut(&id)
            .filter(|open| open.call.service == *service)
        else {
            return false;
        };
        // A call's id is known to those who were asked.
        let theirs = match &open.place {
            _ if open.ending.is_some() => false,
            Place::Waiting => {
                open.handed && open.stored_with.as_ref().is_none_or(|last| last == user)
            }
            Place::Lost { user: last, .. } => last == user,
            Place::Held(other) if *other == worker => return true,
            Place::Held(_) => true,
            Place::Arriving(_) | Place::Handing(_) => false,
        };
        let Some(service) = self.services.get_mut(service).filter(|_| theirs) else {
            return false;
        };
        if let Place::Held(other) = open.place {
            // The worker's earlier session, of which nobody knows yet that it is gone.
            match service.worker(other) {
                Some(other) if other.user == *user => other.held.remove(&id),
                _ => return false,
            };
        }
        service.waiting.remove(&open.order);
        if let Some(worker) = service.worker(worker) {
            worker.held.insert(id);
        }
        open.place = Place::Held(worker);
        open.handed = true;
        self.set_due(id);
        true
    }

    /// A worker serves this name no more. What it holds it still answers. `false` if it did not serve it.
    pub fn unserve(&mut self, id: WorkerId, name: &ServiceName, now: Instant) -> bool {
        let serving = self
            .services
            .get_mut(name)
            .and_then(|service| service.worker(id));
        let Some(worker) = serving.filter(|worker| !worker.leaving) else {
            return false;
        };
        worker.leaving = true;
        self.settle(name, now);
        true
    }

    /// A worker is gone.
    pub fn leave(&mut self, id: WorkerId, now: Instant) {
        for name in self.workers.remove(&id).unwrap_or_default() {
            let Some(service) = self.services.get_mut(&name) else {
                continue;
            };
            let Some(at) = service.workers.iter().position(|worker| worker.id == id) else {
                continue;
            };
            let worker = service.workers.swap_remove(at);
            for call in worker.held {
                let Some(open) = self.open.get_mut(&call) else {
                    continue;
                };
                // What is on its way to or from the disk is seen to when it is back.
                if open.place != Place::Held(id) {
                    continue;
                }
                if worker.repeatable {
                    self.wait(call, now);
                } else {
                    let (user, until) = (worker.user.clone(), now + self.limits.grace);
                    open.place = Place::Lost { user, until };
                    self.set_due(call);
                }
            }
            self.settle(&name, now);
        }
    }

    /// A worker answers a call.
    ///
    /// # Errors
    ///
    /// Where its answer does not count.
    pub fn respond(&mut self, worker: WorkerId, id: CallId, answer: Answer) -> Result<(), NotHeld> {
        self.held(worker, id)?;
        self.end(id, answer, Some(worker));
        Ok(())
    }

    /// Whether a worker holds a call, of which it has something to tell.
    ///
    /// # Errors
    ///
    /// Where it does not.
    pub fn held(&self, worker: WorkerId, id: CallId) -> Result<(), NotHeld> {
        match self.open.get(&id) {
            Some(open) if open.place != Place::Held(worker) => Err(NotHeld::NoSuchCall),
            Some(open) if open.ending.is_some() => Err(NotHeld::Ending),
            Some(_) => Ok(()),
            None => Err(NotHeld::NoSuchCall),
        }
    }

    /// Whose call this is, if it is open and stored.
    pub fn caller(&self, id: CallId) -> Option<&UserId> {
        let open = self.open.get(&id)?;
        (!matches!(open.place, Place::Arriving(_))).then_some(&open.call.from.id)
    }

    /// The caller wants the answer no more; `false` if the call has ended, or is about to.
    pub fn cancel(&mut self, id: CallId) -> bool {
        let running = self
            .open
            .get(&id)
            .is_some_and(|open| open.ending.is_none() && !matches!(open.place, Place::Arriving(_)));
        if running {
            let message = "The call was cancelled.";
            self.end(
                id,
                Err(Error::new(ErrorCode::Cancelled, message).into()),
                None,
            );
        }
        running
    }

    /// An answer is stored, and with that the call is over; or it is not, and nothing has changed.
    pub fn answered(&mut self, id: CallId, stored: bool, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let Some(ended_by) = open.ending.take() else {
            return;
        };
        let service = open.call.service.clone();
        if !stored {
            let (due, retry) = (open.due(), now + RETRY);
            if open.place == Place::Waiting {
                self.wait(id, now);
            }
            // Whatever ended it may be the reason still, but its time is over when it is over.
            let due = Some(due).filter(|due| *due > now);
            self.look_again(id, due.map_or(retry, |due| due.min(retry)));
        } else {
            if let Place::Held(worker) | Place::Handing(worker) = open.place {
                if open.place == Place::Held(worker) && ended_by != Some(worker) {
                    self.effects.push(Effect::Cancelled {
                        to: worker,
                        call: id,
                    });
                }
                self.release(Some(worker), &service, id);
            }
            self.forget(id);
        }
        self.settle(&service, now);
    }

    /// It is stored to whom a call is handed out, or is not.
    pub fn handed(&mut self, id: CallId, stored: bool, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let Place::Handing(worker) = open.place else {
            return;
        };
        if !stored {
            open.stored_with = None;
        }
        let service = open.call.service.clone();
        if stored && self.takes(worker, id, now) {
            return self.request(id, worker, now);
        }
        self.release(Some(worker), &service, id);
        self.wait(id, now);
        if stored {
            self.settle(&service, now);
        } else {
            // The disk takes nothing now.
            self.service_dues.insert((now + RETRY, service));
        }
    }

    /// When [`tick`](Self::tick) is to be called next.
    pub fn next_due(&self) -> Option<Instant> {
        let call = self.dues.first().map(|(due, _)| *due);
        let service = self.service_dues.first().map(|(due, _)| *due);
        call.into_iter().chain(service).min()
    }

    /// Ends what is over its time.
    pub fn tick(&mut self, now: Instant) {
        // First the calls: what is over its time is handed to nobody any more.
        while let Some((due, id)) = self.dues.pop_first() {
            if due > now {
                self.dues.insert((due, id));
                break;
            }
            self.call_due(id, now);
        }
        while let Some((due, name)) = self.service_dues.pop_first() {
            if due > now {
                self.service_dues.insert((due, name));
                break;
            }
            self.service_due(&name, now);
        }
    }

    fn service_due(&mut self, name: &ServiceName, now: Instant) {
        let Some(service) = self.services.get(name) else {
            return;
        };
        if !service.is_there(now, self.limits.grace) {
            let waiting: Vec<_> = service.waiting.values().copied().collect();
            for id in waiting {
                self.call_due(id, now);
            }
        }
        self.settle(name, now);
    }

    fn call_due(&mut self, id: CallId, now: Instant) {
        let Some(open) = self.open.get(&id) else {
            return;
        };
        let service = &open.call.service;
        let failure = match &open.place {
            _ if open.ending.is_some() => None,
            // The disk has not said yet whether there is such a call.
            Place::Arriving(_) => None,
            _ if now >= open.deadline => {
                let seconds = open.call.deadline.since(open.call.at).as_secs_f64();
                let message = format!("'{service}' did not answer within {seconds} s.");
                Some(Error::new(ErrorCode::Timeout, message).into())
            }
            Place::Lost { until, .. } if now >= *until => Some(gone_with(service)),
            Place::Waiting if !self.is_there(service, now) && open.handed => {
                Some(gone_with(service))
            }
            Place::Waiting if !self.is_there(service, now) => Some(gone_before(service)),
            _ => None,
        };
        match failure {
            Some(failure) => self.end(id, Err(failure), None),
            None if open.due() > now => self.set_due(id),
            None => self.look_again(id, now + RETRY),
        }
    }

    /// A call is to end with this answer, by a worker or by the server.
    fn end(&mut self, id: CallId, answer: Answer, by: Option<WorkerId>) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.ending = Some(by);
        if let Some(service) = self.services.get_mut(&open.call.service) {
            service.waiting.remove(&open.order);
        }
        self.effects.push(Effect::Answer { call: id, answer });
    }

    /// Hands out what waits, as far as there are free places.
    fn dispatch(&mut self, name: &ServiceName, now: Instant) {
        loop {
            let Some(service) = self.services.get_mut(name) else {
                return;
            };
            let Some(free) = service.free() else { return };
            let Some((_, id)) = service.waiting.pop_first() else {
                return;
            };
            let (Some(worker), Some(open)) = (service.worker(free), self.open.get_mut(&id)) else {
                return;
            };
            worker.held.insert(id);
            if open.is_stored_for(worker) {
                self.request(id, free, now);
            } else {
                let to = worker.user.clone();
                open.place = Place::Handing(free);
                open.stored_with = Some(to.clone());
                self.effects.push(Effect::Hand { call: id, to });
            }
        }
    }

    /// Asks a worker that has a place for the call.
    fn request(&mut self, id: CallId, worker: WorkerId, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.place = Place::Held(worker);
        self.effects.push(Effect::Request {
            to: worker,
            call: open.call.clone(),
            timeout: open.deadline.saturating_duration_since(now),
            again: std::mem::replace(&mut open.handed, true),
        });
    }

    /// The call waits for a free place, unless it is about to end, or will be when it is looked at next.
    fn wait(&mut self, id: CallId, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.place = Place::Waiting;
        let service = self.services.get_mut(&open.call.service);
        let Some(service) = service.filter(|_| !open.ends(now)) else {
            return;
        };
        service.waiting.insert(open.order, id);
        if !service.is_there(now, self.limits.grace) {
            // In vain, unless someone serves it at this very moment.
            self.look_again(id, now);
        }
    }

    /// Whether a worker that kept a place for a call may be asked, now that this is stored.
    fn takes(&mut self, worker: WorkerId, id: CallId, now: Instant) -> bool {
        let Some(open) = self.open.get(&id).filter(|open| !open.ends(now)) else {
            return false;
        };
        let service = self.services.get_mut(&open.call.service);
        let worker = service.and_then(|service| service.worker(worker));
        worker.is_some_and(|worker| worker.takes(id) && open.is_stored_for(worker))
    }

    fn is_there(&self, name: &ServiceName, now: Instant) -> bool {
        let service = self.services.get(name);
        service.is_some_and(|service| service.is_there(now, self.limits.grace))
    }

    /// Frees a worker's place.
    fn release(&mut self, worker: Option<WorkerId>, service: &ServiceName, id: CallId) {
        let service = self.services.get_mut(service);
        if let Some(worker) = service
            .zip(worker)
            .and_then(|(service, worker)| service.worker(worker))
        {
            worker.held.remove(&id);
        }
    }

    /// After a change of a service: lets go of workers that have nothing left to do, counts the time
    /// without any, and hands out what waits.
    fn settle(&mut self, name: &ServiceName, now: Instant) {
        let Some(service) = self.services.get_mut(name) else {
            return;
        };
        let workers = &mut self.workers;
        service.workers.retain(|worker| {
            let done = worker.leaving && worker.held.is_empty();
            if done && let Some(services) = workers.get_mut(&worker.id) {
                services.remove(name);
            }
            !done
        });
        let grace = self.limits.grace;
        if service.is_served() {
            if let Some(since) = service.gone_since.take() {
                self.service_dues.remove(&(since + grace, name.clone()));
            }
            self.dispatch(name, now);
        } else if service.gone_since.is_none() {
            service.gone_since = Some(now);
            self.service_dues.insert((now + grace, name.clone()));
        } else if !service.is_there(now, grace) && service.is_unused() {
            self.services.remove(name);
        }
    }

    fn open(&mut self, call: Call, deadline: Instant, place: Place, stored_with: Option<UserId>) {
        let (id, user) = (call.id, call.from.id.clone());
        let service = self.services.entry(call.service.clone()).or_default();
        service.open += 1;
        self.asked += 1;
        self.open_bytes += bytes(&call);
        *self.open_of.entry(user).or_default() += 1;
        let open = Open::new(call, self.asked, deadline, place, stored_with);
        self.dues.insert((open.looked_at, id));
        self.open.insert(id, open);
    }

    fn forget(&mut self, id: CallId) {
        let Some(open) = self.open.remove(&id) else {
            return;
        };
        self.dues.remove(&(open.looked_at, id));
        if let Some(service) = self.services.get_mut(&open.call.service) {
            service.open -= 1;
        }
        self.open_bytes -= bytes(&open.call);
        let user = &open.call.from.id;
        if let Some(count) = self.open_of.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.open_of.remove(user);
            }
        }
    }

    /// The call is looked at when something of it is due.
    fn set_due(&mut self, id: CallId) {
        if let Some(open) = self.open.get(&id) {
            self.look_again(id, open.due());
        }
    }

    fn look_again(&mut self, id: CallId, at: Instant) {
        if let Some(open) = self.open.get_mut(&id) {
            self.dues.remove(&(open.looked_at, id));
            open.looked_at = at;
            self.dues.insert((at, id));
        }
    }
}

fn bytes(call: &Call) -> usize {
    CALL_BYTES + call.params.0.get().len()
}

fn busy(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::Busy, message).retry_after_ms(RETRY.as_millis() as u64)
}

fn no_such_service(name: &ServiceName) -> Error {
    let message = format!("Nobody serves '{name}' now.");
    Error::new(ErrorCode::NoSuchService, message)
}

/// For a call that nobody was asked.
fn gone_before(name: &ServiceName) -> Failure {
    let message = format!("'{name}' went away before it was asked; nothing was done.");
    Error::new(ErrorCode::Unavailable, message).into()
}

/// For a call that was handed out.
fn gone_with(name: &ServiceName) -> Failure {
    let message = format!("'{name}' went away with the call; it may have been done or not.");
    Error::new(ErrorCode::Unavailable, message).into()
}

#[cfg(test)]
mod tests;
