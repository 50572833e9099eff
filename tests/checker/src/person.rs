//! Someone who talks in all rooms, over a link that fails them, and writes down what they know.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use client::{Client, Close, CloseCode, Incoming, Options, Receiver, Sender};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    books::{Books, End, Read},
    link::Link,
};

/// Without a word for so long, the server is asked whether it is there; and without an answer it is not.
const QUIET: Duration = Duration::from_secs(2);
/// Messages that wait for their `ok` at a time.
const UNSURE: usize = 4;

/// What is wanted of everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Talk.
    Talk,
    /// Say nothing new, get what was said acknowledged, and read.
    Listen,
    /// Go, as well-mannered people do.
    Leave,
    /// Be gone at once, without a word.
    Vanish,
}

/// What a person shows to those who compare.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) user: String,
    /// By room.
    pub(crate) read: BTreeMap<String, Read>,
    /// Who is present in a room, as they were told, while they are connected.
    pub(crate) present: BTreeMap<String, BTreeSet<String>>,
    /// Subscribed to all rooms, over the connection that is open now.
    pub(crate) is_in: bool,
    /// Nothing that they said waits for its `ok`.
    pub(crate) is_sure: bool,
}

pub(crate) struct Person {
    name: String,
    rooms: Rc<[String]>,
    rng: Rng,
    link: Link,
    books: Rc<RefCell<Books>>,
    wanted: Rc<Cell<Wanted>>,
    shown: Rc<RefCell<Shown>>,
    /// Seconds between two messages, on the average.
    every: f64,
    token: Option<String>,
    epochs: HashMap<String, String>,
    /// Keys and where they go: said, and not known to be stored.
    unsure: BTreeMap<u64, Unsure>,
    said: u64,
}

struct Unsure {
    room: String,
    text: String,
    /// It was sent over the connection that is open now.
    is_sent: bool,
}

/// A connection, for as long as it lasts.
struct Visit {
    sender: Sender,
    receiver: Receiver,
    session: String,
    /// Commands without an answer, by their ids.
    asked: BTreeSet<String>,
    subscribed: usize,
    /// Rooms into which they were not let for now.
    refused: Vec<String>,
}

impl Person {
    #[expect(
        clippy::too_many_arguments,
        reason = "they are all different, and it is called once"
    )]
    pub(crate) fn new(
        name: String,
        rooms: Rc<[String]>,
        rng: Rng,
        link: Link,
        books: Rc<RefCell<Books>>,
        wanted: Rc<Cell<Wanted>>,
        shown: Rc<RefCell<Shown>>,
        every: f64,
    ) -> Self {
        let mut person = Self {
            name,
            rooms,
            rng,
            link,
            books,
            wanted,
            shown,
            every,
            token: None,
            epochs: HashMap::new(),
            unsure: BTreeMap::new(),
            said: 0,
        };
        person.show();
        person
    }

    /// Comes and goes, until nothing more is wanted.
    pub(crate) async fn live(mut self) {
        loop {
            match self.wanted.get() {
                Wanted::Leave | Wanted::Vanish => return,
                Wanted::Listen => self.link.calm(),
                Wanted::Talk => {}
            }
            let Some(mut visit) = self.come().await else {
                sleep(Duration::from_millis(self.rng.u64(50..300))).await;
                continue;
            };
            let end = self.visit(&mut visit).await;
            self.shown.borrow_mut().is_in = false;
            for unsure in self.unsure.values_mut() {
                unsure.is_sent = false;
            }
            let end = match end {
                // Also a good-bye may be held up, and the server have ended it by then.
                End::Broken | End::Leaving if self.link.was_faulty() => End::Cut,
                end => end,
            };
            self.books
                .borrow_mut()
                .sessions
                .insert(visit.session, Some(end));
            sleep(Duration::from_millis(self.rng.u64(0..500))).await;
        }
    }

    /// Connects, and hears `hello`.
    async fn come(&mut self) -> Option<Visit> {
        let who = match &self.token {
            Some(token) => format!("token={token}"),
            None => format!("name={}", self.name),
        };
        let url = format!("ws://{}/ws?{who}", self.link.address);
        let connect = Client::connect(&url, Options::default());
        let client = timeout(Duration::from_secs(5), connect).await.ok()?;
        let Ok(client) = client else {
            self.books.borrow_mut().counts.refused += 1;
            return None;
        };
        let (sender, mut receiver) = client.split();
        let hello = timeout(Duration::from_secs(5), receiver.next())
            .await
            .ok()??;
        let Ok(Incoming::Text(hello)) = hello else {
            return None;
        };
        let hello: Value = serde_json::from_str(&hello).unwrap_or_default();
        if hello["type"] != "hello" {
            self.fault(format!("no hello but {hello}"));
            return None;
        }
        if let Some(token) = hello["token"].as_str() {
            self.token.get_or_insert_with(|| token.to_owned());
        }
        let user = hello["user"]["id"].as_str().unwrap_or_default();
        let known = self.shown.borrow().user.clone();
        if !known.is_empty() && known != user {
            self.fault(format!("{user} was {known} before"));
        }
        self.shown.borrow_mut().user = user.to_owned();
        let session = hello["session"].as_str().unwrap_or_default().to_owned();
        self.books
            .borrow_mut()
            .sessions
            .insert(session.clone(), None);
        Some(Visit {
            sender,
            receiver,
            session,
            asked: BTreeSet::new(),
            subscribed: 0,
            refused: Vec::new(),
        })
    }

    /// Talks and listens until the end.
    async fn visit(&mut self, visit: &mut Visit) -> End {
        for room in self.rooms.clone().iter() {
            if !self.enter(visit, room).await {
                return End::Broken;
            }
        }
        let mut heard = Instant::now();
        let mut is_asked = false;
        let mut next = self.next_word();
        let leaves_at = Instant::now() + Duration::from_millis(self.rng.u64(500..60_000));
        loop {
            match self.wanted.get() {
                Wanted::Vanish => return End::Broken,
                Wanted::Leave => return self.leave(visit).await,
                Wanted::Talk if Instant::now() >= leaves_at => return self.leave(visit).await,
                Wanted::Talk | Wanted::Listen => {}
            }
            let quiet = heard + QUIET;
            tokio::select! {
                biased;
                incoming = visit.receiver.next() => match incoming {
                    Some(Ok(Incoming::Text(text))) => {
                        (heard, is_asked) = (Instant::now(), false);
                        self.take(visit, &text);
                    }
                    Some(Ok(Incoming::Closed(close))) => return End::Closed(close.code.get()),
                    Some(Ok(Incoming::Binary(_))) => self.fault("a binary message"),
                    Some(Err(_)) | None => return End::Broken,
                },
                () = sleep_until(next) => {
                    next = self.next_word();
                    if !self.speak(visit).await {
                        return End::Broken;
                    }
                }
                () = sleep_until(quiet) => {
                    // One who comes late has not listened either: what was said may still be on its way.
                    if is_asked && quiet.elapsed() < QUIET / 4 {
                        return End::Broken;
                    }
                    (heard, is_asked) = (Instant::now(), true);
                    if !self.say(visit, &json!({"type": "ping"})).await {
                        return End::Broken;
                    }
                }
            }
        }
    }

    fn next_word(&mut self) -> Instant {
        // Also without something to say: what was not sure is said again, and what is wanted is seen.
        let every = self.every.min(0.5);
        Instant::now() + crate::Options::around(&mut self.rng, every)
    }

    /// Says something new, or again what is not sure.
    async fn speak(&mut self, visit: &mut Visit) -> bool {
        if let Some(room) = visit.refused.pop() {
            return self.enter(visit, &room).await;
        }
        if visit.subscribed < self.rooms.len() {
            return true;
        }
        let again = self.unsure.iter().find(|(_, unsure)| !unsure.is_sent);
        let number = match again.map(|(number, _)| *number) {
            Some(number) => {
                self.books.borrow_mut().counts.retried += 1;
                number
            }
            None if self.wanted.get() != Wanted::Talk || self.unsure.len() == UNSURE => {
                return true;
            }
            None => {
                self.said += 1;
                let room = self.rooms[self.rng.usize(..self.rooms.len())].clone();
                let letters = "가나다라마바사".repeat(self.rng.usize(0..8));
                let text = format!("{}-{} {letters}", self.name, self.said);
                let unsure = Unsure {
                    room,
                    text,
                    is_sent: false,
                };
                self.unsure.insert(self.said, unsure);
                self.books.borrow_mut().counts.sent += 1;
                self.said
            }
        };
        let Some(unsure) = self.unsure.get_mut(&number) else {
            return true;
        };
        unsure.is_sent = true;
        let command = json!({"type": "send", "id": number.to_string(), "room": unsure.room,
            "key": format!("{}-{number}", self.name), "text": unsure.text});
        self.show();
        self.ask(visit, command).await
    }

    /// Subscribes to a room, behind what they have had of it.
    async fn enter(&mut self, visit: &mut Visit, room: &str) -> bool {
        let read = self.shown.borrow().read.get(room).copied();
        let since = read.unwrap_or_default().last;
        let mut command = json!({"type": "subscribe", "id": format!("in {room}"), "room": room,
            "since": since});
        if let Some(epoch) = self.epochs.get(room) {
            command["epoch"] = json!(epoch);
        }
        self.ask(visit, command).await
    }

    async fn ask(&mut self, visit: &mut Visit, command: Value) -> bool {
        visit
            .asked
            .insert(command["id"].as_str().unwrap_or_default().to_owned());
        self.say(visit, &command).await
    }

    async fn say(&mut self, visit: &mut Visit, command: &Value) -> bool {
        let sent = timeout(QUIET, visit.sender.send_json(command)).await;
        matches!(sent, Ok(Ok(())))
    }

    async fn leave(&mut self, visit: &mut Visit) -> End {
        let goodbye = Close::new(CloseCode::NORMAL, "good-bye");
        let leaving = async {
            visit.sender.close(goodbye).await.ok()?;
            loop {
                match visit.receiver.next().await?.ok()? {
                    Incoming::Text(text) => self.take(visit, &text),
                    Incoming::Binary(_) => {}
                    Incoming::Closed(close) => return Some(close),
                }
            }
        };
        match timeout(Duration::from_secs(3), leaving).await {
            Ok(Some(close)) if close.code == CloseCode::NORMAL => End::Left,
            // The server was closing it too.
            Ok(Some(close)) => End::Closed(close.code.get()),
            Ok(None) | Err(_) => End::Leaving,
        }
    }

    fn take(&mut self, visit: &mut Visit, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return self.fault(format!("no JSON: {text}"));
        };
        match message["type"].as_str() {
            Some("ok" | "error") => self.take_answer(visit, &message),
            Some("message") => {
                let room = text_of(&message["room"]);
                let taken = self
                    .shown
                    .borrow_mut()
                    .read
                    .entry(room.clone())
                    .or_default()
                    .take(&message);
                match taken {
                    Ok(()) => self.books.borrow_mut().counts.received += 1,
                    Err(fault) => self.fault(format!("{room}: {fault}")),
                }
            }
            Some("presence") => {
                let mut shown = self.shown.borrow_mut();
                let present = shown.present.entry(text_of(&message["room"])).or_default();
                if message["reset"] == true {
                    present.clear();
                }
                present.extend(users(&message["joined"]));
                for user in users(&message["left"]) {
                    present.remove(&user);
                }
            }
            Some("pong") => {}
            _ => self.fault(format!("what is {message}?")),
        }
    }

    fn take_answer(&mut self, visit: &mut Visit, message: &Value) {
        let id = text_of(&message["id"]);
        if !visit.asked.remove(&id) {
            return self.fault(format!("an answer to nothing: {message}"));
        }
        if let Some(room) = id.strip_prefix("in ") {
            return self.take_subscription(visit, room, message);
        }
        let Ok(number) = id.parse::<u64>() else {
            return self.fault(format!("an answer to nothing: {message}"));
        };
        let mut books = self.books.borrow_mut();
        if message["type"] == "error" {
            if message["code"] != "unavailable" {
                books.fault(format!("{}: {message}", self.name));
            }
            books.counts.unavailable += 1;
            if let Some(unsure) = self.unsure.get_mut(&number) {
                unsure.is_sent = false;
            }
            return;
        }
        let Some(Unsure { room, text, .. }) = self.unsure.remove(&number) else {
            return books.fault(format!("{}: a second answer: {message}", self.name));
        };
        books.counts.duplicates += u64::from(message["duplicate"] == true);
        let seq = message["seq"].as_u64().unwrap_or(0);
        books.stored.insert(text, (room, seq));
        drop(books);
        self.show();
    }

    fn take_subscription(&mut self, visit: &mut Visit, room: &str, message: &Value) {
        if message["type"] == "error" {
            if message["code"] != "unavailable" {
                self.fault(message.to_string());
            }
            visit.refused.push(room.to_owned());
            return;
        }
        let epoch = text_of(&message["epoch"]);
        if let Some(known) = self.epochs.insert(room.to_owned(), epoch.clone())
            && known != epoch
        {
            self.fault(format!("{room}: the log is another: {message}"));
        }
        let last = self
            .shown
            .borrow()
            .read
            .get(room)
            .map_or(0, |read| read.last);
        if message["next"] != last + 1 || !message["gap"].is_null() || !message["reset"].is_null() {
            self.fault(format!("{room}: not resumed behind {last}: {message}"));
        }
        visit.subscribed += 1;
        if last > 0 {
            self.books.borrow_mut().counts.resumed += 1;
        }
        let mut shown = self.shown.borrow_mut();
        let present = users(&message["presence"]["users"]).collect();
        shown.present.insert(room.to_owned(), present);
        shown.is_in = visit.subscribed == self.rooms.len();
    }

    fn show(&mut self) {
        self.shown.borrow_mut().is_sure = self.unsure.is_empty();
    }

    fn fault(&self, fault: impl Into<String>) {
        let fault = format!("{}: {}", self.name, fault.into());
        self.books.borrow_mut().fault(fault);
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Ids of the users in a list.
pub(crate) fn users(list: &Value) -> impl Iterator<Item = String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|user| text_of(&user["id"]))
}
