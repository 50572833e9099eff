//! The recent part of a topic's log, kept in memory: a value without locks or wakers.

use std::collections::VecDeque;

use websocket::Frame;

use crate::SessionId;

/// How much of a topic stays in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Frames kept at most.
    pub frames: usize,
    /// Bytes of frames kept at most; the newest frame is kept whatever its size.
    pub bytes: usize,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self {
            frames: 256,
            bytes: 1024 * 1024,
        }
    }
}

/// A reader's place in a topic: what it had last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Position in the ring of the next entry to read. Positions count everything that was ever
    /// pushed, passing frames included, so they differ from sequence numbers.
    position: u64,
    /// Sequence number of the last event that the reader has had.
    seq: u64,
    /// Passing frames from this position on are for the reader. Those before passed when it was
    /// not there, or behind.
    came: u64,
}

impl Cursor {
    /// Sequence number of the last event that the reader has had.
    pub(crate) fn seq(self) -> u64 {
        self.seq
    }

    pub(crate) fn position(self) -> u64 {
        self.position
    }

    /// Whether all frames from here on are for the reader, as far as none is excepted.
    pub(crate) fn has_come(self) -> bool {
        self.came <= self.position
    }

    /// Has had a run.
    pub(crate) fn advance(&mut self, run: &Run) {
        self.position = run.end;
        self.seq = run.seq;
    }
}

/// Entries of a ring, one behind the other.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) frames: Vec<Frame>,
    /// Whom one of them is not for.
    pub(crate) except: Vec<SessionId>,
    /// The position after the last.
    end: u64,
    /// The last event's number there.
    seq: u64,
    /// Whether the ring has more behind it.
    pub(crate) more: bool,
}

/// What a reader finds at its cursor.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame to send.
    Frame(Frame),
    /// An entry that is not for this reader.
    Skip,
    /// Frames that passed left the ring before the reader had them. What passes from now on is for it again.
    Missed,
    /// The reader has everything.
    UpToDate,
    /// The ring begins later than this: events `after + 1 ..= until` must come from elsewhere.
    Behind { after: u64, until: u64 },
}

#[derive(Debug)]
struct Entry {
    frame: Frame,
    /// The last event's number at this entry: its own for an event, the one before for a passing frame.
    seq: u64,
    is_event: bool,
    /// Whom the frame is not for.
    except: Option<SessionId>,
}

/// Entries for which a ring has memory at all times.
const KEPT_ENTRIES: usize = 2;

/// Entries at positions `first ..`, oldest first. Positions begin at 1: a cursor at 0 is behind any ring.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<Entry>,
    first: u64,
    bytes: usize,
    head: u64,
    limits: RingLimits,
}

impl Ring {
    /// An empty ring of a log whose last event was `head`.
    pub(crate) fn new(head: u64, limits: RingLimits) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 1,
            bytes: 0,
            head,
            limits,
        }
    }

    /// Number of the last event.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The position after the newest entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Appends event `seq`. An event that the ring has had is left out (`false`); one that leaves a hole
    /// empties the ring, so that every reader fills the hole from the log.
    pub(crate) fn append(&mut self, seq: u64, frame: Frame, except: Option<SessionId>) -> bool {
        if seq <= self.head {
            return false;
        }
        if seq != self.head + 1 {
            self.first = self.end() + 1;
            self.entries = VecDeque::new();
            self.bytes = 0;
        }
        self.head = seq;
        self.push(Entry {
            frame,
            seq,
            is_event: true,
            except,
        });
        true
    }

    /// Appends a frame that is no event: whoever is behind does not get it.
    pub(crate) fn pass(&mut self, frame: Frame, except: Option<SessionId>) {
        self.push(Entry {
            frame,
            seq: self.head,
            is_event: false,
            except,
        });
    }

    fn push(&mut self, entry: Entry) {
        let bytes = entry.frame.len();
        // Room is made first: a ring that is full does not grow.
        while self.entries.len() >= self.limits.frames.max(1)
            || self.bytes + bytes > self.limits.bytes
        {
            if !self.drop_oldest() {
                break;
            }
        }
        self.bytes += bytes;
        self.entries.push_back(entry);
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.entries.pop_front() else {
            return false;
        };
        self.bytes -= oldest.frame.len();
        self.first += 1;
        true
    }

    /// Whether the oldest entry is no event.
    pub(crate) fn begins_passing(&self) -> bool {
        self.entries.front().is_some_and(|entry| !entry.is_event)
    }

    /// Lets go of the oldest entries up to `position` as far as they are no events: all readers have had
    /// them. Gives back the memory that the rest does not need.
    pub(crate) fn let_pass(&mut self, position: u64) {
        while self.first < position && self.begins_passing() {
            self.drop_oldest();
        }
        let needed = self.entries.len().max(KEPT_ENTRIES);
        if self.entries.capacity() > 4 * needed {
            self.entries.shrink_to(2 * needed);
        }
    }

    /// A cursor for a reader that has had everything up to event `seq` (at most the head), and
    /// comes now.
    pub(crate) fn after(&self, seq: u64) -> Cursor {
        let seq = seq.min(self.head);
        let had = self.entries.partition_point(|entry| entry.seq <= seq) as u64;
        let behind = seq < self.oldest_predecessor();
        Cursor {
            position: if behind { 0 } else { self.first + had },
            seq,
            came: self.end(),
        }
    }

    /// Number of the event before the oldest that the ring holds.
    fn oldest_predecessor(&self) -> u64 {
        match self.entries.front() {
            Some(entry) if entry.is_event => entry.seq - 1,
            Some(entry) => entry.seq,
            None => self.head,
        }
    }

    /// What is to be read from `position` on, until `budget` bytes are used up; `None` if the ring begins
    /// later.
    pub(crate) fn run(&self, position: u64, mut budget: usize) -> Option<Run> {
        let skipped = position.checked_sub(self.first)?;
        let mut run = Run {
            frames: Vec::new(),
            except: Vec::new(),
            end: position,
            seq: self.head,
            more: false,
        };
        for entry in self.entries.range(skipped as usize..) {
            if budget == 0 {
                run.more = true;
                break;
            }
            budget = budget.saturating_sub(entry.frame.len());
            run.frames.push(entry.frame.clone());
            run.except.extend(entry.except);
            run.end += 1;
            run.seq = entry.seq;
        }
        Some(run)
    }

    /// What is next for `reader` at `cursor`, which moves past it.
    pub(crate) fn next(&self, cursor: &mut Cursor, reader: SessionId) -> Next {
        if cursor.position < self.first {
            let until = self.oldest_predecessor();
            if cursor.seq < until {
                return Next::Behind {
                    after: cursor.seq,
                    until,
                };
            }
            if cursor.came < self.first {
                *cursor = self.after(cursor.seq);
                return Next::Missed;
            }
            // What has left had passed before the reader came.
            cursor.position = self.first;
        }
        let position = cursor.position;
        let Some(entry) = self.entries.get((position - self.first) as usize) else {
            return Next::UpToDate;
        };
        cursor.position += 1;
        cursor.seq = entry.seq;
        let passed_before = !entry.is_event && position < cursor.came;
        if passed_before || entry.except == Some(reader) {
            Next::Skip
        } else {
            Next::Frame(entry.frame.clone())
        }
    }
}

#[cfg(test)]
mod tests;
