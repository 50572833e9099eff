//! The open sessions of a mount.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use websocket::CloseCode;

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
    open: HashMap<SessionId, AnySession>,
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

    /// Enters a session, unless nobody is let in any more; it leaves when the guard is dropped.
    pub(crate) fn enter<D>(&self, session: Session<D>) -> Option<Entered<D>>
    where
        D: Send + Sync + 'static,
    {
        let mut state = self.state();
        if state.draining {
            return None;
        }
        state.open.insert(session.id(), session.any());
        drop(state);
        let sessions = self.clone();
        Some(Entered { session, sessions })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session with its place in the register.
pub(crate) struct Entered<D> {
    session: Session<D>,
    sessions: Sessions,
}

impl<D> Deref for Entered<D> {
    type Target = Session<D>;

    fn deref(&self) -> &Session<D> {
        &self.session
    }
}

impl<D> Drop for Entered<D> {
    fn drop(&mut self) {
        let mut state = self.sessions.state();
        state.open.remove(&self.session.id());
        if state.open.is_empty() {
            self.sessions.0.empty.notify_waiters();
        }
    }
}
