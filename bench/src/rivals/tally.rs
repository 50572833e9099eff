//! Who has heard what: each member must hear each speaker's messages 0, 1, 2 …, each once.

/// What is wrong in a way that no time mends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) member: usize,
    pub(super) speaker: usize,
    pub(super) number: u32,
    /// What should have come.
    pub(super) expected: u32,
}

pub(super) struct Tally {
    speakers: usize,
    /// By member and speaker, the number that comes next.
    next: Vec<u32>,
    delivered: u64,
    lost: u64,
}

impl Tally {
    pub(super) fn new(members: usize, speakers: usize) -> Self {
        Self {
            speakers,
            next: vec![0; members * speakers],
            delivered: 0,
            lost: 0,
        }
    }

    /// A member has heard a message. One that was left out before it is lost; one that has been heard, or
    /// left out, is doubled or out of order.
    pub(super) fn hear(&mut self, member: usize, speaker: usize, number: u32) -> Result<(), Again> {
        let next = &mut self.next[member * self.speakers + speaker];
        let expected = *next;
        if number < expected {
            return Err(Again {
                member,
                speaker,
                number,
                expected,
            });
        }
        self.lost += u64::from(number - expected);
        self.delivered += 1;
        *next = number + 1;
        Ok(())
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Those that were left out.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(messages: &[(usize, usize, u32)]) -> (Tally, Result<(), Again>) {
        let mut tally = Tally::new(2, 2);
        let result = messages
            .iter()
            .try_for_each(|&(member, speaker, number)| tally.hear(member, speaker, number));
        (tally, result)
    }

    #[test]
    fn what_comes_once_and_in_order_is_well_whoever_else_speaks() {
        let (tally, result) = heard(&[(0, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (0, 1, 1)]);
        assert_eq!(result, Ok(()));
        assert_eq!((tally.delivered(), tally.lost()), (5, 0));
    }

    #[test]
    fn a_lost_delivery_is_found() {
        let (tally, result) = heard(&[(0, 0, 0), (0, 0, 3), (1, 0, 1)]);
        assert_eq!(result, Ok(()));
        assert_eq!((tally.delivered(), tally.lost()), (3, 3));
    }

    #[test]
    fn a_doubled_delivery_is_found() {
        let again = Again {
            member: 1,
            speaker: 1,
            number: 0,
            expected: 1,
        };
        assert_eq!(heard(&[(1, 1, 0), (1, 1, 0)]).1, Err(again));
    }

    #[test]
    fn a_delivery_out_of_order_is_found() {
        assert!(heard(&[(0, 0, 1), (0, 0, 0)]).1.is_err());
    }
}
