//! The life of a call, from its way to the disk to that of its answer.

use std::time::{Duration, Instant};

use rooms::{Answer, Call, CallId, Error, ErrorCode, ServiceName, UserId};

use crate::open::{Open, Place};
use crate::{Calls, Effect, NotHeld, RETRY, WorkerId, busy};

/// What a call costs in memory beside its params, for [`Limits::open_bytes`](crate::Limits::open_bytes).
pub(crate) const CALL_BYTES: usize = 512;

impl Calls {
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

    /// It is stored to whom a call is handed out, or is not.
    pub fn handed(&mut self, id: CallId, stored: bool, now: Instant) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let Place::Handing { worker, user } = open.place.clone() else {
            return;
        };
        if stored {
            open.stored_with = Some(user);
        }
        let service = open.call.service.clone();
        if self.takes(worker, id, now) {
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
            if let Place::Held(worker) | Place::Handing { worker, .. } = open.place {
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

    /// A call is to end with this answer, by a worker or by the server.
    pub(crate) fn end(&mut self, id: CallId, answer: Answer, by: Option<WorkerId>) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.ending = Some(by);
        if let Some(service) = self.services.get_mut(&open.call.service) {
            service.waiting.remove(&open.order);
        }
        self.effects.push(Effect::Answer { call: id, answer });
    }

    /// Asks a worker that has a place for the call.
    pub(crate) fn request(&mut self, id: CallId, worker: WorkerId, now: Instant) {
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
    pub(crate) fn wait(&mut self, id: CallId, now: Instant) {
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
}

pub(crate) fn bytes(call: &Call) -> usize {
    CALL_BYTES + call.params.0.get().len()
}

fn no_such_service(name: &ServiceName) -> Error {
    let message = format!("Nobody serves '{name}' now.");
    Error::new(ErrorCode::NoSuchService, message)
}
