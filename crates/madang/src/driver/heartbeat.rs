//! Pings, silence, idleness, and the time that a close may take.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::settings::{NEVER, Settings};

/// Who looks at the clock no later than this has not stood still.
const LATE: Duration = Duration::from_millis(20);

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

/// A session with its mount's heartbeat is told when to ping, and so most have no timer.
///
/// | timer for | while |
/// |---|---|
/// | pings | the session has a heartbeat of its own |
/// | silence | nothing was heard from one ping to the next |
/// | idleness | there is an idle timeout, and no message is handled |
/// | the end | the session ends |
///
/// Whoever was heard between two pings cannot have been silent for two heartbeats before the next. And
/// who looks half a heartbeat too late cannot tell whether the peer was silent.
#[derive(Debug)]
pub(super) struct Heartbeat {
    last_heard: Moment,
    /// Whether that was since the last ping.
    heard: bool,
    /// No more pings: the timer is for the end.
    ending: bool,
    timer: Option<Box<Timer>>,
}

#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Whether it knows whom to wake.
    armed: bool,
    /// The next ping of a session that is not told.
    ping: Option<Instant>,
    /// Since when the peer may say something and does not; none while a message is handled. Only
    /// where there is an idle timeout.
    quiet_since: Option<Instant>,
}

impl Timer {
    fn new(at: Instant) -> Box<Self> {
        Box::new(Self {
            sleep: Box::pin(sleep_until(at)),
            armed: false,
            ping: None,
            quiet_since: None,
        })
    }

    fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.armed = false;
    }

    /// Asked only when it is new or has something to say.
    fn is_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.armed && !self.sleep.is_elapsed() {
            return false;
        }
        self.armed = true;
        self.sleep.as_mut().poll(cx).is_ready()
    }
}

impl Heartbeat {
    /// Of a session that `is_told` when to ping, or is not.
    pub(super) fn new(settings: &Settings, is_told: bool) -> Self {
        let ping = after(Instant::now(), settings.heartbeat);
        let own_timer = || {
            let mut timer = Timer::new(ping);
            timer.ping = Some(ping);
            timer
        };
        Self {
            last_heard: Moment::now(),
            heard: true,
            ending: false,
            // For idleness it comes when `on_open` has ended: then it is the peer's turn.
            timer: (!is_told).then(own_timer),
        }
    }

    /// The peer lives: it sent something, or took something that it had been refusing.
    #[inline]
    pub(super) fn heard(&mut self) {
        self.last_heard = Moment::now();
        self.heard = true;
    }

    /// The peer sent a message, which is now handled.
    #[inline]
    pub(super) fn heard_message(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.quiet_since = None;
        }
    }

    /// A callback has ended: if it handled a message, it is the peer's turn again.
    #[inline]
    pub(super) fn handled(&mut self, settings: &Settings) {
        let Some(timeout) = settings.idle_timeout.filter(|_| !self.ending) else {
            return;
        };
        let timer = || Timer::new(after(Instant::now(), timeout));
        let timer = self.timer.get_or_insert_with(timer);
        let quiet_since = *timer.quiet_since.get_or_insert_with(Instant::now);
        let idle = after(quiet_since, timeout);
        if idle < timer.sleep.deadline() {
            timer.set(idle);
        }
    }

    /// Whether the peer has said nothing for too long: to be asked when there is nothing to read.
    #[inline]
    pub(super) fn is_idle(&self, settings: &Settings) -> bool {
        self.idle_at(settings)
            .is_some_and(|idle| Instant::now() >= idle)
    }

    #[inline]
    fn idle_at(&self, settings: &Settings) -> Option<Instant> {
        // A session that ends is idle no more.
        let timer = self.timer.as_ref().filter(|_| !self.ending)?;
        Some(after(timer.quiet_since?, settings.idle_timeout?))
    }

    /// No more pings: [`Beat::Deadline`] comes after `timeout`. The first call counts.
    pub(super) fn end_within(&mut self, timeout: Duration) {
        if !mem::replace(&mut self.ending, true) {
            self.wake_at(Some(after(Instant::now(), timeout)));
        }
    }

    /// What the time has come for, `told` to ping or by the timer.
    ///
    /// All but [`Beat::Ping`] come again at every call once they are due. It has to be called by the same
    /// task always.
    #[inline]
    pub(super) fn poll(
        &mut self,
        settings: &Settings,
        told: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Beat> {
        // Most have no timer.
        if told || self.timer.is_some() {
            self.poll_timer(settings, told, cx)
        } else {
            Poll::Pending
        }
    }

    fn poll_timer(
        &mut self,
        settings: &Settings,
        mut told: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Beat> {
        let mut ping = false;
        loop {
            let is_up = self.timer.as_mut().is_some_and(|timer| timer.is_up(cx));
            if self.ending && is_up {
                return Poll::Ready(Beat::Deadline);
            }
            if self.ending || !(is_up || told) {
                break;
            }
            let now = Instant::now();
            let last_heard = self.last_heard.instant();
            let silent = after(last_heard, settings.heartbeat.saturating_mul(2));
            if now >= after(silent, LATE.max(settings.heartbeat / 2)) {
                // Whoever comes so late to look has stood still, perhaps with the whole machine, and has not
                // listened either: the peer has one heartbeat more.
                let one_ago = now.checked_sub(settings.heartbeat);
                self.last_heard = Moment::at(one_ago.unwrap_or(now));
                told = true;
                continue;
            }
            if now >= silent {
                return Poll::Ready(Beat::Silent);
            }
            let mut own_ping = self.timer.as_mut().and_then(|timer| timer.ping.as_mut());
            if let Some(own_ping) = &mut own_ping
                && now >= **own_ping
            {
                **own_ping = after(now, settings.heartbeat);
                told = true;
            }
            let own_ping = own_ping.copied();
            let idle = self.idle_at(settings);
            let silent = (!self.heard || idle.is_some()).then_some(silent);
            let idle = idle.filter(|idle| *idle > now);
            self.wake_at([own_ping, silent, idle].into_iter().flatten().min());
            if mem::take(&mut told) {
                self.heard = false;
                ping = true;
            }
            // Once more, so that the timer is armed for the next time.
        }
        if ping {
            Poll::Ready(Beat::Ping)
        } else {
            Poll::Pending
        }
    }

    /// Wakes the task at a time, or not at all.
    fn wake_at(&mut self, at: Option<Instant>) {
        match (&mut self.timer, at) {
            (Some(timer), Some(at)) => timer.set(at),
            (timer, at) => *timer = at.map(Timer::new),
        }
    }
}

/// An instant in half the space, in nanoseconds of the program's clock.
#[derive(Debug, Clone, Copy)]
struct Moment(i64);

/// When the clock began. A clock that a test has stopped may be before it.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Moment {
    fn now() -> Self {
        Self::at(Instant::now())
    }

    fn at(instant: Instant) -> Self {
        let begin = *BEGIN;
        Self(match instant.checked_duration_since(begin) {
            Some(since) => since.as_nanos() as i64,
            None => -(begin.duration_since(instant).as_nanos() as i64),
        })
    }

    fn instant(self) -> Instant {
        let distance = Duration::from_nanos(self.0.unsigned_abs());
        if self.0 < 0 {
            *BEGIN - distance
        } else {
            *BEGIN + distance
        }
    }
}

/// Some time later.
fn after(begin: Instant, time: Duration) -> Instant {
    begin.checked_add(time.min(NEVER)).unwrap_or(begin)
}
