//! When a session is pinged, and when it is taken for dead.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use std::time::Duration;

use futures_util::StreamExt;
use madang::{
    Close, CloseCode, Endpoint, Handshake, Message, Mount, Refusal, Server, Session, Sessions,
    Settings,
    harness::{Harness, Seen, Visitor},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, advance, sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message as Theirs};

const HEARTBEAT: Duration = Duration::from_secs(20);
/// A first ping comes so much earlier at most.
const STEP: Duration = Duration::from_millis(HEARTBEAT.as_millis() as u64 / 256 + 1);

struct Quiet;

impl Endpoint for Quiet {
    type Data = ();

    /// `?heartbeat=` is one in seconds of the session's own, or `never`.
    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<(), Refusal> {
        let own = handshake.query_param("heartbeat");
        let own = own.map(|own| own.parse().map_or(Duration::MAX, Duration::from_secs));
        if let Some(own) = own {
            handshake.settings_mut().heartbeat = own;
        }
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        match message.as_text() {
            Some("close me") => session.close(CloseCode::NORMAL, "bye"),
            _ => session.send(message).unwrap(),
        }
    }
}

fn mount(heartbeat: Duration) -> (Mount<Quiet>, Sessions) {
    let mut settings = Settings::default();
    settings.heartbeat = heartbeat;
    let mount = Mount::<Quiet>::new(Quiet).at("/quiet").settings(settings);
    let sessions = mount.sessions();
    (mount, sessions)
}

fn harness() -> Harness {
    Harness::new(mount(HEARTBEAT).0.into_router())
}

/// Another who keeps the clock going, and lives.
async fn keep_someone(harness: &Harness) {
    let mut someone = harness.connect("/quiet").await.unwrap();
    tokio::spawn(async move { while someone.next().await != Seen::HungUp {} });
}

/// When the next ping comes.
async fn ping(visitor: &mut Visitor) -> Instant {
    assert_eq!(visitor.next().await, Seen::Ping("".into()));
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_healthy_session_is_pinged_one_heartbeat_after_its_opening_and_then_each_heartbeat() {
    let harness = harness();
    keep_someone(&harness).await;
    for pause in [0, 1, 77, 7_300, 19_999] {
        sleep(Duration::from_millis(pause)).await;
        let mut visitor = harness.connect("/quiet").await.unwrap();
        let mut before = Instant::now();
        for number in 0..5 {
            let at = ping(&mut visitor).await;
            let early = if number == 0 { STEP } else { Duration::ZERO };
            let took = at - before;
            assert!(
                HEARTBEAT - early <= took && took <= HEARTBEAT + STEP,
                "{took:?}"
            );
            before = at;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pings_come_whether_the_peer_talks_or_not() {
    let harness = harness();
    let mut visitor = harness.connect("/quiet").await.unwrap();
    let begin = Instant::now();
    let mut pings = 0;
    while begin.elapsed() < 10 * HEARTBEAT {
        visitor.send("still here").await.unwrap();
        while visitor.next().await != Seen::Message(Message::Text("still here".into())) {
            pings += 1;
        }
        sleep(HEARTBEAT / 7).await;
    }
    assert!((9..=10).contains(&pings), "{pings}");
}

/// How long after its last word a peer is given up.
async fn until_given_up(visitor: &mut Visitor) -> Duration {
    let begin = Instant::now();
    loop {
        match visitor.next().await {
            Seen::Closed(close) => {
                let silent = Close::new(CloseCode::new(4008), "silent for two heartbeats");
                assert_eq!(close, Some(silent));
                return begin.elapsed();
            }
            Seen::HungUp => panic!("no close frame"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_given_up_two_heartbeats_after_its_last_word_whenever_that_was() {
    let harness = harness();
    keep_someone(&harness).await;
    for lived in [0, 1, 50, 4_000, 19_990, 20_010, 39_000] {
        // So that each has another place between the beats.
        sleep(Duration::from_millis(777)).await;
        let mut visitor = harness.connect("/quiet").await.unwrap();
        let lives = async { while visitor.next().await != Seen::HungUp {} };
        let _ = timeout(Duration::from_millis(lived), lives).await;
        visitor.play_dead();
        visitor.send("last words").await.unwrap();
        let took = until_given_up(&mut visitor).await.as_millis();
        let two = 2 * HEARTBEAT.as_millis();
        assert!((two..=two + 2).contains(&took), "{lived} ms: {took} ms");
    }
}

/// As after a machine stood still: nobody could be heard.
#[tokio::test(start_paused = true)]
async fn who_could_not_be_heard_has_one_heartbeat_more() {
    let harness = harness();
    for path in ["/quiet", "/quiet?heartbeat=20"] {
        let mut lives = harness.connect(path).await.unwrap();
        let mut dies = harness.connect(path).await.unwrap();
        for visitor in [&mut lives, &mut dies] {
            ping(visitor).await;
        }
        dies.play_dead();
        // The pong is heard before.
        sleep(Duration::from_millis(1)).await;
        advance(3 * HEARTBEAT).await;
        let back = Instant::now();
        assert!(ping(&mut lives).await - back < STEP, "it is asked at once");
        let lives = tokio::spawn(async move { while lives.next().await != Seen::HungUp {} });
        let took = until_given_up(&mut dies).await.as_millis();
        let one = HEARTBEAT.as_millis();
        assert!((one..=one + 2).contains(&took), "{took} ms");
        sleep(2 * HEARTBEAT).await;
        assert!(!lives.is_finished());
        lives.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_may_have_a_heartbeat_of_its_own() {
    let harness = harness();
    keep_someone(&harness).await;
    let own = Duration::from_secs(7);
    let mut visitor = harness.connect("/quiet?heartbeat=7").await.unwrap();
    let begin = Instant::now();
    for number in 1..=20 {
        let at = ping(&mut visitor).await - begin;
        assert_eq!(at.as_secs(), (number * own).as_secs());
    }
    visitor.play_dead();
    let took = until_given_up(&mut visitor).await;
    assert_eq!(took.as_secs(), (2 * own).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_session_may_have_no_heartbeat() {
    let harness = harness();
    keep_someone(&harness).await;
    let mut visitor = harness.connect("/quiet?heartbeat=never").await.unwrap();
    assert!(timeout(100 * HEARTBEAT, visitor.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_session_may_have_a_heartbeat_where_others_have_none() {
    let harness = Harness::new(mount(Duration::MAX).0.into_router());
    let mut usual = harness.connect("/quiet").await.unwrap();
    let mut own = harness.connect("/quiet?heartbeat=7").await.unwrap();
    for _ in 0..10 {
        ping(&mut own).await;
    }
    assert!(timeout(HEARTBEAT, usual.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_close_has_its_own_time_whatever_the_heartbeat() {
    let (mount, sessions) = mount(Duration::from_secs(2));
    let harness = Harness::new(mount.into_router());
    let mut visitor = harness.connect("/quiet").await.unwrap();
    let begin = Instant::now();
    visitor.send("close me").await.unwrap();
    // It reads nothing, and so does not answer.
    sessions.wait_until_empty().await;
    let close_timeout = Settings::default().close_timeout;
    assert_eq!(begin.elapsed().as_secs(), close_timeout.as_secs());
}

/// Serves on a socket with a short heartbeat.
async fn serve() -> (std::net::SocketAddr, Sessions) {
    let (mount, sessions) = mount(Duration::from_secs(1));
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.mount(mount).run());
    (address, sessions)
}

#[tokio::test]
async fn on_a_socket_who_answers_stays() {
    let (address, sessions) = serve().await;
    let url = format!("ws://{address}/quiet");
    let (mut socket, _) = connect_async(&url).await.unwrap();
    let mut pings = 0;
    while pings < 3 {
        // The other library answers them.
        match socket.next().await.unwrap().unwrap() {
            Theirs::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sessions.len(), 1);
    drop(socket);
    sessions.wait_until_empty().await;
}

#[tokio::test]
async fn on_a_socket_who_does_not_answer_is_given_up() {
    let (address, sessions) = serve().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /quiet HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut had = Vec::new();
    socket.read_to_end(&mut had).await.unwrap();
    let head = had.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut close = &had[head + 4..];
    while let Some(behind) = close.strip_prefix(b"\x89\x00") {
        close = behind;
    }
    assert_eq!(close[..4], [0x88, 27, 0x0F, 0xA8]);
    assert_eq!(&close[4..], b"silent for two heartbeats");
    sessions.wait_until_empty().await;
}
