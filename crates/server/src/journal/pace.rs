//! How long a commit waits for more.
//!
//! To store one message costs about as much as to store fifty: what is dear is the disk's round trip. While a
//! commit is under way the next gathers by itself; when messages come one by one, from people who do not
//! wait for one another, each would have a commit to itself. So within a window after the last commit began,
//! they are gathered.
//!
//! Whoever speaks again as soon as they are answered would only be slowed down by that: a backend that posts one
//! message after the other, a benchmark's writers. They are known by having been answered within
//! the window, and are not kept waiting; nor is anything but messages.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use store::Write;

/// Those who were answered last that are remembered.
const ANSWERED: usize = 256;

pub(super) struct Pace {
    window: Duration,
    /// When the last commit began.
    began: Option<Instant>,
    /// Who was answered within the last window, by hash, and when.
    answered: VecDeque<(Instant, u64)>,
    hasher: RandomState,
}

impl Pace {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            began: None,
            answered: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// How long to wait before these are stored.
    pub(super) fn wait(&self, writes: &[Write], now: Instant) -> Duration {
        let Some(began) = self.began else {
            return Duration::ZERO;
        };
        let left = (began + self.window).saturating_duration_since(now);
        if left.is_zero()
            || writes.is_empty()
            || !writes.iter().all(|write| self.may_wait(write, now))
        {
            return Duration::ZERO;
        }
        left
    }

    /// These are stored by a commit that began then, and answered now.
    pub(super) fn stored(&mut self, writes: &[Write], began: Instant, now: Instant) {
        self.began = Some(began);
        if self.window.is_zero() {
            return;
        }
        while let Some((at, _)) = self.answered.front()
            && (now.duration_since(*at) > self.window || self.answered.len() > ANSWERED)
        {
            self.answered.pop_front();
        }
        let speakers = writes.iter().filter_map(|write| self.speaker(write));
        let answered: Vec<_> = speakers.map(|speaker| (now, speaker)).collect();
        self.answered.extend(answered);
    }

    fn may_wait(&self, write: &Write, now: Instant) -> bool {
        let Some(speaker) = self.speaker(write) else {
            return false;
        };
        let just = |(at, answered): &(Instant, u64)| {
            *answered == speaker && now.duration_since(*at) <= self.window
        };
        !self.answered.iter().any(just)
    }

    fn speaker(&self, write: &Write) -> Option<u64> {
        match write {
            Write::Append { from, .. } => Some(self.hasher.hash_one(&from.id)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rooms::{Content, Key, RoomName, SessionId, User, UserId, UserName};

    use super::*;
    use crate::clock::now;

    const WINDOW: Duration = Duration::from_millis(10);

    fn said_by(user: &str) -> Write {
        Write::Append {
            room: RoomName::parse("마당").unwrap(),
            from: User {
                id: UserId::parse(user).unwrap(),
                name: UserName::parse("강호동").unwrap(),
                guest: true,
            },
            key: None::<Key>,
            content: Content {
                text: Some("안녕".into()),
                data: None,
                reply_to: None,
            },
            at: now(),
        }
    }

    fn after(began: Instant, milliseconds: u64) -> Instant {
        began + Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_first_message_waits_for_nobody_and_those_soon_after_it_for_the_rest_of_the_window() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        assert_eq!(pace.wait(&[said_by("u_1")], began), Duration::ZERO);
        pace.stored(&[said_by("u_1")], began, after(began, 1));
        let both = [said_by("u_2"), said_by("u_3")];
        assert_eq!(pace.wait(&both, after(began, 2)), Duration::from_millis(8));
        assert_eq!(pace.wait(&both, after(began, 10)), Duration::ZERO);
    }

    #[test]
    fn who_was_just_answered_is_not_kept_waiting_and_takes_the_others_along() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        pace.stored(&[said_by("u_1")], began, after(began, 1));
        let both = [said_by("u_2"), said_by("u_1")];
        assert_eq!(pace.wait(&both, after(began, 2)), Duration::ZERO);
        // Also where another commit was between.
        pace.stored(&[said_by("u_3")], after(began, 3), after(began, 4));
        assert_eq!(pace.wait(&both, after(began, 5)), Duration::ZERO);
        // But not for ever.
        pace.stored(&[said_by("u_4")], after(began, 30), after(began, 31));
        assert_ne!(pace.wait(&both, after(began, 32)), Duration::ZERO);
    }

    #[test]
    fn nothing_but_messages_is_kept_waiting() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        pace.stored(&[said_by("u_1")], began, after(began, 1));
        let subscribe = Write::Subscribe {
            session: SessionId::from(1),
            room: RoomName::parse("마당").unwrap(),
            create: true,
            at: now(),
        };
        let writes = [said_by("u_2"), subscribe];
        assert_eq!(pace.wait(&writes, after(began, 2)), Duration::ZERO);
    }

    #[test]
    fn without_a_window_nobody_waits_and_nobody_is_remembered() {
        let (mut pace, began) = (Pace::new(Duration::ZERO), Instant::now());
        pace.stored(&[said_by("u_1")], began, began);
        assert_eq!(pace.wait(&[said_by("u_2")], began), Duration::ZERO);
        assert!(pace.answered.is_empty());
    }

    #[test]
    fn those_remembered_are_bounded() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        for number in 0..10_000 {
            pace.stored(&[said_by(&format!("u_{number}"))], began, began);
        }
        assert!(
            pace.answered.len() <= ANSWERED + 1,
            "{}",
            pace.answered.len()
        );
    }
}
