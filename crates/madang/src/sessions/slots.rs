//! Sessions by their ids, in slots.
#![expect(
    clippy::mutable_key_type,
    reason = "a session is here as its id, which does not change"
)]

use std::collections::HashSet;

use crate::session::{AnySession, ById, SessionId};

/// A session's id names its own in one byte.
pub(super) const SLOTS: usize = 256;

/// Sessions, each in the slot that its [id](SessionId::slot) names.
pub(super) struct Slots {
    slots: Box<[HashSet<ById>]>,
    len: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| HashSet::new()).collect(),
            len: 0,
        }
    }
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&AnySession> {
        self.slots[usize::from(id.slot())]
            .get(&id)
            .map(|ById(session)| session)
    }

    pub(super) fn insert(&mut self, session: AnySession) {
        let slot = &mut self.slots[usize::from(session.id().slot())];
        self.len += usize::from(slot.insert(ById(session)));
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        let slot = &mut self.slots[usize::from(id.slot())];
        self.len -= usize::from(slot.remove(&id));
        if slot.is_empty() {
            // Those who come at once are in one slot, and the next time in another.
            slot.shrink_to_fit();
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &AnySession> {
        (0..=u8::MAX).flat_map(|slot| self.within(slot))
    }

    /// Those of one slot.
    pub(super) fn within(&self, slot: u8) -> impl Iterator<Item = &AnySession> {
        let slot = &self.slots[usize::from(slot)];
        slot.iter().map(|ById(session)| session)
    }
}
