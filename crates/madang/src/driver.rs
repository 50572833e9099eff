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

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use websocket::{Close, CloseCode, Event, Frame, Limits, ProtocolError};

use self::{
    heartbeat::{Beat, Heartbeat},
    incoming::{Incoming, Received},
    outgoing::Outgoing,
};
use crate::{
    endpoint::{Closed, Endpoint, Error, Side},
    message::Message,
    session::Session,
    settings::Settings,
};

/// The code for a peer that is silent for two heartbeats, of the private range (RFC 6455 §7.4.2).
const SILENT: CloseCode = CloseCode::new(4008);

/// One session and its connection.
pub(crate) struct Connection<E: Endpoint, S> {
    io: S,
    endpoint: Arc<E>,
    session: Session<E::Data>,
    settings: Arc<Settings>,
    incoming: Incoming,
    outgoing: Outgoing,
    heartbeat: Heartbeat,
    phase: Phase,
    /// The fault that ends the session, for `on_error`.
    error: Option<Error>,
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
    Closing(Closed),
    Answering(Closed),
    Draining(Closed),
    Over(Closed),
}

/// What a session's life consists of.
enum Step {
    Message(Message),
    End(Closed),
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
        session: Session<E::Data>,
        settings: Arc<Settings>,
    ) -> Self {
        let limits = Limits {
            max_message: settings.max_message,
        };
        Self {
            io,
            endpoint,
            session,
            incoming: Incoming::new(limits, early),
            outgoing: Outgoing::default(),
            heartbeat: Heartbeat::new(settings.heartbeat),
            settings,
            phase: Phase::Open,
            error: None,
        }
    }

    /// The whole life of the session.
    pub(crate) async fn run(mut self) {
        self.call(|endpoint, session| async move { endpoint.on_open(&session).await })
            .await;
        let closed = loop {
            match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Message(message) => {
                    self.call(|endpoint, session| async move {
                        endpoint.on_message(&session, message).await;
                    })
                    .await;
                    // Many messages in one read must not keep the thread from other sessions.
                    tokio::task::coop::consume_budget().await;
                }
                Step::End(closed) => break closed,
            }
        };
        self.end(closed).await;
    }

    /// Runs a callback. What is sent meanwhile is written; reading waits until it has ended.
    async fn call<F>(&mut self, callback: impl FnOnce(Arc<E>, Session<E::Data>) -> F)
    where
        F: Future<Output = ()> + Send,
    {
        let callback = callback(self.endpoint.clone(), self.session.clone());
        // On the heap: the task's own size is what every idle session costs.
        let mut callback = Box::pin(AssertUnwindSafe(callback).catch_unwind());
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = callback.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            self.heartbeat.heard();
            self.poll_connection(cx);
            Poll::Pending
        })
        .await;
        if let Err(panic) = outcome {
            self.error = Some(Error::Panicked(panic_message(&*panic)));
            self.close(
                Close::new(CloseCode::INTERNAL, "internal error"),
                Phase::Closing,
            );
        }
    }

    /// The callbacks of the end. Panics in them have nowhere left to go but the log.
    async fn end(mut self, closed: Closed) {
        self.outgoing.shut(&self.session);
        let Self {
            endpoint,
            session,
            error,
            ..
        } = &self;
        let callbacks = async {
            if let Some(error) = error {
                let on_error = AssertUnwindSafe(endpoint.on_error(session, error)).catch_unwind();
                log_panic("on_error", on_error.await);
            }
            let on_close = AssertUnwindSafe(endpoint.on_close(session, &closed)).catch_unwind();
            log_panic("on_close", on_close.await);
        };
        Box::pin(callbacks).await;
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            self.poll_connection(cx);
            if let Phase::Over(closed) = &self.phase {
                return Poll::Ready(Step::End(closed.clone()));
            }
            // A peer that sends faster than it reads is not read: its commands wait with the peer.
            let full = self.session.outbox().waiting() > self.settings.max_outgoing / 4;
            let received = match &self.phase {
                Phase::Open if full => Poll::Pending,
                Phase::Open | Phase::Closing(_) => self.incoming.poll_event(&mut self.io, cx),
                Phase::Draining(_) => self.incoming.poll_discard(&mut self.io, cx),
                Phase::Answering(_) | Phase::Over(_) => Poll::Pending,
            };
            let Poll::Ready(received) = received else {
                return Poll::Pending;
            };
            self.heartbeat.heard();
            match (received, &self.phase) {
                (Received::Event(Event::Text(text)), Phase::Open) => {
                    return Poll::Ready(Step::Message(Message::Text(text.into_owned())));
                }
                (Received::Event(Event::Binary(bytes)), Phase::Open) => {
                    return Poll::Ready(Step::Message(Message::Binary(bytes.into_owned().into())));
                }
                // RFC 6455 §5.5.2: answered with the same payload; the latest ping's is enough.
                (Received::Event(Event::Ping(payload)), Phase::Open) => {
                    self.outgoing.pong = Some(Frame::pong(&payload));
                }
                (Received::Event(Event::Close(close)), _) => self.receive_close(close),
                // §1.4: what comes behind our own close frame is of no use any more.
                (Received::Event(_), _) => {}
                (Received::Violation(error), _) => self.fail(error),
                (Received::End(error), _) => self.break_off(error),
            }
        }
    }

    /// Writes what is to be written and looks at the clock.
    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        self.session.waker().register(cx.waker());
        match self.heartbeat.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Beat::Ping) => self.outgoing.ping = true,
            Poll::Ready(Beat::Silent) => {
                self.error = Some(Error::Silent);
                let reason = "silent for two heartbeats";
                self.close(Close::new(SILENT, reason), Phase::Over);
            }
            // The peer has not answered our close, or not taken it.
            Poll::Ready(Beat::Deadline) => self.over(),
        }
        if matches!(self.phase, Phase::Open) && self.session.is_closed() {
            // Behind frames that the peer does not take, a close frame may never be written.
            self.heartbeat.end_within(self.settings.close_timeout);
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
            std::task::ready!(written)?;
            self.session.outbox().written(self.outgoing.take_written());
            if !matches!(self.phase, Phase::Open) {
                return Poll::Ready(Ok(()));
            }
            match self.outgoing.gather(&self.session, cx) {
                Ok((_, Some(close))) => self.close(close, Phase::Closing),
                Ok((true, None)) => {}
                Ok((false, None)) => return Poll::Ready(Ok(())),
                Err(error) => {
                    self.error = Some(error.into());
                    let reason = "the log cannot be read now";
                    self.close(Close::new(CloseCode::OVERLOADED, reason), Phase::Closing);
                }
            }
        }
    }

    /// The server ends the session: nothing is written behind this close frame.
    fn close(&mut self, close: Close, phase: fn(Closed) -> Phase) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.outgoing.push(Frame::close(Some(&close)));
        self.heartbeat.end_within(self.settings.close_timeout);
        self.phase = phase(Closed {
            code: close.code,
            reason: close.reason,
            by: Side::Server,
            clean: false,
        });
    }

    /// The peer has closed (RFC 6455 §5.5.1): answer with its code, or know that it has answered.
    fn receive_close(&mut self, close: Option<Close>) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                self.outgoing.push(Frame::close(close.as_ref()));
                self.heartbeat.end_within(self.settings.close_timeout);
                let Close { code, reason } =
                    close.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, ""));
                Phase::Answering(Closed {
                    code,
                    reason,
                    by: Side::Peer,
                    clean: true,
                })
            }
            Phase::Closing(closed) => Phase::Over(Closed {
                clean: true,
                ..closed
            }),
            phase => phase,
        };
    }

    /// The peer broke the protocol (RFC 6455 §7.1.7): from here on nothing that it sends is understood.
    fn fail(&mut self, error: ProtocolError) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Open => {
                let close = error.close();
                self.error = Some(error.into());
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
            self.error = self.error.take().or(error.map(Error::Io));
            let (code, reason) = (CloseCode::ABNORMAL, String::new());
            self.phase = Phase::Over(Closed {
                code,
                reason,
                by: Side::Peer,
                clean: false,
            });
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
                Phase::Over(Closed {
                    code,
                    reason,
                    by: Side::Server,
                    clean: false,
                })
            }
        };
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

fn log_panic(callback: &str, outcome: Result<(), Box<dyn Any + Send>>) {
    if let Err(panic) = outcome {
        tracing::error!(
            callback,
            message = panic_message(&*panic),
            "an endpoint panicked"
        );
    }
}
