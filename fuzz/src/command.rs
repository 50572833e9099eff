//! The JSON that a client sends, over the WebSocket and as the body of a request.

use std::collections::HashMap;

use rooms::{
    Anchor, Command, Content, Error, ErrorCode, Event, EventKind, Failure, Key, MAX_SEQ, Page,
    Post, Question, Rejected, Request, RequestId, RoomName, Serve, ServerMessage, Start, Timestamp,
    User, UserId, UserName,
};
use serde_json::{Map, Value, json, value::RawValue};

use crate::names::{check_key, check_room};

/// An error is for a log's line and a person; it does not give back what the client sent.
const LONGEST_ERROR: usize = 400;

/// The bytes are one message in UTF-8.
pub fn command(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A reader of its own. It is stricter than ours in what is left unread (numbers without end, half
    // characters, deep nesting in fields that no command has), so that it judges only what it takes.
    let json = serde_json::from_str::<Value>(text).ok();

    match Command::parse(text) {
        Ok(command) => {
            assert!(json.as_ref().is_none_or(Value::is_object));
            check_command(&command, text);
            check_id(&command.id, &json, text);
            let again = write(&command);
            assert_eq!(Command::parse(&again), Ok(command), "written anew: {again}");
        }
        Err(Rejected { id, error }) => {
            check_error(&error);
            if let Some(json) = &json {
                assert_eq!(error.code == ErrorCode::BadJson, !json.is_object());
            }
            check_id(&id, &json, text);
            let reply = ServerMessage::Error {
                id: id.clone(),
                error,
            }
            .to_json();
            let reply = object(&reply);
            assert_eq!(reply.get("id"), id.map(|id| json!(id)).as_ref());
        }
    }
    match Post::parse(text) {
        Ok(post) => check_content(&post.content, text),
        Err(error) => check_error(&error),
    }
}

fn check_command(command: &Command, text: &str) {
    let room = match &command.request {
        Request::Ping => &None,
        Request::Subscribe { room, start, epoch } => {
            match start {
                Start::Now => {}
                Start::After(number) | Start::Last(number) => assert!(*number <= MAX_SEQ),
            }
            assert!(
                epoch
                    .as_ref()
                    .is_none_or(|epoch| epoch.chars().count() <= 64)
            );
            room
        }
        Request::Send { room, key, content } => {
            if let Some(key) = key {
                check_key(key, key.as_str());
            }
            check_content(content, text);
            check_event(content, key);
            room
        }
        Request::History { room, page } => {
            assert!((1..=Page::MAX).contains(&page.limit));
            match page.anchor {
                Anchor::Latest => {}
                Anchor::Before(seq) | Anchor::After(seq) => assert!(seq <= MAX_SEQ),
            }
            room
        }
        Request::Signal { room, data } => {
            check_data(&data.0, text);
            room
        }
        Request::Unsubscribe { room } | Request::Who { room } | Request::Typing { room, .. } => {
            room
        }
        Request::Call(question) => {
            check_data_or_null(&question.params.0, text);
            let most = Question::MAX_TIMEOUT_MS;
            assert!(
                question
                    .timeout_ms
                    .is_none_or(|ms| (1..=most).contains(&ms))
            );
            &None
        }
        Request::Serve(serve) => {
            assert!((1..=Serve::MAX).contains(&serve.concurrency.into()));
            assert!(serve.resume.len() as u64 <= Serve::MAX);
            &None
        }
        Request::Respond { answer, .. } => {
            match answer {
                Ok(result) => check_data_or_null(&result.0, text),
                Err(failure) => {
                    let again = Failure::parse(&failure.code, &failure.message);
                    assert_eq!(again.as_ref(), Ok(failure));
                }
            }
            &None
        }
        Request::Progress { data, .. } => {
            check_data_or_null(&data.0, text);
            &None
        }
        Request::Collect { .. } | Request::Cancel { .. } | Request::Unserve { .. } => &None,
    };
    if let Some(room) = room {
        check_room(room);
    }
}

fn check_content(content: &Content, text: &str) {
    assert!(content.text.is_some() || content.data.is_some());
    if let Some(text) = &content.text {
        assert!(!text.is_empty() && !text.contains('\0'));
    }
    if let Some(data) = &content.data {
        check_data(data, text);
    }
    assert!(
        content
            .reply_to
            .is_none_or(|seq| (1..=MAX_SEQ).contains(&seq))
    );
}

/// `null` stands for what was not sent, too.
fn check_data_or_null(data: &RawValue, text: &str) {
    if data.get() != "null" {
        check_data(data, text);
    }
}

fn check_data(data: &RawValue, text: &str) {
    assert!(text.contains(data.get()), "data is kept byte for byte");
    let depth = match serde_json::from_str(data.get()) {
        Ok(data) => depth(&data),
        // What else than a number without end would keep others from reading it?
        Err(error) => {
            assert!(error.to_string().contains("number out of range"), "{error}");
            0
        }
    };
    assert!(depth <= 64, "{depth} levels");
}

/// Others get it as JSON that says the same.
fn check_event(content: &Content, key: &Option<Key>) {
    let event = ServerMessage::Event(Event {
        room: RoomName::parse("마당").unwrap(),
        seq: 1,
        at: Timestamp::from_millis(0),
        from: User {
            id: UserId::parse("u_1").unwrap(),
            name: UserName::parse("길동").unwrap(),
            guest: true,
        },
        kind: EventKind::Message {
            content: content.clone(),
            key: key.clone(),
        },
    })
    .to_json();
    let endless = content.data.is_some() && serde_json::from_str::<Value>(&event).is_err();
    if !endless {
        let event = object(&event);
        assert_eq!(
            event.get("text"),
            content.text.as_ref().map(|text| json!(text)).as_ref()
        );
        assert_eq!(
            event.get("key"),
            key.as_ref().map(|key| json!(key)).as_ref()
        );
        assert_eq!(
            event.get("reply_to"),
            content.reply_to.map(|seq| json!(seq)).as_ref()
        );
    }
}

/// Whatever is wrong with a command, its id is known when it can be read.
fn check_id(id: &Option<RequestId>, json: &Option<Value>, text: &str) {
    if let Some(RequestId::Text(id)) = id {
        assert!((1..=RequestId::LIMIT).contains(&id.chars().count()));
    }
    if let Some(Value::Object(fields)) = json {
        let expected = match fields.get("id") {
            Some(Value::String(id)) if (1..=64).contains(&id.chars().count()) => {
                Some(RequestId::Text(id.clone()))
            }
            // As it is written: the reader takes -0 for a fraction.
            Some(Value::Number(_)) => raw_id(text).parse().ok().map(RequestId::Number),
            _ => None,
        };
        assert_eq!(*id, expected);
    }
}

/// The field of an object that has it.
fn raw_id(object: &str) -> &str {
    let fields: HashMap<String, &RawValue> =
        serde_json::from_str(object).expect("an object, as it was read before");
    fields["id"].get()
}

fn check_error(error: &Error) {
    let length = error.message.len();
    assert!(
        (10..LONGEST_ERROR).contains(&length),
        "{length} bytes: {error}"
    );
    assert!(!error.message.contains(['\n', '\r']), "{error}");
    object(&serde_json::to_string(error).unwrap());
}

/// What a message of the server must be: one JSON object with a type.
fn object(json: &str) -> Map<String, Value> {
    let object: Map<_, _> = serde_json::from_str(json).expect("one JSON object");
    assert!(object.get("type").is_some_and(Value::is_string), "{json}");
    object
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The command as a client would write it.
fn write(command: &Command) -> String {
    let mut fields = Map::new();
    let mut data: Option<(&str, &RawValue)> = None;
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    set("id", command.id.as_ref().map(|id| json!(id)));
    let (name, room) = match &command.request {
        Request::Ping => ("ping", &None),
        Request::Subscribe { room, start, epoch } => {
            match start {
                Start::Now => {}
                Start::After(seq) => set("since", Some(json!(seq))),
                Start::Last(count) => set("last", Some(json!(count))),
            }
            set("epoch", epoch.as_ref().map(|epoch| json!(epoch)));
            ("subscribe", room)
        }
        Request::Unsubscribe { room } => ("unsubscribe", room),
        Request::Send { room, key, content } => {
            set("key", key.as_ref().map(|key| json!(key)));
            set("text", content.text.as_ref().map(|text| json!(text)));
            set("reply_to", content.reply_to.map(|seq| json!(seq)));
            data = content.data.as_deref().map(|data| ("data", data));
            ("send", room)
        }
        Request::History { room, page } => {
            match page.anchor {
                Anchor::Latest => {}
                Anchor::Before(seq) => set("before", Some(json!(seq))),
                Anchor::After(seq) => set("after", Some(json!(seq))),
            }
            set("limit", Some(json!(page.limit)));
            ("history", room)
        }
        Request::Who { room } => ("who", room),
        Request::Typing { room, on } => {
            set("on", Some(json!(on)));
            ("typing", room)
        }
        Request::Signal { room, data: signal } => {
            data = Some(("data", &signal.0));
            ("signal", room)
        }
        Request::Call(question) => {
            set("service", Some(json!(question.service)));
            set("method", Some(json!(question.method)));
            set("timeout_ms", question.timeout_ms.map(|ms| json!(ms)));
            set("key", question.key.as_ref().map(|key| json!(key)));
            data = Some(("params", &question.params.0));
            ("call", &None)
        }
        Request::Collect { ticket } => {
            set("ticket", Some(json!(ticket)));
            ("collect", &None)
        }
        Request::Cancel { ticket } => {
            set("ticket", Some(json!(ticket)));
            ("cancel", &None)
        }
        Request::Serve(serve) => {
            set("service", Some(json!(serve.service)));
            set("concurrency", Some(json!(serve.concurrency)));
            set("repeatable", Some(json!(serve.repeatable)));
            set("resume", Some(json!(serve.resume)));
            ("serve", &None)
        }
        Request::Unserve { service } => {
            set("service", Some(json!(service)));
            ("unserve", &None)
        }
        Request::Respond { call, answer } => {
            set("call", Some(json!(call)));
            match answer {
                Ok(result) => data = Some(("result", &result.0)),
                Err(failure) => set("error", Some(json!(failure))),
            }
            ("respond", &None)
        }
        Request::Progress { call, data: told } => {
            set("call", Some(json!(call)));
            data = Some(("data", &told.0));
            ("progress", &None)
        }
    };
    set("type", Some(json!(name)));
    set("room", room.as_ref().map(|room| json!(room)));
    let mut text = Value::Object(fields).to_string();
    if let Some((name, data)) = data {
        // Its bytes count, not its value.
        text.truncate(text.len() - 1);
        text.extend([",\"", name, "\":", data.get(), "}"]);
    }
    text
}
