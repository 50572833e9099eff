//! Commands: what each does, and its one reply.

use std::sync::Arc;

use madang::{Session, Start as From};
use rooms::{
    Command, Content, Data, Error, ErrorCode, Failure, Key, Leave, Page, Rejected, Reply, Request,
    RequestId, RoomName, ServerMessage, Start, Subscription, Ticket,
};
use store::{Outcome, RoomHead, Write};
use tokio::sync::oneshot;

use super::{Chat, id, place::Place, visit::Visit};
use crate::{
    clock::now,
    live::{LiveRooms, frame},
    reads::{HISTORY_BYTES, no_such_room, unavailable},
};

impl Chat {
    /// Takes a command. What needs the disk is handed on and answered when it is done; nothing
    /// here waits, so no command delays the next.
    pub(super) fn command(&self, session: &Session<Visit>, text: &str) {
        let Command { id, request } = match Command::parse(text) {
            Ok(command) => command,
            Err(Rejected { id, error }) => {
                return say(session, &ServerMessage::Error { id, error });
            }
        };
        if request == Request::Ping {
            return say(session, &ServerMessage::Pong { id });
        }
        // A service's answers are bounded by what it was asked.
        let counted = !matches!(request, Request::Respond { .. } | Request::Progress { .. });
        let limit = self.yard.config.limits.commands_in_flight;
        if counted && !session.data().begin(limit) {
            let message =
                format!("More than {limit} commands are at work. Wait for a reply to one of them.");
            let error = Error::new(ErrorCode::Busy, message);
            return say(session, &ServerMessage::Error { id, error });
        }
        let order = Order {
            session: session.clone(),
            answer: Answer::Command(id),
            counted,
            _ended: None,
        };
        match request {
            Request::Ping => {}
            Request::Subscribe { room, start, epoch } => order.within(room, |order, room| {
                let room = self.yard.live.shared(room);
                self.subscribe(order, room, start, epoch);
            }),
            Request::Unsubscribe { room } => order.within(room, |order, room| {
                self.unsubscribe(order, room);
            }),
            Request::Send { room, key, content } => order.within(room, |order, room| {
                self.send(order, room, key, content);
            }),
            Request::History { room, page } => order.within(room, |order, room| {
                self.history(order, room, page);
            }),
            Request::Who { room } => order.within(room, |order, room| self.who(order, room)),
            Request::Typing { room, on } => order.within(room, |order, room| {
                self.typing(order, room, on);
            }),
            Request::Signal { room, data } => order.within(room, |order, room| {
                self.signal(order, room, data);
            }),
            Request::Call(question) => self.call(order, question),
            Request::Collect { ticket } => self.collect(order, ticket),
            Request::Cancel { ticket } => self.cancel(order, ticket),
            Request::Serve(serve) => self.serve(order, serve),
            Request::Unserve { service } => self.unserve(order, &service),
            Request::Respond { call, answer } => self.respond(order, call, answer),
            Request::Progress { call, data } => self.progress(order, call, &data),
        }
    }

    pub(super) fn subscribe(
        &self,
        order: Order,
        room: RoomName,
        start: Start,
        epoch: Option<String>,
    ) {
        let visit = order.session.data();
        let limit = self.yard.config.limits.rooms_per_session;
        if !visit.want(&room, limit) {
            let message = format!(
                "A session can be subscribed to {limit} rooms. Unsubscribe from one of them first."
            );
            return order.refuse(Error {
                limit: Some(limit as u64),
                ..Error::new(ErrorCode::TooLong, message)
            });
        }
        let write = Write::Subscribe {
            session: id(&order.session),
            room: room.clone(),
            create: self.yard.config.access.create_rooms,
            at: now(),
        };
        let live = self.yard.live.clone();
        self.yard
            .journal
            .submit(write, move |outcome| match outcome {
                Ok(Outcome::Subscribed(log)) => {
                    order.subscribed(&live, room, &log, start, epoch.as_deref());
                }
                outcome => {
                    order.session.data().undo(&room);
                    order.refuse(match outcome {
                        Ok(Outcome::NoSuchRoom) => no_such_room(&room),
                        _ => unavailable(),
                    });
                }
            });
    }

    fn unsubscribe(&self, order: Order, room: RoomName) {
        if !order.session.data().want_no_more(&room) {
            return order.refuse(not_subscribed(&room));
        }
        let session = id(&order.session);
        let write = Write::Unsubscribe {
            session,
            room: room.clone(),
            at: now(),
        };
        let rooms = self.yard.live.clone();
        self.yard.journal.submit(write, move |outcome| {
            if outcome.is_err() {
                order.session.data().undo(&room);
                return order.refuse(unavailable());
            }
            if let Some(live) = rooms.get(&room) {
                order.session.unsubscribe(&live.topic);
            }
            order.session.data().leave(&room);
            rooms.leave(&room, session, Leave::Clean);
            order.done(Reply::Unsubscribed { room });
        });
    }

    fn send(&self, order: Order, room: RoomName, key: Option<Key>, content: Content) {
        let from = order.session.data().user.clone();
        let named = room.clone();
        self.yard
            .say(room, from, key, content, move |stored| match stored {
                Ok(stored) => order.done(Reply::Sent {
                    room: named,
                    seq: stored.seq,
                    at: stored.at,
                    duplicate: stored.duplicate,
                }),
                Err(error) => order.refuse(error),
            });
    }

    fn typing(&self, order: Order, room: RoomName, on: bool) {
        let (visit, session) = (order.session.data(), id(&order.session));
        // It may be on its way out.
        if visit.wants(&room) && self.yard.live.typing(&room, session, &visit.user, on) {
            order.done(Reply::Passed { room });
        } else {
            order.refuse(not_subscribed(&room));
        }
    }

    fn signal(&self, order: Order, room: RoomName, data: Data) {
        let (visit, session) = (order.session.data(), order.session.id());
        let user = visit.user.clone();
        if visit.wants(&room) && self.yard.live.signal(room.clone(), session, user, data) {
            order.done(Reply::Passed { room });
        } else {
            order.refuse(not_subscribed(&room));
        }
    }

    fn history(&self, order: Order, room: RoomName, page: Page) {
        let reads = self.yard.reads.clone();
        tokio::spawn(async move {
            let name = room.clone();
            let read = reads
                .read(move |readers| readers.history(&name, page, HISTORY_BYTES))
                .await;
            match read {
                Ok(Some(page)) => {
                    order.done(Reply::History {
                        room,
                        events: page.events,
                        more: page.more,
                    });
                }
                Ok(None) => order.refuse(no_such_room(&room)),
                Err(error) => order.refuse(error),
            }
        });
    }

    fn who(&self, order: Order, room: RoomName) {
        let yard = self.yard.clone();
        tokio::spawn(async move {
            match yard.who(&room).await {
                Ok(who) => order.done(Reply::Who { room, who }),
                Err(error) => order.refuse(error),
            }
        });
    }
}

/// A command at work: it is answered once, and most count as in flight until then.
pub(super) struct Order {
    session: Session<Visit>,
    answer: Answer,
    /// Whether it counts as in flight.
    counted: bool,
    /// Whoever waits for the end of the order hears of it when this is dropped.
    _ended: Option<oneshot::Sender<()>>,
}

enum Answer {
    /// To a command, with the id that it may have.
    Command(Option<RequestId>),
    /// To the opening of `/ws/{room}`.
    Opening,
    /// It has been given.
    Given,
}

impl Order {
    /// The subscription that a session is opened with; the receiver tells when it is answered.
    pub(super) fn opening(session: &Session<Visit>) -> (Self, oneshot::Receiver<()>) {
        let (ended, wait) = oneshot::channel();
        let order = Self {
            session: session.clone(),
            answer: Answer::Opening,
            counted: false,
            _ended: Some(ended),
        };
        (order, wait)
    }

    pub(super) fn session(&self) -> &Session<Visit> {
        &self.session
    }

    /// What the client called the command, and the reply is called again.
    pub(super) fn id(&self) -> Option<RequestId> {
        match &self.answer {
            Answer::Command(id) => id.clone(),
            Answer::Opening | Answer::Given => None,
        }
    }

    /// Does it in the room that is named, or in the session's own.
    fn within(self, named: Option<RoomName>, act: impl FnOnce(Self, RoomName)) {
        match self.session.data().room(named) {
            Some(room) => act(self, room),
            None => self.refuse(Error::missing("room")),
        }
    }

    /// Runs on the journal's thread: the room's log reaches exactly as far as `log` tells.
    fn subscribed(
        mut self,
        live: &Arc<LiveRooms>,
        room: RoomName,
        log: &RoomHead,
        start: Start,
        epoch: Option<&str>,
    ) {
        let place = Place::new(log, start, epoch);
        let session = self.session.clone();
        let visit = session.data();
        visit.enter(&room);
        live.enter(&room, log, id(&session), &visit.user, |topic, presence| {
            let subscription = Subscription {
                room: room.clone(),
                epoch: log.epoch.clone(),
                head: log.head,
                next: place.next,
                role: rooms::Role::Member,
                presence,
                gap: place.gap,
                reset: place.reset,
            };
            let start = From::After(place.next - 1);
            // One step: nothing of an old place may follow the reply. A session that has gone leaves
            // the room when its end is stored.
            let _ = match self.answer(Reply::Subscribed(subscription)) {
                Some(reply) => session.send_and_subscribe(frame(&reply), topic, start),
                None => session.subscribe(topic, start),
            };
        });
    }

    pub(super) fn done(mut self, reply: Reply) {
        if let Some(message) = self.answer(reply) {
            say(&self.session, &message);
        }
    }

    /// The one answer, as far as one is wanted.
    fn answer(&mut self, reply: Reply) -> Option<ServerMessage> {
        let answer = std::mem::replace(&mut self.answer, Answer::Given);
        self.count_off();
        match (answer, reply) {
            (Answer::Command(Some(id)), reply) => Some(ServerMessage::Ok { id, reply }),
            (Answer::Opening, Reply::Subscribed(subscription)) => {
                Some(ServerMessage::Subscribed(subscription))
            }
            // A command without an id wants no reply.
            (Answer::Command(None) | Answer::Opening | Answer::Given, _) => None,
        }
    }

    pub(super) fn refuse(mut self, error: Error) {
        self.fail(|id| ServerMessage::Error { id, error });
    }

    /// The call was answered with a failure.
    pub(super) fn failed(mut self, ticket: Ticket, failure: Failure) {
        self.fail(|id| ServerMessage::Failed {
            id,
            ticket,
            failure,
        });
    }

    fn fail(&mut self, error: impl FnOnce(Option<RequestId>) -> ServerMessage) {
        let answer = std::mem::replace(&mut self.answer, Answer::Given);
        self.count_off();
        let id = match answer {
            Answer::Command(id) => id,
            Answer::Opening => None,
            Answer::Given => return,
        };
        say(&self.session, &error(id));
    }

    /// Before the answer is sent: whoever has it may send the next command at once.
    fn count_off(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.session.data().end();
        }
    }
}

/// A command that was dropped on its way, by a fault or by the end of the server, is answered too.
impl Drop for Order {
    fn drop(&mut self) {
        let message = "The server could not finish this command.";
        let error = Error::new(ErrorCode::Internal, message);
        self.fail(|id| ServerMessage::Error { id, error });
    }
}

fn not_subscribed(room: &RoomName) -> Error {
    let message = format!("This session is not subscribed to '{room}'.");
    Error::new(ErrorCode::NotSubscribed, message)
}

/// Sends a reply. A session that has too many of them unread is closed by its settings; to one that
/// has gone there is nothing to say.
pub(super) fn say(session: &Session<Visit>, message: &ServerMessage) {
    let _ = session.send(frame(message));
}
