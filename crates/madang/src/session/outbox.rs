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
}

impl Item {
    /// What the item counts for, in bytes: a frame's own, or about what a step takes in memory.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Subscribe(..) | Self::Unsubscribe(_) => 64,
        }
    }
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
    /// The cost of `items`, and of those taken but not yet reported as written.
    bytes: usize,
    /// Nothing more is taken.
    closed: bool,
    /// The close frame to be sent behind everything.
    close: Option<Close>,
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_bytes,
        }
    }

    /// Queues items, with nothing of anybody else's between them; all of them or none.
    pub(crate) fn push<const N: usize>(&self, items: [Item; N]) -> Result<(), SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::Closed);
        }
        let bytes = state.bytes + items.iter().map(Item::cost).sum::<usize>();
        if bytes > self.max_bytes {
            return Err(SendError::Full);
        }
        state.bytes = bytes;
        state.items.extend(items);
        Ok(())
    }

    /// Ends the queue with a close frame, unless it has ended.
    pub(crate) fn close(&self, close: Close) {
        let mut state = self.state();
        if !state.closed {
            state.closed = true;
            state.close = Some(close);
        }
    }

    /// The close frame that waits behind everything.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.state().close.clone()
    }

    /// Takes everything queued so far, and the close behind it.
    pub(crate) fn take(&self) -> (Vec<Item>, Option<Close>) {
        let mut state = self.state();
        (std::mem::take(&mut state.items), state.close.take())
    }

    /// Reports so much as written, which makes room.
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
        state.close = None;
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
