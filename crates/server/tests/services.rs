//! Services that are HTTP addresses, with real ones.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use common::{PATIENCE, Server, Talker};
use hmac::{Hmac, KeyInit, Mac};
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

/// A configuration with the café at a port of this machine.
fn cafe(port: u16, settings: &str) -> String {
    format!("[services.cafe]\nurl = \"http://127.0.0.1:{port}/cafe\"\n{settings}\n")
}

fn call(id: u64, method: &str) -> Value {
    json!({"type": "call", "id": id, "service": "cafe", "method": method, "params": {"item": "커피"}})
}

/// The answer of a call, which comes behind its ticket.
async fn answer(talker: &mut Talker, call: Value) -> Value {
    let id = call["id"].clone();
    assert_eq!(talker.ask(call).await["type"], "ticket");
    talker.next_where(|message| message["id"] == id).await
}

/// A listener on a free port, and the port.
async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept())
        .await
        .unwrap()
        .unwrap()
        .0
}

fn serve(listener: TcpListener, router: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        madang::Server::on(listener)
            .router(router)
            .run()
            .await
            .unwrap()
    })
}

/// A backend that answers each request with the next of these, and the last for ever; and what it was asked.
async fn backend(answers: Vec<Response>) -> (u16, Arc<Mutex<Vec<(HeaderMap, Bytes)>>>) {
    type Shared = (
        Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
        Arc<Mutex<Vec<Response>>>,
    );
    async fn next(
        State((asked, answers)): State<Shared>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        asked.lock().unwrap().push((headers, body));
        answers.lock().unwrap().pop().unwrap()
    }
    let (listener, port) = listen().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(answers.into_iter().rev().collect()));
    let router = Router::new().route("/cafe", post(next));
    serve(listener, router.with_state((asked.clone(), answers)));
    (port, asked)
}

#[tokio::test]
async fn a_call_is_posted_and_signed() {
    let (port, asked) = backend(vec![axum::Json(json!({"tray": [1, "빵"]})).into_response()]).await;
    let server = Server::start_with(&cafe(port, "secret = \"열려라 참깨\""));
    let mut guest = server.guest("강호동").await;
    let ok = answer(&mut guest, call(1, "order")).await;
    assert_eq!(ok["result"], json!({"tray": [1, "빵"]}));
    let (headers, body) = asked.lock().unwrap().pop().unwrap();

    let request: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(request["service"], "cafe");
    assert_eq!(request["method"], "order");
    assert_eq!(request["params"], json!({"item": "커피"}));
    assert_eq!(request["from"]["name"], "강호동");
    assert!((1..=60_000).contains(&request["timeout_ms"].as_u64().unwrap()));
    assert_eq!(
        (&request["again"], &request["type"]),
        (&Value::Null, &Value::Null)
    );
    let id = request["call"].as_str().unwrap();
    assert_eq!(id.replace("c_", "t_"), ok["ticket"].as_str().unwrap());
    assert_eq!(headers["madang-call"], id);
    assert_eq!(headers["idempotency-key"], id);
    assert_eq!(headers["content-type"], "application/json");

    let signature = headers["madang-signature"].to_str().unwrap();
    let (time, hex) = signature
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let mut hmac = Hmac::<Sha256>::new_from_slice("열려라 참깨".as_bytes()).unwrap();
    hmac.update(format!("{time}.").as_bytes());
    hmac.update(&body);
    let expected: String = hmac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, expected);
}

#[tokio::test]
async fn an_error_of_the_service_is_the_calls() {
    let sold_out = r#"{"code":"sold_out","message":"다 팔렸어요."}"#;
    let answers = vec![
        (StatusCode::UNPROCESSABLE_ENTITY, sold_out).into_response(),
        (StatusCode::NOT_FOUND, "what?").into_response(),
        // Nothing is tried again that may have been done.
        StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
        "x".repeat(70_000).into_response(),
        "<html>".into_response(),
        "null".into_response(),
    ];
    let count = answers.len();
    let (port, asked) = backend(answers).await;
    let server = Server::start_with(&cafe(port, ""));
    let mut guest = server.guest("kang").await;
    let sold_out = answer(&mut guest, call(1, "order")).await;
    assert_eq!(sold_out["code"], "sold_out");
    assert_eq!(sold_out["message"], "다 팔렸어요.");
    for code in [
        "bad_request",
        "unavailable",
        "internal",
        "internal",
        "internal",
    ] {
        assert_eq!(answer(&mut guest, call(2, "order")).await["code"], code);
    }
    assert_eq!(answer(&mut guest, call(3, "order")).await["type"], "ok");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), count);
    // Without a secret there is no signature.
    assert!(
        asked
            .iter()
            .all(|(headers, _)| !headers.contains_key("madang-signature"))
    );
}

#[tokio::test]
async fn what_is_repeatable_is_tried_again_until_it_is_answered() {
    let later = [(header::RETRY_AFTER, "1")];
    let (port, asked) = backend(vec![
        StatusCode::BAD_GATEWAY.into_response(),
        (StatusCode::SERVICE_UNAVAILABLE, later).into_response(),
        "\"at last\"".into_response(),
    ])
    .await;
    let server = Server::start_with(&cafe(port, "repeatable = true"));
    let mut guest = server.guest("kang").await;
    assert_eq!(
        answer(&mut guest, call(1, "order")).await["result"],
        "at last"
    );
    let asked = asked.lock().unwrap();
    let requests: Vec<Value> = asked
        .iter()
        .map(|(_, body)| serde_json::from_slice(body).unwrap())
        .collect();
    assert_eq!(requests[0]["again"], Value::Null);
    assert_eq!(
        (&requests[1]["again"], &requests[2]["again"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(requests[0]["call"], requests[2]["call"]);
    let left = |at: usize| requests[at]["timeout_ms"].as_u64().unwrap();
    assert!(left(1) - left(2) >= 900, "Retry-After: {requests:?}");
}

#[tokio::test]
async fn a_call_waits_for_a_backend_that_is_not_there_yet() {
    let (listener, port) = listen().await;
    drop(listener);
    let server = Server::start_with(&cafe(port, ""));
    let mut guest = server.guest("kang").await;
    // One that does not come in time.
    let mut hasty = call(1, "order");
    hasty["timeout_ms"] = json!(700);
    assert_eq!(answer(&mut guest, hasty).await["code"], "timeout");
    // And one that does: nothing was asked before, so it need not be repeatable.
    let ticket = guest.ask(call(2, "order")).await;
    assert_eq!(ticket["type"], "ticket");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let router = Router::new().route(
        "/cafe",
        post(async |body: String| {
            assert!(!body.contains("again"));
            "true"
        }),
    );
    serve(listener, router);
    assert_eq!(guest.next_of("ok").await["result"], true);
}

#[tokio::test]
async fn over_tls_a_backend_must_be_the_one_that_it_is_named() {
    let pems = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| pems.path().join(name));
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (listener, port) = listen().await;
    let backend = madang::Server::on(listener).tls(madang::Tls::from_files(&cert, &key).unwrap());
    let router = Router::new().route("/cafe", post(async || "\"sealed\""));
    tokio::spawn(async move { backend.router(router).run().await.unwrap() });

    for (host, trusted, expected) in [
        ("localhost", true, json!("sealed")),
        ("127.0.0.1", true, Value::Null),
        ("localhost", false, Value::Null),
    ] {
        let folder = tempfile::tempdir().unwrap();
        if trusted {
            fs::copy(&cert, folder.path().join("trusted.pem")).unwrap();
        }
        let config = format!("[services.cafe]\nurl = \"https://{host}:{port}/cafe\"");
        let server = Server::start_in(folder, &config);
        let mut guest = server.guest("kang").await;
        let mut call = call(1, "order");
        if expected == Value::Null {
            call["timeout_ms"] = json!(500);
        }
        let answer = answer(&mut guest, call).await;
        assert_eq!(answer["result"], expected, "{host}, {trusted}: {answer}");
    }
}

/// Reads the head of a request and its body.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = timeout(PATIENCE, socket.read(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(count, 0, "the request is whole");
        request.extend_from_slice(&bytes[..count]);
        if request.ends_with(b"}") {
            return String::from_utf8(request).unwrap();
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_cut_off_is_asked_again_only_where_it_may_be() {
    for (settings, expected) in [("", "unavailable"), ("repeatable = true", "ok")] {
        let (listener, port) = listen().await;
        let server = Server::start_with(&cafe(port, settings));
        let mut guest = server.guest("kang").await;
        guest.say(call(1, "order")).await;
        // In the middle of an answer, and where another try comes, before one.
        let mut socket = accept(&listener).await;
        read_request(&mut socket).await;
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\"don")
            .await
            .unwrap();
        drop(socket);
        if expected == "ok" {
            let mut socket = accept(&listener).await;
            assert!(read_request(&mut socket).await.contains("\"again\":true"));
            drop(socket);
            let mut socket = accept(&listener).await;
            read_request(&mut socket).await;
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\"done\"")
                .await
                .unwrap();
            assert_eq!(guest.next_of("ok").await["result"], "done");
        } else {
            assert_eq!(guest.next_of("error").await["code"], expected);
        }
    }
}

#[tokio::test]
async fn a_request_is_dropped_when_its_call_is_cancelled_or_it_takes_too_long() {
    let (listener, port) = listen().await;
    let server = Server::start_with(&cafe(port, "timeout_ms = 3000"));
    let mut guest = server.guest("kang").await;
    let ticket = guest.ask(call(1, "order")).await["ticket"].clone();
    let mut socket = accept(&listener).await;
    read_request(&mut socket).await;
    guest
        .say(json!({"type": "cancel", "id": 2, "ticket": ticket}))
        .await;
    assert_eq!(guest.next_of("error").await["code"], "cancelled");
    assert_eq!(
        timeout(PATIENCE, socket.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );

    guest.ask(call(3, "order")).await;
    let mut socket = accept(&listener).await;
    read_request(&mut socket).await;
    assert_eq!(
        guest.next_where(|message| message["id"] == 3).await["code"],
        "timeout"
    );
    assert_eq!(
        timeout(PATIENCE, socket.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_backend_has_no_more_requests_at_a_time_than_it_takes_and_keeps_its_connections() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let places = Arc::new(Semaphore::new(0));
    let handler = {
        let (now, most, places) = (now.clone(), most.clone(), places.clone());
        move || {
            let (now, most, places) = (now.clone(), most.clone(), places.clone());
            let arrived = arrived.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                arrived.send(()).unwrap();
                places.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Body::from("1")
            }
        }
    };
    let (inner, inner_port) = listen().await;
    serve(inner, Router::new().route("/cafe", post(handler)));
    // In between, to count the connections.
    let (outer, port) = listen().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = outer.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", inner_port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let server = Server::start_with(&cafe(port, "concurrency = 2"));
    let mut guest = server.guest("kang").await;
    for id in 1..=12 {
        assert_eq!(guest.ask(call(id, "order")).await["type"], "ticket");
    }
    for _ in 0..2 {
        timeout(PATIENCE, arrivals.recv()).await.unwrap();
    }
    places.add_permits(12);
    for _ in 1..=12 {
        assert_eq!(guest.next_of("ok").await["result"], 1);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    // A connection that is being made while another becomes free is one too many, for once.
    let connections = connections.load(Ordering::SeqCst);
    assert!(
        connections <= 6,
        "{connections} connections for 12 requests"
    );
}

#[tokio::test]
async fn a_server_that_was_killed_with_a_call_at_work_asks_again_only_where_it_may() {
    for (settings, expected) in [("", "unavailable"), ("repeatable = true", "ok")] {
        let (listener, port) = listen().await;
        let config = format!("[calls]\ngrace_ms = 3000\n{}", cafe(port, settings));
        let mut server = Server::start_with(&config);
        let mut guest = server.connect("/ws?name=kang").await;
        let hello = guest.next_of("hello").await;
        let ticket = guest.ask(call(1, "order")).await["ticket"].clone();
        let mut socket = accept(&listener).await;
        read_request(&mut socket).await;
        server.kill();
        server.restart();
        let token = hello["token"].as_str().unwrap();
        let mut guest = server.connect(&format!("/ws?token={token}")).await;
        guest.next_of("hello").await;
        guest
            .say(json!({"type": "collect", "id": 2, "ticket": ticket}))
            .await;
        if expected == "ok" {
            let mut socket = accept(&listener).await;
            assert!(read_request(&mut socket).await.contains("\"again\":true"));
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\"done\"")
                .await
                .unwrap();
            assert_eq!(guest.next_of("ok").await["result"], "done");
        } else {
            assert_eq!(guest.next_of("error").await["code"], expected);
            // And nobody was asked.
            let second = timeout(Duration::from_millis(200), listener.accept()).await;
            assert!(second.is_err());
        }
    }
}
