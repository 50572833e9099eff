//! How a session's task learns that there is something to do.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Waker},
};

/// It was rung, and the task has not looked yet.
const RUNG: u8 = 1;
/// The task is at work, and looks before it sleeps.
const AWAKE: u8 = 2;
/// A heartbeat is over, and the task has not looked yet.
const BEAT: u8 = 4;

/// Rung by anyone, answered by the session's task.
///
/// Waking a task costs more than anything else in sending to it, so it is done only where the task
/// sleeps, and once: what a callback sends to its own session, and what others send while it
/// writes, is found when the task looks again.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: AtomicU8,
    /// The task waits for its writing half, which another has.
    wanted: AtomicBool,
    /// Of the session's task, which is one task always: to take it anew at every sleep would cost each
    /// message two writes.
    waker: OnceLock<Waker>,
}

impl Bell {
    /// There is something to do. Whatever it is has to be in its place before.
    #[inline]
    pub(crate) fn ring(&self) {
        self.tell(RUNG);
    }

    /// A heartbeat is over.
    pub(crate) fn beat(&self) {
        self.tell(BEAT);
    }

    #[inline]
    fn tell(&self, what: u8) {
        if self.state.fetch_or(what, Ordering::AcqRel) == 0
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// The task did not get its writing half. It must try once more after this: who gave it back in between
    /// has not seen it.
    pub(crate) fn want(&self) {
        self.wanted.swap(true, Ordering::AcqRel);
    }

    /// The writing half was given back.
    pub(crate) fn given_back(&self) {
        // Written in any case: that orders it, and the giving back before it, against `want`.
        if self.wanted.swap(false, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// The task is at work, until it [sleeps](Self::sleep).
    #[inline]
    pub(crate) fn awake(&self) {
        // None but the task changes this bit, and writing costs a message far more than reading.
        if self.state.load(Ordering::Relaxed) & AWAKE == 0 {
            self.state.fetch_or(AWAKE, Ordering::AcqRel);
        }
    }

    /// Whether it was rung since the last answer.
    #[inline]
    pub(crate) fn answer(&self) -> bool {
        self.heard(RUNG)
    }

    /// Whether a heartbeat is over, since the last answer.
    #[inline]
    pub(crate) fn answer_beat(&self) -> bool {
        self.heard(BEAT)
    }

    #[inline]
    fn heard(&self, what: u8) -> bool {
        self.state.load(Ordering::Relaxed) & what != 0
            && self.state.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    /// The task is about to sleep: `false` if it has to look first, since the bell was rung, or a heartbeat is over.
    #[inline]
    pub(crate) fn sleep(&self, cx: &Context<'_>) -> bool {
        // First the waker, then the state: who rings from here on either finds the waker or is seen.
        self.waker.get_or_init(|| cx.waker().clone());
        self.state
            .compare_exchange(AWAKE, 0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_and_only_out_of_its_sleep() {
        let wakes = Arc::new(Counter::default());
        let waker = Waker::from(wakes.clone());
        let cx = Context::from_waker(&waker);
        let woken = || wakes.0.load(Ordering::Relaxed);
        let bell = Bell::default();

        bell.awake();
        bell.ring();
        assert!(!bell.sleep(&cx), "it was rung while awake");
        assert!(bell.answer());
        assert!(!bell.answer());
        assert!(bell.sleep(&cx));
        assert_eq!(woken(), 0);

        bell.ring();
        bell.ring();
        assert_eq!(woken(), 1);
        bell.awake();
        bell.ring();
        assert!(bell.answer());
        assert!(bell.sleep(&cx));
        assert_eq!(woken(), 1);

        bell.beat();
        bell.ring();
        assert_eq!(woken(), 2);
        bell.awake();
        assert!(bell.answer());
        assert!(!bell.sleep(&cx), "a heartbeat is over");
        assert!(bell.answer_beat());
        assert!(!bell.answer_beat());
        assert!(bell.sleep(&cx));
    }
}
