//! Reading the database without blocking the threads that serve connections.

use std::sync::Arc;

use rooms::{Error, ErrorCode};
use serde_json::json;
use store::{ReadError, Readers};
use tokio::sync::Semaphore;

/// Reads at one time: as many as there are connections, so that no thread waits for one.
const AT_ONCE: usize = 4;
/// Bytes of events in one page of a room's history, above one event.
pub(crate) const HISTORY_BYTES: usize = 256 * 1024;
/// When a client may try again after a failure of storage.
pub(crate) const RETRY_MS: u64 = 1_000;

/// The way to what is stored; cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    readers: Readers,
    permits: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(readers: Readers) -> Self {
        Self {
            readers,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Runs `read` on a thread that may block.
    ///
    /// The wait for a turn is a task of its own: a turn that is given to someone who is not asking
    /// for it just now, such as a session whose socket is full, would be lost to all others.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Readers) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Error> {
        let Self { readers, permits } = self.clone();
        let task = tokio::spawn(async move {
            let permit = permits.acquire_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                read(&readers)
            });
            read.await
        });
        let task = async { task.await.and_then(|read| read) };
        match task.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::error!(%error, "the database cannot be read");
                Err(unavailable())
            }
            Err(error) => {
                tracing::error!(%error, "a read ended badly");
                Err(Error::new(
                    ErrorCode::Internal,
                    "The server failed; it is in its log.",
                ))
            }
        }
    }
}

/// So many milliseconds and up to as many more, so that those who are refused at one time do not come
/// back at one time.
pub(crate) fn jittered(millis: u64) -> u64 {
    let mut bits = [0; 8];
    // Without random bits all come back together, which is no worse than before.
    let _ = getrandom::fill(&mut bits);
    millis + u64::from_le_bytes(bits) % millis.max(1)
}

/// The reason of a close with 1013: what was in the way, and when to come back.
pub(crate) fn overloaded(words: &str) -> String {
    json!({"retry_after_ms": jittered(RETRY_MS * 5), "message": words}).to_string()
}

/// Storage cannot take it now.
pub(crate) fn unavailable() -> Error {
    Error::new(
        ErrorCode::Unavailable,
        "Storage is not available now, and nothing was stored. Try again.",
    )
    .retry_after_ms(RETRY_MS)
}

/// There is no room of this name.
pub(crate) fn no_such_room(room: &rooms::RoomName) -> Error {
    let message = format!("There is no room '{room}'. Subscribing to it creates it.");
    Error::new(ErrorCode::NoSuchRoom, message)
}
