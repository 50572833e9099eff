//! The rooms that someone is in: a topic to deliver by, and who is present.
//!
//! A room without anyone in it is not here and costs no memory; its log is in the database. Rooms
//! are entered and events delivered on the journal's thread alone, right after the commit, so that a
//! topic's head is the stored one whenever someone comes in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use madang::{Frame, Log, LogError, Page, PageFuture, RingLimits, Topic};
use rooms::{
    Change, Data, Event, Leave, Presence, PresenceSettings, Range, RoomName, ServerMessage,
    SessionId, Snapshot, Typing, TypingChange, User, Who,
};
use store::{LeftBehind, RoomHead};
use tokio::{runtime::Handle, sync::Notify, time::sleep_until};

use crate::{
    clock::{instant, now},
    reads::Reads,
};

/// Events in one page for sessions that are behind: as many as the places to which a topic rounds down
/// are apart, so that one page ends where the next begins.
const PAGE_EVENTS: u64 = 128;
/// Bytes of them.
const PAGE_BYTES: usize = 256 * 1024;

/// What it takes to start a killed server, about.
const START: Duration = Duration::from_millis(500);

/// All rooms that someone is in.
pub(crate) struct LiveRooms {
    rooms: Mutex<HashMap<RoomName, Arc<LiveRoom>>>,
    reads: Reads,
    ring: RingLimits,
    /// How long deliveries are gathered.
    window: Duration,
    presence: PresenceSettings,
    runtime: Handle,
}

/// One of them.
pub(crate) struct LiveRoom {
    name: RoomName,
    pub(crate) topic: Topic,
    present: Mutex<Present>,
    /// Something changed in `present`, so that what is to be told next may be due sooner.
    changed: Notify,
}

struct Present {
    presence: Presence,
    typing: Typing,
    /// Whether a task waits to tell the next change.
    telling: bool,
}

impl LiveRooms {
    /// Must be called on a tokio runtime, on which changes of presence are then told.
    pub(crate) fn new(
        reads: Reads,
        ring: RingLimits,
        window: Duration,
        presence: PresenceSettings,
    ) -> Arc<Self> {
        let runtime = Handle::current();
        Arc::new(Self {
            rooms: Mutex::default(),
            reads,
            ring,
            window,
            presence,
            runtime,
        })
    }

    /// Those who were in a room when the server stopped are present for a grace, as if their connections
    /// had just broken. They are told to have left when it has passed: a window before, and what starting
    /// takes, so that all is told within a grace of the kill.
    pub(crate) fn restore(self: &Arc<Self>, left: LeftBehind) {
        let before = self.presence.window + START;
        let grace = self.presence.grace.saturating_sub(before);
        let until = instant() + grace;
        let mut rooms = self.rooms();
        let room = self.entry(&mut rooms, &left.room, &left.head);
        let mut present = room.present();
        for (user, since) in left.users {
            present.presence.restore(user, since, until);
        }
        self.tell_changes(&room, &mut present);
    }

    /// A session comes into a room whose log reaches as far as `head` tells. `subscribe` is done
    /// with the room's presence at rest: what its snapshot lacks passes by after it.
    pub(crate) fn enter(
        self: &Arc<Self>,
        name: &RoomName,
        head: &RoomHead,
        session: SessionId,
        user: &User,
        subscribe: impl FnOnce(&Topic, Snapshot),
    ) {
        // Held until the session is in: a room without anyone in it may be dropped at any time.
        let mut rooms = self.rooms();
        let room = self.entry(&mut rooms, name, head);
        let mut present = room.present();
        present.presence.enter(session, user, now(), instant());
        subscribe(&room.topic, present.presence.snapshot());
        self.tell_changes(&room, &mut present);
    }

    /// The room, which is made if need be.
    fn entry(
        &self,
        rooms: &mut HashMap<RoomName, Arc<LiveRoom>>,
        name: &RoomName,
        head: &RoomHead,
    ) -> Arc<LiveRoom> {
        let new = || {
            Arc::new_cyclic(|room| {
                let log = StoredLog {
                    reads: self.reads.clone(),
                    name: name.clone(),
                    room: room.clone(),
                };
                let topic = Topic::new(head.head, self.ring, log);
                topic.set_window(self.window);
                LiveRoom {
                    name: name.clone(),
                    topic,
                    present: Mutex::new(Present {
                        presence: Presence::new(self.presence),
                        typing: Typing::default(),
                        telling: false,
                    }),
                    changed: Notify::new(),
                }
            })
        };
        rooms.entry(name.clone()).or_insert_with(new).clone()
    }

    /// A session leaves a room.
    pub(crate) fn leave(self: &Arc<Self>, name: &RoomName, session: SessionId, how: Leave) {
        let Some(room) = self.get(name) else { return };
        let mut present = room.present();
        present.presence.leave(session, instant(), how);
        if let Some(change) = present.typing.off(session) {
            room.tell_typing(change);
        }
        self.tell_changes(&room, &mut present);
    }

    /// A session's user types in a room, or does no more; `false` if the session is not in it.
    ///
    /// In a crowd nobody is seen typing, as nobody is named.
    pub(crate) fn typing(
        self: &Arc<Self>,
        name: &RoomName,
        session: SessionId,
        user: &User,
        on: bool,
    ) -> bool {
        let Some(room) = self.get(name) else {
            return false;
        };
        let mut present = room.present();
        let Present {
            presence, typing, ..
        } = &mut *present;
        if !presence.has(session) {
            return false;
        }
        let change = match on {
            true if presence.is_crowd() => None,
            true => typing.on(session, user, instant()),
            false => typing.off(session),
        };
        if let Some(change) = change {
            room.tell_typing(change);
        }
        self.tell_changes(&room, &mut present);
        true
    }

    /// Passes what a session tells to the others in a room; `false` if the session is not in it.
    pub(crate) fn signal(
        &self,
        room: RoomName,
        session: madang::SessionId,
        user: User,
        data: Data,
    ) -> bool {
        let Some(live) = self.get(&room) else {
            return false;
        };
        if !live.present().presence.has(u128::from(session).into()) {
            return false;
        }
        let message = ServerMessage::Signal { room, user, data };
        live.topic.pass(frame(&message), Some(session));
        true
    }

    /// A room's name as all share it who are in the room: each with a copy of their own, it would be memory
    /// of every session.
    pub(crate) fn shared(&self, name: RoomName) -> RoomName {
        self.get(&name).map_or(name, |live| live.name.clone())
    }

    /// The room, if someone is in it.
    pub(crate) fn get(&self, name: &RoomName) -> Option<Arc<LiveRoom>> {
        self.rooms().get(name).cloned()
    }

    /// Who is in a room now; `None` if nobody is.
    pub(crate) fn who(&self, name: &RoomName) -> Option<Who> {
        Some(self.get(name)?.present().presence.who())
    }

    /// Gives a stored event to everyone in its room: encoded once, here.
    pub(crate) fn deliver(&self, event: Event) {
        if let Some(room) = self.get(&event.room) {
            let seq = event.seq;
            room.topic.append(seq, frame(&ServerMessage::Event(event)));
        }
    }

    /// Sees to it that what changes is told when its time has come.
    fn tell_changes(self: &Arc<Self>, room: &Arc<LiveRoom>, present: &mut Present) {
        if present.telling {
            // It may wait for something later, such as the end of a grace.
            room.changed.notify_one();
        } else if present.next_due().is_some() {
            present.telling = true;
            self.runtime.spawn(tell(self.clone(), room.clone()));
        }
    }

    /// Forgets a room that nobody is in.
    fn drop_if_empty(&self, room: &LiveRoom) {
        let mut rooms = self.rooms();
        let empty = room.present().is_empty();
        if empty
            && rooms
                .get(&room.name)
                .is_some_and(|live| std::ptr::eq(&**live, room))
        {
            rooms.remove(&room.name);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomName, Arc<LiveRoom>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveRoom {
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_typing(&self, change: TypingChange) {
        let TypingChange { user, on, except } = change;
        let room = self.name.clone();
        let message = ServerMessage::Typing { room, user, on };
        let except = madang::SessionId::from(u128::from(except));
        self.topic.pass(frame(&message), Some(except));
    }
}

impl Present {
    fn next_due(&self) -> Option<Instant> {
        let dues = [self.presence.next_due(), self.typing.next_due()];
        dues.into_iter().flatten().min()
    }

    fn is_empty(&self) -> bool {
        self.presence.is_empty() && self.typing.is_empty()
    }
}

/// Tells who comes, goes and types in a room until there is nothing left to tell.
async fn tell(rooms: Arc<LiveRooms>, room: Arc<LiveRoom>) {
    while let Some(due) = next_due(&room) {
        tokio::select! {
            () = sleep_until(due.into()) => {}
            () = room.changed.notified() => {}
        }
        let mut present = room.present();
        for change in present.typing.tick(instant()) {
            room.tell_typing(change);
        }
        if let Some(change) = present.presence.tick(instant()) {
            let message = ServerMessage::Presence {
                room: room.name.clone(),
                change,
                reset: false,
            };
            room.topic.pass(frame(&message), None);
        }
    }
    rooms.drop_if_empty(&room);
}

/// When the next change is due. With none, the task that asks is about to end.
fn next_due(room: &LiveRoom) -> Option<Instant> {
    let mut present = room.present();
    let due = present.next_due();
    present.telling = due.is_some();
    due
}

/// A message of the server as the one frame that all its readers share.
pub(crate) fn frame(message: &ServerMessage) -> Frame {
    let mut json = message.to_json();
    // Of a room's frames many are kept, and a text that grew has half of its memory to spare.
    json.shrink_to_fit();
    Frame::text(json)
}

/// A room's log in the database, for sessions that are behind the topic's ring.
struct StoredLog {
    reads: Reads,
    name: RoomName,
    room: Weak<LiveRoom>,
}

impl Log for StoredLog {
    fn page(&self, after: u64, until: u64) -> PageFuture {
        let (reads, name) = (self.reads.clone(), self.name.clone());
        Box::pin(async move {
            let read = reads.read(move |readers| {
                readers.events_after(&name, after, PAGE_EVENTS.min(until - after), PAGE_BYTES)
            });
            let page = read.await.map_err(|error| LogError(error.to_string()))?;
            let mut events = page.map(|page| page.events).unwrap_or_default();
            // Behind `until` is what the topic has, or is about to have.
            events.retain(|event| event.seq <= until);
            let first = events.first().map_or(until + 1, |event| event.seq);
            // A hole among them would be told as a gap by the next page.
            let consecutive = (first..)
                .zip(events)
                .take_while(|(seq, event)| event.seq == *seq);
            let frames = consecutive.map(|(_, event)| frame(&ServerMessage::Event(event)));
            Ok(Page {
                first,
                frames: frames.collect(),
            })
        })
    }

    fn gap(&self, from: u64, to: u64) -> Frame {
        let room = self.name.clone();
        let range = Range { from, to };
        frame(&ServerMessage::Gap { room, range })
    }

    /// Who is present, for a session that missed how it came to be so.
    fn caught_up(&self) -> Option<Frame> {
        let room = self.room.upgrade()?;
        let Snapshot { count, users } = room.present().presence.snapshot();
        Some(frame(&ServerMessage::Presence {
            room: self.name.clone(),
            change: Change {
                joined: users,
                left: Vec::new(),
                count,
            },
            reset: true,
        }))
    }
}
