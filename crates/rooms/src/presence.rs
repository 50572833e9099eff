//! Who is in a room, and what to tell the others about it.
//!
//! | what happens | who is present | what is told, and when |
//! |---|---|---|
//! | a user's first session enters | the user, at once | `joined`, a window later |
//! | a further session enters or leaves | the user, as before | nothing |
//! | the last session leaves cleanly | the user no more | `left`, a window later |
//! | the last session breaks off | the user, for a grace | nothing yet |
//! | the user comes back within the grace | the user, as before | nothing |
//! | the grace passes | the user no more | `left`, a window later |
//! | the server starts again | who was there when it stopped, for a grace | nothing |
//!
//! Changes that undo each other within one window are not told. While more are present than can be
//! told by name, only their number is told; and the more they are, the less often.
//!
//! What is measured is measured by a clock that never jumps ([`Instant`]); the time of day is only shown.

mod view;

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub use self::view::{Change, Leave, Occupant, PresenceSettings, Snapshot, Who};
use crate::{SessionId, Timestamp, User, UserId, UserName};

/// Who is in one room. A value: whoever owns it says what happens and asks what to tell.
///
/// Call [`tick`](Self::tick) when [`next_due`](Self::next_due) comes, or later.
#[derive(Debug)]
pub struct Presence {
    settings: PresenceSettings,
    present: HashMap<UserId, Present>,
    /// Whose session it is, for each session in the room.
    sessions: HashMap<SessionId, UserId>,
    /// When the grace ends of each user whose last session broke off, in the order of these times.
    graces: BTreeSet<(Instant, UserId)>,
    /// The same, by the users.
    lost: BTreeMap<UserId, Instant>,
    /// Everyone who changed since the last announcement, with what the others know of them.
    changed: BTreeMap<UserId, Known>,
    /// When the changes are to be told.
    due: Option<Instant>,
    /// When changes were told last.
    told: Option<Instant>,
    /// How often the room was shown to someone; see [`Known::views`].
    views: u64,
    /// Whether someone may have no whole list of names.
    names_missing: bool,
}

/// A user who is present. There is one for most sessions of a server, so nothing is in it that is
/// somewhere else: the id is its key, and whose a session is stands in [`Presence::sessions`].
#[derive(Debug)]
struct Present {
    name: UserName,
    guest: bool,
    since: Timestamp,
    /// With how many sessions; none in a grace.
    sessions: u32,
}

/// What those in the room know of a user who changed since the last announcement.
#[derive(Debug)]
struct Known {
    /// The user, as last known.
    user: User,
    /// Whether the user was present at the last announcement.
    present: bool,
    /// [`Presence::views`] when the first change happened. Whoever looked later may know
    /// something else, so that the user is told even if nothing changed in the end.
    views: u64,
}

impl Presence {
    /// A room with nobody in it.
    pub fn new(settings: PresenceSettings) -> Self {
        Self {
            settings,
            present: HashMap::new(),
            sessions: HashMap::new(),
            graces: BTreeSet::new(),
            lost: BTreeMap::new(),
            changed: BTreeMap::new(),
            due: None,
            told: None,
            views: 0,
            names_missing: false,
        }
    }

    /// Someone was there when the server stopped. They are present, and nobody is told, until they
    /// come back or `until` passes.
    pub fn restore(&mut self, user: User, since: Timestamp, until: Instant) {
        let User { id, name, guest } = user;
        if let Entry::Vacant(absent) = self.present.entry(id.clone()) {
            absent.insert(Present {
                name,
                guest,
                since,
                sessions: 0,
            });
            self.lose(id, until);
        }
    }

    /// A session enters, at the time of day `at`. Entering twice is the same as once.
    pub fn enter(&mut self, session: SessionId, user: &User, at: Timestamp, now: Instant) {
        let is_new = match self.sessions.insert(session, user.id.clone()) {
            Some(owner) if owner == user.id => false,
            // A session has one user for its life; if not, it left as the other one.
            Some(other) => {
                self.depart(&other, now, Leave::Clean);
                true
            }
            None => true,
        };
        let Some(present) = self.present.get_mut(&user.id) else {
            self.note(user, false, now);
            let present = Present {
                name: user.name.clone(),
                guest: user.guest,
                since: at,
                sessions: 1,
            };
            self.present.insert(user.id.clone(), present);
            return;
        };
        if is_new {
            present.sessions = present.sessions.saturating_add(1);
        }
        if let Some(until) = self.lost.remove(&user.id) {
            self.graces.remove(&(until, user.id.clone()));
        }
        let before = present.user(&user.id);
        if before != *user {
            present.name = user.name.clone();
            present.guest = user.guest;
            self.note(&before, true, now);
        }
    }

    /// A session leaves. The way in which a user's last session goes decides whether there is a
    /// grace.
    pub fn leave(&mut self, session: SessionId, now: Instant, how: Leave) {
        if let Some(id) = self.sessions.remove(&session) {
            self.depart(&id, now, how);
        }
    }

    /// A user has one session less.
    fn depart(&mut self, id: &UserId, now: Instant, how: Leave) {
        let Some(present) = self.present.get_mut(id) else {
            return;
        };
        present.sessions = present.sessions.saturating_sub(1);
        match how {
            _ if present.sessions > 0 => {}
            Leave::Clean => self.remove(id, now),
            Leave::Broken => self.lose(id.clone(), now + self.settings.grace),
        }
    }

    /// A user's grace begins.
    fn lose(&mut self, id: UserId, until: Instant) {
        self.graces.insert((until, id.clone()));
        self.lost.insert(id, until);
    }

    fn remove(&mut self, id: &UserId, at: Instant) {
        if let Some(gone) = self.present.remove(id) {
            self.note(&gone.user(id), true, at);
        }
    }

    /// Remembers what was known of a user before a change, unless an earlier change did.
    fn note(&mut self, user: &User, present: bool, at: Instant) {
        let known = || Known {
            user: user.clone(),
            present,
            views: self.views,
        };
        self.changed.entry(user.id.clone()).or_insert_with(known);
        if self.due.is_none() {
            let due = at + self.settings.window;
            let pause = self.told.map(|told| told + self.pause());
            self.due = Some(pause.map_or(due, |pause| pause.max(due)));
        }
    }

    /// How long after one announcement the next may come. What one costs grows with those who hear it.
    fn pause(&self) -> Duration {
        let count = self.present.len();
        if count > self.settings.named {
            Duration::from_secs(count as u64) / self.settings.counts_per_second.max(1)
        } else {
            Duration::ZERO
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        let grace = self.graces.first().map(|(until, _)| *until);
        [self.due, grace].into_iter().flatten().min()
    }

    /// Ends the graces that have passed, and tells what changed if it is time to.
    pub fn tick(&mut self, now: Instant) -> Option<Change> {
        while self.graces.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((until, id)) = self.graces.pop_first() {
                self.lost.remove(&id);
                self.remove(&id, until);
            }
        }
        self.due.take_if(|due| *due <= now)?;
        let mut change = Change {
            joined: vec![],
            left: vec![],
            count: self.present.len(),
        };
        for (id, known) in std::mem::take(&mut self.changed) {
            let user = self.present.get(&id).map(|present| present.user(&id));
            let seen = known.views != self.views;
            match user {
                Some(user) if seen || !known.present || known.user != user => {
                    change.joined.push(user);
                }
                None if seen || known.present => change.left.push(known.user),
                _ => {}
            }
        }
        if change.joined.is_empty() && change.left.is_empty() {
            return None;
        }
        self.told = Some(now);
        if change.count > self.settings.named {
            self.names_missing = true;
            return Some(Change {
                joined: vec![],
                left: vec![],
                ..change
            });
        }
        if std::mem::take(&mut self.names_missing) {
            change.joined = self.users().collect();
        }
        Some(change)
    }

    /// Whether a session is in the room.
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Whether more are present than are told by name.
    pub fn is_crowd(&self) -> bool {
        self.present.len() > self.settings.named
    }

    /// Who is present, for someone who comes in: the changes told later continue from it.
    pub fn snapshot(&mut self) -> Snapshot {
        self.view();
        let count = self.present.len();
        // In a crowd those who come are many too, and a list for each of them would be the most of
        // what it costs.
        let users = if count > self.settings.named {
            Vec::new()
        } else {
            self.users().collect()
        };
        Snapshot { count, users }
    }

    /// Who is present, with how many sessions and since when; the changes told later continue from
    /// it.
    pub fn who(&mut self) -> Who {
        self.view();
        let occupant = |(id, present): (&UserId, &Present)| Occupant {
            user: present.user(id),
            sessions: present.sessions as usize,
            since: present.since,
        };
        let users = self.in_order().into_iter();
        Who {
            count: self.present.len(),
            users: users.map(occupant).collect(),
        }
    }

    fn users(&self) -> impl Iterator<Item = User> {
        let present = self.in_order().into_iter();
        present.map(|(id, present)| present.user(id))
    }

    /// As many as are told by name, by their ids, which is the order in which guests came: people are to stand in
    /// a list where they stood before.
    fn in_order(&self) -> Vec<(&UserId, &Present)> {
        let by_id = |one: &(&UserId, _), other: &(&UserId, _)| one.0.cmp(other.0);
        let mut present: Vec<_> = self.present.iter().collect();
        if present.len() > self.settings.named {
            present.select_nth_unstable_by(self.settings.named, by_id);
            present.truncate(self.settings.named);
        }
        present.sort_unstable_by(by_id);
        present
    }

    /// Someone is shown the room.
    fn view(&mut self) {
        self.views = self.views.wrapping_add(1);
        self.names_missing |= self.present.len() > self.settings.named;
    }

    /// Whether nobody is present and nothing is left to tell, so that the value may be dropped.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty() && self.changed.is_empty()
    }
}

impl Present {
    fn user(&self, id: &UserId) -> User {
        User {
            id: id.clone(),
            name: self.name.clone(),
            guest: self.guest,
        }
    }
}

#[cfg(test)]
mod tests;
