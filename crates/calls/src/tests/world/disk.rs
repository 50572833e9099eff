//! A disk: it writes in the order in which it was asked to, and tells of it whenever it likes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fastrand::Rng;
use rooms::{Answer, Call, CallId, UserId};

/// A call, as it is stored.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) call: Call,
    pub(super) deadline: Instant,
    pub(super) given_to: Option<UserId>,
    pub(super) answer: Option<Answer>,
}

#[derive(Debug)]
pub(super) enum Write {
    Insert(Box<Row>),
    Hand(CallId, UserId),
    Answer(CallId, Answer),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Accepted(CallId, bool),
    Handed(CallId, bool),
    Answered(CallId, bool),
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// In the order in which they were asked.
    pub(super) rows: BTreeMap<CallId, Row>,
    asked: VecDeque<Write>,
    untold: Vec<Done>,
    /// How often it fails.
    pub(super) failing: f64,
}

impl Disk {
    pub(super) fn ask(&mut self, write: Write) {
        if let Write::Answer(id, _) = &write {
            let twice = self.asked.iter().any(|asked| match asked {
                Write::Answer(other, _) => other == id,
                _ => false,
            });
            assert!(!twice, "{id} is to be answered twice at once");
        }
        self.asked.push_back(write);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.untold.is_empty()
    }

    /// Writes the next, or fails to.
    pub(super) fn write(&mut self, rng: &mut Rng) {
        let Some(write) = self.asked.pop_front() else {
            return;
        };
        let stored = rng.f64() >= self.failing;
        let done = match write {
            Write::Insert(row) => {
                let id = row.call.id;
                if stored {
                    assert!(self.rows.insert(id, *row).is_none());
                }
                Done::Accepted(id, stored)
            }
            Write::Hand(id, to) => {
                if stored {
                    self.rows.get_mut(&id).unwrap().given_to = Some(to);
                }
                Done::Handed(id, stored)
            }
            Write::Answer(id, answer) => {
                if stored {
                    let answered = self.rows.get_mut(&id).unwrap().answer.replace(answer);
                    assert!(answered.is_none(), "{id} is answered twice");
                }
                Done::Answered(id, stored)
            }
        };
        self.untold.push(done);
    }

    /// Tells what became of any of those that it has done.
    pub(super) fn tell(&mut self, rng: &mut Rng) -> Option<Done> {
        if self.untold.is_empty() {
            return None;
        }
        Some(self.untold.swap_remove(rng.usize(..self.untold.len())))
    }

    /// The server is gone: the disk has written some of what it was asked to, and tells nobody.
    pub(super) fn kill(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(..=self.asked.len()) {
            self.write(rng);
        }
        self.asked.clear();
        self.untold.clear();
    }
}
