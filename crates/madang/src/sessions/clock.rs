//! When a mount's sessions are to ping.

use std::time::Duration;

use tokio::time::Instant;

use super::slots::{SLOTS, Slots};
use crate::{session::AnySession, settings::NEVER};

/// A hand that goes round the slots once each heartbeat. Who enters does so where the hand stands, and so it
/// comes by one heartbeat later.
///
/// It passes over empty slots without stopping there, and whoever drives it may sleep until
/// [the next](Self::next) that is not.
pub(super) struct Clock {
    begun: Instant,
    /// From one slot to the next.
    step: Duration,
    /// How many slots it has been at; at the last of them it stands.
    hand: u64,
}

impl Clock {
    /// A clock that begins now; none for a heartbeat that never comes.
    pub(super) fn new(heartbeat: Duration, now: Instant) -> Option<Self> {
        // Of no length the steps would have no number.
        let step = (heartbeat / SLOTS as u32).max(Duration::from_micros(1));
        (heartbeat < NEVER).then_some(Self {
            begun: now,
            step,
            hand: 0,
        })
    }

    /// The slot for one who enters now.
    ///
    /// A slot whose time has come and that the hand has not been at is not passed: its sessions are about to be
    /// [taken](Self::advance), and who enters is not.
    pub(super) fn enter(&mut self, slots: &Slots, now: Instant) -> u8 {
        let until = self.due(now);
        self.hand = match self.next_stop(slots) {
            Some(stop) => until.min(stop - 1),
            None => until,
        };
        slot(self.hand)
    }

    /// Goes on to where the hand has to be now. These are to ping, which it came by.
    pub(super) fn advance(&mut self, slots: &Slots, now: Instant) -> Vec<AnySession> {
        let until = self.due(now);
        // After a pause of the whole machine, each once.
        let from = self.hand.max(until.saturating_sub(SLOTS as u64));
        let passed = from..until;
        self.hand = from.max(until);
        let passed = passed.flat_map(|hand| slots.within(slot(hand + 1)));
        passed.cloned().collect()
    }

    /// When it comes to the next slot that is not empty; none where all are.
    pub(super) fn next(&self, slots: &Slots) -> Option<Instant> {
        let stop = self.next_stop(slots)?;
        let nanos = self.step.as_nanos().saturating_mul(stop.into());
        let since = Duration::from_nanos_u128(nanos);
        Some(self.begun + since)
    }

    fn next_stop(&self, slots: &Slots) -> Option<u64> {
        let mut stops = self.hand + 1..=self.hand + SLOTS as u64;
        stops.find(|stop| slots.within(slot(*stop)).next().is_some())
    }

    /// Where the hand has to be.
    fn due(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begun);
        (since.as_nanos() / self.step.as_nanos()) as u64
    }
}

/// The slot at which a hand stands that has been at so many.
fn slot(hand: u64) -> u8 {
    hand as u8
}
