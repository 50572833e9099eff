//! The open sessions of a mount, and the clock by which they ping.

mod clock;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
    time::{Instant, interval, sleep_until},
};
use websocket::CloseCode;

use self::{clock::Clock, slots::Slots};
use crate::session::{AnySession, Session, SessionId};

/// The sessions that are open now; cheap to clone, all clones are the same register.
///
/// A session is in it from when its handshake is accepted, before its `on_open`, until after its
/// `on_close`.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    empty: Notify,
}

#[derive(Default)]
struct State {
    open: Slots,
    /// While there are sessions, unless they do not ping.
    ticker: Option<Ticker>,
    /// Whoever waits for the end of a session: its sender is dropped then.
    awaited: HashMap<SessionId, Vec<oneshot::Sender<()>>>,
    /// Whether nobody comes in any more.
    draining: bool,
}

/// A clock, and the task that rings by it.
struct Ticker {
    clock: Clock,
    task: AbortHandle,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.state().open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session with this id.
    pub fn get(&self, id: SessionId) -> Option<AnySession> {
        self.state().open.get(id).cloned()
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<AnySession> {
        self.state().open.all().cloned().collect()
    }

    /// Waits until a session has ended, its `on_close` included; not at all for one that is not open.
    pub fn ended(&self, id: SessionId) -> impl Future<Output = ()> + Send + use<> {
        let (end, ended) = oneshot::channel();
        let mut state = self.state();
        if state.open.get(id).is_some() {
            let awaited = state.awaited.entry(id).or_default();
            // Those who gave up waiting are no more.
            awaited.retain(|end| !end.is_closed());
            awaited.push(end);
        }
        async { _ = ended.await }
    }

    /// Closes all of them, each as [`Session::close`](crate::Session::close) does.
    pub fn close_all(&self, code: CloseCode, reason: &str) {
        for session in self.all() {
            session.close(code, reason);
        }
    }

    /// Closes all of them and lets nobody in any more: from now on a handshake is answered with 503.
    /// [`wait_until_empty`](Self::wait_until_empty) then waits for the end.
    pub fn drain(&self, code: CloseCode, reason: &str) {
        self.state().draining = true;
        self.close_all(code, reason);
    }

    /// The same, with no more than `per_second` of them closed within a second, so that those who come
    /// back do not come all at once. 0 is no limit. It has ended when the last is told to close.
    pub async fn drain_slowly(&self, code: CloseCode, reason: &str, per_second: u32) {
        if per_second == 0 {
            return self.drain(code, reason);
        }
        self.state().draining = true;
        let at_once = per_second.div_ceil(50);
        let mut steps = interval(Duration::from_secs(at_once.into()) / per_second);
        for some in self.all().chunks(at_once as usize) {
            steps.tick().await;
            for session in some {
                session.close(code, reason);
            }
        }
    }

    /// Waits until the last has ended, its `on_close` included.
    pub async fn wait_until_empty(&self) {
        loop {
            let emptied = self.0.empty.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Opens a session and enters it, unless nobody is let in any more. It is to ping each `heartbeat`, which
    /// is that of all who enter here.
    pub(crate) fn enter<D: Send + Sync + 'static>(
        &self,
        heartbeat: Duration,
        session: impl FnOnce(SessionId) -> Session<D>,
    ) -> Option<Session<D>> {
        let mut state = self.0.state();
        if state.draining {
            return None;
        }
        let State { open, ticker, .. } = &mut *state;
        let now = Instant::now();
        // It may have ended with the runtime that it was in.
        ticker.take_if(|ticker| ticker.task.is_finished());
        if ticker.is_none() {
            *ticker = Clock::new(heartbeat, now).map(|clock| {
                let task = tokio::spawn(tick(Arc::downgrade(&self.0), heartbeat)).abort_handle();
                Ticker { clock, task }
            });
        }
        let slot = ticker.as_mut().map(|ticker| ticker.clock.enter(open, now));
        let session = session(SessionId::generate(slot.unwrap_or_default()));
        open.insert(session.any());
        Some(session)
    }

    /// Takes a session out.
    pub(crate) fn leave(&self, session: SessionId) {
        let mut state = self.state();
        state.open.remove(session);
        state.awaited.remove(&session);
        if state.open.len() == 0 {
            self.0.empty.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that are to ping now, and when others are; none once all are gone.
    fn beat(&self) -> Option<(Vec<AnySession>, Instant)> {
        let mut state = self.state();
        let State { open, ticker, .. } = &mut *state;
        let clock = &mut ticker.as_mut()?.clock;
        let due = clock.advance(open, Instant::now());
        match clock.next(open) {
            Some(next) => Some((due, next)),
            None => {
                *ticker = None;
                None
            }
        }
    }
}

/// Tells the sessions when to ping, as long as there are any.
///
/// One task does so for all: a timer of its own would cost each idle session 128 bytes.
async fn tick(register: Weak<Shared>, heartbeat: Duration) {
    let beat = || register.upgrade()?.beat();
    while let Some((due, next)) = beat() {
        for session in due {
            // Those with a heartbeat of their own have a timer, too.
            if session.settings().heartbeat == heartbeat {
                session.bell().beat();
            }
        }
        sleep_until(next).await;
    }
}
