//! WebSocket endpoints.
mod driver;
mod endpoint;
pub mod harness;
mod message;
mod mount;
mod request;
mod session;
mod sessions;
mod settings;
mod topic;

pub use endpoint::{Closed, Endpoint, Error, Side};
pub use message::Message;
pub use mount::Mount;
pub use request::{BadHandshake, Handshake, Refusal, Request};
pub use session::{AnySession, SendError, Session, SessionId};
pub use sessions::Sessions;
pub use settings::Settings;
pub use topic::{Log, LogError, Page, PageFuture, RingLimits, Start, Topic};
pub use websocket::{
    Close, CloseCode, Frame, Opcode, ProtocolError, handshake::server::HandshakeError,
};
