//! Calls over HTTP: those who wait, those who come back, and what breaks in between.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot go on without"
)]

mod common;

use common::{PATIENCE, Server, Talker};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

const ORDER: &str = "/api/services/cafe/order";

/// A request on its way.
struct Request(TcpStream);

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request: its first line without the version, and headers, each behind a line end.
async fn send(server: &Server, request: &str, body: &str) -> Request {
    let mut socket = TcpStream::connect(&server.host).await.unwrap();
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let headers: String = headers
        .lines()
        .map(|line| format!("{}\r\n", line.trim()))
        .collect();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        server.host,
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    Request(socket)
}

/// The same, up to the answer.
async fn ask(server: &Server, request: &str, body: &str) -> Answer {
    send(server, request, body).await.answer().await
}

/// The same, while the test goes on.
async fn asking(server: &Server, request: &str, body: &str) -> JoinHandle<Answer> {
    tokio::spawn(send(server, request, body).await.answer())
}

impl Request {
    async fn answer(mut self) -> Answer {
        let mut text = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut text)).await;
        read.expect("there is no end of the answer").unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body = if head.contains("transfer-encoding: chunked") {
            dechunked(body)
        } else {
            body.to_owned()
        };
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body,
        }
    }

    /// Reads up to these words.
    async fn until(&mut self, words: &str) {
        let mut heard = String::new();
        while !heard.contains(words) {
            let mut piece = [0; 4096];
            let count = timeout(PATIENCE, self.0.read(&mut piece)).await;
            let count = count.expect("it does not come").unwrap();
            assert!(count > 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }
}

/// RFC 9112 §7.1.
fn dechunked(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    body
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The ticket of a call that is open.
    fn ticket(&self) -> String {
        let body = self.json();
        assert_eq!(
            (self.status, &body["state"]),
            (202, &json!("open")),
            "{body}"
        );
        body["ticket"].as_str().unwrap().to_owned()
    }

    /// The status and the code of an error.
    fn error(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        assert!(body["message"].is_string(), "{body}");
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// The names and the data of events.
    fn events(&self) -> Vec<(String, Value)> {
        assert_eq!(self.status, 200, "{}", self.head);
        assert_eq!(self.header("content-type"), Some("text/event-stream"));
        let blocks = self
            .body
            .split("\n\n")
            .filter(|block| block.starts_with("event"));
        let event = |block: &str| {
            let (name, data) = block.split_once('\n').unwrap();
            let data: Vec<_> = data
                .split(['\n', '\r'])
                .filter_map(|line| line.strip_prefix("data: "))
                .collect();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            (name, serde_json::from_str(&data.join("\n")).unwrap())
        };
        blocks.map(event).collect()
    }
}

/// A guest that serves the café, four orders at a time.
async fn barista(server: &Server) -> Talker {
    let mut barista = server.guest("바리스타").await;
    let serve = json!({"type": "serve", "id": 0, "service": "cafe", "concurrency": 4});
    barista.ok(serve).await;
    barista
}

async fn respond(barista: &mut Talker, request: &Value, result: impl Into<Value>) {
    let call = &request["call"];
    barista
        .ok(json!({"type": "respond", "id": call, "call": call, "result": result.into()}))
        .await;
}

/// Calls as a guest with nothing but a name, and takes the ticket.
async fn order(server: &Server) -> String {
    let answer = ask(
        server,
        &format!("POST {ORDER}?name=kang\nPrefer: respond-async"),
        "",
    )
    .await;
    answer.ticket()
}

/// A guest with a token.
async fn with_token(server: &Server, name: &str) -> (Talker, String) {
    let mut talker = server.connect(&format!("/ws?name={name}")).await;
    let hello = talker.next().await;
    (talker, hello["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_admin_sees_who_serves_what_and_what_waits() {
    let server = Server::start();
    assert_eq!(server.http("GET", "/api/services", "").0, 401);
    let mut barista = server.connect("/ws?name=barista").await;
    let hello = barista.next_of("hello").await;
    barista
        .ok(json!({"type": "serve", "id": 1, "service": "cafe", "repeatable": true}))
        .await;
    let mut guest = server.guest("guest").await;
    for id in 1..=3 {
        guest
            .ask(json!({"type": "call", "id": id, "service": "cafe", "method": "order"}))
            .await;
    }
    let worker = json!({"session": hello["session"], "user": hello["user"]["id"], "concurrency": 1,
                        "at_work": 1, "repeatable": true, "leaving": false});
    let cafe = json!({"service": "cafe", "open": 3, "waiting": 2, "workers": [worker]});
    assert_eq!(
        server.http_as_admin("GET", "/api/services"),
        (200, json!({"services": [cafe]}))
    );
}

#[tokio::test]
async fn who_waits_has_the_answer_and_the_next_one_later() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    for item in ["coffee", "빵"] {
        let params = json!({"item": item});
        let request = format!("POST {ORDER}?name=%EA%B0%95&timeout_ms=50000");
        let answer = asking(&server, &request, &params.to_string()).await;
        let request = barista.next_of("request").await;
        assert_eq!(
            (&request["method"], &request["params"]),
            (&json!("order"), &params)
        );
        assert_eq!(
            (&request["from"]["name"], &request["from"]["guest"]),
            (&json!("강"), &json!(true))
        );
        assert!((40_000..=50_000).contains(&request["timeout_ms"].as_u64().unwrap()));
        respond(&mut barista, &request, item).await;
        let answer = answer.await.unwrap();
        let ticket = request["call"].as_str().unwrap().replacen('c', "t", 1);
        assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({"ticket": ticket, "state": "done", "result": item})
            )
        );
        assert_eq!(answer.header("preference-applied"), None);
    }
}

#[tokio::test]
async fn params_are_any_json_or_nothing() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    for (body, params) in [
        ("", "null"),
        (" \n", "null"),
        ("3", "3"),
        ("[1, {\"가\": null}]", "[1,{\"가\":null}]"),
    ] {
        ask(
            &server,
            &format!("POST {ORDER}?name=kang\nPrefer: respond-async"),
            body,
        )
        .await
        .ticket();
        let request = barista.next_of("request").await;
        assert_eq!(request["params"].to_string(), params);
        respond(&mut barista, &request, 1).await;
    }
}

#[tokio::test]
async fn who_does_not_wait_has_a_ticket_and_comes_back_with_nothing_else() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let request = format!("POST {ORDER}?name=kang\nPrefer: respond-async");
    let answer = ask(&server, &request, r#"{"item":"coffee"}"#).await;
    let at = format!("/api/tickets/{}", answer.ticket());
    assert_eq!(answer.header("location"), Some(&*at));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));

    let poll = ask(&server, &format!("GET {at}"), "").await;
    assert_eq!(poll.ticket(), answer.ticket());
    assert_eq!(poll.header("retry-after"), Some("1"));
    assert_eq!(poll.header("cache-control"), Some("no-store"));

    let request = barista.next_of("request").await;
    respond(&mut barista, &request, "a coffee").await;
    let done = json!({"ticket": answer.ticket(), "state": "done", "result": "a coffee"});
    // As often as one likes.
    for _ in 0..2 {
        let poll = ask(&server, &format!("GET {at}"), "").await;
        assert_eq!((poll.status, poll.json()), (200, done.clone()));
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_answer_or_with_its_time() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    // Its time is over first.
    for prefer in ["wait=0", "respond-async, wait=0", "wait=1"] {
        let answer = ask(
            &server,
            &format!("POST {ORDER}?name=kang\nPrefer: {prefer}"),
            "",
        )
        .await;
        answer.ticket();
        assert_eq!(answer.header("preference-applied"), Some(prefer));
        let request = barista.next_of("request").await;
        respond(&mut barista, &request, 1).await;
    }
    // The answer is first; preferences in two headers.
    let request =
        format!("POST {ORDER}?name=kang\nPrefer: respond-async\nPrefer: wait=\"3000\";a=b, x");
    let answer = asking(&server, &request, "").await;
    let request = barista.next_of("request").await;
    respond(&mut barista, &request, 2).await;
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!(2)));
    assert_eq!(
        answer.header("preference-applied"),
        Some("respond-async, wait=3000")
    );

    let at = format!("/api/tickets/{}", order(&server).await);
    let answer = ask(&server, &format!("GET {at}\nPrefer: wait=1"), "").await;
    answer.ticket();
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    let answer = asking(&server, &format!("GET {at}\nPrefer: wait=3000"), "").await;
    let request = barista.next_of("request").await;
    respond(&mut barista, &request, 3).await;
    let answer = answer.await.unwrap();
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!(3)));
    assert_eq!(answer.header("preference-applied"), Some("wait=60"));
}

#[tokio::test]
async fn events_tell_how_far_it_is_and_then_the_end() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let at = format!("GET /api/tickets/{}", order(&server).await);
    let listen = format!("{at}\nAccept: text/html;q=0.5, Text/Event-Stream");
    let mut streams = [
        send(&server, &listen, "").await,
        send(&server, &listen, "").await,
    ];
    for stream in &mut streams {
        stream.until("\r\n\r\n").await;
    }
    let request = barista.next_of("request").await;
    let call = request["call"].as_str().unwrap();
    // Line ends between tokens are kept byte for byte, and must not end the event.
    for data in [r#""grinding""#, "{\"of\":2,\r\n\"at\":\n1}", "null"] {
        let progress = format!(r#"{{"type":"progress","id":9,"call":"{call}","data":{data}}}"#);
        barista.0.send_text(&progress).await.unwrap();
        assert_eq!(barista.next().await["type"], "ok");
    }
    respond(&mut barista, &request, "a coffee").await;
    let ticket = call.replacen('c', "t", 1);
    let done = json!({"ticket": ticket, "state": "done", "result": "a coffee"});
    let event = |name: &str, data: Value| (name.to_owned(), data);
    for stream in streams {
        let heard = Answer {
            head: EVENTS_HEAD.into(),
            status: 200,
            body: stream.rest().await,
        };
        let expected = [
            event("progress", json!("grinding")),
            event("progress", json!({"of": 2, "at": 1})),
            event("progress", Value::Null),
            event("done", done.clone()),
        ];
        assert_eq!(heard.events(), expected);
    }
    // Who is late hears the end alone.
    assert_eq!(
        ask(&server, &listen, "").await.events(),
        [event("done", done)]
    );
    // And who has no ticket hears no events.
    let none = "GET /api/tickets/t_00000000000000000000000000\nAccept: text/event-stream";
    assert_eq!(
        ask(&server, none, "").await.error(),
        (404, "no_such_ticket".into())
    );

    let at = format!(
        "GET /api/tickets/{}\nAccept: text/event-stream",
        order(&server).await
    );
    let request = barista.next_of("request").await;
    let error = json!({"code": "sold_out", "message": "다 팔렸어요."});
    let listening = asking(&server, &at, "").await;
    let call = &request["call"];
    barista
        .ok(json!({"type": "respond", "id": 1, "call": call, "error": error}))
        .await;
    for heard in [listening.await.unwrap(), ask(&server, &at, "").await] {
        let [(name, data)] = &heard.events()[..] else {
            unreachable!("one event")
        };
        assert_eq!(
            (name.as_str(), &data["code"]),
            ("error", &json!("sold_out"))
        );
    }
}

const EVENTS_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream";

impl Request {
    /// The rest of a chunked body.
    async fn rest(mut self) -> String {
        let mut text = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut text))
            .await
            .expect("it does not end")
            .unwrap();
        dechunked(&String::from_utf8(text).unwrap())
    }
}

#[tokio::test]
async fn a_reader_who_is_too_slow_misses_progress_and_never_the_end() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let at = format!("GET /api/tickets/{}", order(&server).await);
    let mut slow = send(&server, &format!("{at}\nAccept: text/event-stream"), "").await;
    slow.until("\r\n\r\n").await;
    let request = barista.next_of("request").await;
    let data = "x".repeat(60_000);
    // More than any socket holds.
    for id in 0..250 {
        barista
            .ok(json!({"type": "progress", "id": id, "call": request["call"], "data": data}))
            .await;
    }
    respond(&mut barista, &request, 1).await;
    let heard = Answer {
        head: EVENTS_HEAD.into(),
        status: 200,
        body: slow.rest().await,
    };
    let events = heard.events();
    assert!((16..250).contains(&(events.len() - 1)), "{}", events.len());
    assert_eq!(events.last().unwrap().0, "done");
}

#[tokio::test]
async fn a_call_is_cancelled() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let ticket = order(&server).await;
    let waiting = asking(
        &server,
        &format!("GET /api/tickets/{ticket}\nPrefer: wait=60"),
        "",
    )
    .await;
    let request = barista.next_of("request").await;
    let cancel = format!("DELETE /api/tickets/{ticket}");
    let (shin, token) = with_token(&server, "shin").await;
    let other = ask(
        &server,
        &format!("{cancel}\nAuthorization: Bearer {token}"),
        "",
    )
    .await;
    assert_eq!(other.error(), (404, "no_such_ticket".into()));
    drop(shin);
    for cancelled in [true, false] {
        let answer = ask(&server, &cancel, "").await;
        let expected = json!({"ticket": ticket, "cancelled": cancelled});
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    let told = json!({"type": "cancelled", "call": request["call"]});
    assert_eq!(barista.next().await, told);
    // Whether it waited, or asks later.
    let later = ask(&server, &format!("GET /api/tickets/{ticket}"), "").await;
    for answer in [waiting.await.unwrap(), later] {
        assert_eq!(answer.error(), (409, "cancelled".into()));
        assert_eq!(answer.json()["ticket"], *ticket);
    }
}

#[tokio::test]
async fn a_key_makes_a_retry_safe() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let (_kang, token) = with_token(&server, "kang").await;
    let keyed = |prefer: &str, key: &str| {
        format!(
            "POST {ORDER}\nAuthorization: Bearer {token}\nPrefer: {prefer}\nIdempotency-Key: {key}"
        )
    };
    let first = ask(&server, &keyed("respond-async", "k-1"), "1").await;
    // Of an open call, with the key as a string of structured fields, too.
    let waiting = asking(&server, &keyed("wait=3000", "\"k-1\""), "1").await;
    let request = barista.next_of("request").await;
    let other = ask(&server, &keyed("respond-async", "k-1"), "2").await;
    assert_eq!(other.error(), (409, "conflict".into()));
    respond(&mut barista, &request, "done").await;
    // Of one that is answered.
    let again = ask(&server, &keyed("x", "k-1"), "1").await;
    let done = json!({"ticket": first.ticket(), "state": "done", "result": "done"});
    for answer in [waiting.await.unwrap(), again] {
        assert_eq!((answer.status, answer.json()), (200, done.clone()));
    }
    // Nothing was asked twice.
    barista.say(json!({"type": "ping"})).await;
    assert_eq!(barista.next().await["type"], "pong");
}

#[tokio::test]
async fn a_key_that_would_keep_nobody_from_a_second_order_is_refused() {
    let server = Server::start();
    let _barista = barista(&server).await;
    for (request, expected) in [
        (
            format!("POST {ORDER}?name=kang\nIdempotency-Key: k-1"),
            "Idempotency-Key",
        ),
        (
            format!("POST {ORDER}?name=kang\nIdempotency-Key: \"\""),
            "Idempotency-Key",
        ),
    ] {
        let answer = ask(&server, &request, "").await;
        assert_eq!(answer.error(), (400, "bad_field".into()));
        assert_eq!(answer.json()["field"], expected);
    }
}

#[tokio::test]
async fn a_ticket_is_its_users_alone() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let (mut kang, token) = with_token(&server, "kang").await;
    let (_shin, other) = with_token(&server, "shin").await;
    // Asked over HTTP, and over a WebSocket.
    let asked = format!("POST {ORDER}?token={token}\nPrefer: respond-async");
    let by_http = ask(&server, &asked, "").await.ticket();
    let call = json!({"type": "call", "id": 1, "service": "cafe", "method": "order"});
    let by_socket = kang.ask(call).await["ticket"].as_str().unwrap().to_owned();
    let requests = [barista.next().await, barista.next().await];
    for request in requests {
        assert_eq!(request["from"]["name"], "kang");
        respond(&mut barista, &request, "done").await;
    }
    let admin = std::fs::read_to_string(server.data().join("admin.token")).unwrap();
    for ticket in [&by_http, &by_socket] {
        let at = format!("GET /api/tickets/{ticket}");
        let answer = ask(&server, &format!("{at}?token={token}"), "").await;
        assert_eq!(
            (answer.status, &answer.json()["result"]),
            (200, &json!("done"))
        );
        let collect = json!({"type": "collect", "id": ticket, "ticket": ticket});
        assert_eq!(kang.ok(collect).await["result"], "done");

        let alone = ask(&server, &at, "").await;
        assert_eq!(alone.error(), (404, "no_such_ticket".into()));
        assert!(alone.body.contains("token"), "it says what may be missing");
        for stranger in [&other, admin.trim()] {
            let answer = ask(&server, &format!("{at}?token={stranger}"), "").await;
            assert_eq!(answer.error(), (404, "no_such_ticket".into()));
        }
        let unknown = ask(&server, &format!("{at}\nAuthorization: Bearer x"), "").await;
        assert_eq!(unknown.error(), (401, "unauthorized".into()));
    }
    // A guest's ticket is nobody else's either.
    let ticket = order(&server).await;
    let answer = ask(
        &server,
        &format!("GET /api/tickets/{ticket}?token={token}"),
        "",
    )
    .await;
    assert_eq!(answer.error(), (404, "no_such_ticket".into()));
    assert_eq!(
        ask(&server, &format!("GET /api/tickets/{ticket}"), "")
            .await
            .ticket(),
        ticket
    );
}

#[tokio::test]
async fn without_guests_everyone_has_a_token() {
    let server = Server::start_with("[access]\nguests = false");
    let token = std::fs::read_to_string(server.data().join("admin.token")).unwrap();
    let token = token.trim();
    let mut barista = server.connect(&format!("/ws?token={token}")).await;
    barista.next_of("hello").await;
    barista
        .ok(json!({"type": "serve", "id": 0, "service": "cafe"}))
        .await;
    let asked = format!("POST {ORDER}?token={token}\nPrefer: respond-async");
    let at = format!("/api/tickets/{}", ask(&server, &asked, "").await.ticket());
    for request in [
        format!("POST {ORDER}"),
        format!("POST {ORDER}?name=kang"),
        format!("GET {at}"),
        format!("DELETE {at}?name=kang"),
    ] {
        let answer = ask(&server, &request, "").await;
        assert_eq!(answer.error(), (401, "unauthorized".into()), "{request}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(
        ask(&server, &format!("GET {at}?token={token}"), "")
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn every_error_has_its_status() {
    let server = Server::start_with(
        "[calls]\ngrace_ms = 100\nwaiting = 1\nmax_timeout_ms = 60000\ntimeout_ms = 60000",
    );
    let mut barista = barista(&server).await;
    let long = format!("\"{}\"", "x".repeat(65_536));
    let deep = "[".repeat(65) + &"]".repeat(65);
    let nobody = "t_00000000000000000000000000";
    for (request, body, status, code) in [
        ("POST /api/services/cafe/order", "", 401, "unauthorized"),
        (
            "POST /api/services/bakery/order?name=kang",
            "",
            404,
            "no_such_service",
        ),
        (
            "POST /api/services/a%20b/order?name=kang",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/a%20b?name=kang",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/%FF?name=kang",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/order?name=kang",
            "{",
            400,
            "bad_json",
        ),
        (
            "POST /api/services/cafe/order?name=kang",
            "coffee",
            400,
            "bad_json",
        ),
        (
            "POST /api/services/cafe/order?name=kang",
            &deep,
            400,
            "too_long",
        ),
        (
            "POST /api/services/cafe/order?name=kang",
            &long,
            413,
            "too_long",
        ),
        ("POST /api/services/cafe/order?name=", "", 400, "bad_field"),
        (
            "POST /api/services/cafe/order?name=kang&timeout_ms=0",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/order?name=kang&timeout_ms=-1",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/order?name=kang&timeout_ms=60001",
            "",
            400,
            "bad_field",
        ),
        (
            "POST /api/services/cafe/order?name=kang&timeout_ms=99999999999999999999",
            "",
            400,
            "bad_field",
        ),
        ("GET /api/services/cafe/order", "", 405, "unknown_type"),
        ("POST /api/services/cafe", "", 404, "unknown_type"),
        ("POST /api/tickets/x", "", 405, "unknown_type"),
        ("GET /api/tickets/x", "", 400, "bad_field"),
        ("DELETE /api/tickets/%FF", "", 400, "bad_field"),
        (
            &format!("GET /api/tickets/{nobody}"),
            "",
            404,
            "no_such_ticket",
        ),
        (
            &format!("DELETE /api/tickets/{nobody}"),
            "",
            404,
            "no_such_ticket",
        ),
    ] {
        let answer = ask(&server, request, body).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{request}");
    }

    // Behind the ticket.
    let post = format!("POST {ORDER}?name=kang");
    let hasty = ask(&server, &format!("{post}&timeout_ms=50"), "").await;
    assert_eq!(hasty.error(), (504, "timeout".into()));
    let waiting = asking(&server, &post, "").await;
    // The hasty one was a request, too, if its time was not over before.
    let hasty = hasty.json()["ticket"].as_str().unwrap().replace("t_", "c_");
    let request = barista
        .next_where(|message| message["type"] == "request" && message["call"] != hasty)
        .await;
    let error = json!({"code": "no_such_room", "message": "The service's own."});
    let call = &request["call"];
    barista
        .ok(json!({"type": "respond", "id": 1, "call": call, "error": error}))
        .await;
    assert_eq!(waiting.await.unwrap().error(), (422, "no_such_room".into()));

    // One more than may wait.
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(order(&server).await);
    }
    let busy = ask(&server, &post, "").await;
    assert_eq!(busy.error(), (503, "busy".into()));
    assert_eq!(busy.header("retry-after"), Some("1"));
    let waiting = asking(
        &server,
        &format!("GET /api/tickets/{}\nPrefer: wait=60", held[0]),
        "",
    )
    .await;
    drop(barista);
    assert_eq!(waiting.await.unwrap().error(), (503, "unavailable".into()));
}

#[tokio::test]
async fn a_client_that_does_not_wait_any_more_has_asked_all_the_same() {
    let server = Server::start();
    let mut barista = barista(&server).await;
    let (_kang, token) = with_token(&server, "kang").await;
    let keyed = format!("POST {ORDER}?token={token}\nIdempotency-Key: k-1");
    let gone = send(&server, &keyed, "").await;
    let request = barista.next_of("request").await;
    drop(gone);
    let ticket = request["call"].as_str().unwrap().replacen('c', "t", 1);
    let at = format!("GET /api/tickets/{ticket}?token={token}");
    for kind in ["Accept: text/event-stream", "Prefer: wait=60"] {
        drop(send(&server, &format!("{at}\n{kind}"), "").await);
    }
    barista
        .ok(json!({"type": "progress", "id": 1, "call": request["call"]}))
        .await;
    respond(&mut barista, &request, "done").await;
    // By its ticket, and by its key.
    for request in [at, keyed] {
        let answer = ask(&server, &request, "").await;
        assert_eq!(
            (answer.status, &answer.json()["result"]),
            (200, &json!("done"))
        );
    }
}

#[tokio::test]
async fn a_ticket_outlives_a_server_that_is_killed() {
    let mut server = Server::start();
    let (mut barista, token) = with_token(&server, "barista").await;
    let serve = json!({"type": "serve", "id": 0, "service": "cafe"});
    barista.ok(serve.clone()).await;
    let at = format!("GET /api/tickets/{}", order(&server).await);
    let request = barista.next_of("request").await;
    server.kill();
    server.restart();
    assert_eq!(ask(&server, &at, "").await.status, 202);
    let waiting = asking(&server, &format!("{at}\nPrefer: wait=60"), "").await;
    let mut barista = server.connect(&format!("/ws?token={token}")).await;
    let mut resume = serve;
    resume["resume"] = json!([request["call"]]);
    assert_eq!(
        barista.ok(resume).await["resumed"],
        json!([request["call"]])
    );
    respond(&mut barista, &request, "done").await;
    let answer = waiting.await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["result"]),
        (200, &json!("done"))
    );
    server.kill();
    server.restart();
    assert_eq!(ask(&server, &at, "").await.json(), answer.json());
}

#[tokio::test]
async fn a_server_that_ends_lets_nobody_wait() {
    // It would wait a minute for a request that does not end, and the test does not.
    let mut server = Server::start_with("[times]\nclose_ms = 60000");
    let mut barista = barista(&server).await;
    let waiting = asking(&server, &format!("POST {ORDER}?name=kang"), "").await;
    let request = barista.next_of("request").await;
    let ticket = request["call"].as_str().unwrap().replacen('c', "t", 1);
    let at = format!("GET /api/tickets/{ticket}");
    let mut listens = send(&server, &format!("{at}\nAccept: text/event-stream"), "").await;
    listens.until("\r\n\r\n").await;
    server.ask_to_end();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.ticket(), ticket);
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/api/tickets/{ticket}"))
    );
    let retry: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=10).contains(&retry), "{retry}");
    let stream = listens.rest().await;
    assert!(stream.starts_with("retry: "), "{stream}");
    barista.closed().await;
    assert!(server.wait().success());
}

#[tokio::test]
async fn all_of_it_is_described() {
    let server = Server::start();
    let document = ask(&server, "GET /api/openapi.json", "").await.json();
    for (path, method) in [
        ("/api/services/{service}/{method}", "post"),
        ("/api/tickets/{ticket}", "get"),
        ("/api/tickets/{ticket}", "delete"),
    ] {
        let operation = &document["paths"][path][method];
        assert_eq!(operation["tags"], json!(["calls"]), "{method} {path}");
        assert!(operation["responses"]["200"].is_object());
    }
}
