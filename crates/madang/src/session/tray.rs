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

use bytes::BytesMut;
use tokio::{
    runtime::{self, Handle, RuntimeFlavor},
    task::yield_now,
};
use websocket::Encoded;

use super::{AnySession, parcel::Parcel};

/// Frames on a tray at the most: more in one call spare little, and those who wait for them could go on.
const ROOM: usize = 32;
/// A longer frame is written at once: it costs more to copy.
const LONGEST: usize = 1024;
/// How many sessions write for themselves before a tray is tried again, the first time and at the most.
const ALONE: (u32, u32) = (4, 256);

thread_local! {
    static TRAY: Arc<Tray> = Arc::default();
}

#[derive(Default)]
struct Tray {
    /// How many sessions write for themselves before it is tried again.
    alone: AtomicU32,
    load: Mutex<Load>,
}

#[derive(Default)]
struct Load {
    bytes: BytesMut,
    frames: Vec<Lying>,
    waiter: Option<Waits>,
    /// How many sessions wrote for themselves after it was last tried in vain.
    alone: u32,
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
    fn now() -> Self {
        let runtime = Handle::current();
        match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => Self::Here,
            _ => Self::In(runtime.id()),
        }
    }
}

/// Puts a frame on the thread's tray, unless it is better written at once.
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
        let alone = self.alone.load(Ordering::Relaxed);
        if alone > 0 {
            // A count that is lost between two threads does no harm.
            self.alone.store(alone - 1, Ordering::Relaxed);
            return false;
        }
        let mut load = self.load();
        let is_out_of_reach = match load.waiter {
            None | Some(Waits::Here) => false,
            waiter => waiter != Some(Waits::now()),
        };
        if is_out_of_reach {
            return false;
        }
        if load.frames.len() == ROOM {
            drop(load);
            self.take_away();
            load = self.load();
        }
        load.bytes.extend_from_slice(frame.header());
        load.bytes.extend_from_slice(frame.payload());
        load.frames.push(Lying {
            session: session(),
            bytes: frame.len(),
        });
        if load.waiter.is_none() {
            load.waiter = Some(Waits::now());
            drop(load);
            tokio::spawn(Waiter(self.clone()).run());
        }
        true
    }

    /// Writes what lies there, as far as the sockets take it.
    fn take_away(&self) {
        let mut load = self.load();
        match load.frames.len() {
            0 => return,
            1 => {
                load.alone = (load.alone * 2).clamp(ALONE.0, ALONE.1);
                self.alone.store(load.alone, Ordering::Relaxed);
            }
            _ => load.alone = 0,
        }
        let next = Vec::with_capacity(load.frames.capacity());
        let frames = mem::replace(&mut load.frames, next);
        let mut bytes = load.bytes.split().freeze();
        drop(load);
        let mut parcels = Vec::with_capacity(frames.len());
        for frame in &frames {
            let bytes = bytes.split_to(frame.bytes);
            let outgoing = frame.session.take_back();
            // It has none any more if it has ended.
            if outgoing.line().is_some() {
                let parcel = Parcel::new(&frame.session, outgoing, bytes);
                parcels.push(parcel);
            }
        }
        Parcel::write_each(parcels);
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a tray away behind all who are ready, and at the latest when its runtime ends.
struct Waiter(Arc<Tray>);

impl Waiter {
    async fn run(self) {
        yield_now().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.load().waiter = None;
        self.0.take_away();
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

    #[test]
    fn who_is_alone_writes_at_once_and_tries_now_and_then() {
        runtime().block_on(async {
            for alone in [4, 8, 16, 32, 64, 128, 256, 256] {
                assert!(put());
                // The first time it is behind the tray, the second time it was taken away.
                yield_now().await;
                yield_now().await;
                assert!((0..alone).all(|_| !put()), "{alone}");
            }
            assert!(put() && put());
            yield_now().await;
            yield_now().await;
            assert!(put(), "there were others");
        });
    }

    #[test]
    fn nobody_waits_for_a_runtime_that_does_not_run() {
        let (here, elsewhere) = (runtime(), runtime());
        assert!(elsewhere.block_on(async { put() }));
        assert!(here.block_on(async { !put() }));
        assert!(elsewhere.block_on(async { put() }));
        drop(elsewhere);
        assert!(
            here.block_on(async { put() }),
            "taken away with its runtime"
        );
    }
}
