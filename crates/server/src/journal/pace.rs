//! How long a commit waits for more.
//!
//! To store one message costs about as much as to store fifty: what is dear is the disk's round trip. While a
//! commit is under way the next gathers by itself; when messages come one by one, from people who do not
//! wait for one another, each would have a commit to itself. So within a window after the last commit began,
//! they are gathered.
//!
//! Whoever speaks again as soon as they are answered would only be slowed down by that: a backend that posts one
//! message after the other, a benchmark's writers. They are known by having been answered within
//! the window, and are not kept waiting.
//!
//! Sessions that come and go wait for nobody either, unless they do so in crowds: after a restart, say, when thousands
//! come back. Then they are gathered for a third of the window. Nothing else waits.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use store::Write;

/// Those who were answered last that are remembered.
const ANSWERED: usize = 256;
/// Sessions that come and go in one commit: so many are a crowd.
const CROWD: usize = 8;

pub(super) struct Pace {
    window: Duration,
    /// When the last commit began.
    began: Option<Instant>,
    /// Whether it held a crowd.
    crowd: bool,
    /// Who was answered within the last window, by hash, and when.
    answered: VecDeque<(Instant, u64)>,
    hasher: RandomState,
}

impl Pace {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            began: None,
            crowd: false,
            answered: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// How long to wait before these are stored: as long as the least patient of them may.
    pub(super) fn wait(&self, writes: &[Write], now: Instant) -> Duration {
        let Some(since) = self.began.map(|began| now.saturating_duration_since(began)) else {
            return Duration::ZERO;
        };
        if since >= self.window {
            return Duration::ZERO;
        }
        let windows = writes.iter().map(|write| self.window_of(write, now));
        windows.min().unwrap_or_default().saturating_sub(since)
    }

    /// These are stored by a commit that began then, and answered now.
    pub(super) fn stored(&mut self, writes: &[Write], began: Instant, now: Instant) {
        self.began = Some(began);
        self.crowd = writes.iter().filter(|write| comes_or_goes(write)).count() >= CROWD;
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

    fn window_of(&self, write: &Write, now: Instant) -> Duration {
        let Some(speaker) = self.speaker(write) else {
            let patient = self.crowd && comes_or_goes(write);
            return if patient {
                self.window / 3
            } else {
                Duration::ZERO
            };
        };
        let just = |(at, answered): &(Instant, u64)| {
            *answered == speaker && now.duration_since(*at) <= self.window
        };
        if self.answered.iter().any(just) {
            Duration::ZERO
        } else {
            self.window
        }
    }

    fn speaker(&self, write: &Write) -> Option<u64> {
        match write {
            Write::Append { from, .. } => Some(self.hasher.hash_one(&from.id)),
            _ => None,
        }
    }
}

fn comes_or_goes(write: &Write) -> bool {
    matches!(
        write,
        Write::OpenSession { .. } | Write::CloseSession { .. } | Write::Subscribe { .. }
    )
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

    fn subscribe() -> Write {
        Write::Subscribe {
            session: SessionId::from(1),
            room: RoomName::parse("마당").unwrap(),
            create: true,
            at: now(),
        }
    }

    fn unsubscribe() -> Write {
        Write::Unsubscribe {
            session: SessionId::from(1),
            room: RoomName::parse("마당").unwrap(),
            at: now(),
        }
    }

    #[test]
    fn a_few_who_come_and_go_are_not_kept_waiting_and_take_messages_along() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        let few = vec![subscribe(); CROWD - 1];
        pace.stored(&few, began, after(began, 1));
        assert_eq!(pace.wait(&few, after(began, 2)), Duration::ZERO);
        let writes = [said_by("u_2"), subscribe()];
        assert_eq!(pace.wait(&writes, after(began, 2)), Duration::ZERO);
    }

    #[test]
    fn a_crowd_is_gathered_for_a_third_of_the_window_and_no_other_command_waits_for_it() {
        let (mut pace, began) = (Pace::new(WINDOW), Instant::now());
        let crowd = vec![subscribe(); CROWD];
        assert_eq!(pace.wait(&crowd, began), Duration::ZERO);
        pace.stored(&crowd, began, after(began, 1));
        let more = [subscribe(), said_by("u_2")];
        assert_eq!(
            pace.wait(&more, after(began, 2)),
            WINDOW / 3 - Duration::from_millis(2)
        );
        assert_eq!(pace.wait(&more, after(began, 4)), Duration::ZERO);
        let others = [subscribe(), unsubscribe()];
        assert_eq!(pace.wait(&others, after(began, 2)), Duration::ZERO);
        // It is over with the first commit that holds none.
        pace.stored(&[subscribe()], after(began, 5), after(began, 6));
        assert_eq!(pace.wait(&crowd, after(began, 6)), Duration::ZERO);
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
