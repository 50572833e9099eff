//! Rooms by tokio's broadcast channel: what the peers' own chat examples use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Messages that a slow member may be behind.
const CAPACITY: usize = 1024;

/// The rooms, by their paths; all clones are the same.
#[derive(Clone)]
pub(crate) struct Rooms<M>(Arc<Mutex<HashMap<String, Room<M>>>>);

impl<M: Clone> Rooms<M> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The room at `path`, a new one if need be.
    pub(crate) fn at(&self, path: &str) -> Room<M> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms
            .entry(path.to_owned())
            .or_insert_with(Room::new)
            .clone()
    }
}

/// A room; all clones are the same.
#[derive(Clone)]
pub(crate) struct Room<M>(Sender<M>);

impl<M: Clone> Room<M> {
    fn new() -> Self {
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

/// What is said next; a member that is too far behind goes on with what there is.
pub(crate) async fn hear<M: Clone>(heard: &mut Receiver<M>) -> Option<M> {
    loop {
        match heard.recv().await {
            Ok(message) => return Some(message),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
