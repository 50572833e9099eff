//! Who is typing in a room, and what to tell the others about it.
//!
//! | what happens | what is told, and when |
//! |---|---|
//! | a user types | `on`, at once |
//! | goes on typing | nothing; 3 s after the last `on` it is told again, for those who came meanwhile |
//! | stops, or their session leaves | `off`, at once |
//! | says nothing more of it for 6 s | `off` |
//! | types again within 1 s of the last `on` | `on`, when the second is over and they still type |
//!
//! So of one user no more than an `on` and an `off` a second are told, however often they change. Of
//! several sessions of a user the one that typed last counts: a person types in one place.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::{SessionId, User, UserId};

/// How long someone types who does not say so again.
const EXPIRY: Duration = Duration::from_secs(6);
/// How long after an `on` it is told again.
const REPEAT: Duration = Duration::from_secs(3);
/// How long after an `on`, and an `off`, the next may be told.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is typing in one room. A value, like [`Presence`](crate::Presence): call
/// [`tick`](Self::tick) when [`next_due`](Self::next_due) comes, or later.
///
/// It has one entry for each user who types, or did within the last second.
#[derive(Debug, Default)]
pub struct Typing {
    typists: HashMap<UserId, Typist>,
}

/// What to tell those in the room, `except` the session that types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypingChange {
    /// Who types, or does no more.
    pub user: User,
    /// Which of the two.
    pub on: bool,
    /// The session that knows.
    pub except: SessionId,
}

#[derive(Debug)]
struct Typist {
    user: User,
    /// Where they typed last.
    session: SessionId,
    state: State,
    /// When `on` was told last.
    told: Instant,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The others know; it expires then.
    On(Instant),
    /// Typing, but the others are told only when the pause is over; it expires then.
    Held(Instant),
    /// Not typing; remembered until the pause is over.
    Off,
}

impl Typing {
    /// A session's user types, or goes on typing.
    pub fn on(&mut self, session: SessionId, user: &User, now: Instant) -> Option<TypingChange> {
        let until = now + EXPIRY;
        let Some(typist) = self.typists.get_mut(&user.id) else {
            let typist = Typist {
                user: user.clone(),
                session,
                state: State::On(until),
                told: now,
            };
            let change = typist.change(true);
            self.typists.insert(user.id.clone(), typist);
            return Some(change);
        };
        typist.user.clone_from(user);
        typist.session = session;
        let pause = match typist.state {
            State::On(_) => REPEAT,
            State::Held(_) | State::Off => PAUSE,
        };
        if now >= typist.told + pause {
            return Some(typist.tell_on(until, now));
        }
        typist.state = match typist.state {
            State::On(_) => State::On(until),
            State::Held(_) | State::Off => State::Held(until),
        };
        None
    }

    /// A session stops typing, or leaves.
    pub fn off(&mut self, session: SessionId) -> Option<TypingChange> {
        let mut typists = self.typists.values_mut();
        let typist = typists.find(|typist| typist.session == session)?;
        match std::mem::replace(&mut typist.state, State::Off) {
            State::On(_) => Some(typist.change(false)),
            State::Held(_) | State::Off => None,
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        self.typists.values().map(Typist::due).min()
    }

    /// Ends what has expired, and tells what was held back.
    pub fn tick(&mut self, now: Instant) -> Vec<TypingChange> {
        let mut changes = Vec::new();
        self.typists.retain(|_, typist| {
            if now < typist.due() {
                return true;
            }
            match typist.state {
                State::Held(until) if now < until => {
                    changes.push(typist.tell_on(until, now));
                    true
                }
                State::On(_) => {
                    changes.push(typist.change(false));
                    false
                }
                State::Held(_) | State::Off => false,
            }
        });
        changes
    }

    /// Whether there is nobody to remember, so that the value may be dropped.
    pub fn is_empty(&self) -> bool {
        self.typists.is_empty()
    }
}

impl Typist {
    fn tell_on(&mut self, until: Instant, now: Instant) -> TypingChange {
        self.state = State::On(until);
        self.told = now;
        self.change(true)
    }

    fn change(&self, on: bool) -> TypingChange {
        TypingChange {
            user: self.user.clone(),
            on,
            except: self.session,
        }
    }

    fn due(&self) -> Instant {
        match self.state {
            State::On(until) => until,
            State::Held(_) | State::Off => self.told + PAUSE,
        }
    }
}

#[cfg(test)]
mod tests;
