//! Requests that wait for the answer to a call.

use std::{sync::Arc, time::Duration};

use ::rooms::{Answer, Data, Error, Ticket};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use crate::{
    calls::{Caller, CallerId, Desk},
    reads::unavailable,
};

/// Progress that waits for a slow reader; what comes above it is dropped.
const PROGRESS: usize = 16;

/// What came of a call, or why it cannot be had.
pub(super) type End = Result<(Ticket, Answer), Error>;

/// What is heard of a call that is open.
pub(super) enum Heard {
    Progress(Data),
    End(End),
    /// The server ends: whoever waits is to come back.
    Ending,
}

/// A request's end of a call. When it is dropped, as with a client that is gone, nobody waits any more, and
/// the call goes on.
pub(super) struct Waiting {
    id: CallerId,
    desk: Arc<Desk>,
    ending: watch::Receiver<bool>,
    ticket: oneshot::Receiver<Ticket>,
    progress: mpsc::Receiver<Data>,
    end: oneshot::Receiver<End>,
}

impl Waiting {
    /// With what is to be given to the desk. `ending` tells whether the server ends.
    pub(super) fn new(desk: &Arc<Desk>, ending: watch::Receiver<bool>) -> (Self, Box<dyn Caller>) {
        let id = desk.new_caller();
        let (ticket, has_ticket) = oneshot::channel();
        let (progress, progresses) = mpsc::channel(PROGRESS);
        let (end, ended) = oneshot::channel();
        let waiting = Self {
            id,
            desk: desk.clone(),
            ending,
            ticket: has_ticket,
            progress: progresses,
            end: ended,
        };
        let caller = Request {
            id,
            ticket: Some(ticket),
            progress,
            end,
        };
        (waiting, Box::new(caller))
    }

    /// The ticket of a call that was asked, once it is stored.
    pub(super) async fn ticket(&mut self) -> Result<Ticket, Error> {
        match (&mut self.ticket).await {
            Ok(ticket) => Ok(ticket),
            Err(_) => self.end().await.map(|(ticket, _)| ticket),
        }
    }

    /// The end, whenever it comes.
    pub(super) async fn end(&mut self) -> End {
        let end = (&mut self.end).await;
        // The desk is gone, with the server.
        end.unwrap_or_else(|_| Err(unavailable()))
    }

    /// The end, if it comes in this time, and before the server's.
    pub(super) async fn end_within(&mut self, patience: Option<Duration>) -> Option<End> {
        let mut ending = self.ending.clone();
        let patience = async {
            match patience {
                Some(patience) => sleep(patience).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            end = self.end() => Some(end),
            () = patience => None,
            _ = ending.wait_for(|ending| *ending) => None,
        }
    }

    /// What comes next: any progress, and then one end.
    pub(super) async fn next(&mut self) -> Heard {
        let progress = tokio::select! {
            biased;
            progress = self.progress.recv() => progress,
            _ = self.ending.wait_for(|ending| *ending) => return Heard::Ending,
        };
        match progress {
            Some(data) => Heard::Progress(data),
            // The caller is no more, for it has had its end.
            None => Heard::End(self.end().await),
        }
    }

    /// Whether the server ends.
    pub(super) fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.desk.forget(self.id);
    }
}

/// The desk's end. The request may be gone already, and hears nothing of it then.
struct Request {
    id: CallerId,
    ticket: Option<oneshot::Sender<Ticket>>,
    progress: mpsc::Sender<Data>,
    end: oneshot::Sender<End>,
}

impl Caller for Request {
    fn id(&self) -> CallerId {
        self.id
    }

    fn ticket(&mut self, ticket: Ticket) {
        if let Some(sender) = self.ticket.take() {
            let _ = sender.send(ticket);
        }
    }

    fn progress(&self, data: &Data) {
        if let Ok(place) = self.progress.try_reserve() {
            place.send(data.clone());
        }
    }

    fn end(self: Box<Self>, ticket: Ticket, answer: Answer) {
        let _ = self.end.send(Ok((ticket, answer)));
    }

    fn refuse(self: Box<Self>, error: Error) {
        let _ = self.end.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use ::rooms::{Call, CallId, MethodName, Question, Serve, ServiceName, User, UserId, UserName};
    use calls::WorkerId;
    use store::Store;

    use super::*;
    use crate::{
        calls::{Asker, Worker},
        clock::now,
        config::Config,
        journal::Journal,
        reads::Reads,
    };

    /// A worker who does nothing.
    struct Idle;

    impl Worker for Idle {
        fn request(&self, _: Arc<Call>, _: Duration, _: bool) {}
        fn cancelled(&self, _: CallId) {}
    }

    /// A caller of which one sees whether it is still there.
    struct Seen(
        Box<dyn Caller>,
        #[expect(dead_code, reason = "it is counted")] Arc<()>,
    );

    impl Caller for Seen {
        fn id(&self) -> CallerId {
            self.0.id()
        }
        fn ticket(&mut self, ticket: Ticket) {
            self.0.ticket(ticket);
        }
        fn progress(&self, data: &Data) {
            self.0.progress(data);
        }
        fn end(self: Box<Self>, ticket: Ticket, answer: Answer) {
            self.0.end(ticket, answer);
        }
        fn refuse(self: Box<Self>, error: Error) {
            self.0.refuse(error);
        }
    }

    fn serve(desk: &Desk) {
        let barista = User {
            id: UserId::parse("u_b").unwrap(),
            name: UserName::parse("바리스타").unwrap(),
            guest: false,
        };
        let serve = Serve {
            service: ServiceName::parse("cafe").unwrap(),
            concurrency: 1,
            repeatable: false,
            resume: Vec::new(),
        };
        desk.serve(WorkerId(1), Arc::new(Idle), &barista, serve, |_| {})
            .unwrap();
    }

    fn ask(desk: &Desk, caller: Box<dyn Caller>) {
        let question = Question {
            service: ServiceName::parse("cafe").unwrap(),
            method: MethodName::parse("order").unwrap(),
            params: Data::null(),
            timeout_ms: None,
            key: None,
        };
        let kang = UserName::parse("kang").unwrap();
        desk.ask(question, Asker::Passing(kang), caller);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_is_forgotten_and_the_call_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (store, readers, _) = Store::open(folder.path(), now()).unwrap();
        let config = Config::default();
        let (journal, _failure) = Journal::start(store, config.journal_settings()).unwrap();
        let desk = Desk::open(journal, Reads::new(readers), config.calls, Vec::new());
        serve(&desk);
        let ending = watch::Sender::new(false);
        let there = Arc::new(());

        let (mut asks, caller) = Waiting::new(&desk, ending.subscribe());
        ask(&desk, Box::new(Seen(caller, there.clone())));
        let ticket = asks.ticket().await.unwrap();
        let (mut collects, caller) = Waiting::new(&desk, ending.subscribe());
        let caller = Box::new(Seen(caller, there.clone()));
        assert!(desk.collect(ticket, &ticket.guest(), caller));
        assert!(collects.end_within(Some(Duration::ZERO)).await.is_none());
        assert_eq!(Arc::strong_count(&there), 3);
        drop(asks);
        assert_eq!(Arc::strong_count(&there), 2);
        drop(collects);
        assert_eq!(Arc::strong_count(&there), 1);

        let (mut later, caller) = Waiting::new(&desk, ending.subscribe());
        assert!(desk.collect(ticket, &ticket.guest(), caller));
        desk.cancel(ticket, &ticket.guest(), |cancelled| {
            assert_eq!(cancelled, Ok(true));
        });
        let (_, answer) = later.end().await.unwrap();
        assert_eq!(answer.unwrap_err().code, "cancelled");
    }
}
