//! From frames to bytes: what is to be written, gathered into few writes.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{io::AsyncWrite, sync::oneshot};
use websocket::{Close, Deflate, Encoded, Frame};

use super::heartbeat::Heartbeat;
use crate::{
    session::{Item, Outbox, Session},
    topic::{LogError, Reading, Topic, pages::Behind, ring::Cursor},
};

/// Bytes of topics' frames taken for one batch, before the session's own frames get their turn.
const BATCH_BYTES: usize = 64 * 1024;
/// Frames whose payload is shorter are copied side by side, which costs less than a slice of its own.
const COPIED: usize = 8 * 1024;
/// Bytes that are copied for one write.
const SCRATCH: usize = 64 * 1024;
/// Slices of long frames in one write; the kernel takes up to 1,024.
const SLICES: usize = 64;
/// Frames for which a spare batch keeps memory.
const KEPT_FRAMES: usize = 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SCRATCH));
    /// The batch that was written last: the next one to write has its memory.
    static SPARE: Cell<Option<Box<Batch>>> = const { Cell::new(None) };
}

/// The writing half of a connection. Between batches it holds no memory but its cursors.
pub(super) struct Outgoing {
    /// What is being written.
    batch: Option<Box<Batch>>,
    deflate: Option<Deflate>,
    /// Whether the socket took no more at the last write.
    blocked: bool,
    /// Whether something was sent, or published, that is not gathered yet.
    pub(super) rung: bool,
    /// Whether to ping.
    pub(super) ping: bool,
    /// The answer to the latest ping.
    pub(super) pong: Option<Box<Frame>>,
    subscriptions: Vec<Subscription>,
}

#[derive(Default)]
struct Batch {
    frames: VecDeque<Encoded>,
    /// Bytes of the first frame that are written.
    offset: usize,
    /// Bytes that the batch counts for in the session's outbox.
    from_outbox: usize,
    /// Whom to tell when it is written.
    flushes: Vec<oneshot::Sender<()>>,
    /// What was taken from a topic: compressed outside of its lock.
    taken: Vec<Frame>,
}

/// A session's place in a topic.
struct Subscription {
    topic: Topic,
    cursor: Cursor,
    /// While the place is older than the topic's ring.
    behind: Option<Box<Behind>>,
}

impl Outgoing {
    pub(super) fn new(deflate: Option<Deflate>) -> Self {
        Self {
            batch: None,
            deflate,
            blocked: false,
            rung: false,
            ping: false,
            pong: None,
            subscriptions: Vec::new(),
        }
    }

    /// Queues a frame behind the batch.
    pub(super) fn push(&mut self, frame: Frame) {
        let encoded = frame.into_encoded(self.deflate);
        batch(&mut self.batch).frames.push_back(encoded);
    }

    /// Writes the batch, and tells for how many bytes it counted in the outbox.
    pub(super) fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        heartbeat: &mut Heartbeat,
    ) -> Poll<io::Result<usize>> {
        let Some(batch) = &mut self.batch else {
            return Poll::Ready(Ok(0));
        };
        while !batch.frames.is_empty() {
            let written = match batch.poll_write(io, cx) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.blocked = true;
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            batch.advance(written);
            if mem::take(&mut self.blocked) {
                // The socket had been full: room in it means that the peer takes what it is sent.
                heartbeat.heard();
            }
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        for flush in batch.flushes.drain(..) {
            // Whoever waited may have given up.
            let _ = flush.send(());
        }
        let from_outbox = mem::take(&mut batch.from_outbox);
        keep(&mut self.batch);
        Poll::Ready(Ok(from_outbox))
    }

    /// Whether there may be something to gather: it was rung for, or is what nobody rings for.
    pub(super) fn has_more(&self) -> bool {
        let paging = || self.subscriptions.iter().any(Subscription::is_paging);
        self.rung || self.ping || self.pong.is_some() || paging()
    }

    /// Whether there is something that the socket has not taken.
    pub(super) fn is_writing(&self) -> bool {
        self.batch.is_some()
    }

    /// Makes a batch of what has come since the last one, and tells the close that follows.
    ///
    /// A batch is bounded: [`rung`](Self::rung) afterwards, where a topic may have more.
    ///
    /// The outbox is taken first and written last: a reply that was sent after an event was appended
    /// is thus written after that event, unless the session is behind.
    pub(super) fn gather<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
    ) -> Result<Option<Close>, LogError> {
        let (mut items, close) = session.outbox().take();
        if let Some(pong) = self.pong.take() {
            self.push(*pong);
        }
        if mem::take(&mut self.ping) {
            self.push(Frame::ping(&[]));
        }
        let read = self.read_topics(session, cx);
        self.rung = false;
        for item in items.drain(..) {
            let batch = batch(&mut self.batch);
            batch.from_outbox += item.cost();
            match item {
                Item::Frame(frame) => batch.frames.push_back(frame.into_encoded(self.deflate)),
                Item::Subscribe(topic, cursor) => {
                    self.subscribe(topic, cursor);
                    // What is new since its place.
                    self.rung = true;
                }
                Item::Unsubscribe(topic) => {
                    let others = |subscription: &Subscription| !subscription.topic.is(&topic);
                    self.subscriptions.retain(others);
                }
                Item::Flush(done) => batch.flushes.push(done),
            }
        }
        Outbox::recycle(items);
        self.rung |= read?;
        Ok(close)
    }

    fn subscribe(&mut self, topic: Topic, cursor: Cursor) {
        match self
            .subscriptions
            .iter_mut()
            .find(|subscription| subscription.topic.is(&topic))
        {
            Some(subscription) => (subscription.cursor, subscription.behind) = (cursor, None),
            None => {
                // Most sessions have one; the next power of two would cost more than it saves.
                self.subscriptions.reserve_exact(1);
                self.subscriptions.push(Subscription {
                    topic,
                    cursor,
                    behind: None,
                });
            }
        }
    }

    /// Takes up to a batch of what the topics have, and one page of a log. The topic that used up
    /// the budget comes last the next time, so that a busy one does not keep the others waiting.
    /// Tells whether it was used up: there may be more.
    fn read_topics<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
    ) -> Result<bool, LogError> {
        let mut budget = BATCH_BYTES;
        let mut paging = self.subscriptions.iter().any(Subscription::is_paging);
        for index in 0..self.subscriptions.len() {
            let subscription = &mut self.subscriptions[index];
            if !subscription.is_paging() && subscription.is_due() {
                let batch = batch(&mut self.batch);
                subscription.read(session, &mut paging, &mut budget, &mut batch.taken);
                batch.encode_taken(self.deflate);
            }
            if subscription.is_paging() {
                let batch = batch(&mut self.batch);
                paging = !subscription.read_page(session, cx, &mut batch.taken)?;
                batch.encode_taken(self.deflate);
                if !paging {
                    budget = 0;
                }
            }
            if budget == 0 {
                self.subscriptions.rotate_left(index + 1);
                break;
            }
        }
        if self.batch.as_ref().is_some_and(|batch| batch.is_empty()) {
            keep(&mut self.batch);
        }
        Ok(budget == 0)
    }

    /// Takes nothing more for the session and ends its subscriptions, those on their way included.
    /// Whoever waits for a flush learns that it does not come.
    pub(super) fn shut<D: ?Sized>(&mut self, session: &Session<D>) {
        self.batch = None;
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

/// The batch, made of the thread's spare one where there is none.
fn batch(slot: &mut Option<Box<Batch>>) -> &mut Batch {
    slot.get_or_insert_with(|| SPARE.take().unwrap_or_default())
}

/// Makes an empty batch the thread's spare one, unless it has grown large.
fn keep(batch: &mut Option<Box<Batch>>) {
    if let Some(batch) = batch.take()
        && batch.frames.capacity() <= KEPT_FRAMES
    {
        SPARE.set(Some(batch));
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.from_outbox == 0 && self.flushes.is_empty()
    }

    fn encode_taken(&mut self, deflate: Option<Deflate>) {
        let taken = self.taken.drain(..);
        self.frames
            .extend(taken.map(|frame| frame.into_encoded(deflate)));
    }

    /// Writes once: short frames side by side out of the thread's buffer, long ones from where
    /// they lie.
    fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(io);
        let is_long = |frame: &Encoded| frame.payload().len() >= COPIED;
        if self.frames.front().is_some_and(is_long) && io.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            self.pieces(|piece| {
                slices[count] = IoSlice::new(piece);
                count += 1;
                count < SLICES
            });
            return io.poll_write_vectored(cx, &slices[..count]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            self.pieces(|piece| {
                let room = SCRATCH - buffer.len();
                buffer.extend_from_slice(&piece[..piece.len().min(room)]);
                piece.len() < room
            });
            io.poll_write(cx, buffer)
        })
    }

    /// Hands out what is to be written, in order, until `take` wants no more.
    fn pieces<'b>(&'b self, mut take: impl FnMut(&'b [u8]) -> bool) {
        let mut written = self.offset;
        for frame in &self.frames {
            for piece in &[frame.header(), frame.payload()] {
                let skipped = written.min(piece.len());
                written -= skipped;
                if skipped < piece.len() && !take(&piece[skipped..]) {
                    return;
                }
            }
        }
    }

    fn advance(&mut self, written: usize) {
        self.offset += written;
        while let Some(first) = self.frames.front() {
            if self.offset < first.len() {
                return;
            }
            self.offset -= first.len();
            self.frames.pop_front();
        }
    }
}

impl Subscription {
    fn is_due(&self) -> bool {
        self.topic.has_news(&self.cursor)
    }

    fn is_paging(&self) -> bool {
        self.behind
            .as_ref()
            .is_some_and(|behind| behind.is_reading())
    }

    /// Takes what the ring has; where it does not reach back far enough, a page is begun, unless
    /// another of the session's subscriptions is at one.
    fn read<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        paging: &mut bool,
        budget: &mut usize,
        taken: &mut Vec<Frame>,
    ) {
        let read = self
            .topic
            .read(&mut self.cursor, session.id(), budget, taken);
        let Reading::Behind { after, until } = read else {
            self.behind = None;
            return;
        };
        if !mem::replace(paging, true) {
            let behind = || Box::new(Behind::new(self.topic.pages()));
            self.behind.get_or_insert_with(behind).begin(after, until);
        }
    }

    /// Takes the page that was begun; `false` while it is not there.
    fn read_page<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        cx: &mut Context<'_>,
        taken: &mut Vec<Frame>,
    ) -> Result<bool, LogError> {
        let Some(behind) = &mut self.behind else {
            return Ok(true);
        };
        let Poll::Ready(page) = behind.poll_page(cx) else {
            return Ok(false);
        };
        let page = page?;
        let next = self.cursor.seq() + 1;
        if next < page.first {
            taken.push(self.topic.gap(next, page.first - 1));
        }
        let had = next.saturating_sub(page.first) as usize;
        taken.extend(page.frames.iter().skip(had).cloned());
        let (cursor, caught_up) = self.topic.resume(page.last(), session.id());
        self.cursor = cursor;
        taken.extend(caught_up);
        Ok(true)
    }
}
