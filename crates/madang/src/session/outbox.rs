//! What a session has been told to send and has not written yet.

use std::{
    cell::Cell,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
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
///
/// What the task asks at every message is answered without the lock. It changes under the lock alone, but
/// for the bytes being written, which only the task changes: so each has one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// The cost of what is queued.
    queued: AtomicUsize,
    /// The cost of what was taken and is not written yet.
    writing: AtomicUsize,
    /// Nothing more is taken.
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    items: Vec<Item>,
    /// The close frame to be sent behind everything.
    close: Option<Box<Close>>,
}

impl Outbox {
    /// Queues items, with nothing of anybody else's between them; all of them or none.
    pub(crate) fn push(
        &self,
        items: impl IntoIterator<Item = Item> + AsRef<[Item]>,
        settings: &Settings,
    ) -> Result<(), SendError> {
        let cost = items.as_ref().iter().map(Item::cost).sum();
        let mut queue = self.queue();
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        if self.waiting().saturating_add(cost) <= settings.max_outgoing {
            if queue.items.capacity() == 0 {
                queue.items = SPARE.take();
            }
            queue.items.extend(items);
            let queued = self.queued.load(Ordering::Relaxed);
            self.queued.store(queued + cost, Ordering::Relaxed);
            return Ok(());
        }
        if settings.when_full == WhenFull::Close {
            let reason = (settings.overloaded)("what is sent here is not being read");
            self.end(&mut queue, Close::new(CloseCode::OVERLOADED, reason));
        }
        Err(SendError::Full)
    }

    /// Queues a flush, which always fits; it takes the place of one behind which nothing was queued
    /// and that nobody waits for any more.
    pub(crate) fn push_flush(&self, done: oneshot::Sender<()>) -> Result<(), SendError> {
        let mut queue = self.queue();
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        queue
            .items
            .pop_if(|item| matches!(item, Item::Flush(last) if last.is_closed()));
        queue.items.push(Item::Flush(done));
        Ok(())
    }

    /// Ends the queue with a close frame, unless it has ended.
    pub(crate) fn close(&self, close: Close) {
        self.end(&mut self.queue(), close);
    }

    fn end(&self, queue: &mut Queue, close: Close) {
        if !self.closed.swap(true, Ordering::Release) {
            queue.close = Some(Box::new(close));
        }
    }

    /// The close frame that waits behind everything.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.queue().close.as_deref().cloned()
    }

    /// Takes everything queued, and the close behind it. It counts until it is
    /// [written](Self::written). For the session's task alone.
    #[inline]
    pub(crate) fn take(&self) -> (Vec<Item>, Option<Box<Close>>) {
        let mut queue = self.queue();
        let writing = self.writing.load(Ordering::Relaxed) + self.queued.load(Ordering::Relaxed);
        self.writing.store(writing, Ordering::Relaxed);
        self.queued.store(0, Ordering::Relaxed);
        (mem::take(&mut queue.items), queue.close.take())
    }

    /// Takes a frame that is all there is, if it `may` be taken so. It does not count any more. For the session's
    /// task alone.
    #[inline]
    pub(crate) fn take_alone(&self, may: impl FnOnce(&Frame) -> bool) -> Option<Frame> {
        let mut queue = self.queue();
        let ([Item::Frame(frame)], None) = (&queue.items[..], &queue.close) else {
            return None;
        };
        if !may(frame) {
            return None;
        }
        self.queued.store(0, Ordering::Relaxed);
        let mut items = mem::take(&mut queue.items);
        drop(queue);
        let item = items.pop();
        Self::recycle(items);
        match item {
            Some(Item::Frame(frame)) => Some(frame),
            _ => None,
        }
    }

    /// So many bytes that were taken alone are not written at once: they count again, until they
    /// [are](Self::written).
    pub(crate) fn count(&self, bytes: usize) {
        let writing = self.writing.load(Ordering::Relaxed);
        self.writing.store(writing + bytes, Ordering::Relaxed);
    }

    /// So many bytes of what was taken are written, which makes room. For the session's task alone.
    #[inline]
    pub(crate) fn written(&self, bytes: usize) {
        let writing = self.writing.load(Ordering::Relaxed);
        self.writing.store(writing - bytes, Ordering::Relaxed);
    }

    /// Gives the memory of what was taken to the next one who pushes in this thread.
    #[inline]
    pub(crate) fn recycle(items: Vec<Item>) {
        if items.is_empty() && items.capacity() <= KEPT_ITEMS {
            drop(SPARE.replace(items));
        }
    }

    /// Bytes waiting to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.queued.load(Ordering::Relaxed) + self.writing.load(Ordering::Relaxed)
    }

    /// Takes nothing more, and hands out what is left.
    pub(crate) fn shut(&self) -> Vec<Item> {
        let mut queue = self.queue();
        self.closed.store(true, Ordering::Release);
        queue.close = None;
        self.queued.store(0, Ordering::Relaxed);
        self.writing.store(0, Ordering::Relaxed);
        mem::take(&mut queue.items)
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    #[inline]
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
