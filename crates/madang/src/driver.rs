//! Runs one session: one task, no queue of messages, no buffer while idle.
//!
//! [`Connection::run`] is a session's life from `on_open` to `on_close`. Below it, [`incoming`] turns
//! bytes into events, [`outgoing`] gathers what is to be written, [`heartbeat`] watches for silence.

mod heartbeat;
mod incoming;
mod outgoing;

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use websocket::{Close, CloseCode, Deflate, Frame, ProtocolError};

use self::{
    heartbeat::{Beat, Heartbeat},
    incoming::{Heard, Incoming, Received},
    outgoing::Outgoing,
};
use crate::{
    endpoint::{Closed, Endpoint, Error, Side},
    message::{Message, Part},
    mount::Entered,
    session::Session,
};

/// The code for a peer that is silent, of the private range (RFC 6455 §7.4.2).
const SILENT: CloseCode = CloseCode::new(4008);

/// One session and its connection.
///
/// Most sessions are idle most of the time, and this is what they cost: what is there only at times
/// is boxed.
pub(crate) struct Connection<E: Endpoint, S> {
    io: S,
    session: Entered<E>,
    incoming: Incoming,
    outgoing: Outgoing,
    heartbeat: Heartbeat,
    phase: Phase,
}

/// How far a session is from its end.
///
/// | phase | reads | writes | ends when |
/// |---|---|---|---|
/// | Open | messages | everything | – |
/// | Closing: our close frame goes first | up to the peer's close | what is left, then no more | the peer closes, or the time is up |
/// | Answering: the peer's came first | nothing | our answer | it is written, or the time is up |
/// | Draining: the peer broke the protocol | bytes, not looked at | our close frame | the peer hangs up, or the time is up |
/// | Over | nothing | nothing | now |
#[derive(Debug)]
enum Phase {
    Open,
    Closing(Box<End>),
    Answering(Box<End>),
    Draining(Box<End>),
    Over(Box<End>),
}

/// How the session ends.
#[derive(Debug)]
struct End {
    closed: Closed,
    /// The fault that ends it, for `on_error`.
    error: Option<Error>,
}

/// What a session's life consists of.
enum Step {
    Message(Message),
    Part(Part),
    Ping(Bytes),
    Pong(Bytes),
    End(Box<End>),
}

impl<E, S> Connection<E, S>
where
    E: Endpoint,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// `early` are bytes that the peer sent right behind its handshake.
    pub(crate) fn new(io: S, early: &[u8], session: Entered<E>, deflate: Option<Deflate>) -> Self {
        let settings = session.settings();
        Self {
            io,
            incoming: Incoming::new(settings, deflate.is_some(), early),
            outgoing: Outgoing::new(deflate),
            heartbeat: Heartbeat::new(settings),
            session,
            phase: Phase::Open,
        }
    }

    /// The whole life of the session.
    ///
    /// It is written so that its future is little more than `self`: each async function that took
    /// `self` would hold it once more, and so does each callback that is not boxed.
    pub(crate) async fn run(&mut self) {
        self.call(|endpoint, session| async move { endpoint.on_open(&session).await })
            .await;
        let end = loop {
            let callback = match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Message(message) => self.call(|endpoint, session| async move {
                    endpoint.on_message(&session, message).await;
                }),
                Step::Part(part) => self.call(|endpoint, session| async move {
                    endpoint.on_part(&session, part).await;
                }),
                Step::Ping(payload) => self.call(|endpoint, session| async move {
                    endpoint.on_ping(&session, &payload).await;
                }),
                Step::Pong(payload) => self.call(|endpoint, session| async move {
                    endpoint.on_pong(&session, &payload).await;
                }),
                Step::End(end) => break end,
            };
            callback.await;
            // Many messages in one read must not keep the thread from other sessions.
            tokio::task::coop::consume_budget().await;
        };
        self.outgoing.shut(&self.session);
        self.end(*end).await;
    }

    /// Runs a callback. What is sent meanwhile is written; reading waits until it has ended.
    fn call<F>(&mut self, callback: impl FnOnce(Arc<E>, Session<E::Data>) -> F) -> Call<'_, E, S>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (endpoint, session) = self.session.handles();
        let callback = callback(endpoint, session);
        Call {
            callback: Box::pin(AssertUnwindSafe(callback).catch_unwind()),
            connection: self,
        }
    }

    /// The callbacks of the end. Panics in them have nowhere left to go but the log.
    fn end(&self, end: End) -> impl Future<Output = ()> + Send + use<E, S> {
        let End { closed, error } = end;
        let (endpoint, session) = self.session.handles();
        Box::pin(async move {
            if let Some(error) = error {
                let on_error = async { endpoint.on_error(&session, &error).await };
                let on_error = AssertUnwindSafe(on_error).catch_unwind().await;
                let _ = on_error.inspect_err(|panic| log_panic("on_error", &**panic));
            }
            let on_close = async { endpoint.on_close(&session, &closed).await };
            let on_close = AssertUnwindSafe(on_close).catch_unwind().await;
            let _ = on_close.inspect_err(|panic| log_panic("on_close", &**panic));
        })
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.session.bell().awake();
        loop {
            self.poll_connection(cx);
            if let Phase::Over(_) = self.phase
                && let Phase::Over(end) = std::mem::replace(&mut self.phase, Phase::Open)
            {
                return Poll::Ready(Step::End(end));
            }
            // A peer that sends faster than it reads is not read: its commands wait with the peer.
            let full = self.outgoing.is_writing()
                && self.session.outbox().waiting() > self.session.settings().max_outgoing / 4;
            let received = match &self.phase {
                Phase::Open if full => Poll::Pending,
                Phase::Open | Phase::Closing(_) => self.incoming.poll_event(&mut self.io, cx),
                Phase::Draining(_) => self.incoming.poll_discard(&mut self.io, cx),
                Phase::Answering(_) | Phase::Over(_) => Poll::Pending,
            };
            let Poll::Ready(received) = received else {
                if !full && self.heartbeat.is_idle(self.session.settings()) {
                    let close = Close::new(SILENT, "idle for too long");
                    self.close(close, Phase::Closing, None);
                } else if self.session.bell().sleep(cx) {
                    return Poll::Pending;
                }
                continue;
            };
            self.heartbeat.heard();
            match (received, &self.phase) {
                // A close that waits behind what the peer does not take is a close all the same.
                (Received::Heard(heard), Phase::Open) if !self.session.is_closed() => {
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
                self.outgoing.pong = Some(Frame::pong(&payload));
                Step::Ping(payload)
            }
            Heard::Pong(payload) => Step::Pong(payload),
            Heard::Close(close) => {
                self.receive_close(close);
                return None;
            }
        })
    }

    /// Writes what is to be written and looks at the clock.
    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        match self.heartbeat.poll(self.session.settings(), cx) {
            Poll::Pending => {}
            Poll::Ready(Beat::Ping) => self.outgoing.ping = true,
            Poll::Ready(Beat::Silent) => {
                let close = Close::new(SILENT, "silent for two heartbeats");
                self.close(close, Phase::Over, Some(Error::Silent));
            }
            // The peer has not answered our close, or not taken it.
            Poll::Ready(Beat::Deadline) => self.over(),
        }
        self.outgoing.rung |= self.session.bell().answer();
        if self.outgoing.rung && matches!(self.phase, Phase::Open) && self.session.is_closed() {
            // Behind frames that the peer does not take, a close frame may never be written.
            self.limit_end();
        }
        match (self.poll_write(cx), &self.phase) {
            (Poll::Ready(Ok(())), Phase::Answering(_)) => self.over(),
            // The peer hangs up when it sees that nothing more comes.
            (Poll::Ready(Ok(())), Phase::Draining(_)) => {
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            }
            (Poll::Ready(Err(error)), _) => self.break_off(Some(error)),
            _ => {}
        }
    }

    /// Writes until everything is written or the socket takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let written = self
                .outgoing
                .poll_write(&mut self.io, cx, &mut self.heartbeat);
            self.session.outbox().written(std::task::ready!(written)?);
            self.outgoing.rung |= self.session.bell().answer();
            if !matches!(self.phase, Phase::Open) || !(self.outgoing.rung || self.outgoing.is_due())
            {
                return Poll::Ready(Ok(()));
            }
            match self.outgoing.gather(&self.session, cx) {
                Ok(Some(close)) => self.close(close, Phase::Closing, None),
                Ok(None) if self.outgoing.is_writing() || self.outgoing.rung => {}
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => {
                    let reason = "the log cannot be read now";
                    let close = Close::new(CloseCode::OVERLOADED, reason);
                    self.close(close, Phase::Closing, Some(error.into()));
                }
            }
        }
    }

    /// The server ends the session: nothing is written behind this close frame.
    fn close(&mut self, close: Close, phase: fn(Box<End>) -> Phase, error: Option<Error>) {
        if let Some(end) = self.phase.end_mut() {
            end.error = error.or(end.error.take());
            return;
        }
        self.outgoing.push(Frame::close(Some(&close)));
        self.limit_end();
        self.phase = phase(End::new(close, Side::Server, error));
    }

    /// From now on the end may take so long as the settings say.
    fn limit_end(&mut self) {
        let timeout = self.session.settings().close_timeout;
        self.heartbeat.end_within(timeout);
    }

    /// The peer has closed (RFC 6455 §5.5.1): answer with its code, or know that it has answered.
    fn receive_close(&mut self, close: Option<Close>) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                self.outgoing.push(Frame::close(close.as_ref()));
                self.limit_end();
                let close = close.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, ""));
                let mut end = End::new(close, Side::Peer, None);
                end.closed.clean = true;
                Phase::Answering(end)
            }
            Phase::Closing(mut end) => {
                end.closed.clean = true;
                Phase::Over(end)
            }
            phase => phase,
        };
    }

    /// The peer broke the protocol (RFC 6455 §7.1.7): from here on nothing that it sends is understood.
    fn fail(&mut self, error: ProtocolError) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                let close = error.close();
                return self.close(close, Phase::Draining, Some(error.into()));
            }
            // Our close frame went before; there is nothing left to say.
            Phase::Closing(end) => Phase::Draining(end),
            phase => phase,
        };
    }

    /// The connection is gone.
    fn break_off(&mut self, error: Option<std::io::Error>) {
        if matches!(self.phase, Phase::Open) {
            let close = Close::new(CloseCode::ABNORMAL, "");
            self.phase = Phase::Over(End::new(close, Side::Peer, error.map(Error::Io)));
        } else {
            self.over();
        }
    }

    fn over(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Closing(end)
            | Phase::Answering(end)
            | Phase::Draining(end)
            | Phase::Over(end) => Phase::Over(end),
            // The close frame is still in the outbox.
            Phase::Open => {
                let close = self.session.outbox().closing();
                let close = close.unwrap_or_else(|| Close::new(CloseCode::ABNORMAL, ""));
                Phase::Over(End::new(close, Side::Server, None))
            }
        };
    }
}

impl Phase {
    fn end_mut(&mut self) -> Option<&mut End> {
        match self {
            Self::Open => None,
            Self::Closing(end) | Self::Answering(end) | Self::Draining(end) | Self::Over(end) => {
                Some(end)
            }
        }
    }
}

impl End {
    /// An end that is not clean, yet.
    fn new(Close { code, reason }: Close, by: Side, error: Option<Error>) -> Box<Self> {
        let clean = false;
        let closed = Closed {
            code,
            reason,
            by,
            clean,
        };
        Box::new(Self { closed, error })
    }
}

/// A callback at work.
struct Call<'c, E: Endpoint, S> {
    connection: &'c mut Connection<E, S>,
    /// On the heap: the task's own size is what every idle session costs.
    callback: Pin<Box<dyn Future<Output = std::thread::Result<()>> + Send>>,
}

impl<E, S> Future for Call<'_, E, S>
where
    E: Endpoint,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            connection,
            callback,
        } = self.get_mut();
        connection.session.bell().awake();
        let Poll::Ready(outcome) = callback.as_mut().poll(cx) else {
            connection.heartbeat.heard();
            connection.poll_connection(cx);
            while !connection.session.bell().sleep(cx) {
                connection.poll_connection(cx);
            }
            return Poll::Pending;
        };
        if let Err(panic) = outcome {
            let error = Error::Panicked(panic_message(&*panic));
            let close = Close::new(CloseCode::INTERNAL, "internal error");
            connection.close(close, Phase::Closing, Some(error));
        }
        connection.heartbeat.handled(connection.session.settings());
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
    use crate::server::Socket;

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

    fn run(connection: &mut Connection<Quiet, Socket>) -> impl Future<Output = ()> + use<'_> {
        connection.run()
    }

    fn size_of_output<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_small() {
        // With tokio's own 96 bytes the task is one of 384: it is aligned to 128.
        let connection = size_of::<Connection<Quiet, Socket>>();
        let running = size_of_output(run);
        assert!(connection + running + 8 <= 288, "{connection}, {running}");
    }
}
