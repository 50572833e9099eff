//! Trays: short frames of many sessions, written in one call of the system.
//!
//! To write to a socket costs a call of the system each. Where several of a thread's sessions have a short frame
//! to write in the same turn, they put it on the thread's tray, which a task takes away that comes behind all
//! who are ready. Until then the session's writing half is away with it; whoever needs it sooner takes the
//! tray away at once.
//!
//! Where frames come one by one, a tray is in the way: then each session writes for itself, and only now
//! and then it is tried again whether others come along.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    runtime::{self, Handle, RuntimeFlavor},
    task::yield_now,
};
use websocket::Encoded;

use super::{AnySession, parcel::Parcel};

/// Frames on a tray at the most: more in one call spare little, and those who wait for them could go on.
const ROOM: usize = 32;
/// Fewer frames cost more in one call than in one each.
const FEW: usize = 8;
/// How often a thread has looked for more before its tray leaves.
const LOOKS: usize = 2;
/// A longer frame is written at once: it costs more to copy.
pub(super) const LONGEST: usize = 1024;
/// How many sessions write for themselves before a tray is tried again, the first time and at the most.
const PAUSE: (u32, u32) = (4, 256);

thread_local! {
    static TRAY: Arc<Tray> = Arc::default();
}

#[derive(Default)]
struct Tray {
    /// How many sessions write for themselves before it is tried again.
    pause_left: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    load: Load,
    waiter: Option<Waits>,
    /// Eight times how many frames there were of late.
    usual: usize,
    /// How long the last pause was.
    pause: u32,
}

/// What lies on a tray.
#[derive(Default)]
struct Load {
    bytes: Vec<u8>,
    frames: Vec<Lying>,
}

/// A frame on a tray.
struct Lying {
    session: AnySession,
    bytes: usize,
}

/// Where there is a task that is to take a tray away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// In the runtime to which the thread belongs.
    Here,
    /// In a runtime that the thread may leave for another, to come back much later.
    In(runtime::Id),
}

impl Waits {
    /// For a task that is spawned now.
    fn now() -> Self {
        let runtime = Handle::current();
        match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => Self::Here,
            _ => Self::In(runtime.id()),
        }
    }

    /// Whether it runs while who asks does.
    fn runs_now(self) -> bool {
        self == Self::Here || self == Self::now()
    }
}

/// Puts a frame on the thread's tray, unless it is better written at once.
///
/// The session's writing half is away then, until the tray is taken away.
#[inline]
pub(super) fn put(frame: &Encoded, session: impl FnOnce() -> AnySession) -> bool {
    frame.len() <= LONGEST && TRAY.with(|tray| tray.put(frame, session))
}

/// Takes the thread's tray away now.
pub(super) fn take_away() {
    TRAY.with(|tray| tray.take_away());
}

impl Tray {
    #[inline]
    fn put(self: &Arc<Self>, frame: &Encoded, session: impl FnOnce() -> AnySession) -> bool {
        let left = self.pause_left.load(Ordering::Relaxed);
        if left > 0 {
            // A count that is lost between two threads does no harm.
            self.pause_left.store(left - 1, Ordering::Relaxed);
            return false;
        }
        let mut state = self.state();
        if state.waiter.is_some_and(|waits| !waits.runs_now()) {
            return false;
        }
        let full = (state.load.frames.len() == ROOM).then(|| self.take(&mut state));
        state.load.bytes.extend_from_slice(frame.header());
        state.load.bytes.extend_from_slice(frame.payload());
        state.load.frames.push(Lying {
            session: session(),
            bytes: frame.len(),
        });
        let has_waiter = state.waiter.is_some();
        state.waiter = state.waiter.or_else(|| Some(Waits::now()));
        drop(state);
        if !has_waiter {
            tokio::spawn(Waiter(Some(self.clone())).run());
        }
        if let Some(full) = full {
            // Not here, where the session has its writing half.
            tokio::spawn(async { full.write() });
        }
        true
    }

    fn take_away(&self) {
        let load = self.take(&mut self.state());
        load.write();
    }

    /// Takes what lies there, and learns from it whether a tray is of use.
    fn take(&self, state: &mut State) -> Load {
        let count = state.load.frames.len();
        if count > 0 {
            state.usual = state.usual - state.usual / 8 + count;
            state.pause = if state.usual < 8 * FEW {
                (state.pause * 2).clamp(PAUSE.0, PAUSE.1)
            } else {
                0
            };
            self.pause_left.store(state.pause, Ordering::Relaxed);
        }
        // As a rule the next one is as large.
        let next = Load {
            bytes: Vec::with_capacity(state.load.bytes.len()),
            frames: Vec::with_capacity(count),
        };
        mem::replace(&mut state.load, next)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// Writes all of it, as far as the sockets take it.
    fn write(self) {
        let mut bytes = Bytes::from(self.bytes);
        let mut parcels = Vec::with_capacity(self.frames.len());
        for frame in &self.frames {
            let bytes = bytes.split_to(frame.bytes);
            let outgoing = frame.session.take_back();
            // It has none any more if it has ended.
            if outgoing.line().is_some() {
                parcels.push(Parcel::new(&frame.session, outgoing, bytes));
            }
        }
        Parcel::write_each(parcels);
    }
}

/// Takes a tray away behind all who are ready; none any more once it has.
struct Waiter(Option<Arc<Tray>>);

impl Waiter {
    async fn run(mut self) {
        for _ in 0..LOOKS {
            // tokio goes on with who yields when its thread has nothing else to run, and has looked for what has
            // come meanwhile; or after 61 others.
            yield_now().await;
        }
        if let Some(tray) = self.0.take() {
            tray.state().waiter = None;
            tray.take_away();
        }
    }
}

/// If the runtime ended first, the tasks of those whose frames lie there have ended with it.
impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(tray) = &self.0 {
            let mut state = tray.state();
            state.waiter = None;
            let ended = tray.take(&mut state);
            drop(state);
            drop(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use websocket::Frame;

    use super::{
        super::{Session, SessionId},
        *,
    };
    use crate::{request::Request, settings::Settings};

    fn put() -> bool {
        let frame = Frame::text("hello").encode(None);
        super::put(&frame, || {
            let settings = Arc::new(Settings::default());
            let id = SessionId::generate(0);
            Session::new(id, Request::forgotten(), None, settings, ()).any()
        })
    }

    fn runtime() -> runtime::Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    /// Lets who is ready go first, once more than a waiter does.
    async fn pass_by() {
        for _ in 0..=LOOKS {
            yield_now().await;
        }
    }

    #[test]
    fn who_is_alone_writes_at_once_and_tries_now_and_then() {
        runtime().block_on(async {
            for alone in [4, 8, 16, 32, 64, 128, 256, 256] {
                assert!(put());
                pass_by().await;
                assert!((0..alone).all(|_| !put()), "{alone}");
            }
            // Until others have come for a while.
            let mut alone = 0;
            for _ in 0..1000 {
                alone = (0..4 * FEW).filter(|_| !put()).count();
                pass_by().await;
            }
            assert_eq!(alone, 0);
        });
    }

    #[test]
    fn nobody_waits_for_a_runtime_that_does_not_run() {
        let (here, elsewhere) = (runtime(), runtime());
        assert!(elsewhere.block_on(async { put() }));
        assert!(here.block_on(async { !put() }));
        assert!(elsewhere.block_on(async { put() }));
        drop(elsewhere);
        // Gone with its runtime.
        assert!(here.block_on(async { (0..=PAUSE.0).any(|_| put()) }));
    }
}
