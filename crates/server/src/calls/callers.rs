//! Who waits for which answer.

use std::collections::{BTreeSet, HashMap};

use rooms::{Answer, CallId, Data, Error, Ticket};

/// Whoever waits for an answer. What is done here must not block.
pub(crate) trait Caller: Send {
    /// By which it can be [forgotten](super::Desk::forget).
    fn id(&self) -> CallerId;

    /// The call is stored. Whoever collects knows its ticket, and is not told.
    fn ticket(&mut self, ticket: Ticket);

    /// How far the call is.
    fn progress(&self, data: &Data);

    /// The call is answered.
    fn end(self: Box<Self>, ticket: Ticket, answer: Answer);

    /// There is no such call, or it cannot be asked.
    fn refuse(self: Box<Self>, error: Error);
}

/// Names a caller: a session's id, or another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallerId(pub(crate) u128);

/// Those who wait, by what they wait for.
#[derive(Default)]
pub(super) struct Callers {
    waiting: HashMap<CallId, Vec<Box<dyn Caller>>>,
    /// What each waits for.
    of: HashMap<CallerId, BTreeSet<CallId>>,
}

impl Callers {
    pub(super) fn add(&mut self, call: CallId, caller: Box<dyn Caller>) {
        self.of.entry(caller.id()).or_default().insert(call);
        self.waiting.entry(call).or_default().push(caller);
    }

    pub(super) fn progress(&self, call: CallId, data: &Data) {
        for caller in self.waiting.get(&call).into_iter().flatten() {
            caller.progress(data);
        }
    }

    /// Those who wait for the answer of a call, which is there.
    pub(super) fn take(&mut self, call: CallId) -> Vec<Box<dyn Caller>> {
        let callers = self.waiting.remove(&call).unwrap_or_default();
        for caller in &callers {
            self.count_off(caller.id(), call);
        }
        callers
    }

    /// What a caller waits with, who does so no more.
    pub(super) fn forget(&mut self, id: CallerId) -> Vec<Box<dyn Caller>> {
        let mut gone = Vec::new();
        for call in self.of.remove(&id).unwrap_or_default() {
            let Some(callers) = self.waiting.get_mut(&call) else {
                continue;
            };
            gone.extend(callers.extract_if(.., |caller| caller.id() == id));
            if callers.is_empty() {
                self.waiting.remove(&call);
            }
        }
        gone
    }

    fn count_off(&mut self, id: CallerId, call: CallId) {
        if let Some(calls) = self.of.get_mut(&id) {
            calls.remove(&call);
            if calls.is_empty() {
                self.of.remove(&id);
            }
        }
    }
}
