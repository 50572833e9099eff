//! The journal: one thread that writes everything to the database.
//!
//! It takes whatever all sessions want to write while the last commit ran, and commits that in one
//! transaction: many writers share one fsync ([`pace`] tells who waits for that). What follows from a write
//! (delivery, the reply) runs on the same thread after the commit, in the order of the writes. So
//! what is in memory changes in the order in which the file did, and nothing is delivered or
//! acknowledged that is not on disk.
//!
//! While the disk takes nothing (it is full, locked, read-only or fails), every write is refused at
//! once. A small write of its own tells when that is over.

mod pace;

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use store::{CommitError, Outcome, Retention, Store, Swept, Write};
use tokio::{
    sync::{
        mpsc::{self, error::TryRecvError},
        oneshot,
    },
    time::interval_at,
};

use self::pace::Pace;
use crate::clock::now;

/// Writes in one transaction at most: it bounds how long the first of them waits.
const BATCH: usize = 256;
/// Between two looks at what can wait, and at whether the disk takes writes again: shorter than what a
/// client is asked to wait for.
const TEND: Duration = Duration::from_millis(500);

/// While messages are gathered, how often what has come is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Nothing must have been written for so long before memory is given back,
const REST: Duration = Duration::from_millis(500);
/// and so many writes since that was done last.
const WORK: usize = 256;

/// What of the thread's time deleting may take while there is something to write: one part in so many.
const SHARE: u32 = 5;
/// How long nothing must have been written for the thread to have time for more.
const QUIET: Duration = Duration::from_millis(100);

/// The disk does not take writes now: nothing of what was asked is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("storage is not available")]
pub(crate) struct Unavailable;

/// What is to be done once a write is stored, or is not. It runs on the journal's thread and must
/// not block.
type Then = Box<dyn FnOnce(Result<Outcome, Unavailable>) + Send>;

enum Entry {
    Write(Write, Then),
    /// Nothing, for the thread to look at what can wait.
    Wake,
    /// The last entry: closes the database.
    Close(oneshot::Sender<()>),
}

/// What is deleted, and how often that is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Sweeps {
    pub(crate) retention: Retention,
    pub(crate) every: Duration,
}

/// How the journal works.
#[derive(Debug, Clone)]
pub(crate) struct JournalSettings {
    /// Writes that may wait.
    pub(crate) queue: usize,
    /// How long messages of different people are gathered after a commit.
    pub(crate) window: Duration,
    /// What is deleted meanwhile.
    pub(crate) sweeps: Sweeps,
}

/// Tells when the journal has ended by a fault: the database is damaged, and nothing may be added to it.
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
    /// Starts the thread, which owns the database from now on. Must be called on a tokio runtime.
    pub(crate) fn start(
        store: Store,
        settings: JournalSettings,
    ) -> std::io::Result<(Self, Failure)> {
        let (sender, receiver) = mpsc::channel(settings.queue);
        let (ended, failure) = oneshot::channel();
        let thread = thread::Builder::new().name("journal".into());
        thread.spawn(move || {
            // A server that has stopped already needs not hear it.
            let _ = ended.send(Writer::new(store, settings).run(receiver));
        })?;
        tokio::spawn(wake(sender.downgrade()));
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

/// Wakes a thread that has nothing to write.
async fn wake(queue: mpsc::WeakSender<Entry>) {
    let mut ticks = interval_at(tokio::time::Instant::now() + TEND, TEND);
    loop {
        ticks.tick().await;
        let Some(queue) = queue.upgrade() else { return };
        // One that has something to write looks by itself, and its queue is for writes.
        if queue.capacity() == queue.max_capacity() {
            let _ = queue.try_send(Entry::Wake);
        }
    }
}

/// What the thread has.
struct Writer {
    store: Store,
    /// The batch that gathers.
    writes: Vec<Write>,
    thens: Vec<Then>,
    pace: Pace,
    /// Since when the disk takes nothing, and how many writes were refused for it.
    down: Option<(Instant, usize)>,
    /// Whether what can wait failed last time: it is logged once.
    untended: bool,
    tended: Instant,
    /// When something was last written.
    wrote: Instant,
    /// Writes since memory was last given back.
    worked: usize,
    sweeps: Sweeps,
    /// When the next step of a sweep, or the next sweep, may be.
    sweep_at: Instant,
    /// Whether a sweep has deleted what makes the file smaller.
    giving_back: bool,
}

impl Writer {
    fn new(store: Store, settings: JournalSettings) -> Self {
        let now = Instant::now();
        let JournalSettings { window, sweeps, .. } = settings;
        Self {
            store,
            writes: Vec::with_capacity(BATCH),
            thens: Vec::with_capacity(BATCH),
            pace: Pace::new(window),
            down: None,
            untended: false,
            tended: now,
            wrote: now,
            worked: 0,
            // The first soon: an earlier run may have ended in the middle of one.
            sweep_at: now + sweeps.every.min(TEND),
            sweeps,
            giving_back: false,
        }
    }

    fn run(mut self, mut queue: mpsc::Receiver<Entry>) -> Result<(), CommitError> {
        let mut closing = None;
        while closing.is_none()
            && let Some(entry) = self.next(&mut queue)?
        {
            closing = self.gather(entry, &mut queue);
            while closing.is_none() && self.writes.len() < BATCH {
                let wait = self.pace.wait(&self.writes, Instant::now());
                if wait.is_zero() {
                    break;
                }
                thread::sleep(wait.min(LOOK));
                if let Ok(entry) = queue.try_recv() {
                    closing = self.gather(entry, &mut queue);
                }
            }
            let idle = self.writes.is_empty();
            self.commit()?;
            self.sweep()?;
            if self.tended.elapsed() >= TEND {
                self.tend(idle)?;
            }
        }
        if let Err(error) = self.store.close(now()) {
            tracing::error!(
                error = said(&error),
                "the database was not closed well; it is checked at the next start"
            );
        }
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
        Ok(())
    }

    /// The next entry. Until there is one, what can wait is done if nobody has written for a while.
    fn next(&mut self, queue: &mut mpsc::Receiver<Entry>) -> Result<Option<Entry>, CommitError> {
        loop {
            match queue.try_recv() {
                Ok(entry) => return Ok(Some(entry)),
                Err(TryRecvError::Empty) if self.is_quiet() && self.sweep()? => {}
                Err(_) => return Ok(queue.blocking_recv()),
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.wrote.elapsed() >= QUIET
    }

    /// Deletes a little of what is not to be kept any more, if its time has come; whether there is more to
    /// do at once.
    fn sweep(&mut self) -> Result<bool, CommitError> {
        let began = Instant::now();
        if began < self.sweep_at || self.down.is_some() {
            return Ok(false);
        }
        let quiet = self.is_quiet();
        let more = if self.giving_back {
            // That is for idle times: whoever writes may use the space. The next sweep comes either way.
            let more = if quiet {
                self.store.give_back()
            } else {
                Ok(false)
            };
            more.inspect(|more| self.giving_back = *more)
        } else {
            let swept = self.store.sweep(&self.sweeps.retention, now());
            swept.map(|swept| {
                self.giving_back = swept == Swept::All;
                true
            })
        };
        let more = match more {
            Ok(more) => more,
            Err(error) => {
                self.fail(error)?;
                false
            }
        };
        self.sweep_at = match (more, quiet) {
            (false, _) => Instant::now() + self.sweeps.every,
            (true, true) => began,
            (true, false) => Instant::now() + (SHARE - 1) * began.elapsed(),
        };
        Ok(more && quiet)
    }

    /// Takes what waits, up to a batch; the answer to `Close` if that is the last of it.
    fn gather(
        &mut self,
        mut entry: Entry,
        queue: &mut mpsc::Receiver<Entry>,
    ) -> Option<oneshot::Sender<()>> {
        loop {
            match entry {
                Entry::Write(write, then) => {
                    self.writes.push(write);
                    self.thens.push(then);
                }
                Entry::Wake => {}
                Entry::Close(closed) => return Some(closed),
            }
            if self.writes.len() == BATCH {
                return None;
            }
            entry = queue.try_recv().ok()?;
        }
    }

    /// Stores what is gathered, and does what follows. An error is one after which nothing may be stored
    /// any more.
    fn commit(&mut self) -> Result<(), CommitError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.wrote = Instant::now();
        self.worked += self.writes.len();
        if let Some((_, refused)) = &mut self.down {
            *refused += self.writes.len();
            self.refuse();
            return Ok(());
        }
        match self.store.commit(&self.writes) {
            Ok(outcomes) => {
                self.pace.stored(&self.writes, self.wrote, Instant::now());
                self.writes.clear();
                for (then, outcome) in self.thens.drain(..).zip(outcomes) {
                    then(Ok(outcome));
                }
                let checkpoint = self.store.checkpoint();
                self.tended_to(checkpoint)
            }
            Err(error) => self.fail(error),
        }
    }

    /// A batch was not stored. Whoever is told so may count on it, so what it left is written over first.
    fn fail(&mut self, error: CommitError) -> Result<(), CommitError> {
        let writes = self.writes.len();
        tracing::error!(error = said(&error), writes, "nothing was stored");
        let damaged = matches!(error, CommitError::Damaged(_));
        if damaged || self.store.probe().is_err() {
            self.down = Some((Instant::now(), writes));
        }
        self.refuse();
        if damaged { Err(error) } else { Ok(()) }
    }

    /// Tells everyone in the batch that nothing of it is stored.
    fn refuse(&mut self) {
        self.writes.clear();
        for then in self.thens.drain(..) {
            then(Err(Unavailable));
        }
    }

    /// Looks whether the disk takes writes again, and does what can wait.
    fn tend(&mut self, idle: bool) -> Result<(), CommitError> {
        self.tended = Instant::now();
        if let Some((since, refused)) = self.down {
            match self.store.probe() {
                Ok(()) => {
                    self.down = None;
                    let down_ms = since.elapsed().as_millis() as u64;
                    tracing::info!(down_ms, refused, "storage takes writes again");
                }
                Err(error @ CommitError::Damaged(_)) => return Err(error),
                Err(_) => return Ok(()),
            }
        }
        if self.worked >= WORK && self.wrote.elapsed() >= REST {
            self.worked = 0;
            self.store.rest();
        }
        let tended = self.store.tend(idle);
        self.tended_to(tended)
    }

    /// What can wait may fail, and is tried again; unless the database is damaged.
    fn tended_to(&mut self, outcome: Result<(), CommitError>) -> Result<(), CommitError> {
        let failed = outcome.is_err();
        match outcome {
            Err(error @ CommitError::Damaged(_)) => return Err(error),
            Err(error) if !self.untended => tracing::error!(
                error = said(&error),
                "the write-ahead log cannot be carried into the database file; messages are \
                 stored all the same, and it is tried again"
            ),
            _ => {}
        }
        self.untended = failed;
        Ok(())
    }
}

/// An error with its cause.
fn said(error: &CommitError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rooms::{
        Call, CallId, Data, MethodName, RoomName, ServiceName, SessionId, Timestamp, User, UserId,
        UserName,
    };

    use super::*;

    fn nothing() -> Sweeps {
        Sweeps {
            retention: Retention::default(),
            every: Duration::from_secs(60),
        }
    }

    fn settings(queue: usize, sweeps: Sweeps) -> JournalSettings {
        JournalSettings {
            queue,
            window: Duration::ZERO,
            sweeps,
        }
    }

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
        let (journal, _failure) = Journal::start(store, settings(100, nothing())).unwrap();
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
        // Where no time passes: what wakes the thread now and then takes a place in the queue, too.
        let elsewhere = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let (journal, _failure) = {
            let _entered = elsewhere.enter();
            Journal::start(store, settings(1, nothing())).unwrap()
        };
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
        elsewhere.shutdown_background();
    }

    #[tokio::test]
    async fn a_panic_on_the_thread_is_told_and_what_waits_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(folder.path(), now()).unwrap();
        let (journal, failure) = Journal::start(store, settings(100, nothing())).unwrap();
        journal.submit(subscribe("first"), |_| panic!("on purpose"));
        assert!(failure.wait().await.to_string().contains("panicked"));
        assert_eq!(journal.write(subscribe("second")).await, Err(Unavailable));
    }
    #[tokio::test]
    async fn sweeps_go_on_while_there_is_always_something_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let (store, readers, _) = Store::open(folder.path(), now()).unwrap();
        let sweeps = Sweeps {
            retention: Retention {
                results: Duration::ZERO,
                ..Retention::default()
            },
            every: Duration::from_millis(10),
        };
        let (journal, _failure) = Journal::start(store, settings(100, sweeps)).unwrap();
        let swept = async {
            for number in 0..3 {
                let call = answered_call(number);
                let id = call.id;
                let write = Write::AcceptCall {
                    call,
                    given_to: None,
                    answered_since: now(),
                };
                journal.write(write).await.unwrap();
                let answer = Write::AnswerCall {
                    call: id,
                    answer: Ok(Data::null()),
                    at: now(),
                };
                journal.write(answer).await.unwrap();
                while readers.call(id, Timestamp::MIN).unwrap().is_some() {
                    journal.write(subscribe("busy")).await.unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), swept)
            .await
            .unwrap();
    }

    fn answered_call(number: u128) -> Call {
        Call {
            id: CallId::new(now(), number),
            service: ServiceName::parse("cafe").unwrap(),
            method: MethodName::parse("order").unwrap(),
            params: Data::null(),
            from: User {
                id: UserId::parse("u_1").unwrap(),
                name: UserName::parse("강호동").unwrap(),
                guest: true,
            },
            key: None,
            at: now(),
            deadline: now(),
        }
    }
}
