//! A Rust client of Madang: for the command line, the tests and the load tool.
//!
//! It opens one WebSocket over `ws://`, sends messages, and hands over what comes. Pings are
//! answered on the way. It deliberately does not reconnect, keep time, or know the commands of
//! Madang: those are JSON, sent with [`Client::send_json`].
//!
//! Start at [`Client::connect`]; [`Client::split`] lets one task write while another reads.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Client, Close, CloseCode, Incoming, Options};
//!
//! let mut client = Client::connect("ws://127.0.0.1:8080/ws/lobby", Options::default()).await?;
//! client.send_text(r#"{"type":"send","text":"안녕"}"#).await?;
//! while let Some(incoming) = client.next().await {
//!     match incoming? {
//!         Incoming::Text(text) => println!("{text}"),
//!         Incoming::Binary(_) => {}
//!         Incoming::Closed(close) => println!("closed: {}", close.code),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connect;
mod error;
mod receiver;
mod sender;
mod shared;

pub use connect::Options;
pub use error::{ConnectError, Error};
pub use receiver::{Incoming, Receiver};
pub use sender::Sender;
pub use websocket::{Close, CloseCode};

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

/// How long the closing handshake may take before the socket is closed without it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// One open WebSocket.
///
/// Dropping it cuts the connection; [`close`](Self::close) says good-bye first.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
}

impl Client {
    /// Opens the WebSocket at `url`, as `ws://host:port/path?query`.
    ///
    /// # Errors
    ///
    /// A [`ConnectError`] that names the cause, a refusal with its status and body among them.
    pub async fn connect(url: &str, options: Options) -> Result<Self, ConnectError> {
        connect::connect(url, options).await
    }

    /// See [`Sender::send_text`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.sender.send_text(text).await
    }

    /// See [`Sender::send_json`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        self.sender.send_json(value).await
    }

    /// See [`Sender::send_binary`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_binary(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sender.send_binary(payload).await
    }

    /// See [`Receiver::next`].
    pub async fn next(&mut self) -> Option<Result<Incoming, Error>> {
        self.receiver.next().await
    }

    /// Closes, and waits until the server has closed too. Messages that come meanwhile are
    /// dropped. Gives what the server answered.
    ///
    /// # Errors
    ///
    /// [`Error::CloseTimeout`] when it takes longer than 5 s; [`Error::Closed`] when the end was
    /// told before; any other when the connection ends otherwise.
    pub async fn close(mut self, close: Close) -> Result<Close, Error> {
        self.sender.begin_close(&close)?;
        let answer = async {
            while let Some(incoming) = self.receiver.next().await {
                if let Incoming::Closed(theirs) = incoming? {
                    return Ok(theirs);
                }
            }
            Err(Error::Closed)
        };
        let answer = timeout(CLOSE_TIMEOUT, answer)
            .await
            .unwrap_or(Err(Error::CloseTimeout))?;
        // RFC 6455 §7.1.1: it is the server that closes the socket first.
        let _ = timeout(CLOSE_TIMEOUT, self.receiver.until_end()).await;
        Ok(answer)
    }

    /// Two halves, so that one task may write while another reads. Pings are answered as long
    /// as the receiver is read.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}
