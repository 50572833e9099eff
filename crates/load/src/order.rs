//! Whether a subscriber got each event of a room once, and in order.

use std::collections::BTreeSet;

/// Further than this ahead of the last, a number is not from this run.
const FARTHEST: u64 = 1_000_000;

/// One subscription's events, from seq 1 on, or what one speaker says.
#[derive(Debug, Default, Clone)]
pub(crate) struct Order {
    last: u64,
    missing: BTreeSet<u64>,
    faults: Faults,
    /// The first number that came twice, or when it was not due.
    wrong: Option<u64>,
}

/// What a subscriber was promised not to see.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
}

impl Order {
    /// The next that is due comes after `last`.
    pub(crate) fn after(last: u64) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// Takes the next event; tells whether it is the one that was due.
    pub(crate) fn receive(&mut self, seq: u64) -> bool {
        if seq == self.last + 1 {
            self.last = seq;
            return true;
        }
        if seq <= self.last || seq > self.last.saturating_add(FARTHEST) {
            self.wrong.get_or_insert(seq);
        }
        if seq > self.last.saturating_add(FARTHEST) {
            self.faults.out_of_order += 1;
        } else if seq > self.last {
            self.missing.extend(self.last + 1..seq);
            self.last = seq;
        } else if self.missing.remove(&seq) {
            self.faults.out_of_order += 1;
        } else {
            self.faults.doubled += 1;
        }
        false
    }

    /// What went wrong, once the room's log has ended at `head`.
    pub(crate) fn faults(&self, head: u64) -> Faults {
        // Events beyond the end of the log were never written.
        let invented = self.last.saturating_sub(head);
        let missing = self.missing.len() as u64 + head.saturating_sub(self.last);
        Faults {
            lost: missing,
            out_of_order: self.faults.out_of_order + invented,
            ..self.faults
        }
    }

    /// The number that went wrong first, if one did, once the log has ended at `head`: one that
    /// came when it should not, or is lost.
    pub(crate) fn first_fault(&self, head: u64) -> Option<u64> {
        let missing = self.missing.first().copied();
        let not_come = (self.last < head).then_some(self.last + 1);
        let invented = (self.last > head).then_some(self.last);
        self.wrong.or(missing).or(not_come).or(invented)
    }
}

impl Faults {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }

    /// An error that tells what went wrong, if something did.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        let Self {
            lost,
            doubled,
            out_of_order,
        } = self;
        anyhow::ensure!(
            self == Self::default(),
            "the server broke its promise: {lost} deliveries lost, {doubled} doubled, \
             {out_of_order} out of order"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(seqs: &[u64], head: u64) -> (u64, u64, u64) {
        let mut order = Order::default();
        for seq in seqs {
            order.receive(*seq);
        }
        let Faults {
            lost,
            doubled,
            out_of_order,
        } = order.faults(head);
        (lost, doubled, out_of_order)
    }

    #[test]
    fn each_event_once_and_in_order_is_no_fault() {
        assert_eq!(faults(&[1, 2, 3], 3), (0, 0, 0));
        assert_eq!(faults(&[], 0), (0, 0, 0));
    }

    #[test]
    fn only_the_event_that_is_due_counts_as_in_order() {
        let mut order = Order::default();
        assert_eq!(
            [1, 1, 3, 2, 4].map(|seq| order.receive(seq)),
            [true, false, false, false, true]
        );
    }

    #[test]
    fn an_event_that_never_comes_is_lost() {
        assert_eq!(faults(&[1, 3], 3), (1, 0, 0));
        assert_eq!(faults(&[2, 3], 3), (1, 0, 0));
        assert_eq!(faults(&[1], 3), (2, 0, 0));
        assert_eq!(faults(&[], 3), (3, 0, 0));
    }

    #[test]
    fn an_event_that_comes_twice_is_doubled() {
        assert_eq!(faults(&[1, 2, 2, 1], 2), (0, 2, 0));
        assert_eq!(faults(&[0, 1], 1), (0, 1, 0));
    }

    #[test]
    fn an_event_that_comes_late_is_out_of_order_and_not_lost() {
        assert_eq!(faults(&[1, 3, 2], 3), (0, 0, 1));
        assert_eq!(faults(&[1, 3, 2, 2], 3), (0, 1, 1));
    }

    #[test]
    fn an_event_that_was_never_written_is_a_fault() {
        assert_eq!(faults(&[1, 2], 1), (0, 0, 1));
        assert_eq!(faults(&[1, u64::MAX], 1), (0, 0, 1));
    }

    #[test]
    fn the_first_number_that_went_wrong_is_known() {
        for (seqs, head, first) in [
            (&[1, 2, 3][..], 3, None),
            (&[1, 3], 3, Some(2)),
            (&[1, 2], 4, Some(3)),
            (&[1, 2, 2], 3, Some(2)),
            (&[2, 1], 2, Some(1)),
            (&[1, 2], 1, Some(2)),
        ] {
            let mut order = Order::default();
            for seq in seqs {
                order.receive(*seq);
            }
            assert_eq!(order.first_fault(head), first, "{seqs:?} of {head}");
        }
        assert_eq!(Order::after(5).first_fault(5), None);
    }

    #[test]
    fn a_fault_is_an_error_that_names_it() {
        assert!(Faults::default().check().is_ok());
        let mut all = Faults::default();
        all.add(Faults {
            lost: 1,
            doubled: 0,
            out_of_order: 2,
        });
        let error = all.check().unwrap_err().to_string();
        assert!(
            error.contains("1 deliveries lost, 0 doubled, 2 out of order"),
            "{error}"
        );
    }
}
