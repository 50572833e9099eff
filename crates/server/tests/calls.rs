//! Calls: those who ask, those who answer, and what breaks in between.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use common::{Server, Talker};
use serde_json::{Value, json};

fn call(id: u64, item: &str) -> Value {
    json!({"type": "call", "id": id, "service": "cafe", "method": "order", "params": {"item": item}})
}

fn answer(request: &Value, result: impl Into<Value>) -> Value {
    json!({"type": "respond", "call": request["call"], "result": result.into()})
}

fn serve(concurrency: u64) -> Value {
    json!({"type": "serve", "id": "serve", "service": "cafe", "concurrency": concurrency})
}

/// A guest that serves the café.
async fn barista(server: &Server, concurrency: u64) -> Talker {
    let mut barista = server.guest("바리스타").await;
    barista.ok(serve(concurrency)).await;
    barista
}

/// Calls, and takes the ticket.
async fn order(talker: &mut Talker, call: Value) -> String {
    let ticket = talker.ask(call).await;
    assert_eq!(ticket["type"], "ticket", "{ticket}");
    ticket["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whatever_is_ready_first_is_served_first() {
    let server = Server::start();
    let mut barista = barista(&server, 3).await;
    let mut guest = server.guest("강호동").await;
    for (id, item) in [(1, "coffee"), (2, "빵"), (3, "smoothie")] {
        order(&mut guest, call(id, item)).await;
    }
    let mut requests = Vec::new();
    for item in ["coffee", "빵", "smoothie"] {
        let request = barista.next().await;
        assert_eq!(request["type"], "request");
        assert_eq!(request["service"], "cafe");
        assert_eq!(request["method"], "order");
        assert_eq!(request["params"], json!({"item": item}));
        assert_eq!(request["from"]["name"], "강호동");
        assert!(request["timeout_ms"].as_u64().unwrap() > 50_000);
        assert_eq!(request["again"], Value::Null);
        requests.push(request);
    }
    barista
        .say(json!({"type": "progress", "call": requests[0]["call"], "data": "grinding"}))
        .await;
    for at in [1, 2, 0] {
        barista.say(answer(&requests[at], at)).await;
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(guest.next().await);
    }
    let progress = json!({"type": "progress", "id": 1, "data": "grinding"});
    assert!(heard.contains(&progress), "{heard:?}");
    let served: Vec<_> = heard
        .iter()
        .filter(|message| message["type"] == "ok")
        .collect();
    let ids: Vec<_> = served.iter().map(|ok| ok["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [2, 3, 1]);
    assert_eq!(served[0]["result"], 1);
}

#[tokio::test]
async fn a_service_takes_no_more_than_it_said_and_the_rest_waits_in_order() {
    let server = Server::start();
    let mut barista = barista(&server, 1).await;
    let mut guest = server.guest("kang").await;
    for id in 1..=3 {
        order(&mut guest, call(id, "coffee")).await;
    }
    let first = barista.next().await;
    // Nothing is on its way behind this.
    barista.say(json!({"type": "ping"})).await;
    assert_eq!(barista.next().await["type"], "pong");
    barista.say(answer(&first, "done")).await;
    for id in 1..=3 {
        assert_eq!(guest.next_of("ok").await["id"], id);
        if id < 3 {
            let next = barista.next().await;
            barista.say(answer(&next, "done")).await;
        }
    }
}

#[tokio::test]
async fn a_service_says_why_it_has_no_result() {
    let server = Server::start();
    let mut barista = barista(&server, 4).await;
    let mut guest = server.guest("kang").await;
    let ticket = order(&mut guest, call(1, "cake")).await;
    let request = barista.next().await;
    let error = json!({"code": "sold_out", "message": "케이크는 다 팔렸어요."});
    let respond = json!({"type": "respond", "id": 9, "call": request["call"], "error": error});
    assert_eq!(
        barista.ask(respond.clone()).await,
        json!({"type": "ok", "id": 9, "call": request["call"]})
    );
    assert_eq!(
        guest.next().await,
        json!({"type": "error", "id": 1, "ticket": ticket, "code": "sold_out",
               "message": "케이크는 다 팔렸어요."})
    );
    // A call is answered once.
    assert_eq!(barista.refused(respond).await["code"], "no_such_call");
    // Whoever collects gets the same.
    let collect = json!({"type": "collect", "id": 2, "ticket": ticket});
    assert_eq!(guest.refused(collect).await["code"], "sold_out");
}

#[tokio::test]
async fn a_call_is_cancelled_and_the_service_told() {
    let server = Server::start();
    let mut barista = barista(&server, 4).await;
    let mut guest = server.guest("kang").await;
    let ticket = order(&mut guest, call(1, "coffee")).await;
    let request = barista.next().await;
    let mut other = server.guest("shin").await;
    let cancel = json!({"type": "cancel", "id": 2, "ticket": ticket});
    // A ticket is its user's alone.
    assert_eq!(
        other.refused(cancel.clone()).await["code"],
        "no_such_ticket"
    );
    guest.say(cancel.clone()).await;
    assert_eq!(guest.next().await["code"], "cancelled");
    assert_eq!(
        guest.next().await,
        json!({"type": "ok", "id": 2, "ticket": ticket, "cancelled": true})
    );
    assert_eq!(
        barista.next().await,
        json!({"type": "cancelled", "call": request["call"]})
    );
    assert_eq!(guest.ok(cancel).await["cancelled"], false);
}

#[tokio::test]
async fn a_call_is_over_when_its_time_is() {
    let server = Server::start();
    let mut barista = barista(&server, 4).await;
    let mut guest = server.guest("kang").await;
    let mut hasty = call(1, "coffee");
    // Long enough to be handed out, also where the disk is slow.
    hasty["timeout_ms"] = json!(3000);
    order(&mut guest, hasty).await;
    let request = barista.next().await;
    let late = guest.next().await;
    assert_eq!((&late["id"], &late["code"]), (&json!(1), &json!("timeout")));
    assert_eq!(barista.next().await["type"], "cancelled");
    let error = barista
        .refused(json!({"type": "respond", "id": 1, "call": request["call"]}))
        .await;
    assert_eq!(error["code"], "no_such_call");
}

#[tokio::test]
async fn nobody_serves_a_name_that_was_never_served() {
    let server = Server::start();
    let mut guest = server.guest("kang").await;
    let error = guest.refused(call(1, "coffee")).await;
    assert_eq!(error["code"], "no_such_service");
    assert_eq!(error["ticket"], Value::Null);
}

#[tokio::test]
async fn who_may_serve_is_a_setting() {
    let server = Server::start_with("[access]\nserve = \"admin\"");
    let mut guest = server.guest("kang").await;
    assert_eq!(guest.refused(serve(1)).await["code"], "forbidden");
    let token = std::fs::read_to_string(server.data().join("admin.token")).unwrap();
    let mut admin = server.connect(&format!("/ws?token={}", token.trim())).await;
    admin.next_of("hello").await;
    let serving = json!({"type": "ok", "id": "serve", "service": "cafe", "concurrency": 2,
                         "resumed": []});
    assert_eq!(admin.ask(serve(2)).await, serving);
}

#[tokio::test]
async fn a_key_makes_a_retry_safe() {
    let server = Server::start();
    let mut barista = barista(&server, 4).await;
    let mut guest = server.guest("kang").await;
    let mut keyed = call(1, "coffee");
    keyed["key"] = json!("k-1");
    let ticket = order(&mut guest, keyed.clone()).await;
    // Of an open call, and of one that is answered.
    keyed["id"] = json!(2);
    assert_eq!(order(&mut guest, keyed.clone()).await, ticket);
    let request = barista.next().await;
    barista.say(answer(&request, "done")).await;
    for _ in 0..2 {
        assert_eq!(guest.next_of("ok").await["result"], "done");
    }
    keyed["id"] = json!(3);
    assert_eq!(order(&mut guest, keyed.clone()).await, ticket);
    assert_eq!(guest.next_of("ok").await["result"], "done");
    keyed["params"] = json!("tea");
    assert_eq!(guest.refused(keyed).await["code"], "conflict");
}

#[tokio::test]
async fn more_than_the_calls_in_flight_are_answered_busy_at_once_and_ping_never_waits() {
    let server = Server::start_with("[limits]\ncommands_in_flight = 3");
    let mut barista = barista(&server, 8).await;
    let mut guest = server.guest("kang").await;
    for id in 1..=3 {
        order(&mut guest, call(id, "coffee")).await;
    }
    assert_eq!(guest.refused(call(4, "coffee")).await["code"], "busy");
    guest.say(json!({"type": "ping", "id": 5})).await;
    assert_eq!(guest.next().await, json!({"type": "pong", "id": 5}));
    // A service answers as many as it was asked.
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(barista.next().await);
    }
    for request in &requests {
        barista.say(answer(request, 1)).await;
    }
    for _ in 0..3 {
        guest.next_of("ok").await;
    }
    order(&mut guest, call(6, "coffee")).await;
}
