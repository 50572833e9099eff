//! From frames to bytes: what is to be written, gathered into few writes.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{io::AsyncWrite, runtime::Handle};
use websocket::{Close, Deflate, Encoded, Frame};

use super::{
    Item, Outbox, Session, SessionId,
    batch::{self, Batch, batch, keep},
    tray,
};
use crate::{
    line::Line,
    topic::{LogError, Reading, Topic, pages::Behind, ring::Cursor, round::Bundles},
};

/// Bytes of topics' frames taken for one batch, before the session's own frames get their turn.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// The writing half of a connection. Between batches it holds no memory but its cursors.
///
/// The session's task writes here, and so do [rounds](crate::topic::round) of topics while the task
/// has nothing to write, and whoever takes a [tray] away. Whichever comes takes it for as long as a write
/// takes.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// What is being written.
    batch: Option<Box<Batch>>,
    deflate: Option<Deflate>,
    /// What rounds write to; none where the task alone can, and once the session ends.
    line: Option<Line>,
    /// Whether the socket took no more at the last write.
    blocked: bool,
    /// A round came while a batch was being written, or a frame was on a tray.
    missed: bool,
    /// What was gathered last is on a tray.
    away: bool,
    subscriptions: Vec<Subscription>,
}

/// What the session's task wants written that is in no queue, and what it has to know of the batch.
#[derive(Default)]
pub(crate) struct Due {
    /// Something was sent, or published, that is not gathered yet.
    pub(crate) rung: bool,
    /// To ping.
    pub(crate) ping: bool,
    /// The socket has not taken all of the batch.
    pub(crate) writing: bool,
    /// The writing half was not to be had. Whoever has it rings.
    pub(crate) lent: bool,
    /// How it stands with the answer to the handshake.
    pub(crate) head: Head,
    /// A page of a log is being read.
    paging: bool,
    /// The socket took something after it had taken no more: the peer reads.
    pub(crate) took: bool,
    reply: Option<Box<Reply>>,
}

/// A control frame that goes out before all that is not gathered yet.
enum Reply {
    /// To the latest ping.
    Pong(Frame),
    /// The last frame, which takes the place of a pong.
    Close(Frame),
}

impl Due {
    /// To answer a ping, and none before it.
    pub(crate) fn pong(&mut self, frame: Frame) {
        self.reply = Some(Box::new(Reply::Pong(frame)));
    }

    /// To end with this frame.
    pub(crate) fn close(&mut self, frame: Frame) {
        self.reply = Some(Box::new(Reply::Close(frame)));
    }

    /// The answer to the handshake waits for nothing any more.
    pub(crate) fn answer(&mut self) {
        if self.head == Head::Waits {
            self.head = Head::Due;
        }
    }

    /// Whether there may be something to gather: it was rung for, or is what nobody rings for.
    fn has_more(&self) -> bool {
        self.rung || self.ping || self.paging || self.reply.is_some()
    }

    /// Whether there may be something to write.
    pub(crate) fn is_any(&self) -> bool {
        self.writing || self.lent || self.head == Head::Due || self.has_more()
    }
}

/// The answer to the handshake, as far as a session writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Head {
    /// To go out with what is sent next.
    Waits,
    /// To go out, and what was sent by then with it.
    Due,
    /// On its way, or not the session's to write.
    #[default]
    Gone,
}

/// Why nothing more is written.
pub(crate) enum Fault {
    Io(io::Error),
    Log(LogError),
}

/// What a round can do for a reader.
pub(crate) enum Offer {
    /// Nothing, and the reader need not know.
    Nothing,
    /// Its task has to look.
    Wake,
    /// To write this.
    Write(Bytes),
}

/// A session's place in a topic.
struct Subscription {
    topic: Topic,
    cursor: Cursor,
    /// While the place is older than the topic's ring.
    behind: Option<Box<Behind>>,
}

impl Outgoing {
    /// The connection is there; `head` is what it is to be sent before all frames, if anything.
    pub(crate) fn begin(&mut self, deflate: Option<Deflate>, line: Option<Line>, head: Vec<u8>) {
        self.deflate = deflate;
        self.line = line;
        if !head.is_empty() {
            let head = Encoded::from_bytes(head.into());
            batch(&mut self.batch).frames.push_back(head);
        }
    }

    /// How it stands with the head, which waits where it `may`.
    pub(crate) fn head(&self, may_wait: bool) -> Head {
        match (&self.batch, may_wait) {
            (None, _) => Head::Gone,
            (Some(_), true) => Head::Waits,
            (Some(_), false) => Head::Due,
        }
    }

    /// Writes until everything is written or on a tray, or the socket takes no more; nothing new unless the
    /// session is `open`. Tells the close that follows what was written.
    pub(crate) fn poll_write<D: Send + Sync + 'static>(
        &mut self,
        session: &Session<D>,
        io: &mut (impl AsyncWrite + Unpin),
        due: &mut Due,
        open: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Close>, Fault>> {
        let is_close = |reply: &mut Box<Reply>| matches!(**reply, Reply::Close(_));
        if let Some(reply) = due.reply.take_if(is_close) {
            self.line = None;
            self.reply(*reply);
        }
        if mem::take(&mut due.head) != Head::Gone
            && open
            && let Some(close) = self.gather(session, due, cx).map_err(Fault::Log)?
        {
            return Poll::Ready(Ok(Some(close)));
        }
        loop {
            let written = self.poll_batch(session.outbox(), io, due, cx);
            due.writing = written.is_pending();
            ready!(written).map_err(Fault::Io)?;
            due.rung |= session.bell().answer() | mem::take(&mut self.missed);
            if !open || !due.has_more() {
                return Poll::Ready(Ok(None));
            }
            if let Some(frame) = self.take_alone(session, due) {
                let written = self.write_alone(frame, session, io, cx);
                if !written.map_err(Fault::Io)? {
                    return Poll::Ready(Ok(None));
                }
            } else if let Some(close) = self.gather(session, due, cx).map_err(Fault::Log)? {
                return Poll::Ready(Ok(Some(close)));
            } else if self.batch.is_none() && !due.rung {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// A short frame, if nothing else is to be written: as a rule it is a reply.
    #[inline]
    fn take_alone<D: ?Sized>(&self, session: &Session<D>, due: &mut Due) -> Option<Frame> {
        if due.ping || due.paging || due.reply.is_some() || self.batch.is_some() {
            return None;
        }
        // Looked at behind the outbox, for the reason that `gather` has.
        let no_news = || !self.subscriptions.iter().any(Subscription::is_due);
        let may = |frame: &Frame| batch::is_short(frame.len()) && no_news();
        let frame = session.outbox().take_alone(may)?;
        due.rung = false;
        Some(frame)
    }

    /// Writes a frame that came alone, and makes a batch only of what the socket does not take at once. `false`
    /// if it is on a tray.
    #[inline]
    fn write_alone<D: Send + Sync + 'static>(
        &mut self,
        frame: Frame,
        session: &Session<D>,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let from_outbox = frame.len();
        let frame = frame.into_encoded(self.deflate);
        if self.line.is_some() && tray::put(&frame, || session.any()) {
            // A thread's trays are bounded. Counted, it would take the place of what is sent in the same turn.
            self.away = true;
            return Ok(false);
        }
        let written = match batch::poll_write_short(&frame, io, cx) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        if written == frame.len() && Pin::new(io).poll_flush(cx)?.is_ready() {
            return Ok(true);
        }
        session.outbox().count(from_outbox);
        let batch = batch(&mut self.batch);
        batch.from_outbox = from_outbox;
        batch.frames.push_back(frame);
        batch.advance(written);
        Ok(true)
    }

    fn reply(&mut self, reply: Reply) {
        let (Reply::Pong(frame) | Reply::Close(frame)) = reply;
        self.push(frame);
    }

    /// Queues a frame behind the batch.
    fn push(&mut self, frame: Frame) {
        let encoded = frame.into_encoded(self.deflate);
        batch(&mut self.batch).frames.push_back(encoded);
    }

    /// Writes the batch, which counts in the outbox until then.
    fn poll_batch(
        &mut self,
        outbox: &Outbox,
        io: &mut (impl AsyncWrite + Unpin),
        due: &mut Due,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(batch) = &mut self.batch else {
            return Poll::Ready(Ok(()));
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
            due.took |= mem::take(&mut self.blocked);
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        // First there is room again, then those are told who wait for it. They may have given up.
        outbox.written(mem::take(&mut batch.from_outbox));
        for flush in batch.flushes.drain(..) {
            let _ = flush.send(());
        }
        keep(&mut self.batch);
        Poll::Ready(Ok(()))
    }

    /// Makes a batch of what has come since the last one, if anything, and tells the close that follows.
    ///
    /// A batch is bounded: [`rung`](Due::rung) afterwards, where a topic may have more.
    ///
    /// The outbox is taken first and written last: a reply that was sent after an event was appended
    /// is thus written after that event, unless the session is behind.
    fn gather<D: ?Sized>(
        &mut self,
        session: &Session<D>,
        due: &mut Due,
        cx: &mut Context<'_>,
    ) -> Result<Option<Close>, LogError> {
        let (mut items, close) = session.outbox().take();
        if let Some(reply) = due.reply.take() {
            self.reply(*reply);
        }
        if mem::take(&mut due.ping) {
            self.push(Frame::ping(&[]));
        }
        let read = self.read_topics(session, cx);
        due.rung = false;
        due.paging = self.subscriptions.iter().any(Subscription::is_paging);
        for item in items.drain(..) {
            let batch = batch(&mut self.batch);
            batch.from_outbox += item.cost();
            match item {
                Item::Frame(frame) => batch.frames.push_back(frame.into_encoded(self.deflate)),
                Item::Subscribe(topic, cursor) => {
                    self.subscribe(topic, cursor);
                    // What is new since its place.
                    due.rung = true;
                }
                Item::Unsubscribe(topic) => {
                    let others = |subscription: &Subscription| !subscription.topic.is(&topic);
                    self.subscriptions.retain(others);
                }
                Item::Flush(done) => batch.flushes.push(done),
            }
        }
        Outbox::recycle(items);
        due.rung |= read?;
        Ok(close.map(|close| *close))
    }

    /// What a round of a topic can do for the connection, which has had it then.
    pub(crate) fn offer(&mut self, bundles: &mut Bundles<'_>, reader: SessionId) -> Offer {
        let topic = bundles.topic();
        let mut subscriptions = self.subscriptions.iter_mut();
        let Some(subscription) = subscriptions.find(|own| own.topic.is(topic)) else {
            // It is on its way, and begun by the task.
            bundles.see(None);
            return Offer::Nothing;
        };
        let offer = if self.line.is_none() {
            Offer::Wake
        } else if self.batch.is_some() || self.away {
            // The task goes on when the socket takes more, or the tray is taken away, and looks then.
            self.missed = true;
            Offer::Nothing
        } else {
            subscription.offer(bundles, self.deflate, reader)
        };
        bundles.see(Some(&subscription.cursor));
        offer
    }

    /// The connection, for what was offered.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }

    /// So much of what was offered, or lay on a tray, is written. Whether the task has to go on.
    pub(super) fn carried(&mut self, bytes: &Bytes, written: usize) -> bool {
        if written == bytes.len() {
            return mem::take(&mut self.missed);
        }
        let mut rest = bytes.slice(written..);
        if rest.len() <= tray::LONGEST {
            // As a slice it would keep all that it was written with, for as long as the peer does not read.
            rest = Bytes::copy_from_slice(&rest);
        }
        let rest = Encoded::from_bytes(rest);
        batch(&mut self.batch).frames.push_back(rest);
        true
    }

    /// Whether what was gathered last is on a tray.
    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// What was on a tray is there to be written.
    pub(super) fn come_back(&mut self) {
        self.away = false;
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
                topic.carry_by(&Handle::current());
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
    pub(crate) fn shut<D: ?Sized>(&mut self, session: &Session<D>) {
        self.batch = None;
        self.line = None;
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
    /// What a round can write. One that is behind is the task's.
    fn offer(
        &mut self,
        bundles: &mut Bundles<'_>,
        deflate: Option<Deflate>,
        reader: SessionId,
    ) -> Offer {
        if self.is_paging() || !self.is_due() {
            return Offer::Nothing;
        }
        let Some(bytes) = bundles.take(&mut self.cursor, deflate, reader) else {
            return Offer::Wake;
        };
        // It may have been, until its last page.
        self.behind = None;
        if bytes.is_empty() {
            Offer::Nothing
        } else {
            Offer::Write(bytes)
        }
    }

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
        let (after, until) = loop {
            let read = self
                .topic
                .read(&mut self.cursor, session.id(), budget, taken);
            match read {
                Reading::Missed => taken.extend(self.topic.caught_up()),
                Reading::Behind { after, until } => break (after, until),
                Reading::UpToDate | Reading::More => {
                    self.behind = None;
                    return;
                }
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{
        Settings,
        request::Request,
        topic::{RingLimits, Start},
    };

    #[tokio::test]
    async fn a_round_passes_by_who_has_a_frame_on_a_tray() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let line = Line::new(stream.await.unwrap(), None);
        let settings = Arc::new(Settings::default());
        let session = Session::new(
            SessionId::generate(0),
            Request::forgotten(),
            None,
            settings,
            (),
        );
        let topic = Topic::in_memory(RingLimits::default(), |_, _| Frame::text("gap"));
        let mut outgoing = Outgoing::default();
        outgoing.begin(None, Some(line), Vec::new());
        let (cursor, _) = topic.enter(session.any(), Start::Now);
        outgoing.subscribe(topic.clone(), cursor);
        topic.publish("news");
        let mut bundles = Bundles::new(&topic);

        outgoing.away = true;
        let offer = outgoing.offer(&mut bundles, session.id());
        assert!(matches!(offer, Offer::Nothing));
        outgoing.come_back();
        assert!(
            outgoing.carried(&Bytes::from("reply"), 5),
            "the task has to look"
        );
        let offer = outgoing.offer(&mut bundles, session.id());
        assert!(matches!(offer, Offer::Write(_)));
    }
}
