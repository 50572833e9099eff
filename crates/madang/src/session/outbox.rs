//! What a session has been told to send and has not written yet.

use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use websocket::{Close, CloseCode, Frame};

use crate::{
    settings::{Settings, WhenFull},
    topic::{Topic, ring::Cursor},
};

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
    /// To tell when everything before is written.
    Flush(oneshot::Sender<()>),
}

impl Item {
    /// What the item counts for, in bytes: a frame's own, or about what a step takes in memory.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Subscribe(..) | Self::Unsubscribe(_) => 64,
            // Whoever waits holds it, and it takes no message's place.
            Self::Flush(_) => 0,
        }
    }
}

/// Items for which a thread keeps memory.
const KEPT_ITEMS: usize = 256;

thread_local! {
    static SPARE: Cell<Vec<Item>> = const { Cell::new(Vec::new()) };
}

/// Written by anyone, taken by the connection's task. Empty, it owns no heap memory.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    /// The cost of `items`, and of those taken but not yet reported as written.
    bytes: usize,
    /// Nothing more is taken.
    closed: bool,
    /// The close frame to be sent behind everything.
    close: Option<Box<Close>>,
}

impl Outbox {
    /// Queues items, with nothing of anybody else's between them; all of them or none.
    pub(crate) fn push(
        &self,
        items: impl IntoIterator<Item = Item>,
        settings: &Settings,
    ) -> Result<(), SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::Closed);
        }
        if state.items.capacity() == 0 {
            state.items = SPARE.take();
        }
        let (had, mut bytes) = (state.items.len(), state.bytes);
        state
            .items
            .extend(items.into_iter().inspect(|item| bytes += item.cost()));
        if bytes <= settings.max_outgoing {
            state.bytes = bytes;
            return Ok(());
        }
        state.items.truncate(had);
        if settings.when_full == WhenFull::Close {
            let reason = "what is sent here is not being read";
            state.close(Close::new(CloseCode::OVERLOADED, reason));
        }
        Err(SendError::Full)
    }

    /// Queues a flush, which always fits; it takes the place of one behind which nothing was queued
    /// and that nobody waits for any more.
    pub(crate) fn push_flush(&self, done: oneshot::Sender<()>) -> Result<(), SendError> {
        let mut state = self.state();
        if state.closed {
            return Err(SendError::Closed);
        }
        state
            .items
            .pop_if(|item| matches!(item, Item::Flush(last) if last.is_closed()));
        state.items.push(Item::Flush(done));
        Ok(())
    }

    /// Ends the queue with a close frame, unless it has ended.
    pub(crate) fn close(&self, close: Close) {
        self.state().close(close);
    }

    /// The close frame that waits behind everything.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.state().close.as_deref().cloned()
    }

    /// Reports so many bytes as written, which makes room, and takes everything queued since, and the
    /// close behind it.
    pub(crate) fn take(&self, written: usize) -> (Vec<Item>, Option<Close>) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(written);
        let close = state.close.take().map(|close| *close);
        (std::mem::take(&mut state.items), close)
    }

    /// Gives the memory of what was taken to the next one who pushes in this thread.
    pub(crate) fn recycle(items: Vec<Item>) {
        if items.is_empty() && items.capacity() <= KEPT_ITEMS {
            SPARE.set(items);
        }
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

impl State {
    fn close(&mut self, close: Close) {
        if !self.closed {
            self.closed = true;
            self.close = Some(Box::new(close));
        }
    }
}
