//! The wire protocol, section by section, against the running program.

mod common;

use std::io::{Read, Write};

use common::{Server, frame};
use serde_json::{Value, json};

fn subscribe(room: &str) -> Value {
    json!({"type": "subscribe", "id": "s", "room": room})
}

fn send(room: &str, text: &str) -> Value {
    json!({"type": "send", "id": text, "room": room, "text": text})
}

#[tokio::test]
async fn hello_comes_first_and_tells_the_limits() {
    let server = Server::start();
    let mut talker = server.connect("/ws?name=%EA%B0%95%ED%98%B8%EB%8F%99").await;
    let hello = talker.next().await;
    assert_eq!(hello["type"], "hello");
    assert_eq!(hello["protocol"], 1);
    assert_eq!(hello["session"].as_str().unwrap().len(), 26);
    assert_eq!(hello["user"]["name"], "강호동");
    assert_eq!(hello["user"]["guest"], true);
    assert!(hello["user"]["id"].as_str().unwrap().starts_with("u_"));
    assert_eq!(hello["heartbeat_ms"], 25_000);
    assert_eq!(
        hello["limits"],
        json!({"message_bytes": 65536, "rooms": 256, "in_flight": 32})
    );
}

#[tokio::test]
async fn a_guest_comes_back_with_the_token_as_the_same_user() {
    let server = Server::start();
    let first = server.connect("/ws?name=A").await.next().await;
    let token = first["token"].as_str().unwrap();
    let again = server
        .connect(&format!("/ws?token={token}"))
        .await
        .next()
        .await;
    assert_eq!(again["user"], first["user"]);
    assert_eq!(again.get("token"), None);
    let another = server.connect("/ws?name=A").await.next().await;
    assert_ne!(another["user"]["id"], first["user"]["id"]);
}

#[tokio::test]
async fn a_message_reaches_everyone_in_the_room_the_sender_included_before_its_ok() {
    let server = Server::start();
    let mut kang = server.guest_in("마당", "kang").await;
    let mut shin = server.guest_in("마당", "shin").await;
    kang.say(
        json!({"type": "send", "id": 7, "room": "마당", "text": "안녕 👋", "data": {"n": 1.50}}),
    )
    .await;
    let event = kang
        .next_where(|message| message["type"] != "presence")
        .await;
    assert_eq!(event["type"], "message");
    let ok = kang.next_of("ok").await;
    assert_eq!(shin.next_of("message").await, event);
    assert_eq!(
        (&event["seq"], &event["text"]),
        (&json!(1), &json!("안녕 👋"))
    );
    assert_eq!(event["data"].to_string(), r#"{"n":1.5}"#);
    assert_eq!(
        (&event["room"], &event["from"]["name"]),
        (&json!("마당"), &json!("kang"))
    );
    assert_eq!(
        ok,
        json!({"type": "ok", "id": 7, "room": "마당", "seq": 1, "at": event["at"]})
    );
}

#[tokio::test]
async fn a_subscription_resumes_where_it_was_without_a_hole() {
    let server = Server::start();
    let mut writer = server.guest_in("lobby", "writer").await;
    for number in 1..=600 {
        writer.ok(send("lobby", &number.to_string())).await;
    }
    let mut reader = server.guest("reader").await;
    let ok = reader
        .ok(json!({"type": "subscribe", "id": 1, "room": "lobby", "since": 41}))
        .await;
    assert_eq!(
        (&ok["head"], &ok["next"], &ok["role"]),
        (&json!(600), &json!(42), &json!("member"))
    );
    assert_eq!(ok["presence"]["count"], 2);
    assert!(ok.get("gap").is_none() && ok.get("reset").is_none(), "{ok}");
    writer.say(send("lobby", "601")).await;
    for number in 42..=601 {
        let event = reader.next_of("message").await;
        assert_eq!(
            (&event["seq"], event["text"].as_str()),
            (&json!(number), Some(&*number.to_string()))
        );
    }
    // The same place, by the last so many, and by no place at all.
    let ok = reader
        .ok(json!({"type": "subscribe", "id": 2, "room": "lobby", "last": 3}))
        .await;
    assert_eq!(ok["next"], 599);
    assert_eq!(reader.next_of("message").await["seq"], 599);
    assert_eq!(reader.ok(subscribe("lobby")).await["next"], 602);
}

#[tokio::test]
async fn a_place_of_another_log_is_reset_before_any_event() {
    let server = Server::start();
    let mut talker = server.guest("A").await;
    let epoch = talker.ok(subscribe("lobby")).await["epoch"].clone();
    talker.ok(send("lobby", "one")).await;
    let mut place =
        json!({"type": "subscribe", "id": 1, "room": "lobby", "since": 0, "epoch": epoch});
    let same = talker.ok(place.clone()).await;
    assert!(same.get("reset").is_none() && same["next"] == 1, "{same}");
    place["epoch"] = json!("another");
    let other = talker.ok(place.clone()).await;
    assert_eq!((&other["reset"], &other["next"]), (&json!(true), &json!(2)));
    let beyond = talker
        .ok(json!({"type": "subscribe", "id": 1, "room": "lobby", "since": 99}))
        .await;
    assert_eq!(
        (&beyond["reset"], &beyond["next"]),
        (&json!(true), &json!(2))
    );
}

#[tokio::test]
async fn the_same_key_is_stored_once_and_with_other_content_is_a_conflict() {
    let mut server = Server::start();
    let mut talker = server.guest_in("lobby", "A").await;
    let keyed =
        |text| json!({"type": "send", "id": "k", "room": "lobby", "key": "k-17", "text": text});
    let first = talker.ok(keyed("안녕")).await;
    let second = talker.ok(keyed("안녕")).await;
    assert_eq!(
        (&second["seq"], &second["at"]),
        (&first["seq"], &first["at"])
    );
    assert_eq!(
        (first.get("duplicate"), &second["duplicate"]),
        (None, &json!(true))
    );
    assert_eq!(talker.refused(keyed("other")).await["code"], "conflict");
    // Another user may use the same key; and this one still may not after a restart.
    let mut other = server.connect("/ws/lobby?name=B").await;
    let token = other.next().await["token"].as_str().unwrap().to_owned();
    assert_eq!(other.ok(keyed("mine")).await["seq"], 2);
    server.kill();
    server.restart();
    let mut other = server.connect(&format!("/ws/lobby?token={token}")).await;
    assert_eq!(other.ok(keyed("mine")).await["duplicate"], true);
    assert_eq!(
        other.ok(json!({"type": "history", "id": 1})).await["events"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_session_opened_for_a_room_is_subscribed_and_may_leave_the_room_out() {
    let server = Server::start();
    server
        .guest_in("lobby", "A")
        .await
        .ok(send("lobby", "before"))
        .await;
    let mut talker = server.connect("/ws/lobby?name=B&since=0").await;
    assert_eq!(talker.next().await["type"], "hello");
    let subscribed = talker.next().await;
    assert_eq!(subscribed["type"], "subscribed");
    assert_eq!(
        (&subscribed["room"], &subscribed["next"]),
        (&json!("lobby"), &json!(1))
    );
    assert_eq!(talker.next_of("message").await["text"], "before");
    assert_eq!(
        talker
            .ok(json!({"type": "send", "id": 1, "text": "now"}))
            .await["seq"],
        2
    );
    assert_eq!(
        talker.ok(json!({"type": "who", "id": 2})).await["room"],
        "lobby"
    );
    assert_eq!(
        talker.ok(json!({"type": "unsubscribe", "id": 3})).await["room"],
        "lobby"
    );
    let refused = talker
        .refused(json!({"type": "unsubscribe", "id": 4}))
        .await;
    assert_eq!(refused["code"], "not_subscribed");
}

#[tokio::test]
async fn after_unsubscribing_nothing_of_the_room_comes() {
    let server = Server::start();
    let mut talker = server.guest_in("lobby", "A").await;
    talker
        .ok(json!({"type": "unsubscribe", "id": 1, "room": "lobby"}))
        .await;
    talker.ok(send("lobby", "unheard")).await;
    talker.say(json!({"type": "ping", "id": "p"})).await;
    assert_eq!(talker.next().await, json!({"type": "pong", "id": "p"}));
}

#[tokio::test]
async fn history_is_read_in_pages_from_either_end() {
    let server = Server::start();
    let mut talker = server.guest_in("lobby", "A").await;
    for number in 1..=10 {
        talker.ok(send("lobby", &number.to_string())).await;
    }
    let mut page = async |fields: Value| {
        let mut command = json!({"type": "history", "id": "h", "room": "lobby"});
        command
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let reply = talker.ok(command).await;
        let seqs = |events: &Value| -> Vec<u64> {
            events
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["seq"].as_u64().unwrap())
                .collect()
        };
        (seqs(&reply["events"]), reply["more"].as_bool().unwrap())
    };
    assert_eq!(page(json!({"limit": 3})).await, (vec![8, 9, 10], true));
    assert_eq!(page(json!({"before": 4})).await, (vec![1, 2, 3], false));
    assert_eq!(
        page(json!({"after": 4, "limit": 2})).await,
        (vec![5, 6], true)
    );
    assert_eq!(page(json!({"after": 10})).await, (vec![], false));
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let server = Server::start();
    let mut talker = server.guest("A").await;
    for command in ["send", "history", "who"] {
        let command = json!({"type": command, "id": 1, "room": "nowhere", "text": "?"});
        let refused = talker.refused(command).await;
        assert_eq!(refused["code"], "no_such_room");
        assert!(refused["message"].as_str().unwrap().contains("nowhere"));
    }
    let refused = talker
        .refused(json!({"type": "send", "id": 1, "text": "?"}))
        .await;
    assert_eq!(
        (&refused["code"], &refused["field"]),
        (&json!("bad_field"), &json!("room"))
    );
}

#[tokio::test]
async fn broken_commands_get_an_error_and_the_session_goes_on() {
    let server = Server::start();
    let mut talker = server.guest_in("lobby", "A").await;
    for (command, code) in [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("\"send\"", "bad_json"),
        ("{} {}", "bad_json"),
        ("{}", "bad_field"),
        (r#"{"type":7}"#, "bad_field"),
        (r#"{"type":"fly"}"#, "unknown_type"),
        (r#"{"type":"send","room":"lobby"}"#, "bad_field"),
        (r#"{"type":"send","room":"lobby","text":7}"#, "bad_field"),
        (r#"{"type":"send","room":"lo/bby","text":"x"}"#, "bad_field"),
        (
            r#"{"type":"history","room":"lobby","limit":0}"#,
            "bad_field",
        ),
        (
            r#"{"type":"subscribe","room":"lobby","since":-1}"#,
            "bad_field",
        ),
    ] {
        talker.0.send_text(command).await.unwrap();
        let error = talker.next_of("error").await;
        assert_eq!(error["code"], code, "{command}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| message.len() > 10),
            "{error}"
        );
    }
    let long = json!({"type": "subscribe", "id": "x", "room": "r".repeat(65)});
    let refused = talker.refused(long).await;
    assert_eq!(
        (&refused["code"], &refused["limit"]),
        (&json!("too_long"), &json!(64))
    );
    talker.ok(send("lobby", "still here")).await;
}

#[tokio::test]
async fn no_more_commands_run_than_may_be_in_flight_and_the_rest_is_busy_at_once() {
    let server = Server::start_with("[limits]\ncommands_in_flight = 4");
    server.guest_in("lobby", "A").await;
    // All in one packet, behind the handshake: they come faster than any disk can store them.
    let mut packet = String::from(
        "GET /ws/lobby?name=B HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .into_bytes();
    for number in 0..200 {
        packet.extend(frame(
            &json!({"type": "send", "id": number, "text": "x"}).to_string(),
        ));
    }
    let mut socket = server.socket();
    socket.write_all(&packet).unwrap();
    let mut answers = String::new();
    let (mut stored, mut busy) = (0, 0);
    while stored + busy < 200 {
        let mut bytes = [0; 4096];
        let count = socket.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "{answers}");
        answers.push_str(&String::from_utf8_lossy(&bytes[..count]));
        stored = answers.matches(r#"{"type":"ok""#).count();
        busy = answers.matches(r#""code":"busy""#).count();
    }
    // The first four are taken, and the opening is none of them; some of the rest must wait in vain.
    assert!(stored >= 4 && busy > 0, "{stored} stored, {busy} busy");
    for number in 0..4 {
        assert!(
            answers.contains(&format!(r#"{{"type":"ok","id":{number},"#)),
            "{number}"
        );
    }
    let (_, page) = server.http("GET", "/api/rooms/lobby/messages?limit=1", "");
    assert_eq!(page["head"], stored, "what was busy was not stored");
    // `hello`, and right behind it `subscribed`.
    let hello = answers.find(r#"{"type":"hello""#).unwrap();
    let subscribed = answers.find(r#"{"type":"subscribed""#).unwrap();
    let first_reply = answers.find(r#""id":"#.to_owned().as_str()).unwrap();
    assert!(hello < subscribed && first_reply > hello);
    let between = &answers[hello..subscribed];
    assert!(!between.contains(r#""type":"ok""#) && !between.contains(r#""type":"error""#));
}

#[tokio::test]
async fn subscribing_and_unsubscribing_without_waiting_ends_as_the_last_command_says() {
    let server = Server::start();
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let command = |kind: &str, id: u64| json!({"type": kind, "id": id, "room": "lobby"});
    for kinds in [
        ["unsubscribe", "subscribe", "unsubscribe", "subscribe"],
        ["subscribe", "unsubscribe", "subscribe", "unsubscribe"],
    ] {
        let mut talker = server.guest("hasty").await;
        if kinds[0] == "unsubscribe" {
            talker.ok(subscribe("lobby")).await;
        }
        for (id, kind) in (0..).zip(kinds) {
            talker.say(command(kind, id)).await;
        }
        for id in 0..4 {
            let reply = talker.next_where(|message| message["id"] == id).await;
            assert_eq!(reply["type"], "ok", "{reply}");
        }
        let is_in = kinds[3] == "subscribe";
        let who = talker
            .ok(json!({"type": "who", "id": "w", "room": "lobby"}))
            .await;
        assert_eq!(who["count"], 1 + u64::from(is_in));
        let (_, open) = server.http_as_admin("GET", "/api/sessions?state=open");
        let rooms = &open["sessions"][0]["rooms"];
        assert_eq!(rooms, &if is_in { json!(["lobby"]) } else { json!([]) });
        watcher.ok(send("lobby", "heard?")).await;
        talker.say(json!({"type": "ping", "id": "p"})).await;
        let mut heard = false;
        loop {
            let message = talker.next().await;
            heard |= message["text"] == "heard?";
            if message["type"] == "pong" {
                break;
            }
        }
        assert_eq!(heard, is_in);
        talker
            .0
            .close(client::Close::new(client::CloseCode::NORMAL, ""))
            .await
            .unwrap();
        let gone = |message: &Value| message["type"] == "presence" && message["count"] == 1;
        if is_in {
            watcher.next_where(gone).await;
        }
        let who = watcher
            .ok(json!({"type": "who", "id": "w", "room": "lobby"}))
            .await;
        assert_eq!(who["count"], 1, "nobody is left behind: {who}");
    }
}

#[tokio::test]
async fn behind_the_ok_of_a_new_place_the_next_event_is_that_of_the_new_place() {
    let server = Server::start();
    let mut writer = server.guest_in("lobby", "writer").await;
    let mut reader = server.guest_in("lobby", "reader").await;
    for round in 1..=100 {
        writer.say(send("lobby", &format!("{round}"))).await;
        let place = json!({"type": "subscribe", "id": "again", "room": "lobby", "since": 0});
        reader.say(place).await;
        writer.say(send("lobby", &format!("{round} too"))).await;
        let ok = reader.next_where(|message| message["id"] == "again").await;
        if ok["head"] != 0 {
            assert_eq!(reader.next_of("message").await["seq"], ok["next"]);
        }
    }
}

#[tokio::test]
async fn a_session_may_be_in_so_many_rooms_and_no_more() {
    let server = Server::start_with("[limits]\nrooms_per_session = 2");
    let mut talker = server.guest("A").await;
    talker.ok(subscribe("one")).await;
    talker.ok(subscribe("two")).await;
    talker.ok(subscribe("two")).await;
    let refused = talker.refused(subscribe("three")).await;
    assert_eq!(
        (&refused["code"], &refused["limit"]),
        (&json!("too_long"), &json!(2))
    );
    talker
        .ok(json!({"type": "unsubscribe", "id": 1, "room": "one"}))
        .await;
    talker.ok(subscribe("three")).await;
}

#[tokio::test]
async fn rooms_are_not_made_where_the_setting_forbids_it() {
    let server = Server::start_with("[access]\ncreate_rooms = false");
    let mut talker = server.guest("A").await;
    assert_eq!(
        talker.refused(subscribe("lobby")).await["code"],
        "no_such_room"
    );
    assert_eq!(server.http("GET", "/api/rooms", "").1["rooms"], json!([]));
}

#[tokio::test]
async fn a_sleeping_reader_misses_nothing_and_delays_nobody() {
    let server = Server::start_with("[times]\nheartbeat_ms = 3600000\n[limits]\nring_events = 8");
    let mut sleeper = server.guest_in("lobby", "sleeper").await;
    let mut writer = server.guest_in("lobby", "writer").await;
    // Far more than the sockets' buffers hold.
    let long = "가".repeat(10_000);
    for number in 1..=600 {
        let ok = writer
            .ok(json!({"type": "send", "id": number, "room": "lobby", "text": long}))
            .await;
        assert_eq!(ok["seq"], number);
    }
    for number in 1..=600 {
        assert_eq!(sleeper.next_of("message").await["seq"], number);
    }
}
