//! Calls, those who ask and those who answer.
//!
//! [`Desk`] drives [`calls::Calls`]: it stores what is to be stored, asks the workers, and tells those who
//! wait. Nobody hears of a call before it is stored, and nobody of an answer before that is.
//!
//! Who asks is a [`Caller`], and who answers a [`Worker`]; `chat` makes sessions both.

mod callers;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use calls::{Calls, Effect, Limits, NotHeld, Served, WorkerId};
use rooms::{
    Answer, Call, CallId, Data, Error, ErrorCode, Question, Serve, ServiceName, SessionId, Ticket,
    Timestamp, User, UserId, UserName,
};
use store::{CallRow, OpenCall, Outcome, Write};
use tokio::{runtime::Handle, sync::Notify, time::sleep_until};

use self::callers::Callers;
pub(crate) use self::callers::{Caller, CallerId};
use crate::{
    clock::{instant, now},
    config,
    journal::Journal,
    reads::{Reads, unavailable},
};

/// Whoever answers calls. What is done here must not block.
pub(crate) trait Worker: Send + Sync {
    /// To answer a call.
    fn request(&self, call: Arc<Call>, timeout: Duration, again: bool);

    /// An answer is wanted no more.
    fn cancelled(&self, call: CallId);

    /// The session that it is, if it is one.
    fn session(&self) -> Option<SessionId> {
        None
    }
}

/// Who asks.
pub(crate) enum Asker {
    /// A user.
    User(User),
    /// A guest who came with a name alone, and has nothing but the ticket to come back with.
    Passing(UserName),
}

impl Asker {
    fn user(self, ticket: Ticket) -> User {
        match self {
            Self::User(user) => user,
            Self::Passing(name) => User {
                id: ticket.guest(),
                name,
                guest: true,
            },
        }
    }
}

/// Where calls come in and answers go out.
pub(crate) struct Desk {
    journal: Journal,
    reads: Reads,
    settings: config::Calls,
    /// For reads, which the journal's thread may ask for too.
    runtime: Handle,
    /// Itself, for what is done when something is stored.
    this: Weak<Self>,
    state: Mutex<State>,
    /// Something is due sooner than the timer knows.
    sooner: Arc<Notify>,
    /// Callers that are no sessions.
    callers: AtomicU64,
}

struct State {
    calls: Calls,
    workers: HashMap<WorkerId, Arc<dyn Worker>>,
    callers: Callers,
    /// Who wants to know whether the end of a call is stored.
    ends: HashMap<CallId, Box<dyn FnOnce(bool) + Send>>,
    /// When the timer looks next.
    timer: Option<Instant>,
    last: CallId,
}

/// What is to be stored of a call.
enum Store {
    Hand(UserId),
    Answer(Answer),
}

impl Desk {
    /// With the calls that an earlier run left open. Must be called on a tokio runtime.
    pub(crate) fn open(
        journal: Journal,
        reads: Reads,
        settings: config::Calls,
        left: Vec<OpenCall>,
    ) -> Arc<Self> {
        let mut calls = Calls::new(Limits {
            open: settings.open,
            open_bytes: settings.open_bytes,
            open_per_user: settings.open_per_user,
            waiting: settings.waiting,
            services: settings.services,
            services_per_worker: settings.services_per_session,
            grace: Duration::from_millis(settings.grace_ms),
        });
        let (at, today) = (instant(), now());
        for OpenCall { call, given_to } in left {
            let time = call.deadline.since(today);
            calls.restore(call, given_to, time, at);
        }
        let desk = Arc::new_cyclic(|this| Self {
            journal,
            reads,
            settings,
            runtime: Handle::current(),
            this: this.clone(),
            state: Mutex::new(State {
                calls,
                workers: HashMap::new(),
                callers: Callers::default(),
                ends: HashMap::new(),
                timer: None,
                last: CallId::new(today, 0),
            }),
            sooner: Arc::default(),
            callers: AtomicU64::new(0),
        });
        tokio::spawn(keep_time(Arc::downgrade(&desk), desk.sooner.clone()));
        desk
    }

    /// Names a caller that is no session. The ids of those have a time in their upper bits.
    pub(crate) fn new_caller(&self) -> CallerId {
        CallerId(self.callers.fetch_add(1, Ordering::Relaxed).into())
    }

    /// Asks a service. The caller hears of it when it is stored.
    pub(crate) fn ask(&self, question: Question, from: Asker, caller: Box<dyn Caller>) {
        let Question {
            service,
            method,
            params,
            timeout_ms,
            key,
        } = question;
        let most = self.settings.max_timeout_ms;
        let timeout_ms = timeout_ms.unwrap_or(self.settings.timeout_ms);
        if timeout_ms > most {
            let message =
                format!("The field 'timeout_ms' must be a whole number from 1 to {most}.");
            return caller.refuse(Error::bad_field("timeout_ms", message));
        }
        let at = now();
        let mut state = self.state();
        let id = state.new_id(at);
        let deadline = at.after(Duration::from_millis(timeout_ms));
        let call = Call {
            id,
            service,
            method,
            params,
            from: from.user(id.into()),
            key,
            at,
            deadline,
        };
        let given_to = match state.calls.accept(call.clone(), instant()) {
            Ok(given_to) => given_to,
            Err(error) => {
                drop(state);
                return caller.refuse(error);
            }
        };
        self.settle(state);
        let user = call.from.id.clone();
        let write = Write::AcceptCall {
            call,
            given_to,
            answered_since: self.kept_since(at),
        };
        self.submit(write, move |desk, outcome| {
            desk.accepted(id, &user, outcome, caller)
        });
    }

    /// Runs on the journal's thread.
    fn accepted(
        &self,
        id: CallId,
        user: &UserId,
        outcome: Option<Outcome>,
        mut caller: Box<dyn Caller>,
    ) {
        let stored = outcome == Some(Outcome::Done);
        let mut state = self.state();
        if stored {
            caller.ticket(id.into());
            state.callers.add(id, caller);
            state.calls.accepted(id, true, instant());
            return self.settle(state);
        }
        state.calls.accepted(id, false, instant());
        self.settle(state);
        match outcome {
            Some(Outcome::SameCall(same)) => {
                caller.ticket(same.into());
                self.collect(same.into(), user, caller);
            }
            Some(Outcome::OtherCall(other)) => {
                let message = format!(
                    "The key stands for another call, '{}'. Use a new key for each call.",
                    Ticket::from(other)
                );
                caller.refuse(Error::new(ErrorCode::Conflict, message));
            }
            _ => caller.refuse(unavailable()),
        }
    }

    /// Waits for the answer to a call of this user, or brings it. Tells whether the call is open; else the
    /// caller hears at once what there is.
    pub(crate) fn collect(&self, ticket: Ticket, user: &UserId, caller: Box<dyn Caller>) -> bool {
        let mut state = self.state();
        let id = ticket.into();
        if let Some(of) = state.calls.caller(id) {
            let theirs = of == user;
            if theirs {
                state.callers.add(id, caller);
            } else {
                drop(state);
                caller.refuse(ticket.into());
            }
            return theirs;
        }
        drop(state);
        let row = self.stored(ticket, user);
        self.runtime.spawn(async move {
            match row.await.map(|row| row.answer) {
                Ok(Some((answer, _))) => caller.end(ticket, answer),
                // Its end has just failed to be stored, or the server is stopping.
                Ok(None) => caller.refuse(unavailable()),
                Err(error) => caller.refuse(error),
            }
        });
        false
    }

    /// A call of this user as it is stored, for one that is not open.
    fn stored(
        &self,
        ticket: Ticket,
        user: &UserId,
    ) -> impl Future<Output = Result<CallRow, Error>> + Send + use<> {
        let (reads, user, since) = (self.reads.clone(), user.clone(), self.kept_since(now()));
        async move {
            let row = reads.read(move |readers| readers.call(ticket.into(), since));
            let row = row.await?.filter(|row| row.user == user);
            row.ok_or_else(|| ticket.into())
        }
    }

    /// The caller is not interested any more in anything that it waits for.
    pub(crate) fn forget(&self, caller: CallerId) {
        let gone = self.state().callers.forget(caller);
        // A caller may have something to do at its end.
        drop(gone);
    }

    /// Ends a call of this user; then tells whether it was open.
    pub(crate) fn cancel(
        &self,
        ticket: Ticket,
        user: &UserId,
        done: impl FnOnce(Result<bool, Error>) + Send + 'static,
    ) {
        let mut state = self.state();
        let id = ticket.into();
        match state.calls.caller(id) {
            Some(of) if of == user => {}
            Some(_) => {
                drop(state);
                return done(Err(ticket.into()));
            }
            None => {
                drop(state);
                let row = self.stored(ticket, user);
                self.runtime
                    .spawn(async move { done(row.await.map(|_| false)) });
                return;
            }
        }
        if state.calls.cancel(id) {
            let done = move |stored: bool| done(if stored { Ok(true) } else { Err(unavailable()) });
            state.ends.insert(id, Box::new(done));
            self.settle(state);
        } else {
            // Another end is on its way to the disk.
            drop(state);
            done(Ok(false));
        }
    }

    /// A worker serves; tells which calls it goes on with. It is to [leave](Self::leave).
    pub(crate) fn serve(
        &self,
        id: WorkerId,
        worker: Arc<dyn Worker>,
        user: &User,
        serve: Serve,
        then: impl FnOnce(Vec<CallId>),
    ) -> Result<(), Error> {
        let mut state = self.state();
        let resumed = state.calls.serve(id, user, serve, instant())?;
        state.workers.entry(id).or_insert(worker);
        // Before it is asked anything.
        then(resumed);
        self.settle(state);
        Ok(())
    }

    /// A worker serves a name no more; `false` if it did not.
    pub(crate) fn unserve(&self, id: WorkerId, service: &ServiceName) -> bool {
        let mut state = self.state();
        let served = state.calls.unserve(id, service, instant());
        self.settle(state);
        served
    }

    /// Who serves what, by name.
    pub(crate) fn survey(&self) -> Vec<Served> {
        self.state().calls.survey()
    }

    /// The session that a worker is, if it is one.
    pub(crate) fn session_of(&self, id: WorkerId) -> Option<SessionId> {
        self.state().workers.get(&id)?.session()
    }

    /// A worker is gone.
    pub(crate) fn leave(&self, id: WorkerId) {
        let mut state = self.state();
        if state.workers.remove(&id).is_some() {
            state.calls.leave(id, instant());
            self.settle(state);
        }
    }

    /// A worker answers; then `done` is told whether that is stored.
    pub(crate) fn respond(
        &self,
        id: WorkerId,
        call: CallId,
        answer: Answer,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let mut state = self.state();
        if let Err(reason) = state.calls.respond(id, call, answer) {
            drop(state);
            return done(Err(not_held(call, reason)));
        }
        let done = move |stored: bool| done(if stored { Ok(()) } else { Err(unavailable()) });
        state.ends.insert(call, Box::new(done));
        self.settle(state);
    }

    /// A worker tells how far a call is.
    pub(crate) fn progress(&self, id: WorkerId, call: CallId, data: &Data) -> Result<(), Error> {
        let state = self.state();
        state
            .calls
            .held(id, call)
            .map_err(|reason| not_held(call, reason))?;
        state.callers.progress(call, data);
        Ok(())
    }

    /// Ends what is over its time; tells when something is due again.
    fn tick(&self) -> Option<Instant> {
        let mut state = self.state();
        state.calls.tick(instant());
        let due = state.calls.next_due();
        state.timer = due;
        self.settle(state);
        due
    }

    /// Does what follows from a change, and lets go of the state.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        let mut stores = Vec::new();
        for effect in state.calls.take_effects() {
            match effect {
                // Under the lock, so that a worker hears of a call's end after its beginning.
                Effect::Request {
                    to,
                    call,
                    timeout,
                    again,
                } => {
                    if let Some(worker) = state.workers.get(&to) {
                        worker.request(call, timeout, again);
                    }
                }
                Effect::Cancelled { to, call } => {
                    if let Some(worker) = state.workers.get(&to) {
                        worker.cancelled(call);
                    }
                }
                Effect::Hand { call, to } => stores.push((call, Store::Hand(to))),
                Effect::Answer { call, answer } => stores.push((call, Store::Answer(answer))),
            }
        }
        let due = state.calls.next_due();
        if due.is_some_and(|due| state.timer.is_none_or(|timer| due < timer)) {
            state.timer = due;
            self.sooner.notify_one();
        }
        drop(state);
        // Not under the lock: what is refused at once is told at once.
        for (call, store) in stores {
            match store {
                Store::Hand(to) => {
                    let write = Write::HandCall { call, to: Some(to) };
                    self.submit(write, move |desk, outcome| {
                        desk.handed(call, outcome.is_some());
                    });
                }
                Store::Answer(answer) => {
                    let write = Write::AnswerCall {
                        call,
                        answer: answer.clone(),
                        at: now(),
                    };
                    self.submit(write, move |desk, outcome| {
                        desk.answered(call, answer, outcome.is_some());
                    });
                }
            }
        }
    }

    /// Runs on the journal's thread.
    fn handed(&self, id: CallId, stored: bool) {
        let mut state = self.state();
        state.calls.handed(id, stored, instant());
        self.settle(state);
    }

    /// Runs on the journal's thread.
    fn answered(&self, id: CallId, answer: Answer, stored: bool) {
        let mut state = self.state();
        state.calls.answered(id, stored, instant());
        let callers = if stored {
            state.callers.take(id)
        } else {
            Vec::new()
        };
        let end = state.ends.remove(&id);
        self.settle(state);
        for caller in callers {
            caller.end(id.into(), answer.clone());
        }
        if let Some(end) = end {
            end(stored);
        }
    }

    /// Stores something; `None` if it could not be stored.
    fn submit(&self, write: Write, then: impl FnOnce(&Self, Option<Outcome>) + Send + 'static) {
        let this = self.this.clone();
        self.journal.submit(write, move |outcome| {
            if let Some(desk) = this.upgrade() {
                then(&desk, outcome.ok());
            }
        });
    }

    /// Answers before this are not kept any more.
    fn kept_since(&self, now: Timestamp) -> Timestamp {
        let kept = i64::try_from(self.settings.kept_ms).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(kept))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An id behind all others, so that calls sort in the order in which they were asked; and one that
    /// nobody guesses from another, as a guest's ticket is all that it takes to have the answer.
    fn new_id(&mut self, at: Timestamp) -> CallId {
        let mut random = [0; 16];
        // Without random bits ids are still no one else's, for each is behind the last.
        let _ = getrandom::fill(&mut random);
        let random = u128::from_le_bytes(random);
        self.last = CallId::new(at, random).max(self.last.after(random as u64));
        self.last
    }
}

/// Ends what is over its time, for as long as there is a desk: it keeps nobody from closing it.
async fn keep_time(desk: Weak<Desk>, sooner: Arc<Notify>) {
    while let Some(due) = desk.upgrade().map(|desk| desk.tick()) {
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(far).into()) => {}
            () = sooner.notified() => {}
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.sooner.notify_one();
    }
}

/// For when nothing is due.
fn far() -> Instant {
    instant() + Duration::from_secs(60 * 60)
}

fn not_held(call: CallId, reason: NotHeld) -> Error {
    match reason {
        NotHeld::NoSuchCall => {
            let message = format!(
                "'{call}' does not wait for an answer of yours: it is answered, cancelled, over its time, or \
                 in other hands."
            );
            Error::new(ErrorCode::NoSuchCall, message)
        }
        NotHeld::Ending => Error {
            message: format!("'{call}' is being ended just now. Try again.").into(),
            ..unavailable()
        },
    }
}
