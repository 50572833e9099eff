//! The journal: one thread that writes everything to the database.
//!
//! It takes whatever all sessions want to write while the last commit ran, and commits that in one
//! transaction: many writers share one fsync, and nobody waits for a timer. What follows from a write
//! (delivery, the reply) runs on the same thread after the commit, in the order of the writes. So
//! what is in memory changes in the order in which the file did, and nothing is delivered or
//! acknowledged that is not on disk.

use std::{error::Error, thread};

use store::{CommitError, Outcome, Store, Write};
use tokio::sync::{mpsc, oneshot};

use crate::clock::now;

/// Writes in one transaction at most: it bounds how long the first of them waits.
const BATCH: usize = 256;

/// The disk does not take writes now: nothing of what was asked is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("storage is not available")]
pub(crate) struct Unavailable;

/// What is to be done once a write is stored, or is not. It runs on the journal's thread and must
/// not block.
type Then = Box<dyn FnOnce(Result<Outcome, Unavailable>) + Send>;

enum Entry {
    Write(Write, Then),
    /// The last entry: closes the database.
    Close(oneshot::Sender<()>),
}

/// Tells when the journal has ended by a fault. After a failed fsync nobody knows what is on disk:
/// the server must stop, and the next start finds out.
pub(crate) struct Failure(oneshot::Receiver<Result<(), CommitError>>);

impl Failure {
    /// Waits for the fault; for ever, where the journal ends well.
    pub(crate) async fn wait(self) -> anyhow::Error {
        match self.0.await {
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(error)) => error.into(),
            Err(_) => anyhow::anyhow!("the journal's thread panicked"),
        }
    }
}

/// The way into the journal; cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Entry>,
}

impl Journal {
    /// Starts the thread, which owns the database from now on. `queue` bounds the writes that wait.
    pub(crate) fn start(store: Store, queue: usize) -> std::io::Result<(Self, Failure)> {
        let (sender, receiver) = mpsc::channel(queue);
        let (ended, failure) = oneshot::channel();
        let thread = thread::Builder::new().name("journal".into());
        thread.spawn(move || {
            // A server that has stopped already needs not hear it.
            let _ = ended.send(run(store, receiver));
        })?;
        Ok((Self { queue: sender }, Failure(failure)))
    }

    /// Writes, and then does `then`. When too much waits already, nothing is written and `then`
    /// hears so at once.
    pub(crate) fn submit(
        &self,
        write: Write,
        then: impl FnOnce(Result<Outcome, Unavailable>) + Send + 'static,
    ) {
        if let Err(refused) = self.queue.try_send(Entry::Write(write, Box::new(then)))
            && let Entry::Write(_, then) = refused.into_inner()
        {
            then(Err(Unavailable));
        }
    }

    /// Writes once there is room in the queue, and waits until it is stored.
    pub(crate) async fn write(&self, write: Write) -> Result<Outcome, Unavailable> {
        self.write_then(write, |outcome| outcome).await?
    }

    /// The same, with `then` done on the journal's thread.
    pub(crate) async fn write_then<T: Send + 'static>(
        &self,
        write: Write,
        then: impl FnOnce(Result<Outcome, Unavailable>) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (sender, stored) = oneshot::channel();
        let then = Box::new(move |outcome| {
            // Whoever asked may have gone.
            let _ = sender.send(then(outcome));
        });
        let queued = self.queue.send(Entry::Write(write, then)).await;
        queued.map_err(|_| Unavailable)?;
        stored.await.map_err(|_| Unavailable)
    }

    /// Writes what waits, closes the database and waits for it.
    pub(crate) async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        if self.queue.send(Entry::Close(sender)).await.is_ok() {
            // The thread answers, or it has ended.
            let _ = closed.await;
        }
    }
}

fn run(mut store: Store, mut queue: mpsc::Receiver<Entry>) -> Result<(), CommitError> {
    let mut writes = Vec::with_capacity(BATCH);
    let mut thens = Vec::with_capacity(BATCH);
    let mut closing = None;
    while closing.is_none()
        && let Some(mut entry) = queue.blocking_recv()
    {
        loop {
            match entry {
                Entry::Write(write, then) => {
                    writes.push(write);
                    thens.push(then);
                }
                Entry::Close(closed) => {
                    closing = Some(closed);
                    break;
                }
            }
            if writes.len() == BATCH {
                break;
            }
            match queue.try_recv() {
                Ok(next) => entry = next,
                Err(_) => break,
            }
        }
        commit(&mut store, &mut writes, &mut thens)?;
    }
    if let Err(error) = store.close(now()) {
        tracing::error!(%error, "the database was not closed well; it is checked at the next start");
    }
    if let Some(closed) = closing {
        let _ = closed.send(());
    }
    Ok(())
}

/// Stores what is gathered. An error is one after which nothing can be stored any more.
fn commit(
    store: &mut Store,
    writes: &mut Vec<Write>,
    thens: &mut Vec<Then>,
) -> Result<(), CommitError> {
    if writes.is_empty() {
        return Ok(());
    }
    match store.commit(writes) {
        Ok(outcomes) => {
            for (then, outcome) in thens.drain(..).zip(outcomes) {
                then(Ok(outcome));
            }
        }
        Err(error) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, cause, writes = writes.len(), "nothing was stored");
            for then in thens.drain(..) {
                then(Err(Unavailable));
            }
            if matches!(error, CommitError::Broken(_)) {
                return Err(error);
            }
        }
    }
    writes.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use rooms::{RoomName, SessionId};

    use super::*;

    fn subscribe(room: &str) -> Write {
        Write::Subscribe {
            session: SessionId::from(1),
            room: RoomName::parse(room).unwrap(),
            create: true,
            at: now(),
        }
    }

    #[tokio::test]
    async fn what_is_written_is_answered_in_its_order_and_stored_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (store, readers, _) = Store::open(folder.path(), now()).unwrap();
        let (journal, _failure) = Journal::start(store, 100).unwrap();
        let (sender, mut order) = mpsc::channel(100);
        for number in 0..50 {
            let sender = sender.clone();
            journal.submit(subscribe(&format!("room{number}")), move |outcome| {
                assert!(outcome.is_ok());
                sender.try_send(number).unwrap();
            });
        }
        journal.close().await;
        for number in 0..50 {
            assert_eq!(order.recv().await, Some(number));
        }
        assert_eq!(readers.rooms(None, 100).unwrap().len(), 50);
        assert_eq!(journal.write(subscribe("late")).await, Err(Unavailable));
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(folder.path(), now()).unwrap();
        let (journal, _failure) = Journal::start(store, 1).unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (began, begins) = oneshot::channel();
        journal.submit(subscribe("first"), move |_| {
            began.send(()).unwrap();
            let _ = held.recv();
        });
        begins.await.unwrap();
        let (sender, mut outcomes) = mpsc::channel(10);
        for _ in 0..3 {
            let sender = sender.clone();
            journal.submit(subscribe("more"), move |outcome| {
                sender.try_send(outcome.is_ok()).unwrap();
            });
        }
        // One waits; the other two are refused while the thread is still at the first.
        assert_eq!(outcomes.recv().await, Some(false));
        assert_eq!(outcomes.recv().await, Some(false));
        drop(hold);
        assert_eq!(outcomes.recv().await, Some(true));
    }

    #[tokio::test]
    async fn a_panic_on_the_thread_is_told_and_what_waits_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(folder.path(), now()).unwrap();
        let (journal, failure) = Journal::start(store, 100).unwrap();
        journal.submit(subscribe("first"), |_| panic!("on purpose"));
        assert!(failure.wait().await.to_string().contains("panicked"));
        assert_eq!(journal.write(subscribe("second")).await, Err(Unavailable));
    }
}
