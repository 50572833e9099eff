//! Rounds: what is new in a topic is carried to its readers, many in a row.
//!
//! To wake each reader's task, so that it looks and writes, costs more than the frame that it writes.
//! A round takes the place of those tasks: it writes to the connections of readers that have nothing
//! else to write, straight from what they share. It wakes the others, and whoever's connection takes
//! no more.

use bytes::{Bytes, BytesMut};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};
use websocket::{Deflate, Encoded, Frame};

use super::{
    Reading, Topic,
    ring::{Cursor, Run},
};
use crate::{
    SessionId,
    session::{AnySession, BATCH_BYTES, Offer, Parcel},
};

/// Readers of a round. The rounds of a large topic are spread over the runtime's threads.
pub(super) const READERS: usize = 128;

/// Which rounds of a topic are due and under way.
#[derive(Debug, Default)]
pub(super) struct Rounds(Vec<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// There is something that the round has not carried yet, or not to all.
    due: bool,
    /// There is a task.
    running: bool,
    /// All readers of the round have had what passed before this position, or it was not for them.
    had: u64,
}

impl Rounds {
    /// A round is due: whether a task is to be made for it.
    pub(super) fn call(&mut self, round: usize) -> bool {
        if self.0.len() <= round {
            self.0.resize_with(round + 1, State::default);
        }
        let state = &mut self.0[round];
        state.due = true;
        !std::mem::replace(&mut state.running, true)
    }

    fn begin(&mut self, round: usize) {
        if let Some(state) = self.0.get_mut(round) {
            state.due = false;
        }
    }

    /// Whether the round is over; it is not if there is more, or it is due again.
    fn end(&mut self, round: usize, carried: &Carried) -> bool {
        let Some(state) = self.0.get_mut(round) else {
            return true;
        };
        if !state.due {
            // Else someone may be on it by now who has not had that much.
            state.had = state.had.max(carried.had);
        }
        state.running = carried.more || state.due;
        !state.running
    }

    /// A reader is on another round from now on.
    pub(super) fn change(&mut self, from: usize, to: usize) {
        let had = self.0.get(from).map_or(0, |state| state.had);
        if let Some(state) = self.0.get_mut(to) {
            state.had = state.had.min(had);
        }
    }

    /// What passed before this position, the readers of the first `count` rounds have all had.
    pub(super) fn had(&self, count: usize) -> u64 {
        let rounds = (0..count).map(|round| self.0.get(round).map_or(0, |state| state.had));
        rounds.min().unwrap_or(0)
    }
}

/// What a round has come to.
#[derive(Default)]
struct Carried {
    /// Whether there is more for some of the readers.
    more: bool,
    /// All of them have had what is before this position, be it that their tasks have it to write.
    had: u64,
}

/// A round under way.
pub(super) struct Round {
    topic: Topic,
    number: usize,
    over: bool,
}

impl Round {
    pub(super) fn spawn(runtime: &Handle, topic: &Topic, number: usize) {
        let round = Self {
            topic: topic.clone(),
            number,
            over: false,
        };
        runtime.spawn(round.run());
    }

    async fn run(mut self) {
        let mut readers = Vec::new();
        loop {
            // Sessions that have something to say go first, so that it goes out with the same round: tokio looks
            // for what has come before it goes on with who yields.
            tokio::task::yield_now().await;
            let began = Instant::now();
            self.begin(&mut self.topic.state(), &mut readers);
            let carried = carry(&self.topic, &readers);
            readers.clear();
            let window = self.topic.window();
            if !carried.more && !window.is_zero() {
                sleep_until(began + window).await;
            }
            if self.end(&carried) {
                self.over = true;
                return;
            }
        }
    }

    /// Whether the round is over. What has passed by all readers then has no place in the ring any more.
    fn end(&self, carried: &Carried) -> bool {
        let mut state = self.topic.state();
        let over = state.rounds.end(self.number, carried);
        if over {
            state.let_pass();
        }
        over
    }

    /// Takes those who are on the round now.
    fn begin(&self, state: &mut super::State, readers: &mut Vec<AnySession>) {
        state.rounds.begin(self.number);
        let first = self.number * READERS;
        let all = state.subscribers.len();
        let range = first.min(all)..(first + READERS).min(all);
        if let Some(slice) = state.subscribers.get_range(range) {
            readers.extend(slice.iter().map(|reader| reader.0.clone()));
        }
    }
}

/// The runtime ended first: the readers have to see for themselves.
impl Drop for Round {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut readers = Vec::new();
        let mut state = self.topic.state();
        self.begin(&mut state, &mut readers);
        state.rounds.end(self.number, &Carried::default());
        drop(state);
        for reader in readers {
            reader.wake();
        }
    }
}

/// What a round has encoded.
pub(crate) struct Bundles<'t> {
    topic: &'t Topic,
    made: Vec<Bundle>,
    carried: Carried,
}

/// Frames from one place in the topic on, encoded side by side for all readers who are there.
struct Bundle {
    from: u64,
    deflate: Option<Deflate>,
    bytes: Bytes,
    run: Run,
}

impl<'t> Bundles<'t> {
    pub(crate) fn new(topic: &'t Topic) -> Self {
        Self {
            topic,
            made: Vec::new(),
            carried: Carried {
                more: false,
                had: topic.end(),
            },
        }
    }

    pub(crate) fn topic(&self) -> &'t Topic {
        self.topic
    }

    /// A reader has had what is before its cursor; with none, it may not even have begun.
    pub(crate) fn see(&mut self, cursor: Option<&Cursor>) {
        let had = cursor.map_or(0, |cursor| cursor.position());
        self.carried.had = self.carried.had.min(had);
    }

    /// What a reader at `cursor` is to be sent, who has had it then; `None` if the ring begins later.
    pub(crate) fn take(
        &mut self,
        cursor: &mut Cursor,
        deflate: Option<Deflate>,
        reader: SessionId,
    ) -> Option<Bytes> {
        let from = cursor.position();
        let made = |bundle: &Bundle| bundle.from == from && bundle.deflate == deflate;
        let place = match self.made.iter().position(made) {
            Some(place) => place,
            None => {
                let run = self.topic.run(from, BATCH_BYTES)?;
                let bytes = encode(&run.frames, deflate);
                self.carried.more |= run.more;
                self.made.push(Bundle {
                    from,
                    deflate,
                    bytes,
                    run,
                });
                self.made.len() - 1
            }
        };
        let bundle = self.made.get(place)?;
        if !cursor.has_come() || bundle.run.except.contains(&reader) {
            return self.take_own(cursor, deflate, reader);
        }
        cursor.advance(&bundle.run);
        Some(bundle.bytes.clone())
    }

    /// The same for a reader whom some of it is not for.
    fn take_own(
        &mut self,
        cursor: &mut Cursor,
        deflate: Option<Deflate>,
        reader: SessionId,
    ) -> Option<Bytes> {
        let (mut budget, mut frames, mut moved) = (BATCH_BYTES, Vec::new(), *cursor);
        let read = &mut moved;
        match self.topic.read(read, reader, &mut budget, &mut frames) {
            Reading::UpToDate => {}
            Reading::More => self.carried.more = true,
            // A log is asked by the reader's own task.
            Reading::Missed | Reading::Behind { .. } => return None,
        }
        *cursor = moved;
        Some(encode(&frames, deflate))
    }
}

fn encode(frames: &[Frame], deflate: Option<Deflate>) -> Bytes {
    let frames: Vec<Encoded> = frames.iter().map(|frame| frame.encode(deflate)).collect();
    let mut bytes = BytesMut::with_capacity(frames.iter().map(Encoded::len).sum());
    for frame in &frames {
        bytes.extend_from_slice(frame.header());
        bytes.extend_from_slice(frame.payload());
    }
    bytes.freeze()
}

/// Carries to each reader what is new for it, once.
fn carry(topic: &Topic, readers: &[AnySession]) -> Carried {
    let mut bundles = Bundles::new(topic);
    let mut parcels = Vec::with_capacity(readers.len());
    for reader in readers {
        let Some(mut outgoing) = reader.lend() else {
            // Its task is at work, or another topic's round is here.
            bundles.see(None);
            reader.wake();
            continue;
        };
        match outgoing.offer(&mut bundles, reader.id()) {
            Offer::Nothing => {}
            Offer::Wake => {
                drop(outgoing);
                reader.wake();
            }
            Offer::Write(bytes) => parcels.push(Parcel::new(reader, outgoing, bytes)),
        }
    }
    Parcel::write_each(parcels);
    bundles.carried
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(had: u64) -> Carried {
        Carried { more: false, had }
    }

    #[test]
    fn what_all_rounds_have_had_is_what_the_last_of_them_has_had() {
        let mut rounds = Rounds::default();
        for round in 0..3 {
            assert!(rounds.call(round));
            rounds.begin(round);
        }
        assert!(rounds.end(0, &carried(7)) && rounds.end(1, &carried(8)));
        assert_eq!((rounds.had(2), rounds.had(3)), (7, 0));
        assert!(rounds.end(2, &carried(9)));
        assert_eq!(rounds.had(3), 7);
        // Another has the place of one who was further, and his own place with him.
        rounds.change(0, 2);
        rounds.change(1, 0);
        assert_eq!((rounds.had(1), rounds.had(3)), (7, 7));
    }

    #[test]
    fn a_round_that_someone_joins_under_way_has_had_nothing_new() {
        let mut rounds = Rounds::default();
        assert!(rounds.call(0));
        rounds.begin(0);
        assert!(!rounds.call(0), "there is a task");
        assert!(!rounds.end(0, &carried(7)), "it is due again");
        assert_eq!(rounds.had(1), 0);
        rounds.begin(0);
        assert!(rounds.end(0, &carried(7)));
        assert_eq!(rounds.had(1), 7);
    }
}
