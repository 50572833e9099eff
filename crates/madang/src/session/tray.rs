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
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Wake, Waker},
};

use bytes::Bytes;
use tokio::task::yield_now;
use websocket::Encoded;

use super::{AnySession, parcel::Parcel};
use crate::driver::log_panic;

/// Frames on a tray at the most: more in one call spare little, and those who wait for them could go on.
const ROOM: usize = 32;
/// Fewer frames cost more in one call than in one each.
const FEW: usize = 3;
/// A longer frame is written at once: it costs more to copy.
pub(super) const LONGEST: usize = 1024;
/// How many sessions write for themselves before a tray is tried again, the first time and at the most.
const PAUSE: (u32, u32) = (4, 256);

thread_local! {
    static TRAY: Arc<Tray> = Arc::default();
}

/// Its thread's alone as a rule; what the lock is for is that nobody promises where a [`Departure`] is dropped.
#[derive(Default)]
struct Tray(Mutex<State>);

#[derive(Default)]
struct State {
    load: Load,
    /// Its [`Departure`] will come.
    waits: bool,
    /// Eight times how many frames there were of late.
    usual: usize,
    /// How long the last pause was.
    pause: u32,
    /// How many sessions write for themselves before it is tried again.
    pause_left: u32,
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
        let mut state = self.state();
        if state.pause_left > 0 {
            state.pause_left -= 1;
            return false;
        }
        if !state.waits {
            drop(state);
            let Some(waits) = self.wait() else {
                return false;
            };
            state = waits;
        }
        if state.load.frames.len() == ROOM {
            // Who puts has its own writing half, but those of the others are with the tray: nobody has one for long.
            let full = state.take();
            drop(state);
            full.write();
            state = self.state();
        }
        state.load.bytes.extend_from_slice(frame.header());
        state.load.bytes.extend_from_slice(frame.payload());
        state.load.frames.push(Lying {
            session: session(),
            bytes: frame.len(),
        });
        true
    }

    /// Has the tray wait for its departure; none where that comes at once.
    fn wait(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        self.state().waits = true;
        Departure::behind_all(self.clone());
        let mut state = self.state();
        if !state.waits {
            state.pause(PAUSE.1);
            return None;
        }
        Some(state)
    }

    fn take_away(&self) {
        let load = self.state().take();
        load.write();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes what lies there, and learns from it whether a tray is of use.
    fn take(&mut self) -> Load {
        let count = self.load.frames.len();
        if count == 0 {
            return Load::default();
        }
        self.usual = self.usual - self.usual / 8 + count;
        self.pause(if self.usual < 8 * FEW {
            (self.pause * 2).clamp(PAUSE.0, PAUSE.1)
        } else {
            0
        });
        // As a rule the next one is as large.
        let next = Load {
            bytes: Vec::with_capacity(self.load.bytes.len()),
            frames: Vec::with_capacity(count),
        };
        mem::replace(&mut self.load, next)
    }

    fn pause(&mut self, pause: u32) {
        (self.pause, self.pause_left) = (pause, pause);
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
        // If its task was cancelled, the last handle of a session drops what its endpoint made.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(self.frames)));
        let _ = dropped.inspect_err(|panic| log_panic("drop", &**panic));
    }
}

/// Takes a tray away when it is dropped.
///
/// It is no task, but the waker of one that yields. tokio keeps such wakers until its thread finds nothing else to
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
        let mut state = self.0.state();
        state.waits = false;
        let load = state.take();
        drop(state);
        load.write();
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
        put_with(())
    }

    /// Puts a frame of a session that nobody else knows, and that has this data.
    fn put_with(data: impl Send + Sync + 'static) -> bool {
        let frame = Frame::text("hello").encode(None);
        super::put(&frame, || {
            let settings = Arc::new(Settings::default());
            let id = SessionId::generate(0);
            Session::new(id, Request::forgotten(), None, settings, data).any()
        })
    }

    fn lying() -> usize {
        TRAY.with(|tray| tray.state().load.frames.len())
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
        let elsewhere = runtime();
        elsewhere.block_on(async {
            assert!(put());
            assert_eq!(lying(), 1);
        });
        assert_eq!(lying(), 0, "it left with the runtime");
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

    #[test]
    fn a_full_tray_leaves_and_the_next_waits() {
        runtime().block_on(async {
            for frame in 0..3 * ROOM {
                assert!(put());
                assert_eq!(lying(), frame % ROOM + 1);
            }
            yield_now().await;
            assert_eq!(lying(), 0);
        });
    }

    #[test]
    fn data_that_panics_as_it_is_dropped_stops_nobody() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        // As at the end of a runtime, which cancels its tasks.
        let runtime = Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            let putting = tokio::spawn(async {
                assert!(put_with(Panics));
                assert!(put());
                yield_now().await;
                lying()
            });
            assert_eq!(putting.await.unwrap(), 0);
        });
    }
}
