//! What the WebSocket endpoint and the REST interface share.

use std::sync::Arc;

use rooms::{Content, Error, ErrorCode, Key, RoomName, Seq, Timestamp, User, Who};
use store::{Outcome, Write};
use tokio::sync::watch;

use crate::{
    admin::AdminToken,
    calls::Desk,
    clock::now,
    config::Config,
    journal::Journal,
    live::LiveRooms,
    reads::{Reads, no_such_room, unavailable},
    turns::Turns,
};

/// The server's parts.
pub(crate) struct Yard {
    pub(crate) config: Config,
    pub(crate) admin: AdminToken,
    pub(crate) journal: Journal,
    pub(crate) reads: Reads,
    pub(crate) live: Arc<LiveRooms>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) turns: Turns,
    /// Whether the server ends: no request of HTTP waits for anything from then on.
    pub(crate) ending: watch::Sender<bool>,
}

/// Where a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    /// Whether it was stored before, under the same key.
    pub(crate) duplicate: bool,
}

impl Yard {
    /// Stores a message, delivers it to its room, and then tells `done`, in that order.
    pub(crate) fn say(
        &self,
        room: RoomName,
        from: User,
        key: Option<Key>,
        content: Content,
        done: impl FnOnce(Result<Stored, Error>) + Send + 'static,
    ) {
        let live = self.live.clone();
        let write = Write::Append {
            room: room.clone(),
            from,
            key,
            content,
            at: now(),
        };
        self.journal.submit(write, move |outcome| {
            done(match outcome {
                Ok(Outcome::Appended(event)) => {
                    let stored = Stored {
                        seq: event.seq,
                        at: event.at,
                        duplicate: false,
                    };
                    live.deliver(event);
                    Ok(stored)
                }
                Ok(Outcome::Duplicate { seq, at }) => Ok(Stored {
                    seq,
                    at,
                    duplicate: true,
                }),
                Ok(Outcome::Conflict { seq }) => {
                    let message = format!(
                        "The key was used for another message, number {seq}, in the last 24 hours. \
                         Use a new key for each message."
                    );
                    Err(Error::new(ErrorCode::Conflict, message))
                }
                Ok(Outcome::NoSuchRoom) => Err(no_such_room(&room)),
                Ok(_) | Err(_) => Err(unavailable()),
            });
        });
    }

    /// Who is in a room now.
    pub(crate) async fn who(&self, room: &RoomName) -> Result<Who, Error> {
        if let Some(who) = self.live.who(room) {
            return Ok(who);
        }
        let name = room.clone();
        match self
            .reads
            .read(move |readers| readers.room_head(&name))
            .await?
        {
            Some(_) => Ok(Who {
                count: 0,
                users: Vec::new(),
            }),
            None => Err(no_such_room(room)),
        }
    }
}
