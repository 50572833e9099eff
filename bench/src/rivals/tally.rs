//! Who has heard what: each member must hear each speaker's messages 0, 1, 2 …, each once.

/// Whether a server keeps a speaker's messages in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Kept,
    /// A message may be overtaken by the next 63.
    Free,
}

/// Messages that may be ahead of one that is missing.
const WINDOW: u32 = 64;

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
    /// Of [`Order::Free`]: a bit for each of those from `next` on that has come.
    ahead: Vec<u64>,
    delivered: u64,
    lost: u64,
}

impl Tally {
    pub(super) fn new(members: usize, speakers: usize, order: Order) -> Self {
        let pairs = members * speakers;
        let ahead = match order {
            Order::Kept => Vec::new(),
            Order::Free => vec![0; pairs],
        };
        Self {
            speakers,
            next: vec![0; pairs],
            ahead,
            delivered: 0,
            lost: 0,
        }
    }

    /// A member has heard a message. One that was left out before it is lost; one that has been heard, or
    /// left out, is doubled or out of order.
    pub(super) fn hear(&mut self, member: usize, speaker: usize, number: u32) -> Result<(), Again> {
        let pair = member * self.speakers + speaker;
        let next = &mut self.next[pair];
        let expected = *next;
        if number < expected {
            return Err(Again {
                member,
                speaker,
                number,
                expected,
            });
        }
        match self.ahead.get_mut(pair) {
            None => {
                self.lost += u64::from(number - expected);
                *next = number + 1;
            }
            Some(ahead) => {
                let bit = |next: u32| 1_u64 << (number - next);
                while number - *next >= WINDOW {
                    self.lost += u64::from(*ahead & 1 == 0);
                    (*next, *ahead) = (*next + 1, *ahead >> 1);
                }
                if *ahead & bit(*next) != 0 {
                    return Err(Again {
                        member,
                        speaker,
                        number,
                        expected,
                    });
                }
                *ahead |= bit(*next);
                while *ahead & 1 != 0 {
                    (*next, *ahead) = (*next + 1, *ahead >> 1);
                }
            }
        }
        self.delivered += 1;
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
        heard_in(Order::Kept, messages)
    }

    fn heard_in(order: Order, messages: &[(usize, usize, u32)]) -> (Tally, Result<(), Again>) {
        let mut tally = Tally::new(2, 2, order);
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

    #[test]
    fn where_order_is_free_each_must_still_come_once() {
        let free = |messages: &[_]| heard_in(Order::Free, messages);
        let (tally, result) = free(&[(0, 0, 2), (0, 0, 0), (0, 0, 1), (0, 0, 63)]);
        assert_eq!(result, Ok(()));
        assert_eq!((tally.delivered(), tally.lost()), (4, 0));
        assert!(free(&[(0, 0, 2), (0, 0, 2)]).1.is_err());
        assert!(free(&[(0, 0, 0), (0, 0, 0)]).1.is_err());
        let (tally, _) = free(&[(0, 0, 0), (0, 0, 66)]);
        assert_eq!((tally.delivered(), tally.lost()), (2, 2));
    }
}
