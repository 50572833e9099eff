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
//!
//! Changes that undo each other within one window are not told. While more are present than can be
//! told by name, only their number is told.

mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use self::view::{Change, Leave, Occupant, PresenceSettings, Snapshot, Who};
use crate::{SessionId, Timestamp, User, UserId};

/// Who is in one room. A value: whoever owns it says what happens and asks what to tell.
///
/// Call [`tick`](Self::tick) when [`next_due`](Self::next_due) comes, or later.
#[derive(Debug)]
pub struct Presence {
    settings: PresenceSettings,
    present: BTreeMap<UserId, Present>,
    /// Whose session it is, for each session in the room.
    sessions: HashMap<SessionId, UserId>,
    /// When the grace of each user who is [`Stay::Lost`] ends.
    graces: BTreeSet<(Timestamp, UserId)>,
    /// Everyone who changed since the last announcement, with what the others know of them.
    changed: BTreeMap<UserId, Known>,
    /// When the changes are to be told.
    due: Option<Timestamp>,
    /// How often the room was shown to someone; see [`Known::views`].
    views: u64,
    /// Whether someone may have no whole list of names.
    names_missing: bool,
}

/// A user who is present.
#[derive(Debug)]
struct Present {
    user: User,
    since: Timestamp,
    stay: Stay,
}

#[derive(Debug)]
enum Stay {
    /// In the room with these sessions, of which there is at least one.
    Here(BTreeSet<SessionId>),
    /// The last session broke off; the grace ends then.
    Lost(Timestamp),
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
            present: BTreeMap::new(),
            sessions: HashMap::new(),
            graces: BTreeSet::new(),
            changed: BTreeMap::new(),
            due: None,
            views: 0,
            names_missing: false,
        }
    }

    /// A session enters. Entering twice is the same as once.
    pub fn enter(&mut self, session: SessionId, user: &User, now: Timestamp) {
        match self.sessions.insert(session, user.id.clone()) {
            // A session has one user for its life; if not, it left as the other one.
            Some(other) if other != user.id => self.depart(session, &other, now, Leave::Clean),
            _ => {}
        }
        let Some(present) = self.present.get_mut(&user.id) else {
            self.note(user, false, now);
            let stay = Stay::Here(BTreeSet::from([session]));
            let present = Present {
                user: user.clone(),
                since: now,
                stay,
            };
            self.present.insert(user.id.clone(), present);
            return;
        };
        match &mut present.stay {
            Stay::Here(sessions) => {
                sessions.insert(session);
            }
            Stay::Lost(until) => {
                self.graces.remove(&(*until, user.id.clone()));
                present.stay = Stay::Here(BTreeSet::from([session]));
            }
        }
        if present.user != *user {
            let before = std::mem::replace(&mut present.user, user.clone());
            self.note(&before, true, now);
        }
    }

    /// A session leaves. The way in which a user's last session goes decides whether there is a
    /// grace.
    pub fn leave(&mut self, session: SessionId, now: Timestamp, how: Leave) {
        if let Some(id) = self.sessions.remove(&session) {
            self.depart(session, &id, now, how);
        }
    }

    fn depart(&mut self, session: SessionId, id: &UserId, now: Timestamp, how: Leave) {
        let Some(Present { stay, .. }) = self.present.get_mut(id) else {
            return;
        };
        let Stay::Here(sessions) = stay else { return };
        sessions.remove(&session);
        if !sessions.is_empty() {
            return;
        }
        match how {
            Leave::Clean => self.remove(id, now),
            Leave::Broken => {
                let until = now.after(self.settings.grace);
                *stay = Stay::Lost(until);
                self.graces.insert((until, id.clone()));
            }
        }
    }

    fn remove(&mut self, id: &UserId, at: Timestamp) {
        if let Some(gone) = self.present.remove(id) {
            self.note(&gone.user, true, at);
        }
    }

    /// Remembers what was known of a user before a change, unless an earlier change did.
    fn note(&mut self, user: &User, present: bool, at: Timestamp) {
        let known = || Known {
            user: user.clone(),
            present,
            views: self.views,
        };
        self.changed.entry(user.id.clone()).or_insert_with(known);
        self.due.get_or_insert(at.after(self.settings.window));
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let grace = self.graces.first().map(|(until, _)| *until);
        [self.due, grace].into_iter().flatten().min()
    }

    /// Ends the graces that have passed, and tells what changed if it is time to.
    pub fn tick(&mut self, now: Timestamp) -> Option<Change> {
        while self.graces.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((until, id)) = self.graces.pop_first() {
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
            let user = self.present.get(&id).map(|present| &present.user);
            let seen = known.views != self.views;
            match user {
                Some(user) if seen || !known.present || known.user != *user => {
                    change.joined.push(user.clone());
                }
                None if seen || known.present => change.left.push(known.user),
                _ => {}
            }
        }
        if change.joined.is_empty() && change.left.is_empty() {
            return None;
        }
        if change.count > self.settings.named {
            self.names_missing = true;
            return Some(Change {
                joined: vec![],
                left: vec![],
                ..change
            });
        }
        if std::mem::take(&mut self.names_missing) {
            change.joined = self
                .present
                .values()
                .map(|present| present.user.clone())
                .collect();
        }
        Some(change)
    }

    /// Who is present, for someone who comes in: the changes told later continue from it.
    pub fn snapshot(&mut self) -> Snapshot {
        self.view();
        let users = self.present.values().take(self.settings.named);
        Snapshot {
            count: self.present.len(),
            users: users.map(|present| present.user.clone()).collect(),
        }
    }

    /// Who is present, with how many sessions and since when; the changes told later continue from
    /// it.
    pub fn who(&mut self) -> Who {
        self.view();
        let occupant = |present: &Present| Occupant {
            user: present.user.clone(),
            sessions: match &present.stay {
                Stay::Here(sessions) => sessions.len(),
                Stay::Lost(_) => 0,
            },
            since: present.since,
        };
        let users = self.present.values().take(self.settings.named);
        Who {
            count: self.present.len(),
            users: users.map(occupant).collect(),
        }
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

#[cfg(test)]
mod tests;
