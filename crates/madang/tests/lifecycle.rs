//! The life of a session: what an endpoint may rely on, whatever its peer does.

mod common;

use std::time::Duration;

use common::diary;
use madang::{
    Close, CloseCode, Message, Opcode,
    harness::{Failed, Seen},
};

#[tokio::test]
async fn on_open_comes_first_and_on_close_last_and_once() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("하나").await.unwrap();
    visitor.send("둘").await.unwrap();
    assert_eq!(visitor.next().await, text("하나"));
    assert_eq!(visitor.next().await, text("둘"));
    visitor
        .close(&Close::new(CloseCode::NORMAL, "bye"))
        .await
        .unwrap();
    assert_eq!(
        visitor.next().await,
        Seen::Closed(Some(Close::new(CloseCode::NORMAL, "bye")))
    );
    diary.ended().await;
    assert_eq!(
        diary.lines(),
        [
            "open",
            "message 하나",
            "message 둘",
            "close 1000 bye by Peer clean=true"
        ]
    );
}

#[tokio::test]
async fn a_broken_connection_is_closed_with_1006_and_no_error() {
    let (harness, diary) = diary();
    drop(harness.connect("/yard/lobby").await.unwrap());
    diary.ended().await;
    assert_eq!(diary.lines(), ["open", "close 1006  by Peer clean=false"]);
}

#[tokio::test]
async fn callbacks_of_a_session_never_overlap() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    for _ in 0..3 {
        visitor.send("slow").await.unwrap();
    }
    visitor
        .close(&Close::new(CloseCode::NORMAL, ""))
        .await
        .unwrap();
    while visitor.next().await != Seen::HungUp {}
    diary.ended().await;
    let slow = ["slow begins", "slow ends"].repeat(3);
    assert_eq!(diary.lines()[1..7], slow);
}

#[tokio::test]
async fn what_is_sent_during_a_callback_is_written_before_it_ends() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("wait").await.unwrap();
    assert_eq!(visitor.next().await, text("waiting"));
    diary.release();
    assert_eq!(visitor.next().await, text("released"));
}

#[tokio::test]
async fn a_panic_reaches_on_error_and_ends_that_session_alone() {
    let (harness, diary) = diary();
    let mut other = harness.connect("/yard/lobby").await.unwrap();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("panic").await.unwrap();
    let closed = Close::new(CloseCode::INTERNAL, "internal error");
    assert_eq!(visitor.next().await, Seen::Closed(Some(closed)));
    diary.ended().await;
    assert_eq!(
        diary.lines()[2..],
        [
            "message panic",
            "error the endpoint panicked: on purpose",
            "close 1011 internal error by Server clean=true"
        ]
    );
    assert_eq!(other.next().await, text("welcome"));
    other.send("still here").await.unwrap();
    assert_eq!(other.next().await, text("still here"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_on_error_still_leads_to_on_close() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby?panic=on_error").await.unwrap();
    visitor.send("panic").await.unwrap();
    diary.ended().await;
    assert!(diary.lines().last().unwrap().starts_with("close 1011"));
}

#[tokio::test]
async fn a_breach_of_the_protocol_is_closed_with_its_code_and_reaches_on_error() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    // An unmasked frame (RFC 6455 §5.1).
    visitor.send_bytes(b"\x81\x02hi").await.unwrap();
    let Seen::Closed(Some(close)) = visitor.next().await else {
        panic!("no close frame")
    };
    assert_eq!(close.code, CloseCode::PROTOCOL);
    assert_eq!(visitor.next().await, Seen::HungUp);
    drop(visitor);
    diary.ended().await;
    let lines = diary.lines();
    assert!(
        lines[1].starts_with("error the peer broke the WebSocket protocol"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("close 1002"), "{lines:?}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_closed_with_1009_and_one_at_the_limit_is_taken() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    let longest = "가".repeat(common::MAX_MESSAGE / 3) + &"x".repeat(common::MAX_MESSAGE % 3);
    visitor.send(&longest).await.unwrap();
    assert_eq!(visitor.next().await, text(&longest));
    visitor.send(&(longest + "x")).await.unwrap();
    let Seen::Closed(Some(close)) = visitor.next().await else {
        panic!("no close frame")
    };
    assert_eq!(close.code, CloseCode::TOO_BIG);
    drop(visitor);
    diary.ended().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let (harness, _) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor
        .send_frame(Opcode::Ping, b"are you there")
        .await
        .unwrap();
    assert_eq!(visitor.next().await, Seen::Pong("are you there".into()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_pinged_and_stays_as_long_as_it_answers() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    for _ in 0..10 {
        assert_eq!(visitor.next().await, Seen::Ping("".into()));
    }
    assert_eq!(diary.lines(), ["open"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_gone_after_two_heartbeats() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    let begin = tokio::time::Instant::now();
    visitor.play_dead();
    diary.ended().await;
    assert_eq!(begin.elapsed().as_secs(), 2 * common::HEARTBEAT.as_secs());
    assert_eq!(
        diary.lines()[1..],
        [
            "error the peer was silent for two heartbeats",
            "close 4008 silent for two heartbeats by Server clean=false"
        ]
    );
}

#[tokio::test]
async fn the_servers_close_waits_for_the_answer() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("close me").await.unwrap();
    assert_eq!(visitor.next().await, text("last words"));
    assert_eq!(
        visitor.next().await,
        Seen::Closed(Some(Close::new(CloseCode::RESTART, "later")))
    );
    diary.ended().await;
    assert_eq!(
        diary.lines()[2..],
        ["close 1012 later by Server clean=true"]
    );
}

#[tokio::test]
async fn a_breach_behind_the_servers_close_ends_the_session_too() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("close me").await.unwrap();
    // Unmasked, twice: what cannot be understood must not be read again and again.
    visitor.send_bytes(b"\x81\x02hi\x81\x02hi").await.unwrap();
    drop(visitor);
    diary.ended().await;
    assert_eq!(
        diary.lines()[2..],
        ["close 1012 later by Server clean=false"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    visitor.send("close me").await.unwrap();
    // The visitor reads nothing, and so does not answer.
    tokio::time::timeout(Duration::from_secs(4), diary.ended())
        .await
        .unwrap();
    assert_eq!(
        diary.lines()[2..],
        ["close 1012 later by Server clean=false"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_frames_that_the_peer_does_not_take_ends_in_time() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    visitor.send("flood and close me").await.unwrap();
    // The visitor reads nothing, but lives.
    let ended = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            visitor.send_frame(Opcode::Ping, b"").await.unwrap();
        }
    };
    tokio::select! {
        () = ended => {}
        () = diary.ended() => {}
    }
    assert_eq!(
        diary.lines()[2..],
        ["close 1012 later by Server clean=false"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_fell_silent_after_speaking_is_gone_two_heartbeats_later() {
    let (harness, diary) = diary();
    let mut visitor = harness.connect("/yard/lobby").await.unwrap();
    visitor.play_dead();
    tokio::time::sleep(common::HEARTBEAT / 4).await;
    visitor.send("last words").await.unwrap();
    let begin = tokio::time::Instant::now();
    diary.ended().await;
    assert_eq!(begin.elapsed().as_secs(), 2 * common::HEARTBEAT.as_secs());
}

#[tokio::test]
async fn a_session_knows_its_request() {
    let (harness, _) = diary();
    let path = "/yard/%EB%A7%88%EB%8B%B9?name=%EA%B0%95%ED%98%B8%EB%8F%99+A";
    let mut visitor = harness
        .connect_with(path, &["v2", "v1"], &[("x-color", "green")])
        .await
        .unwrap();
    assert_eq!(visitor.protocol(), Some("v1"));
    assert_eq!(visitor.next().await, text("welcome"));
    visitor.send("who am I").await.unwrap();
    assert_eq!(visitor.next().await, text("마당 강호동 A green v1 None"));
}

#[tokio::test]
async fn a_client_can_be_refused_with_a_status() {
    let (harness, diary) = diary();
    let refused = harness.connect("/yard/secret").await;
    assert!(
        matches!(&refused, Err(Failed::Refused(status, body)) if status.as_u16() == 403 && body == "not here"),
        "{refused:?}"
    );
    assert!(diary.lines().is_empty());
}

fn text(text: &str) -> Seen {
    Seen::Message(Message::Text(text.into()))
}
