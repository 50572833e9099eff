//! A `key`: a message is stored once, however often, from wherever and whenever it is sent.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use common::{Server, Talker};
use serde_json::{Value, json};

fn send(room: &str, key: &str, text: &str) -> Value {
    json!({"type": "send", "id": key, "room": room, "key": key, "text": text})
}

/// Two sessions of one user, subscribed to nothing, and the user's token.
async fn two_sessions(server: &Server) -> ([Talker; 2], String) {
    let mut one = server.connect("/ws?name=kang").await;
    let token = one.next().await["token"].as_str().unwrap().to_owned();
    let other = again(server, &token).await;
    one.ok(json!({"type": "subscribe", "id": 1, "room": "lobby"}))
        .await;
    one.ok(json!({"type": "unsubscribe", "id": 2, "room": "lobby"}))
        .await;
    ([one, other], token)
}

/// A session of a user who has been here.
async fn again(server: &Server, token: &str) -> Talker {
    let mut talker = server.connect(&format!("/ws?token={token}")).await;
    assert_eq!(talker.next().await["type"], "hello");
    talker
}

fn texts(server: &Server) -> Vec<String> {
    let (_, page) = server.http("GET", "/api/rooms/lobby/messages?limit=200", "");
    let text = |event: &Value| event["text"].as_str().unwrap().to_owned();
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

#[tokio::test]
async fn of_two_sessions_that_send_one_key_at_once_one_stores_it_and_both_learn_its_place() {
    let server = Server::start();
    let ([mut one, mut other], _) = two_sessions(&server).await;
    for round in 1..=100 {
        let command = send("lobby", &format!("k{round}"), &format!("round {round}"));
        let (a, b) = tokio::join!(one.ok(command.clone()), other.ok(command));
        assert_eq!(
            (&a["seq"], &b["seq"]),
            (&json!(round), &json!(round)),
            "{a} {b}"
        );
        assert_eq!(a["at"], b["at"]);
        let duplicates = [&a, &b].map(|reply| reply["duplicate"] == true);
        assert!(
            duplicates[0] != duplicates[1],
            "one of them is the first: {a} {b}"
        );
    }
    assert_eq!(texts(&server).len(), 100);
}

#[tokio::test]
async fn of_two_contents_of_one_key_at_once_one_is_stored_and_the_other_is_a_conflict() {
    let server = Server::start();
    let ([mut one, mut other], _) = two_sessions(&server).await;
    for round in 1..=100 {
        let key = format!("k{round}");
        let commands = ["one", "other"].map(|text| send("lobby", &key, text));
        let (a, b) = tokio::join!(one.ask(commands[0].clone()), other.ask(commands[1].clone()));
        let stored: Vec<_> = [&a, &b]
            .into_iter()
            .filter(|reply| reply["type"] == "ok")
            .collect();
        assert_eq!(stored.len(), 1, "{a} {b}");
        assert_eq!(stored[0]["seq"], round);
        let refused = if a["type"] == "ok" { &b } else { &a };
        assert_eq!(refused["code"], "conflict", "{refused}");
        let text = if a["type"] == "ok" { "one" } else { "other" };
        assert_eq!(texts(&server).last().unwrap(), text);
    }
}

#[tokio::test]
async fn a_key_is_known_after_a_restart_and_after_a_kill() {
    let mut server = Server::start();
    let ([mut one, _], token) = two_sessions(&server).await;
    let first = one.ok(send("lobby", "k", "hello")).await;
    drop(one);
    server.ask_to_end();
    assert!(server.wait().success());
    for _ in 0..2 {
        server.restart();
        let mut talker = again(&server, &token).await;
        let reply = talker.ok(send("lobby", "k", "hello")).await;
        assert_eq!((&reply["seq"], &reply["at"]), (&first["seq"], &first["at"]));
        assert_eq!(reply["duplicate"], true);
        let refused = talker.refused(send("lobby", "k", "something else")).await;
        assert_eq!(refused["code"], "conflict", "{refused}");
        server.kill();
    }
    server.restart();
    assert_eq!(texts(&server), ["hello"]);
}

#[tokio::test]
async fn a_key_with_other_content_is_a_conflict_on_every_way_in() {
    let server = Server::start();
    let ([mut one, mut other], token) = two_sessions(&server).await;
    other
        .ok(json!({"type": "subscribe", "id": 1, "room": "else"}))
        .await;
    one.ok(send("lobby", "k", "hello")).await;
    let mut answer = send("lobby", "k", "hello");
    answer["reply_to"] = json!(1);
    let mut data = send("lobby", "k", "hello");
    data["data"] = json!({"more": true});
    for command in [
        send("lobby", "k", "bye"),
        send("else", "k", "hello"),
        answer,
        data,
    ] {
        let refused = other.refused(command).await;
        assert_eq!(refused["code"], "conflict", "{refused}");
        assert!(
            refused["message"].as_str().unwrap().contains("number 1"),
            "{refused}"
        );
    }
    let path = format!("/api/rooms/lobby/messages?token={token}");
    let (status, error) = server.http("POST", &path, r#"{"key": "k", "text": "bye"}"#);
    assert_eq!(
        (status, &error["code"]),
        (409, &json!("conflict")),
        "{error}"
    );
    let (status, stored) = server.http("POST", &path, r#"{"key": "k", "text": "hello"}"#);
    assert_eq!(
        (status, &stored["duplicate"]),
        (200, &json!(true)),
        "{stored}"
    );
    // Another user's key is another key.
    let mut guest = server.guest("shin").await;
    assert_eq!(guest.ok(send("lobby", "k", "bye")).await["seq"], 2);
    assert_eq!(texts(&server), ["hello", "bye"]);
}
