//! What the chat knows of one session.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use madang::Error as SessionError;
use rooms::{RoomName, Start, User};
use store::TokenHash;

use super::admission::Permit;

/// A session's user, and what the session is about to do. It lives as long as the session.
pub(crate) struct Visit {
    pub(super) user: User,
    /// Whether the client is on the server's own machine.
    pub(super) is_local: bool,
    /// The room of `/ws/{room}`, to which the session is subscribed from the beginning.
    pub(super) opening: Option<Opening>,
    /// Commands at work.
    in_flight: AtomicUsize,
    state: Mutex<State>,
    _permit: Permit,
}

/// What `/ws/{room}` asks for.
pub(super) struct Opening {
    pub(super) room: RoomName,
    pub(super) start: Start,
    pub(super) epoch: Option<String>,
}

#[derive(Default)]
struct State {
    /// A new guest's token, until `hello` has told it.
    token: Option<String>,
    /// Rooms that the session is in once all its commands so far are done: what the next command
    /// is judged by.
    wanted: HashSet<RoomName>,
    /// Rooms that it is in, as the journal has it.
    entered: HashSet<RoomName>,
    /// The fault that ends the session.
    failure: Option<String>,
}

impl Visit {
    pub(super) fn new(
        user: User,
        is_local: bool,
        token: Option<String>,
        opening: Option<Opening>,
        permit: Permit,
    ) -> Self {
        let state = Mutex::new(State {
            token,
            ..State::default()
        });
        Self {
            user,
            is_local,
            opening,
            in_flight: AtomicUsize::new(0),
            state,
            _permit: permit,
        }
    }

    /// The room that a command means.
    pub(super) fn room(&self, named: Option<RoomName>) -> Option<RoomName> {
        named.or_else(|| self.opening.as_ref().map(|opening| opening.room.clone()))
    }

    pub(super) fn token_hash(&self) -> Option<TokenHash> {
        self.state().token.as_deref().map(TokenHash::of)
    }

    pub(super) fn take_token(&self) -> Option<String> {
        self.state().token.take()
    }

    /// A command wants the session in a room; `false` if that would be more than `limit`.
    pub(super) fn want(&self, room: &RoomName, limit: usize) -> bool {
        let mut state = self.state();
        if state.wanted.contains(room) {
            return true;
        }
        state.wanted.len() < limit && state.wanted.insert(room.clone())
    }

    /// A command wants the session out of a room; `false` if it was not in it.
    pub(super) fn want_no_more(&self, room: &RoomName) -> bool {
        self.state().wanted.remove(room)
    }

    /// Whether the session is in the room, or about to be, once all its commands so far are done.
    pub(super) fn wants(&self, room: &RoomName) -> bool {
        self.state().wanted.contains(room)
    }

    /// A command was not done: the room counts as it is.
    pub(super) fn undo(&self, room: &RoomName) {
        let mut state = self.state();
        if state.entered.contains(room) {
            state.wanted.insert(room.clone());
        } else {
            state.wanted.remove(room);
        }
    }

    /// The session is in a room, as the journal has it.
    pub(super) fn enter(&self, room: &RoomName) {
        self.state().entered.insert(room.clone());
    }

    /// The session has left a room, as the journal has it.
    pub(super) fn leave(&self, room: &RoomName) {
        self.state().entered.remove(room);
    }

    /// Takes all rooms that the session is in.
    pub(super) fn leave_all(&self) -> HashSet<RoomName> {
        std::mem::take(&mut self.state().entered)
    }

    pub(super) fn fail(&self, error: &SessionError) {
        self.state().failure = Some(error.to_string());
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.state().failure.take()
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
