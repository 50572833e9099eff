//! Answers of many sessions at once over real connections, which leave on trays.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::{net::SocketAddr, sync::mpsc, thread, time::Duration};

use madang::{
    CloseCode, Endpoint, Frame, Handshake, Message, Mount, Refusal, RingLimits, Server, Session,
    Settings, Start, Topic,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Builder,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends back what it is sent, and has everyone read a topic in which some speak.
struct Echo {
    topic: Topic,
}

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        session.subscribe(&self.topic, Start::Now).unwrap();
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let text = message.as_text().unwrap().to_owned();
        if text.starts_with("all") {
            self.topic.publish(message);
            return;
        }
        if text.starts_with("wait") {
            sleep(Duration::from_millis(5)).await;
        }
        session.send(message).unwrap();
        if text.starts_with("flush") {
            session.flush().await.unwrap();
            session.send("flushed").unwrap();
        }
        if text.starts_with("bye") {
            session.close(CloseCode::NORMAL, "bye");
        }
    }
}

fn mount() -> Mount<Echo> {
    let mut settings = Settings::default();
    // A ping would wake a session that was forgotten.
    settings.heartbeat = Duration::from_secs(600);
    let limits = RingLimits {
        frames: usize::MAX,
        bytes: usize::MAX,
    };
    let topic = Topic::in_memory(limits, |_, _| Frame::text("gap"));
    Mount::new(Echo { topic }).at("/").settings(settings)
}

/// Echoes in runtimes of their own, until the test is over: of one thread, where all answers lie on the same
/// tray, and of two.
fn yards() -> [SocketAddr; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut runtime| {
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let (tell, told) = mpsc::channel();
        let _ends_with_the_program = thread::spawn(move || {
            runtime.block_on(async {
                let server = Server::bind("127.0.0.1:0").await?;
                tell.send(server.local_addr()?).unwrap();
                server.mount(mount()).run().await
            })
        });
        told.recv().unwrap()
    })
}

/// Someone who speaks to an echo.
struct Visitor<S>(S);

impl Visitor<TcpStream> {
    async fn come(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that one who does not read is soon full.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: yard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Has each of its messages sent back before it sends the next.
    async fn talk(&mut self, name: &str, messages: usize) {
        for number in 0..messages {
            let text = format!("{name} {number}");
            self.send(&frame(TEXT, text.as_bytes())).await;
            self.hears(&text).await;
        }
    }
}

impl<S: AsyncRead + Unpin> Visitor<S> {
    /// The opcode and the payload of the next frame; none where the server hung up.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let next = async {
            let Ok(first) = self.0.read_u8().await else {
                return None;
            };
            let length = match self.0.read_u8().await.unwrap() {
                126 => self.0.read_u16().await.unwrap().into(),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.unwrap();
            Some((first & 0x0F, payload))
        };
        timeout(PATIENCE, next).await.unwrap()
    }

    async fn hears(&mut self, text: &str) {
        let (opcode, payload) = self.next().await.unwrap();
        assert_eq!((opcode, &*payload), (TEXT, text.as_bytes()), "{text}");
    }
}

/// A client's frame, whose mask is of zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// `count` messages one behind the other, for one write.
fn many(count: usize) -> Vec<u8> {
    let texts = (0..count).map(|number| frame(TEXT, number.to_string().as_bytes()));
    texts.collect::<Vec<_>>().concat()
}

/// So many who talk, each until it has had so many messages sent back.
async fn crowd(address: SocketAddr, size: usize, messages: usize) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for name in 0..size {
        let mut visitor = Visitor::come(address).await;
        crowd.spawn(async move { visitor.talk(&name.to_string(), messages).await });
    }
    crowd
}

#[tokio::test]
async fn what_many_are_sent_at_once_reaches_each_in_order() {
    for address in yards() {
        crowd(address, 200, 100).await.join_all().await;
    }
}

#[tokio::test]
async fn what_came_in_one_read_is_answered_before_the_end() {
    let close = frame(CLOSE, &1001u16.to_be_bytes());
    let ends = [
        ("a close", close, Some(1001)),
        ("a frame without a mask", vec![0x81, 0x00], Some(1002)),
        ("no more to say", Vec::new(), None),
    ];
    for address in yards() {
        let _crowd = crowd(address, 30, usize::MAX).await;
        for (what, end, code) in ends.iter().cycle().take(30) {
            for count in [1, 2, 40] {
                let mut visitor = Visitor::come(address).await;
                // What follows comes while this is handled, and so is read in one.
                visitor.send(&frame(TEXT, b"wait")).await;
                visitor.send(&[many(count), end.clone()].concat()).await;
                if code.is_none() {
                    visitor.0.shutdown().await.unwrap();
                }
                visitor.hears("wait").await;
                for number in 0..count {
                    visitor.hears(&number.to_string()).await;
                }
                let end = visitor.next().await;
                let told = end.map(|(opcode, payload)| {
                    assert_eq!(opcode, CLOSE, "{what}");
                    u16::from_be_bytes([payload[0], payload[1]])
                });
                assert_eq!(told, *code, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_flush_and_a_close_come_behind_what_was_sent() {
    for address in yards() {
        let _crowd = crowd(address, 30, usize::MAX).await;
        for _ in 0..100 {
            let mut visitor = Visitor::come(address).await;
            let say = |text: &str| frame(TEXT, text.as_bytes());
            let words = [say("hello"), say("flush"), say("you"), say("bye")];
            visitor.send(&words.concat()).await;
            for heard in ["hello", "flush", "flushed", "you", "bye"] {
                visitor.hears(heard).await;
            }
            assert_eq!(visitor.next().await.unwrap().0, CLOSE);
        }
    }
}

#[tokio::test]
async fn who_does_not_read_delays_nobody_and_has_all_of_it_later() {
    const MESSAGES: usize = 20_000;
    for address in yards() {
        let (reading, mut writing) = Visitor::come(address).await.0.into_split();
        // Short enough for a tray, and together more than the sockets and the outbox take.
        let text = |number: usize| format!("{number:900}");
        let sent = tokio::spawn(async move {
            for number in 0..MESSAGES {
                let frame = frame(TEXT, text(number).as_bytes());
                writing.write_all(&frame).await.unwrap();
            }
            // Dropped before the end, it would hang up.
            writing
        });
        for _ in 0..20 {
            crowd(address, 10, 10).await.join_all().await;
        }
        assert!(!sent.is_finished(), "it was never full");
        let mut quiet = Visitor(reading);
        for number in 0..MESSAGES {
            quiet.hears(&text(number)).await;
        }
        let _writing = sent.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_on_a_tray_and_what_a_round_writes_do_not_come_between_each_other() {
    const MESSAGES: usize = 400;
    for address in yards() {
        let mut speaker = Visitor::come(address).await;
        let mut quiet = Vec::new();
        for _ in 0..40 {
            quiet.push(Visitor::come(address).await.0.into_split());
        }
        let (readers, mut writers): (Vec<_>, Vec<_>) = quiet.into_iter().unzip();
        // As much as makes all their sockets full.
        let event = |number: usize| format!("all {number:20000}");
        for number in 0..MESSAGES {
            for writing in &mut writers {
                let frame = frame(TEXT, number.to_string().as_bytes());
                writing.write_all(&frame).await.unwrap();
            }
            speaker.send(&frame(TEXT, event(number).as_bytes())).await;
            speaker.hears(&event(number)).await;
        }
        let mut heard = JoinSet::new();
        for reading in readers {
            heard.spawn(async move {
                let mut visitor = Visitor(reading);
                let (mut replies, mut events) = (0, 0);
                while replies < MESSAGES || events < MESSAGES {
                    let (opcode, payload) = visitor.next().await.unwrap();
                    assert_eq!(opcode, TEXT);
                    let text = String::from_utf8(payload).unwrap();
                    if text == event(events) {
                        events += 1;
                    } else {
                        assert_eq!(text, replies.to_string());
                        replies += 1;
                    }
                }
            });
        }
        heard.join_all().await;
    }
}

#[test]
fn a_runtime_ends_under_those_who_talk() {
    for _ in 0..20 {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move {
            let server = Server::bind("127.0.0.1:0").await.unwrap();
            tell.send(server.local_addr().unwrap()).unwrap();
            server.mount(mount()).run().await
        });
        let address = told.recv().unwrap();
        let talking = Builder::new_current_thread().enable_all().build().unwrap();
        talking.block_on(async {
            let _crowd = crowd(address, 60, usize::MAX).await;
            Visitor::come(address).await.talk("among them", 20).await;
            let (ended, end) = oneshot::channel();
            thread::spawn(move || {
                drop(runtime);
                ended.send(())
            });
            timeout(PATIENCE, end).await.unwrap().unwrap();
        });
    }
}
