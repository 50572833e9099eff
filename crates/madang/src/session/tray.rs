//! Trays: short frames of many sessions, written in one call of the system.
//!
//! To write to a socket costs a call of the system each. Where several of a thread's sessions have a short frame
//! to write in the same turn, they put it on the thread's tray, which leaves behind all who are ready. Until then
//! the session's writing half is away with it; whoever needs it sooner takes the tray away at once.
//!
//! Where frames come one by one, a tray is in the way: then each session writes for itself, and only now
//! and then it is tried again whether others come along.

use std::{
    future::Future,
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Wake, Waker},
};

use bytes::Bytes;
use tokio::task::yield_now;
use websocket::Encoded;

use super::{AnySession, parcel::Parcel};

/// Frames on a tray at the most. tokio lets no more than 61 go first.
const ROOM: usize = 64;
/// Fewer frames cost more in one call than in one each.
const FEW: usize = 3;
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
    /// Its [`Departure`] will come.
    waits: bool,
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
        let Some(mut state) = self.waiting() else {
            return false;
        };
        if state.load.frames.len() == ROOM {
            return false;
        }
        state.load.bytes.extend_from_slice(frame.header());
        state.load.bytes.extend_from_slice(frame.payload());
        state.load.frames.push(Lying {
            session: session(),
            bytes: frame.len(),
        });
        true
    }

    /// Has the tray wait for its departure; none where that would not come later.
    #[inline]
    fn waiting(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        if state.waits {
            return Some(state);
        }
        drop(state);
        self.wait()
    }

    fn wait(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        self.state().waits = true;
        Departure::behind_all(self.clone());
        let mut state = self.state();
        if !state.waits {
            self.pause(&mut state, PAUSE.1);
            return None;
        }
        Some(state)
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
            let pause = if state.usual < 8 * FEW {
                (state.pause * 2).clamp(PAUSE.0, PAUSE.1)
            } else {
                0
            };
            self.pause(state, pause);
        }
        // As a rule the next one is as large.
        let next = Load {
            bytes: Vec::with_capacity(state.load.bytes.len()),
            frames: Vec::with_capacity(count),
        };
        mem::replace(&mut state.load, next)
    }

    fn pause(&self, state: &mut State, pause: u32) {
        state.pause = pause;
        self.pause_left.store(pause, Ordering::Relaxed);
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

/// Takes a tray away when it is dropped.
///
/// It is no task, but the waker of one that yields. tokio keeps such wakers until its thread has nothing else to
/// run and has looked for what has come meanwhile, or has run 61 others; or until the runtime leaves the thread.
/// Where none runs, it wakes them at once. To wake this one is to drop it.
struct Departure(Arc<Tray>);

impl Departure {
    fn behind_all(tray: Arc<Tray>) {
        let waker = Waker::from(Arc::new(Self(tray)));
        let _yields = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
    }
}

impl Wake for Departure {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.state().waits = false;
        self.0.take_away();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
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

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn who_is_alone_writes_at_once_and_tries_now_and_then() {
        runtime().block_on(async {
            for alone in [4, 8, 16, 32, 64, 128, 256, 256] {
                assert!(put());
                yield_now().await;
                assert!((0..alone).all(|_| !put()), "{alone}");
            }
            // Until others have come for a while.
            let mut alone = 0;
            for _ in 0..1000 {
                alone = (0..4 * FEW).filter(|_| !put()).count();
                yield_now().await;
            }
            assert_eq!(alone, 0);
        });
    }

    #[test]
    fn nobody_waits_for_a_runtime_that_does_not_run() {
        let is_left = || TRAY.with(|tray| tray.state().load.frames.is_empty());
        let elsewhere = runtime();
        elsewhere.block_on(async {
            assert!(put());
            assert!(!is_left());
        });
        assert!(is_left(), "it left with the runtime");
        assert!(runtime().block_on(async { (0..=PAUSE.0).any(|_| put()) }));
        drop(elsewhere);
    }

    #[test]
    fn nobody_waits_where_no_runtime_runs() {
        assert!(!put());
        let runtime = runtime();
        let known = runtime.enter();
        assert!((0..1000).all(|_| !put()));
        drop(known);
        assert!(runtime.block_on(async { (0..=PAUSE.1).any(|_| put()) }));
    }
}
