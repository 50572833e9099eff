//! What is kept, and for how long.

use std::time::Duration;

use crate::register::RoomKind;

/// How long what is stored is kept. Keys of messages go by themselves when they are free again, after 24
/// hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The logs of rooms of [`RoomKind::Open`].
    pub open: Keep,
    /// Closed sessions stay in the register for this long after their end; `None`: for ever.
    pub sessions: Option<Duration>,
    /// A guest's token is good for this long after the guest was last here; `None`: for ever.
    pub guests: Option<Duration>,
    /// A call that was answered is kept, with its answer and its key, for this long after. One that is
    /// open is kept.
    pub results: Duration,
}

/// Everything is kept, but for calls: their answers for 10 minutes.
impl Default for Retention {
    fn default() -> Self {
        Self {
            open: Keep::default(),
            sessions: None,
            guests: None,
            results: Duration::from_secs(10 * 60),
        }
    }
}

/// How much of a room's log is kept: the newest events, as far as no limit is passed. With none, all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Events no older than this.
    pub age: Option<Duration>,
    /// So many of them.
    pub events: Option<u64>,
    /// So many bytes of them: text and data, and 256 for the rest of each.
    pub bytes: Option<u64>,
}

impl Retention {
    /// What is kept of a room of this kind.
    pub(crate) fn of(&self, kind: RoomKind) -> Keep {
        match kind {
            RoomKind::Open => self.open,
        }
    }
}

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// There is more to look at.
    More,
    /// Everything was looked at; the next sweep begins anew.
    All,
}
