//! What is said to a room and what a room shows.

use std::time::Duration;

use serde::Serialize;

use crate::{Timestamp, User};

/// How presence is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceSettings {
    /// How long a user whose connection broke is still present.
    pub grace: Duration,
    /// How long changes are gathered before they are told.
    pub window: Duration,
    /// How many users are told by name; with more in the room only their number is told.
    pub named: usize,
    /// How many times a second a number is told at most, counted over all who hear it: in a room of
    /// 20,000 one that is 4,000 times a second is told every 5 s.
    pub counts_per_second: u32,
}

impl Default for PresenceSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            window: Duration::from_millis(250),
            named: 200,
            counts_per_second: 4_000,
        }
    }
}

/// How a session leaves a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It meant to.
    Clean,
    /// Its connection broke.
    Broken,
}

/// What to tell those in the room.
///
/// A client adds `joined` to its list and takes `left` out of it, each by the user's id. When
/// `count` is above [`PresenceSettings::named`] no list is kept; the first change after that which
/// is at or below it has everyone present in `joined`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who is present and was not, or goes by another name now.
    pub joined: Vec<User>,
    /// Who was present and is not.
    pub left: Vec<User>,
    /// How many are present.
    pub count: usize,
}

/// Who is present, for someone who comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// How many are present.
    pub count: usize,
    /// Who they are; nobody, if they are more than [`PresenceSettings::named`].
    pub users: Vec<User>,
}

/// Who is present, for someone who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    /// How many are present.
    pub count: usize,
    /// Who they are; with more than [`PresenceSettings::named`], some of them.
    pub users: Vec<Occupant>,
}

/// One user who is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occupant {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// How many of the user's sessions are in the room; none while a broken one has its grace.
    pub sessions: usize,
    /// Since when the user is present.
    pub since: Timestamp,
}
