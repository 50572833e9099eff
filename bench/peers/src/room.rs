//! A room by tokio's broadcast channel: what the peers' own chat examples use.

use tokio::sync::broadcast::{self, Receiver, Sender};

/// Messages that a slow member may be behind.
const CAPACITY: usize = 1024;

/// A room; all clones are the same.
#[derive(Clone)]
pub(crate) struct Room<M>(Sender<M>);

impl<M: Clone> Room<M> {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }

    pub(crate) fn enter(&self) -> Receiver<M> {
        self.0.subscribe()
    }

    /// To everyone, whoever says it among them.
    pub(crate) fn say(&self, message: M) {
        // Without members there is nobody to say it to.
        let _ = self.0.send(message);
    }
}
