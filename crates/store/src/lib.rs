//! Madang's memory: rooms, their logs, the register of sessions and calls, in one SQLite file.
//!
//! One [`Store`] writes. It owns the only connection that may, lives on one thread, and takes what
//! is to be written in batches: [`Store::commit`] is one transaction and one `fsync`, however many
//! [`Write`]s it holds. Any number of threads read through [`Readers`]. Both block; neither knows
//! of tokio.
//!
//! What it is not: it decides nothing that a user could be refused for, save what only the
//! file can know (does the room exist, was this key used before). Values come in checked, as the
//! types of `rooms`, and go out as they came in.
//!
//! [`backup`], [`restore`] and [`check`] work on the file as a whole.
//!
//! Start with [`Store::open`] and [`Store::commit`]; the schema is in `migrations/sqlite`, with a
//! comment wherever a column's name does not say it all.
//!
//! ```
//! # extern crate madang_store as store;
//! use rooms::{Page, RoomName, SessionId, Timestamp};
//! use store::{Outcome, Store, Write};
//!
//! # let folder = tempfile::tempdir()?;
//! let now = Timestamp::from(std::time::SystemTime::now());
//! let (mut store, readers, _) = Store::open(folder.path(), now)?;
//!
//! let (session, room) = (SessionId::new(now, 1), RoomName::parse("마당")?);
//! let subscribe = Write::Subscribe { session, room: room.clone(), create: true, at: now };
//! let outcomes = store.commit(&[subscribe])?;
//! assert!(matches!(&outcomes[..], [Outcome::Subscribed(head)] if head.head == 0));
//!
//! let page = readers.history(&room, Page::new(None, None, None)?, 64 * 1024)?;
//! assert!(page.is_some_and(|page| page.events.is_empty()));
//! store.close(now)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod calls;
mod check;
mod commit;
mod error;
mod history;
mod open;
mod readers;
mod register;
mod retention;
mod room;
mod row;
#[cfg(test)]
mod testing;
mod token;
mod wal;
mod write;

pub use backup::{Restored, backup, restore};
pub use calls::{CallRow, OpenCall};
pub use check::{Report, check};
pub use commit::Store;
pub use error::{CommitError, FileError, OpenError, ReadError};
pub use history::HistoryPage;
pub use open::Recovery;
pub use readers::Readers;
pub use register::{
    Closed, LeftBehind, RoomKind, RoomSummary, SessionFilter, SessionRow, SessionState, UserRow,
};
pub use retention::{Keep, Retention, Swept};
pub use room::RoomHead;
pub use token::{TokenHash, guest_token};
pub use write::{Outcome, Write};
