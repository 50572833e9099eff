//! Calls while everything breaks at random: callers and services are cut off, services forget what they did,
//! and the server is killed, again and again. Every call has one answer in the end, and none is done twice
//! that must not be.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use client::{Client, Incoming, Options};
use common::Server;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const CALLERS: usize = 16;
const CALLS: usize = 60;
const KILLS: usize = 8;

/// Serves calls of which none may be done twice.
const ONCE: &str = "once";
/// Serves calls that may be repeated.
const AGAIN: &str = "again";

/// What everybody knows.
#[derive(Default)]
struct World {
    host: String,
    /// How often each call was begun.
    begun: Mutex<HashMap<String, usize>>,
    over: AtomicBool,
}

/// Someone whose connection breaks, and who comes back.
struct Person {
    world: Arc<World>,
    name: String,
    token: Option<String>,
    client: Option<Client>,
}

impl Person {
    fn new(world: &Arc<World>, name: String) -> Self {
        Self {
            world: world.clone(),
            name,
            token: None,
            client: None,
        }
    }

    /// Connects as often as it takes.
    async fn connect(&mut self) {
        loop {
            let who = match &self.token {
                Some(token) => format!("token={token}"),
                None => format!("name={}", self.name),
            };
            let url = format!("ws://{}/ws?{who}", self.world.host);
            self.client = Client::connect(&url, Options::default()).await.ok();
            if let Some(hello) = self.next().await {
                // A hello that came is of a user that is stored.
                if let Some(token) = hello["token"].as_str() {
                    self.token = Some(token.to_owned());
                }
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn cut(&mut self) {
        self.client = None;
    }

    async fn say(&mut self, command: Value) {
        if let Some(client) = &mut self.client
            && client.send_json(&command).await.is_err()
        {
            self.cut();
        }
    }

    /// The next message; `None` when the connection is gone.
    async fn next(&mut self) -> Option<Value> {
        if let Some(Ok(Incoming::Text(text))) = self.client.as_mut()?.next().await {
            return Some(serde_json::from_str(&text).unwrap());
        }
        self.cut();
        None
    }
}

/// Answers calls until everything is over.
async fn serve(mut person: Person, service: &'static str) {
    let mut work: HashMap<String, Value> = HashMap::new();
    while !person.world.over.load(Ordering::Relaxed) {
        if person.client.is_none() {
            if fastrand::u8(..) < 64 {
                // The whole service was restarted, and knows nothing of what it did.
                work.clear();
            }
            person.connect().await;
            let held: Vec<_> = work.keys().collect();
            let repeatable = service == AGAIN;
            person
                .say(
                    json!({"type": "serve", "id": "serve", "service": service, "concurrency": 3,
                            "repeatable": repeatable, "resume": held}),
                )
                .await;
        }
        // One of a hundred times the connection breaks.
        if fastrand::u8(..100) == 0 {
            person.cut();
            continue;
        }
        let Ok(message) = timeout(Duration::from_millis(100), person.next()).await else {
            continue;
        };
        let Some(message) = message else { continue };
        match (message["type"].as_str().unwrap(), message["id"].as_str()) {
            ("ok", Some("serve")) => {
                let resumed = message["resumed"].as_array().unwrap();
                work.retain(|call, _| resumed.contains(&json!(call)));
                for answer in work.values() {
                    person.say(answer.clone()).await;
                }
            }
            ("request", _) => {
                let call = message["call"].as_str().unwrap().to_owned();
                *person
                    .world
                    .begun
                    .lock()
                    .unwrap()
                    .entry(call.clone())
                    .or_default() += 1;
                let answer = json!({"type": "respond", "id": call, "call": call, "result": call});
                work.insert(call, answer.clone());
                if fastrand::bool() {
                    sleep(Duration::from_millis(fastrand::u64(..20))).await;
                }
                person.say(answer).await;
            }
            ("ok", Some(call)) => {
                work.remove(call);
            }
            ("error", Some(call)) => match message["code"].as_str().unwrap() {
                "no_such_call" => {
                    work.remove(call);
                }
                "unavailable" => person.say(work[call].clone()).await,
                _ => panic!("{message}"),
            },
            ("cancelled", _) => {
                work.remove(message["call"].as_str().unwrap());
            }
            _ => panic!("{message}"),
        }
    }
}

/// Asks, and asks again until there is an answer: the ticket, and what came of it.
async fn ask(person: &mut Person, service: &str, key: &str) -> (String, Value) {
    let mut ticket: Option<String> = None;
    loop {
        if person.client.is_none() {
            person.connect().await;
        }
        person
            .say(match &ticket {
                Some(ticket) => json!({"type": "collect", "id": key, "ticket": ticket}),
                None => json!({"type": "call", "id": key, "service": service, "method": "do", "key": key}),
            })
            .await;
        while let Some(message) = person.next().await {
            assert_eq!(message["id"], key, "{message}");
            if let Some(told) = message["ticket"].as_str() {
                let known = ticket.get_or_insert_with(|| told.to_owned());
                assert_eq!(known, told, "{key} has two tickets");
            }
            match message["type"].as_str().unwrap() {
                "ticket" if fastrand::u8(..8) == 0 => person.cut(),
                "ticket" => {}
                "ok" => return (ticket.unwrap(), message["result"].clone()),
                "error" if message["ticket"].is_string() => {
                    return (ticket.unwrap(), message["code"].clone());
                }
                "error" => {
                    let code = message["code"].as_str().unwrap();
                    assert!(
                        ["unavailable", "no_such_service"].contains(&code),
                        "{message}"
                    );
                    sleep(Duration::from_millis(50)).await;
                    break;
                }
                _ => panic!("{message}"),
            }
            if fastrand::u8(..16) == 0 {
                person.cut();
            }
        }
    }
}

async fn caller(mut person: Person, number: usize) -> (usize, usize) {
    let (mut done, mut lost) = (0, 0);
    for at in 0..CALLS {
        let service = if at % 2 == 0 { ONCE } else { AGAIN };
        let key = format!("{number}-{at}");
        let (ticket, answer) = ask(&mut person, service, &key).await;
        // The answer stays what it is.
        let again = ask(&mut person, service, &key).await;
        assert_eq!(
            (&again.0, &again.1),
            (&ticket, &answer),
            "{key} was answered twice"
        );
        let call = ticket.replacen("t_", "c_", 1);
        let begun = person
            .world
            .begun
            .lock()
            .unwrap()
            .get(&call)
            .copied()
            .unwrap_or(0);
        assert!(
            begun <= 1 || service == AGAIN,
            "{key} was done {begun} times"
        );
        if answer == json!(call) {
            assert!(begun > 0, "{key} was answered by nobody");
            done += 1;
        } else {
            // The service went away with it.
            assert_eq!(answer, "unavailable", "{key}");
            lost += 1;
        }
    }
    (done, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_has_one_answer_and_none_is_done_twice() {
    let mut server = Server::start_with(
        "[calls]\ngrace_ms = 1000\n[limits]\nopenings_per_second = 0\n[times]\nclose_ms = 200",
    );
    let world = Arc::new(World {
        host: server.host.clone(),
        ..World::default()
    });
    let services = [ONCE, ONCE, AGAIN, AGAIN].map(|service| {
        let person = Person::new(&world, service.to_owned());
        tokio::spawn(serve(person, service))
    });
    let callers = (0..CALLERS).map(|number| {
        let person = Person::new(&world, format!("caller{number}"));
        tokio::spawn(caller(person, number))
    });
    let callers = join_all(callers);
    let breaks = async {
        for _ in 0..KILLS {
            sleep(Duration::from_millis(fastrand::u64(300..1_200))).await;
            server.kill();
            server.restart();
        }
    };
    let everything = async { tokio::join!(callers, breaks) };
    let (results, ()) = timeout(Duration::from_secs(180), everything).await.unwrap();
    world.over.store(true, Ordering::Relaxed);
    let (mut done, mut lost) = (0, 0);
    for result in results {
        let (ok, unavailable) = result.unwrap();
        (done, lost) = (done + ok, lost + unavailable);
    }
    for service in services {
        service.await.unwrap();
    }
    println!("{done} calls done, {lost} lost with their service");
    assert_eq!(done + lost, CALLERS * CALLS);
    // Most services come back with what they hold.
    assert!(done > lost, "{done} done, {lost} lost");
}
