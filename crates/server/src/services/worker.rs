//! A function as a worker of the desk: a task for each call.

use std::{
    any::Any,
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use calls::WorkerId;
use futures_util::FutureExt;
use rooms::{Answer, Call, CallId, CallRequest, ErrorCode, Failure, ServiceName};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Asked, Function, shortened};
use crate::{
    calls::{Desk, Worker},
    clock::instant,
};

/// Between two tries to have an answer stored.
const RETRY: Duration = Duration::from_millis(500);

/// A function that serves.
pub(super) struct FunctionWorker {
    id: WorkerId,
    service: ServiceName,
    function: Function,
    limit: usize,
    desk: Weak<Desk>,
    /// The desk asks from wherever it is, the journal's thread too.
    runtime: Handle,
    tasks: TaskTracker,
    at_work: Arc<Mutex<AtWork>>,
}

/// The tasks of the calls that are not answered.
type AtWork = HashMap<CallId, AbortHandle>;

impl FunctionWorker {
    /// Must be called on a tokio runtime.
    pub(super) fn new(
        id: WorkerId,
        service: ServiceName,
        function: Function,
        limit: usize,
        desk: Weak<Desk>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            id,
            service,
            function,
            limit,
            desk,
            runtime: Handle::current(),
            tasks,
            at_work: Arc::default(),
        }
    }

    pub(super) fn id(&self) -> WorkerId {
        self.id
    }

    pub(super) fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Drops whatever is at work.
    pub(super) fn break_off(&self) {
        for (_, task) in self.at_work().drain() {
            task.abort();
        }
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        lock(&self.at_work)
    }
}

impl Worker for FunctionWorker {
    fn request(&self, call: Arc<Call>, timeout: Duration, again: bool) {
        let id = call.id;
        let asked = Asked {
            request: Arc::new(CallRequest::new(&call, timeout, again)),
            deadline: instant() + timeout,
            desk: self.desk.clone(),
            worker: self.id,
            limit: self.limit,
        };
        // Whatever is logged of the call says which it is, also where little is logged.
        let span =
            tracing::error_span!("call", %id, service = %call.service, method = %call.method);
        let answer = answer(self.function.clone(), asked);
        let (desk, worker, at_work) = (self.desk.clone(), self.id, self.at_work.clone());
        let task = async move {
            let answer = answer.await;
            respond(&desk, worker, id, answer).await;
            lock(&at_work).remove(&id);
        };
        let task = task.instrument(span);
        // Under the lock, so that a task that ends at once finds itself.
        let mut at_work = self.at_work();
        let task = self.tasks.spawn_on(task, &self.runtime);
        at_work.insert(id, task.abort_handle());
    }

    fn cancelled(&self, call: CallId) {
        if let Some(task) = self.at_work().remove(&call) {
            task.abort();
        }
    }
}

/// What the function says, in a form that can be told.
async fn answer(function: Function, asked: Asked) -> Answer {
    // What it leaves in its own hands, broken by a panic, is its own concern, as with a task's.
    let answer = AssertUnwindSafe(function(asked)).catch_unwind().await;
    let internal = || Failure::new("internal", "The service failed; it is in the server's log.");
    let failure = match answer {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let reason = panic_message(&*panic);
            tracing::error!(reason, "a service panicked");
            return Err(internal());
        }
    };
    let message = shortened(&failure.message);
    Err(Failure::parse(&failure.code, &message).unwrap_or_else(|_| {
        let code = failure.code;
        tracing::error!(code, "a code must be 1 to 64 small letters, digits and '_'");
        internal()
    }))
}

/// Has an answer stored, for as long as it is wanted.
async fn respond(desk: &Weak<Desk>, worker: WorkerId, call: CallId, answer: Answer) {
    while let Some(desk) = desk.upgrade() {
        let (done, stored) = oneshot::channel();
        desk.respond(worker, call, answer.clone(), |stored| _ = done.send(stored));
        drop(desk);
        match stored.await {
            Ok(Err(error)) if error.code == ErrorCode::Unavailable => sleep(RETRY).await,
            // It is stored, or not wanted any more, or the server ends.
            Ok(_) | Err(_) => return,
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it says nothing in words")
}

fn lock(at_work: &Mutex<AtWork>) -> MutexGuard<'_, AtWork> {
    at_work.lock().unwrap_or_else(PoisonError::into_inner)
}
