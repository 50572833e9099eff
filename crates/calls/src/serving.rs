//! Those who serve: how they come and go, and what they are handed.

use std::time::Instant;

use rooms::{CallId, Error, ErrorCode, Serve, ServiceName, User, UserId};

use crate::open::Place;
use crate::service::Worker;
use crate::{Calls, Effect, WorkerId, busy};

impl Calls {
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
            Place::Arriving(_) | Place::Handing { .. } => false,
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

    /// After a change of a service: lets go of workers that have nothing left to do, counts the time
    /// without any, and hands out what waits.
    pub(crate) fn settle(&mut self, name: &ServiceName, now: Instant) {
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
                open.place = Place::Handing {
                    worker: free,
                    user: to.clone(),
                };
                self.effects.push(Effect::Hand { call: id, to });
            }
        }
    }

    /// Frees a worker's place.
    pub(crate) fn release(&mut self, worker: Option<WorkerId>, service: &ServiceName, id: CallId) {
        let service = self.services.get_mut(service);
        if let Some(worker) = service
            .zip(worker)
            .and_then(|(service, worker)| service.worker(worker))
        {
            worker.held.remove(&id);
        }
    }

    pub(crate) fn is_there(&self, name: &ServiceName, now: Instant) -> bool {
        let service = self.services.get(name);
        service.is_some_and(|service| service.is_there(now, self.limits.grace))
    }
}
