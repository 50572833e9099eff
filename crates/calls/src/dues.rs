//! What is over its time.

use std::time::Instant;

use rooms::{CallId, Error, ErrorCode, Failure, ServiceName};

use crate::open::Place;
use crate::{Calls, RETRY};

impl Calls {
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

    pub(crate) fn call_due(&mut self, id: CallId, now: Instant) {
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

    /// The call is looked at when something of it is due.
    pub(crate) fn set_due(&mut self, id: CallId) {
        if let Some(open) = self.open.get(&id) {
            self.look_again(id, open.due());
        }
    }

    pub(crate) fn look_again(&mut self, id: CallId, at: Instant) {
        if let Some(open) = self.open.get_mut(&id) {
            self.dues.remove(&(open.looked_at, id));
            open.looked_at = at;
            self.dues.insert((at, id));
        }
    }
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
