//! Drives endpoints without sockets, for tests.
//!
//! A visitor speaks the real protocol to the real driver over a pipe in memory, so a test sees what
//! a client would, and may pause tokio's clock to see heartbeats and timeouts at once.
//!
//! ```
//! # use madang::{Endpoint, Handshake, Message, Mount, Refusal, Session};
//! # struct Echo;
//! # impl Endpoint for Echo {
//! #     type Data = ();
//! #     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> { Ok(()) }
//! #     async fn on_message(&self, session: &Session, message: Message) { let _ = session.send(message); }
//! # }
//! use madang::harness::{Harness, Seen};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let harness = Harness::new(Mount::new(Echo).at("/echo").into_router());
//! let mut visitor = harness.connect("/echo").await?;
//! visitor.send("마당").await?;
//! assert_eq!(visitor.next().await, Seen::Message(Message::Text("마당".into())));
//! # Ok::<(), madang::harness::Failed>(()) }).unwrap();
//! ```

use std::io;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::{
    client::conn::http1::{SendRequest, handshake},
    server::conn::http1,
    upgrade::{self, Upgraded},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use websocket::{
    Close, Decoder, Deflate, Event, Limits, Opcode, Role, encode_masked,
    handshake::client::{Agreed, HandshakeError, Offer},
};

use crate::message::Message;

/// See [`Harness::pipe`].
const PIPE: usize = 64 * 1024;
/// Any key will do where no proxy can be confused (RFC 6455 §10.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const NONCE: [u8; 16] = *b"the sample nonce";

/// A server without sockets.
#[derive(Debug, Clone)]
pub struct Harness {
    router: Router,
    pipe: usize,
}

/// Why a visitor did not come in.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The server refused, with this status and body.
    #[error("refused with {0}: {1}")]
    Refused(StatusCode, String),
    /// The server's answer is no valid handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The path is none.
    #[error(transparent)]
    Path(#[from] http::uri::InvalidUri),
    /// HTTP went wrong.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The pipe is cut.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Harness {
    /// Serves `router` to visitors.
    pub fn new(router: Router) -> Self {
        Self { router, pipe: PIPE }
    }

    /// Bytes that each connection's pipe holds, in each direction: few, and whoever does not read
    /// is soon behind. 64 KiB by default.
    #[must_use]
    pub fn pipe(mut self, bytes: usize) -> Self {
        self.pipe = bytes;
        self
    }

    /// Opens a session at `path`, which may have a query.
    pub async fn connect(&self, path: &str) -> Result<Visitor, Failed> {
        self.connect_with(path, &[], &[]).await
    }

    /// Opens a session, offering `protocols` and sending `headers` too.
    pub async fn connect_with(
        &self,
        path: &str,
        protocols: &[&str],
        headers: &[(&'static str, &'static str)],
    ) -> Result<Visitor, Failed> {
        let uri: Uri = format!("ws://harness{path}").parse()?;
        let offer = Offer {
            nonce: NONCE,
            protocols,
            deflate: true,
        };
        let mut request = offer.request(&uri)?.map(|()| Empty::<Bytes>::new());
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        let mut sender = self.http().await?;
        let mut response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            return Err(Failed::Refused(
                status,
                String::from_utf8_lossy(&body).into_owned(),
            ));
        }
        let Agreed { protocol, deflate } = offer.verify(&response)?;
        let io = TokioIo::new(upgrade::on(&mut response).await?);
        let max_message = usize::MAX;
        let mut decoder = Decoder::new(Role::Client, Limits { max_message });
        if deflate.is_some() {
            decoder = decoder.inflating();
        }
        Ok(Visitor {
            io,
            decoder,
            unread: Vec::new(),
            protocol,
            deflate,
            answers_pings: true,
        })
    }

    /// An HTTP connection to the server.
    async fn http(&self) -> Result<SendRequest<Empty<Bytes>>, Failed> {
        let (near, far) = duplex(self.pipe);
        let service = TowerToHyperService::new(self.router.clone());
        let server = http1::Builder::new().serve_connection(TokioIo::new(far), service);
        tokio::spawn(server.with_upgrades());
        let (sender, connection) = handshake(TokioIo::new(near)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }
}

/// What a visitor is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A message.
    Message(Message),
    /// A ping; it has been answered, unless the visitor [plays dead](Visitor::play_dead).
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The server's close frame; it has been answered if the visitor had not closed first.
    Closed(Option<Close>),
    /// The end of the connection.
    HungUp,
}

/// A client in a test.
#[derive(Debug)]
pub struct Visitor {
    io: TokioIo<Upgraded>,
    decoder: Decoder,
    unread: Vec<u8>,
    protocol: Option<String>,
    deflate: Option<Deflate>,
    answers_pings: bool,
}

impl Visitor {
    /// The subprotocol agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Whether compression was agreed on (RFC 7692). A visitor always offers it, and compresses
    /// every message that shrinks.
    pub fn compresses(&self) -> bool {
        self.deflate.is_some()
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(Opcode::Text, text.as_bytes()).await
    }

    /// Sends a message or control frame.
    pub async fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        match self.deflate {
            Some(deflate) => deflate.encode_masked(opcode, payload, MASK, &mut bytes),
            None => encode_masked(opcode, payload, MASK, &mut bytes),
        }
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are, well-formed or not.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends a close frame; [`next`](Self::next) then shows the server's answer.
    pub async fn close(&mut self, close: &Close) -> io::Result<()> {
        self.send_frame(Opcode::Close, &close.payload()).await
    }

    /// From now on pings are not answered, as by a peer whose cable is pulled.
    pub fn play_dead(&mut self) {
        self.answers_pings = false;
    }

    /// Waits for what the server does next. Bytes that break the protocol show as [`Seen::HungUp`].
    pub async fn next(&mut self) -> Seen {
        loop {
            let mut input = self.unread.as_mut_slice();
            let event = self
                .decoder
                .receive(&mut input)
                .map(|event| event.map(Event::into_owned));
            let left = input.len();
            self.unread.drain(..self.unread.len() - left);
            match event {
                Ok(Some(event)) => return self.show(event).await,
                Ok(None) => {}
                Err(_) => return Seen::HungUp,
            }
            if !matches!(self.io.read_buf(&mut self.unread).await, Ok(1..)) {
                return Seen::HungUp;
            }
        }
    }

    /// Waits for the next message, past pings and pongs; `None` when there will be none.
    pub async fn next_message(&mut self) -> Option<Message> {
        loop {
            match self.next().await {
                Seen::Message(message) => return Some(message),
                Seen::Ping(_) | Seen::Pong(_) => {}
                Seen::Closed(_) | Seen::HungUp => return None,
            }
        }
    }

    async fn show(&mut self, event: Event<'static>) -> Seen {
        match event {
            // Parts are not asked for; whole messages are all that comes.
            Event::Text(text) | Event::TextPart { text, .. } => {
                Seen::Message(Message::Text(text.into_owned().into()))
            }
            Event::Binary(bytes) | Event::BinaryPart { bytes, .. } => {
                Seen::Message(Message::Binary(bytes.into_owned().into()))
            }
            Event::Pong(payload) => Seen::Pong(payload.into_owned().into()),
            Event::Ping(payload) => {
                if self.answers_pings {
                    // A server that has hung up shows at the next read.
                    let _ = self.send_frame(Opcode::Pong, &payload).await;
                }
                Seen::Ping(payload.into_owned().into())
            }
            Event::Close(close) => {
                let payload = close.as_ref().map(Close::payload).unwrap_or_default();
                let _ = self.send_frame(Opcode::Close, &payload).await;
                Seen::Closed(close)
            }
        }
    }
}
