//! What the tests of all modules share: a store in a folder of its own, and short ways to write.

use std::time::Duration;

use rooms::{
    Answer, Call, CallId, Content, Data, Event, EventKind, Failure, Key, MethodName, RoomName,
    ServiceName, SessionId, Timestamp, User, UserId, UserName,
};
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::{CallRow, Outcome, Readers, Recovery, RoomHead, Store, TokenHash, Write};

/// 2026-11-22T09:30:00Z, in milliseconds.
const START: i64 = 1_795_339_800_000;

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) readers: Readers,
    pub(crate) recovery: Recovery,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, readers, recovery) = Store::open(folder.path(), at(0)).unwrap();
        Self {
            folder,
            store,
            readers,
            recovery,
        }
    }

    /// A store with the room 마당 in it, made by session 1 of user 1.
    pub(crate) fn with_room() -> Self {
        let mut fixture = Self::new();
        fixture.commit(&[arrive(1, 1, 0), subscribe(1, "마당", 0)]);
        fixture
    }

    pub(crate) fn commit(&mut self, batch: &[Write]) -> Vec<Outcome> {
        self.store.commit(batch).unwrap()
    }

    pub(crate) fn commit_one(&mut self, write: Write) -> Outcome {
        let mut outcomes = self.commit(&[write]);
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    /// Stops without closing, and starts again.
    pub(crate) fn lose(self, millis: i64) -> Self {
        let Self {
            folder,
            store,
            readers,
            ..
        } = self;
        drop((store, readers));
        let (store, readers, recovery) = Store::open(folder.path(), at(millis)).unwrap();
        Self {
            folder,
            store,
            readers,
            recovery,
        }
    }

    /// Stops as one should, and starts again.
    pub(crate) fn restart(self, millis: i64) -> Self {
        let Self {
            folder,
            store,
            readers,
            ..
        } = self;
        drop(readers);
        store.close(at(millis)).unwrap();
        let (store, readers, recovery) = Store::open(folder.path(), at(millis)).unwrap();
        Self {
            folder,
            store,
            readers,
            recovery,
        }
    }

    /// The room's events, all of them.
    pub(crate) fn log(&self, name: &str) -> Vec<Event> {
        self.readers
            .events_after(&room(name), 0, u64::MAX, usize::MAX)
            .unwrap()
            .unwrap()
            .events
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let text = |event: Event| {
            let EventKind::Message { content, .. } = event.kind;
            content.text.unwrap_or_default()
        };
        self.log(name).into_iter().map(text).collect()
    }

    /// The call of this number, if it is open or was answered so late.
    pub(crate) fn call(&self, number: u64, answered_since: i64) -> Option<CallRow> {
        self.readers
            .call(call_id(number), at(answered_since))
            .unwrap()
    }

    /// A number that `sql` finds in the file.
    pub(crate) fn number(&self, sql: &str) -> Option<i64> {
        self.readers
            .read(|connection| connection.query_one(sql, [], |row| row.get(0)))
            .unwrap()
    }

    /// A text that `sql` finds in the file.
    pub(crate) fn text(&self, sql: &str) -> Option<String> {
        self.readers
            .read(|connection| connection.query_one(sql, [], |row| row.get(0)))
            .unwrap()
    }
}

/// So many milliseconds after the tests' beginning.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

pub(crate) fn user(id: u8) -> User {
    let name = UserName::parse(&format!("사람 {id}")).unwrap();
    User {
        id: UserId::parse(&format!("u_{id}")).unwrap(),
        name,
        guest: true,
    }
}

pub(crate) fn session(id: u8) -> SessionId {
    SessionId::from(u128::from(id))
}

pub(crate) fn arrive(session_id: u8, user_id: u8, millis: i64) -> Write {
    Write::OpenSession {
        session: session(session_id),
        user: user(user_id),
        new_guest: Some(TokenHash::of(&format!("token {user_id}"))),
        address: "203.0.113.7".to_owned(),
        user_agent: Some("시험/1.0".to_owned()),
        at: at(millis),
    }
}

pub(crate) fn depart(session_id: u8, millis: i64) -> Write {
    let reason = "the page ended it".to_owned();
    Write::CloseSession {
        session: session(session_id),
        at: at(millis),
        code: 1001,
        reason,
    }
}

pub(crate) fn subscribe(session_id: u8, name: &str, millis: i64) -> Write {
    let (session, room) = (session(session_id), room(name));
    Write::Subscribe {
        session,
        room,
        create: true,
        at: at(millis),
    }
}

pub(crate) fn unsubscribe(session_id: u8, name: &str, millis: i64) -> Write {
    Write::Unsubscribe {
        session: session(session_id),
        room: room(name),
        at: at(millis),
    }
}

pub(crate) fn say(name: &str, text: &str, millis: i64) -> Write {
    append(name, 1, None, said(text), millis)
}

pub(crate) fn say_once(name: &str, key: &str, text: &str, millis: i64) -> Write {
    append(name, 1, Some(key), said(text), millis)
}

pub(crate) fn append(
    name: &str,
    user_id: u8,
    key: Option<&str>,
    content: Content,
    millis: i64,
) -> Write {
    let key = key.map(|key| Key::parse(key).unwrap());
    Write::Append {
        room: room(name),
        from: user(user_id),
        key,
        content,
        at: at(millis),
    }
}

pub(crate) fn said(text: &str) -> Content {
    Content {
        text: Some(text.to_owned()),
        data: None,
        reply_to: None,
    }
}

pub(crate) fn data(json: &str) -> Content {
    let data = RawValue::from_string(json.to_owned()).unwrap();
    Content {
        text: None,
        data: Some(data),
        reply_to: None,
    }
}

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

/// The id of a call that is asked so many milliseconds after the tests' beginning.
pub(crate) fn call_id(number: u64) -> CallId {
    CallId::new(at(number as i64), number.into())
}

/// User 1 asks 카페.
pub(crate) fn call(number: u64, method: &str, params: &str) -> Call {
    let at = at(number as i64);
    Call {
        id: call_id(number),
        service: service("카페"),
        method: MethodName::parse(method).unwrap(),
        params: json(params),
        from: user(1),
        key: None,
        at,
        deadline: at.after(Duration::from_secs(60)),
    }
}

pub(crate) fn keyed(call: Call, key: &str) -> Call {
    Call {
        key: Some(Key::parse(key).unwrap()),
        ..call
    }
}

/// Of a call that waits; no answer is too old.
pub(crate) fn accept(call: Call) -> Write {
    Write::AcceptCall {
        call,
        given_to: None,
        answered_since: at(0),
    }
}

pub(crate) fn hand(number: u64, user_id: Option<u8>) -> Write {
    Write::HandCall {
        call: call_id(number),
        to: user_id.map(|id| user(id).id),
    }
}

/// A result, or the code of a failure.
pub(crate) fn answer(number: u64, answer: Result<&str, &str>, millis: i64) -> Write {
    Write::AnswerCall {
        call: call_id(number),
        answer: answered(answer),
        at: at(millis),
    }
}

pub(crate) fn answered(answer: Result<&str, &str>) -> Answer {
    answer
        .map(json)
        .map_err(|code| Failure::parse(code, "다 팔렸어요").unwrap())
}

fn json(text: &str) -> Data {
    Data(RawValue::from_string(text.to_owned()).unwrap())
}

pub(crate) fn seq(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Appended(event) => event.seq,
        other => panic!("not appended: {other:?}"),
    }
}

pub(crate) fn head(outcome: Outcome) -> RoomHead {
    match outcome {
        Outcome::Subscribed(head) => head,
        other => panic!("not subscribed: {other:?}"),
    }
}
