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
use websocket::{Close, CloseCode, Deflate, Event, Frame, ProtocolError};

use self::{
    heartbeat::{Beat, Heartbeat},
    incoming::{Incoming, Received},
    outgoing::Outgoing,
};
use crate::{
    endpoint::{Closed, Endpoint, Error, Side},
    message::{Message, Part},
    session::Session,
    sessions::Entered,
};

/// The code for a peer that is silent, of the private range (RFC 6455 §7.4.2).
const SILENT: CloseCode = CloseCode::new(4008);

/// One session and its connection.
///
/// Most sessions are idle most of the time, and this is what they cost: what is there only at times
/// is boxed.
pub(crate) struct Connection<E: Endpoint, S> {
    io: S,
    endpoint: Arc<E>,
    session: Entered<E::Data>,
    incoming: Incoming,
    outgoing: Outgoing,
    heartbeat: Heartbeat,
    phase: Phase,
    /// The fault that ends the session, for `on_error`.
    error: Option<Box<Error>>,
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
    Closing(Box<Closed>),
    Answering(Box<Closed>),
    Draining(Box<Closed>),
    Over(Box<Closed>),
}

/// What a session's life consists of.
enum Step {
    Message(Message),
    Part(Part),
    Ping(Bytes),
    Pong(Bytes),
    End(Box<Closed>),
}

impl<E, S> Connection<E, S>
where
    E: Endpoint,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// `early` are bytes that the peer sent right behind its handshake.
    pub(crate) fn new(
        io: S,
        early: &[u8],
        endpoint: Arc<E>,
        session: Entered<E::Data>,
        deflate: Option<Deflate>,
    ) -> Self {
        let settings = session.settings();
        Self {
            io,
            endpoint,
            incoming: Incoming::new(settings, deflate.is_some(), early),
            outgoing: Outgoing::new(deflate),
            heartbeat: Heartbeat::new(settings),
            session,
            phase: Phase::Open,
            error: None,
        }
    }

    /// The whole life of the session.
    ///
    /// It is written so that its future is little more than `self`: each async function that took
    /// `self` would hold it once more, and so does each callback that is not boxed.
    pub(crate) async fn run(&mut self) {
        self.call(|endpoint, session| async move { endpoint.on_open(&session).await })
            .await;
        let closed = loop {
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
                Step::End(closed) => break closed,
            };
            callback.await;
            // Many messages in one read must not keep the thread from other sessions.
            tokio::task::coop::consume_budget().await;
        };
        self.outgoing.shut(&self.session);
        self.end(closed).await;
    }

    /// Runs a callback. What is sent meanwhile is written; reading waits until it has ended.
    fn call<F>(&mut self, callback: impl FnOnce(Arc<E>, Session<E::Data>) -> F) -> Call<'_, E, S>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let callback = callback(self.endpoint.clone(), Session::clone(&self.session));
        Call {
            callback: Box::pin(AssertUnwindSafe(callback).catch_unwind()),
            connection: self,
        }
    }

    /// The callbacks of the end. Panics in them have nowhere left to go but the log.
    fn end(&mut self, closed: Box<Closed>) -> impl Future<Output = ()> + Send {
        let error = self.error.take();
        let (endpoint, session) = (self.endpoint.clone(), Session::clone(&self.session));
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
        loop {
            self.poll_connection(cx);
            if let Phase::Over(closed) = &self.phase {
                return Poll::Ready(Step::End(closed.clone()));
            }
            // A peer that sends faster than it reads is not read: its commands wait with the peer.
            let full = self.session.outbox().waiting() > self.session.settings().max_outgoing / 4;
            let received = match &self.phase {
                Phase::Open if full => Poll::Pending,
                Phase::Open | Phase::Closing(_) => self.incoming.poll_event(&mut self.io, cx),
                Phase::Draining(_) => self.incoming.poll_discard(&mut self.io, cx),
                Phase::Answering(_) | Phase::Over(_) => Poll::Pending,
            };
            let Poll::Ready(received) = received else {
                if !full && self.heartbeat.is_idle(self.session.settings()) {
                    self.close(Close::new(SILENT, "idle for too long"), Phase::Closing);
                    continue;
                }
                return Poll::Pending;
            };
            self.heartbeat.heard();
            match (received, &self.phase) {
                // A close that waits behind what the peer does not take is a close all the same.
                (Received::Event(event), Phase::Open) if !self.session.is_closed() => {
                    if let Some(step) = self.take(event) {
                        return Poll::Ready(step);
                    }
                }
                (Received::Event(Event::Close(close)), _) => self.receive_close(close),
                // §1.4: what comes behind our own close frame is of no use any more.
                (Received::Event(_), _) => {}
                (Received::Violation(error), _) => self.fail(error),
                (Received::End(error), _) => self.break_off(error),
            }
        }
    }

    /// The step that an event of an open session is.
    fn take(&mut self, event: Event<'static>) -> Option<Step> {
        if !matches!(event, Event::Ping(_) | Event::Pong(_)) {
            self.heartbeat.heard_message();
        }
        Some(match event {
            Event::Text(text) => Step::Message(Message::Text(text.into_owned())),
            Event::Binary(bytes) => Step::Message(Message::Binary(bytes.into_owned().into())),
            Event::TextPart { text, last } => {
                let data = Message::Text(text.into_owned());
                Step::Part(Part { data, last })
            }
            Event::BinaryPart { bytes, last } => {
                let data = Message::Binary(bytes.into_owned().into());
                Step::Part(Part { data, last })
            }
            Event::Ping(payload) => {
                // RFC 6455 §5.5.2: answered with the same payload; the latest ping's is enough.
                self.outgoing.pong = Some(Frame::pong(&payload));
                Step::Ping(payload.into_owned().into())
            }
            Event::Pong(payload) => Step::Pong(payload.into_owned().into()),
            Event::Close(close) => {
                self.receive_close(close);
                return None;
            }
        })
    }

    /// Writes what is to be written and looks at the clock.
    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        self.session.waker().register(cx.waker());
        match self.heartbeat.poll(self.session.settings(), cx) {
            Poll::Pending => {}
            Poll::Ready(Beat::Ping) => self.outgoing.ping = true,
            Poll::Ready(Beat::Silent) => {
                self.error = Some(Box::new(Error::Silent));
                let reason = "silent for two heartbeats";
                self.close(Close::new(SILENT, reason), Phase::Over);
            }
            // The peer has not answered our close, or not taken it.
            Poll::Ready(Beat::Deadline) => self.over(),
        }
        if matches!(self.phase, Phase::Open) && self.session.is_closed() {
            // Behind frames that the peer does not take, a close frame may never be written.
            let timeout = self.session.settings().close_timeout;
            self.heartbeat.end_within(timeout);
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
            let from_outbox = std::task::ready!(written)?;
            if from_outbox > 0 {
                self.session.outbox().written(from_outbox);
            }
            if !matches!(self.phase, Phase::Open) {
                return Poll::Ready(Ok(()));
            }
            match self.outgoing.gather(&self.session, cx) {
                Ok((_, Some(close))) => self.close(close, Phase::Closing),
                Ok((true, None)) => {}
                Ok((false, None)) => return Poll::Ready(Ok(())),
                Err(error) => {
                    self.error = Some(Box::new(error.into()));
                    let reason = "the log cannot be read now";
                    self.close(Close::new(CloseCode::OVERLOADED, reason), Phase::Closing);
                }
            }
        }
    }

    /// The server ends the session: nothing is written behind this close frame.
    fn close(&mut self, close: Close, phase: fn(Box<Closed>) -> Phase) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.outgoing.push(Frame::close(Some(&close)));
        self.heartbeat
            .end_within(self.session.settings().close_timeout);
        self.phase = phase(Box::new(Closed {
            code: close.code,
            reason: close.reason,
            by: Side::Server,
            clean: false,
        }));
    }

    /// The peer has closed (RFC 6455 §5.5.1): answer with its code, or know that it has answered.
    fn receive_close(&mut self, close: Option<Close>) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                self.outgoing.push(Frame::close(close.as_ref()));
                self.heartbeat
                    .end_within(self.session.settings().close_timeout);
                let Close { code, reason } =
                    close.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, ""));
                Phase::Answering(Box::new(Closed {
                    code,
                    reason,
                    by: Side::Peer,
                    clean: true,
                }))
            }
            Phase::Closing(mut closed) => {
                closed.clean = true;
                Phase::Over(closed)
            }
            phase => phase,
        };
    }

    /// The peer broke the protocol (RFC 6455 §7.1.7): from here on nothing that it sends is understood.
    fn fail(&mut self, error: ProtocolError) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                let close = error.close();
                self.error = Some(Box::new(error.into()));
                return self.close(close, Phase::Draining);
            }
            // Our close frame went before; there is nothing left to say.
            Phase::Closing(closed) => Phase::Draining(closed),
            phase => phase,
        };
    }

    /// The connection is gone.
    fn break_off(&mut self, error: Option<std::io::Error>) {
        if matches!(self.phase, Phase::Open) {
            let error = error.map(|error| Box::new(Error::Io(error)));
            self.error = self.error.take().or(error);
            let (code, reason) = (CloseCode::ABNORMAL, String::new());
            self.phase = Phase::Over(Box::new(Closed {
                code,
                reason,
                by: Side::Peer,
                clean: false,
            }));
        } else {
            self.over();
        }
    }

    fn over(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Closing(closed)
            | Phase::Answering(closed)
            | Phase::Draining(closed)
            | Phase::Over(closed) => Phase::Over(closed),
            // The close frame is still in the outbox.
            Phase::Open => {
                let close = self.session.outbox().closing();
                let Close { code, reason } =
                    close.unwrap_or_else(|| Close::new(CloseCode::ABNORMAL, ""));
                Phase::Over(Box::new(Closed {
                    code,
                    reason,
                    by: Side::Server,
                    clean: false,
                }))
            }
        };
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
        // What the callback sends to its own session needs no wake: it is looked at behind it.
        drop(connection.session.waker().take());
        let Poll::Ready(outcome) = callback.as_mut().poll(cx) else {
            connection.heartbeat.heard();
            connection.poll_connection(cx);
            return Poll::Pending;
        };
        if let Err(panic) = outcome {
            let message = panic_message(&*panic);
            connection.error = Some(Box::new(Error::Panicked(message)));
            let close = Close::new(CloseCode::INTERNAL, "internal error");
            connection.close(close, Phase::Closing);
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
    use tokio::net::TcpStream;

    use super::*;

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

    fn run(connection: &mut Connection<Quiet, TcpStream>) -> impl Future<Output = ()> + use<'_> {
        connection.run()
    }

    fn size_of_output<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_small() {
        // With tokio's own 96 bytes the task is one of 384: it is aligned to 128.
        let connection = size_of::<Connection<Quiet, TcpStream>>();
        let running = size_of_output(run);
        assert!(connection + running + 8 <= 288, "{connection}, {running}");
    }
}
