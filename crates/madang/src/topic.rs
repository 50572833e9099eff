//! Topics: numbered logs of encoded frames, with sessions reading them at cursors.
//!
//! A publisher encodes a frame once and [appends](Topic::append) it. Nothing is copied to the
//! subscribers: each session keeps a cursor and writes what it has not had straight from the shared
//! frames, several in one write. A slow session falls behind by itself; when the [ring](RingLimits)
//! no longer holds its place it reads the topic's [`Log`] page by page, until it is back in the ring.
//! Live delivery, resuming and catching up are thus one mechanism, and memory per session is bounded.

pub(crate) mod pages;
pub(crate) mod ring;
pub(crate) mod round;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use indexmap::IndexSet;
use tokio::runtime::Handle;
use websocket::Frame;

use pages::Pages;
pub use ring::RingLimits;
use ring::{Cursor, Next, Ring, Run};
use round::{READERS, Round, Rounds};

use crate::{
    SessionId,
    session::{AnySession, ById},
};

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    Now,
    /// With the event after this one; `After(0)` is the whole log.
    After(u64),
}

/// Where events come from that a topic's ring no longer holds.
pub trait Log: Send + Sync + 'static {
    /// Reads events from the first that is kept after `after` on, `until` at the most, oldest first.
    ///
    /// A page may be short, so long as it makes progress. Events are encoded here, once for all
    /// sessions that are behind in the same place. An error closes the reader's session with 1013.
    fn page(&self, after: u64, until: u64) -> PageFuture;

    /// What a session is sent in place of the events `from ..= to`, which are kept nowhere any
    /// more: a hole is told, never silent. The next thing it is sent is event `to + 1`.
    fn gap(&self, from: u64, to: u64) -> Frame;

    /// What a session is sent that was behind and now is not: something in place of the
    /// [passing frames](Topic::pass) that it missed. Nothing, by default.
    ///
    /// It comes right behind the last page; if nothing but such frames had left the [ring](RingLimits), before
    /// what the ring holds. Frames that pass from then on reach the session.
    fn caught_up(&self) -> Option<Frame> {
        None
    }
}

/// What [`Log::page`] answers with.
pub type PageFuture = Pin<Box<dyn Future<Output = Result<Page, LogError>> + Send>>;

/// A piece of a log, encoded.
#[derive(Debug, Clone)]
pub struct Page {
    /// Number of the first event in it. Those between it and the place that was asked for are not
    /// kept any more.
    pub first: u64,
    /// Consecutive events. With none, nothing is kept before `first`.
    pub frames: Vec<Frame>,
}

impl Page {
    /// A reader of this page has had everything up to this event.
    pub(crate) fn last(&self) -> u64 {
        (self.first + self.frames.len() as u64).saturating_sub(1)
    }
}

/// A log that cannot be read now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log cannot be read: {0}")]
pub struct LogError(pub String);

/// The log of a topic that lives in memory alone: what left the ring is gone, and told so.
struct Forgotten<F>(F);

impl<F: Fn(u64, u64) -> Frame + Send + Sync + 'static> Log for Forgotten<F> {
    fn page(&self, _: u64, until: u64) -> PageFuture {
        Box::pin(async move {
            Ok(Page {
                first: until + 1,
                frames: Vec::new(),
            })
        })
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        (self.0)(from, to)
    }
}

/// A numbered log of encoded frames; cheap to clone, all clones are the same topic.
#[derive(Clone)]
pub struct Topic(Arc<Shared>);

struct Shared {
    /// A std mutex: it is held for a few pushes or clones, never across an await.
    state: Mutex<State>,
    /// The ring's end, so that a session can see without the lock that a topic has nothing new.
    end: AtomicU64,
    /// In milliseconds; see [`Topic::set_window`].
    window: AtomicU32,
    /// Where rounds run, once there is a reader.
    runtime: OnceLock<Handle>,
    log: Arc<dyn Log>,
}

struct State {
    ring: Ring,
    /// In the order in which they came, as far as none has gone.
    subscribers: IndexSet<ById>,
    rounds: Rounds,
    /// What those who are behind share.
    pages: Weak<Pages>,
}

impl State {
    /// What has passed by all readers need not stay in the ring.
    fn let_pass(&mut self) {
        if self.ring.begins_passing() {
            let rounds = self.subscribers.len().div_ceil(READERS);
            self.ring.let_pass(self.rounds.had(rounds));
        }
    }
}

impl Topic {
    /// A topic that lives in memory alone, beginning at event 1.
    ///
    /// A session that falls further behind than the ring reaches is sent `notice(from, to)`, which
    /// tells it the events it can no longer get, and goes on from there.
    pub fn in_memory(
        limits: RingLimits,
        notice: impl Fn(u64, u64) -> Frame + Send + Sync + 'static,
    ) -> Self {
        Self::new(0, limits, Forgotten(notice))
    }

    /// A topic whose last event so far was `head` (0: none), older events being read from `log`.
    pub fn new(head: u64, limits: RingLimits, log: impl Log) -> Self {
        let ring = Ring::new(head, limits);
        Self(Arc::new(Shared {
            end: AtomicU64::new(ring.end()),
            window: AtomicU32::new(0),
            runtime: OnceLock::new(),
            state: Mutex::new(State {
                ring,
                subscribers: IndexSet::new(),
                rounds: Rounds::default(),
                pages: Weak::new(),
            }),
            log: Arc::new(log),
        }))
    }

    /// Lets what comes soon after one another go out together: a subscriber is written to at once, and then
    /// not again before the window has passed. Whole milliseconds; none by default.
    ///
    /// What it saves is calls of the system, what it costs is up to a window of delay; a busy topic's frames
    /// go out together without it, too. A message of a session's own takes along what waits for that session.
    pub fn set_window(&self, window: Duration) {
        let milliseconds = u32::try_from(window.as_millis()).unwrap_or(u32::MAX);
        self.0.window.store(milliseconds, Ordering::Relaxed);
    }

    fn window(&self) -> Duration {
        Duration::from_millis(self.0.window.load(Ordering::Relaxed).into())
    }

    /// Number of the last event.
    pub fn head(&self) -> u64 {
        self.state().ring.head()
    }

    /// How many sessions are subscribed.
    pub fn subscribers(&self) -> usize {
        self.state().subscribers.len()
    }

    /// Appends the next event and tells its number: for topics that number their events themselves.
    pub fn publish(&self, frame: impl Into<Frame>) -> u64 {
        self.publish_next(frame.into(), None)
    }

    /// Appends the next event for every subscriber but one, most often the one who said it.
    ///
    /// The exception holds as long as the ring does: a [`Log`] knows nothing of it.
    pub fn publish_except(&self, frame: impl Into<Frame>, except: SessionId) -> u64 {
        self.publish_next(frame.into(), Some(except))
    }

    fn publish_next(&self, frame: Frame, except: Option<SessionId>) -> u64 {
        let mut state = self.state();
        let seq = state.ring.head() + 1;
        state.ring.append(seq, frame, except);
        self.announce(state);
        seq
    }

    /// Appends event `seq`, numbered by whoever stored it.
    ///
    /// An event that the topic has had is ignored (the answer is `false`). One that leaves a hole is
    /// taken: the readers get what is between from the log.
    pub fn append(&self, seq: u64, frame: impl Into<Frame>) -> bool {
        let mut state = self.state();
        let appended = state.ring.append(seq, frame.into(), None);
        if appended {
            self.announce(state);
        }
        appended
    }

    /// Sends a frame that is no event (no number, not in the log) to every subscriber who is not
    /// behind, `except` one. Who is, gets what [`Log::caught_up`] makes of it.
    pub fn pass(&self, frame: impl Into<Frame>, except: Option<SessionId>) {
        let mut state = self.state();
        state.ring.pass(frame.into(), except);
        self.announce(state);
    }

    fn announce(&self, mut state: MutexGuard<'_, State>) {
        self.0.end.store(state.ring.end(), Ordering::Release);
        let Some(runtime) = self.0.runtime.get() else {
            return state.subscribers.iter().for_each(|reader| reader.0.wake());
        };
        let rounds = 0..state.subscribers.len().div_ceil(READERS);
        let called: Vec<_> = rounds.filter(|round| state.rounds.call(*round)).collect();
        // To make a task may wake a thread, which takes longer than all else here.
        drop(state);
        for round in called {
            Round::spawn(runtime, self, round);
        }
    }

    /// There is a reader, whom rounds can write to, wake, and ask how far it is.
    pub(crate) fn carry_by(&self, runtime: &Handle) {
        self.0.runtime.get_or_init(|| runtime.clone());
    }

    /// Adds a session, and tells its cursor and whether it was not there before.
    pub(crate) fn enter(&self, session: AnySession, start: Start) -> (Cursor, bool) {
        let mut state = self.state();
        let new = state.subscribers.insert(ById(session));
        let seq = match start {
            Start::Now => state.ring.head(),
            Start::After(seq) => seq,
        };
        (state.ring.after(seq), new)
    }

    /// Takes a session out.
    pub(crate) fn leave(&self, session: SessionId) {
        let mut state = self.state();
        let Some((place, ..)) = state.subscribers.swap_remove_full(&session) else {
            return;
        };
        // The last one now has this place.
        let last = state.subscribers.len();
        let (from, to) = (last / READERS, place / READERS);
        if place == last || from == to {
            return;
        }
        state.rounds.change(from, to);
        // If its own round has yet to come to it, this one may not.
        if let Some(runtime) = self.0.runtime.get()
            && state.rounds.call(to)
        {
            drop(state);
            Round::spawn(runtime, self, to);
        }
    }

    /// Whether there is something that a reader at `cursor` has not had; does not take the lock.
    pub(crate) fn has_news(&self, cursor: &Cursor) -> bool {
        cursor.position() != self.end()
    }

    /// The position after the newest frame; does not take the lock.
    pub(crate) fn end(&self) -> u64 {
        self.0.end.load(Ordering::Acquire)
    }

    /// Takes frames at `cursor` into `frames` until `budget` bytes are used up.
    pub(crate) fn read(
        &self,
        cursor: &mut Cursor,
        reader: SessionId,
        budget: &mut usize,
        frames: &mut Vec<Frame>,
    ) -> Reading {
        let state = self.state();
        while *budget > 0 {
            match state.ring.next(cursor, reader) {
                Next::Frame(frame) => {
                    *budget = budget.saturating_sub(frame.len());
                    frames.push(frame);
                }
                Next::Skip => {}
                Next::Missed => return Reading::Missed,
                Next::UpToDate => return Reading::UpToDate,
                Next::Behind { after, until } => return Reading::Behind { after, until },
            }
        }
        Reading::More
    }

    /// What is to be read from a position on; `None` if the ring begins later.
    pub(crate) fn run(&self, position: u64, budget: usize) -> Option<Run> {
        self.state().ring.run(position, budget)
    }

    /// The pages of the log, for one more who is behind.
    pub(crate) fn pages(&self) -> Arc<Pages> {
        let mut state = self.state();
        state.pages.upgrade().unwrap_or_else(|| {
            let pages = Arc::new(Pages::new(self.0.log.clone()));
            state.pages = Arc::downgrade(&pages);
            pages
        })
    }

    /// What stands for events that are kept nowhere.
    pub(crate) fn gap(&self, from: u64, to: u64) -> Frame {
        self.0.log.gap(from, to)
    }

    /// The cursor of a reader that has had everything up to `seq`, from the log; and what it is
    /// sent when that brings it back into the ring.
    pub(crate) fn resume(&self, seq: u64, reader: SessionId) -> (Cursor, Option<Frame>) {
        let state = self.state();
        let cursor = state.ring.after(seq);
        let next = state.ring.next(&mut cursor.clone(), reader);
        let behind = matches!(next, Next::Behind { .. });
        drop(state);
        let caught_up = if behind { None } else { self.caught_up() };
        (cursor, caught_up)
    }

    /// What a reader is sent in place of passing frames that it missed. The log may have locks of its own, under which
    /// it appends to this topic.
    pub(crate) fn caught_up(&self) -> Option<Frame> {
        self.0.log.caught_up()
    }

    pub(crate) fn is(&self, other: &Topic) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Topic")
            .field("head", &state.ring.head())
            .field("subscribers", &state.subscribers.len())
            .finish_non_exhaustive()
    }
}

/// What reading a topic at a cursor came to.
pub(crate) enum Reading {
    /// Everything has been taken.
    UpToDate,
    /// The budget was used up first.
    More,
    /// Passing frames are gone that it has not had: what stands for them comes next, then the rest.
    Missed,
    /// The place is not in the ring; these events come first.
    Behind {
        /// The last event that the reader has had.
        after: u64,
        /// The last one that the ring does not hold.
        until: u64,
    },
}

#[cfg(test)]
mod tests;
