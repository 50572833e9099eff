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
    /// The next ping is due then.
    Beating {
        ping: Instant,
    },
    Ending,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(sleep(interval)),
            interval,
            last_heard: now,
            mode: Mode::Beating {
                ping: now + interval,
            },
        }
    }

    /// The peer lives: it sent something, or took something that it had been refusing.
    pub(super) fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    /// No more pings: [`Beat::Deadline`] comes after `timeout`. The first call counts.
    pub(super) fn end_within(&mut self, timeout: Duration) {
        if self.mode != Mode::Ending {
            self.mode = Mode::Ending;
            self.timer.as_mut().reset(Instant::now() + timeout);
        }
    }

    /// [`Beat::Silent`] and [`Beat::Deadline`] come again at every call once they are due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        let mut due = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            let Mode::Beating { ping } = &mut self.mode else {
                return Poll::Ready(Beat::Deadline);
            };
            let now = Instant::now();
            let silent = self.last_heard + 2 * self.interval;
            if now >= silent {
                return Poll::Ready(Beat::Silent);
            }
            if now >= *ping {
                *ping = now + self.interval;
                due = true;
            }
            self.timer.as_mut().reset(silent.min(*ping));
        }
        if due {
            Poll::Ready(Beat::Ping)
        } else {
            Poll::Pending
        }
    }
}
