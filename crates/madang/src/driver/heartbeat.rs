//! Pings, silence, idleness, and the time that a close may take: one timer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use crate::settings::Settings;

/// What the time has come for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// To ping the peer.
    Ping,
    /// To give the peer up.
    Silent,
    /// To close, as the peer has said nothing for too long.
    Idle,
    /// To end a close that is not answered.
    Deadline,
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows whom to wake.
    armed: bool,
    last_heard: Instant,
    /// Only where it counts.
    last_message: Option<Box<Instant>>,
    /// The next ping is due then; none once the session ends.
    ping: Option<Instant>,
}

impl Heartbeat {
    pub(super) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let first = settings
            .heartbeat
            .min(settings.idle_timeout.unwrap_or(Duration::MAX));
        Self {
            timer: Box::pin(sleep(first)),
            armed: false,
            last_heard: now,
            last_message: settings.idle_timeout.map(|_| Box::new(now)),
            ping: Some(now + settings.heartbeat),
        }
    }

    /// The peer lives: it sent something, or took something that it had been refusing.
    pub(super) fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    /// The peer sent a message.
    pub(super) fn heard_message(&mut self) {
        if let Some(last_message) = &mut self.last_message {
            **last_message = self.last_heard;
        }
    }

    /// No more pings: [`Beat::Deadline`] comes after `timeout`. The first call counts.
    pub(super) fn end_within(&mut self, timeout: Duration) {
        if self.ping.take().is_some() {
            self.timer.as_mut().reset(Instant::now() + timeout);
            self.armed = false;
        }
    }

    /// All but [`Beat::Ping`] come again at every call once they are due. It has to be called by the same
    /// task always: the timer is asked only when it is new or has something to say.
    pub(super) fn poll(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<Beat> {
        if self.armed && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = true;
        let mut due = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            let Some(ping) = &mut self.ping else {
                return Poll::Ready(Beat::Deadline);
            };
            let now = Instant::now();
            let silent = self.last_heard + 2 * settings.heartbeat;
            if now >= silent {
                return Poll::Ready(Beat::Silent);
            }
            let idle = settings.idle_timeout.zip(self.last_message.as_deref());
            let idle = idle.map(|(timeout, last_message)| *last_message + timeout);
            if idle.is_some_and(|idle| now >= idle) {
                return Poll::Ready(Beat::Idle);
            }
            if now >= *ping {
                *ping = now + settings.heartbeat;
                due = true;
            }
            let next = idle.unwrap_or(silent).min(silent).min(*ping);
            self.timer.as_mut().reset(next);
        }
        if due {
            // The loop ended with the timer armed for the next time.
            Poll::Ready(Beat::Ping)
        } else {
            Poll::Pending
        }
    }
}
