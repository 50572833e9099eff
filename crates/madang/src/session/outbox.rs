//! What a session has been told to send and has not written yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use websocket::{Close, Frame};

use crate::topic::{Topic, ring::Cursor};

/// Why a message was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session has ended or is closing.
    #[error("the session is closed")]
    Closed,
    /// The peer reads slower than it is sent to, and the bound on waiting bytes is reached.
    #[error("the session's bound on outgoing bytes is reached")]
    Full,
}

/// One step for the connection's task, in the order given.
#[derive(Debug)]
pub(crate) enum Item {
    Frame(Frame),
    Subscribe(Topic, Cursor),
    Unsubscribe(Topic),
    Close(Close),
}

/// Written by anyone, taken by the connection's task. Empty, it owns no heap memory.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    /// Bytes in `items`, and those taken but not yet reported as written.
    bytes: usize,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_bytes,
        }
    }

    /// Queues one item. After a close nothing more is taken.
    pub(crate) fn push(&self, item: Item) -> Result<(), SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::Closed);
        }
        match &item {
            Item::Frame(frame) => {
                if state.bytes + frame.len() > self.max_bytes {
                    return Err(SendError::Full);
                }
                state.bytes += frame.len();
            }
            Item::Close(_) => state.closed = true,
            Item::Subscribe(..) | Item::Unsubscribe(_) => {}
        }
        state.items.push(item);
        Ok(())
    }

    /// Takes everything queued so far.
    pub(crate) fn take(&self) -> Vec<Item> {
        std::mem::take(&mut self.state().items)
    }

    /// Reports frames as written, which makes room.
    pub(crate) fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Bytes waiting to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.state().bytes
    }

    /// Takes nothing more, and hands out what is left.
    pub(crate) fn shut(&self) -> Vec<Item> {
        let mut state = self.state();
        state.closed = true;
        state.bytes = 0;
        std::mem::take(&mut state.items)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
