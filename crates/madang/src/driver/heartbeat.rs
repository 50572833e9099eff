//! Pings, silence, and the time that a close may take: one timer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// What the time has come for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// To ping the peer.
    Ping,
    /// To give the peer up.
    Silent,
    /// To end a close that is not answered.
    Deadline,
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    timer: Pin<Box<Sleep>>,
    interval: Duration,
    last_heard: Instant,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Beating,
    Ending,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            timer: Box::pin(sleep(interval)),
            interval,
            last_heard: Instant::now(),
            mode: Mode::Beating,
        }
    }

    /// The peer lives: it sent something, or took something that it had been refusing.
    pub(super) fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    /// No more pings: [`Beat::Deadline`] comes after `timeout`.
    pub(super) fn end_within(&mut self, timeout: Duration) {
        self.mode = Mode::Ending;
        self.timer.as_mut().reset(Instant::now() + timeout);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        std::task::ready!(self.timer.as_mut().poll(cx));
        if self.mode == Mode::Ending {
            return Poll::Ready(Beat::Deadline);
        }
        let now = Instant::now();
        if now.duration_since(self.last_heard) >= 2 * self.interval {
            return Poll::Ready(Beat::Silent);
        }
        self.timer.as_mut().reset(now + self.interval);
        // Registers the new time with the timer.
        let _ = self.timer.as_mut().poll(cx);
        Poll::Ready(Beat::Ping)
    }
}
