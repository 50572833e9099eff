//! The open sessions of a mount.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::interval,
};
use websocket::CloseCode;

use crate::session::{AnySession, SessionId};

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
    open: HashMap<SessionId, AnySession>,
    /// Whoever waits for the end of a session: its sender is dropped then.
    awaited: HashMap<SessionId, Vec<oneshot::Sender<()>>>,
    /// Whether nobody comes in any more.
    draining: bool,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.state().open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.state().open.is_empty()
    }

    /// The session with this id.
    pub fn get(&self, id: SessionId) -> Option<AnySession> {
        self.state().open.get(&id).cloned()
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<AnySession> {
        self.state().open.values().cloned().collect()
    }

    /// Waits until a session has ended, its `on_close` included; not at all for one that is not open.
    pub fn ended(&self, id: SessionId) -> impl Future<Output = ()> + Send + use<> {
        let (end, ended) = oneshot::channel();
        let mut state = self.state();
        if state.open.contains_key(&id) {
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

    /// Enters a session, unless nobody is let in any more: then the answer is `false`.
    pub(crate) fn enter(&self, session: AnySession) -> bool {
        let mut state = self.state();
        if !state.draining {
            state.open.insert(session.id(), session);
        }
        !state.draining
    }

    /// Takes a session out.
    pub(crate) fn leave(&self, session: SessionId) {
        let mut state = self.state();
        state.open.remove(&session);
        state.awaited.remove(&session);
        if state.open.is_empty() {
            self.0.empty.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
