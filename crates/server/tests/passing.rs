//! What passes by: who is typing, and signals.

mod common;

use std::time::{Duration, Instant};

use common::{Server, Talker};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Others have left at once when their connection breaks.
const NO_GRACE: &str = "[times]\npresence_grace_ms = 0";

fn typing(on: bool) -> Value {
    json!({"type": "typing", "room": "lobby", "on": on})
}

fn signal(data: impl Into<Value>) -> Value {
    json!({"type": "signal", "room": "lobby", "data": data.into()})
}

fn passes(message: &Value) -> bool {
    message["type"] == "typing" || message["type"] == "signal"
}

/// The `on` or the `data` of the next that passes.
async fn passing(talker: &mut Talker) -> Value {
    let message = talker.next_where(passes).await;
    let field = if message["type"] == "typing" {
        "on"
    } else {
        "data"
    };
    message[field].clone()
}

/// All but presence that comes up to the answer to a ping, behind which nothing is that was there.
async fn heard(talker: &mut Talker) -> Vec<Value> {
    talker.say(json!({"type": "ping"})).await;
    let mut heard = Vec::new();
    loop {
        let message = talker
            .next_where(|message| message["type"] != "presence")
            .await;
        if message["type"] == "pong" {
            return heard;
        }
        heard.push(message);
    }
}

#[tokio::test]
async fn the_others_see_who_types_and_get_signals_and_the_sender_does_not() {
    let server = Server::start();
    let mut kang = server.connect("/ws/lobby?name=kang").await;
    let hello = kang.next_of("hello").await;
    kang.next_of("subscribed").await;
    let mut shin = server.guest_in("lobby", "shin").await;
    // Another session of the one who says it is one of the others.
    let token = hello["token"].as_str().unwrap();
    let mut tab = server.connect(&format!("/ws/lobby?token={token}")).await;
    tab.next_of("subscribed").await;

    kang.say(json!({"type": "typing", "id": 1, "room": "lobby", "on": true}))
        .await;
    // The room of `/ws/{room}` may be left out.
    kang.say(json!({"type": "signal", "id": 2, "data": {"x": 1, "y": [null, "둘"]}}))
        .await;
    kang.say(typing(false)).await;

    let user = &hello["user"];
    for other in [&mut shin, &mut tab] {
        assert_eq!(
            other.next_where(passes).await,
            json!({"type": "typing", "room": "lobby", "user": user, "on": true})
        );
        let data = json!({"x": 1, "y": [null, "둘"]});
        assert_eq!(
            other.next_where(passes).await,
            json!({"type": "signal", "room": "lobby", "user": user, "data": data})
        );
        assert_eq!(
            other.next_where(passes).await,
            json!({"type": "typing", "room": "lobby", "user": user, "on": false})
        );
    }
    let ok = |id: u64| json!({"type": "ok", "id": id, "room": "lobby"});
    assert_eq!(heard(&mut kang).await, [ok(1), ok(2)]);
    let history = json!({"type": "history", "id": 3, "room": "lobby"});
    assert_eq!(kang.ok(history).await["events"], json!([]));
}

#[tokio::test]
async fn what_passes_by_needs_the_subscription() {
    let server = Server::start();
    let mut member = server.guest_in("lobby", "member").await;
    let mut other = server.guest_in("elsewhere", "other").await;
    for mut command in [typing(true), typing(false), signal(1)] {
        // Without an id, too.
        other.say(command.clone()).await;
        assert_eq!(other.next_of("error").await["code"], "not_subscribed");
        command["id"] = json!(1);
        assert_eq!(
            other.refused(command.clone()).await["code"],
            "not_subscribed"
        );
        command["room"] = json!("nowhere");
        assert_eq!(other.refused(command).await["code"], "not_subscribed");
    }
    for command in [
        json!({"type": "typing", "id": 1, "room": "lobby"}),
        json!({"type": "typing", "id": 1, "room": "lobby", "on": "yes"}),
        json!({"type": "signal", "id": 1, "room": "lobby"}),
        json!({"type": "signal", "id": 1, "data": 1}),
    ] {
        assert_eq!(other.refused(command).await["code"], "bad_field");
    }
    // Behind an `unsubscribe`, without waiting for its reply.
    other
        .ok(json!({"type": "subscribe", "id": 1, "room": "lobby"}))
        .await;
    other.say(signal("in")).await;
    other
        .say(json!({"type": "unsubscribe", "room": "lobby"}))
        .await;
    other.say(signal("out")).await;
    assert_eq!(other.next_of("error").await["code"], "not_subscribed");
    other
        .ok(json!({"type": "subscribe", "id": 2, "room": "lobby"}))
        .await;
    other.say(signal("in again")).await;
    assert_eq!(passing(&mut member).await, "in");
    assert_eq!(passing(&mut member).await, "in again");
}

#[tokio::test]
async fn typing_that_is_not_renewed_expires() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "kang").await;
    let mut shin = server.guest_in("lobby", "shin").await;
    let began = Instant::now();
    kang.say(typing(true)).await;
    assert_eq!(passing(&mut shin).await, true);
    // Renewed in silence, unless some seconds have passed before.
    kang.say(typing(true)).await;
    while passing(&mut shin).await == true {}
    assert!(began.elapsed() >= Duration::from_secs(6));
    assert_eq!(heard(&mut kang).await, Vec::<Value>::new());
}

#[tokio::test]
async fn who_leaves_while_typing_types_no_more() {
    let server = Server::start_with(NO_GRACE);
    let mut shin = server.guest_in("lobby", "shin").await;
    let mut leaves = server.guest_in("lobby", "leaves").await;
    let mut breaks = server.guest_in("lobby", "breaks").await;
    leaves.say(typing(true)).await;
    assert_eq!(passing(&mut shin).await, true);
    leaves
        .say(json!({"type": "unsubscribe", "room": "lobby"}))
        .await;
    // Not by the time: presence, which is gathered for a quarter of a second, comes behind it.
    told_off_before_they_left(&mut shin, "leaves").await;
    breaks.say(typing(true)).await;
    assert_eq!(passing(&mut shin).await, true);
    drop(breaks);
    told_off_before_they_left(&mut shin, "breaks").await;
}

async fn told_off_before_they_left(talker: &mut Talker, name: &str) {
    let next = talker
        .next_where(|message| passes(message) || message["left"].to_string().contains(name))
        .await;
    assert_eq!(
        (&next["type"], &next["user"]["name"], &next["on"]),
        (&json!("typing"), &json!(name), &json!(false))
    );
}

#[tokio::test]
async fn what_one_session_passes_keeps_its_order() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "kang").await;
    let mut shin = server.guest_in("lobby", "shin").await;
    kang.say(signal("first")).await;
    kang.say(typing(true)).await;
    for number in 0..100 {
        kang.say(signal(number)).await;
    }
    kang.say(typing(false)).await;
    kang.say(signal("last")).await;
    assert_eq!(passing(&mut shin).await, "first");
    assert_eq!(passing(&mut shin).await, true);
    for number in 0..100 {
        assert_eq!(passing(&mut shin).await, number);
    }
    assert_eq!(passing(&mut shin).await, false);
    assert_eq!(passing(&mut shin).await, "last");
}

#[tokio::test]
async fn typing_that_is_turned_on_and_off_is_told_a_few_times() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "kang").await;
    let mut shin = server.guest_in("lobby", "shin").await;
    let began = Instant::now();
    for _ in 0..500 {
        kang.say(typing(true)).await;
        kang.say(typing(false)).await;
    }
    let done = json!({"type": "signal", "id": 1, "room": "lobby", "data": "done"});
    kang.ok(done).await;
    let seconds = began.elapsed().as_secs() + 1;
    let mut told = 0;
    while passing(&mut shin).await != "done" {
        told += 1;
    }
    assert!((2..=2 * seconds).contains(&told), "{told} in {seconds} s");
}

#[tokio::test]
async fn in_a_crowd_nobody_is_seen_typing_and_signals_pass() {
    let server = Server::start();
    let mut kang = server.guest_in("lobby", "kang").await;
    let mut shin = server.guest_in("lobby", "shin").await;
    kang.say(typing(true)).await;
    assert_eq!(passing(&mut shin).await, true);
    kang.say(typing(false)).await;
    assert_eq!(passing(&mut shin).await, false);
    let names: Vec<_> = (0..199).map(|number| format!("g{number}")).collect();
    let crowd = join_all(names.iter().map(|name| server.guest_in("lobby", name))).await;
    let mut last = crowd.into_iter().last().unwrap();
    last.ok(json!({"type": "typing", "id": 1, "room": "lobby", "on": true}))
        .await;
    last.say(signal("hello")).await;
    assert_eq!(passing(&mut shin).await, "hello");
}
