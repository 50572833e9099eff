//! Calls outlive whatever breaks: at every step the caller, the service and the server are cut off, and
//! each call is still done once and answered once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use common::{Server, Talker};
use serde_json::{Value, json};

/// A service that does not come back is waited for in vain, for long enough to come back in most tests.
const CONFIG: &str = "[calls]\ngrace_ms = 8000\n";

/// How far a call gets before something breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// It is sent.
    Called,
    /// The caller has its ticket.
    Ticketed,
    /// The service has the request.
    Requested,
    /// The service has told how far it is.
    Progressed,
    /// The service has sent its answer.
    Responded,
    /// The service knows that its answer is stored.
    Stored,
    /// The caller has the answer.
    Answered,
}

const STEPS: [Step; 7] = [
    Step::Called,
    Step::Ticketed,
    Step::Requested,
    Step::Progressed,
    Step::Responded,
    Step::Stored,
    Step::Answered,
];

/// A caller and a service that remember who they are, and one call of theirs.
struct Cafe {
    server: Server,
    guest: Talker,
    guest_token: String,
    barista: Talker,
    barista_token: String,
    ticket: Option<String>,
    request: Option<Value>,
    /// How often the order was begun.
    begun: usize,
}

async fn come_in(server: &Server, name: &str) -> (Talker, String) {
    let mut talker = server.connect(&format!("/ws?name={name}")).await;
    let hello = talker.next_of("hello").await;
    (talker, hello["token"].as_str().unwrap().to_owned())
}

async fn come_back(server: &Server, token: &str) -> Talker {
    let mut talker = server.connect(&format!("/ws?token={token}")).await;
    talker.next_of("hello").await;
    talker
}

fn call(id: u64) -> Value {
    json!({"type": "call", "id": id, "service": "cafe", "method": "order", "params": "커피", "key": "k"})
}

fn respond(request: &Value) -> Value {
    json!({"type": "respond", "id": "r", "call": request["call"], "result": "here you are"})
}

impl Cafe {
    async fn open() -> Self {
        let server = Server::start_with(CONFIG);
        let (guest, guest_token) = come_in(&server, "guest").await;
        let (mut barista, barista_token) = come_in(&server, "barista").await;
        barista
            .ok(json!({"type": "serve", "id": 1, "service": "cafe", "concurrency": 2}))
            .await;
        Self {
            server,
            guest,
            guest_token,
            barista,
            barista_token,
            ticket: None,
            request: None,
            begun: 0,
        }
    }

    /// Goes so far, and no further.
    async fn until(&mut self, last: Step) {
        for step in STEPS.into_iter().filter(|step| *step as u8 <= last as u8) {
            match step {
                Step::Called => self.guest.say(call(1)).await,
                Step::Ticketed => self.take_ticket().await,
                Step::Requested => self.take_request().await,
                Step::Progressed => {
                    let call = &self.request.as_ref().unwrap()["call"];
                    let progress = json!({"type": "progress", "call": call, "data": 0.5});
                    self.barista.say(progress).await;
                    assert_eq!(self.guest.next_of("progress").await["data"], 0.5);
                }
                Step::Responded => {
                    let answer = respond(self.request.as_ref().unwrap());
                    self.barista.say(answer).await;
                }
                Step::Stored => assert_eq!(self.barista.next().await["type"], "ok"),
                Step::Answered => assert_eq!(self.guest.next_of("ok").await["id"], 1),
            }
        }
    }

    async fn take_ticket(&mut self) {
        let ticket = self.guest.next().await;
        assert_eq!(ticket["type"], "ticket", "{ticket}");
        self.ticket = Some(ticket["ticket"].as_str().unwrap().to_owned());
    }

    async fn take_request(&mut self) {
        let request = self.barista.next_of("request").await;
        assert_eq!(request["again"], Value::Null);
        self.begun += 1;
        self.request = Some(request);
    }

    async fn guest_comes_back(&mut self) {
        self.guest = come_back(&self.server, &self.guest_token).await;
        // By its ticket if it has one, by its key if not.
        let again = match &self.ticket {
            Some(ticket) => json!({"type": "collect", "id": 2, "ticket": ticket}),
            None => call(2),
        };
        self.guest.say(again).await;
    }

    async fn barista_comes_back(&mut self) {
        self.barista = come_back(&self.server, &self.barista_token).await;
        let held: Vec<_> = self
            .request
            .iter()
            .map(|request| &request["call"])
            .collect();
        let serving = self
            .barista
            .ok(json!({"type": "serve", "id": 1, "service": "cafe", "concurrency": 2, "resume": held}))
            .await;
        // What is not wanted any more is answered already.
        if serving["resumed"].as_array().unwrap().is_empty() {
            self.request = None;
        }
    }

    /// The service does what is still to be done, and the caller has what it asked for.
    async fn finish(mut self, step: Step) {
        loop {
            tokio::select! {
                message = self.guest.next() => match message["type"].as_str().unwrap() {
                    "ok" => {
                        assert_eq!(message["id"], 2, "{step:?}: {message}");
                        assert_eq!(message["result"], "here you are");
                        break;
                    }
                    "ticket" => self.ticket = Some(message["ticket"].as_str().unwrap().to_owned()),
                    _ => panic!("{step:?}: {message}"),
                },
                message = self.barista.next(), if self.request.is_none() => {
                    if message["type"] == "request" {
                        self.begun += 1;
                        self.barista.say(respond(&message)).await;
                    } else {
                        assert_eq!(message["id"], "r", "{step:?}: {message}");
                    }
                }
                () = std::future::ready(()), if self.request.is_some() => {
                    let request = self.request.take().unwrap();
                    self.barista.say(respond(&request)).await;
                    self.begun += usize::from(self.begun == 0);
                    let reply = self.barista.next().await;
                    assert_eq!(reply["id"], "r", "{step:?}: {reply}");
                }
            }
        }
        assert_eq!(self.begun, 1, "{step:?}");
        // As often as it likes, and the call is over.
        let ticket = self.ticket.unwrap();
        let collect = json!({"type": "collect", "id": 3, "ticket": ticket});
        assert_eq!(self.guest.ok(collect).await["result"], "here you are");
        self.barista.say(json!({"type": "ping"})).await;
        let last = self
            .barista
            .next_where(|message| message["type"] != "ok")
            .await;
        assert_eq!(last["type"], "pong", "{step:?}");
    }
}

#[tokio::test]
async fn a_caller_that_is_cut_off_has_its_answer_when_it_is_back() {
    for step in STEPS {
        let mut cafe = Cafe::open().await;
        cafe.until(step).await;
        cafe.guest_comes_back().await;
        if step == Step::Responded {
            cafe.barista.next_of("ok").await;
        }
        if step as u8 >= Step::Responded as u8 {
            cafe.request = None;
        }
        cafe.finish(step).await;
    }
}

#[tokio::test]
async fn a_service_that_is_cut_off_goes_on_when_it_is_back() {
    for step in STEPS {
        let mut cafe = Cafe::open().await;
        cafe.until(step).await;
        // What was asked before it was cut off must not be asked again: so it is taken first.
        if matches!(step, Step::Called | Step::Ticketed) {
            if step == Step::Called {
                cafe.take_ticket().await;
            }
            cafe.take_request().await;
        }
        cafe.barista_comes_back().await;
        cafe.guest_comes_back().await;
        cafe.finish(step).await;
    }
}

#[tokio::test]
async fn a_killed_server_loses_no_call_and_has_none_done_twice() {
    for step in STEPS {
        let mut cafe = Cafe::open().await;
        cafe.until(step).await;
        cafe.server.kill();
        cafe.server.restart();
        // In either order.
        if (step as u8).is_multiple_of(2) {
            cafe.barista_comes_back().await;
            cafe.guest_comes_back().await;
        } else {
            cafe.guest_comes_back().await;
            cafe.barista_comes_back().await;
        }
        if matches!(step, Step::Called | Step::Ticketed) {
            lost_before_it_was_read(cafe, step).await;
        } else {
            cafe.finish(step).await;
        }
    }
}

/// The server may have been killed when the request was on its way: to a service that cannot tell, since it
/// has never seen it, and to which it may not be given again.
async fn lost_before_it_was_read(mut cafe: Cafe, step: Step) {
    loop {
        tokio::select! {
            message = cafe.guest.next() => match (&message["type"], &message["code"]) {
                (kind, _) if kind == "ticket" => {}
                (_, code) if code == "unavailable" => return assert_eq!(cafe.begun, 0, "{step:?}"),
                (kind, _) if kind == "ok" => return assert_eq!(cafe.begun, 1, "{step:?}"),
                _ => panic!("{step:?}: {message}"),
            },
            message = cafe.barista.next() => match message["type"].as_str().unwrap() {
                "request" => {
                    cafe.begun += 1;
                    cafe.barista.say(respond(&message)).await;
                }
                kind => assert_eq!(kind, "ok", "{step:?}: {message}"),
            },
        }
    }
}

#[tokio::test]
async fn calls_that_wait_outlive_a_killed_server_and_are_done_in_their_order() {
    let mut server = Server::start_with(CONFIG);
    let (mut guest, guest_token) = come_in(&server, "guest").await;
    let (mut barista, token) = come_in(&server, "barista").await;
    let serve = json!({"type": "serve", "id": 1, "service": "cafe"});
    barista.ok(serve.clone()).await;
    let mut tickets = Vec::new();
    for id in 0..5 {
        let call =
            json!({"type": "call", "id": id, "service": "cafe", "method": "order", "params": id});
        tickets.push(guest.ask(call).await["ticket"].clone());
    }
    let first = barista.next_of("request").await;
    server.kill();
    server.restart();
    let mut guest = come_back(&server, &guest_token).await;
    for (id, ticket) in tickets.iter().enumerate() {
        guest
            .say(json!({"type": "collect", "id": id, "ticket": ticket}))
            .await;
    }
    let mut barista = come_back(&server, &token).await;
    let mut resume = serve;
    resume["resume"] = json!([first["call"]]);
    assert_eq!(barista.ok(resume).await["resumed"], json!([first["call"]]));
    barista.say(respond(&first)).await;
    for id in 1..5 {
        let request = barista.next_of("request").await;
        assert_eq!(request["params"], id);
        barista.say(respond(&request)).await;
    }
    for id in 0..5 {
        assert_eq!(guest.next_of("ok").await["id"], id);
    }
}

#[tokio::test]
async fn a_service_that_does_not_come_back_is_told_to_the_caller() {
    let server = Server::start_with("[calls]\ngrace_ms = 300");
    let (mut guest, _) = come_in(&server, "guest").await;
    let (mut barista, _) = come_in(&server, "barista").await;
    barista
        .ok(json!({"type": "serve", "id": 1, "service": "cafe"}))
        .await;
    for id in [1, 2] {
        guest
            .ask(json!({"type": "call", "id": id, "service": "cafe", "method": "order"}))
            .await;
    }
    barista.next_of("request").await;
    drop(barista);
    // The one that was begun, and the one that waited.
    for _ in 0..2 {
        assert_eq!(guest.next_of("error").await["code"], "unavailable");
    }
    let call = json!({"type": "call", "id": 3, "service": "cafe", "method": "order"});
    assert_eq!(guest.refused(call).await["code"], "no_such_service");
}

#[tokio::test]
async fn what_may_be_repeated_goes_to_another_at_once_and_what_may_not_waits_for_its_own() {
    for repeatable in [true, false] {
        let server = Server::start_with("[calls]\ngrace_ms = 300");
        let (mut guest, _) = come_in(&server, "guest").await;
        let serve = |repeatable| json!({"type": "serve", "id": 1, "service": "cafe", "repeatable": repeatable});
        let (mut first, _) = come_in(&server, "first").await;
        first.ok(serve(repeatable)).await;
        guest
            .ask(json!({"type": "call", "id": 1, "service": "cafe", "method": "order"}))
            .await;
        let request = first.next_of("request").await;
        let (mut second, _) = come_in(&server, "second").await;
        second.ok(serve(true)).await;
        drop(first);
        if repeatable {
            let again = second.next_of("request").await;
            assert_eq!(
                (&again["call"], &again["again"]),
                (&request["call"], &json!(true))
            );
            second.say(respond(&again)).await;
            assert_eq!(guest.next_of("ok").await["result"], "here you are");
        } else {
            assert_eq!(guest.next_of("error").await["code"], "unavailable");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn while_the_disk_fails_nothing_is_told_that_is_not_stored_and_it_goes_on_after_it() {
    use disk::{Call, Errno};

    let server = Server::start_on_disk("");
    let (mut guest, _) = come_in(&server, "guest").await;
    let (mut barista, _) = come_in(&server, "barista").await;
    barista
        .ok(json!({"type": "serve", "id": 1, "service": "cafe", "concurrency": 3}))
        .await;
    let hasty =
        json!({"type": "call", "id": 2, "service": "cafe", "method": "order", "timeout_ms": 1});
    let ticket = guest.ask(call(1)).await["ticket"].clone();
    let request = barista.next_of("request").await;

    server
        .disk()
        .fail(&[(Call::Sync, "*", Errno::Failed)])
        .unwrap();
    let error = barista.refused(respond(&request)).await;
    assert_eq!(error["code"], "unavailable", "{error}");
    let cancel = json!({"type": "cancel", "id": 3, "ticket": ticket});
    assert_eq!(guest.refused(cancel).await["code"], "unavailable");
    let refused = guest.refused(hasty).await;
    assert_eq!(
        (&refused["code"], &refused["ticket"]),
        (&json!("unavailable"), &Value::Null)
    );
    // Nobody was told anything else, of a call that is asked nobody was asked.
    for talker in [&mut guest, &mut barista] {
        talker.say(json!({"type": "ping"})).await;
        assert_eq!(talker.next().await["type"], "pong");
    }

    server.disk().heal().unwrap();
    loop {
        let reply = barista.ask(respond(&request)).await;
        if reply["type"] == "ok" {
            break;
        }
        assert_eq!(reply["code"], "unavailable", "{reply}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let answer = guest.next().await;
    assert_eq!(
        (&answer["id"], &answer["result"]),
        (&json!(1), &json!("here you are"))
    );
}
