use std::io;
use std::mem;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;
use websocket::{Close, CloseCode, Decoder, Event};

use crate::shared::Shared;
use crate::{CLOSE_TIMEOUT, Error};

/// Most bytes that are read at once.
const READ_SIZE: usize = 16 * 1024;

/// What comes from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The server has closed, or has answered our close. Nothing follows. The code is
    /// [`CloseCode::NO_STATUS`] when the server gave none.
    Closed(Close),
}

/// The half of a [`Client`](crate::Client) that reads.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    decoder: Decoder,
    /// What was read; it is decoded up to `decoded`. It has no memory while nothing comes.
    buffer: Vec<u8>,
    decoded: usize,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Open,
    /// It is over; this is still to be told, after our last frame is written.
    Ending(Result<Close, Error>),
    Ended,
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>, decoder: Decoder, read: Vec<u8>) -> Self {
        Self {
            shared,
            decoder,
            buffer: read,
            decoded: 0,
            progress: Progress::Open,
        }
    }

    /// The next message; then how it ended, once, [`Incoming::Closed`] or an error; then `None`.
    ///
    /// Pings are answered and a close of the server is too. It may be dropped at any time, as
    /// `select!` does, without a loss.
    pub async fn next(&mut self) -> Option<Result<Incoming, Error>> {
        while let Progress::Open = self.progress {
            match self.decode() {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) => {}
                Err(error) => self.progress = Progress::Ending(Err(error)),
            }
            if let Progress::Open = self.progress
                && let Err(error) = self.read().await
            {
                self.shared.output().closing.lost();
                self.progress = Progress::Ending(Err(Error::Lost(error)));
            }
        }
        if let Progress::Ending(_) = self.progress {
            // The server may be gone; then there is nobody to tell.
            let _ = timeout(CLOSE_TIMEOUT, self.shared.flush()).await;
        }
        match mem::replace(&mut self.progress, Progress::Ended) {
            Progress::Ending(end) => Some(end.map(Incoming::Closed)),
            Progress::Open | Progress::Ended => None,
        }
    }

    /// Reads and drops until the server closes the socket.
    pub(crate) async fn until_end(&mut self) {
        while self.read().await.is_ok() {}
    }

    /// The next message of what was read, if there is a whole one.
    fn decode(&mut self) -> Result<Option<Incoming>, Error> {
        loop {
            let mut input = &mut self.buffer[self.decoded..];
            let event = self.decoder.receive(&mut input);
            let left = input.len();
            let message = match event {
                // Parts are not asked for; whole messages are all that comes.
                Ok(Some(Event::Text(text) | Event::TextPart { text, .. })) => {
                    Some(Incoming::Text(text.into_owned()))
                }
                Ok(Some(Event::Binary(bytes) | Event::BinaryPart { bytes, .. })) => {
                    Some(Incoming::Binary(bytes.into_owned()))
                }
                Ok(Some(Event::Ping(payload))) => {
                    self.shared.output().answer_ping(payload.into_owned());
                    // Each is answered while the socket takes it. An error shows in reading too.
                    let _ = self.shared.write();
                    None
                }
                Ok(Some(Event::Pong(_))) => None,
                Ok(Some(Event::Close(theirs))) => {
                    self.progress = Progress::Ending(Ok(answer_close(&self.shared, theirs)?));
                    return Ok(None);
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.shared.output().push_close(Some(&error.close()))?;
                    return Err(error.into());
                }
            };
            self.decoded = self.buffer.len() - left;
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Waits for more, with the buffer all decoded; writes meanwhile what is to be written.
    async fn read(&mut self) -> io::Result<()> {
        // A socket that always has something to read must not keep other tasks from running.
        consume_budget().await;
        loop {
            self.buffer.clear();
            self.decoded = 0;
            self.buffer.reserve(READ_SIZE);
            match self.shared.socket.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.buffer = Vec::new();
            // An error of writing shows in reading too, after what is there to be read.
            let interest = match self.shared.write() {
                Ok(false) => Interest::READABLE | Interest::WRITABLE,
                Ok(true) | Err(_) => Interest::READABLE,
            };
            self.shared.socket.ready(interest).await?;
        }
    }
}

/// Answers the server's close frame, if it is not itself an answer. Gives how it ended.
fn answer_close(shared: &Shared, theirs: Option<Close>) -> Result<Close, Error> {
    let mut output = shared.output();
    output.closing.receive(theirs.clone());
    let answer = output.closing.answer();
    output.push_close(answer.as_ref())?;
    Ok(theirs.unwrap_or_else(|| Close::new(CloseCode::NO_STATUS, "")))
}
