//! What outlives a server: events, and what is known of them for good.

use std::collections::HashMap;

/// The log of the one room. All of it is remembered here, to be compared with; `floor` says what the
/// server can still read.
#[derive(Default)]
pub(crate) struct Disk {
    /// What event `index + 1` says.
    events: Vec<String>,
    keys: HashMap<String, u64>,
    /// Events up to this one are deleted.
    floor: u64,
}

impl Disk {
    /// Stores what a key stands for, unless it is stored, and tells its number and whether it is new.
    pub(crate) fn store(&mut self, key: &str, text: &str) -> (u64, bool) {
        if let Some(seq) = self.keys.get(key) {
            return (*seq, false);
        }
        self.events.push(text.to_owned());
        self.keys.insert(key.to_owned(), self.head());
        (self.head(), true)
    }

    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// Bytes of all events.
    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(String::len).sum()
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Deletes the oldest events.
    pub(crate) fn forget(&mut self, up_to: u64) {
        self.floor = self.floor.max(up_to.min(self.head()));
    }

    /// What an event says, kept or not.
    pub(crate) fn event(&self, seq: u64) -> Option<&str> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.events.get(index).map(String::as_str)
    }

    pub(crate) fn place(&self, key: &str) -> Option<u64> {
        self.keys.get(key).copied()
    }

    /// What is kept behind `after`, up to `until`, at most so many: the first one's number and all of them.
    pub(crate) fn read(&self, after: u64, until: u64, most: u64) -> (u64, &[String]) {
        let begin = after.max(self.floor).min(until);
        let end = until.min(self.head()).min(begin + most).max(begin);
        (begin + 1, &self.events[begin as usize..end as usize])
    }
}
