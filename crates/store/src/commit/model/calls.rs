//! What must be there of calls.

use proptest::prelude::*;

use crate::testing::*;
use crate::{OpenCall, Outcome, Write};

/// How long an answered call is kept, in milliseconds.
pub(super) const KEPT: i64 = 5;

#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// A call is asked: its key, its params, the user whose service has it.
    Ask(Option<u8>, u8, Option<u8>),
    /// One of the calls so far is handed on.
    Hand(usize, Option<u8>),
    /// One of the calls so far gets a result, or fails.
    Answer(usize, bool),
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let option = proptest::option::of::<std::ops::Range<u8>>;
    prop_oneof![
        3 => (option(0..3), 0..2_u8, option(7..9))
            .prop_map(|(key, params, to)| Deed::Ask(key, params, to)),
        1 => (0..20_usize, option(7..9)).prop_map(|(call, to)| Deed::Hand(call, to)),
        3 => (0..20_usize, any::<bool>()).prop_map(|(call, well)| Deed::Answer(call, well)),
    ]
}

#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    /// All that were ever stored, by number.
    asked: Vec<Asked>,
    /// The number of the last that was asked, stored or not; it is its time, too.
    last: u64,
    /// Milliseconds.
    pub(super) now: i64,
}

#[derive(Debug, Clone)]
struct Asked {
    open: OpenCall,
    number: u64,
    /// Whether it went well, and when.
    answer: Option<(bool, i64)>,
}

impl Calls {
    fn since(&self) -> i64 {
        self.now - KEPT
    }

    fn is_gone(&self, asked: &Asked) -> bool {
        asked.answer.is_some_and(|(_, at)| at < self.since())
    }

    /// Does a deed, and tells how it is written and what must come of it.
    pub(super) fn act(&mut self, deed: &Deed) -> (Write, Outcome) {
        let now = self.now;
        match *deed {
            Deed::Ask(key, params, to) => self.ask(key, params, to),
            Deed::Hand(call, to) => {
                let number = self.pick(call);
                if let Some(asked) = self.open(number) {
                    asked.open.given_to = to.map(|id| user(id).id);
                }
                (hand(number, to), Outcome::Done)
            }
            Deed::Answer(call, well) => {
                let number = self.pick(call);
                if let Some(asked) = self.open(number) {
                    asked.answer = Some((well, now));
                }
                (answer(number, result(well), now), Outcome::Done)
            }
        }
    }

    fn ask(&mut self, key: Option<u8>, params: u8, to: Option<u8>) -> (Write, Outcome) {
        self.last = self.last.max(self.now as u64) + 1;
        self.now = self.last as i64;
        let mut call = call(self.last, "order", &params.to_string());
        if let Some(key) = key {
            call = keyed(call, &format!("k{key}"));
        }
        let given_to = to.map(|id| user(id).id);
        let write = Write::AcceptCall {
            call: call.clone(),
            given_to: given_to.clone(),
            answered_since: at(self.since()),
        };
        let mut kept = self.asked.iter().filter(|asked| !self.is_gone(asked));
        let earlier = kept.find(|asked| key.is_some() && asked.open.call.key == call.key);
        let outcome = match earlier.map(|asked| &asked.open.call) {
            Some(earlier) if earlier.params == call.params => Outcome::SameCall(earlier.id),
            Some(earlier) => Outcome::OtherCall(earlier.id),
            None => {
                self.asked.push(Asked {
                    open: OpenCall { call, given_to },
                    number: self.last,
                    answer: None,
                });
                Outcome::Done
            }
        };
        (write, outcome)
    }

    /// The number of one of the latest calls; one that there is not, before the first.
    fn pick(&self, call: usize) -> u64 {
        let latest = self.asked.iter().rev().nth(call % self.asked.len().max(1));
        latest.map_or(99, |asked| asked.number)
    }

    fn open(&mut self, number: u64) -> Option<&mut Asked> {
        let mut asked = self.asked.iter_mut();
        asked.find(|asked| asked.number == number && asked.answer.is_none())
    }

    pub(super) fn check(&self, fixture: &Fixture) {
        let open = self.asked.iter().filter(|asked| asked.answer.is_none());
        let open: Vec<_> = open.map(|asked| asked.open.clone()).collect();
        assert_eq!(fixture.readers.open_calls().unwrap(), open);
        for asked in &self.asked {
            let row = fixture.call(asked.number, self.since());
            assert_eq!(row.is_none(), self.is_gone(asked));
            let expected = asked
                .answer
                .map(|(well, millis)| (answered(result(well)), at(millis)));
            if let Some(row) = row {
                assert_eq!(row.answer, expected);
            }
        }
    }
}

fn result(well: bool) -> Result<&'static str, &'static str> {
    if well { Ok("\"☕\"") } else { Err("sold_out") }
}
