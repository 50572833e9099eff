//! Runs one session: one task, no queue of messages, no buffer while idle.
//!
//! [`Connection::run`] is a session's life from `on_open` to `on_close`. Below it, [`incoming`] turns
//! bytes into events, the session's [`Outgoing`](crate::session::Outgoing) gathers what is to be written,
//! [`heartbeat`] watches for silence.

mod heartbeat;
mod incoming;

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use websocket::{Close, CloseCode, Frame, ProtocolError};

use self::{
    heartbeat::{Beat, Heartbeat},
    incoming::{Heard, Incoming, Received},
};
use crate::{
    endpoint::{Closed, Endpoint, Error, Side},
    message::{Message, Part},
    mount::Entered,
    session::{Due, Fault, Session},
};

/// The code for a peer that is silent, of the private range (RFC 6455 §7.4.2).
const SILENT: CloseCode = CloseCode::new(4008);

/// One session and its connection.
///
/// Most sessions are idle most of the time, and this is what they cost: what is there only at times
/// is boxed.
pub(crate) struct Connection<E: Endpoint, S> {
    entered: Entered<E>,
    wire: Wire<E::Data, S>,
}

/// What a session's callbacks do not borrow: it goes on while one is at work.
struct Wire<D, S> {
    /// A handle of its own: callbacks borrow the one that is entered.
    session: Session<D>,
    io: S,
    incoming: Incoming,
    due: Due,
    heartbeat: Heartbeat,
    /// None of an open session.
    ending: Option<Box<Ending>>,
}

/// How a session ends, once it does.
#[derive(Debug)]
struct Ending {
    stage: Stage,
    closed: Closed,
    /// The fault that ends it, for `on_error`.
    error: Option<Error>,
}

/// How far an ending is.
///
/// | stage | reads | writes | ends when |
/// |---|---|---|---|
/// | Closing: our close frame goes first | up to the peer's close | what is left, then no more | the peer closes, or the time is up |
/// | Answering: the peer's came first | nothing | our answer | it is written, or the time is up |
/// | Draining: the peer broke the protocol | bytes, not looked at | our close frame | the peer hangs up, or the time is up |
/// | Over | nothing | nothing | now |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Closing,
    Answering,
    Draining,
    Over,
}

/// What a session's life consists of.
enum Step {
    Open,
    Message(Message),
    Part(Part),
    Ping(Bytes),
    Pong(Bytes),
    End(Box<Ending>),
}

impl<E, S> Connection<E, S>
where
    E: Endpoint,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// `early` are bytes that the peer sent right behind its handshake.
    pub(crate) fn new(io: S, early: &[u8], session: Entered<E>, inflating: bool) -> Self {
        let settings = session.settings();
        let mut due = Due::default();
        due.head = session.own_outgoing().head(settings.answer_with_first);
        let wire = Wire {
            session: session.clone(),
            io,
            incoming: Incoming::new(settings, inflating, early),
            due,
            heartbeat: Heartbeat::new(settings, session.is_told_to_ping()),
            ending: None,
        };
        Self {
            entered: session,
            wire,
        }
    }

    /// The whole life of the session.
    ///
    /// Its future is little more than `self`. A callback that was not boxed would be in it, too.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async function would hold `self` twice, a block uses it where it is"
    )]
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            self.wire.call(callback(&self.entered, Step::Open)).await;
            self.wire.due.answer();
            let end = loop {
                let step = match poll_fn(|cx| self.wire.poll_step(cx)).await {
                    Step::End(end) => break end,
                    step => step,
                };
                self.wire.call(callback(&self.entered, step)).await;
                if self.wire.incoming.has_unread() {
                    // Many messages in one read must not keep the thread from other sessions.
                    tokio::task::coop::consume_budget().await;
                }
            };
            let session = &self.wire.session;
            session.own_outgoing().shut(session);
            callback(&self.entered, Step::End(end)).await;
            // Who sees the connection end finds that the session has left.
            drop(self.entered);
        }
    }
}

/// What an endpoint does, on the heap: the task's own size is what every idle session costs.
///
/// It borrows the endpoint and the session: counting those who hold the endpoint would have all threads
/// write to the same place at every message.
type Callback<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

/// The callback of a step.
fn callback<E: Endpoint>(entered: &Entered<E>, step: Step) -> Callback<'_> {
    let (endpoint, session) = entered.handles();
    match step {
        Step::Open => Box::pin(async { endpoint.on_open(session).await }),
        Step::Message(message) => Box::pin(async { endpoint.on_message(session, message).await }),
        Step::Part(part) => Box::pin(async { endpoint.on_part(session, part).await }),
        Step::Ping(payload) => Box::pin(async move { endpoint.on_ping(session, &payload).await }),
        Step::Pong(payload) => Box::pin(async move { endpoint.on_pong(session, &payload).await }),
        Step::End(end) => finish(entered, end),
    }
}

/// The callbacks of the end. Panics in them have nowhere left to go but the log.
fn finish<E: Endpoint>(entered: &Entered<E>, ending: Box<Ending>) -> Callback<'_> {
    let (endpoint, session) = entered.handles();
    Box::pin(async move {
        let Ending { closed, error, .. } = *ending;
        if let Some(error) = error {
            let on_error = async { endpoint.on_error(session, &error).await };
            let on_error = AssertUnwindSafe(on_error).catch_unwind().await;
            let _ = on_error.inspect_err(|panic| log_panic("on_error", &**panic));
        }
        let on_close = async { endpoint.on_close(session, &closed).await };
        let on_close = AssertUnwindSafe(on_close).catch_unwind().await;
        let _ = on_close.inspect_err(|panic| log_panic("on_close", &**panic));
    })
}

impl<D: Send + Sync + 'static, S: AsyncRead + AsyncWrite + Unpin> Wire<D, S> {
    /// Runs a callback. What is sent meanwhile is written; reading waits until it has ended.
    fn call<'c>(&'c mut self, callback: Callback<'c>) -> Call<'c, D, S> {
        Call {
            wire: self,
            callback,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.session.bell().awake();
        loop {
            self.poll_output(cx);
            if self.stage() == Some(Stage::Over) {
                // Who has the writing half has something to write: a peer that hung up may listen still.
                if !self.due.lent
                    && let Some(ending) = self.ending.take()
                {
                    return Poll::Ready(Step::End(ending));
                }
                // No ping any more; unanswered, it would not let the task sleep.
                self.session.bell().answer_beat();
                if self.session.bell().sleep(cx) {
                    return Poll::Pending;
                }
                continue;
            }
            // A peer that sends faster than it reads is not read: its commands wait with the peer.
            let full = self.due.writing
                && self.session.outbox().waiting() > self.session.settings().max_outgoing / 4;
            let received = match self.stage() {
                // What it was to be sent by now goes before what follows from the rest.
                None if full || self.due.lent => Poll::Pending,
                None | Some(Stage::Closing) => self.incoming.poll_event(&mut self.io, cx),
                Some(Stage::Draining) => self.incoming.poll_discard(&mut self.io, cx),
                Some(Stage::Answering | Stage::Over) => Poll::Pending,
            };
            let Poll::Ready(received) = received else {
                if self.poll_clock(cx) {
                    continue;
                }
                if !full && !self.due.lent && self.heartbeat.is_idle(self.session.settings()) {
                    let close = Close::new(SILENT, "idle for too long");
                    self.close(close, Stage::Closing, None);
                } else if self.session.bell().sleep(cx) {
                    return Poll::Pending;
                }
                continue;
            };
            self.heartbeat.heard();
            match (received, self.stage()) {
                // A close that waits behind what the peer does not take is a close all the same.
                (Received::Heard(heard), None) if !self.session.is_closed() => {
                    if let Some(step) = self.take(heard) {
                        return Poll::Ready(step);
                    }
                }
                (Received::Heard(Heard::Close(close)), _) => self.receive_close(close),
                // §1.4: what comes behind our own close frame is of no use any more.
                (Received::Heard(_), _) => {}
                (Received::Violation(error), _) => self.fail(error),
                (Received::End(error), _) => self.break_off(error),
            }
        }
    }

    /// The step that it is to have heard something in an open session.
    fn take(&mut self, heard: Heard) -> Option<Step> {
        if let Heard::Message(_) | Heard::Part(_) = heard {
            self.heartbeat.heard_message();
        }
        Some(match heard {
            Heard::Message(message) => Step::Message(message),
            Heard::Part(part) => Step::Part(part),
            Heard::Ping(payload) => {
                // RFC 6455 §5.5.2: answered with the same payload; the latest ping's is enough.
                self.due.pong(Frame::pong(&payload));
                Step::Ping(payload)
            }
            Heard::Pong(payload) => Step::Pong(payload),
            Heard::Close(close) => {
                self.receive_close(close);
                return None;
            }
        })
    }

    /// What goes on while a callback is at work: all but reading.
    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        self.poll_clock(cx);
        self.poll_output(cx);
    }

    /// Looks at the clock, which is asked before the task sleeps. Whether the time came for something.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> bool {
        let told = self.session.bell().answer_beat();
        match self.heartbeat.poll(self.session.settings(), told, cx) {
            Poll::Pending => return false,
            Poll::Ready(Beat::Ping) => self.due.ping = true,
            Poll::Ready(Beat::Silent) => {
                let close = Close::new(SILENT, "silent for two heartbeats");
                self.close(close, Stage::Over, Some(Error::Silent));
            }
            // The peer has not answered our close, or not taken it.
            Poll::Ready(Beat::Deadline) => self.over(),
        }
        true
    }

    /// Writes what is to be written.
    fn poll_output(&mut self, cx: &mut Context<'_>) {
        self.due.rung |= self.session.bell().answer();
        if self.ending.is_some() || self.due.is_any() {
            self.poll_due(cx);
        }
    }

    /// Apart, so that to look whether anything is due costs little.
    #[inline(never)]
    fn poll_due(&mut self, cx: &mut Context<'_>) {
        if self.due.rung && self.ending.is_none() && self.session.is_closed() {
            // Behind frames that the peer does not take, a close frame may never be written.
            self.limit_end();
        }
        match (self.poll_write(cx), self.stage()) {
            (Poll::Ready(Ok(())), Some(Stage::Answering)) => self.over(),
            // The peer hangs up when it sees that nothing more comes.
            (Poll::Ready(Ok(())), Some(Stage::Draining)) => {
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            }
            (Poll::Ready(Err(error)), _) => self.break_off(Some(error)),
            _ => {}
        }
    }

    /// Writes until everything is written or the socket takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let open = self.ending.is_none();
            let Self {
                session, io, due, ..
            } = self;
            let Some(mut outgoing) = session.outgoing() else {
                due.lent = true;
                return Poll::Pending;
            };
            due.lent = false;
            let written = outgoing.poll_write(session, io, due, open, cx);
            drop(outgoing);
            if std::mem::take(&mut due.took) {
                // The socket had been full: room in it means that the peer takes what it is sent.
                self.heartbeat.heard();
            }
            match std::task::ready!(written) {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(close)) => self.close(close, Stage::Closing, None),
                Err(Fault::Io(error)) => return Poll::Ready(Err(error)),
                Err(Fault::Log(error)) => {
                    let reason = (self.session.settings().overloaded)("the log cannot be read now");
                    let close = Close::new(CloseCode::OVERLOADED, reason);
                    self.close(close, Stage::Closing, Some(error.into()));
                }
            }
        }
    }

    fn stage(&self) -> Option<Stage> {
        Some(self.ending.as_ref()?.stage)
    }

    /// The server ends the session: nothing is written behind this close frame.
    fn close(&mut self, close: Close, stage: Stage, error: Option<Error>) {
        if let Some(ending) = &mut self.ending {
            ending.error = error.or(ending.error.take());
            return;
        }
        self.due.close(Frame::close(Some(&close)));
        self.limit_end();
        self.ending = Some(Ending::new(stage, close, Side::Server, error));
    }

    /// From now on the end may take so long as the settings say.
    fn limit_end(&mut self) {
        let timeout = self.session.settings().close_timeout;
        self.heartbeat.end_within(timeout);
    }

    /// The peer has closed (RFC 6455 §5.5.1): answer with its code, or know that it has answered.
    fn receive_close(&mut self, close: Option<Close>) {
        match &mut self.ending {
            None => {
                self.due.close(Frame::close(close.as_ref()));
                self.limit_end();
                let close = close.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, ""));
                let mut ending = Ending::new(Stage::Answering, close, Side::Peer, None);
                ending.closed.clean = true;
                self.ending = Some(ending);
            }
            Some(ending) if ending.stage == Stage::Closing => {
                ending.closed.clean = true;
                ending.stage = Stage::Over;
            }
            Some(_) => {}
        }
    }

    /// The peer broke the protocol (RFC 6455 §7.1.7): from here on nothing that it sends is understood.
    fn fail(&mut self, error: ProtocolError) {
        match &mut self.ending {
            None => self.close(error.close(), Stage::Draining, Some(error.into())),
            // Our close frame went before; there is nothing left to say.
            Some(ending) if ending.stage == Stage::Closing => ending.stage = Stage::Draining,
            Some(_) => {}
        }
    }

    /// The connection is gone.
    fn break_off(&mut self, error: Option<std::io::Error>) {
        if self.ending.is_none() {
            let close = Close::new(CloseCode::ABNORMAL, "");
            let error = error.map(Error::Io);
            self.ending = Some(Ending::new(Stage::Over, close, Side::Peer, error));
        } else {
            self.over();
        }
    }

    fn over(&mut self) {
        match &mut self.ending {
            Some(ending) => ending.stage = Stage::Over,
            // The close frame is still in the outbox.
            None => {
                let close = self.session.outbox().closing();
                let close = close.unwrap_or_else(|| Close::new(CloseCode::ABNORMAL, ""));
                self.ending = Some(Ending::new(Stage::Over, close, Side::Server, None));
            }
        }
    }
}

impl Ending {
    /// An end that is not clean, yet.
    fn new(stage: Stage, close: Close, by: Side, error: Option<Error>) -> Box<Self> {
        let Close { code, reason } = close;
        let closed = Closed {
            code,
            reason,
            by,
            clean: false,
        };
        Box::new(Self {
            stage,
            closed,
            error,
        })
    }
}

/// A callback at work.
struct Call<'c, D, S> {
    wire: &'c mut Wire<D, S>,
    callback: Callback<'c>,
}

impl<D, S> Future for Call<'_, D, S>
where
    D: Send + Sync + 'static,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { wire, callback } = self.get_mut();
        wire.session.bell().awake();
        let outcome = catch_unwind(AssertUnwindSafe(|| callback.as_mut().poll(cx)));
        match outcome {
            Ok(Poll::Ready(())) => {}
            Ok(Poll::Pending) => {
                wire.heartbeat.heard();
                wire.poll_connection(cx);
                while !wire.session.bell().sleep(cx) {
                    wire.poll_connection(cx);
                }
                return Poll::Pending;
            }
            Err(panic) => {
                let error = Error::Panicked(panic_message(&*panic));
                let close = Close::new(CloseCode::INTERNAL, "internal error");
                wire.close(close, Stage::Closing, Some(error));
            }
        }
        wire.heartbeat.handled(wire.session.settings());
        Poll::Ready(())
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

/// Logs a panic that reaches nobody else.
pub(crate) fn log_panic(callback: &str, panic: &(dyn Any + Send)) {
    let message = panic_message(panic);
    tracing::error!(callback, message, "an endpoint panicked");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Line;

    struct Quiet;

    impl Endpoint for Quiet {
        type Data = ();

        async fn on_handshake(
            &self,
            _: &mut crate::Handshake,
        ) -> Result<Self::Data, crate::Refusal> {
            Ok(())
        }
    }

    fn size_of_output<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_small() {
        let size = size_of_output(Connection::<Quiet, Line>::run);
        assert!(
            size <= 152,
            "{size}, {}",
            size_of::<Connection<Quiet, Line>>()
        );
    }
}
