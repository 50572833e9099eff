//! Sessions that ask, and sessions that answer.

use std::{sync::Arc, time::Duration};

use calls::WorkerId;
use madang::Session;
use rooms::{
    Answer, Call, CallId, CallRequest, Data, Error, ErrorCode, Question, Reply, Serve,
    ServerMessage, ServiceName, SessionId, Ticket,
};

use super::{
    Chat,
    commands::{Order, say},
    id,
    visit::Visit,
};
use crate::{
    calls::{Asker, Caller, CallerId, Worker},
    config::Serving,
    identity::is_admin,
};

impl Chat {
    pub(super) fn call(&self, order: Order, question: Question) {
        let from = Asker::User(order.session().data().user.clone());
        self.yard
            .desk
            .ask(question, from, Box::new(AskingSession(order)));
    }

    pub(super) fn collect(&self, order: Order, ticket: Ticket) {
        let user = order.session().data().user.id.clone();
        let caller = Box::new(AskingSession(order));
        self.yard.desk.collect(ticket, &user, caller);
    }

    pub(super) fn cancel(&self, order: Order, ticket: Ticket) {
        let user = order.session().data().user.id.clone();
        let done = move |cancelled| match cancelled {
            Ok(cancelled) => order.done(Reply::Cancelled { ticket, cancelled }),
            Err(error) => order.refuse(error),
        };
        self.yard.desk.cancel(ticket, &user, done);
    }

    pub(super) fn serve(&self, order: Order, serve: Serve) {
        let session = order.session().clone();
        let visit = session.data();
        let may = match self.yard.config.access.serve {
            Serving::Everyone => true,
            Serving::Local => visit.is_local || is_admin(&visit.user),
            Serving::Admin => is_admin(&visit.user),
        };
        if !may {
            let message = "You may not serve here. Come with the admin token, or have it allowed by the \
                           setting access.serve.";
            return order.refuse(Error::new(ErrorCode::Forbidden, message));
        }
        let (service, concurrency) = (serve.service.clone(), serve.concurrency);
        let mut order = Some(order);
        let done = |resumed| {
            if let Some(order) = order.take() {
                order.done(Reply::Serving {
                    service,
                    concurrency,
                    resumed,
                });
            }
        };
        let worker = Arc::new(ServingSession(session.clone()));
        let served = self
            .yard
            .desk
            .serve(worker_id(&session), worker, &visit.user, serve, done);
        if let (Err(error), Some(order)) = (served, order) {
            order.refuse(error);
        }
    }

    pub(super) fn unserve(&self, order: Order, service: &ServiceName) {
        let id = worker_id(order.session());
        if self.yard.desk.unserve(id, service) {
            let service = service.clone();
            order.done(Reply::Unserved { service });
        } else {
            let message = format!("This session does not serve '{service}'.");
            order.refuse(Error::new(ErrorCode::NoSuchService, message));
        }
    }

    pub(super) fn respond(&self, order: Order, call: CallId, answer: Answer) {
        let id = worker_id(order.session());
        self.yard
            .desk
            .respond(id, call, answer, move |stored| match stored {
                Ok(()) => order.done(Reply::Responded { call }),
                Err(error) => order.refuse(error),
            });
    }

    pub(super) fn progress(&self, order: Order, call: CallId, data: &Data) {
        match self
            .yard
            .desk
            .progress(worker_id(order.session()), call, data)
        {
            Ok(()) => order.done(Reply::Responded { call }),
            Err(error) => order.refuse(error),
        }
    }

    /// A session is gone: it asks and answers no more.
    pub(super) fn leave_desk(&self, session: &Session<Visit>) {
        self.yard.desk.forget(caller_id(session));
        self.yard.desk.leave(worker_id(session));
    }
}

/// A session that serves.
struct ServingSession(Session<Visit>);

impl Worker for ServingSession {
    fn request(&self, call: Arc<Call>, timeout: Duration, again: bool) {
        let request = CallRequest::new(&call, timeout, again);
        say(&self.0, &ServerMessage::Request(request));
    }

    fn cancelled(&self, call: CallId) {
        say(&self.0, &ServerMessage::Cancelled { call });
    }

    fn session(&self) -> Option<SessionId> {
        Some(id(&self.0))
    }
}

/// A session that waits for the answer to its `call`, or by `collect`.
struct AskingSession(Order);

impl Caller for AskingSession {
    fn id(&self) -> CallerId {
        caller_id(self.0.session())
    }

    fn ticket(&mut self, ticket: Ticket) {
        if let Some(id) = self.0.id() {
            say(self.0.session(), &ServerMessage::Ticket { id, ticket });
        }
    }

    fn progress(&self, data: &Data) {
        if let Some(id) = self.0.id() {
            let data = data.clone();
            say(self.0.session(), &ServerMessage::Progress { id, data });
        }
    }

    fn end(self: Box<Self>, ticket: Ticket, answer: Answer) {
        match answer {
            Ok(result) => self.0.done(Reply::Answered { ticket, result }),
            Err(failure) => self.0.failed(ticket, failure),
        }
    }

    fn refuse(self: Box<Self>, error: Error) {
        self.0.refuse(error);
    }
}

fn worker_id(session: &Session<Visit>) -> WorkerId {
    WorkerId(session.id().into())
}

fn caller_id(session: &Session<Visit>) -> CallerId {
    CallerId(session.id().into())
}
