//! Messages: whole, in parts, compressed, as JSON, and their limits.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::net::SocketAddr;

use madang::{
    CloseCode, Compression, Endpoint, Frame, Handshake, Message, Mount, Opcode, Part, Refusal,
    RingLimits, Server, Session, Settings, Start, Topic,
    harness::{Harness, Seen, Visitor},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

const MAX_MESSAGE: usize = 1_000;
const THRESHOLD: usize = 100;

// In parts

#[tokio::test]
async fn text_in_parts_is_cut_between_characters() {
    let (harness, mut parts) = in_parts(MAX_MESSAGE);
    let mut visitor = harness.connect("/parts").await.unwrap();
    let frame = masked(0x81, "마당".as_bytes());
    // Behind the first character and two bytes of the second.
    let (start, end) = frame.split_at(frame.len() - 1);
    visitor.send_bytes(start).await.unwrap();
    assert_eq!(parts.recv().await.unwrap(), text_part("마", false));
    visitor.send_bytes(end).await.unwrap();
    assert_eq!(parts.recv().await.unwrap(), text_part("당", true));
}

#[tokio::test]
async fn the_last_of_fragments_alone_is_the_last_part() {
    let (harness, mut parts) = in_parts(MAX_MESSAGE);
    let mut visitor = harness.connect("/parts").await.unwrap();
    // A ping between them is none of theirs (RFC 6455 §5.4).
    for (first, payload) in [(0x01, "하나"), (0x89, "ping"), (0x00, "둘"), (0x80, "")] {
        let frame = masked(first, payload.as_bytes());
        visitor.send_bytes(&frame).await.unwrap();
    }
    assert_eq!(parts.recv().await.unwrap(), text_part("하나", false));
    assert_eq!(parts.recv().await.unwrap(), text_part("둘", false));
    assert_eq!(parts.recv().await.unwrap(), text_part("", true));
    assert_eq!(visitor.next().await, Seen::Pong("ping".into()));
}

#[tokio::test]
async fn a_message_in_parts_is_never_held_as_a_whole() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let (harness, mut parts) = in_parts(usize::MAX);
    let mut visitor = harness.connect("/parts").await.unwrap();
    let sending = tokio::spawn(async move {
        let payload = vec![7; LENGTH];
        visitor.send_frame(Opcode::Binary, &payload).await.unwrap();
        visitor
    });
    let mut length = 0;
    loop {
        let Part { data, last } = parts.recv().await.unwrap();
        // What is read at once is all that there is.
        assert!(data.as_bytes().len() <= 64 * 1024);
        length += data.as_bytes().len();
        if last {
            break;
        }
    }
    assert_eq!(length, LENGTH);
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn the_limit_holds_for_all_parts_together() {
    let (harness, mut parts) = in_parts(MAX_MESSAGE);
    let mut visitor = harness.connect("/parts").await.unwrap();
    let (most, rest) = (vec![b'x'; MAX_MESSAGE - 1], b"x".as_slice());
    for (first, payload) in [(0x02, &*most), (0x80, rest)] {
        visitor.send_bytes(&masked(first, payload)).await.unwrap();
        assert_eq!(parts.recv().await.unwrap().data.as_bytes(), payload);
    }
    for (first, payload) in [(0x02, &*most), (0x80, b"xx")] {
        visitor.send_bytes(&masked(first, payload)).await.unwrap();
    }
    assert!(!parts.recv().await.unwrap().last);
    assert_eq!(closed(&mut visitor).await, CloseCode::TOO_BIG);
    assert!(parts.is_empty());
}

#[tokio::test]
async fn in_parts_compression_is_declined() {
    let (harness, _) = in_parts(MAX_MESSAGE);
    assert!(!harness.connect("/parts").await.unwrap().compresses());
}

// Compressed

#[tokio::test]
async fn compression_is_agreed_on_where_the_settings_have_it() {
    let harness = Harness::new(Mount::new(Loud::new()).at("/loud").into_router());
    assert!(!harness.connect("/loud").await.unwrap().compresses());

    let harness = Harness::new(loud().into_router());
    let mut visitor = harness.connect("/loud").await.unwrap();
    assert!(visitor.compresses());
    visitor.send(&"가나다".repeat(50)).await.unwrap();
    assert_eq!(visitor.next_message().await, text("450 bytes"));
    visitor.send("say 500").await.unwrap();
    assert_eq!(visitor.next_message().await, text(&"x".repeat(500)));
}

#[tokio::test]
async fn messages_are_compressed_from_the_threshold_on() {
    let address = serve(loud()).await;
    let mut wire = Wire::connect(address, true).await;
    for (size, compressed) in [(THRESHOLD - 1, false), (THRESHOLD, true)] {
        wire.send(&format!("say {size}")).await;
        let (first, payload) = wire.frame().await;
        // RSV1 marks a compressed message (RFC 7692 §6).
        assert_eq!(first, if compressed { 0xC1 } else { 0x81 }, "{size}");
        assert_eq!(payload.len() < size, compressed, "{size}");
    }
}

#[tokio::test]
async fn a_broadcast_reaches_those_who_compress_and_those_who_do_not() {
    let address = serve(loud()).await;
    let mut wires = Vec::new();
    for compresses in [true, true, false] {
        let mut wire = Wire::connect(address, compresses).await;
        wire.send("subscribe").await;
        assert_eq!(wire.frame().await, (0x81, b"subscribed".to_vec()));
        wires.push(wire);
    }
    wires[0].send("publish 500").await;
    let (first, second) = (wires[0].frame().await, wires[1].frame().await);
    assert_eq!(first.0, 0xC1);
    assert!(first.1.len() < 100);
    assert_eq!(first, second);
    assert_eq!(wires[2].frame().await, (0x81, vec![b'x'; 500]));
}

#[tokio::test]
async fn a_compressed_message_is_limited_by_what_it_becomes() {
    let harness = Harness::new(loud().into_router());
    let mut visitor = harness.connect("/loud").await.unwrap();
    visitor.send(&"x".repeat(MAX_MESSAGE)).await.unwrap();
    assert_eq!(visitor.next_message().await, text("1000 bytes"));
    visitor.send(&"x".repeat(MAX_MESSAGE + 1)).await.unwrap();
    assert_eq!(closed(&mut visitor).await, CloseCode::TOO_BIG);
}

// As JSON

#[tokio::test]
async fn commands_come_and_answers_go_as_json() {
    let mut visitor = typed().await;
    for command in [r#"{"do":"add","a":2,"b":3}"#, r#"{"b":3,"a":2,"do":"add"}"#] {
        visitor.send(command).await.unwrap();
        let answer = visitor.next_message().await.unwrap();
        assert_eq!(answer.as_text(), Some(r#"{"sum":5}"#));
        assert_eq!(answer.json::<Answer>().unwrap(), Answer::Sum(5));
    }
    let (opcode, command) = (Opcode::Binary, br#"{"do":"add","a":-2,"b":-3}"#);
    visitor.send_frame(opcode, command).await.unwrap();
    assert_eq!(visitor.next_message().await, text(r#"{"sum":-5}"#));
}

#[tokio::test]
async fn what_is_wrong_with_json_is_told_with_its_place() {
    let mut visitor = typed().await;
    for (command, expected) in [
        (
            "{\"do\":\"add\",\n \"a\":2,}",
            "trailing comma at line 2 column 8",
        ),
        (r#"{"do":"add","a":2}"#, "missing field `b`"),
        (r#"{"do":"divide"}"#, "unknown variant `divide`"),
        (r#"{"do":"add","a":2,"b":3} and"#, "line 1 column 26"),
        ("", "line 1 column 0"),
    ] {
        visitor.send(command).await.unwrap();
        let answer = visitor.next_message().await.unwrap();
        let Answer::Error(error) = answer.json().unwrap() else {
            panic!("{command} is taken: {answer:?}")
        };
        assert!(error.contains(expected), "{command}: {error}");
    }
    let not_utf8 = b"{\"do\":\"\xff\"}";
    visitor.send_frame(Opcode::Binary, not_utf8).await.unwrap();
    let answer = visitor.next_message().await.unwrap();
    assert!(matches!(answer.json(), Ok(Answer::Error(_))), "{answer:?}");
}

// Limits of one session

#[tokio::test]
async fn a_session_can_have_limits_of_its_own() {
    let harness = Harness::new(loud().into_router());
    let own = MAX_MESSAGE / 10;
    let mut limited = harness.connect("/loud?most=100").await.unwrap();
    let mut other = harness.connect("/loud").await.unwrap();
    limited.send(&"x".repeat(own)).await.unwrap();
    assert_eq!(limited.next_message().await, text("100 bytes"));
    limited.send(&"x".repeat(own + 1)).await.unwrap();
    assert_eq!(closed(&mut limited).await, CloseCode::TOO_BIG);
    other.send(&"x".repeat(own + 1)).await.unwrap();
    assert_eq!(other.next_message().await, text("101 bytes"));
}

#[tokio::test]
async fn a_session_can_have_a_bound_of_its_own_on_what_waits() {
    let harness = Harness::new(loud().into_router());
    // Two bytes of a frame's 102 are its header.
    let mut narrow = harness.connect("/loud?waiting=101").await.unwrap();
    let mut wide = harness.connect("/loud?waiting=102").await.unwrap();
    for visitor in [&mut narrow, &mut wide] {
        visitor.send("say 100").await.unwrap();
        visitor.send("say 99").await.unwrap();
    }
    assert_eq!(narrow.next_message().await, text(&"x".repeat(99)));
    assert_eq!(wide.next_message().await, text(&"x".repeat(100)));
}

#[tokio::test]
async fn a_session_can_do_without_compression() {
    let harness = Harness::new(loud().into_router());
    assert!(!harness.connect("/loud?plain=").await.unwrap().compresses());
}

/// Hands on the parts that come.
struct Parts(mpsc::UnboundedSender<Part>);

impl Endpoint for Parts {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_part(&self, _: &Session, part: Part) {
        let _ = self.0.send(part);
    }

    async fn on_message(&self, _: &Session, message: Message) {
        panic!("a whole message: {message:?}");
    }
}

fn in_parts(max_message: usize) -> (Harness, mpsc::UnboundedReceiver<Part>) {
    let (sender, parts) = mpsc::unbounded_channel();
    let mut settings = Settings::default();
    settings.in_parts = true;
    settings.max_message = max_message;
    settings.compression = Some(Compression::default());
    let mount = Mount::new(Parts(sender)).at("/parts").settings(settings);
    (Harness::new(mount.into_router()), parts)
}

/// Says how long a message is, or does what it says.
struct Loud {
    topic: Topic,
}

impl Loud {
    fn new() -> Self {
        let gap = |_, _| Frame::text("gap");
        Self {
            topic: Topic::in_memory(RingLimits::default(), gap),
        }
    }
}

impl Endpoint for Loud {
    type Data = ();

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<(), Refusal> {
        let number = |name| Some(handshake.query_param(name)?.parse().unwrap());
        let (most, waiting) = (number("most"), number("waiting"));
        let plain = handshake.query_param("plain").is_some();
        let settings = handshake.settings_mut();
        settings.max_message = most.unwrap_or(settings.max_message);
        settings.max_outgoing = waiting.unwrap_or(settings.max_outgoing);
        if plain {
            settings.compression = None;
        }
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let words = message.as_text().unwrap();
        let x = |count: &str| "x".repeat(count.parse().unwrap());
        match words.split_once(' ') {
            // Where it does not fit, it is not sent.
            Some(("say", count)) => drop(session.send(x(count))),
            Some(("publish", count)) => drop(self.topic.publish(x(count))),
            None if words == "subscribe" => session
                .send_and_subscribe("subscribed", &self.topic, Start::Now)
                .unwrap(),
            _ => session.send(format!("{} bytes", words.len())).unwrap(),
        }
    }
}

fn loud() -> Mount<Loud> {
    let mut settings = Settings::default();
    settings.max_message = MAX_MESSAGE;
    let mut compression = Compression::default();
    compression.threshold = THRESHOLD;
    settings.compression = Some(compression);
    Mount::<Loud>::new(Loud::new())
        .at("/loud")
        .settings(settings)
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    Add { a: i64, b: i64 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Sum(i64),
    Error(String),
}

struct Typed;

impl Endpoint for Typed {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let answer = match message.json() {
            Ok(Command::Add { a, b }) => Answer::Sum(a + b),
            Err(error) => Answer::Error(error.to_string()),
        };
        session.send(madang::json(&answer).unwrap()).unwrap();
    }
}

async fn typed() -> Visitor {
    let harness = Harness::new(Mount::new(Typed).at("/typed").into_router());
    harness.connect("/typed").await.unwrap()
}

async fn serve(mount: Mount<Loud>) -> SocketAddr {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.mount(mount).run());
    address
}

/// A connection whose bytes are looked at.
struct Wire(TcpStream);

impl Wire {
    async fn connect(address: SocketAddr, compresses: bool) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let extensions = match compresses {
            true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            false => "",
        };
        let request = format!(
            "GET /loud HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        Self(socket)
    }

    async fn send(&mut self, text: &str) {
        let frame = masked(0x81, text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame: its first byte and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        let length = match self.0.read_u8().await.unwrap() {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        (first, payload)
    }
}

/// A frame of a client whose mask changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()).unwrap() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The code of the close that must come next.
async fn closed(visitor: &mut Visitor) -> CloseCode {
    match visitor.next().await {
        Seen::Closed(Some(close)) => close.code,
        other => panic!("no close but {other:?}"),
    }
}

fn text(text: &str) -> Option<Message> {
    Some(Message::Text(text.into()))
}

fn text_part(text: &str, last: bool) -> Part {
    let data = Message::Text(text.into());
    Part { data, last }
}
