//! Us and the others behind one face.

use bytes::BytesMut;
use futures_util::{FutureExt, SinkExt, StreamExt};
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{error::CloseReason, frame};
use tokio_tungstenite::tungstenite::{
    self, WebSocket,
    protocol::{
        CloseFrame, WebSocketConfig,
        frame::{
            Frame as TheirFrame,
            coding::{Data, OpCode},
        },
    },
};
use websocket::{Close, CloseCode, Decoder, Event, Frame, Limits, Opcode, Role, encode_masked};

use crate::wire::Wire;

/// Most bytes of a message, for everyone.
pub(crate) const LIMIT: usize = 1000;

/// A message or control frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The last that is said.
    Close(Option<(u16, String)>),
}

/// How listening ended, if not with a close frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// Nothing was wrong.
    Fine,
    /// The connection fails with this close code.
    Refused(u16),
}

/// What one heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) said: Vec<Said>,
    pub(crate) end: End,
}

impl Heard {
    pub(crate) fn fine(said: &[Said]) -> Self {
        Self {
            said: said.to_vec(),
            end: End::Fine,
        }
    }

    fn gather(mut next: impl FnMut() -> Result<Option<Said>, u16>) -> Self {
        let mut said = Vec::new();
        let end = loop {
            match next() {
                Ok(Some(more)) => {
                    said.push(more);
                    // What follows a close frame counts for nobody.
                    if matches!(said.last(), Some(Said::Close(_))) {
                        break End::Fine;
                    }
                }
                Ok(None) => break End::Fine,
                Err(code) => break End::Refused(code),
            }
        };
        Self { said, end }
    }
}

/// Someone who speaks WebSocket.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What it hears as this role.
    pub(crate) hear: fn(Role, &[u8]) -> Heard,
    /// What it writes as this role. Messages are cut into fragments of so many bytes, with pings between
    /// them where it can.
    pub(crate) write: Write,
}

/// Bytes, and what has to be heard of them.
type Written = (Vec<u8>, Vec<Said>);
type Write = fn(Role, &[Said], usize) -> Written;

pub(crate) const OTHERS: [Peer; 3] = [
    Peer {
        name: "tungstenite",
        hear: tungstenite_hears,
        write: tungstenite_writes,
    },
    Peer {
        name: "tokio-websockets",
        hear: tokio_websockets_hears,
        write: tokio_websockets_writes,
    },
    Peer {
        name: "sockudo-ws",
        hear: sockudo_hears,
        write: sockudo_writes,
    },
];

pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// The role at the other end.
pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

/// Between fragments, where one can write it.
const PING: &[u8] = b"between";

pub(crate) fn we_hear(role: Role, bytes: &[u8]) -> Heard {
    let limits = Limits { max_message: LIMIT };
    listen(Decoder::new(role, limits), bytes)
}

pub(crate) fn listen(mut decoder: Decoder, bytes: &[u8]) -> Heard {
    let mut bytes = bytes.to_vec();
    let mut input = bytes.as_mut_slice();
    Heard::gather(|| match decoder.receive(&mut input) {
        Ok(event) => Ok(event.map(|event| match event {
            Event::Text(text) => Said::Text(text.into_owned()),
            Event::Binary(bytes) => Said::Binary(bytes.into_owned()),
            Event::Ping(payload) => Said::Ping(payload.into_owned()),
            Event::Pong(payload) => Said::Pong(payload.into_owned()),
            Event::Close(close) => Said::Close(close.map(|close| (close.code.get(), close.reason))),
            Event::TextPart { .. } | Event::BinaryPart { .. } => unreachable!("nobody asked"),
        })),
        Err(error) => Err(error.close().code.get()),
    })
}

pub(crate) fn we_write(role: Role, said: &[Said]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for said in said {
        let (opcode, payload, frame) = match said {
            Said::Text(text) => (Opcode::Text, text.clone().into(), Frame::text(&**text)),
            Said::Binary(bytes) => (Opcode::Binary, bytes.clone(), Frame::binary(bytes.clone())),
            Said::Ping(payload) => (Opcode::Ping, payload.clone(), Frame::ping(payload)),
            Said::Pong(payload) => (Opcode::Pong, payload.clone(), Frame::pong(payload)),
            Said::Close(close) => {
                let close = close
                    .as_ref()
                    .map(|(code, reason)| Close::new(CloseCode::new(*code), reason));
                let payload = close.as_ref().map(Close::payload).unwrap_or_default();
                (Opcode::Close, payload, Frame::close(close.as_ref()))
            }
        };
        match role {
            Role::Server => bytes.extend(frame.to_bytes()),
            Role::Client => encode_masked(opcode, &payload, [0x37, 0xFA, 0x21, 0x3D], &mut bytes),
        }
    }
    bytes
}

fn tungstenite(role: Role, input: &[u8]) -> WebSocket<Wire> {
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT));
    WebSocket::from_raw_socket(Wire::new(input), role, Some(config))
}

fn tungstenite_hears(role: Role, bytes: &[u8]) -> Heard {
    use tungstenite::{Error, Message};

    let mut socket = tungstenite(role, bytes);
    Heard::gather(|| match socket.read() {
        Ok(Message::Text(text)) => Ok(Some(Said::Text(text.to_string()))),
        Ok(Message::Binary(bytes)) => Ok(Some(Said::Binary(bytes.to_vec()))),
        Ok(Message::Ping(payload)) => Ok(Some(Said::Ping(payload.to_vec()))),
        Ok(Message::Pong(payload)) => Ok(Some(Said::Pong(payload.to_vec()))),
        // So it tells of a code that must not be sent, and closes with this one.
        Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
            Err(close.code.into())
        }
        Ok(Message::Close(close)) => {
            Ok(Some(Said::Close(close.map(|close| {
                (close.code.into(), close.reason.to_string())
            }))))
        }
        Ok(Message::Frame(_)) => unreachable!("it is never read"),
        Err(Error::Io(_)) => Ok(None),
        Err(Error::Utf8(_)) => Err(1007),
        Err(Error::Capacity(_)) => Err(1009),
        Err(_) => Err(1002),
    })
}

fn tungstenite_writes(role: Role, said: &[Said], fragment: usize) -> Written {
    use tungstenite::Message;

    let mut socket = tungstenite(role, b"");
    let mut heard = Vec::new();
    for said in said {
        let mut send = |kind: Data, payload: &[u8]| {
            for (opcode, piece, last) in fragments(kind, payload, fragment) {
                let frame = TheirFrame::message(piece.to_vec(), OpCode::Data(opcode), last);
                socket.send(Message::Frame(frame)).unwrap();
                if !last {
                    socket.send(Message::Ping(PING.into())).unwrap();
                    heard.push(Said::Ping(PING.into()));
                }
            }
        };
        match said {
            Said::Text(text) => send(Data::Text, text.as_bytes()),
            Said::Binary(bytes) => send(Data::Binary, bytes),
            Said::Ping(payload) => socket.send(Message::Ping(payload.clone().into())).unwrap(),
            Said::Pong(payload) => socket.send(Message::Pong(payload.clone().into())).unwrap(),
            Said::Close(close) => {
                let close = close.clone().map(|(code, reason)| CloseFrame {
                    code: code.into(),
                    reason: reason.into(),
                });
                socket.send(Message::Close(close)).unwrap();
            }
        }
        heard.push(said.clone());
    }
    (std::mem::take(&mut socket.get_mut().written), heard)
}

/// A message in pieces of so many bytes: the first of its kind, the rest continuations.
fn fragments(kind: Data, payload: &[u8], size: usize) -> impl Iterator<Item = (Data, &[u8], bool)> {
    let count = payload.len().div_ceil(size).max(1);
    (0..count).map(move |index| {
        let (start, end) = (index * size, ((index + 1) * size).min(payload.len()));
        let kind = if index == 0 { kind } else { Data::Continue };
        (kind, &payload[start..end], index + 1 == count)
    })
}

fn tokio_websockets(
    role: Role,
    input: &[u8],
    fragment: usize,
) -> tokio_websockets::WebSocketStream<Wire> {
    use tokio_websockets::{ClientBuilder, Config, ServerBuilder};

    let limits = tokio_websockets::Limits::default().max_payload_len(Some(LIMIT));
    let config = Config::default().frame_size(fragment);
    let wire = Wire::new(input);
    match role {
        Role::Server => ServerBuilder::new()
            .limits(limits)
            .config(config)
            .serve(wire),
        Role::Client => ClientBuilder::new()
            .limits(limits)
            .config(config)
            .take_over(wire),
    }
}

fn tokio_websockets_hears(role: Role, bytes: &[u8]) -> Heard {
    use tokio_websockets::{Error, proto::ProtocolError};

    let mut socket = tokio_websockets(role, bytes, LIMIT);
    Heard::gather(|| match socket.next().now_or_never() {
        None | Some(None) => Ok(None),
        Some(Some(Ok(message))) => Ok(Some(if message.is_text() {
            // It is not always UTF-8: see `verdicts`.
            Said::Text(String::from_utf8_lossy(message.as_payload()).into_owned())
        } else if let Some((code, reason)) = message.as_close() {
            let empty = message.as_payload().is_empty();
            Said::Close((!empty).then(|| (code.into(), reason.to_owned())))
        } else if message.is_ping() {
            Said::Ping(message.into_payload().to_vec())
        } else if message.is_pong() {
            Said::Pong(message.into_payload().to_vec())
        } else {
            Said::Binary(message.into_payload().to_vec())
        })),
        Some(Some(Err(Error::Protocol(ProtocolError::InvalidUtf8)))) => Err(1007),
        Some(Some(Err(Error::PayloadTooLong { .. }))) => Err(1009),
        Some(Some(Err(_))) => Err(1002),
    })
}

fn tokio_websockets_writes(role: Role, said: &[Said], fragment: usize) -> Written {
    use tokio_websockets::Message;

    let mut socket = tokio_websockets(role, b"", fragment);
    for said in said {
        let message = match said {
            Said::Text(text) => Message::text(text.clone()),
            Said::Binary(bytes) => Message::binary(bytes.clone()),
            Said::Ping(payload) => Message::ping(payload.clone()),
            Said::Pong(payload) => Message::pong(payload.clone()),
            Said::Close(None) => Message::close(None, ""),
            Said::Close(Some((code, reason))) => {
                Message::close(Some((*code).try_into().unwrap()), reason)
            }
        };
        socket.send(message).now_or_never().unwrap().unwrap();
    }
    (std::mem::take(&mut socket.get_mut().written), said.to_vec())
}

pub(crate) fn sockudo_role(role: Role) -> sockudo_ws::Role {
    match role {
        Role::Server => sockudo_ws::Role::Server,
        Role::Client => sockudo_ws::Role::Client,
    }
}

fn sockudo_hears(role: Role, bytes: &[u8]) -> Heard {
    let mut protocol = Protocol::new(sockudo_role(role), LIMIT, LIMIT);
    let mut messages = Vec::new();
    let processed = protocol.process_into(&mut bytes.into(), &mut messages);
    sockudo_heard(messages, processed)
}

pub(crate) fn sockudo_heard(
    messages: Vec<sockudo_ws::Message>,
    processed: sockudo_ws::Result<()>,
) -> Heard {
    use sockudo_ws::{Error, Message};

    let mut messages = messages.into_iter();
    Heard::gather(|| match (messages.next(), &processed) {
        (Some(message), _) => Ok(Some(match message {
            Message::Text(text) => Said::Text(String::from_utf8(text.into()).unwrap()),
            Message::Binary(bytes) => Said::Binary(bytes.into()),
            Message::Ping(payload) => Said::Ping(payload.into()),
            Message::Pong(payload) => Said::Pong(payload.into()),
            Message::Close(close) => Said::Close(close.map(|close| (close.code, close.reason))),
        })),
        (None, Ok(())) => Ok(None),
        (None, Err(Error::InvalidUtf8 | Error::Compression(_))) => Err(1007),
        (None, Err(Error::MessageTooLarge | Error::FrameTooLarge)) => Err(1009),
        (None, Err(_)) => Err(1002),
    })
}

fn sockudo_writes(role: Role, said: &[Said], fragment: usize) -> Written {
    use sockudo_ws::{Message, OpCode, mask::generate_mask};

    let mut protocol = Protocol::new(sockudo_role(role), LIMIT, LIMIT);
    let mut bytes = BytesMut::new();
    let mut heard = Vec::new();
    for said in said {
        let (kind, payload) = match said {
            Said::Text(text) => (Data::Text, text.as_bytes()),
            Said::Binary(bytes) => (Data::Binary, &**bytes),
            control => {
                protocol
                    .encode_message(&sockudo_message(control), &mut bytes)
                    .unwrap();
                heard.push(said.clone());
                continue;
            }
        };
        for (kind, piece, last) in fragments(kind, payload, fragment) {
            let opcode = match kind {
                Data::Text => OpCode::Text,
                Data::Binary => OpCode::Binary,
                _ => OpCode::Continuation,
            };
            let mask = (role == Role::Client).then(generate_mask);
            frame::encode_frame(&mut bytes, opcode, piece, last, mask);
            if !last {
                let ping = Message::Ping(PING.into());
                protocol.encode_message(&ping, &mut bytes).unwrap();
                heard.push(Said::Ping(PING.into()));
            }
        }
        heard.push(said.clone());
    }
    (bytes.into(), heard)
}

pub(crate) fn sockudo_message(said: &Said) -> sockudo_ws::Message {
    use sockudo_ws::Message;

    match said.clone() {
        Said::Text(text) => Message::text(text),
        Said::Binary(bytes) => Message::binary(bytes),
        Said::Ping(payload) => Message::ping(payload),
        Said::Pong(payload) => Message::pong(payload),
        Said::Close(close) => {
            Message::Close(close.map(|(code, reason)| CloseReason::new(code, reason)))
        }
    }
}
