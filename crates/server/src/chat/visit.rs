//! What the chat knows of one session.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use madang::Error as SessionError;
use rooms::{RoomName, Start, User};

use super::admission::Permit;
use crate::turns::Turn;

/// A session's user, and what the session is about to do. It lives as long as the session, so what is
/// only there at times is boxed.
pub(crate) struct Visit {
    pub(super) user: User,
    /// Whether the client is on the server's own machine.
    pub(super) is_local: bool,
    /// The room of `/ws/{room}`, which commands mean that name none.
    own_room: Option<RoomName>,
    /// Commands at work.
    in_flight: AtomicUsize,
    state: Mutex<State>,
    _permit: Permit,
}

/// What `/ws/{room}` asks for: a subscription from the beginning.
pub(super) struct Opening {
    pub(super) room: RoomName,
    pub(super) start: Start,
    pub(super) epoch: Option<String>,
}

#[derive(Default)]
struct State {
    /// What is said and done when the session opens, until then.
    beginning: Option<Box<Beginning>>,
    /// Sorted by their names. In nearly all sessions it is one, and at most as many as the settings
    /// let a session have.
    rooms: Vec<Place>,
    /// The fault that ends the session.
    failure: Option<Box<str>>,
}

/// What there is only until the session is open.
pub(super) struct Beginning {
    /// A new guest's token, until `hello` has told it.
    pub(super) token: Option<String>,
    pub(super) opening: Option<Opening>,
    /// Where the client comes from; empty if that is not known.
    pub(super) address: String,
    /// What the client calls itself.
    pub(super) user_agent: Option<String>,
    /// Among those who are being let in.
    pub(super) _turn: Turn,
}

/// A room that the session is in, or about to be.
struct Place {
    room: RoomName,
    /// Whether the session is in it once all its commands so far are done: what the next command is
    /// judged by.
    wanted: bool,
    /// Whether it is in it, as the journal has it.
    entered: bool,
}

impl Visit {
    pub(super) fn new(user: User, is_local: bool, beginning: Beginning, permit: Permit) -> Self {
        let opening = beginning.opening.as_ref();
        Self {
            user,
            is_local,
            own_room: opening.map(|opening| opening.room.clone()),
            in_flight: AtomicUsize::new(0),
            state: Mutex::new(State {
                beginning: Some(Box::new(beginning)),
                ..State::default()
            }),
            _permit: permit,
        }
    }

    /// The room that a command means.
    pub(super) fn room(&self, named: Option<RoomName>) -> Option<RoomName> {
        named.or_else(|| self.own_room.clone())
    }

    /// Takes what there is only until the session is open.
    pub(super) fn begin_session(&self) -> Option<Box<Beginning>> {
        self.state().beginning.take()
    }

    /// A command wants the session in a room; `false` if that would be more than `limit`.
    pub(super) fn want(&self, room: &RoomName, limit: usize) -> bool {
        let mut state = self.state();
        if state.wants(room) {
            return true;
        }
        let wanted = state.rooms.iter().filter(|place| place.wanted).count();
        if wanted < limit {
            state.mark(room, |place| place.wanted = true);
        }
        wanted < limit
    }

    /// A command wants the session out of a room; `false` if it was not in it.
    pub(super) fn want_no_more(&self, room: &RoomName) -> bool {
        let mut state = self.state();
        let wanted = state.wants(room);
        state.mark(room, |place| place.wanted = false);
        wanted
    }

    /// Whether the session is in the room, or about to be, once all its commands so far are done.
    pub(super) fn wants(&self, room: &RoomName) -> bool {
        self.state().wants(room)
    }

    /// A command was not done: the room counts as it is.
    pub(super) fn undo(&self, room: &RoomName) {
        self.state()
            .mark(room, |place| place.wanted = place.entered);
    }

    /// The session is in a room, as the journal has it.
    pub(super) fn enter(&self, room: &RoomName) {
        self.state().mark(room, |place| place.entered = true);
    }

    /// The session has left a room, as the journal has it.
    pub(super) fn leave(&self, room: &RoomName) {
        self.state().mark(room, |place| place.entered = false);
    }

    /// Takes all rooms that the session is in.
    pub(super) fn leave_all(&self) -> impl Iterator<Item = RoomName> + use<> {
        let places = std::mem::take(&mut self.state().rooms);
        let entered = places.into_iter().filter(|place| place.entered);
        entered.map(|place| place.room)
    }

    pub(super) fn fail(&self, error: &SessionError) {
        self.state().failure = Some(error.to_string().into());
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.state().failure.take().map(String::from)
    }

    /// Begins a command; `false` if `limit` are at work.
    pub(super) fn begin(&self, limit: usize) -> bool {
        let more = |count| (count < limit).then_some(count + 1);
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wants(&self, room: &RoomName) -> bool {
        self.find(room).is_ok_and(|at| self.rooms[at].wanted)
    }

    /// Changes what is known of a room, of which nothing is kept that the session is not in.
    fn mark(&mut self, room: &RoomName, change: impl FnOnce(&mut Place)) {
        let at = self.find(room).unwrap_or_else(|at| {
            if self.rooms.is_empty() {
                // Most sessions never have a second one.
                self.rooms.reserve_exact(1);
            }
            let place = Place {
                room: room.clone(),
                wanted: false,
                entered: false,
            };
            self.rooms.insert(at, place);
            at
        });
        let place = &mut self.rooms[at];
        change(place);
        if !place.wanted && !place.entered {
            self.rooms.remove(at);
        }
    }

    /// Where a room is, or would be.
    fn find(&self, room: &RoomName) -> Result<usize, usize> {
        self.rooms.binary_search_by(|place| place.room.cmp(room))
    }
}
