//! From frames to bytes: what is to be written, gathered into few writes.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use websocket::{Close, Frame};

use super::heartbeat::Heartbeat;
use crate::{
    session::{Item, Session},
    topic::{LogError, PageFuture, Reading, Topic, ring::Cursor},
};

/// Bytes of topics' frames taken for one batch, before the session's own frames get their turn.
const BATCH_BYTES: usize = 64 * 1024;
/// Frames in one write; the kernel takes up to 1,024.
const WRITE_FRAMES: usize = 64;

/// The writing half of a connection. Between batches it holds no memory but its cursors.
#[derive(Default)]
pub(super) struct Outgoing {
    /// The batch being written.
    batch: VecDeque<Frame>,
    /// Bytes of the batch's first frame that are written.
    offset: usize,
    /// Whether the socket took no more at the last write.
    blocked: bool,
    /// Bytes of the batch that came from the session's outbox.
    from_outbox: usize,
    subscriptions: Vec<Subscription>,
    /// The answer to the latest ping.
    pub(super) pong: Option<Frame>,
    /// Whether to ping.
    pub(super) ping: bool,
}

/// A session's place in a topic.
struct Subscription {
    topic: Topic,
    cursor: Cursor,
    /// The page being read, while the place is older than the topic's ring.
    page: Option<PageFuture>,
}

impl Outgoing {
    /// Queues a frame behind the batch.
    pub(super) fn push(&mut self, frame: Frame) {
        self.batch.push_back(frame);
    }

    /// Bytes of the outbox that have been written since the last call, once the batch is done.
    pub(super) fn take_written(&mut self) -> usize {
        mem::take(&mut self.from_outbox)
    }

    /// Writes the batch.
    pub(super) fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        heartbeat: &mut Heartbeat,
    ) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let count = self.batch.len().min(WRITE_FRAMES);
            for (slice, frame) in slices.iter_mut().zip(&self.batch) {
                *slice = IoSlice::new(frame.as_bytes());
            }
            if let Some(first) = self.batch.front() {
                slices[0] = IoSlice::new(&first.as_bytes()[self.offset..]);
            }
            let written = match Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.blocked = true;
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            if mem::take(&mut self.blocked) {
                // The socket had been full: room in it means that the peer takes what it is sent.
                heartbeat.heard();
            }
        }
        self.batch = VecDeque::new();
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(first) = self.batch.front() {
            if self.offset < first.len() {
                return;
            }
            self.offset -= first.len();
            self.batch.pop_front();
        }
    }

    /// Fills the batch with what has come since the last one; tells whether there was anything, and
    /// the close that follows.
    ///
    /// The outbox is taken first and written last: a reply that was sent after an event was appended
    /// is thus written after that event, unless the session is behind.
    pub(super) fn gather<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
    ) -> Result<(bool, Option<Close>), LogError> {
        let (items, close) = session.outbox().take();
        self.batch.extend(self.pong.take());
        if mem::take(&mut self.ping) {
            self.batch.push_back(Frame::ping(&[]));
        }
        let read = self.read_topics(session, cx);
        let gathered = !items.is_empty() || !self.batch.is_empty();
        for item in items {
            self.from_outbox += item.cost();
            match item {
                Item::Frame(frame) => self.batch.push_back(frame),
                Item::Subscribe(topic, cursor) => self.subscribe(topic, cursor),
                Item::Unsubscribe(topic) => {
                    let others = |subscription: &Subscription| !subscription.topic.is(&topic);
                    self.subscriptions.retain(others);
                }
            }
        }
        read.map(|()| (gathered, close))
    }

    fn subscribe(&mut self, topic: Topic, cursor: Cursor) {
        match self
            .subscriptions
            .iter_mut()
            .find(|subscription| subscription.topic.is(&topic))
        {
            Some(subscription) => (subscription.cursor, subscription.page) = (cursor, None),
            None => self.subscriptions.push(Subscription {
                topic,
                cursor,
                page: None,
            }),
        }
    }

    /// Takes up to a batch of what the topics have, and one page of a log. The topic that used up
    /// the budget comes last the next time, so that a busy one does not keep the others waiting.
    fn read_topics<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
    ) -> Result<(), LogError> {
        let mut budget = BATCH_BYTES;
        let mut paging = self
            .subscriptions
            .iter()
            .any(|subscription| subscription.page.is_some());
        for index in 0..self.subscriptions.len() {
            let subscription = &mut self.subscriptions[index];
            if subscription.page.is_none() {
                subscription.read(session, &mut paging, &mut budget, &mut self.batch);
            }
            if subscription.page.is_some() {
                paging = !subscription.read_page(session, cx, &mut self.batch)?;
                if !paging {
                    budget = 0;
                }
            }
            if budget == 0 {
                self.subscriptions.rotate_left(index + 1);
                break;
            }
        }
        Ok(())
    }

    /// Takes nothing more for the session and ends its subscriptions, those on their way included.
    pub(super) fn shut<D: ?Sized>(&mut self, session: &Session<D>) {
        for item in session.outbox().shut() {
            if let Item::Subscribe(topic, _) = item {
                topic.leave(session.id());
            }
        }
        for subscription in self.subscriptions.drain(..) {
            subscription.topic.leave(session.id());
        }
    }
}

impl Subscription {
    /// Takes what the ring has; where it does not reach back far enough, a page is begun, unless
    /// another of the session's subscriptions is at one.
    fn read<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        paging: &mut bool,
        budget: &mut usize,
        batch: &mut VecDeque<Frame>,
    ) {
        let read = self
            .topic
            .read(&mut self.cursor, session.id(), budget, batch);
        if let Reading::Behind { after, until } = read
            && !mem::replace(paging, true)
        {
            self.page = Some(self.topic.page(after, until));
        }
    }

    /// Takes the page that was begun; `false` while it is not there.
    fn read_page<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
        batch: &mut VecDeque<Frame>,
    ) -> Result<bool, LogError> {
        let Some(page) = &mut self.page else {
            return Ok(true);
        };
        let Poll::Ready(page) = page.as_mut().poll(cx) else {
            return Ok(false);
        };
        self.page = None;
        let page = page?;
        if page.last <= self.cursor.seq() {
            return Err(LogError(format!("no event after {}", self.cursor.seq())));
        }
        let (cursor, caught_up) = self.topic.resume(page.last, session.id());
        self.cursor = cursor;
        batch.extend(page.frames);
        batch.extend(caught_up);
        Ok(true)
    }
}
