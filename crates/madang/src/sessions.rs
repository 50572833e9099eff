//! The open sessions of a mount.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use websocket::CloseCode;

use crate::session::{AnySession, SessionId};

/// The sessions that are open now; cheap to clone, all clones are the same register.
///
/// A session is in it from before its `on_open` until after its `on_close`.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: Mutex<HashMap<SessionId, AnySession>>,
    empty: Notify,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.open().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open().is_empty()
    }

    /// The session with this id.
    pub fn get(&self, id: SessionId) -> Option<AnySession> {
        self.open().get(&id).cloned()
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<AnySession> {
        self.open().values().cloned().collect()
    }

    /// Closes all of them, each as [`Session::close`](crate::Session::close) does.
    pub fn close_all(&self, code: CloseCode, reason: &str) {
        for session in self.all() {
            session.close(code, reason);
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

    /// Enters a session; it leaves when the guard is dropped.
    pub(crate) fn enter(&self, session: AnySession) -> Entered {
        let id = session.id();
        self.open().insert(id, session);
        Entered {
            sessions: self.clone(),
            id,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, AnySession>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place in the register.
pub(crate) struct Entered {
    sessions: Sessions,
    id: SessionId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.sessions.open();
        open.remove(&self.id);
        if open.is_empty() {
            self.sessions.0.empty.notify_waiters();
        }
    }
}
