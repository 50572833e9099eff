//! WebSocket endpoints on tokio, beside your axum routes.
//!
//! An [`Endpoint`] says what happens when a client comes, speaks and leaves; a [`Session`] is one open
//! WebSocket; a [`Topic`] is what many sessions read. That is the whole library. Rooms that survive a
//! restart, users and presence are the business of the program of the same name, which is written on
//! nothing but this.
//!
//! # The first endpoint
//!
//! ```no_run
//! use madang::{Endpoint, Handshake, Message, Refusal, Server, Session};
//!
//! struct Echo;
//!
//! impl Endpoint for Echo {
//!     type Data = ();
//!
//!     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
//!         Ok(()) // everyone may come in
//!     }
//!
//!     async fn on_message(&self, session: &Session, message: Message) {
//!         let _ = session.send(message); // the session may have gone; there is nothing to do about it
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = Server::bind("127.0.0.1:9001").await?;
//!     server.endpoint("/echo", Echo).run().await
//! }
//! ```
//!
//! In a browser, `new WebSocket("ws://127.0.0.1:9001/echo")` is all it takes. The [`Server`] takes axum
//! routes beside its endpoints, speaks HTTP/1.1 and HTTP/2, with [TLS](Server::tls) or without, and
//! [ends](Server::run_until) gracefully. A [`Mount`] gives an endpoint several paths and
//! [`Settings`], and goes into a router that something else serves, too.
//!
//! # The life of a session
//!
//! 1. A client asks for a path at which an endpoint is [mounted](Mount). What is no valid handshake is
//!    refused before the endpoint hears of it.
//! 2. [`on_handshake`](Endpoint::on_handshake) sees the [request](Request), and either refuses with an
//!    HTTP answer or makes the session's data: who it is, which room it is for.
//! 3. [`on_open`](Endpoint::on_open), then [`on_message`](Endpoint::on_message) for each message, one after
//!    the other.
//! 4. [`on_close`](Endpoint::on_close), once and last, whatever happened: a close by either side, a
//!    broken connection, two heartbeats of silence, a panic in a callback. Where it was a fault,
//!    [`on_error`](Endpoint::on_error) comes right before it.
//!
//! ```
//! use axum::http::StatusCode;
//! use madang::{CloseCode, Closed, Endpoint, Handshake, Message, Refusal, Session};
//!
//! struct Greeter;
//!
//! struct Visitor {
//!     name: String,
//! }
//!
//! impl Endpoint for Greeter {
//!     type Data = Visitor;
//!
//!     async fn on_handshake(&self, handshake: &mut Handshake) -> Result<Visitor, Refusal> {
//!         match handshake.query_param("name") {
//!             Some(name) => Ok(Visitor { name: name.into_owned() }),
//!             None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "who are you? come with ?name=")),
//!         }
//!     }
//!
//!     async fn on_open(&self, session: &Session<Visitor>) {
//!         let _ = session.send(format!("안녕, {}", session.data().name));
//!     }
//!
//!     async fn on_message(&self, session: &Session<Visitor>, message: Message) {
//!         if message.as_text() == Some("bye") {
//!             session.close(CloseCode::NORMAL, "see you");
//!         }
//!     }
//!
//!     async fn on_close(&self, session: &Session<Visitor>, closed: &Closed) {
//!         println!("{} left: {}", session.data().name, closed.code);
//!     }
//! }
//!
//! // A test needs no socket:
//! use madang::{Mount, harness::{Failed, Harness}};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let harness = Harness::new(Mount::new(Greeter).at("/greet").into_router());
//! let mut visitor = harness.connect("/greet?name=%EB%A7%88%EB%8B%B9").await?;
//! assert_eq!(visitor.next_message().await, Some(Message::Text("안녕, 마당".into())));
//! assert!(matches!(harness.connect("/greet").await, Err(Failed::Refused(StatusCode::UNAUTHORIZED, _))));
//! # Ok::<(), Failed>(()) }).unwrap();
//! ```
//!
//! # Who may come in
//!
//! `on_handshake` sees everything that the client sent: [path parameters](Request::param), the
//! [query](Request::query_param), [headers](Request::header), the [address](Request::peer). It can
//! [check the origin](Handshake::check_origin), [choose a subprotocol](Handshake::choose_protocol), and
//! [bound this session](Handshake::settings_mut) otherwise than the others.
//!
//! # Messages
//!
//! A [`Message`] is text or bytes; [`Message::json`] reads it as a type of yours, and [`json`] writes one.
//! Messages that may be longer than memory [come in parts](Settings::in_parts).
//!
//! ```
//! use madang::{Endpoint, Handshake, Message, Refusal, Session, json};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(tag = "do", rename_all = "snake_case")]
//! enum Command {
//!     Add { a: i64, b: i64 },
//! }
//!
//! #[derive(serde::Serialize)]
//! #[serde(rename_all = "snake_case")]
//! enum Answer {
//!     Sum(i64),
//!     Error(String),
//! }
//!
//! struct Sums;
//!
//! impl Endpoint for Sums {
//!     type Data = ();
//!
//!     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//!
//!     async fn on_message(&self, session: &Session, message: Message) {
//!         let answer = match message.json() {
//!             Ok(Command::Add { a, b }) => Answer::Sum(a.saturating_add(b)),
//!             Err(error) => Answer::Error(error.to_string()), // says what, and where
//!         };
//!         let _ = json(&answer).map(|answer| session.send(answer));
//!     }
//! }
//!
//! # use madang::{Mount, harness::{Failed, Harness}};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let harness = Harness::new(Mount::new(Sums).at("/sums").into_router());
//! let mut visitor = harness.connect("/sums").await?;
//! visitor.send(r#"{"do":"add","a":2,"b":3}"#).await?;
//! assert_eq!(visitor.next_message().await, Some(Message::Text(r#"{"sum":5}"#.into())));
//! # Ok::<(), Failed>(()) }).unwrap();
//! ```
//!
//! # Sending
//!
//! [`Session::send`] works from any task and thread, keeps the order of each, and never waits: it
//! queues one frame, and the session's own task writes as many as there are in one write.
//! It fails in two ways only: the session is closed, or its bound on waiting bytes is reached.
//! [`send_all`](Session::send_all) sends all of several or none, [`flush`](Session::flush) waits until all is written.
//!
//! # Speaking to many
//!
//! What many sessions shall get goes to a [`Topic`]: encoded once, appended to a numbered log that
//! all subscribers read at their own pace. A slow session costs nothing but its cursor. When it falls
//! behind what the topic keeps in memory, it reads the topic's [`Log`] (a database, say) page by page,
//! or, where there is none, is told the gap.
//!
//! ```
//! use madang::{Endpoint, Frame, Handshake, Message, Refusal, RingLimits, Session, Start, Topic};
//!
//! struct Room {
//!     topic: Topic,
//! }
//!
//! impl Room {
//!     fn new() -> Self {
//!         let notice = |from, to| Frame::text(format!("messages {from} to {to} are gone"));
//!         Self { topic: Topic::in_memory(RingLimits::default(), notice) }
//!     }
//! }
//!
//! impl Endpoint for Room {
//!     type Data = ();
//!
//!     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//!
//!     async fn on_open(&self, session: &Session) {
//!         // Everything that is kept, and then whatever comes.
//!         let _ = session.subscribe(&self.topic, Start::After(0));
//!     }
//!
//!     async fn on_message(&self, _: &Session, message: Message) {
//!         self.topic.publish(message);
//!     }
//! }
//!
//! # use madang::{Mount, harness::{Failed, Harness}};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let harness = Harness::new(Mount::new(Room::new()).at("/room").into_router());
//! let (mut a, mut b) = (harness.connect("/room").await?, harness.connect("/room").await?);
//! a.send("hello, all").await?;
//! for visitor in [&mut a, &mut b] {
//!     assert_eq!(visitor.next_message().await, Some(Message::Text("hello, all".into())));
//! }
//! # Ok::<(), Failed>(()) }).unwrap();
//! ```
//!
//! # What is bounded, and how it ends
//!
//! | bound | [`Settings`] | what happens at it |
//! |---|---|---|
//! | an incoming message | `max_message` | closed with 1009, from the frame's header on; a compressed one while it is inflated |
//! | bytes waiting to be written | `max_outgoing` | `send` answers [`SendError::Full`], and `when_full` may close with 1013; from a quarter on, the session is not read |
//! | silence of the peer | `heartbeat`, twice | closed with 4008 |
//! | time without a message | `idle_timeout` | closed with 4008 |
//! | a close without an answer | `close_timeout` | the connection is dropped |
//! | a topic in memory | [`RingLimits`] | older events are read from the [`Log`] |
//! | connections, the time for a request, the end | [`Server`] | closed |
//!
//! An idle session holds no buffer: bytes are read into one buffer per thread and kept only while
//! a frame or message is incomplete. [Compression](Settings::compression) is agreed on without context
//! takeover (RFC 7692 §7.1.1), so that it costs an idle session nothing either.
//!
//! # What it is not
//!
//! It is no HTTP framework (that is [`axum`]'s part), no client, and has no protocol of its own above
//! WebSockets: acknowledgements, say, are yours to design. [`comparison`] tells what others give, and
//! which test shows each thing here. The protocol itself, without any input or output, is the
//! crate `websocket` below it.

#[cfg(doc)]
#[doc = include_str!("../COMPARISON.md")]
pub mod comparison {}
mod driver;
mod endpoint;
pub mod harness;
mod line;
mod message;
mod mount;
mod request;
mod server;
mod session;
mod sessions;
mod settings;
mod topic;

pub use endpoint::{Closed, Endpoint, Error, Side};
pub use message::{Message, Part, Text, json};
pub use mount::Mount;
pub use request::{BadHandshake, Handshake, Refusal, Request};
pub use server::{BadNetwork, Client, ForwardedHeader, Server, Tls, TlsError, TrustedProxies};
pub use session::{AnySession, SendError, Session, SessionId};
pub use sessions::Sessions;
pub use settings::{Compression, Settings, WhenFull};
pub use topic::{Log, LogError, Page, PageFuture, RingLimits, Start, Topic};
pub use websocket::{
    Close, CloseCode, Frame, Opcode, ProtocolError, handshake::server::HandshakeError,
};
