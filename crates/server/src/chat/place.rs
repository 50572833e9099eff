//! Where in a room's log a subscription begins, and what it cannot get.

use rooms::{Range, Seq, Start};
use store::RoomHead;

/// A subscription's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The event that comes next.
    pub(super) next: Seq,
    /// Events that were asked for and are not kept any more.
    pub(super) gap: Option<Range>,
    /// Whether the log is another one than the client knew.
    pub(super) reset: bool,
}

impl Place {
    /// The place for someone who asks for `start`, and knows the log by `epoch`.
    ///
    /// A place that the log has never reached can only be one of another log. Whoever holds such a
    /// place is told `reset` and goes on from now: what it has is void, and `history` has the rest.
    pub(super) fn new(log: &RoomHead, start: Start, epoch: Option<&str>) -> Self {
        let now = log.head + 1;
        let other_log = epoch.is_some_and(|epoch| epoch != log.epoch);
        let next = match start {
            Start::Now => now,
            Start::Last(count) => now.saturating_sub(count).max(log.first),
            Start::After(seq) if other_log || seq > log.head => {
                return Self {
                    next: now,
                    gap: None,
                    reset: true,
                };
            }
            Start::After(seq) => seq + 1,
        };
        let gap = (next < log.first).then_some(Range {
            from: next,
            to: log.first - 1,
        });
        Self {
            next: next.max(log.first),
            gap,
            reset: other_log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of which events 11 to 20 are kept.
    fn place(start: Start, epoch: Option<&str>) -> (Seq, Option<(Seq, Seq)>, bool) {
        let log = RoomHead {
            epoch: "e".into(),
            head: 20,
            first: 11,
        };
        let Place { next, gap, reset } = Place::new(&log, start, epoch);
        (next, gap.map(|gap| (gap.from, gap.to)), reset)
    }

    #[test]
    fn without_a_place_it_begins_now() {
        assert_eq!(place(Start::Now, None), (21, None, false));
    }

    #[test]
    fn after_a_place_that_is_kept_it_goes_on_without_a_gap() {
        assert_eq!(place(Start::After(20), Some("e")), (21, None, false));
        assert_eq!(place(Start::After(15), None), (16, None, false));
        assert_eq!(place(Start::After(10), None), (11, None, false));
    }

    #[test]
    fn what_is_not_kept_any_more_is_a_gap() {
        assert_eq!(place(Start::After(9), None), (11, Some((10, 10)), false));
        assert_eq!(
            place(Start::After(0), Some("e")),
            (11, Some((1, 10)), false)
        );
    }

    #[test]
    fn a_place_of_another_log_is_reset() {
        assert_eq!(place(Start::After(15), Some("f")), (21, None, true));
        assert_eq!(place(Start::After(21), None), (21, None, true));
        assert_eq!(place(Start::Last(5), Some("f")), (16, None, true));
    }

    #[test]
    fn the_last_events_are_those_that_are_kept() {
        assert_eq!(place(Start::Last(0), None), (21, None, false));
        assert_eq!(place(Start::Last(3), None), (18, None, false));
        assert_eq!(place(Start::Last(100), None), (11, None, false));
    }
}
