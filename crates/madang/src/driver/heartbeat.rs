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
    /// To end a close that is not answered.
    Deadline,
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows whom to wake.
    armed: bool,
    last_heard: Instant,
    /// Since when the peer may say something and does not; none while a message is handled. Only
    /// where there is an idle timeout.
    quiet_since: Option<Box<Option<Instant>>>,
    /// The next ping is due then; none once the session ends.
    ping: Option<Instant>,
}

impl Heartbeat {
    pub(super) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(sleep(settings.heartbeat)),
            armed: false,
            last_heard: now,
            // The peer's turn begins when `on_open` has ended.
            quiet_since: settings.idle_timeout.map(|_| Box::new(None)),
            ping: Some(after(now, settings.heartbeat)),
        }
    }

    /// The peer lives: it sent something, or took something that it had been refusing.
    pub(super) fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    /// The peer sent a message, which is now handled.
    pub(super) fn heard_message(&mut self) {
        if let Some(quiet_since) = &mut self.quiet_since {
            **quiet_since = None;
        }
    }

    /// A callback has ended: if it handled a message, it is the peer's turn again.
    pub(super) fn handled(&mut self, settings: &Settings) {
        let Some(quiet_since) = &mut self.quiet_since else {
            return;
        };
        quiet_since.get_or_insert_with(Instant::now);
        if let Some(idle) = self.idle_at(settings)
            && idle < self.timer.deadline()
        {
            self.timer.as_mut().reset(idle);
            self.armed = false;
        }
    }

    /// Whether the peer has said nothing for too long: to be asked when there is nothing to read.
    pub(super) fn is_idle(&self, settings: &Settings) -> bool {
        self.idle_at(settings)
            .is_some_and(|idle| Instant::now() >= idle)
    }

    fn idle_at(&self, settings: &Settings) -> Option<Instant> {
        // A session that ends is idle no more.
        self.ping?;
        let quiet_since = (**self.quiet_since.as_ref()?)?;
        Some(after(quiet_since, settings.idle_timeout?))
    }

    /// No more pings: [`Beat::Deadline`] comes after `timeout`. The first call counts.
    pub(super) fn end_within(&mut self, timeout: Duration) {
        if self.ping.take().is_some() {
            self.timer.as_mut().reset(after(Instant::now(), timeout));
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
            let idle = self.idle_at(settings);
            let Some(ping) = &mut self.ping else {
                return Poll::Ready(Beat::Deadline);
            };
            let now = Instant::now();
            let silent = after(self.last_heard, settings.heartbeat.saturating_mul(2));
            if now >= silent {
                return Poll::Ready(Beat::Silent);
            }
            if now >= *ping {
                *ping = after(now, settings.heartbeat);
                due = true;
            }
            let idle = idle.filter(|idle| *idle > now);
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

/// Some time later. What no clock reaches, `Duration::MAX` say, is 30 years: never.
fn after(begin: Instant, time: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    begin.checked_add(time.min(NEVER)).unwrap_or(begin)
}
