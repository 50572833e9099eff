//! What stays in a topic's ring of what only passes by.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{Endpoint, Handshake, Mount, Refusal, Session, harness::Harness};

/// Whoever comes hears what passes.
struct Room(Topic);

impl Endpoint for Room {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        session.subscribe(&self.0, Start::Now).unwrap();
        session.send("welcome").unwrap();
    }
}

fn room() -> (Topic, axum::Router) {
    let topic = Topic::in_memory(RingLimits::default(), |_, _| Frame::text("gap"));
    let mount = Mount::new(Room(topic.clone())).at("/");
    (topic, mount.into_router())
}

/// Passes frames, and hears each, until all that passed has left the ring. Rarely a reader's task is at
/// work when its round comes, so that the next one finds what it has had.
async fn passes_without_trace(topic: &Topic, mut hear: impl AsyncFnMut()) -> bool {
    for _ in 0..100 {
        topic.pass("pass", None);
        hear().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !topic.state().ring.begins_passing() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn what_rounds_have_carried_to_everyone_leaves_the_ring() {
    let (topic, router) = room();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    // More than a round.
    let mut streams = Vec::new();
    for _ in 0..READERS + 2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: yard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        hear(&mut stream, "\x07welcome").await;
        streams.push(stream);
    }
    let hear_all = async || {
        for stream in &mut streams {
            hear(stream, "\x04pass").await;
        }
    };
    assert!(passes_without_trace(&topic, hear_all).await);
}

/// Reads up to the end of a frame.
async fn hear(stream: &mut TcpStream, end: &str) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn of_what_readers_take_themselves_only_the_last_stays() {
    let (topic, router) = room();
    let harness = Harness::new(router);
    let mut visitors = Vec::new();
    for _ in 0..3 {
        let mut visitor = harness.connect("/").await.unwrap();
        visitor.next_message().await.unwrap();
        visitors.push(visitor);
    }
    for _ in 0..10 {
        topic.pass("pass", None);
        for visitor in &mut visitors {
            visitor.next_message().await.unwrap();
        }
    }
    let ring = &topic.state().ring;
    let last = ring.end() - 1;
    assert!(ring.run(last, 1).is_some());
    assert!(ring.run(last - 1, 1).is_none(), "there is more than one");
}
