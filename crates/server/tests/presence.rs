//! Who is there, as others see it.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use common::{Server, Talker};
use serde_json::{Value, json};

/// Short enough to wait for, long enough to come back within.
const QUICK: &str = "[times]\npresence_grace_ms = 1500\npresence_window_ms = 50";

async fn who(talker: &mut Talker) -> Vec<String> {
    let who = talker
        .ok(json!({"type": "who", "id": "w", "room": "lobby"}))
        .await;
    let users = who["users"].as_array().unwrap();
    assert_eq!(who["count"], users.len());
    let mut names: Vec<_> = users
        .iter()
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn names(users: &Value) -> Vec<&str> {
    users
        .as_array()
        .into_iter()
        .flatten()
        .map(|user| user["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn coming_and_leaving_is_told_to_those_in_the_room() {
    let server = Server::start_with(QUICK);
    let mut kang = server.guest_in("lobby", "kang").await;
    kang.next_where(|message| names_joined(message, "kang"))
        .await;
    let shin = server.guest_in("lobby", "shin").await;
    let joined = kang
        .next_where(|message| names_joined(message, "shin"))
        .await;
    assert_eq!(
        (&joined["room"], &joined["count"]),
        (&json!("lobby"), &json!(2))
    );
    assert_eq!(who(&mut kang).await, ["kang", "shin"]);
    shin.0
        .close(client::Close::new(client::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    let left = kang.next_of("presence").await;
    assert_eq!(
        (names(&left["left"]), &left["count"]),
        (vec!["shin"], &json!(1))
    );
    assert_eq!(who(&mut kang).await, ["kang"]);
}

#[tokio::test]
async fn several_sessions_are_one_person() {
    let server = Server::start_with(QUICK);
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let mut first = server.connect("/ws/lobby?name=kang").await;
    let token = first.next().await["token"].as_str().unwrap().to_owned();
    watcher
        .next_where(|message| names_joined(message, "kang"))
        .await;
    let mut second = server.connect(&format!("/ws/lobby?token={token}")).await;
    second.next_of("subscribed").await;
    let who = watcher
        .ok(json!({"type": "who", "id": 1, "room": "lobby"}))
        .await;
    assert_eq!(who["count"], 2);
    let kang = who["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["name"] == "kang")
        .unwrap();
    assert_eq!(kang["sessions"], 2);
    first
        .0
        .close(client::Close::new(client::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    second
        .0
        .close(client::Close::new(client::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    let told = watcher.next_of("presence").await;
    assert_eq!(
        (names(&told["joined"]), names(&told["left"])),
        (vec![], vec!["kang"])
    );
}

#[tokio::test]
async fn a_broken_connection_is_forgiven_within_the_grace_and_told_after_it() {
    // Long enough to come back within, also on a busy machine.
    let server = Server::start_with("[times]\npresence_grace_ms = 5000\npresence_window_ms = 50");
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let mut kang = server.connect("/ws/lobby?name=kang").await;
    let token = kang.next().await["token"].as_str().unwrap().to_owned();
    watcher
        .next_where(|message| names_joined(message, "kang"))
        .await;
    drop(kang);
    let mut kang = server.connect(&format!("/ws/lobby?token={token}")).await;
    kang.next_of("subscribed").await;
    let before = std::time::Instant::now();
    drop(kang);
    let told = watcher.next_of("presence").await;
    assert_eq!(
        names(&told["left"]),
        ["kang"],
        "nothing was told of the first break"
    );
    assert!(before.elapsed().as_secs() >= 5);
}

#[tokio::test]
async fn who_was_behind_learns_who_is_there_now() {
    let server = Server::start_with("[times]\npresence_window_ms = 50\n[limits]\nring_events = 2");
    let mut writer = server.guest_in("lobby", "writer").await;
    let long = "x".repeat(60_000);
    for number in 0..200 {
        let send = json!({"type": "send", "id": number, "room": "lobby", "text": long});
        writer.ok(send).await;
    }
    // Far behind, and reading nothing yet.
    let mut late = server.connect("/ws/lobby?name=late&since=0").await;
    let early = server.guest_in("lobby", "early").await;
    writer
        .next_where(|message| names_joined(message, "early"))
        .await;
    drop(early);
    let _another = server.guest_in("lobby", "another").await;
    writer
        .next_where(|message| names_joined(message, "another"))
        .await;
    let now = late
        .next_where(|message| message["type"] == "presence" && message["reset"] == true)
        .await;
    assert!(
        names_joined(&now, "another") && names_joined(&now, "late"),
        "{now}"
    );
    assert_eq!(now["count"], names(&now["joined"]).len());
}

#[tokio::test]
async fn who_comes_later_is_not_told_of_those_who_came_and_went_before() {
    let server = Server::start_with(QUICK);
    let mut writer = server.guest_in("lobby", "writer").await;
    writer
        .ok(json!({"type": "send", "id": 1, "room": "lobby", "text": "1"}))
        .await;
    let gone = server.guest_in("lobby", "gone").await;
    writer
        .next_where(|message| names_joined(message, "gone"))
        .await;
    gone.0
        .close(client::Close::new(client::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    writer
        .next_where(|message| names(&message["left"]) == ["gone"])
        .await;
    writer
        .ok(json!({"type": "send", "id": 2, "room": "lobby", "text": "2"}))
        .await;
    let mut late = server.connect("/ws/lobby?name=late&since=0").await;
    late.next_of("subscribed").await;
    loop {
        let message = late.next().await;
        assert!(!message.to_string().contains("gone"), "{message}");
        if names_joined(&message, "late") {
            break;
        }
    }
}

#[tokio::test]
async fn a_grace_that_runs_delays_nothing_that_is_told_of_others() {
    let server = Server::start_with("[times]\npresence_grace_ms = 3600000");
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let broken = server.guest_in("lobby", "broken").await;
    watcher
        .next_where(|message| names_joined(message, "broken"))
        .await;
    drop(broken);
    let lost = |who: &Value| {
        let users = who["users"].as_array().unwrap();
        users.iter().any(|user| user["sessions"] == 0)
    };
    let who = json!({"type": "who", "id": "w", "room": "lobby"});
    while !lost(&watcher.ok(who.clone()).await) {}
    let _other = server.guest_in("lobby", "other").await;
    watcher
        .next_where(|message| names_joined(message, "other"))
        .await;
}

/// How a server stops.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Killed,
    Asked,
}

#[tokio::test]
async fn who_returns_after_a_restart_never_left_and_who_does_not_left_once() {
    // Long enough to come back within, also on a busy machine.
    let config = "[times]\npresence_grace_ms = 8000\npresence_window_ms = 50";
    for stop in [Stop::Killed, Stop::Asked] {
        let mut server = Server::start_with(config);
        let mut tokens = Vec::new();
        let mut talkers = Vec::new();
        for name in ["watcher", "back", "broken", "away", "gone"] {
            let mut talker = server.connect(&format!("/ws/lobby?name={name}")).await;
            tokens.push(talker.next().await["token"].as_str().unwrap().to_owned());
            talker.next_of("subscribed").await;
            talkers.push(talker);
        }
        // One leaves before; one whose connection breaks is in their grace when the server stops.
        let gone = talkers.pop().unwrap();
        let normal = client::Close::new(client::CloseCode::NORMAL, "");
        gone.0.close(normal).await.unwrap();
        talkers[0]
            .next_where(|message| names(&message["left"]) == ["gone"])
            .await;
        drop(talkers.remove(2));
        let who = json!({"type": "who", "id": "w", "room": "lobby"});
        let broken = |who: &Value| who.to_string().contains(r#""sessions":0"#);
        while !broken(&talkers[0].ok(who.clone()).await) {}
        match stop {
            Stop::Killed => server.kill(),
            Stop::Asked => {
                server.ask_to_end();
                let closed = talkers.iter_mut().map(Talker::closed);
                for (code, _) in futures_util::future::join_all(closed).await {
                    assert_eq!(code, 1012);
                }
                assert!(server.wait().success());
            }
        }
        server.restart();

        let path = |person: usize| format!("/ws/lobby?token={}", tokens[person]);
        let mut watcher = server.connect(&path(0)).await;
        let subscribed = watcher.next_of("subscribed").await;
        let mut present = names(&subscribed["presence"]["users"]);
        present.sort();
        assert_eq!(present, ["away", "back", "broken", "watcher"], "{stop:?}");
        let (mut back, mut broken) = (
            server.connect(&path(1)).await,
            server.connect(&path(2)).await,
        );
        back.next_of("subscribed").await;
        broken.next_of("subscribed").await;
        // Of those who came back nothing is told, so this is the first that is.
        let told = watcher.next_of("presence").await;
        assert_eq!(
            (names(&told["joined"]), names(&told["left"]), &told["count"]),
            (vec![], vec!["away"], &json!(3)),
            "{stop:?}"
        );
        let _late = server.connect(&path(3)).await;
        let told = watcher.next_of("presence").await;
        assert_eq!(
            names(&told["joined"]),
            ["away"],
            "nobody else, and nobody twice"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_killed_twice_within_the_grace_still_knows_who_is_on_the_way() {
    let mut server = Server::start_with("[times]\npresence_grace_ms = 3600000");
    let mut kang = server.connect("/ws/lobby?name=kang").await;
    let token = kang.next().await["token"].as_str().unwrap().to_owned();
    kang.next_of("subscribed").await;
    for _ in 0..2 {
        server.kill();
        server.restart();
        let (_, presence) = server.http("GET", "/api/rooms/lobby/presence", "");
        assert_eq!(presence["users"][0]["name"], "kang", "{presence}");
        assert_eq!(presence["users"][0]["sessions"], 0);
    }
    let mut kang = server.connect(&format!("/ws/lobby?token={token}")).await;
    kang.next_of("subscribed").await;
    let who = kang.ok(json!({"type": "who", "id": 1})).await;
    assert_eq!(
        (&who["count"], &who["users"][0]["sessions"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn of_a_crowd_the_number_is_told_and_no_names() {
    let server = Server::start_with(QUICK);
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let mut crowd = Vec::new();
    for member in 0..201 {
        crowd.push(server.connect(&format!("/ws/lobby?name=m{member}")).await);
    }
    let told = watcher
        .next_where(|message| message["type"] == "presence" && message["count"] == 202)
        .await;
    assert_eq!((&told["joined"], &told["left"]), (&json!([]), &json!([])));
    let mut late = server.connect("/ws/lobby?name=late").await;
    let subscribed = late.next_of("subscribed").await;
    assert_eq!(subscribed["presence"], json!({"count": 203, "users": []}));
    for member in crowd.drain(..3) {
        let normal = client::Close::new(client::CloseCode::NORMAL, "");
        member.0.close(normal).await.unwrap();
    }
    let told = watcher
        .next_where(|message| message["type"] == "presence" && message["count"] == 200)
        .await;
    assert_eq!(names(&told["joined"]).len(), 200, "everyone, from here on");
}

#[tokio::test]
async fn presence_over_http_is_the_same() {
    let server = Server::start();
    assert_eq!(server.http("GET", "/api/rooms/lobby/presence", "").0, 404);
    let talker = server.guest_in("lobby", "kang").await;
    let (status, presence) = server.http("GET", "/api/rooms/lobby/presence", "");
    assert_eq!((status, &presence["count"]), (200, &json!(1)));
    assert_eq!(presence["users"][0]["name"], "kang");
    assert_eq!(presence["users"][0]["sessions"], 1);
    drop(talker);
}

fn names_joined(message: &Value, name: &str) -> bool {
    message["type"] == "presence" && names(&message["joined"]).contains(&name)
}
