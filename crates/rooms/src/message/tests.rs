use super::*;
use crate::error::ErrorCode;
use crate::event::{Content, EventKind};
use crate::names::{Key, MethodName, ServiceName, UserId, UserName};
use crate::presence::Occupant;
use serde_json::value::RawValue;

fn room() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

fn user(id: &str, guest: bool) -> User {
    let (id, name) = (
        UserId::parse(id).unwrap(),
        UserName::parse("강호동").unwrap(),
    );
    User { id, name, guest }
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_339_800_120)
}

fn event(text: Option<&str>, data: Option<&str>, key: Option<&str>) -> Event {
    Event {
        room: room(),
        seq: 58,
        at: at(),
        from: user("u_1", false),
        kind: EventKind::Message {
            content: Content {
                text: text.map(str::to_owned),
                data: data.map(|data| RawValue::from_string(data.to_owned()).unwrap()),
                reply_to: key.map(|_| 3),
            },
            key: key.map(|key| Key::parse(key).unwrap()),
        },
    }
}

fn subscription(gap: Option<Range>, reset: bool) -> Subscription {
    let presence = Snapshot {
        count: 1,
        users: vec![user("u_1", true)],
    };
    let epoch = "e1".to_owned();
    Subscription {
        room: room(),
        epoch,
        head: 57,
        next: 42,
        role: Role::Member,
        presence,
        gap,
        reset,
    }
}

const EVENT: &str = r#"{"type":"message","room":"lobby","seq":58,"at":"2026-11-22T09:30:00.120Z","from":{"id":"u_1","name":"강호동"},"text":"안녕"}"#;

#[test]
fn hello_tells_who_and_what() {
    let hello = Hello {
        protocol: 1,
        session: SessionId::from(1),
        user: user("u_1", true),
        token: Some("t".to_owned()),
        heartbeat_ms: 25_000,
        limits: Limits {
            message_bytes: 65_536,
            rooms: 256,
            in_flight: 32,
        },
    };
    assert_eq!(
        ServerMessage::Hello(hello).to_json(),
        r#"{"type":"hello","protocol":1,"session":"00000000000000000000000001","user":{"id":"u_1","name":"강호동","guest":true},"token":"t","heartbeat_ms":25000,"limits":{"message_bytes":65536,"rooms":256,"in_flight":32}}"#
    );
}

#[test]
fn a_pong_has_an_id_when_the_ping_had_one() {
    assert_eq!(
        ServerMessage::Pong { id: None }.to_json(),
        r#"{"type":"pong"}"#
    );
    let id = Some(RequestId::Text("1".to_owned()));
    assert_eq!(
        ServerMessage::Pong { id }.to_json(),
        r#"{"type":"pong","id":"1"}"#
    );
}

#[test]
fn a_subscription_is_told_the_same_way_asked_for_or_not() {
    let fields = r#""room":"lobby","epoch":"e1","head":57,"next":42,"role":"member","presence":{"count":1,"users":[{"id":"u_1","name":"강호동","guest":true}]}"#;
    let reply = Reply::Subscribed(subscription(None, false));
    let ok = ServerMessage::Ok {
        id: RequestId::Number(1),
        reply,
    };
    assert_eq!(ok.to_json(), format!(r#"{{"type":"ok","id":1,{fields}}}"#));
    let subscribed = ServerMessage::Subscribed(subscription(None, false));
    assert_eq!(
        subscribed.to_json(),
        format!(r#"{{"type":"subscribed",{fields}}}"#)
    );
    let gap = Some(Range { from: 1, to: 41 });
    let subscribed = ServerMessage::Subscribed(subscription(gap, true));
    assert_eq!(
        subscribed.to_json(),
        format!(r#"{{"type":"subscribed",{fields},"gap":{{"from":1,"to":41}},"reset":true}}"#)
    );
}

#[test]
fn replies_say_what_came_of_the_command() {
    let reply = |reply| {
        ServerMessage::Ok {
            id: RequestId::Number(2),
            reply,
        }
        .to_json()
    };
    assert_eq!(
        reply(Reply::Unsubscribed { room: room() }),
        r#"{"type":"ok","id":2,"room":"lobby"}"#
    );
    assert_eq!(
        reply(Reply::Passed { room: room() }),
        r#"{"type":"ok","id":2,"room":"lobby"}"#
    );
    assert_eq!(
        reply(Reply::Sent {
            room: room(),
            seq: 58,
            at: at(),
            duplicate: false
        }),
        r#"{"type":"ok","id":2,"room":"lobby","seq":58,"at":"2026-11-22T09:30:00.120Z"}"#
    );
    assert_eq!(
        reply(Reply::Sent {
            room: room(),
            seq: 58,
            at: at(),
            duplicate: true
        }),
        r#"{"type":"ok","id":2,"room":"lobby","seq":58,"at":"2026-11-22T09:30:00.120Z","duplicate":true}"#
    );
    assert_eq!(
        reply(Reply::History {
            room: room(),
            events: vec![event(Some("안녕"), None, None)],
            more: true
        }),
        format!(r#"{{"type":"ok","id":2,"room":"lobby","events":[{EVENT}],"more":true}}"#)
    );
    let users = vec![Occupant {
        user: user("u_1", false),
        sessions: 1,
        since: at(),
    }];
    assert_eq!(
        reply(Reply::Who {
            room: room(),
            who: Who { count: 1, users }
        }),
        r#"{"type":"ok","id":2,"room":"lobby","count":1,"users":[{"id":"u_1","name":"강호동","sessions":1,"since":"2026-11-22T09:30:00.120Z"}]}"#
    );
}

#[test]
fn an_error_names_the_command_where_it_can() {
    let error = Error::missing("room");
    let reply = |id| {
        ServerMessage::Error {
            id,
            error: error.clone(),
        }
        .to_json()
    };
    let rest = r#""code":"bad_field","message":"The field 'room' is missing.","field":"room""#;
    assert_eq!(reply(None), format!(r#"{{"type":"error",{rest}}}"#));
    let id = Some(RequestId::Text("7".to_owned()));
    assert_eq!(reply(id), format!(r#"{{"type":"error","id":"7",{rest}}}"#));
    assert_eq!(reply(None), serde_json::to_string(&error).unwrap());
}

#[test]
fn every_code_is_written_as_in_the_protocol() {
    use ErrorCode::*;
    let codes = [
        BadJson,
        UnknownType,
        BadField,
        TooLong,
        Unauthorized,
        Forbidden,
        NoSuchRoom,
        NoSuchMessage,
        NoSuchUser,
        NoSuchService,
        NotSubscribed,
        Conflict,
        RateLimited,
        Busy,
        Unavailable,
        Timeout,
        Cancelled,
        Internal,
    ];
    let written = codes.map(|code| serde_json::to_string(&code).unwrap().replace('"', ""));
    assert_eq!(
        written.join(" "),
        "bad_json unknown_type bad_field too_long unauthorized forbidden no_such_room \
         no_such_message no_such_user no_such_service not_subscribed conflict rate_limited busy \
         unavailable timeout cancelled internal"
    );
}

#[test]
fn presence_and_gaps_name_their_room() {
    let change = Change {
        joined: vec![user("u_1", false)],
        left: vec![],
        count: 3,
    };
    assert_eq!(
        ServerMessage::Presence {
            reset: false,
            room: room(),
            change
        }
        .to_json(),
        r#"{"type":"presence","room":"lobby","joined":[{"id":"u_1","name":"강호동"}],"left":[],"count":3}"#
    );
    let range = Range { from: 3, to: 9 };
    assert_eq!(
        ServerMessage::Gap {
            room: room(),
            range
        }
        .to_json(),
        r#"{"type":"gap","room":"lobby","from":3,"to":9}"#
    );
}

#[test]
fn what_passes_by_names_its_room_and_its_user() {
    let typing = ServerMessage::Typing {
        room: room(),
        user: user("u_1", true),
        on: false,
    };
    assert_eq!(
        typing.to_json(),
        r#"{"type":"typing","room":"lobby","user":{"id":"u_1","name":"강호동","guest":true},"on":false}"#
    );
    let data = RawValue::from_string("[ 1.0 ]".to_owned()).unwrap();
    let signal = ServerMessage::Signal {
        room: room(),
        user: user("u_1", false),
        data: Data(data),
    };
    assert_eq!(
        signal.to_json(),
        r#"{"type":"signal","room":"lobby","user":{"id":"u_1","name":"강호동"},"data":[ 1.0 ]}"#
    );
}

#[test]
fn an_event_leaves_out_what_it_has_not() {
    assert_eq!(
        ServerMessage::Event(event(Some("안녕"), None, None)).to_json(),
        EVENT
    );
    let full = ServerMessage::Event(event(Some("a"), Some("{ \"b\" : 1.0 }"), Some("k-17")));
    assert_eq!(
        full.to_json(),
        r#"{"type":"message","room":"lobby","seq":58,"at":"2026-11-22T09:30:00.120Z","from":{"id":"u_1","name":"강호동"},"text":"a","data":{ "b" : 1.0 },"key":"k-17","reply_to":3}"#
    );
}

#[test]
fn contents_are_equal_when_their_bytes_are() {
    assert_eq!(
        event(None, Some("[1]"), None),
        event(None, Some("[1]"), None)
    );
    assert_ne!(
        event(None, Some("[1]"), None),
        event(None, Some("[1.0]"), None)
    );
    assert_ne!(
        event(None, Some("[1]"), None),
        event(Some("a"), Some("[1]"), None)
    );
}

#[test]
fn what_is_said_of_calls_is_written_as_the_protocol_shows() {
    let call = CallId::parse("c_01KAQ6XV2R0000000000000007").unwrap();
    let ticket = Ticket::from(call);
    let data = || Data(RawValue::from_string(r#"{"a": 1}"#.to_owned()).unwrap());
    let id = || RequestId::Number(3);
    let service = || ServiceName::parse("cafe").unwrap();
    let request = |again| {
        ServerMessage::Request(CallRequest {
            call,
            service: service(),
            method: MethodName::parse("order").unwrap(),
            params: data(),
            from: user("u_1", true),
            timeout_ms: 59_990,
            again,
        })
    };
    let ok = |reply| ServerMessage::Ok { id: id(), reply };
    let failure = Failure::parse("sold_out", "없어요").unwrap();
    for (message, json) in [
        (
            ServerMessage::Ticket { id: id(), ticket },
            r#"{"type":"ticket","id":3,"ticket":"t_01KAQ6XV2R0000000000000007"}"#,
        ),
        (
            ServerMessage::Progress {
                id: id(),
                data: data(),
            },
            r#"{"type":"progress","id":3,"data":{"a": 1}}"#,
        ),
        (
            request(false),
            r#"{"type":"request","call":"c_01KAQ6XV2R0000000000000007","service":"cafe","method":"order","params":{"a": 1},"from":{"id":"u_1","name":"강호동","guest":true},"timeout_ms":59990}"#,
        ),
        (
            request(true),
            r#"{"type":"request","call":"c_01KAQ6XV2R0000000000000007","service":"cafe","method":"order","params":{"a": 1},"from":{"id":"u_1","name":"강호동","guest":true},"timeout_ms":59990,"again":true}"#,
        ),
        (
            ServerMessage::Cancelled { call },
            r#"{"type":"cancelled","call":"c_01KAQ6XV2R0000000000000007"}"#,
        ),
        (
            ServerMessage::Failed {
                id: Some(id()),
                ticket,
                failure,
            },
            r#"{"type":"error","id":3,"ticket":"t_01KAQ6XV2R0000000000000007","code":"sold_out","message":"없어요"}"#,
        ),
        (
            ok(Reply::Answered {
                ticket,
                result: data(),
            }),
            r#"{"type":"ok","id":3,"ticket":"t_01KAQ6XV2R0000000000000007","result":{"a": 1}}"#,
        ),
        (
            ok(Reply::Cancelled {
                ticket,
                cancelled: false,
            }),
            r#"{"type":"ok","id":3,"ticket":"t_01KAQ6XV2R0000000000000007","cancelled":false}"#,
        ),
        (
            ok(Reply::Serving {
                service: service(),
                concurrency: 4,
                resumed: vec![call],
            }),
            r#"{"type":"ok","id":3,"service":"cafe","concurrency":4,"resumed":["c_01KAQ6XV2R0000000000000007"]}"#,
        ),
        (
            ok(Reply::Unserved { service: service() }),
            r#"{"type":"ok","id":3,"service":"cafe"}"#,
        ),
        (
            ok(Reply::Responded { call }),
            r#"{"type":"ok","id":3,"call":"c_01KAQ6XV2R0000000000000007"}"#,
        ),
    ] {
        assert_eq!(message.to_json(), json);
    }
}
