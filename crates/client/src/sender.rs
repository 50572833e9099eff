use std::sync::Arc;

use serde::Serialize;
use websocket::{Close, Opcode};

use crate::Error;
use crate::shared::Shared;

/// The half of a [`Client`](crate::Client) that writes.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends one text message, and waits until the system has taken it.
    ///
    /// When dropped before its end, the message may not be sent at all or be sent later, but
    /// never in part.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once one of the two sides has closed; [`Error::Lost`].
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send(Opcode::Text, text.as_bytes()).await
    }

    /// Sends `value` as JSON in one text message, as [`send_text`](Self::send_text) does.
    ///
    /// # Errors
    ///
    /// As there, and [`Error::Json`].
    pub async fn send_json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        self.send(Opcode::Text, &serde_json::to_vec(value)?).await
    }

    /// Sends one binary message, as [`send_text`](Self::send_text) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send(Opcode::Binary, payload).await
    }

    /// Sends a close frame. The server answers with its own, which the receiver gives as its
    /// last [`Incoming::Closed`](crate::Incoming::Closed).
    ///
    /// # Errors
    ///
    /// As with [`send_text`](Self::send_text).
    pub async fn close(&mut self, close: Close) -> Result<(), Error> {
        self.begin_close(&close)?;
        self.shared.flush().await.map_err(Error::Lost)
    }

    /// Lets the close frame go out with the next write.
    pub(crate) fn begin_close(&mut self, close: &Close) -> Result<(), Error> {
        match self.shared.output().push_close(Some(close))? {
            true => Ok(()),
            false => Err(Error::Closed),
        }
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        // What a dropped call has left goes first, so that not more than one such is ever held.
        self.shared.flush().await.map_err(Error::Lost)?;
        {
            let mut output = self.shared.output();
            if !output.closing.may_send() {
                return Err(Error::Closed);
            }
            output.push(opcode, payload)?;
        }
        self.shared.flush().await.map_err(Error::Lost)
    }
}
