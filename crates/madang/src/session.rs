//! A session: one open WebSocket, as its endpoint sees it.

mod batch;
mod bell;
mod outbox;
mod outgoing;
mod parcel;
mod tray;

use std::{
    any::Any,
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use bell::Bell;
pub use outbox::SendError;
pub(crate) use outbox::{Item, Outbox};
pub(crate) use outgoing::{BATCH_BYTES, Due, Fault, Offer, Outgoing};
pub(crate) use parcel::Parcel;
use tokio::sync::oneshot;
use websocket::{Close, CloseCode, Frame};

use crate::{
    request::Request,
    settings::Settings,
    topic::{Start, Topic},
};

/// Names a session: a ULID, so that later sessions sort after earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// A new id of now. Its last byte is the session's slot in its mount's register, so that the register finds
    /// it by its id; 72 random bits remain.
    pub(crate) fn generate(slot: u8) -> Self {
        let ulid = ulid::Ulid::generate().0;
        Self(ulid & !u128::from(u8::MAX) | u128::from(slot))
    }

    /// The slot that it was made for.
    pub(crate) fn slot(self) -> u8 {
        self.0 as u8
    }
}

impl From<SessionId> for u128 {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl From<u128> for SessionId {
    fn from(id: u128) -> Self {
        Self(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ulid::Ulid(self.0).fmt(f)
    }
}

/// One open WebSocket with the endpoint's own data `D` about it.
///
/// Cheap to clone; any task or thread may hold one and [`send`](Self::send): what one thread sends
/// keeps its order, and everything sent before the end is either written or dropped with the
/// connection. A session that has ended only ever answers [`SendError::Closed`].
pub struct Session<D: ?Sized = ()>(Arc<Inner<D>>);

/// A session whose data's type is not known: what topics and registers hold.
pub type AnySession = Session<dyn Any + Send + Sync>;

/// A session in a set, where it is found by its id: no key beside it, since the id is in the session.
pub(crate) struct ById(pub(crate) AnySession);

impl Borrow<SessionId> for ById {
    fn borrow(&self) -> &SessionId {
        &self.0.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

/// `data` comes last and may be unsized: one allocation serves both kinds of session.
struct Inner<D: ?Sized> {
    id: SessionId,
    request: Request,
    protocol: Option<Box<str>>,
    settings: Arc<Settings>,
    outbox: Outbox,
    bell: Bell,
    /// Taken by the task, by a round, or by who takes a tray away. Who waits for it does so while others only look:
    /// the last of them, and the task as it begins and ends.
    outgoing: Mutex<Outgoing>,
    data: D,
}

impl<D: Send + Sync + 'static> Session<D> {
    pub(crate) fn new(
        id: SessionId,
        request: Request,
        protocol: Option<Box<str>>,
        settings: Arc<Settings>,
        data: D,
    ) -> Self {
        Self(Arc::new(Inner {
            id,
            request,
            protocol,
            settings,
            outbox: Outbox::default(),
            bell: Bell::default(),
            outgoing: Mutex::default(),
            data,
        }))
    }

    /// The same session without its data's type.
    pub fn any(&self) -> AnySession {
        Session(self.0.clone() as Arc<Inner<dyn Any + Send + Sync>>)
    }

    /// Subscribes the session to a topic, or moves the place of its subscription.
    ///
    /// What was sent before this call reaches the peer before the topic's first frame, unless the
    /// subscription moves: then see [`send_and_subscribe`](Self::send_and_subscribe). The place is
    /// fixed now: nothing appended from here on is missed.
    pub fn subscribe(&self, topic: &Topic, start: Start) -> Result<(), SendError> {
        self.push_subscription(topic, start, None)
    }

    /// Sends a message and subscribes behind it, with nothing of the topic's between: also when
    /// the subscription moves, the next of its frames is that of the new place.
    pub fn send_and_subscribe(
        &self,
        message: impl Into<Frame>,
        topic: &Topic,
        start: Start,
    ) -> Result<(), SendError> {
        self.push_subscription(topic, start, Some(message.into()))
    }

    fn push_subscription(
        &self,
        topic: &Topic,
        start: Start,
        before: Option<Frame>,
    ) -> Result<(), SendError> {
        let (cursor, new) = topic.enter(self.any(), start);
        let subscribe = Item::Subscribe(topic.clone(), cursor);
        let pushed = match before {
            Some(frame) => self.push([Item::Frame(frame), subscribe]),
            None => self.push([subscribe]),
        };
        if pushed.is_err() && new {
            topic.leave(self.id());
        }
        pushed
    }
}

impl<D: ?Sized> Session<D> {
    /// The session's id, unique among all servers and times.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// What the endpoint's `on_handshake` made of the request; kept until `on_close` has ended.
    pub fn data(&self) -> &D {
        &self.0.data
    }

    /// The request that opened the session: path, parameters, query, headers.
    pub fn request(&self) -> &Request {
        &self.0.request
    }

    /// The path parameter `name`, percent-decoded: of `/chat/{room}`, `room`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.request.param(name)
    }

    /// The peer's address, where the server knows it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.request.peer()
    }

    /// The subprotocol that was agreed on (RFC 6455 §1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol.as_deref()
    }

    /// Sends a message. It never waits: the frame is queued and the connection's task writes it.
    ///
    /// The queue is bounded ([`Settings::max_outgoing`](crate::Settings::max_outgoing)): a frame that
    /// does not fit is refused as [`SendError::Full`], and the caller decides what that means.
    /// Messages for many are better [published](Topic::publish) to a topic.
    pub fn send(&self, message: impl Into<Frame>) -> Result<(), SendError> {
        self.push([Item::Frame(message.into())])
    }

    /// Sends several messages, all of them or none, with nothing of anybody else's between: they
    /// go out in as few writes as they fit in.
    pub fn send_all<M: Into<Frame>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), SendError> {
        // The caller's iterator runs before the outbox is locked, and no further than what fits.
        let most = self.settings().max_outgoing;
        let mut bytes = 0;
        let mut items = Vec::new();
        for message in messages {
            let item = Item::Frame(message.into());
            bytes += item.cost();
            items.push(item);
            if bytes > most {
                break;
            }
        }
        self.push(items)
    }

    /// Waits until everything that was sent before is written: handed to the system, which is
    /// not yet to have arrived. It waits on a session that is [full](SendError::Full), too: until there is
    /// room again.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the session has ended, or ends before.
    pub async fn flush(&self) -> Result<(), SendError> {
        let (done, flushed) = oneshot::channel();
        self.0.outbox.push_flush(done)?;
        self.wake();
        flushed.await.map_err(|_| SendError::Closed)
    }

    /// Sends a ping (RFC 6455 §5.5.2) with up to 125 bytes of payload, of which more are cut off.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.send(Frame::ping(&payload[..payload.len().min(125)]))
    }

    /// Ends a subscription; nothing of the topic is written after this call but what is on its way.
    pub fn unsubscribe(&self, topic: &Topic) {
        topic.leave(self.id());
        // On a session that has ended there is nothing left to end.
        let _ = self.push([Item::Unsubscribe(topic.clone())]);
    }

    /// Closes the session once everything sent before is written (RFC 6455 §7.1.2).
    ///
    /// `on_close` follows when the peer has answered, or has not within
    /// [`Settings::close_timeout`](crate::Settings::close_timeout). A reason of more than 123 bytes is cut.
    pub fn close(&self, code: CloseCode, reason: impl Into<String>) {
        // A session that is closing already keeps its first reason.
        self.0.outbox.close(Close::new(code, reason));
        self.wake();
    }

    /// Whether sending has ended: closed by either side, or broken.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closed()
    }

    fn push(&self, items: impl IntoIterator<Item = Item> + AsRef<[Item]>) -> Result<(), SendError> {
        let pushed = self.0.outbox.push(items, &self.0.settings);
        if pushed != Err(SendError::Closed) {
            // Full may mean closed.
            self.wake();
        }
        pushed
    }

    pub(crate) fn wake(&self) {
        self.0.bell.ring();
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.0.bell
    }
}

impl<D: ?Sized> Session<D> {
    /// The writing half, for the session's task; none while another has it, who then rings.
    pub(crate) fn outgoing(&self) -> Option<MutexGuard<'_, Outgoing>> {
        let is_away = match self.try_outgoing() {
            Some(outgoing) if !outgoing.is_away() => return Some(outgoing),
            outgoing => outgoing.is_some(),
        };
        if is_away {
            // It may be on the tray of this thread.
            tray::take_away();
        }
        let at_home = || self.try_outgoing().filter(|outgoing| !outgoing.is_away());
        at_home().or_else(|| {
            self.0.bell.want();
            at_home()
        })
    }

    /// The writing half at its beginning and end, when a round has it for a moment at the most.
    pub(crate) fn own_outgoing(&self) -> MutexGuard<'_, Outgoing> {
        let outgoing = self.0.outgoing.lock();
        outgoing.unwrap_or_else(PoisonError::into_inner)
    }

    /// The writing half, for a round of a topic; none while another has it.
    pub(crate) fn lend(&self) -> Option<Lent<'_>> {
        let outgoing = self.try_outgoing()?;
        Some(Lent {
            outgoing,
            _back: GivenBack(&self.0.bell),
        })
    }

    /// The writing half, which was away with a tray.
    fn take_back(&self) -> Lent<'_> {
        let mut outgoing = self.own_outgoing();
        outgoing.come_back();
        let _back = GivenBack(&self.0.bell);
        Lent { outgoing, _back }
    }

    fn try_outgoing(&self) -> Option<MutexGuard<'_, Outgoing>> {
        match self.0.outgoing.try_lock() {
            Ok(outgoing) => Some(outgoing),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A session's writing half while another than its task has it.
pub(crate) struct Lent<'s> {
    /// Dropped first.
    outgoing: MutexGuard<'s, Outgoing>,
    _back: GivenBack<'s>,
}

struct GivenBack<'s>(&'s Bell);

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        self.0.given_back();
    }
}

impl Deref for Lent<'_> {
    type Target = Outgoing;

    fn deref(&self) -> &Outgoing {
        &self.outgoing
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }
}

impl<D: ?Sized> Clone for Session<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: ?Sized> fmt::Debug for Session<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &format_args!("{}", self.0.id))
            .field("path", &self.0.request.path())
            .finish_non_exhaustive()
    }
}
