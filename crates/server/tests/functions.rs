//! Functions that answer calls, in a program that embeds the server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use common::{PATIENCE, Talker};
use madang_server::{Asked, Config, Failure, Server, ServiceOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, Semaphore, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// A server within the test.
struct Embedded {
    host: String,
    end: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

fn config(folder: &TempDir) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: folder.path().join("data"),
        ..Config::default()
    }
}

impl Embedded {
    async fn start(folder: &TempDir, with: impl FnOnce(Server) -> Server) -> Self {
        Self::start_with(config(folder), with).await
    }

    async fn start_with(config: Config, with: impl FnOnce(Server) -> Server) -> Self {
        let server = with(Server::open(config).await.unwrap());
        let host = server.url().unwrap().replace("http://", "");
        let (end, ended) = oneshot::channel();
        let ended = async { _ = ended.await };
        let running = tokio::spawn(server.run(ended, pending()));
        Self { host, end, running }
    }

    async fn guest(&self) -> Talker {
        let mut talker = Talker::connect(&self.host, "/ws?name=kang").await;
        talker.next_of("hello").await;
        talker
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        let running = timeout(PATIENCE, self.running).await.unwrap();
        running.unwrap().unwrap();
    }
}

fn call(id: u64, method: &str, params: Value) -> Value {
    json!({"type": "call", "id": id, "service": "cafe", "method": method, "params": params})
}

/// The answer of a call, which comes behind its ticket.
async fn answer(talker: &mut Talker, call: Value) -> Value {
    let id = call["id"].clone();
    assert_eq!(talker.ask(call).await["type"], "ticket");
    talker
        .next_where(|message| message["id"] == id && message["type"] != "progress")
        .await
}

#[derive(Deserialize)]
struct Order {
    item: String,
}

#[derive(Serialize)]
struct Served {
    item: String,
    to: String,
}

async fn kitchen(asked: Asked) -> Result<Served, Failure> {
    match asked.method() {
        "order" => {
            let Order { item } = asked.params()?;
            if item == "cake" {
                return Err(Failure::new("sold_out", "케이크는 다 팔렸어요."));
            }
            asked.progress(&json!({"at": "grinder"}));
            let to = asked.from().name.to_string();
            Ok(Served { item, to })
        }
        "drop" => panic!("a cup falls"),
        "whisper" => Err(Failure::new("No Such Code", "")),
        "grumble" => Err(Failure::new("grumpy", "가".repeat(2_000))),
        _ => Err(asked.no_such_method()),
    }
}

#[tokio::test]
async fn a_function_answers_tells_how_far_it_is_and_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Embedded::start(&folder, |server| server.service("cafe", kitchen)).await;
    let mut guest = server.guest().await;
    guest.ask(call(1, "order", json!({"item": "coffee"}))).await;
    assert_eq!(
        guest.next().await,
        json!({"type": "progress", "id": 1, "data": {"at": "grinder"}})
    );
    let ok = guest.next().await;
    assert_eq!(ok["result"], json!({"item": "coffee", "to": "kang"}));

    let sold_out = answer(&mut guest, call(2, "order", json!({"item": "cake"}))).await;
    assert_eq!(sold_out["code"], "sold_out");
    assert_eq!(sold_out["message"], "케이크는 다 팔렸어요.");
    let wrong = answer(&mut guest, call(3, "order", json!({"drink": 1}))).await;
    assert_eq!(wrong["code"], "bad_field");
    let message = wrong["message"].as_str().unwrap();
    assert!(
        message.contains("'order'") && message.contains("missing field `item`"),
        "{message}"
    );
    let unknown = answer(&mut guest, call(4, "dance", Value::Null)).await;
    assert_eq!(unknown["code"], "no_such_method");
    server.end().await;
}

#[tokio::test]
async fn what_goes_wrong_in_a_function_is_its_calls_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Embedded::start(&folder, |server| {
        server
            .service("cafe", kitchen)
            .service("deep", async |_: Asked| {
                Ok((0..65).fold(json!(1), |inner, _| json!([inner])))
            })
            .service("long", async |_: Asked| Ok("x".repeat(1 << 20)))
    })
    .await;
    let mut guest = server.guest().await;
    for method in ["drop", "whisper"] {
        let broken = answer(&mut guest, call(1, method, Value::Null)).await;
        assert_eq!(broken["code"], "internal", "{broken}");
        // What the fault was is the log's.
        assert!(!broken.to_string().contains("cup"), "{broken}");
    }
    for service in ["deep", "long"] {
        let mut call = call(2, "any", Value::Null);
        call["service"] = json!(service);
        assert_eq!(answer(&mut guest, call).await["code"], "internal");
    }
    let grumpy = answer(&mut guest, call(3, "grumble", Value::Null)).await;
    assert_eq!(grumpy["code"], "grumpy");
    assert_eq!(grumpy["message"].as_str().unwrap().chars().count(), 1_000);
    let ok = answer(&mut guest, call(4, "order", json!({"item": "tea"}))).await;
    assert_eq!(ok["type"], "ok");
    server.end().await;
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_or_over_its_time_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let dropped = Arc::new(Notify::new());
    let server = Embedded::start(&folder, |server| {
        let dropped = dropped.clone();
        server.service("cafe", move |asked: Asked| {
            let dropped = Dropped(dropped.clone());
            async move {
                asked.progress(&"begun");
                assert!(asked.timeout() <= Duration::from_secs(60));
                let _dropped = dropped;
                pending::<Result<(), Failure>>().await
            }
        })
    })
    .await;
    let mut guest = server.guest().await;
    let ticket = guest.ask(call(1, "order", Value::Null)).await["ticket"].clone();
    guest.next_of("progress").await;
    guest
        .say(json!({"type": "cancel", "id": 2, "ticket": ticket}))
        .await;
    timeout(PATIENCE, dropped.notified()).await.unwrap();
    let mut hasty = call(3, "order", Value::Null);
    hasty["timeout_ms"] = json!(3000);
    assert_eq!(answer(&mut guest, hasty).await["code"], "timeout");
    timeout(PATIENCE, dropped.notified()).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn a_function_has_no_more_calls_at_a_time_than_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let places = Arc::new(Semaphore::new(0));
    let server = Embedded::start(&folder, |server| {
        let (now, most, places) = (now.clone(), most.clone(), places.clone());
        let options = ServiceOptions {
            concurrency: 3,
            ..ServiceOptions::default()
        };
        server.service_with("cafe", options, move |_: Asked| {
            let (now, most, places) = (now.clone(), most.clone(), places.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                places.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
    })
    .await;
    let mut guest = server.guest().await;
    for id in 1..=9 {
        let ticket = guest.ask(call(id, "order", Value::Null)).await;
        assert_eq!(ticket["type"], "ticket");
    }
    places.add_permits(9);
    for _ in 1..=9 {
        assert_eq!(guest.next_of("ok").await["result"], Value::Null);
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    server.end().await;
}

#[tokio::test]
async fn a_server_that_ends_lets_its_functions_end_and_their_answers_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, mut at_work) = watch::channel(false);
    let go = Arc::new(Notify::new());
    let mut patient = config(&folder);
    patient.times.close_ms = 60_000;
    let first = Embedded::start_with(patient, |server| {
        let go = go.clone();
        server.service("cafe", move |_: Asked| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.send_replace(true);
                go.notified().await;
                Ok("done")
            }
        })
    })
    .await;
    let mut guest = Talker::connect(&first.host, "/ws?name=kang").await;
    let hello = guest.next_of("hello").await;
    let ticket = guest.ask(call(1, "order", Value::Null)).await["ticket"].clone();
    at_work.wait_for(|begun| *begun).await.unwrap();
    let end = tokio::spawn(first.end());
    assert_eq!(guest.closed().await.0, 1012);
    go.notify_one();
    end.await.unwrap();

    let second = Embedded::start(&folder, |server| server).await;
    let token = hello["token"].as_str().unwrap();
    let mut guest = Talker::connect(&second.host, &format!("/ws?token={token}")).await;
    let collected = guest
        .ok(json!({"type": "collect", "id": 2, "ticket": ticket}))
        .await;
    assert_eq!(collected["result"], "done");
    second.end().await;
}

#[tokio::test]
async fn pages_of_the_program_come_before_those_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Embedded::start(&folder, |server| {
        let page = || async { "the café" };
        server
            .router(Router::new().route("/", get(page)))
            .router(Router::new().route("/menu", get(|| async { "coffee" })))
    })
    .await;
    for (path, expected) in [
        ("/", "the café"),
        ("/menu", "coffee"),
        ("/api/rooms", "\"rooms\""),
        ("/madang.js", "import"),
        ("/nowhere", "nothing at this address"),
    ] {
        let body = body(&server.host, path).await;
        assert!(body.contains(expected), "{path}: {body}");
    }
    // And the WebSocket is where it was.
    server.guest().await;
    server.end().await;
}

async fn body(host: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_service_that_cannot_be_is_named_when_the_server_runs() {
    for (name, concurrency, expected) in [
        (
            "the café",
            1,
            "'the café': its name must not contain the character ' '",
        ),
        (
            "cafe",
            0,
            "'cafe': its concurrency is 0 and must be from 1 to 1024",
        ),
        ("cafe", 1_025, "1025"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(config(&folder)).await.unwrap();
        let options = ServiceOptions {
            concurrency,
            ..ServiceOptions::default()
        };
        let server = server.service_with(name, options, kitchen);
        let error = server.run(pending(), pending()).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    }
}
